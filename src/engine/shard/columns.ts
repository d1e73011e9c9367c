import { RailheadError } from '../../core/errors.ts';
import type { Envelope } from '../../core/records.ts';
import type { Columns } from '../machine/backlog.ts';
import { stored } from '../machine/priorities.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import { compileFilter, type CompiledFilter } from '../routing/filter.ts';

const FAR_MS = 100 * 365.25 * 86_400_000;

/** What the engine has to know about messages beside their bodies, worked out once, when they are published. */
export interface Examined extends Columns {
  dedupeIds?: (string | undefined)[];
  excluded?: { topicId: number; subscriptionId: number; indexes: number[] }[];
}

/** Filters are compiled once for each policy object; a changed policy is a new object. */
const compiled = new WeakMap<object, CompiledFilter>();

export function filterOf(subscription: Subscription): CompiledFilter | null {
  const { filter } = subscription.policy;
  if (filter === null) return null;
  let match = compiled.get(filter);
  if (match === undefined) compiled.set(filter, (match = compileFilter(filter)));
  return match;
}

function needsKeys(topic: Topic): boolean {
  for (const { policy } of topic.subscriptions.values())
    if (policy.order === 'key' || policy.order === 'fair') return true;
  return false;
}

/** What a message counts as that names no priority; of topics 0. */
function usualPriority(topic: Topic): number {
  const [own] = topic.kind === 'queue' ? topic.subscriptions.values() : [];
  return own?.policy.defaultPriority ?? 0;
}

/**
 * True when nothing of what is published to the topic needs a look at single messages, so long as they are plain and
 * their partition is known.
 */
export function isPlainTopic(topic: Topic, keys: 'none' | 'unseen'): boolean {
  if (topic.policy.ttlMs !== null || topic.policy.retain.compact) return false;
  if (keys === 'unseen' && needsKeys(topic)) return false;
  for (const { policy } of topic.subscriptions.values()) if (policy.filter !== null) return false;
  return true;
}

/**
 * What clients publish to a compacted topic has keys. What is there already, or comes as a dead letter, may have none.
 *
 * @throws INVALID
 */
export function assertKeys(topic: Topic, envelopes: readonly Envelope[]): void {
  if (!topic.policy.retain.compact || envelopes.every(({ key }) => key !== undefined)) return;
  throw new RailheadError(
    'INVALID',
    `${JSON.stringify(topic.name)} keeps the newest message of each key (retain.compact); every message needs a key.`,
  );
}

/**
 * @param fresh false for messages that were published before (redrive): their delay is over, and only the topic's
 * expiry counts
 */
export function examine(topic: Topic, envelopes: readonly Envelope[], now: number, fresh: boolean): Examined {
  const count = envelopes.length;
  const examined: Examined = {};
  const withKeys = needsKeys(topic);
  const usual = usualPriority(topic);
  envelopes.forEach((envelope, i) => {
    const priority = stored(envelope.priority ?? usual, usual);
    if (priority > 0) (examined.priorities ??= new Uint8Array(count))[i] = priority;
    const due = fresh ? dueOf(envelope, now) : 0;
    if (due > now) (examined.due ??= new Float64Array(count))[i] = due;
    const expires = expiryOf(envelope, topic.policy.ttlMs, now, fresh);
    if (expires > 0) (examined.expires ??= new Float64Array(count))[i] = expires;
    if (withKeys && envelope.key !== undefined) mutableKeys(examined, count)[i] = envelope.key;
    if (envelope.dedupeId !== undefined) (examined.dedupeIds ??= emptyTexts(count))[i] = envelope.dedupeId;
  });
  for (const subscription of topic.subscriptions.values()) {
    const match = filterOf(subscription);
    if (match === null) continue;
    const indexes: number[] = [];
    envelopes.forEach((envelope, i) => {
      if (!match(envelope)) indexes.push(i);
    });
    if (indexes.length > 0)
      (examined.excluded ??= []).push({ topicId: topic.id, subscriptionId: subscription.id, indexes });
  }
  return examined;
}

function emptyTexts(count: number): (string | undefined)[] {
  return Array.from({ length: count }, () => undefined);
}

function mutableKeys(examined: Examined, count: number): (string | undefined)[] {
  const keys = (examined.keys ?? emptyTexts(count)) as (string | undefined)[];
  examined.keys = keys;
  return keys;
}

function dueOf({ delayMs, notBefore }: Envelope, now: number): number {
  const due = delayMs === undefined ? (notBefore ?? 0) : now + delayMs;
  if (!Number.isFinite(due) || due < 0 || due > now + FAR_MS) {
    throw new RailheadError('INVALID', `The delay ends at ${due}; allowed is any time within the next hundred years.`);
  }
  return due;
}

function expiryOf(envelope: Envelope, topicTtl: number | null, now: number, fresh: boolean): number {
  const own = fresh ? envelope.ttlMs : undefined;
  if (own !== undefined && !(own >= 0)) throw new RailheadError('INVALID', `The ttl is ${own}; it must be 0 or more.`);
  const ttl = Math.min(own ?? Infinity, topicTtl ?? Infinity);
  // A delay comes before the life of a message, else a long delay would expire it unseen.
  return ttl === Infinity ? 0 : Math.max(fresh ? dueOf(envelope, now) : now, now) + ttl;
}
