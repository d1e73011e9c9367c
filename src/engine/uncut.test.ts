/** Formats whose batches are never cut, such as compressed ones; and what else readers by offset ask for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { SeededRandom } from '../core/random.ts';
import { asBuffer, FORMAT_NATIVE, readRecord, recordEnd } from '../core/records.ts';
import type { DeliveryRun, Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';
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

async function open(disk = new MemoryDisk(), clock = new ManualClock()): Promise<{ broker: Broker; session: Session }> {
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock,
    random: new SeededRandom(1),
    formats: [lines],
  });
  return { broker, session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) };
}

function batch(...texts: string[]): { format: number; records: Uint8Array; count: number } {
  return { format: FORMAT_LINES, records: Buffer.from(texts.join('\n')), count: texts.length };
}

function bodiesOf(runs: readonly DeliveryRun[]): string[] {
  return runs.flatMap((run) => {
    assert.equal(run.format, FORMAT_NATIVE);
    const records = asBuffer(run.records);
    const bodies: string[] = [];
    for (let i = 0, at = 0; i < run.count; i++, at = recordEnd(records, at))
      bodies.push(Buffer.from(readRecord(records, at).body).toString());
    return bodies;
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
  const { session } = await open();
  await session.request('declareTopic', {
    name: 'q',
    kind: 'queue',
    subscription: { maxAttempts: 1, backoff: { type: 'none', minMs: 0, maxMs: 0, jitter: false } },
  });
  await session.publish({ to: { topic: 'q' }, ...batch('a', 'b', 'c') });
  await session.publish({ to: { topic: 'q' }, ...batch('x\ny') });
  const got: DeliveryRun[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const sink = {
    deliver: (runs: DeliveryRun[]) => {
      got.push(...runs);
      if (got.reduce((sum, { count }) => sum + count, 0) === 4) resolve();
    },
    ended: () => {},
  };
  const consumer = await session.consume({ topic: 'q', subscription: 'q', lease: 'session' }, sink);
  consumer.credit(2);
  consumer.credit(2);
  await promise;
  assert.deepEqual(bodiesOf(got), ['a', 'b', 'c', '']);
  const token = got[0]?.token ?? 0;
  await session.settle([
    {
      topic: 'q',
      subscription: 'q',
      ranges: [{ partition: 0, offset: 1, count: 1, token: got.find(({ offset }) => offset <= 1)?.token ?? token }],
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
  const disk = new MemoryDisk();
  const { session } = await open(disk);
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  const publish = async (by: Session, sequence: number): Promise<[number | undefined, boolean | undefined]> => {
    const producer = { id: 'p', sequence, serial: true as const };
    const { runs } = await by.publish({ to: { topic: 't' }, ...batch('a', 'b'), producer });
    return [runs[0]?.offset, runs[0]?.duplicate];
  };
  const last = 2 ** 31 - 2;
  assert.deepEqual(await publish(session, last), [0, undefined]);
  assert.deepEqual(await publish(session, 0), [2, undefined]);
  assert.deepEqual(await publish(session, last), [0, true]);
  await assert.rejects(publish(session, 4), { code: 'OUT_OF_ORDER' });
  const again = await open(disk.crash(new SeededRandom(1)));
  assert.deepEqual(await publish(again.session, 0), [2, true]);
  await assert.rejects(publish(again.session, 3), { code: 'OUT_OF_ORDER' });
  assert.deepEqual(await publish(again.session, 2), [4, undefined]);
});

test('a reader of many places waits until one of them has something, or its time is over', async () => {
  const clock = new ManualClock();
  const { session } = await open(new MemoryDisk(), clock);
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
  const { session, broker } = await open(new MemoryDisk());
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
  const disk = new MemoryDisk();
  const { session } = await open(disk);
  for (const name of ['a', 'b']) await session.request('declareTopic', { name, kind: 'topic' });
  const commit = (cursor: string, topic: string): Promise<unknown> =>
    session.commit({ publishes: [], settlements: [], cursors: [{ cursor, topic, partition: 0, offset: 3 }] });
  for (const topic of ['b', 'a']) await commit('g1', topic);
  await commit('g2', 'a');
  const again = (await open(disk.crash(new SeededRandom(1)))).session;
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
