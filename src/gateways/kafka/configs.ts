import type { Retention, TopicPolicy } from '../../core/policy.ts';
import { KafkaError } from './errors.ts';
import { TIMESTAMP_TYPE } from './topics.ts';

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

type Apply = (settings: TopicSettings, value: string) => void;

/** The configs of a topic that mean something here. Every other is refused: what is accepted is enforced. */
export const TOPIC_CONFIGS: ReadonlyMap<string, Apply> = new Map<string, Apply>([
  ['retention.ms', ({ policy }, value) => (policy.retain.ageMs = orNever('retention.ms', value))],
  ['retention.bytes', ({ policy }, value) => (policy.retain.bytes = orNever('retention.bytes', value))],
  ['max.message.bytes', ({ policy }, value) => (policy.maxMessageBytes = whole('max.message.bytes', value, 1))],
  ['cleanup.policy', ({ policy }, value) => cleanup(policy.retain, value)],
  [
    TIMESTAMP_TYPE,
    ({ attributes }, value) =>
      (attributes[TIMESTAMP_TYPE] = oneOf(TIMESTAMP_TYPE, value, ['CreateTime', 'LogAppendTime'])),
  ],
  ['compression.type', (_settings, value) => void oneOf('compression.type', value, ['producer'])],
  ['min.insync.replicas', (_settings, value) => void oneOf('min.insync.replicas', value, ['1'])],
]);

/** @throws INVALID_CONFIG */
export function toTopic(configs: readonly Config[]): TopicSettings {
  const settings: TopicSettings = { policy: { retain: {} }, attributes: {} };
  for (const { name, value } of configs) {
    const apply = TOPIC_CONFIGS.get(name);
    if (apply === undefined)
      throw new KafkaError(
        'INVALID_CONFIG',
        `The config ${JSON.stringify(name)} means nothing here; known are ${[...TOPIC_CONFIGS.keys()].join(', ')}.`,
      );
    if (value !== null) apply(settings, value);
  }
  return settings;
}

function cleanup(retain: Partial<Retention>, value: string): void {
  const policies = value.split(',').map((each) => each.trim());
  for (const each of policies) oneOf('cleanup.policy', each, ['delete', 'compact']);
  retain.compact = policies.includes('compact');
  // A compacted topic keeps the newest of each key for ever, unless it says otherwise.
  if (!policies.includes('delete')) Object.assign(retain, { ageMs: null, bytes: null });
}

function orNever(name: string, value: string): number | null {
  const number = whole(name, value, -1);
  return number === -1 ? null : number;
}

function whole(name: string, value: string, least: number): number {
  const number = Number(value);
  if (value.trim() !== '' && Number.isSafeInteger(number) && number >= least) return number;
  throw new KafkaError(
    'INVALID_CONFIG',
    `${name} is ${JSON.stringify(value)}; it must be a whole number from ${least}.`,
  );
}

function oneOf(name: string, value: string, allowed: readonly string[]): string {
  if (allowed.includes(value)) return value;
  throw new KafkaError('INVALID_CONFIG', `${name} is ${JSON.stringify(value)}; it must be ${allowed.join(' or ')}.`);
}
