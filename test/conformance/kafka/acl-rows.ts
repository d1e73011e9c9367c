/** What each API of Kafka takes the right for, and how a client is told that it has it not. */
import type { ApiName } from '../../../src/gateways/kafka/apis.ts';
import type { ErrorName } from '../../../src/gateways/kafka/errors.ts';
import { NO_UUID } from '../../../src/gateways/kafka/fields.ts';
import { ATTRIBUTE, writeBatch } from '../../../src/gateways/kafka/record-batch.ts';
import { numbered } from '../../kafka/numbered.ts';
import type { RawPeer } from '../../kafka/raw-peer.ts';

/** As the protocol numbers them. */
export const KIND = { topic: 2, group: 3, cluster: 4, transactionalId: 5 } as const;
export const OPERATION = {
  all: 2,
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  alter: 7,
  describe: 8,
  clusterAction: 9,
  describeConfigs: 10,
  alterConfigs: 11,
  idempotentWrite: 12,
} as const;
export const CLUSTER = 'kafka-cluster';

export type Right = [operation: keyof typeof OPERATION, kind: keyof typeof KIND, name: string];

export interface Row {
  api: ApiName;
  /** All are needed. */
  rights: Right[];
  /** What would do as well, and is denied with it. */
  instead?: Right[];
  /** Given and not asked about. */
  beside?: Right[];
  /** Left out where something is left out of the answer in place of an error. */
  refused?: ErrorName[];
  /** Beside none: what is answered to who may. */
  fine?: ErrorName[];
  before?: (admin: RawPeer) => Promise<unknown>;
  ask: (peer: RawPeer) => Promise<unknown>;
  /** Of an answer without an error: how much of what is asked for is in it. */
  count?: (answer: never) => number;
}

const metadata = { includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false };
const partition = { partitionIndex: 0 };
const t0 = { name: 't', partitions: [partition] };
const producer = { producerId: -1, producerEpoch: -1 };
const topicConfig = { resourceType: 2, resourceName: 't' };
const brokerConfig = { resourceType: 4, resourceName: '1' };
const anyAcl = {
  resourceTypeFilter: 1,
  resourceNameFilter: 'none-has-this-name',
  patternTypeFilter: 1,
  principalFilter: null,
  hostFilter: null,
  operation: 1,
  permissionType: 1,
};

const batch = (attributes = 0): Buffer =>
  writeBatch([{ timestamp: 1, key: null, value: Buffer.from('v'), headers: [] }], attributes);
const topicData = (records = batch()) => [{ name: 't', partitionData: [{ index: 0, records: [records] }] }];
export const made = (name: string) => ({ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] });
const offset = { ...partition, committedOffset: 1, committedMetadata: '' };

async function claim(admin: RawPeer): Promise<void> {
  const answer = await admin.ask('initProducerId', 5, { transactionalId: 'x', transactionTimeoutMs: 60_000 });
  producer.producerId = answer?.producerId ?? -1;
  producer.producerEpoch = answer?.producerEpoch ?? -1;
}

async function begin(admin: RawPeer): Promise<void> {
  await claim(admin);
  const answer = await admin.ask('addOffsetsToTxn', 4, { transactionalId: 'x', groupId: 'g', ...producer });
  if (answer?.errorCode !== 0) throw new Error('No transaction began.');
}

const enlisted = () => ({
  v3AndBelowTransactionalId: 'x',
  v3AndBelowProducerId: producer.producerId,
  v3AndBelowProducerEpoch: producer.producerEpoch,
  v3AndBelowTopics: [{ name: 't', partitions: [0] }],
});

async function enlist(admin: RawPeer): Promise<void> {
  await claim(admin);
  await admin.ask('addPartitionsToTxn', 3, enlisted());
}

const committed = (admin: RawPeer) =>
  admin.ask('offsetCommit', 9, { groupId: 'g', memberId: '', topics: [{ name: 't', partitions: [offset] }] });

const joined = (peer: RawPeer) =>
  peer.ask('consumerGroupHeartbeat', 1, {
    groupId: 'new',
    memberId: 'm',
    memberEpoch: 0,
    rebalanceTimeoutMs: 1000,
    subscribedTopicNames: ['t'],
    topicPartitions: [],
  });

export const ROWS: readonly Row[] = [
  {
    api: 'produce',
    rights: [['write', 'topic', 't']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData: topicData() }),
  },
  {
    api: 'produce',
    rights: [
      ['write', 'transactionalId', 'x'],
      ['write', 'topic', 't'],
    ],
    refused: ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    // As in Kafka it counts only for batches of a transaction.
    before: enlist,
    ask: (peer) => {
      const { producerId, producerEpoch } = producer;
      const data = topicData(numbered(batch(ATTRIBUTE.transactional), producerId, 0, producerEpoch));
      return peer.ask('produce', 9, { transactionalId: 'x', acks: -1, timeoutMs: 1000, topicData: data });
    },
  },
  {
    api: 'fetch',
    rights: [['read', 'topic', 't']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) =>
      peer.ask('fetch', 11, {
        maxWaitMs: 0,
        minBytes: 1,
        topics: [
          { topic: 't', topicId: NO_UUID, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] },
        ],
      }),
  },
  {
    api: 'listOffsets',
    rights: [['describe', 'topic', 't']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) =>
      peer.ask('listOffsets', 5, {
        replicaId: -1,
        isolationLevel: 0,
        topics: [{ name: 't', partitions: [{ ...partition, timestamp: -1 }] }],
      }),
  },
  {
    api: 'offsetForLeaderEpoch',
    rights: [['describe', 'topic', 't']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) =>
      peer.ask('offsetForLeaderEpoch', 4, {
        topics: [{ topic: 't', partitions: [{ partition: 0, leaderEpoch: 0 }] }],
      }),
  },
  {
    api: 'metadata',
    rights: [['describe', 'topic', 't']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) =>
      peer.ask('metadata', 9, {
        ...metadata,
        topics: [{ name: 't', topicId: NO_UUID }],
        allowAutoTopicCreation: false,
      }),
  },
  {
    api: 'metadata',
    rights: [
      ['create', 'topic', 'auto'],
      ['describe', 'topic', 'auto'],
    ],
    refused: ['TOPIC_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    before: (admin) => admin.ask('deleteTopics', 5, { topicNames: ['auto'], timeoutMs: 1000 }),
    ask: (peer) => peer.ask('metadata', 9, { ...metadata, topics: [{ name: 'auto', topicId: NO_UUID }] }),
  },
  {
    api: 'metadata',
    rights: [['describe', 'topic', 't']],
    ask: (peer) => peer.ask('metadata', 9, { ...metadata, topics: null }),
    count: ({ topics }: { topics: { name: string }[] }) => topics.filter(({ name }) => name === 't').length,
  },
  {
    api: 'findCoordinator',
    rights: [['describe', 'group', 'g']],
    refused: ['GROUP_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('findCoordinator', 3, { key: 'g', keyType: 0 }),
  },
  {
    api: 'findCoordinator',
    rights: [['describe', 'transactionalId', 'x']],
    refused: ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('findCoordinator', 4, { key: '', keyType: 1, coordinatorKeys: ['x'] }),
  },
  {
    api: 'joinGroup',
    rights: [['read', 'group', 'g']],
    refused: ['GROUP_AUTHORIZATION_FAILED'],
    fine: ['MEMBER_ID_REQUIRED'],
    ask: (peer) =>
      peer.ask('joinGroup', 5, {
        groupId: 'g',
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 1000,
        memberId: '',
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata: Buffer.alloc(0) }],
      }),
  },
  {
    api: 'syncGroup',
    rights: [['read', 'group', 'g']],
    refused: ['GROUP_AUTHORIZATION_FAILED'],
    fine: ['UNKNOWN_MEMBER_ID'],
    ask: (peer) => peer.ask('syncGroup', 3, { groupId: 'g', generationId: 1, memberId: 'm', assignments: [] }),
  },
  {
    api: 'heartbeat',
    rights: [['read', 'group', 'g']],
    refused: ['GROUP_AUTHORIZATION_FAILED'],
    fine: ['UNKNOWN_MEMBER_ID'],
    ask: (peer) => peer.ask('heartbeat', 3, { groupId: 'g', generationId: 1, memberId: 'm' }),
  },
  {
    api: 'leaveGroup',
    rights: [['read', 'group', 'g']],
    refused: ['GROUP_AUTHORIZATION_FAILED'],
    fine: ['UNKNOWN_MEMBER_ID'],
    ask: (peer) => peer.ask('leaveGroup', 2, { groupId: 'g', memberId: 'm' }),
  },
  {
    api: 'consumerGroupHeartbeat',
    rights: [
      ['read', 'group', 'new'],
      ['describe', 'topic', 't'],
    ],
    refused: ['GROUP_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    ask: joined,
  },
  {
    api: 'consumerGroupDescribe',
    rights: [
      ['describe', 'group', 'new'],
      ['describe', 'topic', 't'],
    ],
    refused: ['GROUP_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    before: joined,
    ask: (peer) => peer.ask('consumerGroupDescribe', 1, { groupIds: ['new'], includeAuthorizedOperations: true }),
  },
  {
    api: 'offsetCommit',
    rights: [
      ['read', 'group', 'g'],
      ['read', 'topic', 't'],
    ],
    refused: ['GROUP_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    ask: committed,
  },
  {
    api: 'offsetFetch',
    rights: [
      ['describe', 'group', 'g'],
      ['describe', 'topic', 't'],
    ],
    refused: ['GROUP_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('offsetFetch', 7, { groupId: 'g', topics: [{ name: 't', partitionIndexes: [0] }] }),
  },
  {
    api: 'offsetFetch',
    rights: [['describe', 'topic', 't']],
    beside: [['describe', 'group', 'g']],
    before: committed,
    ask: (peer) => peer.ask('offsetFetch', 7, { groupId: 'g', topics: null }),
    count: ({ topics }: { topics: unknown[] }) => topics.length,
  },
  {
    api: 'offsetDelete',
    rights: [
      ['delete', 'group', 'g'],
      ['read', 'topic', 't'],
    ],
    refused: ['GROUP_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    before: committed,
    ask: (peer) => peer.ask('offsetDelete', 0, { groupId: 'g', topics: [t0] }),
  },
  {
    api: 'describeGroups',
    rights: [['describe', 'group', 'g']],
    refused: ['GROUP_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('describeGroups', 4, { groups: ['g'], includeAuthorizedOperations: true }),
  },
  {
    api: 'listGroups',
    rights: [['describe', 'group', 'g']],
    instead: [['describe', 'cluster', CLUSTER]],
    before: committed,
    ask: (peer) => peer.ask('listGroups', 5, {}),
    count: ({ groups }: { groups: { groupId: string }[] }) => groups.filter(({ groupId }) => groupId === 'g').length,
  },
  {
    api: 'deleteGroups',
    rights: [['delete', 'group', 'g']],
    refused: ['GROUP_AUTHORIZATION_FAILED'],
    before: committed,
    ask: (peer) => peer.ask('deleteGroups', 2, { groupsNames: ['g'] }),
  },
  {
    api: 'createTopics',
    rights: [['create', 'topic', 'made']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    before: (admin) => admin.ask('deleteTopics', 5, { topicNames: ['made'], timeoutMs: 1000 }),
    ask: (peer) => peer.ask('createTopics', 5, { topics: [made('made')] }),
  },
  {
    api: 'createTopics',
    rights: [['create', 'cluster', CLUSTER]],
    instead: [['create', 'topic', 'made']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    before: (admin) => admin.ask('deleteTopics', 5, { topicNames: ['made'], timeoutMs: 1000 }),
    ask: (peer) => peer.ask('createTopics', 5, { topics: [made('made')] }),
  },
  {
    api: 'createPartitions',
    rights: [['alter', 'topic', 't']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) =>
      peer.ask('createPartitions', 3, {
        topics: [{ name: 't', count: 9, assignments: null }],
        timeoutMs: 1000,
        validateOnly: true,
      }),
  },
  {
    api: 'deleteTopics',
    rights: [['delete', 'topic', 'made']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    before: (admin) => admin.ask('createTopics', 5, { topics: [made('made')] }),
    ask: (peer) => peer.ask('deleteTopics', 5, { topicNames: ['made'], timeoutMs: 1000 }),
  },
  {
    api: 'deleteRecords',
    rights: [['delete', 'topic', 't']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) =>
      peer.ask('deleteRecords', 2, {
        topics: [{ name: 't', partitions: [{ ...partition, offset: 0 }] }],
        timeoutMs: 9,
      }),
  },
  {
    api: 'describeConfigs',
    rights: [['describeConfigs', 'topic', 't']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('describeConfigs', 4, { resources: [{ ...topicConfig, configurationKeys: [] }] }),
  },
  {
    api: 'describeConfigs',
    rights: [['describeConfigs', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('describeConfigs', 4, { resources: [{ ...brokerConfig, configurationKeys: [] }] }),
  },
  {
    api: 'alterConfigs',
    rights: [['alterConfigs', 'topic', 't']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('alterConfigs', 2, { resources: [{ ...topicConfig, configs: [] }], validateOnly: false }),
  },
  {
    api: 'incrementalAlterConfigs',
    rights: [['alterConfigs', 'topic', 't']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) =>
      peer.ask('incrementalAlterConfigs', 1, { resources: [{ ...topicConfig, configs: [] }], validateOnly: false }),
  },
  {
    api: 'describeLogDirs',
    rights: [['describe', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('describeLogDirs', 4, { topics: null }),
  },
  {
    api: 'describeAcls',
    rights: [['describe', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('describeAcls', 3, anyAcl),
  },
  {
    api: 'createAcls',
    rights: [['alter', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) =>
      peer.ask('createAcls', 3, {
        creations: [
          { resourceType: 2, resourceName: 'z', principal: 'User:*', host: '*', operation: 3, permissionType: 3 },
        ],
      }),
  },
  {
    api: 'deleteAcls',
    rights: [['alter', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('deleteAcls', 3, { filters: [anyAcl] }),
  },
  {
    api: 'describeUserScramCredentials',
    rights: [['describe', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('describeUserScramCredentials', 0, { users: null }),
  },
  {
    api: 'alterUserScramCredentials',
    rights: [['alter', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    fine: ['RESOURCE_NOT_FOUND'],
    ask: (peer) =>
      peer.ask('alterUserScramCredentials', 0, { deletions: [{ name: 'nobody', mechanism: 1 }], upsertions: [] }),
  },
  {
    api: 'describeClientQuotas',
    rights: [['describeConfigs', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('describeClientQuotas', 1, { components: [], strict: false }),
  },
  {
    api: 'alterClientQuotas',
    rights: [['alterConfigs', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) => {
      const entity = [{ entityType: 'user', entityName: 'nobody' }];
      return peer.ask('alterClientQuotas', 1, { entries: [{ entity, ops: [] }], validateOnly: false });
    },
  },
  {
    api: 'initProducerId',
    rights: [['write', 'transactionalId', 'x']],
    refused: ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('initProducerId', 5, { transactionalId: 'x', transactionTimeoutMs: 1000 }),
  },
  {
    api: 'initProducerId',
    rights: [['write', 'topic', '*']],
    instead: [['idempotentWrite', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('initProducerId', 5, { transactionalId: null, transactionTimeoutMs: 1000 }),
  },
  {
    api: 'addPartitionsToTxn',
    rights: [
      ['write', 'transactionalId', 'x'],
      ['write', 'topic', 't'],
    ],
    refused: ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    before: claim,
    ask: (peer) => peer.ask('addPartitionsToTxn', 3, enlisted()),
  },
  {
    api: 'addOffsetsToTxn',
    rights: [
      ['write', 'transactionalId', 'x'],
      ['read', 'group', 'g'],
    ],
    refused: ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED'],
    before: claim,
    ask: (peer) => peer.ask('addOffsetsToTxn', 4, { transactionalId: 'x', groupId: 'g', ...producer }),
  },
  {
    api: 'txnOffsetCommit',
    rights: [
      ['write', 'transactionalId', 'x'],
      ['read', 'group', 'g'],
      ['read', 'topic', 't'],
    ],
    refused: ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    before: begin,
    ask: (peer) => {
      const topics = [{ name: 't', partitions: [offset] }];
      return peer.ask('txnOffsetCommit', 4, { transactionalId: 'x', groupId: 'g', ...producer, topics });
    },
  },
  {
    api: 'endTxn',
    rights: [['write', 'transactionalId', 'x']],
    refused: ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED'],
    before: begin,
    ask: (peer) => peer.ask('endTxn', 4, { transactionalId: 'x', ...producer, committed: true }),
  },
  {
    api: 'describeProducers',
    rights: [['read', 'topic', 't']],
    refused: ['TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('describeProducers', 0, { topics: [{ name: 't', partitionIndexes: [0] }] }),
  },
  {
    api: 'describeTransactions',
    rights: [['describe', 'transactionalId', 'x']],
    refused: ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED'],
    before: claim,
    ask: (peer) => peer.ask('describeTransactions', 0, { transactionalIds: ['x'] }),
  },
  {
    api: 'listTransactions',
    rights: [['describe', 'transactionalId', 'x']],
    before: claim,
    ask: (peer) => peer.ask('listTransactions', 1, { stateFilters: [], producerIdFilters: [] }),
    count: ({ transactionStates }: { transactionStates: unknown[] }) => transactionStates.length,
  },
];
