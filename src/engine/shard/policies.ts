import { RailheadError } from '../../core/errors.ts';
import {
  DELETE_RETENTION_MS,
  OVERFLOWS,
  type Retention,
  type SubscriptionPolicy,
  type TopicPolicy,
} from '../../core/policy.ts';
import { DEFAULT_LIMITS, type Limits } from '../limits.ts';
import { compileFilter } from '../routing/filter.ts';

// What a declare may say of a policy. What it leaves out stays as it is.

/** Where a policy says nothing. */
export const COMPACTION = {
  compactLagMs: 0,
  maxCompactLagMs: null,
  deleteRetentionMs: DELETE_RETENTION_MS,
} as const satisfies Partial<Retention>;

/** @throws INVALID */
export function topicPolicy(
  base: TopicPolicy,
  partial: Partial<TopicPolicy> = {},
  limits: Pick<Limits, 'maxPartitions' | 'maxMessageBytes'> = DEFAULT_LIMITS,
): TopicPolicy {
  onlyKnown(partial, base, 'topic');
  const policy: TopicPolicy = { ...base, ...partial, retain: retention(base.retain, partial.retain) };
  whole('partitions', policy.partitions, 1, limits.maxPartitions);
  wholeOrNull('retain.ageMs', policy.retain.ageMs, 0);
  wholeOrNull('retain.bytes', policy.retain.bytes, 1);
  if (!['fsync', 'write', 'memory'].includes(policy.durability))
    refuse('durability', policy.durability, "allowed are 'fsync', 'write' and 'memory'");
  wholeOrNull('maxMessages', policy.maxMessages, 0);
  wholeOrNull('maxBytes', policy.maxBytes, 0);
  if (!OVERFLOWS.includes(policy.overflow)) refuse('overflow', policy.overflow, `allowed are ${OVERFLOWS.join(', ')}`);
  rate('publishRate', policy.publishRate);
  wholeOrNull('ttlMs', policy.ttlMs, 0);
  wholeOrNull('expireUnusedMs', policy.expireUnusedMs, 1);
  wholeOrNull('dedupeWindowMs', policy.dedupeWindowMs, 1);
  whole('maxMessageBytes', policy.maxMessageBytes, 1, limits.maxMessageBytes);
  return policy;
}

/** What is as by default is left out, so that the same policy is found to be the same. @throws INVALID */
function retention(base: Retention, partial: Partial<Retention> = {}): Retention {
  const { untilSettled, ageMs, bytes, compact } = base;
  onlyKnown(partial, { untilSettled, ageMs, bytes, compact, ...COMPACTION }, 'retain');
  const { compactLagMs, maxCompactLagMs, deleteRetentionMs, ...rest } = { ...COMPACTION, ...base, ...partial };
  whole('retain.compactLagMs', compactLagMs, 0, Number.MAX_SAFE_INTEGER);
  wholeOrNull('retain.maxCompactLagMs', maxCompactLagMs, Math.max(1, compactLagMs));
  whole('retain.deleteRetentionMs', deleteRetentionMs, 0, Number.MAX_SAFE_INTEGER);
  return {
    ...rest,
    ...(compactLagMs !== COMPACTION.compactLagMs && { compactLagMs }),
    ...(maxCompactLagMs !== COMPACTION.maxCompactLagMs && { maxCompactLagMs }),
    ...(deleteRetentionMs !== COMPACTION.deleteRetentionMs && { deleteRetentionMs }),
  };
}

/** @throws INVALID */
export function subscriptionPolicy(
  base: SubscriptionPolicy,
  partial: Partial<SubscriptionPolicy> = {},
): SubscriptionPolicy {
  onlyKnown(partial, base, 'subscription');
  const policy: SubscriptionPolicy = { ...base, ...partial, backoff: { ...base.backoff, ...partial.backoff } };
  if (!['fifo', 'strict', 'key', 'fair'].includes(policy.order))
    refuse('order', policy.order, "allowed are 'fifo', 'strict', 'key' and 'fair'");
  whole('priorities', policy.priorities, 1, 256);
  whole('defaultPriority', policy.defaultPriority, 0, policy.priorities - 1);
  if (policy.priorities > 1 && policy.order === 'fair')
    refuse('order', 'fair', 'keys that take turns cannot have priorities too');
  if (policy.priorities > 1 && policy.order === 'strict')
    refuse('order', 'strict', 'a strict order cannot have priorities too');
  whole('leaseMs', policy.leaseMs, 1, 12 * 3_600_000);
  whole('maxAttempts', policy.maxAttempts, 0, 1_000_000);
  whole('maxCrashes', policy.maxCrashes, 0, 1_000_000);
  if (!['none', 'fixed', 'linear', 'exponential'].includes(policy.backoff.type))
    refuse('backoff.type', policy.backoff.type, "allowed are 'none', 'fixed', 'linear' and 'exponential'");
  whole('backoff.minMs', policy.backoff.minMs, 0, Number.MAX_SAFE_INTEGER);
  whole('backoff.maxMs', policy.backoff.maxMs, policy.backoff.minMs, Number.MAX_SAFE_INTEGER);
  if (typeof policy.deadLetter === 'object' && policy.deadLetter !== null) {
    const { router, key, unrouted } = policy.deadLetter;
    onlyKnown(policy.deadLetter, { router, key, unrouted }, 'deadLetter');
    if (typeof router !== 'string') refuse('deadLetter.router', router, 'name a router');
    if (!['queue', 'drop'].includes(unrouted))
      refuse('deadLetter.unrouted', unrouted, "allowed are 'queue' and 'drop'");
    // In one order, so that the same policy is found to be the same.
    policy.deadLetter = { router, key, unrouted };
  }
  rate('consumeRate', policy.consumeRate);
  if (policy.filter !== null) compileFilter(policy.filter);
  wholeOrNull('maxInFlight', policy.maxInFlight, 1);
  whole('retainSettledMs', policy.retainSettledMs, 0, Number.MAX_SAFE_INTEGER);
  return policy;
}

export function refuse(name: string, got: unknown, allowed: string): never {
  throw new RailheadError('INVALID', `${name} is ${JSON.stringify(got)}; ${allowed}.`);
}

function whole(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    refuse(name, value, `allowed are whole numbers from ${min} to ${max}`);
}

function wholeOrNull(name: string, value: number | null, min: number): void {
  if (value !== null) whole(name, value, min, Number.MAX_SAFE_INTEGER);
}

function onlyKnown(partial: object, known: object, what: string): void {
  for (const name of Object.keys(partial)) {
    if (!Object.hasOwn(known, name))
      refuse(
        `The ${what} option ${JSON.stringify(name)}`,
        undefined,
        `it is not known; known are ${Object.keys(known).join(', ')}`,
      );
  }
}

function rate(name: string, value: { count: number; perMs: number } | null): void {
  if (value !== null && !(value.count > 0 && value.perMs > 0)) refuse(name, value, 'count and perMs must be above 0');
}
