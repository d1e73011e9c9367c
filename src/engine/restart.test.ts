import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { EngineBench, STARTS } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';
import { records } from '../../test/engine/records.ts';

const REF = { topic: 'q', subscription: 'q' };

test('ids of topics are never given twice, however often the broker was closed in between', async () => {
  const bench = await new EngineBench().start();
  for (const name of ['a', 'b', 'c']) {
    const { created } = await bench.session.request('declareTopic', { name, kind: 'queue' });
    assert.equal(created, true);
    await bench.restart('close');
  }
  const { topics } = await bench.session.request('listTopics', {});
  assert.deepEqual(
    topics.map(({ topicId, name }) => [topicId, name]),
    [
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ],
  );
});

test('a delivery made after a checkpoint of the second life can be acked in the third', async () => {
  const bench = await new EngineBench().start();
  await bench.session.request('declareTopic', { name: 'q', kind: 'queue' });
  await bench.send('q', 'a');
  await bench.restart('close');
  await bench.broker.checkpoint();
  const ranges = await bench.receive(REF, 1);
  assert.equal(ranges.length, 1);
  await bench.restart('kill');
  const { lost } = await bench.session.settle([{ ...REF, action: 'ack', ranges }]);
  assert.deepEqual(lost, []);
});

test('a lease that nobody can come back to ends with the next start, from the journal and from a checkpoint', async () => {
  for (const [from, how] of STARTS) {
    const bench = await new EngineBench().start();
    await bench.session.request('declareTopic', { name: 'q', kind: 'queue' });
    await bench.send('q', 'held', 'kept');
    for (const lease of ['connection', 'session'] as const) await bench.receive({ ...REF, lease }, 1);
    await bench.restart(how);
    await bench.broker.settled();
    const { messages } = await bench.session.request('peek', REF);
    assert.deepEqual(
      messages.map(({ envelope, state, crashes }) => [Buffer.from(envelope.body).toString(), state, crashes]),
      [
        ['held', 'ready', 1],
        ['kept', 'leased', 0],
      ],
      from,
    );
  }
});

test('a lease of a former life is not given back when a new consumer leaves', async () => {
  const bench = await new EngineBench().start();
  await bench.session.request('declareTopic', { name: 'q', kind: 'queue' });
  await bench.send('q', 'a');
  await bench.receive(REF, 1);
  await bench.restart('kill');
  const other = bench.connect();
  await other.consume({ ...REF, lease: 'session' }, new Collector());
  await other.close('lost');
  const { ready, leased } = await bench.session.request('subscriptionStats', REF);
  assert.deepEqual({ ready, leased }, { ready: 0, leased: 1 });
});

test('a transaction that is larger than a batch usually is lies in one batch all the same', async () => {
  const bench = await new EngineBench({ limits: { batchBytes: 4096 } }).start();
  const { disk, session } = bench;
  await session.request('declareTopic', { name: 'in', kind: 'queue' });
  await session.request('declareTopic', { name: 'out', kind: 'queue' });
  await bench.send('in', 'a');
  const ranges = await bench.receive({ topic: 'in', subscription: 'in', lease: 'session' }, 1);
  assert.equal(ranges.length, 1);
  const states: { acked: boolean; sent: boolean; cursor: boolean }[] = [];
  const crashed: MemoryDisk[] = [];
  disk.onCall = () => void crashed.push(disk.clone());
  await session.commit({
    settlements: [{ topic: 'in', subscription: 'in', action: 'ack', ranges }],
    publishes: [{ to: { topic: 'out' }, ...records('b'.repeat(8000)) }],
    cursors: [{ cursor: 'c', topic: 'in', partition: 0, offset: 1 }],
  });
  crashed.push(disk.clone());
  disk.onCall = undefined;
  for (const found of crashed) {
    const { session: after } = await new EngineBench().start(found);
    const { partitions } = await after.request('fetchCursors', { cursor: 'c', topic: 'in' });
    states.push({
      acked: (await after.request('subscriptionStats', { topic: 'in', subscription: 'in' })).depth === 0,
      sent: (await after.request('subscriptionStats', { topic: 'out', subscription: 'out' })).depth === 1,
      cursor: partitions.length === 1,
    });
  }
  for (const { acked, sent, cursor } of states) assert.ok(acked === sent && sent === cursor, JSON.stringify(states));
  assert.ok(states.some(({ acked }) => acked) && states.some(({ acked }) => !acked));
});

test('what was published in the same turn can be read and peeked at, though it is on no disk yet', async () => {
  const bench = await new EngineBench().start();
  const { session } = bench;
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  const sent = bench.send('q', 'a');
  const peeked = session.request('peek', REF);
  const read = session.request('read', { topic: 'q', from: 'start' });
  await sent;
  assert.equal((await peeked).messages.length, 1);
  assert.equal((await read).runs.length, 1);
});

test('a subscription that starts in the past is filled with what was published in the same turn', async () => {
  const bench = await new EngineBench().start();
  const { broker, session } = bench;
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  void bench.send('t', 'a', 'b');
  const policy = { order: 'fair' as const };
  await session.request('declareSubscription', { topic: 't', subscription: 's', from: 'start', policy });
  await broker.settled();
  await session.request('info', {});
  assert.equal((await session.request('subscriptionStats', { topic: 't', subscription: 's' })).ready, 2);
});

test('after a seek to the start only messages come that are still there, also where others between them are gone', async () => {
  const bench = await new EngineBench(
    { limits: { coldBlockBytes: 4 << 10, recentBytes: 8 << 10, checkpointBytes: 32 << 10 } },
    { segmentBytes: 64 << 10, segments: 6, maxBatchBytes: 24 << 10 },
  ).start();
  const { broker, session } = bench;
  const retain = { untilSettled: true, ageMs: null, bytes: null, compact: false };
  await session.request('declareTopic', { name: 't', kind: 'topic', policy: { retain } });
  await session.request('declareSubscription', { topic: 't', subscription: 's' });
  const got = new Collector();
  const consumer = await session.consume({ topic: 't', subscription: 's', lease: 'session' }, got);
  for (let i = 0; i < 20; i++) await bench.send('t', `${i}`);
  consumer.credit(20);
  await broker.settled();
  const ranges = got.runs.flatMap(({ partition, offset, count, token }) =>
    Array.from({ length: count }, (_, i) => ({ partition, offset: offset + i, count: 1, token })),
  );
  const acked = ranges.filter(({ offset }) => offset !== 0 && offset !== 9);
  await session.settle([{ topic: 't', subscription: 's', action: 'ack', ranges: acked }]);
  const sink = broker.state.topicNamed('default', 't')?.partition(0);
  await session.request('declareTopic', { name: 'filler', kind: 'queue' });
  for (let i = 0; i < 200 && sink?.cold.length === 0; i++) await bench.send('filler', 'x'.repeat(4000));
  assert.ok((sink?.cold.length ?? 0) > 0, 'it moved to a cold segment');
  await session.request('seek', { topic: 't', subscription: 's', to: 'start' });
  await bench.quiet();
  const { depth } = await session.request('subscriptionStats', { topic: 't', subscription: 's' });
  assert.equal(depth, 2);
});
