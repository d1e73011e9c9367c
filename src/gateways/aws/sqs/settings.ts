import type { SubscriptionPolicy, TopicPolicy } from '../../../core/policy.ts';
import { AwsError } from '../errors.ts';
import { MAX_MESSAGE_BYTES } from '../message.ts';
import { parseArn } from '../names.ts';
import { BadPolicy } from '../policy/parts.ts';
import { parsePolicy } from '../policy/policy.ts';
import type { SqsLimits } from './limits.ts';

/**
 * What a queue can be told, as its attributes. They are kept with the queue in the engine as they were given, and what
 * the engine has a word for is in its policy besides.
 */

const DEDUPE_WINDOW_MS = 300_000;
/** Fields of a record beside what counts as its size. */
const RECORD_BYTES = 8192;

export type SettingName =
  | 'DelaySeconds'
  | 'MaximumMessageSize'
  | 'MessageRetentionPeriod'
  | 'ReceiveMessageWaitTimeSeconds'
  | 'VisibilityTimeout'
  | 'Policy'
  | 'RedrivePolicy'
  | 'RedriveAllowPolicy'
  | 'KmsMasterKeyId'
  | 'KmsDataKeyReusePeriodSeconds'
  | 'SqsManagedSseEnabled'
  | 'FifoQueue'
  | 'ContentBasedDeduplication'
  | 'DeduplicationScope'
  | 'FifoThroughputLimit';

interface Setting {
  /** When it was never set; undefined: then it is not shown. */
  default?: string;
  /** Of FIFO queues alone. */
  fifo?: true;
  /** Null when the value is one that it may have, else why not. */
  check(value: string, limits: SqsLimits): string | null;
}

function whole(fallback: number, range: (limits: SqsLimits) => readonly [min: number, max: number]): Setting {
  return {
    default: String(fallback),
    check(value, limits) {
      const [min, max] = range(limits);
      const good = /^\d{1,9}$/.test(value) && Number(value) >= min && Number(value) <= max;
      return good ? null : `it must be a whole number from ${min} to ${max}`;
    },
  };
}

function choice(...values: string[]): Setting {
  return { check: (value) => (values.includes(value) ? null : `it must be ${values.join(' or ')}`) };
}

export const SETTINGS: Readonly<Record<SettingName, Setting>> = {
  DelaySeconds: whole(0, ({ delaySeconds }) => [0, delaySeconds]),
  MaximumMessageSize: whole(MAX_MESSAGE_BYTES, () => [1024, MAX_MESSAGE_BYTES]),
  MessageRetentionPeriod: whole(345_600, (limits) => [limits.minRetentionSeconds, limits.retentionSeconds]),
  ReceiveMessageWaitTimeSeconds: whole(0, ({ waitSeconds }) => [0, waitSeconds]),
  VisibilityTimeout: whole(30, ({ visibilitySeconds }) => [0, visibilitySeconds]),
  Policy: { check: checkPolicy },
  RedrivePolicy: { check: (value) => (value === '' || redriveOf(value) !== undefined ? null : REDRIVE_FORM) },
  RedriveAllowPolicy: { check: (value) => (value === '' || allowOf(value) !== undefined ? null : ALLOW_FORM) },
  KmsMasterKeyId: { check: refuseEncryption },
  KmsDataKeyReusePeriodSeconds: { check: refuseEncryption },
  SqsManagedSseEnabled: {
    default: 'false',
    check: (value) => (value === 'false' ? null : 'this broker does not encrypt what it stores'),
  },
  FifoQueue: { ...choice('true'), fifo: true },
  ContentBasedDeduplication: { ...choice('true', 'false'), default: 'false', fifo: true },
  DeduplicationScope: { ...choice('queue', 'messageGroup'), default: 'queue', fifo: true },
  FifoThroughputLimit: { ...choice('perQueue', 'perMessageGroupId'), default: 'perQueue', fifo: true },
};

const REDRIVE_FORM = 'it must name deadLetterTargetArn and a maxReceiveCount from 1 to 1000';
const ALLOW_FORM =
  'redrivePermission must be allowAll, denyAll or byQueue, and byQueue needs one to ten sourceQueueArns';

function checkPolicy(value: string): string | null {
  try {
    if (value !== '') parsePolicy(value);
    return null;
  } catch (error) {
    if (error instanceof BadPolicy) return error.message;
    throw error;
  }
}

function refuseEncryption(value: string): string | null {
  return value === '' ? null : 'this broker does not encrypt what it stores';
}

function jsonOf(value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return undefined;
  }
}

function fieldsOf(value: string): ReadonlyMap<string, unknown> | undefined {
  // Most queues have none, and to throw is the larger part of making one.
  if (value === '') return undefined;
  const parsed = jsonOf(value);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
  return new Map(Object.entries(parsed));
}

export interface RedrivePolicy {
  arn: string;
  account: string;
  queue: string;
  maxReceiveCount: number;
}

export function redriveOf(value: string | undefined): RedrivePolicy | undefined {
  const fields = fieldsOf(value ?? '');
  const arn = fields?.get('deadLetterTargetArn');
  const count = Number(fields?.get('maxReceiveCount'));
  if (typeof arn !== 'string' || !Number.isInteger(count) || count < 1 || count > 1000) return undefined;
  const parsed = parseArn(arn, 'sqs');
  return parsed && { arn, account: parsed.account, queue: parsed.name, maxReceiveCount: count };
}

export interface RedriveAllowPolicy {
  permission: 'allowAll' | 'denyAll' | 'byQueue';
  sources: readonly string[];
}

export function allowOf(value: string | undefined): RedriveAllowPolicy | undefined {
  const fields = fieldsOf(value ?? '');
  const permission = fields?.get('redrivePermission');
  const sources: unknown = fields?.get('sourceQueueArns') ?? [];
  if (!Array.isArray(sources) || !sources.every((source) => typeof source === 'string')) return undefined;
  if (permission === 'byQueue')
    return sources.length >= 1 && sources.length <= 10 ? { permission, sources } : undefined;
  if (permission !== 'allowAll' && permission !== 'denyAll') return undefined;
  return sources.length === 0 ? { permission, sources } : undefined;
}

export function isSetting(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}

/** @throws InvalidAttributeName, InvalidAttributeValue */
export function checkSettings(given: ReadonlyMap<string, string>, kind: 'standard' | 'fifo', limits: SqsLimits): void {
  for (const [name, value] of given) {
    if (!isSetting(name) || (SETTINGS[name].fifo === true && kind === 'standard'))
      throw new AwsError('InvalidAttributeName', `Unknown Attribute ${name.slice(0, 100)}.`);
    const why = SETTINGS[name].check(value, limits);
    if (why !== null)
      throw new AwsError('InvalidAttributeValue', `Invalid value for the parameter ${name}. Reason: ${why}.`);
  }
  const scope = given.get('DeduplicationScope');
  if (given.get('FifoThroughputLimit') === 'perMessageGroupId' && scope !== undefined && scope !== 'messageGroup')
    throw new AwsError(
      'InvalidAttributeValue',
      'Invalid value for the parameter FifoThroughputLimit. Reason: perMessageGroupId needs the DeduplicationScope messageGroup.',
    );
}

/** What is in force, the defaults filled in. */
export class Settings {
  readonly #given: ReadonlyMap<string, string>;
  readonly delayMs: number;
  readonly waitSeconds: number;
  readonly visibilityMs: number;
  readonly maxBytes: number;
  readonly contentDedupe: boolean;
  readonly dedupeScope: 'queue' | 'messageGroup';

  constructor(given: ReadonlyMap<string, string>) {
    this.#given = given;
    this.delayMs = Number(this.of('DelaySeconds')) * 1000;
    this.waitSeconds = Number(this.of('ReceiveMessageWaitTimeSeconds'));
    this.visibilityMs = Number(this.of('VisibilityTimeout')) * 1000;
    this.maxBytes = Number(this.of('MaximumMessageSize'));
    this.contentDedupe = this.of('ContentBasedDeduplication') === 'true';
    this.dedupeScope = this.of('DeduplicationScope') === 'messageGroup' ? 'messageGroup' : 'queue';
  }

  /** Undefined when it has none and no default. Emptied is as if it had never been set. */
  of(name: SettingName): string | undefined {
    const given = this.#given.get(name);
    return given === undefined || given === '' ? SETTINGS[name].default : given;
  }

  get redrive(): RedrivePolicy | undefined {
    return redriveOf(this.of('RedrivePolicy'));
  }

  get redriveAllow(): RedriveAllowPolicy {
    return allowOf(this.of('RedriveAllowPolicy')) ?? { permission: 'allowAll', sources: [] };
  }

  topicPolicy(): Partial<TopicPolicy> {
    return {
      ttlMs: Number(this.of('MessageRetentionPeriod')) * 1000,
      maxMessageBytes: this.maxBytes + RECORD_BYTES,
      dedupeWindowMs: DEDUPE_WINDOW_MS,
    };
  }

  /** Without limit of receives, unless there is somewhere to go after it. */
  subscriptionPolicy(): Partial<SubscriptionPolicy> {
    const { redrive } = this;
    return {
      leaseMs: Math.max(1, this.visibilityMs),
      maxAttempts: redrive?.maxReceiveCount ?? 0,
      maxCrashes: 0,
      deadLetter: redrive?.queue ?? null,
      backoff: { type: 'none', minMs: 0, maxMs: 0, jitter: false },
    };
  }
}
