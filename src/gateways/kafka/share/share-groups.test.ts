import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { numbered } from '../../../../test/kafka/numbered.ts';
import { RawPeer } from '../../../../test/kafka/raw-peer.ts';
import { testBroker, type TestBroker } from '../../../testing/index.ts';
import { ERROR } from '../errors.ts';
import { ATTRIBUTE, type KafkaRecord, readRecords, writeBatch } from '../record-batch.ts';

const GROUP_RESOURCE = 32;
const [GAP, ACCEPT, RELEASE, REJECT, RENEW] = [0, 1, 2, 3, 4] as const;

interface Batch {
  firstOffset: number;
  lastOffset: number;
  acknowledgeTypes: number[];
}

/** One member of a share group, over a connection of its own. */
class Member {
  readonly peer: RawPeer;
  readonly id: string;
  readonly topicId: string;
  readonly groupId: string;
  epoch = 0;

  constructor(peer: RawPeer, id: string, topicId: string, groupId = 'g') {
    this.peer = peer;
    this.id = id;
    this.topicId = topicId;
    this.groupId = groupId;
  }

  async beat(memberEpoch: number, subscribedTopicNames: string[] | null = null) {
    const { groupId, id: memberId } = this;
    const answer = await this.peer.ask('shareGroupHeartbeat', 1, {
      groupId,
      memberId,
      memberEpoch,
      subscribedTopicNames,
    });
    assert.ok(answer);
    return answer;
  }

  #request(acknowledgementBatches: Batch[], partition: number) {
    const partitions = [{ partitionIndex: partition, acknowledgementBatches }];
    const shareSessionEpoch = this.epoch;
    if (this.epoch >= 0) this.epoch++;
    const { groupId, id: memberId, topicId } = this;
    return { groupId, memberId, shareSessionEpoch, topics: [{ topicId, partitions }] };
  }

  async fetch(more: { acknowledge?: Batch[]; maxRecords?: number; maxWaitMs?: number; partition?: number } = {}) {
    const { acknowledge = [], maxRecords = 500, maxWaitMs = 0, partition = 0 } = more;
    const answer = await this.peer.ask('shareFetch', 2, {
      ...this.#request(acknowledge, partition),
      maxWaitMs,
      minBytes: 1,
      maxBytes: 1 << 20,
      maxRecords,
      batchSize: maxRecords,
      forgottenTopicsData: [],
    });
    assert.ok(answer);
    const [found] = answer.responses[0]?.partitions ?? [];
    const acquired = found?.acquiredRecords.map((range) => Object.values(range)) ?? [];
    return { ...answer, found, acquired, values: valuesIn(Buffer.concat(found?.records ?? [])) };
  }

  async acknowledge(batches: Batch[], { isRenewAck = false } = {}) {
    const answer = await this.peer.ask('shareAcknowledge', 2, { ...this.#request(batches, 0), isRenewAck });
    assert.ok(answer);
    return { ...answer, partition: answer.responses[0]?.partitions[0] };
  }
}

function valuesIn(batches: Buffer): string[] {
  const values: string[] = [];
  for (let at = 0; at < batches.byteLength;) {
    const end = at + 12 + batches.readInt32BE(at + 8);
    values.push(...readRecords(batches.subarray(at, end)).map(({ value }) => String(value)));
    at = end;
  }
  return values;
}

function records(...values: string[]): KafkaRecord[] {
  return values.map((value) => ({ timestamp: 1000, key: null, value: Buffer.from(value), headers: [] }));
}

async function produce(peer: RawPeer, index: number, ...values: string[]): Promise<void> {
  const topicData = [{ name: 't', partitionData: [{ index, records: [writeBatch(records(...values))] }] }];
  const answer = await peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
  assert.equal(answer?.responses[0]?.partitionResponses[0]?.errorCode, ERROR.NONE);
}

const one = (offset: number, type: number): Batch => ({
  firstOffset: offset,
  lastOffset: offset,
  acknowledgeTypes: [type],
});

async function setConfigs(peer: RawPeer, configs: Record<string, string | null>) {
  const answer = await peer.ask('incrementalAlterConfigs', 1, {
    resources: [
      {
        resourceType: GROUP_RESOURCE,
        resourceName: 'g',
        configs: Object.entries(configs).map(([name, value]) => ({
          name,
          configOperation: value === null ? 1 : 0,
          value,
        })),
      },
    ],
    validateOnly: false,
  });
  return answer?.responses[0]?.errorCode;
}

interface Setup {
  broker: TestBroker;
  rail: TestBroker['rail'];
  peer: RawPeer;
  topicId: string;
  /** With a connection of its own, joined. */
  readonly member: (id: string) => Promise<Member>;
}

async function start(t: TestContext): Promise<Setup> {
  const broker = await testBroker();
  t.after(() => broker.close());
  const { port } = await broker.endpoint('kafka');
  const peer = await RawPeer.dial(port);
  const topic = { name: 't', numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] };
  const made = await peer.ask('createTopics', 7, { topics: [topic] });
  const topicId = made?.topics[0]?.topicId ?? '';
  const member = async (id: string): Promise<Member> => {
    const joined = new Member(await RawPeer.dial(port), id, topicId);
    assert.equal((await joined.beat(0, ['t'])).errorCode, ERROR.NONE);
    return joined;
  };
  return { broker, rail: broker.rail, peer, topicId, member };
}

test('two members of a share group share one partition record by record, and acknowledge each by itself', async (t) => {
  const { peer, member } = await start(t);
  const [a, b] = [await member('a'), await member('b')];
  await produce(peer, 0, 'one', 'two', 'three', 'four');
  const first = await a.fetch({ maxRecords: 2 });
  assert.deepEqual(first.acquired, [[0, 1, 1]]);
  assert.equal(first.acquisitionLockTimeoutMs, 30_000);
  // The batch as it was published; whose its records are is said beside it.
  assert.deepEqual(first.values, ['one', 'two', 'three', 'four']);
  assert.deepEqual((await b.fetch()).acquired, [[2, 3, 1]]);
  assert.deepEqual((await b.fetch()).acquired, []);
  // Accepted with the next fetch; released, so that it comes again, with its number.
  const both = { firstOffset: 0, lastOffset: 1, acknowledgeTypes: [ACCEPT, RELEASE] };
  const again = await a.fetch({ acknowledge: [both] });
  assert.equal(again.found?.acknowledgeErrorCode, ERROR.NONE);
  assert.deepEqual(again.acquired, [[1, 1, 2]]);
  assert.equal((await b.acknowledge([{ firstOffset: 2, lastOffset: 3, acknowledgeTypes: [ACCEPT] }])).errorCode, 0);
  assert.equal((await a.acknowledge([one(1, GAP)])).partition?.errorCode, ERROR.NONE);
  assert.deepEqual([(await a.fetch()).acquired, (await b.fetch()).acquired], [[], []]);
});

test('a share fetch waits for the first record of any partition of its session', async (t) => {
  const { peer, member } = await start(t);
  const a = await member('a');
  assert.deepEqual((await a.fetch()).acquired, []);
  const waiting = a.fetch({ maxWaitMs: 60_000, partition: 1 });
  await produce(peer, 1, 'late');
  assert.deepEqual((await waiting).values, ['late']);
});

test('a member gets records of the partitions that it names; those of others are as if it had not seen them', async (t) => {
  const { peer, member } = await start(t);
  const [a, b] = [await member('a'), await member('b')];
  for (const partition of [0, 1]) await produce(peer, partition, `of ${partition}`);
  const { responses, values } = await a.fetch({ partition: 1 });
  assert.deepEqual(
    responses.flatMap(({ partitions }) => partitions.map(({ partitionIndex }) => partitionIndex)),
    [1],
  );
  assert.deepEqual(values, ['of 1']);
  const other = await b.fetch({ partition: 0 });
  assert.deepEqual([other.values, other.acquired], [['of 0'], [[0, 0, 1]]]);
});

test('a record that is locked for longer than the duration of its lock is there for others, one that is renewed is not', async (t) => {
  const { broker, peer, member } = await start(t);
  const [a, b] = [await member('a'), await member('b')];
  await produce(peer, 0, 'one', 'two');
  assert.deepEqual((await a.fetch()).acquired, [[0, 1, 1]]);
  await broker.clock.advance('20s');
  const renewed = await a.acknowledge([one(1, RENEW)], { isRenewAck: true });
  assert.deepEqual([renewed.partition?.errorCode, renewed.acquisitionLockTimeoutMs], [ERROR.NONE, 30_000]);
  await broker.clock.advance('20s');
  assert.deepEqual((await b.fetch()).acquired, [[0, 0, 2]]);
  assert.equal((await a.acknowledge([one(0, ACCEPT)])).partition?.errorCode, ERROR.INVALID_RECORD_STATE);
  assert.equal((await a.acknowledge([one(1, ACCEPT)])).partition?.errorCode, ERROR.NONE);
});

test('a record that is rejected, or given back too often, is in the dead-letter topic of the group', async (t) => {
  const { peer, member, broker } = await start(t);
  assert.equal(await setConfigs(peer, { 'share.delivery.count.limit': '2' }), ERROR.NONE);
  const a = await member('a');
  await produce(peer, 0, 'poison', 'bad', 'good');
  await a.fetch();
  const types = { firstOffset: 0, lastOffset: 2, acknowledgeTypes: [RELEASE, REJECT, ACCEPT] };
  assert.deepEqual((await a.fetch({ acknowledge: [types] })).acquired, [[0, 0, 2]]);
  assert.deepEqual((await a.fetch({ acknowledge: [one(0, RELEASE)] })).acquired, []);
  const { ready } = await broker.inspect('t.g.dead');
  assert.deepEqual(ready.map(({ body }) => String(body)).sort(), ['bad', 'poison']);
});

test('a share session is numbered, bound to its connection, and gives back what its member had', async (t) => {
  const { peer, member } = await start(t);
  const [a, b] = [await member('a'), await member('b')];
  a.epoch = 7;
  assert.equal((await a.fetch()).errorCode, ERROR.SHARE_SESSION_NOT_FOUND);
  a.epoch = 0;
  assert.equal((await a.acknowledge([])).errorCode, ERROR.INVALID_SHARE_SESSION_EPOCH);
  a.epoch = 0;
  assert.equal((await a.fetch({ acknowledge: [one(0, ACCEPT)] })).errorCode, ERROR.INVALID_REQUEST);
  a.epoch = 0;
  assert.equal((await a.fetch()).errorCode, ERROR.NONE);
  a.epoch = 5;
  assert.equal((await a.fetch()).errorCode, ERROR.INVALID_SHARE_SESSION_EPOCH);
  a.epoch = 1;
  await produce(peer, 0, 'one', 'two');
  assert.deepEqual((await a.fetch()).acquired, [[0, 1, 1]]);
  // Closed in order: nobody is told that it was tried.
  a.epoch = -1;
  assert.equal((await a.acknowledge([one(0, ACCEPT)])).partition?.errorCode, ERROR.NONE);
  assert.deepEqual((await b.fetch()).acquired, [[1, 1, 1]]);
  // Lost: that counts, and its lock of 30 s is not waited for.
  b.peer.socket.destroy();
  const c = await member('c');
  assert.deepEqual((await c.fetch({ maxWaitMs: 10_000 })).acquired, [[1, 1, 2]]);
});

test('what makes no sense of an acknowledgement is refused, and does nothing', async (t) => {
  const { peer, member } = await start(t);
  const a = await member('a');
  await produce(peer, 0, 'one', 'two');
  await a.fetch();
  const refused = async (...batches: Batch[]): Promise<number | undefined> =>
    (await a.acknowledge(batches)).partition?.errorCode;
  assert.equal(await refused(one(0, 9)), ERROR.INVALID_REQUEST);
  assert.equal(await refused(one(0, RENEW)), ERROR.INVALID_REQUEST);
  assert.equal(await refused(one(1, ACCEPT), one(0, ACCEPT)), ERROR.INVALID_REQUEST);
  assert.equal(await refused({ firstOffset: 1, lastOffset: 0, acknowledgeTypes: [ACCEPT] }), ERROR.INVALID_REQUEST);
  assert.equal(await refused({ firstOffset: 0, lastOffset: 1, acknowledgeTypes: [1, 1, 1] }), ERROR.INVALID_REQUEST);
  const far = { firstOffset: 0, lastOffset: Number.MAX_SAFE_INTEGER - 1, acknowledgeTypes: [ACCEPT] };
  assert.equal(await refused(far), ERROR.INVALID_RECORD_STATE);
  assert.equal(await refused(one(0, ACCEPT), one(2, ACCEPT)), ERROR.INVALID_RECORD_STATE);
  assert.equal(await refused({ firstOffset: 0, lastOffset: 1, acknowledgeTypes: [ACCEPT] }), ERROR.NONE);
  assert.equal(await refused(one(0, ACCEPT)), ERROR.INVALID_RECORD_STATE);
  assert.equal(await refused(one(0, 9)), ERROR.INVALID_REQUEST);
});

test('a share group has members, is described and listed, and is deleted with what it had not read', async (t) => {
  const { peer, member, topicId } = await start(t);
  const a = await member('a');
  const joined = await a.beat(0, ['t']);
  assert.deepEqual(joined.assignment?.topicPartitions, [{ topicId, partitions: [0, 1] }]);
  const b = await member('b');
  // Who is behind is told all of it again; who is not, nothing.
  assert.deepEqual((await a.beat(joined.memberEpoch)).memberEpoch, joined.memberEpoch + 1);
  assert.equal((await a.beat(joined.memberEpoch + 1)).assignment, null);
  assert.equal((await a.beat(99)).errorCode, ERROR.FENCED_MEMBER_EPOCH);
  const stranger = new Member(peer, 'stranger', topicId);
  assert.equal((await stranger.beat(1)).errorCode, ERROR.UNKNOWN_MEMBER_ID);
  assert.equal((await stranger.beat(0)).errorCode, ERROR.INVALID_REQUEST);
  const describe = async () => {
    const answer = await peer.ask('shareGroupDescribe', 1, { groupIds: ['g'], includeAuthorizedOperations: true });
    return answer?.groups[0];
  };
  const described = await describe();
  assert.deepEqual([described?.groupState, described?.members.map(({ memberId }) => memberId)], ['Stable', ['a', 'b']]);
  assert.deepEqual(described?.members[0]?.assignment.topicPartitions, [
    { topicId, topicName: 't', partitions: [0, 1] },
  ]);
  const classic = await peer.ask('consumerGroupHeartbeat', 1, {
    groupId: 'g',
    memberId: 'm',
    memberEpoch: 0,
    rebalanceTimeoutMs: 1000,
    subscribedTopicNames: ['t'],
    topicPartitions: [],
  });
  assert.equal(classic?.errorCode, ERROR.GROUP_ID_NOT_FOUND);
  assert.equal(
    (await peer.ask('deleteGroups', 2, { groupsNames: ['g'] }))?.results[0]?.errorCode,
    ERROR.NON_EMPTY_GROUP,
  );
  for (const each of [a, b]) assert.equal((await each.beat(-1)).errorCode, ERROR.NONE);
  assert.equal((await describe())?.groupState, 'Empty');
  const listed = await peer.ask('listGroups', 5, { statesFilter: [], typesFilter: ['share'] });
  assert.deepEqual(
    listed?.groups.map(({ groupId, groupState, groupType }) => [groupId, groupState, groupType]),
    [['g', 'Empty', 'share']],
  );
  assert.equal((await peer.ask('deleteGroups', 2, { groupsNames: ['g'] }))?.results[0]?.errorCode, ERROR.NONE);
  assert.equal((await describe())?.errorCode, ERROR.GROUP_ID_NOT_FOUND);
});

test('members of a share group get the records of a transaction when it has committed, and not if it aborts', async (t) => {
  const { peer, member } = await start(t);
  const a = await member('a');
  const transactionalId = 'tx';
  const claim = await peer.ask('initProducerId', 4, { transactionalId, transactionTimeoutMs: 60_000 });
  const { producerId = 0, producerEpoch = 0 } = claim ?? {};
  for (const [sequence, committed] of [false, true].entries()) {
    await peer.ask('addPartitionsToTxn', 3, {
      v3AndBelowTransactionalId: transactionalId,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: [{ name: 't', partitions: [0] }],
    });
    const batch = writeBatch(records(committed ? 'committed' : 'aborted'), ATTRIBUTE.transactional);
    const partitionData = [{ index: 0, records: [numbered(batch, producerId, sequence, producerEpoch)] }];
    const topicData = [{ name: 't', partitionData }];
    const told = await peer.ask('produce', 9, { transactionalId, acks: -1, timeoutMs: 1000, topicData });
    assert.equal(told?.responses[0]?.partitionResponses[0]?.errorCode, ERROR.NONE);
    assert.deepEqual((await a.fetch()).values, []);
    const ended = await peer.ask('endTxn', 3, { transactionalId, producerId, producerEpoch, committed });
    assert.equal(ended?.errorCode, ERROR.NONE);
  }
  // Offset 1 is the end of the first.
  const { values, acquired } = await a.fetch();
  assert.deepEqual([values, acquired], [['committed'], [[2, 2, 1]]]);
});

test('where a share group begins, for how long it locks and how often it tries are its configs', async (t) => {
  const { broker, peer, member } = await start(t);
  await produce(peer, 0, 'before');
  assert.equal(
    await setConfigs(peer, { 'share.auto.offset.reset': 'earliest', 'share.record.lock.duration.ms': '60000' }),
    ERROR.NONE,
  );
  const a = await member('a');
  const first = await a.fetch();
  assert.deepEqual([first.values, first.acquisitionLockTimeoutMs], [['before'], 60_000]);
  const resources = [{ resourceType: GROUP_RESOURCE, resourceName: 'g', configurationKeys: null }];
  const described = await peer.ask('describeConfigs', 4, { resources });
  assert.deepEqual(
    described?.results[0]?.configs.map(({ name, value, configSource }) => [name, value, configSource]),
    [
      ['share.auto.offset.reset', 'earliest', 8],
      ['share.record.lock.duration.ms', '60000', 8],
      ['share.delivery.count.limit', '5', 5],
      ['share.isolation.level', 'read_committed', 5],
    ],
  );
  // Also of what it reads already.
  assert.equal(await setConfigs(peer, { 'share.record.lock.duration.ms': '2000' }), ERROR.NONE);
  assert.equal((await a.fetch({ acknowledge: [one(0, RELEASE)] })).acquisitionLockTimeoutMs, 2_000);
  await broker.clock.advance('3s');
  assert.deepEqual((await a.fetch()).acquired, [[0, 0, 3]]);
  for (const [name, value] of Object.entries({
    'share.auto.offset.reset': 'yesterday',
    'share.record.lock.duration.ms': '5',
    'share.isolation.level': 'read_uncommitted',
    'retention.ms': '5',
  }))
    assert.equal(await setConfigs(peer, { [name]: value }), ERROR.INVALID_CONFIG, name);
  for (const value of ['by_duration:PT1H', 'by_duration:P1DT0.5S', 'latest'])
    assert.equal(await setConfigs(peer, { 'share.auto.offset.reset': value }), ERROR.NONE, value);
});

test('workers of the SDK and members of a share group take from one subscription', async (t) => {
  const { rail, peer, member } = await start(t);
  const a = await member('a');
  await produce(peer, 0, 'one', 'two');
  await a.fetch({ maxRecords: 1 });
  const seen: string[] = [];
  const { promise: both, resolve } = Promise.withResolvers<void>();
  const worker = rail
    .topic('t')
    .subscription('g')
    .work((message) => {
      if (seen.push(String(message.body)) === 2) resolve();
    });
  await produce(peer, 1, 'three');
  await both;
  await worker.close();
  assert.deepEqual(seen.sort(), ['three', 'two']);
});
