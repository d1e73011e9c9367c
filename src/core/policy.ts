import type { RateLimit } from './units.ts';
import type { Headers } from './records.ts';

/**
 * What a topic and a subscription promise, in the numbers that engine and journal store. People write durations and
 * sizes with units (`'30s'`, `'10GB'`); the SDK, the CLI and the config turn them into this.
 */

/** How safe a confirm is. `fsync` survives power loss, `write` a crash of the process, `memory` neither. */
export type Durability = 'fsync' | 'write' | 'memory';

/** Of two levels the one that survives more. */
export function safer(a: Durability, b: Durability): Durability {
  if (a === 'fsync' || b === 'fsync') return 'fsync';
  return a === 'write' || b === 'write' ? 'write' : 'memory';
}

/**
 * What happens to a publish that would go over a limit of the topic. With `dead-letter-newest` it is refused, and what
 * was refused is a dead letter all the same.
 */
export const OVERFLOWS = ['reject', 'block', 'drop-oldest', 'dead-letter-oldest', 'dead-letter-newest'] as const;
export type Overflow = (typeof OVERFLOWS)[number];

export interface Retention {
  /** Messages stay at least until every subscription has settled them. A topic with neither this nor a limit below keeps everything. */
  untilSettled: boolean;
  ageMs: number | null;
  bytes: number | null;
  /** Keep only the newest message of each key. */
  compact: boolean;
  /** Of compaction: a message that is younger stays, and what it supersedes does too. Default 0. */
  compactLagMs?: number;
  /** Of compaction: what is superseded is looked for at the latest when so much time has passed. Default: no such time. */
  maxCompactLagMs?: number | null;
  /**
   * Of compaction: a message that says that its key is gone (without a body) is the last one of it. It stays for so long
   * after the others of its key have gone, so that who reads from the start meanwhile learns of it. Default: a day.
   */
  deleteRetentionMs?: number;
}

/** As Kafka's. */
export const DELETE_RETENTION_MS = 86_400_000;

export interface TopicPolicy {
  /** Can grow, never shrink. From then on a key goes to the partition that it would go to in a topic of the new size. */
  partitions: number;
  retain: Retention;
  durability: Durability;
  maxMessages: number | null;
  /**
   * Of a queue the bytes that wait, of a topic those that it keeps, as they lie in the journal: body, key, headers, and
   * some bytes for each message and publish. Where messages that lie together are settled in part, the others count
   * with the average size.
   */
  maxBytes: number | null;
  overflow: Overflow;
  publishRate: RateLimit | null;
  /**
   * Default expiry of a message; a message's own ttl can only shorten it. One whose life is 0 is only for a consumer that
   * takes it at once.
   */
  ttlMs: number | null;
  /** Deleted when it had no consumer for this long. */
  expireUnusedMs: number | null;
  /** A second message with the same dedupe id within this window is not stored. */
  dedupeWindowMs: number | null;
  maxMessageBytes: number;
}

/**
 * - `fifo`: by priority, then by publish order; consumers compete, redelivery goes to the original place.
 * - `strict`: one message in flight for each partition; the next waits until it is settled.
 * - `key`: one message in flight for each key, keys side by side; a message that waits for its retry holds its key.
 * - `fair`: keys take turns, so that one noisy key does not starve the others; no order is promised.
 */
export type Order = 'fifo' | 'strict' | 'key' | 'fair';

export interface Backoff {
  type: 'none' | 'fixed' | 'linear' | 'exponential';
  minMs: number;
  maxMs: number;
  /** Full jitter between half the delay and the delay. */
  jitter: boolean;
}

/** Dead letters are published to a router. */
export interface DeadLetterRoute {
  router: string;
  /** The routing key; null: the one it was published with if its format keeps that, else its own key, else ''. */
  key: string | null;
  /** What becomes of one that no binding takes, or whose router is gone: to NAME.dead all the same, or dropped. */
  unrouted: 'queue' | 'drop';
}

/** The queue where dead letters lie. Of those that go through a router: the ones that no binding took. */
export function deadLetterQueue(
  deadLetter: SubscriptionPolicy['deadLetter'],
  kind: 'queue' | 'topic',
  topic: string,
  subscription: string,
): string {
  if (typeof deadLetter === 'string') return deadLetter;
  return kind === 'queue' ? `${topic}.dead` : `${topic}.${subscription}.dead`;
}

export interface SubscriptionPolicy {
  /** Structural. */
  order: Order;
  /** Structural. 1 means none; with N, priority 0 … N-1, higher first. */
  priorities: number;
  /** Structural, and only of queues. What a message counts as that names no priority. */
  defaultPriority: number;
  leaseMs: number;
  /** Attempts before dead letter; 0 means no limit. */
  maxAttempts: number;
  /** Crashes of its consumer with this message in flight, counted apart from attempts; 0 means no limit. */
  maxCrashes: number;
  backoff: Backoff;
  /** Name of the queue for dead letters; null means NAME.dead, made on first use. Or the router that they go through. */
  deadLetter: string | DeadLetterRoute | null;
  /** Messages whose life ended before anybody settled them become dead letters too; else they are gone. */
  deadLetterExpired: boolean;
  consumeRate: RateLimit | null;
  filter: Filter | null;
  /** Only the first consumer receives; the next takes over when it goes. */
  singleActive: boolean;
  maxInFlight: number | null;
  /**
   * Settled messages stay visible (peek, read) for this long after they were settled, or up to a sixteenth longer. Of
   * topics that keep messages until they are settled; others have a rule of their own.
   */
  retainSettledMs: number;
}

/**
 * Attribute filter: every named header must match one of its conditions. `key`, `contentType` are matched by the
 * names `$key` and `$contentType`. Evaluated once for each message and subscription, in linear time, without RegExp.
 */
export type Filter = Readonly<Record<string, readonly Condition[]>> & { readonly $or?: never };

export type Condition =
  | string
  | number
  | boolean
  | null
  | { readonly prefix: string }
  | { readonly suffix: string }
  | { readonly equalsIgnoreCase: string }
  /** `*` matches any run of characters. */
  | { readonly wildcard: string }
  | { readonly numeric: readonly ['=' | '<' | '<=' | '>' | '>=', number, ...('<' | '<=' | number)[]] }
  | { readonly exists: boolean }
  | {
      readonly anythingBut:
        | string
        | number
        | readonly (string | number)[]
        | { readonly prefix: string }
        | { readonly suffix: string }
        | { readonly wildcard: string };
    }
  | { readonly cidr: string };

export const DEFAULT_TOPIC: TopicPolicy = {
  partitions: 1,
  retain: { untilSettled: false, ageMs: null, bytes: null, compact: false },
  durability: 'fsync',
  maxMessages: null,
  maxBytes: null,
  overflow: 'reject',
  publishRate: null,
  ttlMs: null,
  expireUnusedMs: null,
  dedupeWindowMs: null,
  maxMessageBytes: 8 * 1024 * 1024,
};

export const DEFAULT_SUBSCRIPTION: SubscriptionPolicy = {
  order: 'fifo',
  priorities: 1,
  defaultPriority: 0,
  leaseMs: 30_000,
  maxAttempts: 20,
  maxCrashes: 5,
  backoff: { type: 'exponential', minMs: 1_000, maxMs: 300_000, jitter: true },
  deadLetter: null,
  deadLetterExpired: false,
  consumeRate: null,
  filter: null,
  singleActive: false,
  maxInFlight: null,
  retainSettledMs: 0,
};

/** How a router chooses targets. */
export const ROUTER_TYPES = ['direct', 'topic', 'fanout', 'headers', 'hash'] as const;
export type RouterType = (typeof ROUTER_TYPES)[number];

export interface Binding {
  /**
   * Routing key (`direct`), or pattern with `*` (one word) and `#` (any number of words) between dots (`topic`), or a
   * weight from 1 to 1,000,000 (`hash`).
   */
  key: string;
  /** For `headers` routers: values that must be equal and headers that must be there, all of them or any. */
  match: {
    readonly headers: Headers;
    /** Names of headers of any value. */
    readonly present?: readonly string[];
    readonly mode: 'all' | 'any';
  } | null;
  /** Checked after the router's own match. */
  filter: Filter | null;
}
