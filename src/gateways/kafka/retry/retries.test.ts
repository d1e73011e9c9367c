import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { eventually } from '../../../../test/eventually.ts';
import { numbered } from '../../../../test/kafka/numbered.ts';
import { RawPeer } from '../../../../test/kafka/raw-peer.ts';
import { Retries, type RetryPolicy } from '../../../core/retries.ts';
import { testBroker, type TestBroker } from '../../../testing/index.ts';
import { ERROR } from '../errors.ts';
import { ATTRIBUTE, type KafkaRecord, readRecords, writeBatch } from '../record-batch.ts';
import { FAILED } from './handing-back.ts';

const RETRY = 't.g.retry';
const WAITING = 't.g.retry.waiting';
const DEAD = 't.g.dead';
const POLICY: RetryPolicy = {
  topic: 't',
  group: 'g',
  attempts: 3,
  backoff: { type: 'linear', minMs: 3_600_000, maxMs: 86_400_000, jitter: false },
};

interface Stage {
  broker: TestBroker;
  peer: RawPeer;
  retries: Retries;
}

/** A topic with records, of which the group `g` may hand back. */
async function start(t: TestContext, ...values: string[]): Promise<Stage> {
  const broker = await testBroker();
  t.after(() => broker.close());
  await broker.rail.request('declareTopic', { name: 't', kind: 'topic', policy: { partitions: 2 } });
  const retries = new Retries(broker.rail);
  await retries.put(POLICY);
  const { port } = await broker.endpoint('kafka');
  const peer = await RawPeer.dial(port);
  t.after(() => peer.socket.destroy());
  const records = values.map((value) => ({
    timestamp: 1,
    key: Buffer.of(255, 0),
    value: Buffer.from(value),
    headers: [],
  }));
  if (records.length > 0) assert.deepEqual(await produce(peer, 't', writeBatch(records), { index: 1 }), [0, 0]);
  return { broker, peer, retries };
}

/** @returns error code and offset */
async function produce(
  peer: RawPeer,
  name: string,
  batch: Buffer,
  { index = 0, transactionalId = null }: { index?: number; transactionalId?: string | null } = {},
) {
  const topicData = [{ name, partitionData: [{ index, records: [batch] }] }];
  const answer = await peer.ask('produce', 9, { transactionalId, acks: -1, timeoutMs: 1000, topicData });
  const [found] = answer?.responses[0]?.partitionResponses ?? [];
  return [found?.errorCode, found?.baseOffset];
}

function failed(headers: Record<string, string>): KafkaRecord {
  const told = Object.entries(headers).map(([name, text]): [string, Buffer] => [name, Buffer.from(text)]);
  return { timestamp: 1, key: null, value: null, headers: told };
}

function reference(offset: number, more: { topic?: string; partition?: number; last?: boolean } = {}): KafkaRecord {
  const { topic = 't', partition = 1, last = false } = more;
  return failed({
    [FAILED.topic]: topic,
    [FAILED.partition]: String(partition),
    [FAILED.offset]: String(offset),
    [FAILED.reason]: 'it broke',
    ...(last && { [FAILED.last]: 'yes' }),
  });
}

const NO_OFFSET = [ERROR.NONE, -1];

async function depths({ broker }: Stage): Promise<{ delayed: number; depth: number }> {
  return broker.rail.request('subscriptionStats', { topic: WAITING, subscription: WAITING });
}

/** All that can be tried again now, as a member of the group would read it. */
async function due({ peer }: Stage): Promise<KafkaRecord[]> {
  const partitions = [0, 1].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1 << 20 }));
  const topics = [{ topic: RETRY, topicId: '', partitions }];
  const answer = await peer.ask('fetch', 11, { maxWaitMs: 0, minBytes: 0, topics });
  return (answer?.responses ?? []).flatMap(({ partitions: found }) =>
    found.flatMap(({ records }) => {
      const bytes = Buffer.concat(records ?? []);
      return batchesIn(bytes).flatMap(readRecords);
    }),
  );
}

function batchesIn(bytes: Buffer): Buffer[] {
  const batches: Buffer[] = [];
  for (let at = 0; at < bytes.byteLength; at += 12 + bytes.readInt32BE(at + 8))
    batches.push(bytes.subarray(at, at + 12 + bytes.readInt32BE(at + 8)));
  return batches;
}

async function deadLetters({ broker }: Stage) {
  const { messages } = await broker.rail
    .request('peek', { topic: DEAD, subscription: DEAD, limit: 10 })
    .catch(() => ({ messages: [] }));
  return messages.map(({ envelope, history }) => ({
    body: Buffer.from(envelope.body).toString(),
    reason: history?.reason,
    error: history?.error,
  }));
}

test('a record that was handed back over another protocol waits for its backoff, which grows, and comes as it was', async (t) => {
  const stage = await start(t, 'a', 'b');
  const { broker } = stage;
  await broker.rail.fail('g', { topic: 't', partition: 1, offset: 1, reason: 'it broke' });
  await eventually('it waits', async () => (await depths(stage)).delayed === 1);
  await broker.clock.advance('59m');
  assert.deepEqual(await due(stage), []);
  await broker.clock.advance('2m');
  await eventually('it is there', async () => (await due(stage)).length === 1);
  const [record] = await due(stage);
  assert.ok(record);
  assert.ok(record.key?.equals(Buffer.of(255, 0)));
  assert.deepEqual(
    [String(record.value), record.timestamp, ...record.headers.map(([name, value]) => `${name}=${String(value)}`)],
    [
      'b',
      1,
      'railhead-origin-topic=t',
      'railhead-origin-partition=1',
      'railhead-origin-offset=1',
      'railhead-attempts=1',
      'railhead-error=it broke',
    ],
  );
  // The second failure waits for two hours.
  await broker.rail.fail('g', { topic: RETRY, partition: 1, offset: 0, reason: '' });
  await eventually('it waits again', async () => (await depths(stage)).delayed === 1);
  await broker.clock.advance('119m');
  assert.equal((await due(stage)).length, 1);
  await broker.clock.advance('2m');
  await eventually('it is there again', async () => (await due(stage)).length === 2);
  await assert.rejects(broker.rail.fail('g', { topic: 't', partition: 1, offset: 2, reason: '' }), {
    code: 'OFFSET_OUT_OF_RANGE',
  });
  await assert.rejects(broker.rail.fail('other', { topic: 't', partition: 1, offset: 1, reason: '' }), {
    code: 'NOT_FOUND',
  });
});

test('what is produced to a retry topic has to name a record, and is stored once for each number', async (t) => {
  const stage = await start(t, 'a');
  const { peer } = stage;
  const [headers, twice] = [{ [FAILED.topic]: 't', [FAILED.partition]: '1', [FAILED.offset]: '0' }, reference(0)];
  for (const record of [
    failed({}),
    failed({ ...headers, [FAILED.topic]: 'elsewhere' }),
    failed({ ...headers, [FAILED.offset]: '-1' }),
    failed({ ...headers, [FAILED.partition]: 'x' }),
  ]) {
    const [error] = await produce(peer, RETRY, writeBatch([reference(0), record]));
    assert.equal(error, ERROR.INVALID_RECORD);
  }
  const torn = writeBatch([reference(0)]);
  torn[70] = 7;
  assert.equal((await produce(peer, RETRY, torn))[0], ERROR.CORRUPT_MESSAGE);
  assert.equal((await depths(stage)).depth, 0);
  const { producerId = 0 } =
    (await peer.ask('initProducerId', 4, { transactionalId: null, transactionTimeoutMs: 0 })) ?? {};
  const batch = (): Buffer => numbered(writeBatch([twice, twice]), producerId, 0);
  assert.deepEqual(await produce(peer, RETRY, batch()), NO_OFFSET);
  assert.deepEqual(await produce(peer, RETRY, batch()), NO_OFFSET);
  await eventually('both wait', async () => (await depths(stage)).delayed === 2);
  assert.equal((await depths(stage)).depth, 2);
});

test('a topic that a client made by asking for it takes records back from the moment of its policy on', async (t) => {
  const stage = await start(t, 'a');
  const { broker, peer, retries } = stage;
  const before = { name: 't.h.retry', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  await peer.ask('createTopics', 5, { topics: [before] });
  const plain = writeBatch([failed({})]);
  assert.deepEqual(await produce(peer, 't.h.retry', plain), [ERROR.NONE, 0]);
  await retries.put({ ...POLICY, group: 'h' });
  assert.deepEqual(await produce(peer, 't.h.retry', plain), [ERROR.INVALID_RECORD, -1]);
  assert.deepEqual(await produce(peer, 't.h.retry', writeBatch([reference(0)])), NO_OFFSET);
  const waiting = 't.h.retry.waiting';
  const { depth } = await broker.rail.request('subscriptionStats', { topic: waiting, subscription: waiting });
  assert.equal(depth, 1);
});

test('what is not to be tried again, and what is gone before it can be, is a dead letter that says so', async (t) => {
  const stage = await start(t, 'a', 'b', 'c');
  const { broker, peer } = stage;
  assert.deepEqual(await produce(peer, RETRY, writeBatch([reference(0, { last: true })])), NO_OFFSET);
  await eventually('a dead letter', async () => (await deadLetters(stage)).length === 1);
  assert.deepEqual(await deadLetters(stage), [{ body: 'a', reason: 'rejected', error: 'it broke' }]);
  await broker.rail.request('trimTopic', { topic: 't', partition: 1, before: 2 });
  assert.deepEqual(await produce(peer, RETRY, writeBatch([reference(1)])), NO_OFFSET);
  await eventually('another one', async () => (await deadLetters(stage)).length === 2);
  const [, gone] = await deadLetters(stage);
  assert.equal(gone?.error, 'The record 1 in partition 1 of t is gone; it had failed with: it broke');
  // Redriven it is looked for again, and comes at once.
  await broker.rail.request('redrive', { topic: DEAD, subscription: DEAD });
  await eventually('the first one', async () => (await due(stage)).length === 1);
  await eventually('the other one is dead again', async () => (await deadLetters(stage)).length === 1);
  assert.equal(String((await due(stage))[0]?.value), 'a');
});

test('records that are handed back in a transaction come if it commits, and do not if it aborts', async (t) => {
  const stage = await start(t, 'a', 'b');
  const { peer } = stage;
  const asked = { transactionalId: 'tx', transactionTimeoutMs: 60_000 };
  const { producerId = 0, producerEpoch = 0 } = (await peer.ask('initProducerId', 4, asked)) ?? {};
  const ref = { transactionalId: 'tx', producerId, producerEpoch };
  for (const [offset, committed] of [
    [0, false],
    [1, true],
  ] as const) {
    await peer.ask('addPartitionsToTxn', 3, {
      v3AndBelowTransactionalId: 'tx',
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: [{ name: RETRY, partitions: [0] }],
    });
    const batch = numbered(
      writeBatch([reference(offset, { last: true })], ATTRIBUTE.transactional),
      producerId,
      offset,
      producerEpoch,
    );
    assert.deepEqual(await produce(peer, RETRY, batch, { transactionalId: 'tx' }), NO_OFFSET);
    assert.deepEqual(await deadLetters(stage), []);
    assert.equal((await peer.ask('endTxn', 3, { ...ref, committed }))?.errorCode, ERROR.NONE);
  }
  await eventually('the committed one', async () => (await deadLetters(stage)).length > 0);
  assert.deepEqual(
    (await deadLetters(stage)).map(({ body }) => body),
    ['b'],
  );
});

test('a retry policy is set anew, listed and cleared, and refused where it cannot be', async (t) => {
  const stage = await start(t, 'a');
  const { broker, retries } = stage;
  assert.deepEqual(await retries.list(), [POLICY]);
  const policy = { ...POLICY, attempts: 1 };
  assert.deepEqual(await retries.put(policy), { created: false });
  assert.deepEqual(await retries.list(), [policy]);
  await broker.rail.request('declareTopic', { name: 'q', kind: 'queue' });
  await broker.rail.request('declareTopic', { name: 't.g', kind: 'topic' });
  const refused = async (change: Partial<RetryPolicy>, code: string): Promise<void> => {
    await assert.rejects(retries.put({ ...POLICY, ...change }), { code });
  };
  await refused({ topic: 'q' }, 'NOT_SUPPORTED');
  await refused({ topic: 'nowhere' }, 'NOT_FOUND');
  await refused({ group: 'a group' }, 'INVALID');
  await refused({ attempts: 0 }, 'INVALID');
  await refused({ backoff: { ...POLICY.backoff, maxMs: 1 } }, 'INVALID');
  await retries.put({ ...POLICY, topic: 't.g', group: 'h' });
  await refused({ topic: 't', group: 'g.h' }, 'INVALID');
  await retries.put(POLICY);
  await broker.rail.fail('g', { topic: 't', partition: 1, offset: 0, reason: '' });
  await assert.rejects(retries.delete(POLICY), { code: 'IN_USE' });
  await broker.rail.request('purge', { topic: WAITING, subscription: WAITING });
  await retries.delete(POLICY);
  await assert.rejects(retries.delete(POLICY), { code: 'NOT_FOUND' });
  await assert.rejects(broker.rail.request('describeTopic', { name: RETRY }), { code: 'NOT_FOUND' });
});
