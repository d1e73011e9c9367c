import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { numbered } from '../../../test/kafka/numbered.ts';
import { RawPeer } from '../../../test/kafka/raw-peer.ts';
import { testBroker } from '../../testing/index.ts';
import { ERROR } from './errors.ts';
import { NO_UUID } from './fields.ts';
import { writeBatch } from './record-batch.ts';

const TOPIC = 2;
const BROKER = 4;
const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;

async function start(t: TestContext): Promise<RawPeer> {
  const broker = await testBroker();
  t.after(() => broker.close());
  const { port } = await broker.endpoint('kafka');
  const peer = await RawPeer.dial(port);
  const topic = { name: 't', numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] };
  const made = await peer.ask('createTopics', 5, { topics: [topic] });
  assert.equal(made?.topics[0]?.errorCode, ERROR.NONE);
  return peer;
}

async function configsOf(peer: RawPeer, keys: string[] | null, type = TOPIC, name = 't') {
  const resources = [{ resourceType: type, resourceName: name, configurationKeys: keys }];
  const answer = await peer.ask('describeConfigs', 4, { resources });
  const [found] = answer?.results ?? [];
  assert.ok(found);
  return {
    errorCode: found.errorCode,
    values: Object.fromEntries(found.configs.map(({ name: key, value, configSource }) => [key, [value, configSource]])),
  };
}

type Change = [name: string, operation: number, value: string | null];

async function alter(peer: RawPeer, changes: Change[], more: { name?: string; validateOnly?: boolean } = {}) {
  const configs = changes.map(([name, configOperation, value]) => ({ name, configOperation, value }));
  const answer = await peer.ask('incrementalAlterConfigs', 1, {
    resources: [{ resourceType: TOPIC, resourceName: more.name ?? 't', configs }],
    validateOnly: more.validateOnly ?? false,
  });
  return answer?.responses[0]?.errorCode;
}

test('the configs of a topic are told with where they come from, and change one by one', async (t) => {
  const peer = await start(t);
  assert.deepEqual((await configsOf(peer, null)).values, {
    'retention.ms': ['604800000', 5],
    'retention.bytes': ['-1', 5],
    'max.message.bytes': ['8388608', 5],
    'cleanup.policy': ['delete', 5],
    'message.timestamp.type': ['CreateTime', 5],
    'min.compaction.lag.ms': ['0', 5],
    'max.compaction.lag.ms': ['9223372036854775807', 5],
    'delete.retention.ms': ['86400000', 5],
    'segment.bytes': ['1073741824', 5],
    'segment.ms': ['604800000', 5],
    'min.cleanable.dirty.ratio': ['0.5', 5],
    'compression.type': ['producer', 5],
    'min.insync.replicas': ['1', 5],
  });
  const names = ['retention.ms', 'cleanup.policy', 'message.timestamp.type'];
  assert.equal(
    await alter(peer, [
      ['retention.ms', SET, '5000'],
      ['message.timestamp.type', SET, 'LogAppendTime'],
    ]),
    0,
  );
  assert.equal(await alter(peer, [['cleanup.policy', APPEND, 'compact']]), 0);
  assert.deepEqual((await configsOf(peer, names)).values, {
    'retention.ms': ['5000', 1],
    'cleanup.policy': ['compact,delete', 1],
    'message.timestamp.type': ['LogAppendTime', 1],
  });
  assert.equal(
    await alter(peer, [
      ['retention.ms', DELETE, null],
      ['cleanup.policy', SUBTRACT, 'delete'],
    ]),
    0,
  );
  assert.deepEqual((await configsOf(peer, names)).values, {
    'retention.ms': ['604800000', 5],
    'cleanup.policy': ['compact', 1],
    'message.timestamp.type': ['LogAppendTime', 1],
  });
  assert.equal(await alter(peer, [['cleanup.policy', DELETE, null]], { validateOnly: true }), 0);
  assert.deepEqual((await configsOf(peer, ['cleanup.policy'])).values, { 'cleanup.policy': ['compact', 1] });
  assert.equal(await alter(peer, [['max.message.bytes', SET, '100']]), 0);
  const topicData = [{ name: 't', partitionData: [{ index: 0, records: [large()] }] }];
  const refused = await peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
  assert.equal(refused?.responses[0]?.partitionResponses[0]?.errorCode, ERROR.MESSAGE_TOO_LARGE);
});

function large(): Buffer {
  return writeBatch([{ timestamp: 1, key: Buffer.from('k'), value: Buffer.alloc(500), headers: [] }]);
}

test('how Kafka is to cut its segments is kept and told, as Kafka Streams and MirrorMaker say it of their topics', async (t) => {
  const peer = await start(t);
  // As Kafka Streams has its topics for repartitioning.
  const configs = Object.entries({
    'message.timestamp.type': 'CreateTime',
    'cleanup.policy': 'delete',
    'segment.bytes': '52428800',
    'retention.ms': '-1',
  }).map(([name, value]) => ({ name, value }));
  const topic = { name: 'repartition', numPartitions: 1, replicationFactor: 1, assignments: [], configs };
  const [made] = (await peer.ask('createTopics', 5, { topics: [topic] }))?.topics ?? [];
  assert.equal(made?.errorCode, ERROR.NONE);
  assert.equal(made.configs?.find(({ name }) => name === 'segment.bytes')?.value, '52428800');
  const told = async () =>
    (await configsOf(peer, ['retention.ms', 'segment.bytes', 'segment.ms'], TOPIC, topic.name)).values;
  const change = (changes: Change[]) => alter(peer, changes, { name: topic.name });
  assert.equal(await change([['segment.ms', SET, '600000']]), ERROR.NONE);
  assert.deepEqual(await told(), {
    'retention.ms': ['-1', 1],
    'segment.bytes': ['52428800', 1],
    'segment.ms': ['600000', 1],
  });
  assert.equal(await change([['segment.bytes', DELETE, null]]), ERROR.NONE);
  assert.deepEqual((await told())['segment.bytes'], ['1073741824', 5]);
  for (const [name, value] of [
    ['segment.bytes', '1048575'],
    ['segment.bytes', '2147483648'],
    ['segment.ms', '0'],
  ] as const)
    assert.equal(await change([[name, SET, value]]), ERROR.INVALID_CONFIG, `${name}=${value}`);
});

test('a change of configs that cannot be is refused whole, with the word for what is wrong', async (t) => {
  const peer = await start(t);
  const retention: Change = ['retention.ms', SET, '1'];
  assert.equal(await alter(peer, [retention, ['flush.messages', SET, '1']]), ERROR.INVALID_CONFIG);
  assert.equal(await alter(peer, [retention, ['max.message.bytes', SET, 'x']]), ERROR.INVALID_CONFIG);
  assert.equal(await alter(peer, [retention, ['retention.bytes', APPEND, '1']]), ERROR.INVALID_CONFIG);
  assert.equal(await alter(peer, [retention, ['cleanup.policy', SUBTRACT, 'delete']]), ERROR.INVALID_CONFIG);
  assert.equal(await alter(peer, [retention, retention]), ERROR.INVALID_REQUEST);
  assert.equal(await alter(peer, [retention], { name: 'nowhere' }), ERROR.UNKNOWN_TOPIC_OR_PARTITION);
  assert.deepEqual((await configsOf(peer, ['retention.ms'])).values, { 'retention.ms': ['604800000', 5] });
  const broker = { resourceType: BROKER, resourceName: '1', configs: [{ name: 'num.partitions', value: '2' }] };
  const answer = await peer.ask('alterConfigs', 2, { resources: [broker], validateOnly: false });
  assert.equal(answer?.responses[0]?.errorCode, ERROR.INVALID_REQUEST);
});

test('the configs of the broker can be read, and those of another cannot', async (t) => {
  const peer = await start(t);
  const { values } = await configsOf(peer, ['broker.id', 'auto.create.topics.enable'], BROKER, '1');
  assert.deepEqual(values, { 'broker.id': ['1', 4], 'auto.create.topics.enable': ['true', 4] });
  assert.equal((await configsOf(peer, null, BROKER, '2')).errorCode, ERROR.INVALID_REQUEST);
  assert.equal((await configsOf(peer, null, TOPIC, 'nowhere')).errorCode, ERROR.UNKNOWN_TOPIC_OR_PARTITION);
});

test('a transaction of another producer id than the one of its name is not known', async (t) => {
  const peer = await start(t);
  const { producerId, ...others } = await openTransaction(peer);
  const ended = await peer.ask('endTxn', 3, { ...others, producerId: producerId + 99, committed: true });
  assert.equal(ended?.errorCode, ERROR.INVALID_PRODUCER_ID_MAPPING);
  const old = await peer.ask('endTxn', 3, {
    ...others,
    producerId,
    producerEpoch: others.producerEpoch - 1,
    committed: true,
  });
  assert.equal(old?.errorCode, ERROR.PRODUCER_FENCED);
});

/** A producer with a transaction open in partition 1. */
async function openTransaction(peer: RawPeer) {
  const asked = { transactionalId: 'tx', transactionTimeoutMs: 60_000 };
  const { producerId = 0, producerEpoch = 0 } = (await peer.ask('initProducerId', 4, asked)) ?? {};
  const begun = await peer.ask('addPartitionsToTxn', 3, {
    v3AndBelowTransactionalId: 'tx',
    v3AndBelowProducerId: producerId,
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: [{ name: 't', partitions: [1] }],
  });
  assert.equal(begun?.resultsByTopicV3AndBelow[0]?.resultsByPartition[0]?.partitionErrorCode, ERROR.NONE);
  const batch = writeBatch([{ timestamp: 1, key: null, value: Buffer.from('x'), headers: [] }], 16);
  const topicData = [
    { name: 't', partitionData: [{ index: 1, records: [numbered(batch, producerId, 0, producerEpoch)] }] },
  ];
  const told = await peer.ask('produce', 9, { transactionalId: 'tx', acks: -1, timeoutMs: 1000, topicData });
  assert.equal(told?.responses[0]?.partitionResponses[0]?.errorCode, ERROR.NONE);
  return { transactionalId: 'tx', producerId, producerEpoch };
}

test('an open transaction is found by its id, among all, and in the partition that it holds up', async (t) => {
  const peer = await start(t);
  const producer = await openTransaction(peer);
  const { producerId, producerEpoch } = producer;
  const describe = async () =>
    (await peer.ask('describeTransactions', 0, { transactionalIds: ['tx', 'nobody'] }))?.transactionStates;
  const [open, nobody] = (await describe()) ?? [];
  assert.deepEqual(
    [open?.errorCode, open?.transactionState, open?.transactionTimeoutMs, open?.producerId, open?.producerEpoch],
    [ERROR.NONE, 'Ongoing', 60_000, producerId, producerEpoch],
  );
  assert.deepEqual(
    open?.topics.map(({ topic, partitions }) => [topic, partitions]),
    [['t', [1]]],
  );
  assert.equal(nobody?.errorCode, ERROR.TRANSACTIONAL_ID_NOT_FOUND);
  const list = async (stateFilters: string[], more: { producerIdFilters?: number[]; durationFilter?: number } = {}) => {
    const answer = await peer.ask('listTransactions', 1, { stateFilters, producerIdFilters: [], ...more });
    return {
      ids: answer?.transactionStates.map(({ transactionalId, transactionState }) => [
        transactionalId,
        transactionState,
      ]),
      unknown: answer?.unknownStateFilters,
    };
  };
  assert.deepEqual(await list([]), { ids: [['tx', 'Ongoing']], unknown: [] });
  assert.deepEqual(await list(['Ongoing', 'Odd']), { ids: [['tx', 'Ongoing']], unknown: ['Odd'] });
  assert.deepEqual((await list([], { producerIdFilters: [producerId + 1] })).ids, []);
  assert.deepEqual((await list([], { durationFilter: 3_600_000 })).ids, []);
  const active = async () => {
    const answer = await peer.ask('describeProducers', 0, { topics: [{ name: 't', partitionIndexes: [0, 1, 7] }] });
    return answer?.topics[0]?.partitions.map(({ errorCode, activeProducers }) => [
      errorCode,
      activeProducers.map((each) => [each.producerId, each.producerEpoch, each.currentTxnStartOffset]),
    ]);
  };
  const none = [ERROR.NONE, []];
  const unknown = [ERROR.UNKNOWN_TOPIC_OR_PARTITION, []];
  assert.deepEqual(await active(), [none, [ERROR.NONE, [[producerId, producerEpoch, 0]]], unknown]);
  await peer.ask('endTxn', 3, { ...producer, committed: true });
  assert.deepEqual((await list([])).ids, [['tx', 'CompleteCommit']]);
  assert.deepEqual(await active(), [none, none, unknown]);
});

test('a transaction that hangs is aborted as a whole by who operates the broker, at its epoch alone', async (t) => {
  const peer = await start(t);
  const { producerId, producerEpoch } = await openTransaction(peer);
  const abort = async (more: { epoch?: number; partition?: number; transactionResult?: boolean } = {}) => {
    const { epoch = producerEpoch, partition = 1, transactionResult = false } = more;
    const topics = [{ name: 't', partitionIndexes: [partition] }];
    const marker = { producerId, producerEpoch: epoch, transactionResult, topics, coordinatorEpoch: 0 };
    const answer = await peer.ask('writeTxnMarkers', 1, { markers: [marker] });
    return answer?.markers[0]?.topics[0]?.partitions[0]?.errorCode;
  };
  assert.equal(await abort({ epoch: producerEpoch + 1 }), ERROR.INVALID_PRODUCER_EPOCH);
  assert.equal(await abort({ partition: 0 }), ERROR.INVALID_TXN_STATE);
  assert.equal(await abort({ transactionResult: true }), ERROR.INVALID_REQUEST);
  assert.equal(await abort(), ERROR.NONE);
  assert.equal(await abort(), ERROR.INVALID_TXN_STATE);
  const described = await peer.ask('describeTransactions', 0, { transactionalIds: ['tx'] });
  assert.equal(described?.transactionStates[0]?.transactionState, 'CompleteAbort');
});

/** The one member of a group. */
async function joinAlone(peer: RawPeer, groupId: string, metadata: Buffer = Buffer.alloc(0)) {
  const joining = { groupId, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, protocolType: 'consumer' };
  const protocols = [{ name: 'range', metadata }];
  const { memberId = '' } = (await peer.ask('joinGroup', 5, { ...joining, memberId: '', protocols })) ?? {};
  const { generationId = -1 } = (await peer.ask('joinGroup', 5, { ...joining, memberId, protocols })) ?? {};
  const member = { groupId, generationId, memberId };
  const synced = await peer.ask('syncGroup', 3, { ...member, assignments: [{ memberId, assignment: Buffer.of(1) }] });
  assert.equal(synced?.errorCode, ERROR.NONE);
  return member;
}

test('a heartbeat is answered with what its member has to know', async (t) => {
  const peer = await start(t);
  const member = await joinAlone(peer, 'g');
  const beat = async (more: object = {}) => (await peer.ask('heartbeat', 4, { ...member, ...more }))?.errorCode;
  assert.equal(await beat(), ERROR.NONE);
  assert.equal(await beat({ generationId: member.generationId + 1 }), ERROR.ILLEGAL_GENERATION);
  assert.equal(await beat({ memberId: 'another' }), ERROR.UNKNOWN_MEMBER_ID);
  assert.equal(await beat({ groupId: 'nowhere' }), ERROR.UNKNOWN_MEMBER_ID);
  await peer.ask('leaveGroup', 3, { groupId: 'g', memberId: '', members: [{ memberId: member.memberId }] });
  assert.equal(await beat(), ERROR.UNKNOWN_MEMBER_ID);
});

test('offsets within a transaction are taken from members of the group alone', async (t) => {
  const peer = await start(t);
  const producer = await openTransaction(peer);
  const member = await joinAlone(peer, 'g');
  const commit = async (more: object) => {
    const topics = [{ name: 't', partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: null }] }];
    const answer = await peer.ask('txnOffsetCommit', 3, { ...producer, groupId: 'g', topics, ...more });
    return answer?.topics[0]?.partitions[0]?.errorCode;
  };
  assert.equal(await commit({ ...member, memberId: 'another' }), ERROR.UNKNOWN_MEMBER_ID);
  assert.equal(await commit({ ...member, generationId: member.generationId + 1 }), ERROR.ILLEGAL_GENERATION);
  assert.equal(await commit({ ...member, groupId: '' }), ERROR.INVALID_GROUP_ID);
  assert.equal(await commit(member), ERROR.NONE);
  assert.equal(await commit({}), ERROR.NONE);
});

test('the end of the one epoch is the end of the partition; others are not known', async (t) => {
  const peer = await start(t);
  const topicData = [{ name: 't', partitionData: [{ index: 0, records: [large()] }] }];
  await peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
  const ends = async (partition: number, leaderEpoch: number) => {
    const partitions = [{ partition, leaderEpoch, currentLeaderEpoch: -1 }];
    const answer = await peer.ask('offsetForLeaderEpoch', 4, { replicaId: -1, topics: [{ topic: 't', partitions }] });
    const [found] = answer?.topics[0]?.partitions ?? [];
    return [found?.errorCode, found?.leaderEpoch, found?.endOffset];
  };
  assert.deepEqual(await ends(0, 0), [ERROR.NONE, 0, 1]);
  assert.deepEqual(await ends(0, 1), [ERROR.NONE, -1, -1]);
  assert.deepEqual(await ends(9, 0), [ERROR.UNKNOWN_TOPIC_OR_PARTITION, -1, -1]);
});

test('a topic gets more partitions, and refuses fewer, as many and other brokers', async (t) => {
  const peer = await start(t);
  const grow = async (count: number, more: { name?: string; validateOnly?: boolean; brokerIds?: number[][] } = {}) => {
    const { name = 't', validateOnly = false, brokerIds } = more;
    const assignments = brokerIds?.map((each) => ({ brokerIds: each })) ?? null;
    const topics = [{ name, count, assignments }];
    const answer = await peer.ask('createPartitions', 3, { topics, timeoutMs: 1000, validateOnly });
    return answer?.results[0]?.errorCode;
  };
  const partitions = async () => {
    const answer = await peer.ask('metadata', 9, {
      topics: [{ name: 't', topicId: NO_UUID }],
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    });
    return answer?.topics[0]?.partitions.map(({ partitionIndex }) => partitionIndex);
  };
  assert.equal(await grow(2), ERROR.INVALID_PARTITIONS);
  assert.equal(await grow(1), ERROR.INVALID_PARTITIONS);
  assert.equal(await grow(5000), ERROR.INVALID_PARTITIONS);
  assert.equal(await grow(3, { name: 'nowhere' }), ERROR.UNKNOWN_TOPIC_OR_PARTITION);
  assert.equal(await grow(3, { brokerIds: [[1], [1]] }), ERROR.INVALID_REPLICA_ASSIGNMENT);
  assert.equal(await grow(3, { brokerIds: [[1, 2]] }), ERROR.INVALID_REPLICA_ASSIGNMENT);
  assert.equal(await grow(3, { validateOnly: true }), ERROR.NONE);
  assert.deepEqual(await partitions(), [0, 1]);
  assert.equal(await grow(4, { brokerIds: [[1], [1]] }), ERROR.NONE);
  assert.deepEqual(await partitions(), [0, 1, 2, 3]);
  const twice = [3, 4].map((count) => ({ name: 't', count: count + 3, assignments: null }));
  const answer = await peer.ask('createPartitions', 1, { topics: twice, timeoutMs: 1000, validateOnly: false });
  assert.deepEqual(
    answer?.results.map(({ errorCode }) => errorCode),
    [ERROR.INVALID_REQUEST],
  );
  const topicData = [{ name: 't', partitionData: [{ index: 3, records: [large()] }] }];
  const told = await peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
  assert.equal(told?.responses[0]?.partitionResponses[0]?.errorCode, ERROR.NONE);
});

/** As a consumer says which topics it wants: version, topics, and nothing more. */
function subscribedTo(topic: string): Buffer {
  const metadata = Buffer.alloc(12 + topic.length);
  metadata.writeInt32BE(1, 2);
  metadata.writeInt16BE(topic.length, 6);
  metadata.write(topic, 8);
  metadata.writeInt32BE(-1, 8 + topic.length);
  return metadata;
}

const place = (name: string, ...partitions: number[]) => ({
  name,
  partitions: partitions.map((partitionIndex) => ({ partitionIndex })),
});

/** What a group has committed in `t`: error and offset of each partition. */
async function committed(peer: RawPeer, groupId: string, requireStable = false) {
  const groups = [{ groupId, topics: [{ name: 't', partitionIndexes: [0, 1] }] }];
  const answer = await peer.ask('offsetFetch', 8, { groupId, groups, topics: null, requireStable });
  return answer?.groups[0]?.topics[0]?.partitions.map((each) => [each.errorCode, each.committedOffset]);
}

test('offsets of a group are deleted one by one, but not while a member reads the topic', async (t) => {
  const peer = await start(t);
  const remove = async (groupId: string, ...topics: ReturnType<typeof place>[]) => {
    const answer = await peer.ask('offsetDelete', 0, { groupId, topics });
    const errors = answer?.topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
    return [answer?.errorCode, errors];
  };
  assert.deepEqual(await remove('g', place('t', 0)), [ERROR.GROUP_ID_NOT_FOUND, []]);
  assert.deepEqual(await remove('', place('t', 0)), [ERROR.INVALID_GROUP_ID, []]);
  const member = await joinAlone(peer, 'g', subscribedTo('t'));
  const partitions = [0, 1].map((partitionIndex) => ({ partitionIndex, committedOffset: 7, committedMetadata: '' }));
  const { generationId: generationIdOrMemberEpoch, memberId } = member;
  const commit = { groupId: 'g', generationIdOrMemberEpoch, memberId, topics: [{ name: 't', partitions }] };
  await peer.ask('offsetCommit', 7, commit);
  assert.deepEqual(await remove('g', place('t', 0, 1)), [
    ERROR.NONE,
    [[ERROR.GROUP_SUBSCRIBED_TO_TOPIC, ERROR.GROUP_SUBSCRIBED_TO_TOPIC]],
  ]);
  await peer.ask('leaveGroup', 3, { groupId: 'g', memberId: '', members: [{ memberId }] });
  assert.deepEqual(await remove('g', place('t', 0, 9), place('nowhere', 0)), [
    ERROR.NONE,
    [[ERROR.NONE, ERROR.UNKNOWN_TOPIC_OR_PARTITION], [ERROR.UNKNOWN_TOPIC_OR_PARTITION]],
  ]);
  assert.deepEqual(await committed(peer, 'g'), [
    [ERROR.NONE, -1],
    [ERROR.NONE, 7],
  ]);
});

test('offsets that an open transaction commits are not stable before it ends', async (t) => {
  const peer = await start(t);
  const producer = await openTransaction(peer);
  const partitions = [{ partitionIndex: 1, committedOffset: 5, committedMetadata: null }];
  await peer.ask('txnOffsetCommit', 3, { ...producer, groupId: 'g', topics: [{ name: 't', partitions }] });
  const nothing = [ERROR.NONE, -1];
  assert.deepEqual(await committed(peer, 'g'), [nothing, nothing]);
  assert.deepEqual(await committed(peer, 'g', true), [nothing, [ERROR.UNSTABLE_OFFSET_COMMIT, -1]]);
  assert.deepEqual(await committed(peer, 'another', true), [nothing, nothing]);
  const all = await peer.ask('offsetFetch', 7, { groupId: 'g', topics: null, requireStable: true, groups: [] });
  // As in Kafka: all that there is, is what was committed.
  assert.deepEqual(all?.topics, []);
  await peer.ask('endTxn', 3, { ...producer, committed: true });
  assert.deepEqual(await committed(peer, 'g', true), [nothing, [ERROR.NONE, 5]]);
});

test('an offset below 0 is committed as any other, by itself and in a transaction', async (t) => {
  const peer = await start(t);
  const commit = (partitionIndex: number, committedOffset: number, committedMetadata: string) => ({
    groupId: 'g',
    topics: [{ name: 't', partitions: [{ partitionIndex, committedOffset, committedMetadata }] }],
  });
  const alone = { generationIdOrMemberEpoch: -1, memberId: '' };
  const answer = await peer.ask('offsetCommit', 7, { ...alone, ...commit(0, -2, 'to the start') });
  assert.equal(answer?.topics[0]?.partitions[0]?.errorCode, ERROR.NONE);
  const producer = await openTransaction(peer);
  const added = await peer.ask('txnOffsetCommit', 3, { ...producer, ...commit(1, -1, '') });
  assert.equal(added?.topics[0]?.partitions[0]?.errorCode, ERROR.NONE);
  await peer.ask('endTxn', 3, { ...producer, committed: true });
  const found = await peer.ask('offsetFetch', 7, { groupId: 'g', topics: null, requireStable: true, groups: [] });
  assert.deepEqual(
    found?.topics[0]?.partitions.map(({ committedOffset, metadata }) => [committedOffset, metadata]),
    [
      [-2, 'to the start'],
      [-1, ''],
    ],
  );
});

test('the sizes of partitions are told as those of one log directory', async (t) => {
  const peer = await start(t);
  const topicData = [{ name: 't', partitionData: [{ index: 1, records: [large()] }] }];
  await peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
  const sizes = async (topics: { topic: string; partitions: number[] }[] | null) => {
    const answer = await peer.ask('describeLogDirs', 4, { topics });
    assert.equal(answer?.results.length, 1);
    return answer.results[0]?.topics.map(({ name, partitions }) => [
      name,
      partitions.map(({ partitionIndex, partitionSize }) => [partitionIndex, partitionSize > large().byteLength]),
    ]);
  };
  const both = [
    [0, false],
    [1, true],
  ];
  assert.deepEqual(await sizes(null), [['t', both]]);
  assert.deepEqual(await sizes([{ topic: 't', partitions: [1, 5] }]), [['t', both.slice(1)]]);
  assert.deepEqual(await sizes([{ topic: 'nowhere', partitions: [0] }]), []);
});

test('partitions are where they are to be: a move to the broker is done, another cannot be, and none is to cancel', async (t) => {
  const peer = await start(t);
  const answer = await peer.ask('alterPartitionReassignments', 1, {
    topics: [
      {
        name: 't',
        partitions: [
          { partitionIndex: 0, replicas: [1] },
          { partitionIndex: 1, replicas: [1, 2] },
          { partitionIndex: 1, replicas: [] },
          { partitionIndex: 1, replicas: null },
          { partitionIndex: 2, replicas: [1] },
        ],
      },
      { name: 'nowhere', partitions: [{ partitionIndex: 0, replicas: [1] }] },
    ],
  });
  assert.equal(answer?.errorCode, ERROR.NONE);
  assert.deepEqual(
    answer.responses.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode)),
    [
      [
        ERROR.NONE,
        ERROR.INVALID_REPLICA_ASSIGNMENT,
        ERROR.INVALID_REPLICA_ASSIGNMENT,
        ERROR.NO_REASSIGNMENT_IN_PROGRESS,
        ERROR.UNKNOWN_TOPIC_OR_PARTITION,
      ],
      [ERROR.UNKNOWN_TOPIC_OR_PARTITION],
    ],
  );
  const listed = await peer.ask('listPartitionReassignments', 0, { topics: null });
  assert.deepEqual([listed?.errorCode, listed?.topics], [ERROR.NONE, []]);
});

test('every partition has the leader that it is to have', async (t) => {
  const peer = await start(t);
  const elect = async (topicPartitions: { topic: string; partitions: number[] }[] | null) => {
    const answer = await peer.ask('electLeaders', 2, { electionType: 0, topicPartitions });
    assert.equal(answer?.errorCode, ERROR.NONE);
    return answer.replicaElectionResults.map(({ partitionResult }) => partitionResult.map((each) => each.errorCode));
  };
  assert.deepEqual(await elect(null), []);
  const asked = [
    { topic: 't', partitions: [1, 2] },
    { topic: 'nowhere', partitions: [0] },
  ];
  const unknown = ERROR.UNKNOWN_TOPIC_OR_PARTITION;
  assert.deepEqual(await elect(asked), [[ERROR.ELECTION_NOT_NEEDED, unknown], [unknown]]);
});
