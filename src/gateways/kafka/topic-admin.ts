import { DEFAULT_TOPIC, type TopicPolicy } from '../../core/policy.ts';
import type { Declaration } from '../../core/declaration.ts';
import { demand, mayCreate, maySee, onceAllowed } from './access.ts';
import { type Client, type Handlers, NODE_ID } from './client.ts';
import { type Config, CONFIG_SOURCE, DEFAULT_RETENTION, TOPIC_CONFIGS, toTopic } from './configs.ts';
import { asKafkaError, ERROR, KafkaError } from './errors.ts';
import { RailheadError } from '../../core/errors.ts';
import { NO_UUID, type RequestOf, type ResponseOf } from './fields.ts';
import type { createPartitions, createTopics, deleteTopics } from './messages/admin.ts';
import type { KafkaTopic } from './topics.ts';

type Asked = RequestOf<typeof createTopics>['topics'][number];
type Created = ResponseOf<typeof createTopics>['topics'][number];
type Growth = RequestOf<typeof createPartitions>['topics'][number];
type Grown = ResponseOf<typeof createPartitions>['results'][number];
type Deleted = ResponseOf<typeof deleteTopics>['responses'][number];

const LEGAL_NAME = /^[a-zA-Z0-9._-]{1,249}$/;

export const topicAdmin: Handlers<'createTopics' | 'createPartitions' | 'deleteTopics'> = {
  async createTopics(client, { topics, validateOnly }) {
    const repeated = namedTwice(topics);
    const how = validateOnly ? 'check' : 'create';
    const answers = client.shared.turns.each(eachOnce(topics), (topic) =>
      createOne(client, topic, !repeated.has(topic.name), how),
    );
    return { topics: await answers };
  },

  async createPartitions(client, { topics, validateOnly }) {
    const repeated = namedTwice(topics);
    const how = validateOnly ? 'check' : 'create';
    const answers = client.shared.turns.each(eachOnce(topics), (topic) =>
      growOne(client, topic, !repeated.has(topic.name), how),
    );
    return { results: await answers };
  },

  async deleteTopics(client, { topics, topicNames }, version) {
    const asked: readonly { name: string | null; topicId: string }[] =
      version >= 6 ? topics : topicNames.map((name) => ({ name, topicId: NO_UUID }));
    return { responses: await client.shared.turns.each(asked, (topic) => deleteOne(client, topic)) };
  },
};

function namedTwice(topics: readonly { name: string }[]): Set<string> {
  const [once, twice] = [new Set<string>(), new Set<string>()];
  for (const { name } of topics) (once.has(name) ? twice : once).add(name);
  return twice;
}

/** One that is named twice is answered once. */
function eachOnce<T extends { name: string }>(topics: readonly T[]): T[] {
  return [...new Map(topics.map((topic) => [topic.name, topic])).values()];
}

async function createOne(client: Client, asked: Asked, isAlone: boolean, how: 'check' | 'create'): Promise<Created> {
  const { name } = asked;
  try {
    if (!isAlone) throw new KafkaError('INVALID_REQUEST', 'A request names this topic twice.');
    demandCreation(client, name);
    // Kafka looks at the name, then at the configs, and at the partitions last.
    await assertNew(client, name);
    toTopic(asked.configs);
    const wanted = {
      name,
      partitions: partitionsOf(asked, client.shared.limits.autoCreatePartitions),
      configs: asked.configs,
    };
    if (how === 'check') {
      const { policy, attributes } = settingsOf(wanted);
      return created({ name, id: NO_UUID, policy: { ...DEFAULT_TOPIC, ...policy }, attributes });
    }
    return created(await createTopic(client, wanted, 'must-be-new'));
  } catch (error) {
    const { code, message } = asKafkaError(error);
    return { name, topicId: NO_UUID, errorCode: code, errorMessage: message };
  }
}

/** With its configs, without which Kafka's own client takes nothing for created. */
function created(topic: Pick<KafkaTopic, 'name' | 'id' | 'policy' | 'attributes'>): Created {
  const { name, id: topicId, policy } = topic;
  const configs = [...TOPIC_CONFIGS].map(([config, { byDefault, read }]) => {
    const value = read(topic);
    const configSource = value === byDefault ? CONFIG_SOURCE.byDefault : CONFIG_SOURCE.topic;
    return { name: config, value, readOnly: false, configSource, isSensitive: false };
  });
  const { partitions: numPartitions } = policy;
  return { name, topicId, errorCode: ERROR.NONE, errorMessage: null, numPartitions, replicationFactor: 1, configs };
}

/** Every partition has one copy, here. */
function partitionsOf({ numPartitions, replicationFactor, assignments }: Asked, byDefault: number): number {
  if (assignments.length > 0) {
    const indexes = assignments.map(({ partitionIndex }) => partitionIndex).sort((a, b) => a - b);
    const isHere = assignments.every(({ brokerIds }) => brokerIds.length === 1 && brokerIds[0] === NODE_ID);
    if (!isHere || indexes.some((index, i) => index !== i))
      throw new KafkaError(
        'INVALID_REPLICA_ASSIGNMENT',
        `Partitions count from 0, and each is on broker ${NODE_ID} alone.`,
      );
    return assignments.length;
  }
  if (numPartitions !== -1 && numPartitions < 1)
    throw new KafkaError('INVALID_PARTITIONS', 'A topic has at least one partition.');
  if (replicationFactor !== -1 && replicationFactor !== 1)
    throw new KafkaError(
      'INVALID_REPLICATION_FACTOR',
      `A replication factor of ${replicationFactor} is larger than the one broker that there is. Leave it out, or write 1.`,
    );
  return numPartitions === -1 ? Math.max(1, byDefault) : numPartitions;
}

async function assertNew(client: Client, name: string): Promise<void> {
  checkName(name);
  if ((await client.shared.topics.find(name)) !== undefined)
    throw new KafkaError('TOPIC_ALREADY_EXISTS', `Topic ${JSON.stringify(name)} exists.`);
}

/** @throws KafkaError */
export function checkName(name: string): void {
  if (!LEGAL_NAME.test(name) || name === '.' || name === '..')
    throw new KafkaError(
      'INVALID_TOPIC_EXCEPTION',
      `A topic cannot be named ${JSON.stringify(name.slice(0, 300))}; allowed are 1 to 249 of a-z, A-Z, 0-9, dot, underscore and dash.`,
    );
}

/** @throws KafkaError */
function demandCreation(client: Client, name: string): void {
  if (!mayCreate(client, name))
    throw new KafkaError('TOPIC_AUTHORIZATION_FAILED', `Not allowed to create ${JSON.stringify(name)}.`);
}

/** @throws KafkaError INVALID_CONFIG */
function settingsOf({ partitions, configs }: { partitions: number; configs: readonly Config[] }): {
  policy: Partial<TopicPolicy>;
  attributes: Record<string, string>;
} {
  const { policy, attributes } = toTopic(configs);
  return { policy: { ...policy, partitions, retain: { ...DEFAULT_RETENTION, ...policy.retain } }, attributes };
}

/** @throws KafkaError, and what the engine refuses */
export async function createTopic(
  client: Client,
  { name, partitions, configs }: { name: string; partitions: number; configs: readonly Config[] },
  how: 'must-be-new' | 'if-missing',
): Promise<KafkaTopic> {
  demandCreation(client, name);
  await (how === 'must-be-new' ? assertNew(client, name) : checkName(name));
  const { policy, attributes } = settingsOf({ partitions, configs });
  const declaration: Declaration = Object.keys(attributes).length > 0 ? { attributes } : {};
  const session = await client.shared.own();
  const { created, definition } = await session
    .request('declareTopic', { name, kind: 'topic', policy, ...declaration, ifDifferent: 'keep' })
    .catch((error: unknown) => {
      throw RailheadError.is(error, 'TOO_LARGE') ? new KafkaError('POLICY_VIOLATION', error.message) : error;
    });
  const topic = client.shared.topics.remember(definition);
  if (!created && how === 'must-be-new')
    throw new KafkaError('TOPIC_ALREADY_EXISTS', `Topic ${JSON.stringify(name)} exists.`);
  return topic;
}

async function growOne(client: Client, asked: Growth, isAlone: boolean, how: 'check' | 'create'): Promise<Grown> {
  const { name } = asked;
  try {
    if (!isAlone) throw new KafkaError('INVALID_REQUEST', 'A request names this topic twice.');
    await grow(client, asked, how);
    return { name, errorCode: ERROR.NONE, errorMessage: null };
  } catch (error) {
    const { code, message } = asKafkaError(error);
    return { name, errorCode: code, errorMessage: message };
  }
}

async function grow(client: Client, { name, count, assignments }: Growth, how: 'check' | 'create'): Promise<void> {
  const session = await onceAllowed(client, 'alter', 'topic', name);
  const topic = await client.shared.topics.find(name);
  if (topic === undefined)
    throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `There is no topic ${JSON.stringify(name)}.`);
  if (count <= topic.partitions)
    throw new KafkaError(
      'INVALID_PARTITIONS',
      `Topic ${JSON.stringify(name)} has ${topic.partitions} partitions; it can only get more, not ${count}.`,
    );
  const isHere = assignments?.every(({ brokerIds }) => brokerIds.length === 1 && brokerIds[0] === NODE_ID) ?? true;
  if (!isHere || (assignments !== null && assignments.length !== count - topic.partitions))
    throw new KafkaError(
      'INVALID_REPLICA_ASSIGNMENT',
      `Each of the ${count - topic.partitions} new partitions is on broker ${NODE_ID} alone.`,
    );
  if (how === 'check') return;
  const policy = { partitions: count };
  const wanted = { name, kind: 'topic', policy, ifDifferent: 'update' } as const;
  try {
    client.shared.topics.remember((await session.request('declareTopic', wanted)).definition);
  } catch (error) {
    // Too many, or it has got as many from somebody else meanwhile.
    if (!RailheadError.is(error, 'INVALID') && !RailheadError.is(error, 'POLICY_MISMATCH')) throw error;
    throw new KafkaError('INVALID_PARTITIONS', error.message);
  }
}

async function deleteOne(client: Client, asked: { name: string | null; topicId: string }): Promise<Deleted> {
  const { topics } = client.shared;
  const { topicId } = asked;
  let { name } = asked;
  try {
    if (name !== null) demand(client, 'delete', 'topic', name);
    const topic = name === null ? await topics.findById(topicId) : await topics.find(name);
    // Who may not see it is not told its name.
    if (topic !== undefined && maySee(client, topic.name)) name = topic.name;
    if (topic === undefined)
      throw new KafkaError(
        asked.name === null ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION',
        'There is no such topic.',
      );
    await (await onceAllowed(client, 'delete', 'topic', topic.name)).request('deleteTopic', { name: topic.name });
    topics.forget(topic.name);
    return { name, topicId: topic.id, errorCode: ERROR.NONE };
  } catch (error) {
    const { code, message } = asKafkaError(error);
    return { name, topicId, errorCode: code, errorMessage: message };
  }
}
