import type {
  Backoff,
  Condition,
  DeadLetterRoute,
  Filter,
  Retention,
  SubscriptionPolicy,
  TopicPolicy,
} from '../core/policy.ts';
import { OVERFLOWS } from '../core/policy.ts';
import type { RateLimit } from '../core/units.ts';
import { RailheadError } from '../core/errors.ts';
import {
  either,
  finite,
  flag,
  isMap,
  list,
  mapOf,
  maybe,
  nullable,
  object,
  oneOf,
  text,
  whole,
  type Check,
} from './shape.ts';

// Forms only: whether the numbers make sense together is the engine's to say.

const rate = object<RateLimit>({ count: finite, perMs: finite });

export const topicPolicy = object<Partial<TopicPolicy>>({
  partitions: maybe(whole),
  retain: maybe(
    object<Retention>({
      untilSettled: flag,
      ageMs: nullable(whole),
      bytes: nullable(whole),
      compact: flag,
      compactLagMs: maybe(whole),
      maxCompactLagMs: maybe(nullable(whole)),
      deleteRetentionMs: maybe(whole),
    }),
  ),
  durability: maybe(oneOf('fsync', 'write', 'memory')),
  maxMessages: maybe(nullable(whole)),
  maxBytes: maybe(nullable(whole)),
  overflow: maybe(oneOf(...OVERFLOWS)),
  publishRate: maybe(nullable(rate)),
  ttlMs: maybe(nullable(whole)),
  expireUnusedMs: maybe(nullable(whole)),
  dedupeWindowMs: maybe(nullable(whole)),
  maxMessageBytes: maybe(whole),
});

const scalar: Check<string | number | boolean | null> = (value, at) => {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return value;
  throw new RailheadError('INVALID', `${at} must be a text, a number, true, false or null.`);
};

const OPERATORS = new Map<string, Check<unknown>>([
  ['prefix', text],
  ['suffix', text],
  ['equalsIgnoreCase', text],
  ['wildcard', text],
  ['numeric', list(scalar)],
  ['exists', flag],
  ['cidr', text],
  [
    'anythingBut',
    (value, at) => {
      if (Array.isArray(value)) return list(scalar)(value, at);
      return isMap(value) ? operator(value, at) : scalar(value, at);
    },
  ],
]);

function operator(value: Record<string, unknown>, at: string): unknown {
  const names = Object.keys(value);
  const check = OPERATORS.get(names[0] ?? '');
  if (check === undefined || names.length !== 1) {
    throw new RailheadError('INVALID', `${at} must have exactly one of ${[...OPERATORS.keys()].join(', ')}.`);
  }
  return check(value[names[0] ?? ''], `${at}.${names[0]}`);
}

const condition: Check<Condition> = (value, at) => {
  if (isMap(value)) operator(value, at);
  else scalar(value, at);
  // One of the scalars, or one operator with an operand of its type.
  return value as Condition;
};

const conditions = mapOf(list(condition));

export const filter: Check<Filter> = (value, at) => {
  const checked = conditions(value, at);
  if (Object.hasOwn(checked, '$or')) throw new RailheadError('INVALID', `${at} has "$or", which filters do not have.`);
  return checked;
};

const deadLetterRoute = object<DeadLetterRoute>({
  router: text,
  key: nullable(text),
  unrouted: oneOf('queue', 'drop'),
});

export const subscriptionPolicy = object<Partial<SubscriptionPolicy>>({
  order: maybe(oneOf('fifo', 'strict', 'key', 'fair')),
  priorities: maybe(whole),
  defaultPriority: maybe(whole),
  leaseMs: maybe(whole),
  maxAttempts: maybe(whole),
  maxCrashes: maybe(whole),
  backoff: maybe(
    object<Backoff>({
      type: oneOf('none', 'fixed', 'linear', 'exponential'),
      minMs: whole,
      maxMs: whole,
      jitter: flag,
    }),
  ),
  deadLetter: maybe(nullable(either(text, deadLetterRoute, 'a name or { router, key, unrouted }'))),
  deadLetterExpired: maybe(flag),
  consumeRate: maybe(nullable(rate)),
  filter: maybe(nullable(filter)),
  singleActive: maybe(flag),
  maxInFlight: maybe(nullable(whole)),
  retainSettledMs: maybe(whole),
});
