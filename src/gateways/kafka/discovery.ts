import { allowed, authorizedOperations, maySee } from './access.ts';
import { type Client, type Handlers, NODE_ID } from './client.ts';
import { asKafkaError, ERROR, KafkaError } from './errors.ts';
import { NO_UUID, type RequestOf, type ResponseOf } from './fields.ts';
import type { findCoordinator, metadata } from './messages/discovery.ts';
import { LEADER_EPOCH } from './record-batch.ts';
import { checkName, createTopic } from './topic-admin.ts';
import type { KafkaTopic } from './topics.ts';

type MetadataRequest = RequestOf<typeof metadata>;
type Place = Omit<NonNullable<ResponseOf<typeof findCoordinator>['coordinators']>[number], 'key'>;
type TopicMetadata = ResponseOf<typeof metadata>['topics'][number];

const KEY_TYPE = { group: 0, transaction: 1 } as const;

export const discovery: Handlers<'metadata' | 'findCoordinator' | 'describeCluster'> = {
  async metadata(client, request, version) {
    const { clusterId } = client.shared;
    return {
      brokers: [{ nodeId: NODE_ID, ...client.endpoint }],
      clusterId,
      controllerId: NODE_ID,
      topics: await topicsOf(client, request, version),
      ...(request.includeClusterAuthorizedOperations && {
        clusterAuthorizedOperations: authorizedOperations(client, 'cluster'),
      }),
    };
  },

  findCoordinator(client, { key, keyType, coordinatorKeys }, version) {
    // A version has either the one or the list.
    return version < 4
      ? { ...placeFor(client, keyType, key), coordinators: [] }
      : {
          ...placeFor(client, keyType, null),
          coordinators: coordinatorKeys.map((each) => ({ key: each, ...placeFor(client, keyType, each) })),
        };
  },

  describeCluster(client, { includeClusterAuthorizedOperations, endpointType }) {
    const isBrokers = endpointType === 1;
    return {
      errorCode: isBrokers ? ERROR.NONE : ERROR.INVALID_REQUEST,
      errorMessage: isBrokers ? null : 'There are no controllers apart from the broker.',
      clusterId: client.shared.clusterId,
      controllerId: NODE_ID,
      brokers: isBrokers ? [{ brokerId: NODE_ID, ...client.endpoint }] : [],
      ...(includeClusterAuthorizedOperations && {
        clusterAuthorizedOperations: authorizedOperations(client, 'cluster'),
      }),
    };
  },
};

/** Where the coordinator is, unless the client may not know of the group or the transactions. */
function placeFor(client: Client, keyType: number, key: string | null): Place {
  const nowhere = { nodeId: -1, host: '', port: -1 };
  const kind = keyType === KEY_TYPE.group ? 'group' : keyType === KEY_TYPE.transaction ? 'transactionalId' : null;
  if (kind === null) {
    const errorMessage = `Coordinators of type ${keyType} are not known here.`;
    return { ...nowhere, errorCode: ERROR.INVALID_REQUEST, errorMessage };
  }
  if (key !== null && !allowed(client, 'describe', kind, key)) {
    const errorCode = kind === 'group' ? ERROR.GROUP_AUTHORIZATION_FAILED : ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    return { ...nowhere, errorCode, errorMessage: 'Not allowed.' };
  }
  return { nodeId: NODE_ID, ...client.endpoint, errorCode: ERROR.NONE, errorMessage: null };
}

async function topicsOf(client: Client, request: MetadataRequest, version: number): Promise<TopicMetadata[]> {
  const { topics } = client.shared;
  // Before version 1 an empty list meant all, and null was not there.
  if (request.topics === null || (version === 0 && request.topics.length === 0)) {
    const all = await topics.all();
    return all.filter(({ name }) => maySee(client, name)).map((topic) => describe(client, request, topic));
  }
  return client.shared.turns.each(request.topics, async (asked) => topicOf(client, request, asked));
}

async function topicOf(
  client: Client,
  request: MetadataRequest,
  { name, topicId }: NonNullable<MetadataRequest['topics']>[number],
): Promise<TopicMetadata> {
  const { topics } = client.shared;
  try {
    if (name === null) {
      const topic = await topics.findById(topicId);
      if (topic === undefined) throw new KafkaError('UNKNOWN_TOPIC_ID', 'No such topic.');
      if (!maySee(client, topic.name)) throw new KafkaError('TOPIC_AUTHORIZATION_FAILED', 'Not allowed.');
      return describe(client, request, topic);
    }
    if (!maySee(client, name)) throw new KafkaError('TOPIC_AUTHORIZATION_FAILED', 'Not allowed.');
    const topic = (await topics.find(name)) ?? (await autoCreated(client, request, name));
    return describe(client, request, topic);
  } catch (error) {
    const { code } = asKafkaError(error);
    const isSeen = name !== null && code !== ERROR.TOPIC_AUTHORIZATION_FAILED;
    return {
      errorCode: code,
      name,
      topicId: name === null ? topicId : NO_UUID,
      partitions: [],
      ...(isSeen && operationsOn(client, request, name)),
    };
  }
}

async function autoCreated(client: Client, request: MetadataRequest, name: string): Promise<KafkaTopic> {
  const { autoCreatePartitions } = client.shared.limits;
  checkName(name);
  if (!request.allowAutoTopicCreation || autoCreatePartitions === 0)
    throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'There is no such topic.');
  return createTopic(client, { name, partitions: autoCreatePartitions, configs: [] }, 'if-missing');
}

function describe(client: Client, request: MetadataRequest, { name, id, partitions }: KafkaTopic): TopicMetadata {
  return {
    errorCode: ERROR.NONE,
    name,
    topicId: id,
    partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
      errorCode: ERROR.NONE,
      partitionIndex,
      leaderId: NODE_ID,
      leaderEpoch: LEADER_EPOCH,
      replicaNodes: [NODE_ID],
      isrNodes: [NODE_ID],
    })),
    ...operationsOn(client, request, name),
  };
}

function operationsOn(
  client: Client,
  { includeTopicAuthorizedOperations }: MetadataRequest,
  name: string,
): Pick<TopicMetadata, 'topicAuthorizedOperations'> | undefined {
  if (!includeTopicAuthorizedOperations) return undefined;
  return { topicAuthorizedOperations: authorizedOperations(client, 'topic', name) };
}
