/** Formats whose batches are never cut, such as compressed ones; and what else readers by offset ask for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RailheadError } from '../core/errors.ts';
import { FORMAT_NATIVE } from '../core/records.ts';
import type { DeliveryRun } from '../core/session.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';
import { textsOf } from '../../test/engine/records.ts';
import type { RecordFormat } from './formats.ts';

const FORMAT_LINES = 77;

/** Lines of text, all or none. */
const lines: RecordFormat = {
  tag: FORMAT_LINES,
  name: 'lines',
  plainHasKeys: true,
  check: () => true,
  bounds: () => null,
  envelopes(records, count) {
    const bodies = records.toString().split('\n');
    if (bodies.length !== count) throw new RailheadError('INVALID', 'It is a wreck.');
    return bodies.map((body) => ({ key: body.slice(0, 1), body: Buffer.from(body) }));
  },
  headBytes: () => 0,
  head: () => ({ body: Buffer.alloc(0) }),
};

function open(): Promise<EngineBench> {
  return new EngineBench({ formats: [lines] }).start();
}

function batch(...texts: string[]): { format: number; records: Uint8Array; count: number } {
  return { format: FORMAT_LINES, records: Buffer.from(texts.join('\n')), count: texts.length };
}

function bodiesOf(runs: readonly DeliveryRun[]): string[] {
  return runs.flatMap((run) => {
    assert.equal(run.format, FORMAT_NATIVE);
    return textsOf(run);
  });
}

test('a batch that cannot be cut is given back whole to those who read its format, and record by record to others', async () => {
  const { session } = await open();
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  await session.publish({ to: { topic: 't' }, ...batch('a', 'b', 'c') });
  const from = { offset: 1 };
  const { runs } = await session.request('read', { topic: 't', from, formats: [FORMAT_LINES] });
  const [run] = runs;
  assert.deepEqual([run?.offset, run?.count, run?.skip, run?.format], [1, 2, 1, FORMAT_LINES]);
  assert.equal(Buffer.from(run?.records ?? []).toString(), 'a\nb\nc');
  const others = await session.request('read', { topic: 't', from });
  assert.deepEqual(bodiesOf(others.runs), ['b', 'c']);
});

test('each message of such a batch is leased, retried and buried by itself, and a wreck is delivered as one', async () => {
  const bench = await open();
  const { session } = bench;
  await session.request('declareTopic', {
    name: 'q',
    kind: 'queue',
    subscription: { maxAttempts: 1, backoff: { type: 'none', minMs: 0, maxMs: 0, jitter: false } },
  });
  await session.publish({ to: { topic: 'q' }, ...batch('a', 'b', 'c') });
  await session.publish({ to: { topic: 'q' }, ...batch('x\ny') });
  const got = new Collector();
  const consumer = await session.consume({ topic: 'q', subscription: 'q', lease: 'session' }, got);
  consumer.credit(2);
  consumer.credit(2);
  await bench.quiet();
  assert.deepEqual(bodiesOf(got.runs), ['a', 'b', 'c', '']);
  const token = got.runs.find(({ offset }) => offset <= 1)?.token ?? 0;
  await session.settle([
    {
      topic: 'q',
      subscription: 'q',
      ranges: [{ partition: 0, offset: 1, count: 1, token }],
      action: 'reject',
      reason: 'no',
    },
  ]);
  const dead = await session.request('peek', { topic: 'q.dead', subscription: 'q.dead' });
  assert.deepEqual(
    dead.messages.map(({ envelope }) => [envelope.key, Buffer.from(envelope.body).toString()]),
    [['b', 'b']],
  );
});

test('serial numbers wrap at 31 bits, are deduplicated, and leave nothing out, after a crash too', async () => {
  const bench = await open();
  await bench.session.request('declareTopic', { name: 't', kind: 'topic' });
  const publish = async (sequence: number): Promise<[number | undefined, boolean | undefined]> => {
    const producer = { id: 'p', sequence, serial: true as const };
    const { runs } = await bench.session.publish({ to: { topic: 't' }, ...batch('a', 'b'), producer });
    return [runs[0]?.offset, runs[0]?.duplicate];
  };
  const last = 2 ** 31 - 2;
  assert.deepEqual(await publish(last), [0, undefined]);
  assert.deepEqual(await publish(0), [2, undefined]);
  assert.deepEqual(await publish(last), [0, true]);
  await assert.rejects(publish(4), { code: 'OUT_OF_ORDER' });
  await bench.start(bench.disk.crash(bench.random));
  assert.deepEqual(await publish(0), [2, true]);
  await assert.rejects(publish(3), { code: 'OUT_OF_ORDER' });
  assert.deepEqual(await publish(2), [4, undefined]);
});

test('a reader of many places waits until one of them has something, or its time is over', async () => {
  const { clock, session } = await open();
  for (const name of ['a', 'b']) await session.request('declareTopic', { name, kind: 'topic' });
  const places = ['a', 'b'].map((topic) => ({ topic, partition: 0, offset: 0 }));
  const waiting = session.request('awaitRecords', { places, waitMs: 1000 });
  await session.publish({ to: { topic: 'b' }, ...batch('x') });
  assert.deepEqual(await waiting, { reached: true });
  const [first] = places;
  assert.ok(first);
  const other = session.request('awaitRecords', { places: [first], waitMs: 1000 });
  clock.advance(1000);
  assert.deepEqual(await other, { reached: false });
  await assert.rejects(session.request('awaitRecords', { places: [{ ...first, partition: 9 }], waitMs: 1 }), {
    code: 'NOT_FOUND',
  });
});

test('a reader of many places is woken by the nearest of two in one partition, and when a topic of it is deleted', async () => {
  const { session, broker } = await open();
  for (const name of ['a', 'b']) await session.request('declareTopic', { name, kind: 'topic' });
  const place = (topic: string, offset: number): { topic: string; partition: number; offset: number } => ({
    topic,
    partition: 0,
    offset,
  });
  const far = session.request('awaitRecords', { places: [place('a', 1)], waitMs: 1000 });
  const near = session.request('awaitRecords', { places: [place('a', 5), place('a', 0), place('a', 9)], waitMs: 1000 });
  await session.publish({ to: { topic: 'a' }, ...batch('x') });
  assert.deepEqual(await near, { reached: true });
  let woken = false;
  void far.then(() => (woken = true));
  await broker.settled();
  assert.equal(woken, false);
  await session.publish({ to: { topic: 'a' }, ...batch('x') });
  assert.deepEqual(await far, { reached: true });
  const deleted = session.request('awaitRecords', { places: [place('a', 9), place('b', 0)], waitMs: 1000 });
  await session.request('deleteTopic', { name: 'b' });
  assert.deepEqual(await deleted, { reached: false });
});

test('cursors are listed with their topics, and one is fetched of all its topics, after a restart too', async () => {
  const bench = await open();
  const { session } = bench;
  for (const name of ['a', 'b']) await session.request('declareTopic', { name, kind: 'topic' });
  const commit = (cursor: string, topic: string): Promise<unknown> =>
    session.commit({ publishes: [], settlements: [], cursors: [{ cursor, topic, partition: 0, offset: 3 }] });
  for (const topic of ['b', 'a']) await commit('g1', topic);
  await commit('g2', 'a');
  await bench.start(bench.disk.crash(bench.random));
  const again = bench.session;
  assert.deepEqual(await again.request('listCursors', { limit: 1 }), {
    cursors: [{ cursor: 'g1', topics: ['a', 'b'] }],
    next: 'g1',
  });
  assert.deepEqual(await again.request('listCursors', { after: 'g1' }), {
    cursors: [{ cursor: 'g2', topics: ['a'] }],
    next: null,
  });
  const at = { partition: 0, offset: 3, metadata: '' };
  assert.deepEqual(await again.request('fetchCursors', { cursor: 'g1' }), {
    partitions: [
      { topic: 'a', ...at },
      { topic: 'b', ...at },
    ],
  });
});
