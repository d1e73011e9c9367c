import { RailheadError } from '../core/errors.ts';
import { DEFAULT_SUBSCRIPTION, DELETE_RETENTION_MS, OVERFLOWS } from '../core/policy.ts';
import type { Durability, Filter, Order, Overflow, SubscriptionPolicy, TopicPolicy } from '../core/policy.ts';
import { durationMs, rateLimit, sizeBytes } from '../core/units.ts';
import type { Duration, Rate, Size } from '../core/units.ts';

/** What a queue or topic takes in, and how safely it keeps it. All are stored in the broker. */
export interface LimitOptions {
  /** How many logs the messages are spread over, by key. Can grow later, not shrink. Default 1. */
  partitions?: number;
  /** What a confirm survives: `fsync` power loss, `write` a crash of the process, `memory` neither. Default `fsync`. */
  durability?: Durability;
  /** How many messages may wait. Default: no limit. */
  maxMessages?: number;
  /**
   * How many bytes may wait: bodies, keys and headers, and some bytes for each message. Where messages that were sent
   * together are settled in part, the others count with the average size. Default: no limit.
   */
  maxBytes?: Size;
  /** What happens to a send over a limit. Default `reject` (QUEUE_FULL); `block` waits up to `sendTimeout`. */
  overflow?: Overflow;
  /** How fast messages are taken in, at most 50 ms' worth of it at once, or one larger batch that is then waited off. Over it, sends are refused (RATE_LIMITED) or wait with `overflow: 'block'`. Default: no limit. */
  publishRate?: Rate;
  /** How long a message lives; its own `ttl` can only shorten it. Default: for ever. */
  ttl?: Duration;
  /** Deleted when it had no consumer for this long. Default: never. */
  expireUnused?: Duration;
  /** A second message with the same `dedupeId` within this time is not stored. Default: off. */
  dedupeWindow?: Duration;
  /** Largest message. Default 8 MiB. */
  maxMessageBytes?: Size;
}

/** How messages are given out. All are stored in the broker. */
export interface DeliveryOptions {
  /**
   * `fifo` by priority, then age, consumers compete; `strict` one in flight for each partition; `key` one in flight
   * for each key, keys side by side; `fair` keys take turns. Structural: cannot change later. Default `fifo`.
   */
  order?: Order;
  /** Priorities 0 to this minus 1, higher first; 1 means none. Structural. 1 to 255. Default 1. */
  priorities?: number;
  /** Of a queue: what a message counts as that names no priority. Structural. Default 0. */
  defaultPriority?: number;
  /** How long a consumer may hold a message before it is given to another. Extended while a handler runs. Default 30 s. */
  lease?: Duration;
  /** Attempts before the message goes to the dead-letter queue; 0 means no limit. Default 20. */
  maxAttempts?: number;
  /** Crashes of a consumer with this message in its hands before it goes to the dead-letter queue; 0 means no limit. Default 5. */
  maxCrashes?: number;
  /** Wait between attempts. Default exponential, 1 s to 5 min, with jitter. */
  backoff?: BackoffOptions;
  /** The queue for dead letters, or the router that they go through. Default the queue `NAME.dead`, made on first use. */
  deadLetter?: string | DeadLetterOptions;
  /** Whether a message whose `ttl` ended becomes a dead letter; else it is gone. Default false. */
  deadLetterExpired?: boolean;
  /** How fast messages are given out, over all consumers; at most 50 ms' worth of it at once. Default: no limit. */
  consumeRate?: Rate;
  /** Only messages that match are given out. Default: all. */
  filter?: Filter;
  /** Only the first consumer receives; the next takes over when it goes. Default false. */
  singleActive?: boolean;
  /** Messages in the hands of all consumers together. Default: no limit. */
  maxInFlight?: number;
}

/** Dead letters are published to a router, with the story of what happened to them. */
export interface DeadLetterOptions {
  router: string;
  /** The routing key. Default: the message's own `key`, or ''. */
  routingKey?: string;
  /** What becomes of one that no binding takes: `queue` puts it into `NAME.dead`, `drop` gives it up. Default `queue`. */
  unrouted?: 'queue' | 'drop';
}

export interface BackoffOptions {
  type: 'none' | 'fixed' | 'linear' | 'exponential';
  /** First wait (with `fixed`, every wait). Default 1 s. */
  min?: Duration;
  /** Longest wait. Default 5 min. */
  max?: Duration;
  /** Spreads each wait between half of it and all of it. Default true. */
  jitter?: boolean;
}

/** How long a topic keeps messages. Without any of these it keeps them for ever. */
export interface RetainOptions {
  /** Older messages go. */
  age?: Duration;
  /** The oldest go when the topic is larger. */
  bytes?: Size;
  /** Messages go when every subscription has settled them. Default false. */
  untilSettled?: boolean;
  /** Only the newest message of each key stays. One that is null, or has no body, says that its key is gone. Default false. */
  compact?: boolean;
  /** With `compact`: younger messages stay, and so does what they supersede. Default `'0s'`. */
  compactLag?: Duration;
  /** With `compact`: what is superseded is looked for at the latest after this time. Default: when enough is new. */
  maxCompactLag?: Duration;
  /** With `compact`: so long one that says that its key is gone outlives the others of its key. Default `'1d'`. */
  deleteRetention?: Duration;
}

// The compiler holds these against the interfaces: a new option cannot be forgotten here.
const LIMIT_OPTIONS = {
  partitions: true,
  durability: true,
  maxMessages: true,
  maxBytes: true,
  overflow: true,
  publishRate: true,
  ttl: true,
  expireUnused: true,
  dedupeWindow: true,
  maxMessageBytes: true,
} satisfies Record<keyof LimitOptions, true>;
const DELIVERY_OPTIONS = {
  order: true,
  priorities: true,
  defaultPriority: true,
  lease: true,
  maxAttempts: true,
  maxCrashes: true,
  backoff: true,
  deadLetter: true,
  deadLetterExpired: true,
  consumeRate: true,
  filter: true,
  singleActive: true,
  maxInFlight: true,
} satisfies Record<keyof DeliveryOptions, true>;
const DEAD_LETTER_OPTIONS = { router: true, routingKey: true, unrouted: true } satisfies Record<
  keyof DeadLetterOptions,
  true
>;
const BACKOFF_OPTIONS = { type: true, min: true, max: true, jitter: true } satisfies Record<keyof BackoffOptions, true>;
const RETAIN_OPTIONS = {
  age: true,
  bytes: true,
  untilSettled: true,
  compact: true,
  compactLag: true,
  maxCompactLag: true,
  deleteRetention: true,
} satisfies Record<keyof RetainOptions, true>;

export const LIMIT_OPTION_NAMES = Object.keys(LIMIT_OPTIONS);
export const DELIVERY_OPTION_NAMES = Object.keys(DELIVERY_OPTIONS);

/** An option that nobody reads would be a promise that nobody keeps. @throws INVALID naming it and what is known. */
export function refuseUnknown(what: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new RailheadError(
        'INVALID',
        `${what} has the option ${JSON.stringify(name)}, which does not exist. Known are: ${known.join(', ')}.`,
      );
    }
  }
}

function integer(value: number, min: number, max: number, what: string): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RailheadError(
      'INVALID',
      `${what} is ${JSON.stringify(value)}; write a whole number from ${min} to ${max}.`,
    );
  }
  return value;
}

function oneOf<T extends string>(value: T, allowed: readonly T[], what: string): T {
  if (!allowed.includes(value)) {
    throw new RailheadError('INVALID', `${what} is ${JSON.stringify(value)}; write one of ${allowed.join(', ')}.`);
  }
  return value;
}

/** `what` names the thing in errors, such as `Queue "emails"`. Only what was given is in the result. @throws INVALID. */
export function topicPolicy(what: string, options: LimitOptions, retain?: RetainOptions): Partial<TopicPolicy> {
  const policy: Partial<TopicPolicy> = {};
  const at = (name: string): string => `${what}: ${name}`;
  if (options.partitions !== undefined) policy.partitions = integer(options.partitions, 1, 1024, at('partitions'));
  if (options.durability !== undefined)
    policy.durability = oneOf(options.durability, ['fsync', 'write', 'memory'], at('durability'));
  if (options.maxMessages !== undefined)
    policy.maxMessages = integer(options.maxMessages, 1, Number.MAX_SAFE_INTEGER, at('maxMessages'));
  if (options.maxBytes !== undefined) policy.maxBytes = sizeBytes(options.maxBytes, at('maxBytes'));
  if (options.overflow !== undefined) policy.overflow = oneOf(options.overflow, OVERFLOWS, at('overflow'));
  if (options.publishRate !== undefined) policy.publishRate = rateLimit(options.publishRate, at('publishRate'));
  if (options.ttl !== undefined) policy.ttlMs = durationMs(options.ttl, at('ttl'));
  if (options.expireUnused !== undefined) policy.expireUnusedMs = durationMs(options.expireUnused, at('expireUnused'));
  if (options.dedupeWindow !== undefined) policy.dedupeWindowMs = durationMs(options.dedupeWindow, at('dedupeWindow'));
  if (options.maxMessageBytes !== undefined)
    policy.maxMessageBytes = sizeBytes(options.maxMessageBytes, at('maxMessageBytes'));
  if (retain !== undefined) policy.retain = retention(at('retain'), retain);
  return policy;
}

function retention(what: string, options: RetainOptions): TopicPolicy['retain'] {
  refuseUnknown(what, options, Object.keys(RETAIN_OPTIONS));
  return {
    untilSettled: options.untilSettled ?? false,
    ageMs: options.age === undefined ? null : durationMs(options.age, `${what}.age`),
    bytes: options.bytes === undefined ? null : sizeBytes(options.bytes, `${what}.bytes`),
    compact: options.compact ?? false,
    ...compaction(what, options),
  };
}

/** What is said of it, and where a topic is compacted also what is not: that is as by default. */
function compaction(what: string, options: RetainOptions): Partial<TopicPolicy['retain']> {
  const { compact, compactLag, maxCompactLag, deleteRetention } = options;
  const isSaid = (value: Duration | undefined): boolean => compact === true || value !== undefined;
  return {
    ...(isSaid(compactLag) && {
      compactLagMs: compactLag === undefined ? 0 : durationMs(compactLag, `${what}.compactLag`),
    }),
    ...(isSaid(maxCompactLag) && {
      maxCompactLagMs: maxCompactLag === undefined ? null : durationMs(maxCompactLag, `${what}.maxCompactLag`),
    }),
    ...(isSaid(deleteRetention) && {
      deleteRetentionMs:
        deleteRetention === undefined ? DELETE_RETENTION_MS : durationMs(deleteRetention, `${what}.deleteRetention`),
    }),
  };
}

/** See `topicPolicy`. `retain` of a queue keeps settled messages visible for that long. @throws INVALID. */
export function subscriptionPolicy(
  what: string,
  options: DeliveryOptions,
  retain?: Duration,
): Partial<SubscriptionPolicy> {
  const policy: Partial<SubscriptionPolicy> = {};
  const at = (name: string): string => `${what}: ${name}`;
  if (options.order !== undefined) policy.order = oneOf(options.order, ['fifo', 'strict', 'key', 'fair'], at('order'));
  if (options.defaultPriority !== undefined)
    policy.defaultPriority = integer(options.defaultPriority, 0, 254, at('defaultPriority'));
  if (options.priorities !== undefined) policy.priorities = integer(options.priorities, 1, 255, at('priorities'));
  if (options.lease !== undefined)
    policy.leaseMs = integer(durationMs(options.lease, at('lease')), 1, Number.MAX_SAFE_INTEGER, at('lease'));
  if (options.maxAttempts !== undefined)
    policy.maxAttempts = integer(options.maxAttempts, 0, 1_000_000, at('maxAttempts'));
  if (options.maxCrashes !== undefined) policy.maxCrashes = integer(options.maxCrashes, 0, 1_000_000, at('maxCrashes'));
  if (options.backoff !== undefined) policy.backoff = backoff(at('backoff'), options.backoff);
  if (options.deadLetter !== undefined) policy.deadLetter = deadLetter(at('deadLetter'), options.deadLetter);
  if (options.deadLetterExpired !== undefined) policy.deadLetterExpired = options.deadLetterExpired;
  if (options.consumeRate !== undefined) policy.consumeRate = rateLimit(options.consumeRate, at('consumeRate'));
  if (options.filter !== undefined) policy.filter = options.filter;
  if (options.singleActive !== undefined) policy.singleActive = options.singleActive;
  if (options.maxInFlight !== undefined)
    policy.maxInFlight = integer(options.maxInFlight, 1, 1_000_000_000, at('maxInFlight'));
  if (retain !== undefined) policy.retainSettledMs = durationMs(retain, at('retain'));
  return policy;
}

function deadLetter(what: string, options: string | DeadLetterOptions): SubscriptionPolicy['deadLetter'] {
  if (typeof options === 'string') return options;
  refuseUnknown(what, options, Object.keys(DEAD_LETTER_OPTIONS));
  const { router, routingKey = null, unrouted = 'queue' } = options;
  return { router, key: routingKey, unrouted: oneOf(unrouted, ['queue', 'drop'], `${what}.unrouted`) };
}

function backoff(what: string, options: BackoffOptions): SubscriptionPolicy['backoff'] {
  refuseUnknown(what, options, Object.keys(BACKOFF_OPTIONS));
  const { minMs, maxMs, jitter } = DEFAULT_SUBSCRIPTION.backoff;
  const min = options.min === undefined ? minMs : durationMs(options.min, `${what}.min`);
  const max = options.max === undefined ? Math.max(maxMs, min) : durationMs(options.max, `${what}.max`);
  if (min > max) {
    throw new RailheadError(
      'INVALID',
      `${what}.min is ${options.min} and longer than ${what}.max, ${options.max}. Make max the longer one.`,
    );
  }
  return {
    type: oneOf(options.type, ['none', 'fixed', 'linear', 'exponential'], `${what}.type`),
    minMs: min,
    maxMs: max,
    jitter: options.jitter ?? jitter,
  };
}
