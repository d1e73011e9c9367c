/** What readers and producers are told of the places of a partition: its start, its end, and how far it is decided. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { eventually } from '../../../test/eventually.ts';
import { numbered } from '../../../test/kafka/numbered.ts';
import { RawPeer } from '../../../test/kafka/raw-peer.ts';
import { testBroker } from '../../testing/index.ts';
import { ERROR } from './errors.ts';
import { ATTRIBUTE, type KafkaRecord, writeBatch } from './record-batch.ts';

const COMMITTED = 1;

async function start(t: TestContext, configs: { name: string; value: string }[] = []): Promise<{ peer: RawPeer }> {
  const broker = await testBroker();
  t.after(() => broker.close());
  const peer = await RawPeer.dial((await broker.endpoint('kafka')).port);
  t.after(() => peer.socket.destroy());
  const topic = { name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs };
  const made = await peer.ask('createTopics', 5, { topics: [topic] });
  assert.equal(made?.topics[0]?.errorCode, ERROR.NONE);
  return { peer };
}

function batchOf(values: readonly string[], attributes = 0): Buffer {
  const records = values.map((value): KafkaRecord => {
    const [key = '', text = ''] = value.split(':');
    return { timestamp: 1, key: Buffer.from(key), value: Buffer.from(text), headers: [] };
  });
  return writeBatch(records, attributes);
}

async function produce(peer: RawPeer, batch: Buffer, transactionalId: string | null = null) {
  const topicData = [{ name: 't', partitionData: [{ index: 0, records: [batch] }] }];
  const answer = await peer.ask('produce', 9, { transactionalId, acks: -1, timeoutMs: 1000, topicData });
  return answer?.responses[0]?.partitionResponses[0]?.errorCode;
}

async function fetched(peer: RawPeer, fetchOffset = 0, isolationLevel = 0) {
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1 << 24 }];
  const topics = [{ topic: 't', topicId: '', partitions }];
  const answer = await peer.ask('fetch', 11, { maxWaitMs: 0, minBytes: 0, isolationLevel, topics });
  const [found] = answer?.responses[0]?.partitions ?? [];
  assert.ok(found);
  return { ...found, bytes: Buffer.concat(found.records ?? []) };
}

/** What a transactional producer has to say with everything. */
async function claim(peer: RawPeer, before?: { producerId: number; producerEpoch: number }) {
  const asked = { transactionalId: 'tx', transactionTimeoutMs: 60_000, ...before };
  const told = await peer.ask('initProducerId', 4, asked);
  assert.ok(told);
  const { errorCode, producerId, producerEpoch } = told;
  return { errorCode, who: { producerId, producerEpoch } };
}

async function publishInTransaction(
  peer: RawPeer,
  { producerId, producerEpoch }: { producerId: number; producerEpoch: number },
  sequence: number,
): Promise<void> {
  await peer.ask('addPartitionsToTxn', 3, {
    v3AndBelowTransactionalId: 'tx',
    v3AndBelowProducerId: producerId,
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: [{ name: 't', partitions: [0] }],
  });
  const batch = numbered(batchOf(['a:1', 'a:2'], ATTRIBUTE.transactional), producerId, sequence, producerEpoch);
  assert.equal(await produce(peer, batch, 'tx'), ERROR.NONE);
}

test('what is decided ends where the first open transaction begins, for fetches and for who asks for the end', async (t) => {
  const { peer } = await start(t);
  const { who } = await claim(peer);
  const ends = async () => {
    const { highWatermark, lastStableOffset } = await fetched(peer);
    const listed = async (isolationLevel: number): Promise<number | undefined> => {
      const topics = [{ name: 't', partitions: [{ partitionIndex: 0, timestamp: -1 }] }];
      const answer = await peer.ask('listOffsets', 7, { replicaId: -1, isolationLevel, topics });
      return answer?.topics[0]?.partitions[0]?.offset;
    };
    return [highWatermark, lastStableOffset, await listed(0), await listed(COMMITTED)];
  };
  await produce(peer, batchOf(['a:0']));
  await publishInTransaction(peer, who, 0);
  await produce(peer, batchOf(['a:3']));
  assert.deepEqual(await ends(), [4, 1, 4, 1]);
  assert.equal((await fetched(peer, 1, COMMITTED)).bytes.byteLength, 0);
  await peer.ask('endTxn', 3, { transactionalId: 'tx', ...who, committed: false });
  assert.deepEqual(await ends(), [5, 5, 5, 5]);
  const { abortedTransactions } = await fetched(peer, 1, COMMITTED);
  assert.deepEqual(abortedTransactions, [{ producerId: who.producerId, firstOffset: 1 }]);
  assert.equal((await fetched(peer, 1)).abortedTransactions, null);
});

test('whoever owned a transactional producer before has no claim, and nothing of it is taken', async (t) => {
  const { peer } = await start(t);
  const { who } = await claim(peer);
  const batch = numbered(batchOf(['a:1'], ATTRIBUTE.transactional), who.producerId, 0, who.producerEpoch);
  // Who has it may go on from where it is; who had it may not.
  const next = await claim(peer, who);
  assert.deepEqual([next.errorCode, next.who.producerEpoch], [ERROR.NONE, who.producerEpoch + 1]);
  assert.equal((await claim(peer, who)).errorCode, ERROR.PRODUCER_FENCED);
  await publishInTransaction(peer, next.who, 0);
  assert.equal(await produce(peer, batch, 'tx'), ERROR.INVALID_PRODUCER_EPOCH);
  const ended = await peer.ask('endTxn', 3, { transactionalId: 'tx', ...who, committed: true });
  assert.equal(ended?.errorCode, ERROR.PRODUCER_FENCED);
});

test('who deletes records is told where the log begins then, and so is everybody who fetches', async (t) => {
  const { peer } = await start(t);
  await produce(peer, batchOf(['a:1', 'a:2', 'a:3']));
  const remove = async (offset: number) => {
    const topics = [{ name: 't', partitions: [{ partitionIndex: 0, offset }] }];
    const answer = await peer.ask('deleteRecords', 2, { topics, timeoutMs: 1000 });
    const [told] = answer?.topics[0]?.partitions ?? [];
    return [told?.errorCode, told?.lowWatermark];
  };
  assert.deepEqual(await remove(2), [ERROR.NONE, 2]);
  assert.equal((await fetched(peer, 2)).logStartOffset, 2);
  assert.equal((await fetched(peer, 1)).errorCode, ERROR.OFFSET_OUT_OF_RANGE);
  // Less than what is gone already changes nothing.
  assert.deepEqual(await remove(1), [ERROR.NONE, 2]);
  assert.deepEqual(await remove(4), [ERROR.OFFSET_OUT_OF_RANGE, -1]);
  assert.deepEqual(await remove(-1), [ERROR.NONE, 3]);
});

test('a fetch steps over what compaction took, and brings a batch of which it took some once', async (t) => {
  const { peer } = await start(t, [{ name: 'cleanup.policy', value: 'compact' }]);
  const thinned = batchOf(['a:1', 'k:0', 'b:1', 'k:0', 'c:1']);
  await produce(peer, thinned);
  // What is left of both is further away than is looked at in one step.
  const [some, more] = [90_000, 100_000];
  for (const count of [some, more]) {
    const superseded = batchOf(Array<string>(count).fill('k:1'));
    assert.equal(await produce(peer, superseded), ERROR.NONE);
  }
  const firstFrom = async (offset: number): Promise<bigint> => (await fetched(peer, offset)).bytes.readBigInt64BE(0);
  await eventually('compaction', async () => (await firstFrom(5)) === BigInt(5 + some));
  const { bytes } = await fetched(peer, 0);
  assert.deepEqual(bytes.subarray(16), thinned.subarray(16));
  assert.equal(await firstFrom(4), 0n);
});

test('a batch that says to be of a transaction and names no producer is of none: it is stored, and decided at once', async (t) => {
  const { peer } = await start(t);
  const batch = batchOf(['a:1', 'a:2'], ATTRIBUTE.transactional);
  // Neither is there a producer of that name.
  assert.equal(await produce(peer, batch, 'nobody'), ERROR.NONE);
  const { bytes, lastStableOffset } = await fetched(peer, 0, COMMITTED);
  assert.deepEqual([lastStableOffset, bytes.subarray(16)], [2, batch.subarray(16)]);
});

test('metadata beside an offset has at most 4,096 bytes', async (t) => {
  const { peer } = await start(t);
  const commit = async (committedMetadata: string) => {
    const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata }];
    const answer = await peer.ask('offsetCommit', 7, {
      groupId: 'g',
      memberId: '',
      topics: [{ name: 't', partitions }],
    });
    return answer?.topics[0]?.partitions[0]?.errorCode;
  };
  assert.equal(await commit('ü'.repeat(2048)), ERROR.NONE);
  assert.equal(await commit('ü'.repeat(2049)), ERROR.OFFSET_METADATA_TOO_LARGE);
});
