import { DEFAULT_TOPIC, DELETE_RETENTION_MS, type Retention, type TopicPolicy } from '../../core/policy.ts';
import { KafkaError } from './errors.ts';
import { type KafkaTopic, TIMESTAMP_TYPE } from './topics.ts';

/** As it is sent: null takes the default. */
export interface Config {
  readonly name: string;
  readonly value: string | null;
}

const DAY_MS = 86_400_000;

/** Kafka keeps records for a week unless it is told otherwise. */
export const DEFAULT_RETENTION: Retention = { untilSettled: false, ageMs: 7 * DAY_MS, bytes: null, compact: false };

/** What a topic is made with: in words of the engine, and what this protocol alone knows. */
export interface TopicSettings {
  policy: Omit<Partial<TopicPolicy>, 'retain'> & { retain: Partial<Retention> };
  attributes: Record<string, string>;
}

/** As the protocol numbers the types of configs. */
export const CONFIG_TYPE = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7 } as const;

/** As the protocol numbers where a config is set. */
export const CONFIG_SOURCE = { topic: 1, staticBroker: 4, byDefault: 5, group: 8 } as const;

interface TopicConfig {
  readonly type: keyof typeof CONFIG_TYPE;
  /** Where nothing is said. */
  readonly byDefault: string;
  /** @throws INVALID_CONFIG */
  readonly apply: (settings: TopicSettings, value: string) => void;
  readonly read: (topic: Pick<KafkaTopic, 'policy' | 'attributes'>) => string;
}

/** A compacted topic keeps the newest of each key for ever, unless it says that it deletes as well. */
export function onlyCompacts({ compact, ageMs, bytes }: Retention): boolean {
  return compact && ageMs === null && bytes === null;
}

/** As Kafka says that there is no limit. */
const MAX_LONG = String(2n ** 63n - 1n);
const WEEK = String(DEFAULT_RETENTION.ageMs);

/**
 * The configs of a topic that mean something here, in the order in which they are applied. Every other is refused: what is
 * accepted is enforced.
 */
export const TOPIC_CONFIGS: ReadonlyMap<string, TopicConfig> = new Map<string, TopicConfig>([
  [
    'retention.ms',
    {
      type: 'long',
      byDefault: WEEK,
      apply: ({ policy }, value) => void (policy.retain.ageMs = orNever('retention.ms', value, 0)),
      read: ({ policy: { retain } }) => (onlyCompacts(retain) ? WEEK : shown(retain.ageMs ?? -1)),
    },
  ],
  [
    'retention.bytes',
    {
      type: 'long',
      byDefault: '-1',
      apply: ({ policy }, value) => void (policy.retain.bytes = orNever('retention.bytes', value, 1)),
      read: ({ policy }) => shown(policy.retain.bytes ?? -1),
    },
  ],
  [
    'max.message.bytes',
    {
      type: 'int',
      byDefault: String(DEFAULT_TOPIC.maxMessageBytes),
      apply: ({ policy }, value) => void (policy.maxMessageBytes = whole('max.message.bytes', value, 1)),
      read: ({ policy }) => String(policy.maxMessageBytes),
    },
  ],
  [
    // After those of retention, which it may overrule.
    'cleanup.policy',
    {
      type: 'list',
      byDefault: 'delete',
      apply: ({ policy }, value) => cleanup(policy.retain, value),
      read: ({ policy: { retain } }) =>
        onlyCompacts(retain) ? 'compact' : retain.compact ? 'compact,delete' : 'delete',
    },
  ],
  [
    TIMESTAMP_TYPE,
    {
      type: 'string',
      byDefault: 'CreateTime',
      apply: ({ attributes }, value) =>
        void (attributes[TIMESTAMP_TYPE] = oneOf(TIMESTAMP_TYPE, value, ['CreateTime', 'LogAppendTime'])),
      read: ({ attributes }) => attributes[TIMESTAMP_TYPE] ?? 'CreateTime',
    },
  ],
  [
    'min.compaction.lag.ms',
    {
      type: 'long',
      byDefault: '0',
      apply: ({ policy }, value) => void (policy.retain.compactLagMs = whole('min.compaction.lag.ms', value, 0)),
      read: ({ policy: { retain } }) => shown(retain.compactLagMs ?? 0),
    },
  ],
  [
    // After the shortest, than which it must not be shorter.
    'max.compaction.lag.ms',
    {
      type: 'long',
      byDefault: MAX_LONG,
      apply: ({ policy }, value) => void (policy.retain.maxCompactLagMs = longestLag(policy.retain, value)),
      read: ({ policy: { retain } }) => shown(retain.maxCompactLagMs ?? Number.MAX_SAFE_INTEGER),
    },
  ],
  [
    'delete.retention.ms',
    {
      type: 'long',
      byDefault: String(DELETE_RETENTION_MS),
      apply: ({ policy }, value) => void (policy.retain.deleteRetentionMs = whole('delete.retention.ms', value, 0)),
      read: ({ policy: { retain } }) => shown(retain.deleteRetentionMs ?? DELETE_RETENTION_MS),
    },
  ],
  ['segment.bytes', granularity('segment.bytes', 'int', '1073741824', { least: 1_048_576, most: 2 ** 31 - 1 })],
  ['segment.ms', granularity('segment.ms', 'long', WEEK, { least: 1, most: Number.MAX_SAFE_INTEGER })],
  ['min.cleanable.dirty.ratio', fixed('min.cleanable.dirty.ratio', 'double', '0.5')],
  ['compression.type', fixed('compression.type', 'string', 'producer')],
  ['min.insync.replicas', fixed('min.insync.replicas', 'int', '1')],
]);

/** How coarse retention and compaction may be, which they never are here: what was said is only told again. */
function granularity(
  name: string,
  type: TopicConfig['type'],
  byDefault: string,
  { least, most }: { least: number; most: number },
): TopicConfig {
  return {
    type,
    byDefault,
    apply: ({ attributes }, value) => {
      const number = whole(name, value, least);
      if (number > most) throw new KafkaError('INVALID_CONFIG', `${name} is ${number}; it must be ${most} at most.`);
      attributes[name] = shown(number);
    },
    read: ({ attributes }) => attributes[name] ?? byDefault,
  };
}

/** May be said, as long as it says what happens anyway. */
function fixed(name: string, type: TopicConfig['type'], only: string): TopicConfig {
  return { type, byDefault: only, apply: (_settings, value) => void oneOf(name, value, [only]), read: () => only };
}

/** @throws INVALID_CONFIG */
export function topicConfig(name: string): TopicConfig {
  const config = TOPIC_CONFIGS.get(name);
  if (config !== undefined) return config;
  throw new KafkaError(
    'INVALID_CONFIG',
    `The config ${JSON.stringify(name)} means nothing here; known are ${[...TOPIC_CONFIGS.keys()].join(', ')}.`,
  );
}

/** @throws INVALID_CONFIG */
export function toTopic(configs: readonly Config[]): TopicSettings {
  for (const { name } of configs) topicConfig(name);
  const said = new Map(configs.map(({ name, value }) => [name, value]));
  const settings: TopicSettings = { policy: { retain: {} }, attributes: {} };
  for (const [name, { apply }] of TOPIC_CONFIGS) {
    const value = said.get(name) ?? null;
    if (value !== null) apply(settings, value);
  }
  return settings;
}

function cleanup(retain: Partial<Retention>, value: string): void {
  const policies = listOf(value);
  for (const each of policies) oneOf('cleanup.policy', each, ['delete', 'compact']);
  retain.compact = policies.includes('compact');
  if (!policies.includes('delete')) Object.assign(retain, { ageMs: null, bytes: null });
}

export function listOf(value: string): string[] {
  return value.split(',').map((each) => each.trim());
}

function longestLag({ compactLagMs = 0 }: Partial<Retention>, value: string): number | null {
  const number = whole('max.compaction.lag.ms', value, 1);
  const longest = number === Number.MAX_SAFE_INTEGER ? null : number;
  if (longest !== null && longest < compactLagMs)
    throw new KafkaError(
      'INVALID_CONFIG',
      `max.compaction.lag.ms is ${longest}, which is less than min.compaction.lag.ms, ${compactLagMs}.`,
    );
  return longest;
}

/** With -1 there is no limit. */
function orNever(name: string, value: string, least: number): number | null {
  return value.trim() === '-1' ? null : whole(name, value, least);
}

function shown(number: number): string {
  return number === Number.MAX_SAFE_INTEGER ? MAX_LONG : String(number);
}

function whole(name: string, value: string, least: number): number {
  const text = value.trim();
  // What is longer than anybody will wait for is said so.
  const number = text === MAX_LONG ? Number.MAX_SAFE_INTEGER : /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(number) && number >= least) return number;
  throw new KafkaError(
    'INVALID_CONFIG',
    `${name} is ${JSON.stringify(value)}; it must be a whole number from ${least}.`,
  );
}

function oneOf(name: string, value: string, allowed: readonly string[]): string {
  if (allowed.includes(value)) return value;
  throw new KafkaError('INVALID_CONFIG', `${name} is ${JSON.stringify(value)}; it must be ${allowed.join(' or ')}.`);
}
