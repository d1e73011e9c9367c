/** Bounds of the engine that no other test reaches: what is as much as is allowed, and one more. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { EngineBench } from '../../test/engine/bench.ts';
import { records } from '../../test/engine/records.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';

async function place(t: TestContext, limits: Partial<Limits> = {}): Promise<EngineBench> {
  const bench = await new EngineBench({ limits }).start();
  t.after(() => bench.broker.close());
  await bench.session.request('declareTopic', { name: 'q', kind: 'queue' });
  return bench;
}

const Q = { topic: 'q', subscription: 'q' };

test('a publish has no more records than maxRecordsPerPublish', async (t) => {
  const bench = await place(t, { maxRecordsPerPublish: 3 });
  await bench.send('q', '1', '2', '3');
  await assert.rejects(bench.send('q', '1', '2', '3', '4'), { code: 'INVALID', message: /4 records; .* 1 to 3/ });
  assert.equal((await bench.session.request('subscriptionStats', Q)).ready, 3);
});

test('a topic has no more partitions than maxPartitions', async (t) => {
  const { session } = await place(t);
  const declare = (partitions: number) =>
    session.request('declareTopic', { name: `t${partitions}`, kind: 'topic', policy: { partitions } });
  await declare(DEFAULT_LIMITS.maxPartitions);
  await assert.rejects(declare(DEFAULT_LIMITS.maxPartitions + 1), { code: 'INVALID', message: /partitions/ });
});

test('names of topics, subscriptions, routers, snapshots, producers and kinds have at most maxNameBytes, as UTF-8', async (t) => {
  const { session } = await place(t);
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  const making: Record<string, (name: string) => Promise<unknown>> = {
    topic: (name) => session.request('declareTopic', { name, kind: 'topic' }),
    subscription: (subscription) => session.request('declareSubscription', { topic: 't', subscription }),
    router: (name) => session.request('declareRouter', { name, type: 'fanout' }),
    snapshot: (snapshot) => session.request('createSnapshot', { ...Q, snapshot }),
    producer: (producer) => session.request('claimProducer', { producer }),
    kind: (kind) => session.request('putDocument', { kind, name: 'a', value: '{}' }),
  };
  // 85 of three bytes each.
  const [longest, longer] = ['語'.repeat(85), `${'語'.repeat(85)}x`];
  assert.equal(Buffer.byteLength(longest), DEFAULT_LIMITS.maxNameBytes);
  for (const [what, make] of Object.entries(making)) {
    await make(longest);
    await assert.rejects(make(longer), { name: 'RailheadError' }, what);
  }
});

test('documents have names and texts of a bounded size, and a kind of them a bounded number', async (t) => {
  const { session } = await place(t, { maxDocuments: 3, maxDocumentNameBytes: 10, maxDocumentBytes: 20 });
  const put = (name: string, value = '{}', kind = 'k') => session.request('putDocument', { kind, name, value });
  await put('x'.repeat(10), 'y'.repeat(20));
  await assert.rejects(put('x'.repeat(11)), { code: 'TOO_LARGE', message: /name of a document has 11 bytes/ });
  await assert.rejects(put('x', 'y'.repeat(21)), { code: 'TOO_LARGE', message: /document has 21 bytes/ });
  await put('second');
  await put('third');
  await assert.rejects(put('fourth'), { code: 'TOO_LARGE', message: /3 documents of the kind "k"/ });
  assert.deepEqual(await put('third', '{"changed":1}'), { created: false });
  await put('first', '{}', 'another');
  await session.request('deleteDocument', { kind: 'k', name: 'second' });
  await put('fourth');
});

test('of the text of an error no more than maxErrorText is kept', async (t) => {
  const bench = await place(t, { maxErrorText: 5 });
  await bench.send('q', 'x');
  const [run] = await bench.receive(Q, 1);
  assert.ok(run);
  const { partition, offset, count, token } = run;
  const ranges = [{ partition, offset, count, token }];
  await bench.session.settle([{ ...Q, ranges, action: 'reject', reason: 'refused' }]);
  await bench.quiet();
  const { messages } = await bench.session.request('peek', { topic: 'q.dead', subscription: 'q.dead' });
  assert.equal(messages.length, 1);
  const told = JSON.stringify(messages);
  assert.ok(told.includes('refus') && !told.includes('refused'), told);
});

test('a peek shows no more than maxPeek', async (t) => {
  const bench = await place(t, { maxPeek: 3 });
  await bench.send('q', '1', '2', '3', '4');
  assert.deepEqual(await bench.peek({ ...Q, limit: 1_000 }), ['1', '2', '3']);
});

test('a snapshot that says nothing lives for defaultSnapshotMs, and a topic has no more of them than maxSnapshots', async (t) => {
  const bench = await place(t, { defaultSnapshotMs: 1_000, maxSnapshotMs: 5_000, maxSnapshots: 2 });
  const create = (snapshot: string, more = {}) => bench.session.request('createSnapshot', { ...Q, snapshot, ...more });
  const { createdAt, expiresAt } = await create('a');
  assert.equal(expiresAt - createdAt, 1_000);
  await create('b', { expiresAfterMs: 5_000 });
  await assert.rejects(create('c', { expiresAfterMs: 5_001 }), { code: 'INVALID', message: /5001 ms/ });
  await assert.rejects(create('c'), { code: 'INVALID', message: /2 snapshots, which is the most/ });
  await bench.advance(1_001);
  await create('c');
});

test('a transaction stays open for transactionMs unless its producer says, and for maxTransactionMs at most', async (t) => {
  const bench = await place(t, { transactionMs: 1_000, maxTransactionMs: 5_000 });
  const { session } = bench;
  const claim = (producer: string, timeoutMs?: number) =>
    session.request('claimProducer', { producer, ...(timeoutMs !== undefined && { timeoutMs }) });
  await assert.rejects(claim('p', 5_001), { code: 'INVALID', message: /maxTransactionMs/ });
  const [usual, longest] = [await claim('usual'), await claim('longest', 5_000)];
  await session.request('beginTransaction', usual);
  await session.request('beginTransaction', longest);
  const open = async (producer: string) => (await session.request('describeProducer', { producer })).open !== null;
  await bench.advance(999);
  assert.deepEqual([await open('usual'), await open('longest')], [true, true]);
  await bench.advance(2);
  assert.deepEqual([await open('usual'), await open('longest')], [false, true]);
  await bench.advance(4_000);
  assert.equal(await open('longest'), false);
});

test('a publisher that says nothing waits for room for parkMs', async (t) => {
  const bench = await place(t, { parkMs: 1_000 });
  await bench.session.request('declareTopic', {
    name: 'full',
    kind: 'queue',
    policy: { maxMessages: 1, overflow: 'block' },
  });
  await bench.send('full', '1');
  let ended: unknown;
  const waiting = bench.session.publish({ to: { topic: 'full' }, ...records('2') }).catch((error: unknown) => {
    ended = error;
  });
  await bench.advance(999);
  assert.equal(ended, undefined);
  await bench.advance(1);
  await waiting;
  assert.match(String(ended), /full|TIMEOUT/i);
});

test('after a start the leases of former sessions last for takeOverGraceMs', async (t) => {
  const bench = await place(t, { takeOverGraceMs: 2_000 });
  await bench.send('q', 'x');
  assert.equal((await bench.receive({ ...Q, lease: 'session' }, 1)).length, 1);
  await bench.restart('kill');
  const ready = async () => (await bench.session.request('subscriptionStats', Q)).ready;
  await bench.advance(1_999);
  assert.equal(await ready(), 0);
  await bench.advance(1);
  assert.equal(await ready(), 1);
});

test('a topic is compacted when compactAfterMessages came since the last time', async (t) => {
  const bench = await place(t, { compactAfterMessages: 6 });
  await bench.session.request('declareTopic', {
    name: 'state',
    kind: 'topic',
    policy: { retain: { untilSettled: false, ageMs: null, bytes: null, compact: true } },
  });
  const left = async () => {
    const { runs } = await bench.session.request('read', { topic: 'state', from: 'start' });
    return runs.reduce((sum, { count }) => sum + count, 0);
  };
  const send = async (count: number) => {
    for (let i = 0; i < count; i++) await bench.send('state', { key: 'k', text: String(i) });
    await bench.advance(60_000);
  };
  await send(5);
  assert.equal(await left(), 5);
  await send(1);
  assert.ok((await left()) < 6, String(await left()));
});
