import type { SubscriptionPolicy } from '../../../core/policy.ts';
import type { StartAt } from '../../../core/session.ts';
import type { CONFIG_TYPE } from '../configs.ts';
import { KafkaError } from '../errors.ts';

/** What is set of a share group, by name; what is not here has its default. */
export type ShareConfigs = Readonly<Record<string, string>>;

interface ShareConfig {
  readonly type: keyof typeof CONFIG_TYPE;
  readonly byDefault: string;
  /** @throws KafkaError INVALID_CONFIG */
  readonly check: (value: string) => void;
}

const OFFSET_RESET = 'share.auto.offset.reset';
const LOCK_DURATION = 'share.record.lock.duration.ms';
const DELIVERY_LIMIT = 'share.delivery.count.limit';
const ISOLATION = 'share.isolation.level';
const BY_DURATION = 'by_duration:';

/** The configs of a share group that mean something here. Every other is refused: what is accepted is enforced. */
export const SHARE_CONFIGS: ReadonlyMap<string, ShareConfig> = new Map<string, ShareConfig>([
  [OFFSET_RESET, { type: 'string', byDefault: 'latest', check: (value) => void startOf(value, 0) }],
  [LOCK_DURATION, { type: 'int', byDefault: '30000', check: (value) => whole(LOCK_DURATION, value, 1_000, 3_600_000) }],
  [DELIVERY_LIMIT, { type: 'int', byDefault: '5', check: (value) => whole(DELIVERY_LIMIT, value, 1, 1_000) }],
  // What a transaction has not committed is handed to nobody.
  [ISOLATION, { type: 'string', byDefault: 'read_committed', check: onlyCommitted }],
]);

/** @throws KafkaError INVALID_CONFIG */
export function shareConfig(name: string): ShareConfig {
  const config = SHARE_CONFIGS.get(name);
  if (config !== undefined) return config;
  throw new KafkaError(
    'INVALID_CONFIG',
    `The config ${JSON.stringify(name)} of a group means nothing here; known are ${[...SHARE_CONFIGS.keys()].join(', ')}.`,
  );
}

function valueOf(configs: ShareConfigs, name: string): string {
  return configs[name] ?? shareConfig(name).byDefault;
}

export function lockMsOf(configs: ShareConfigs): number {
  return Number(valueOf(configs, LOCK_DURATION));
}

/** A record that is given back can be had again at once, as in Kafka; a subscription with a backoff is declared elsewhere. */
export function policyOf(configs: ShareConfigs): Partial<SubscriptionPolicy> {
  return {
    leaseMs: lockMsOf(configs),
    maxAttempts: Number(valueOf(configs, DELIVERY_LIMIT)),
    backoff: { type: 'none', minMs: 0, maxMs: 0, jitter: false },
  };
}

/** Where a group begins in a topic that it has not read. */
export function startAt(configs: ShareConfigs, now: number): StartAt {
  return startOf(valueOf(configs, OFFSET_RESET), now);
}

/** @throws KafkaError INVALID_CONFIG */
function startOf(value: string, now: number): StartAt {
  if (value === 'latest') return 'end';
  if (value === 'earliest') return 'start';
  const ms = value.startsWith(BY_DURATION) ? durationMs(value.slice(BY_DURATION.length)) : undefined;
  if (ms !== undefined) return { time: Math.max(0, now - ms) };
  throw new KafkaError(
    'INVALID_CONFIG',
    `${OFFSET_RESET} is ${JSON.stringify(value)}; it must be latest, earliest, or by_duration:PnDTnHnMn.nS.`,
  );
}

/** Of ISO 8601, what has the same length on every day. */
const DURATION = /^P(?:(\d{1,6})D)?(?:T(?:(\d{1,8})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?$/;

function durationMs(text: string): number | undefined {
  const parts: (string | undefined)[] = DURATION.exec(text)?.slice(1) ?? [];
  if (parts.every((part) => part === undefined)) return undefined;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = parts.map((part) => Number(part ?? 0));
  return Math.round((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000);
}

function whole(name: string, value: string, least: number, most: number): void {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= least && number <= most) return;
  throw new KafkaError(
    'INVALID_CONFIG',
    `${name} is ${JSON.stringify(value)}; it must be a whole number from ${least} to ${most}.`,
  );
}

function onlyCommitted(value: string): void {
  if (value === 'read_committed') return;
  throw new KafkaError('INVALID_CONFIG', `${ISOLATION} is ${JSON.stringify(value)}; it must be read_committed.`);
}
