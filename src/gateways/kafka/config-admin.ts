import { demand, onceAllowed } from './access.ts';
import { type Client, type Handlers, NODE_ID } from './client.ts';
import {
  type Config,
  CONFIG_SOURCE,
  CONFIG_TYPE,
  DEFAULT_RETENTION,
  listOf,
  TOPIC_CONFIGS,
  topicConfig,
  toTopic,
} from './configs.ts';
import { asKafkaError, ERROR, KafkaError } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { alterConfigs, describeConfigs, incrementalAlterConfigs } from './messages/configs.ts';
import { SHARE_CONFIGS, shareConfig, type ShareConfigs } from './share/configs.ts';
import type { KafkaTopic } from './topics.ts';

type Asked = RequestOf<typeof describeConfigs>['resources'][number];
type Described = ResponseOf<typeof describeConfigs>['results'][number];
type Entry = Described['configs'][number];
type Answer = ResponseOf<typeof alterConfigs>['responses'][number];
type Change = RequestOf<typeof incrementalAlterConfigs>['resources'][number]['configs'][number];

/** As the protocol numbers them. */
const RESOURCE = { topic: 2, broker: 4, group: 32 } as const;
const OPERATION = { set: 0, delete: 1, append: 2, subtract: 3 } as const;

interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
}

export const configAdmin: Handlers<'describeConfigs' | 'alterConfigs' | 'incrementalAlterConfigs'> = {
  async describeConfigs(client, { resources, includeSynonyms }) {
    const synonyms = includeSynonyms ? 'with-synonyms' : 'plain';
    return { results: await client.shared.turns.each(resources, (resource) => describe(client, resource, synonyms)) };
  },

  /** What is not named goes back to its default. */
  async alterConfigs(client, { resources, validateOnly }) {
    const how = validateOnly ? 'check' : 'change';
    return {
      responses: await client.shared.turns.each(resources, (resource) =>
        answer(resource, () =>
          resource.resourceType === RESOURCE.group
            ? changeGroup(client, resource.resourceName, how, () => resource.configs)
            : change(client, resource, how, () => resource.configs),
        ),
      ),
    };
  },

  async incrementalAlterConfigs(client, { resources, validateOnly }) {
    const how = validateOnly ? 'check' : 'change';
    return {
      responses: await client.shared.turns.each(resources, (resource) =>
        answer(resource, () =>
          resource.resourceType === RESOURCE.group
            ? changeGroup(client, resource.resourceName, how, (now) =>
                changed(new Map(Object.entries(now)), resource.configs, shareConfig),
              )
            : change(client, resource, how, (values) => changed(values, resource.configs, topicConfig)),
        ),
      ),
    };
  },
};

async function answer({ resourceType, resourceName }: Resource, act: () => Promise<void>): Promise<Answer> {
  try {
    await act();
    return { errorCode: ERROR.NONE, errorMessage: null, resourceType, resourceName };
  } catch (error) {
    const { code, message } = asKafkaError(error);
    return { errorCode: code, errorMessage: message, resourceType, resourceName };
  }
}

async function describe(
  client: Client,
  { resourceType, resourceName, configurationKeys }: Asked,
  synonyms: 'with-synonyms' | 'plain',
): Promise<Described> {
  let configs: Entry[] = [];
  const { errorCode, errorMessage } = await answer({ resourceType, resourceName }, async () => {
    const all =
      resourceType === RESOURCE.broker
        ? brokerConfigs(client, resourceName)
        : resourceType === RESOURCE.group
          ? groupConfigs(await configsOfGroup(client, resourceName, 'describeConfigs'), synonyms)
          : topicConfigs(await topicOf(client, { resourceType, resourceName }, 'describeConfigs'), synonyms);
    configs = all.filter(({ name }) => configurationKeys === null || configurationKeys.includes(name));
  });
  return { errorCode, errorMessage, resourceType, resourceName, configs };
}

/** @throws KafkaError for what is no topic, or is not allowed */
function demandTopic(
  client: Client,
  { resourceType, resourceName: name }: Resource,
  operation: 'describeConfigs' | 'alterConfigs',
): void {
  if (resourceType !== RESOURCE.topic)
    throw new KafkaError('INVALID_REQUEST', `Resources of type ${resourceType} have no configs here that can change.`);
  demand(client, operation, 'topic', name);
}

/** @throws KafkaError, also for one that is not there */
async function topicOf(
  client: Client,
  resource: Resource,
  operation: 'describeConfigs' | 'alterConfigs',
): Promise<KafkaTopic> {
  demandTopic(client, resource, operation);
  const name = resource.resourceName;
  const topic = await client.shared.topics.find(name);
  if (topic === undefined)
    throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `There is no topic ${JSON.stringify(name)}.`);
  return topic;
}

function topicConfigs(topic: KafkaTopic, synonyms: 'with-synonyms' | 'plain'): Entry[] {
  return [...TOPIC_CONFIGS].map(([name, config]) =>
    settable(name, config, config.read(topic), CONFIG_SOURCE.topic, synonyms),
  );
}

function groupConfigs(configs: ShareConfigs, synonyms: 'with-synonyms' | 'plain'): Entry[] {
  return [...SHARE_CONFIGS].map(([name, config]) =>
    settable(name, config, configs[name] ?? config.byDefault, CONFIG_SOURCE.group, synonyms),
  );
}

function settable(
  name: string,
  { type, byDefault }: { type: keyof typeof CONFIG_TYPE; byDefault: string },
  value: string,
  source: number,
  synonyms: 'with-synonyms' | 'plain',
): Entry {
  const isDefault = value === byDefault;
  const sources = [
    ...(isDefault ? [] : [{ name, value, source }]),
    { name, value: byDefault, source: CONFIG_SOURCE.byDefault },
  ];
  return {
    name,
    value,
    readOnly: false,
    isDefault,
    configSource: isDefault ? CONFIG_SOURCE.byDefault : source,
    isSensitive: false,
    synonyms: synonyms === 'plain' ? [] : sources,
    configType: CONFIG_TYPE[type],
    documentation: null,
  };
}

/** What Kafka says of the broker and is true of this one. Nothing of it can change while it runs. */
function brokerConfigs(client: Client, name: string): Entry[] {
  demand(client, 'describeConfigs', 'cluster');
  // What was set for all brokers at once: nothing.
  if (name === '') return [];
  if (name !== String(NODE_ID))
    throw new KafkaError('INVALID_REQUEST', `There is no broker ${JSON.stringify(name)}, only ${NODE_ID}.`);
  const { autoCreatePartitions, maxRequestBytes, offsetsRetentionMs } = client.shared.limits;
  const known: [string, string, keyof typeof CONFIG_TYPE][] = [
    ['broker.id', String(NODE_ID), 'int'],
    ['auto.create.topics.enable', String(autoCreatePartitions > 0), 'boolean'],
    ['num.partitions', String(Math.max(1, autoCreatePartitions)), 'int'],
    ['default.replication.factor', '1', 'int'],
    ['delete.topic.enable', 'true', 'boolean'],
    ['socket.request.max.bytes', String(maxRequestBytes), 'int'],
    ['offsets.retention.minutes', String(Math.ceil(offsetsRetentionMs / 60_000)), 'int'],
    ['log.retention.ms', String(DEFAULT_RETENTION.ageMs), 'long'],
  ];
  return known.map(([name, value, type]) => ({
    name,
    value,
    readOnly: true,
    isDefault: false,
    configSource: CONFIG_SOURCE.staticBroker,
    isSensitive: false,
    configType: CONFIG_TYPE[type],
    documentation: null,
  }));
}

async function change(
  client: Client,
  resource: Resource,
  how: 'check' | 'change',
  configsFor: (now: ReadonlyMap<string, string>) => readonly Config[],
): Promise<void> {
  demandTopic(client, resource, 'alterConfigs');
  const found = await client.shared.topics.find(resource.resourceName);
  const configs = configsFor(found === undefined ? DEFAULTS : valuesOf(found));
  if (new Set(configs.map(({ name }) => name)).size < configs.length)
    throw new KafkaError('INVALID_REQUEST', 'A request names a config twice.');
  // What was declared and is no config of this protocol stays.
  const { policy, attributes } = toTopic(withDefaults(configs));
  const topic = found ?? (await topicOf(client, resource, 'alterConfigs'));
  if (how === 'check') return;
  const session = await onceAllowed(client, 'alterConfigs', 'topic', topic.name);
  const { definition } = await session.request('declareTopic', {
    name: topic.name,
    kind: 'topic',
    policy: { ...policy, retain: { ...topic.policy.retain, ...policy.retain } },
    attributes: { ...topic.attributes, ...attributes },
    ifDifferent: 'update',
  });
  client.shared.topics.remember(definition);
}

/** @throws KafkaError for what may not be done with a group */
async function configsOfGroup(
  client: Client,
  groupId: string,
  operation: 'describeConfigs' | 'alterConfigs',
): Promise<ShareConfigs> {
  if (groupId === '') throw new KafkaError('INVALID_REQUEST', 'A group has a name.');
  demand(client, operation, 'group', groupId);
  return client.shared.shareSubscriptions.configsOf(groupId);
}

async function changeGroup(
  client: Client,
  groupId: string,
  how: 'check' | 'change',
  configsFor: (now: ShareConfigs) => readonly Config[],
): Promise<void> {
  const configs: Record<string, string> = {};
  for (const { name, value } of configsFor(await configsOfGroup(client, groupId, 'alterConfigs'))) {
    const config = shareConfig(name);
    if (value === null) continue;
    config.check(value);
    configs[name] = value;
  }
  if (how === 'change') await client.shared.shareSubscriptions.configure(groupId, configs);
}

const DEFAULTS: ReadonlyMap<string, string> = new Map(
  [...TOPIC_CONFIGS].map(([name, { byDefault }]) => [name, byDefault]),
);

function withDefaults(configs: readonly Config[]): Config[] {
  const all = new Map<string, string | null>(DEFAULTS);
  for (const { name, value } of configs) all.set(name, value ?? all.get(name) ?? null);
  return [...all].map(([name, value]) => ({ name, value }));
}

function valuesOf(topic: KafkaTopic): Map<string, string> {
  return new Map([...TOPIC_CONFIGS].map(([name, { read }]) => [name, read(topic)]));
}

/** What there is, with some of it changed. */
function changed(
  before: ReadonlyMap<string, string>,
  changes: readonly Change[],
  configNamed: (name: string) => { readonly type: keyof typeof CONFIG_TYPE },
): Config[] {
  const now = new Map<string, string | null>(before);
  const seen = new Set<string>();
  for (const { name, configOperation, value } of changes) {
    // What is not known has no value that could be taken away.
    if (configOperation === OPERATION.delete && !before.has(name)) continue;
    const { type } = configNamed(name);
    if (seen.has(name)) throw new KafkaError('INVALID_REQUEST', `A request changes ${name} twice.`);
    seen.add(name);
    if (configOperation === OPERATION.delete) now.set(name, null);
    else if (value === null) throw new KafkaError('INVALID_REQUEST', `A new value for ${name} is missing.`);
    else if (configOperation === OPERATION.set) now.set(name, value);
    else if (type === 'list') now.set(name, listed(now.get(name) ?? '', configOperation, value));
    else throw new KafkaError('INVALID_CONFIG', `${name} is no list: it can be set and deleted.`);
  }
  return [...now].map(([name, value]) => ({ name, value }));
}

function listed(before: string, operation: number, value: string): string {
  const values = listOf(value);
  if (operation === OPERATION.append) return [...new Set([...listOf(before), ...values])].join(',');
  if (operation === OPERATION.subtract)
    return listOf(before)
      .filter((each) => !values.includes(each))
      .join(',');
  throw new KafkaError('INVALID_REQUEST', `The operation ${operation} on a config is not known.`);
}
