import { allowed } from './access.ts';
import { type Client, type Handlers, NODE_ID } from './client.ts';
import { asKafkaError, ERROR, KafkaError } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { alterPartitionReassignments } from './messages/reassignments.ts';

type Asked = RequestOf<typeof alterPartitionReassignments>['topics'][number];
type Answer = ResponseOf<typeof alterPartitionReassignments>['responses'][number];

const FORBIDDEN = {
  errorCode: ERROR.CLUSTER_AUTHORIZATION_FAILED,
  errorMessage: 'Not allowed to move partitions of the cluster.',
};

/** A cluster of one broker, as Kafka is one: every partition is where it is to be, and nothing moves. */
export const reassignmentAdmin: Handlers<
  'alterPartitionReassignments' | 'listPartitionReassignments' | 'electLeaders'
> = {
  /** Of all partitions only those are told of that were not led as they are to be: there are none. */
  async electLeaders(client, { topicPartitions }) {
    if (!allowed(client, 'alter', 'cluster'))
      return { errorCode: ERROR.CLUSTER_AUTHORIZATION_FAILED, replicaElectionResults: [] };
    const results = client.shared.turns.each(topicPartitions ?? [], async ({ topic, partitions }) => {
      const count = (await client.shared.topics.find(topic))?.partitions ?? 0;
      return { topic, partitionResult: partitions.map((partition) => election(partition, count)) };
    });
    return { errorCode: ERROR.NONE, replicaElectionResults: await results };
  },

  async alterPartitionReassignments(client, { topics, allowReplicationFactorChange }) {
    if (!allowed(client, 'alter', 'cluster')) return { ...FORBIDDEN, responses: [] };
    const responses = await client.shared.turns.each(topics, (topic) => reassign(client, topic));
    return { allowReplicationFactorChange, errorCode: ERROR.NONE, responses };
  },

  listPartitionReassignments(client) {
    if (!allowed(client, 'describe', 'cluster')) return { ...FORBIDDEN, topics: [] };
    return { errorCode: ERROR.NONE, topics: [] };
  },
};

function election(partitionId: number, partitions: number) {
  return partitionId >= 0 && partitionId < partitions
    ? { partitionId, errorCode: ERROR.ELECTION_NOT_NEEDED, errorMessage: 'Its one broker leads it.' }
    : { partitionId, errorCode: ERROR.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: 'There is no such partition.' };
}

async function reassign({ shared }: Client, { name, partitions }: Asked): Promise<Answer> {
  const topic = await shared.topics.find(name);
  const answers = partitions.map(({ partitionIndex, replicas }) => {
    try {
      if (topic === undefined)
        throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `There is no topic ${JSON.stringify(name)}.`);
      if (partitionIndex < 0 || partitionIndex >= topic.partitions)
        throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `There is no partition ${partitionIndex} of it.`);
      if (replicas === null)
        throw new KafkaError('NO_REASSIGNMENT_IN_PROGRESS', 'The partition is not being moved: nothing to cancel.');
      checkReplicas(replicas);
      return { partitionIndex, errorCode: ERROR.NONE };
    } catch (error) {
      const { code: errorCode, message: errorMessage } = asKafkaError(error);
      return { partitionIndex, errorCode, errorMessage };
    }
  });
  return { name, partitions: answers };
}

/** @throws KafkaError for anything but the one broker, once */
function checkReplicas(replicas: readonly number[]): void {
  if (replicas.length === 1 && replicas[0] === NODE_ID) return;
  throw new KafkaError(
    'INVALID_REPLICA_ASSIGNMENT',
    `A partition on the brokers [${replicas.slice(0, 16).join(', ')}]; there is one, ${NODE_ID}, with one copy of each.`,
  );
}
