import { Packr, Unpackr } from 'msgpackr';
import type { BindingDefinition, MessageHistory } from '../core/session.ts';
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
 *          [text producer, f64 sequence]   [u32 n, n bytes history]   [u32 n, n bytes excluded]
 *          records as they came
 * lease    u32 topic  u32 subscription  u8 kind  u32 consumer  f64 deadline  ranges
 * settle   u32 topic  u32 subscription  u8 how  u8 counted  f64 at  f64 due  text reason  text error  ranges
 * ranges   u16 n, n × { u16 partition  f64 offset  u32 count }
 * text     u16 n, n bytes utf-8 (n = 65535: none)
 * other    one MessagePack map
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

const COLUMN = {
  priority: 1,
  due: 2,
  expires: 4,
  key: 8,
  dedupe: 16,
  producer: 32,
  history: 64,
  excluded: 128,
} as const;

export interface Target {
  topicId: number;
  partition: number;
  offset: number;
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
  producer?: { id: string; sequence: number };
  history?: MessageHistory;
  /** Subscriptions whose filter refused records: topic, subscription and the indexes. */
  excluded?: { topicId: number; subscriptionId: number; indexes: number[] }[];
  records: Buffer;
}

export interface OffsetRange {
  partition: number;
  offset: number;
  count: number;
}

export const LEASE_KIND = { session: 0, timed: 1 } as const;

export interface LeaseEntry {
  type: 'lease';
  topicId: number;
  subscriptionId: number;
  kind: number;
  consumer: number;
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
const SETTLE_NAMES = Object.keys(SETTLE) as SettleHow[];

export const COUNTED = { none: 0, attempt: 1, crash: 2 } as const;

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
  | { type: 'opened'; at: number; leaseCapAt: number }
  | {
      type: 'topic';
      topicId: number;
      namespace: string;
      name: string;
      kind: 'queue' | 'topic';
      policy: TopicPolicy;
      at: number;
    }
  | { type: 'topicPolicy'; topicId: number; policy: TopicPolicy }
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
  | { type: 'router'; namespace: string; name: string; routerType: RouterType; alternate: string | null }
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
  | { type: 'cursorGone'; namespace: string; cursor: string; topicId: number | null }
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
  /** Messages that lay in the commit log before the position `before` now lie in a cold segment. */
  | { type: 'moved'; before: number; blob: string; blocks: ColdBlockRef[] };

export type Entry = PublishEntry | LeaseEntry | SettleEntry | OtherEntry;

// Floats as 64 bits: times and offsets must come back exactly.
const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });
const NO_TEXT = 0xffff;

/** The buffer in which a batch gathers. Bytes handed out by `take` are never written again, so views of them stay good. */
export class EntryWriter {
  #slab: Buffer;
  #start = 0;
  #at = 0;
  #count = 0;
  readonly #slabBytes: number;

  constructor(slabBytes = 1 << 20) {
    this.#slabBytes = slabBytes;
    this.#slab = Buffer.allocUnsafeSlow(slabBytes);
  }

  get byteLength(): number {
    return this.#at - this.#start;
  }

  get count(): number {
    return this.#count;
  }

  /** Appends one entry and returns where it begins in the batch. */
  append(entry: Entry): number {
    const begin = this.#at - this.#start;
    if (entry.type === 'publish') this.#publish(entry);
    else if (entry.type === 'lease') this.#lease(entry);
    else if (entry.type === 'settle') this.#settle(entry);
    else this.#other(entry);
    const from = this.#start + begin;
    this.#slab.writeUInt32LE(this.#at - from - 4, from);
    this.#count++;
    return begin;
  }

  take(): { body: Buffer; count: number } {
    const taken = { body: this.#slab.subarray(this.#start, this.#at), count: this.#count };
    this.#start = this.#at;
    this.#count = 0;
    if (this.#slab.byteLength - this.#at < 4096) {
      this.#slab = Buffer.allocUnsafeSlow(this.#slabBytes);
      this.#start = this.#at = 0;
    }
    return taken;
  }

  #begin(type: number, bound: number): Buffer {
    const need = bound + 5;
    if (this.#at + need > this.#slab.byteLength) {
      const gathered = this.#at - this.#start;
      const larger = Buffer.allocUnsafeSlow(
        Math.max(this.#slabBytes, gathered + need, Math.min(2 * gathered, 1 << 24)),
      );
      this.#slab.copy(larger, 0, this.#start, this.#at);
      this.#slab = larger;
      this.#start = 0;
      this.#at = gathered;
    }
    this.#slab[this.#at + 4] = type;
    this.#at += 5;
    return this.#slab;
  }

  #publish(entry: PublishEntry): void {
    const { count, keys, dedupeIds, producer } = entry;
    const history = entry.history === undefined ? undefined : packr.pack(entry.history);
    const excluded = entry.excluded === undefined ? undefined : packr.pack(entry.excluded);
    let bound = 64 + entry.targets.length * 14 + entry.records.byteLength;
    if (entry.priorities) bound += count;
    if (entry.due) bound += 8 * count;
    if (entry.expires) bound += 8 * count;
    if (keys) bound += textBound(keys);
    if (dedupeIds) bound += textBound(dedupeIds);
    if (producer) bound += producer.id.length * 3 + 10;
    bound += (history?.byteLength ?? 0) + (excluded?.byteLength ?? 0) + 8;
    const b = this.#begin(ENTRY.publish, bound);
    let at = this.#at;
    at = b.writeUInt16LE(entry.targets.length, at);
    for (const target of entry.targets) {
      at = b.writeUInt32LE(target.topicId, at);
      at = b.writeUInt16LE(target.partition, at);
      at = b.writeDoubleLE(target.offset, at);
    }
    b[at++] = entry.format;
    at = b.writeUInt16LE(
      (entry.priorities ? COLUMN.priority : 0) |
        (entry.due ? COLUMN.due : 0) |
        (entry.expires ? COLUMN.expires : 0) |
        (keys ? COLUMN.key : 0) |
        (dedupeIds ? COLUMN.dedupe : 0) |
        (producer ? COLUMN.producer : 0) |
        (history ? COLUMN.history : 0) |
        (excluded ? COLUMN.excluded : 0),
      at,
    );
    at = b.writeUInt32LE(count, at);
    at = b.writeDoubleLE(entry.publishedAt, at);
    if (entry.priorities) {
      b.set(entry.priorities, at);
      at += count;
    }
    if (entry.due) for (const due of entry.due) at = b.writeDoubleLE(due, at);
    if (entry.expires) for (const expires of entry.expires) at = b.writeDoubleLE(expires, at);
    if (keys) for (const key of keys) at = writeText(b, key, at);
    if (dedupeIds) for (const id of dedupeIds) at = writeText(b, id, at);
    if (producer) {
      at = writeText(b, producer.id, at);
      at = b.writeDoubleLE(producer.sequence, at);
    }
    for (const packed of [history, excluded]) {
      if (!packed) continue;
      at = b.writeUInt32LE(packed.byteLength, at);
      b.set(packed, at);
      at += packed.byteLength;
    }
    b.set(entry.records, at);
    this.#at = at + entry.records.byteLength;
  }

  #lease(entry: LeaseEntry): void {
    const b = this.#begin(ENTRY.lease, 32 + entry.ranges.length * 14);
    let at = this.#at;
    at = b.writeUInt32LE(entry.topicId, at);
    at = b.writeUInt32LE(entry.subscriptionId, at);
    b[at++] = entry.kind;
    at = b.writeUInt32LE(entry.consumer, at);
    at = b.writeDoubleLE(entry.deadline, at);
    this.#at = writeRanges(b, entry.ranges, at);
  }

  #settle(entry: SettleEntry): void {
    const text = (entry.reason?.length ?? 0) + (entry.error?.length ?? 0);
    const b = this.#begin(ENTRY.settle, 64 + text * 3 + entry.ranges.length * 14);
    let at = this.#at;
    at = b.writeUInt32LE(entry.topicId, at);
    at = b.writeUInt32LE(entry.subscriptionId, at);
    b[at++] = SETTLE[entry.how];
    b[at++] = entry.counted;
    at = b.writeDoubleLE(entry.at, at);
    at = b.writeDoubleLE(entry.due, at);
    at = writeText(b, entry.reason, at);
    at = writeText(b, entry.error, at);
    this.#at = writeRanges(b, entry.ranges, at);
  }

  #other(entry: OtherEntry): void {
    const packed = packr.pack(entry);
    const b = this.#begin(ENTRY.other, packed.byteLength);
    b.set(packed, this.#at);
    this.#at += packed.byteLength;
  }
}

function textBound(texts: (string | undefined)[]): number {
  let bound = 0;
  for (const text of texts) bound += 2 + (text === undefined ? 0 : text.length * 3);
  return bound;
}

function writeText(b: Buffer, text: string | undefined, at: number): number {
  if (text === undefined) return b.writeUInt16LE(NO_TEXT, at);
  const length = b.utf8Write(text, at + 2);
  b.writeUInt16LE(length, at);
  return at + 2 + length;
}

function writeRanges(b: Buffer, ranges: OffsetRange[], at: number): number {
  at = b.writeUInt16LE(ranges.length, at);
  for (const range of ranges) {
    at = b.writeUInt16LE(range.partition, at);
    at = b.writeDoubleLE(range.offset, at);
    at = b.writeUInt32LE(range.count, at);
  }
  return at;
}

/** Longest list of ranges that one entry may carry. */
export const MAX_RANGES = 0xffff;

/** Size on disk of the entry that begins at `at`, its size field included. */
export function entryBytes(b: Buffer, at: number): number {
  return 4 + b.readUInt32LE(at);
}

/**
 * Reads the entry that begins at `at`. Views into `b`, nothing is copied. The bytes have passed a checksum: what does
 * not fit here is a bug or another version, not damage.
 */
export function readEntry(b: Buffer, at: number): Entry {
  const end = at + entryBytes(b, at);
  const type = b[at + 4];
  at += 5;
  switch (type) {
    case ENTRY.publish:
      return readPublish(b, at, end);
    case ENTRY.lease: {
      const { ranges } = readRanges(b, at + 21);
      return {
        type: 'lease',
        topicId: b.readUInt32LE(at),
        subscriptionId: b.readUInt32LE(at + 4),
        kind: b[at + 8] ?? 0,
        consumer: b.readUInt32LE(at + 9),
        deadline: b.readDoubleLE(at + 13),
        ranges,
      };
    }
    case ENTRY.settle: {
      const reason = readText(b, at + 26);
      const error = readText(b, reason.next);
      const entry: SettleEntry = {
        type: 'settle',
        topicId: b.readUInt32LE(at),
        subscriptionId: b.readUInt32LE(at + 4),
        how: SETTLE_NAMES[b[at + 8] ?? 0] ?? 'ack',
        counted: b[at + 9] ?? 0,
        at: b.readDoubleLE(at + 10),
        due: b.readDoubleLE(at + 18),
        ranges: readRanges(b, error.next).ranges,
      };
      if (reason.text !== undefined) entry.reason = reason.text;
      if (error.text !== undefined) entry.error = error.text;
      return entry;
    }
    default:
      return unpackr.unpack(b.subarray(at, end)) as OtherEntry;
  }
}

function readPublish(b: Buffer, at: number, end: number): PublishEntry {
  const targetCount = b.readUInt16LE(at);
  at += 2;
  const targets: Target[] = [];
  for (let i = 0; i < targetCount; i++) {
    targets.push({ topicId: b.readUInt32LE(at), partition: b.readUInt16LE(at + 4), offset: b.readDoubleLE(at + 6) });
    at += 14;
  }
  const format = b[at] ?? 0;
  const columns = b.readUInt16LE(at + 1);
  const count = b.readUInt32LE(at + 3);
  const publishedAt = b.readDoubleLE(at + 7);
  at += 15;
  const entry: PublishEntry = { type: 'publish', targets, format, count, publishedAt, records: b };
  if (columns & COLUMN.priority) {
    entry.priorities = b.subarray(at, at + count);
    at += count;
  }
  const doubles = (): Float64Array => {
    const values = new Float64Array(count);
    for (let i = 0; i < count; i++) values[i] = b.readDoubleLE(at + 8 * i);
    at += 8 * count;
    return values;
  };
  const texts = (): (string | undefined)[] => {
    const values: (string | undefined)[] = [];
    for (let i = 0; i < count; i++) {
      const { text, next } = readText(b, at);
      values.push(text);
      at = next;
    }
    return values;
  };
  const packed = (): unknown => {
    const length = b.readUInt32LE(at);
    at += 4 + length;
    return unpackr.unpack(b.subarray(at - length, at));
  };
  if (columns & COLUMN.due) entry.due = doubles();
  if (columns & COLUMN.expires) entry.expires = doubles();
  if (columns & COLUMN.key) entry.keys = texts();
  if (columns & COLUMN.dedupe) entry.dedupeIds = texts();
  if (columns & COLUMN.producer) {
    const { text, next } = readText(b, at);
    entry.producer = { id: text ?? '', sequence: b.readDoubleLE(next) };
    at = next + 8;
  }
  if (columns & COLUMN.history) entry.history = packed() as MessageHistory;
  if (columns & COLUMN.excluded) entry.excluded = packed() as NonNullable<PublishEntry['excluded']>;
  entry.records = b.subarray(at, end);
  return entry;
}

function readText(b: Buffer, at: number): { text: string | undefined; next: number } {
  const length = b.readUInt16LE(at);
  if (length === NO_TEXT) return { text: undefined, next: at + 2 };
  return { text: b.utf8Slice(at + 2, at + 2 + length), next: at + 2 + length };
}

function readRanges(b: Buffer, at: number): { ranges: OffsetRange[]; next: number } {
  const length = b.readUInt16LE(at);
  at += 2;
  const ranges: OffsetRange[] = [];
  for (let i = 0; i < length; i++) {
    ranges.push({ partition: b.readUInt16LE(at), offset: b.readDoubleLE(at + 2), count: b.readUInt32LE(at + 10) });
    at += 14;
  }
  return { ranges, next: at };
}
