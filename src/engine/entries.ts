import type { Attributes, Declaration } from '../core/declaration.ts';
import type { BindingDefinition } from '../core/definitions.ts';
import type { MessageHistory, Settlement } from '../core/session.ts';
import type { RouterType, SubscriptionPolicy, TopicPolicy } from '../core/policy.ts';

/**
 * The entries of the journal: decisions, already made. Applying one cannot fail and asks neither clock nor chance.
 *
 * ```
 * entry    u32 size (of what follows)   u8 type   payload          little endian
 * publish  u16 n, n × target { u32 topic  u16 partition  f64 offset }
 *          u8 format  u16 columns  u32 count  f64 published at
 *          [count × u8 priority]   [count × f64 due]   [count × f64 expires]
 *          [count × text key]      [count × text dedupe id]
 *          [text producer, f64 sequence]   [count × u32 index in the producer's batch]
 *          [u32 n, n bytes history]   [u32 n, n bytes excluded]
 *          [f64 transaction]          [u8 how, f64 producer id, f64 epoch]
 *          [text blob, f64 bytes of the body in it]                        count is 1 then
 *          records as they came; with a blob, one record up to its body
 * lease    u32 topic  u32 subscription  u8 kind  u32 consumer  f64 at  f64 deadline  ranges
 * settle   u32 topic  u32 subscription  u8 how  u8 counted  f64 at  f64 due  text reason  text error  ranges
 * ranges   u16 n, n × { u16 partition  f64 offset  u32 count }
 * text     u16 n, n bytes utf-8 (n = 65535: none)
 * other    one MessagePack map
 *
 * A priority of 0 is what a message counts as that names none; where that is another than 0, the two have changed places.
 *
 * A publish with `how` is a marker: the end of its transaction in one partition, where it takes an offset. It has no
 * records.
 * ```
 *
 * To change one: never alter the layout of a type that was released. Add a type with a new number, keep reading the old
 * one, raise FORMAT_VERSION, write the new type only after a `format` entry with that version, and add a golden
 * directory under test/golden. Older code refuses such a journal and names the version it needs.
 */
export const FORMAT_VERSION = 1;

export const ENTRY = {
  publish: 1,
  lease: 2,
  settle: 3,
  other: 4,
} as const;

export const COLUMN = {
  priority: 1,
  due: 2,
  expires: 4,
  key: 8,
  dedupe: 16,
  producer: 32,
  history: 64,
  excluded: 128,
  indexes: 256,
  transaction: 512,
  ends: 1024,
  body: 2048,
} as const;

/** `expired`: aborted for having been open too long, and its producer fenced. */
export const END = { committed: 0, aborted: 1, expired: 2 } as const;
export type EndHow = keyof typeof END;
export const END_NAMES = Object.keys(END) as EndHow[];

/** Format of a marker: there is nothing in it to decode. */
export const FORMAT_MARKER = 255;

export interface Target {
  topicId: number;
  partition: number;
  offset: number;
}

/** The body of a large message: a blob of its own (`body-blob.ts`), durable before an entry names it. */
export interface LargeBody {
  blob: string;
  bytes: number;
}

export interface PublishEntry {
  type: 'publish';
  targets: Target[];
  format: number;
  count: number;
  publishedAt: number;
  priorities?: Uint8Array;
  /** Ready at, ms; 0 for at once. */
  due?: Float64Array;
  /** Expires at, ms; 0 for never. */
  expires?: Float64Array;
  keys?: (string | undefined)[];
  dedupeIds?: (string | undefined)[];
  /** `indexes`: place of each record in the producer's batch, when that was split over partitions. */
  producer?: { id: string; sequence: number; indexes?: number[] };
  history?: MessageHistory;
  /** Subscriptions whose filter refused records: topic, subscription and the indexes. */
  excluded?: { topicId: number; subscriptionId: number; indexes: number[] }[];
  /** Part of this open transaction: nobody sees it before the commit. */
  transaction?: number;
  /** A marker: the end of `transaction` in this partition. */
  ends?: { how: EndHow; producerId: number; epoch: number };
  /** Of one large message. Several entries may name the same blob: it goes with the last message that does. */
  body?: LargeBody;
  records: Buffer;
}

export interface OffsetRange {
  partition: number;
  offset: number;
  count: number;
}

export const LEASE_KIND = { session: 0, timed: 1, connection: 2 } as const;

export interface LeaseEntry {
  type: 'lease';
  topicId: number;
  subscriptionId: number;
  kind: number;
  consumer: number;
  at: number;
  deadline: number;
  ranges: OffsetRange[];
}

/**
 * - `ack`: done. `gone`: removed for a rule of the user (expired, purged, dropped, overflow, cancelled, seek).
 * - `ready`: back to its place now. `delayed`: back at `due`.
 * - `dying`: will be moved to the dead-letter queue. `buried`: has been.
 * - `extended`: the lease now ends at `due`.
 */
export const SETTLE = { ack: 0, gone: 1, ready: 2, delayed: 3, dying: 4, buried: 5, extended: 6 } as const;
export type SettleHow = keyof typeof SETTLE;
export const SETTLE_NAMES = Object.keys(SETTLE) as SettleHow[];

/**
 * `outage`: a crash that gives no reason yet to keep the message apart from others. `return`: it was delivered, and did
 * not fail.
 */
export const COUNTED = { none: 0, attempt: 1, crash: 2, outage: 3, return: 4 } as const;
export type Counted = keyof typeof COUNTED;
export const COUNTED_NAMES = Object.keys(COUNTED) as Counted[];

export interface SettleEntry {
  type: 'settle';
  topicId: number;
  subscriptionId: number;
  how: SettleHow;
  counted: number;
  at: number;
  due: number;
  reason?: string;
  error?: string;
  ranges: OffsetRange[];
}

/** Where a run of messages lies after it left the commit log. */
export interface ColdBlockRef {
  topicId: number;
  partition: number;
  /** First offset, and the one after the last. */
  from: number;
  to: number;
  at: number;
  bytes: number;
  messages: number;
  /** Publish time of the newest message in it, for retention by age. */
  newestAt: number;
}

export type OtherEntry =
  | { type: 'format'; version: number }
  | { type: 'opened'; epoch: number; at: number; leaseCapAt: number }
  | ({
      type: 'topic';
      topicId: number;
      namespace: string;
      name: string;
      kind: 'queue' | 'topic';
      policy: TopicPolicy;
      at: number;
    } & Declaration)
  /** `attributes`: take the place of the old ones. */
  | { type: 'topicPolicy'; topicId: number; policy: TopicPolicy; attributes?: Attributes }
  | { type: 'topicGone'; topicId: number }
  | {
      type: 'subscription';
      topicId: number;
      subscriptionId: number;
      name: string;
      policy: SubscriptionPolicy;
      at: number;
      start: number[];
    }
  | { type: 'subscriptionPolicy'; topicId: number; subscriptionId: number; policy: SubscriptionPolicy }
  | { type: 'subscriptionGone'; topicId: number; subscriptionId: number }
  | { type: 'paused'; topicId: number; subscriptionId: number; paused: boolean }
  /** Every message from `start` on is ready again, none before it. */
  | { type: 'seek'; topicId: number; subscriptionId: number; start: number[] }
  /** What the subscription has not settled now gets a name. */
  | { type: 'snapshot'; topicId: number; subscriptionId: number; name: string; at: number; expiresAt: number }
  | { type: 'snapshotGone'; topicId: number; name: string }
  /** What the snapshot had not settled is ready again, nothing else before the moment of the snapshot is. */
  | { type: 'restored'; topicId: number; subscriptionId: number; snapshot: string }
  /** Also of one that exists: then only its alternate is new. */
  | ({
      type: 'router';
      namespace: string;
      name: string;
      routerType: RouterType;
      alternate: string | null;
      hashHeader?: string;
    } & Declaration)
  | { type: 'routerGone'; namespace: string; name: string }
  | { type: 'bind'; namespace: string; router: string; binding: BindingDefinition }
  | { type: 'unbind'; namespace: string; router: string; binding: BindingDefinition }
  | {
      type: 'cursor';
      namespace: string;
      cursor: string;
      topicId: number;
      partition: number;
      offset: number;
      metadata: string;
    }
  /** `partition`: of that topic, this one alone. */
  | { type: 'cursorGone'; namespace: string; cursor: string; topicId: number | null; partition?: number }
  /** A named producer was claimed. */
  | {
      type: 'producer';
      namespace: string;
      name: string;
      producerId: number;
      epoch: number;
      timeoutMs: number;
      at: number;
    }
  | { type: 'producerGone'; namespace: string; name: string }
  | { type: 'begun'; transaction: number; namespace: string; name: string; at: number; deadline: number }
  /** The last entry of its batch, after the markers of all partitions and what the commit does. */
  | { type: 'ended'; transaction: number; namespace: string; name: string; how: EndHow; at: number }
  /** What takes effect with the commit: then it is recorded by itself, in the same batch as the end. */
  | {
      type: 'enlisted';
      namespace: string;
      name: string;
      cursors: { cursor: string; topicId: number; partition: number; offset: number; metadata: string }[];
      settlements: Settlement[];
    }
  | {
      type: 'schedule';
      namespace: string;
      name: string;
      cron: string;
      timezone: string;
      topic: string;
      record: Uint8Array;
      nextAt: number | null;
      lastAt: number | null;
    }
  | { type: 'scheduleGone'; namespace: string; name: string }
  | { type: 'document'; namespace: string; kind: string; name: string; value: string }
  | { type: 'documentGone'; namespace: string; kind: string; name: string }
  /** Settled messages that were kept for a while: those settled at `before` or earlier are not kept any more. */
  | { type: 'forgotten'; topicId: number; subscriptionId: number; before: number }
  /** Retention: everything before `start` is gone, for everybody. */
  | { type: 'trim'; topicId: number; partition: number; start: number }
  /** Old messages, looked at and offered to a subscription that starts in the past. `next`: where to go on; null: done. */
  | {
      type: 'offer';
      topicId: number;
      subscriptionId: number;
      partition: number;
      from: number;
      count: number;
      next: number | null;
      priorities?: Uint8Array;
      due?: number[];
      expires?: number[];
      keys?: (string | null)[];
      excluded?: number[];
    }
  /** Superseded by newer messages of the same keys: [offset, count]. Gone for everybody; the offsets stay empty. */
  | { type: 'compacted'; topicId: number; partition: number; ranges: [number, number][] }
  /**
   * At `at` nothing before `to` was superseded any more by what lies there too. Of what lies there, so many messages say
   * only that their key is gone, and may go themselves some time after that.
   */
  | { type: 'swept'; topicId: number; partition: number; to: number; at: number; removals: number }
  /** What is alive of some cold segments now lies in another one; the old ones may go. */
  | { type: 'rewritten'; old: string[]; blob: string; blocks: ColdBlockRef[] }
  /** Messages that lay in the commit log before the position `before` now lie in a cold segment. */
  | { type: 'moved'; before: number; blob: string; blocks: ColdBlockRef[] };

export type Entry = PublishEntry | LeaseEntry | SettleEntry | OtherEntry;

/** In place of the length of a text that is not there. */
export const NO_TEXT = 0xffff;
