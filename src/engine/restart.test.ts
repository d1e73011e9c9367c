import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { DeliveryRun, Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

async function open(disk: MemoryDisk, batchBytes = 1 << 20): Promise<{ broker: Broker; session: Session }> {
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
    limits: { batchBytes },
  });
  return { broker, session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) };
}

function records(...texts: string[]): { format: number; records: Uint8Array; count: number } {
  const writer = new RecordBatchWriter();
  for (const text of texts) writer.append({}, text);
  const { bytes, count } = writer.take();
  return { format: FORMAT_NATIVE, records: bytes, count };
}

test('ids of topics are never given twice, however often the broker was closed in between', async () => {
  const disk = new MemoryDisk();
  for (const name of ['a', 'b', 'c']) {
    const { broker, session } = await open(disk);
    const { created } = await session.request('declareTopic', { name, kind: 'queue' });
    assert.equal(created, true);
    await broker.close();
  }
  const { session } = await open(disk);
  const { topics } = await session.request('listTopics', {});
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
  const disk = new MemoryDisk();
  const first = await open(disk);
  await first.session.request('declareTopic', { name: 'q', kind: 'queue' });
  await first.session.publish({ to: { topic: 'q' }, ...records('a') });
  await first.broker.close();
  const second = await open(disk);
  await second.broker.checkpoint();
  const run = await new Promise<DeliveryRun>((resolve, reject) => {
    const sink = { deliver: ([only]: DeliveryRun[]) => only !== undefined && resolve(only), ended: () => {} };
    second.session.consume({ topic: 'q', subscription: 'q', lease: 'timed' }, sink).then((c) => c.credit(1), reject);
  });
  await second.broker.settled();
  const third = await open(disk.clone());
  const { partition, offset, token } = run;
  const ranges = [{ partition, offset, count: 1, token }];
  const { lost } = await third.session.settle([{ topic: 'q', subscription: 'q', action: 'ack', ranges }]);
  assert.deepEqual(lost, []);
});

test('a lease that nobody can come back to ends with the next start, from the journal and from a checkpoint', async () => {
  for (const from of ['journal', 'checkpoint'] as const) {
    const disk = new MemoryDisk();
    const first = await open(disk);
    const ref = { topic: 'q', subscription: 'q' };
    await first.session.request('declareTopic', { name: 'q', kind: 'queue' });
    await first.session.publish({ to: { topic: 'q' }, ...records('held', 'kept') });
    for (const lease of ['connection', 'session'] as const) {
      const consumer = await first.session.consume({ ...ref, lease }, { deliver: () => {}, ended: () => {} });
      consumer.credit(1);
      await first.broker.settled();
      await consumer.close();
    }
    if (from === 'checkpoint') await first.broker.checkpoint();
    const second = await open(disk.clone());
    await second.broker.settled();
    const { messages } = await second.session.request('peek', ref);
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
  const disk = new MemoryDisk();
  const first = await open(disk);
  await first.session.request('declareTopic', { name: 'q', kind: 'queue' });
  await first.session.publish({ to: { topic: 'q' }, ...records('a') });
  const sink = { deliver: () => {}, ended: () => {} };
  const ref = { topic: 'q', subscription: 'q' };
  (await first.session.consume({ ...ref, lease: 'timed' }, sink)).credit(1);
  await first.broker.settled();
  const second = await open(disk.clone());
  const other = second.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  await other.consume({ ...ref, lease: 'session' }, sink);
  await other.close('lost');
  const { ready, leased } = await second.session.request('subscriptionStats', ref);
  assert.deepEqual({ ready, leased }, { ready: 0, leased: 1 });
});

test('a transaction that is larger than a batch usually is lies in one batch all the same', async () => {
  const disk = new MemoryDisk();
  const { session } = await open(disk, 4096);
  await session.request('declareTopic', { name: 'in', kind: 'queue' });
  await session.request('declareTopic', { name: 'out', kind: 'queue' });
  await session.publish({ to: { topic: 'in' }, ...records('a') });
  const run = await new Promise<DeliveryRun>((resolve, reject) => {
    const sink = { deliver: ([first]: DeliveryRun[]) => first !== undefined && resolve(first), ended: () => {} };
    session.consume({ topic: 'in', subscription: 'in', lease: 'session' }, sink).then((c) => c.credit(1), reject);
  });
  const states: { acked: boolean; sent: boolean; cursor: boolean }[] = [];
  const crashed: MemoryDisk[] = [];
  disk.onCall = () => void crashed.push(disk.clone());
  const { partition, offset, token } = run;
  await session.commit({
    settlements: [{ topic: 'in', subscription: 'in', action: 'ack', ranges: [{ partition, offset, count: 1, token }] }],
    publishes: [{ to: { topic: 'out' }, ...records('b'.repeat(8000)) }],
    cursors: [{ cursor: 'c', topic: 'in', partition: 0, offset: 1 }],
  });
  crashed.push(disk.clone());
  disk.onCall = undefined;
  for (const found of crashed) {
    const { session: after } = await open(found);
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
  const { session } = await open(new MemoryDisk());
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  const sent = session.publish({ to: { topic: 'q' }, ...records('a') });
  const peeked = session.request('peek', { topic: 'q', subscription: 'q' });
  const read = session.request('read', { topic: 'q', from: 'start' });
  await sent;
  assert.equal((await peeked).messages.length, 1);
  assert.equal((await read).runs.length, 1);
});

test('a subscription that starts in the past is filled with what was published in the same turn', async () => {
  const { broker, session } = await open(new MemoryDisk());
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  void session.publish({ to: { topic: 't' }, ...records('a', 'b') });
  const policy = { order: 'fair' as const };
  await session.request('declareSubscription', { topic: 't', subscription: 's', from: 'start', policy });
  await broker.settled();
  await session.request('info', {});
  assert.equal((await session.request('subscriptionStats', { topic: 't', subscription: 's' })).ready, 2);
});

test('after a seek to the start only messages come that are still there, also where others between them are gone', async () => {
  const disk = new MemoryDisk();
  const broker = await Broker.open({
    journal: new FileJournal(disk, { segmentBytes: 64 << 10, segments: 6, maxBatchBytes: 24 << 10 }),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
    limits: { coldBlockBytes: 4 << 10, recentBytes: 8 << 10, checkpointBytes: 32 << 10 },
  });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const retain = { untilSettled: true, ageMs: null, bytes: null, compact: false };
  await session.request('declareTopic', { name: 't', kind: 'topic', policy: { retain } });
  await session.request('declareSubscription', { topic: 't', subscription: 's' });
  const send = (text: string): Promise<unknown> => session.publish({ to: { topic: 't' }, ...records(text) });
  const got: DeliveryRun[] = [];
  const consumer = await session.consume(
    { topic: 't', subscription: 's', lease: 'session' },
    { deliver: (runs) => void got.push(...runs), ended: () => {} },
  );
  for (let i = 0; i < 20; i++) await send(`${i}`);
  consumer.credit(20);
  await broker.settled();
  const ranges = got.flatMap(({ partition, offset, count, token }) =>
    Array.from({ length: count }, (_, i) => ({ partition, offset: offset + i, count: 1, token })),
  );
  const acked = ranges.filter(({ offset }) => offset !== 0 && offset !== 9);
  await session.settle([{ topic: 't', subscription: 's', action: 'ack', ranges: acked }]);
  const sink = broker.state.topicNamed('default', 't')?.partition(0);
  await session.request('declareTopic', { name: 'filler', kind: 'queue' });
  for (let i = 0; i < 200 && sink?.cold.length === 0; i++)
    await session.publish({ to: { topic: 'filler' }, ...records('x'.repeat(4000)) });
  assert.ok((sink?.cold.length ?? 0) > 0, 'it moved to a cold segment');
  await session.request('seek', { topic: 't', subscription: 's', to: 'start' });
  for (let turn = 0; turn < 20; turn++) {
    await broker.settled();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { depth } = await session.request('subscriptionStats', { topic: 't', subscription: 's' });
  assert.equal(depth, 2);
});
