import { Unpackr } from 'msgpackr';
import type { MessageHistory } from '../core/session.ts';
import {
  COLUMN,
  END_NAMES,
  ENTRY,
  type Entry,
  NO_TEXT,
  type OffsetRange,
  type OtherEntry,
  type PublishEntry,
  SETTLE_NAMES,
  type SettleEntry,
  type Target,
} from './entries.ts';

// Bytes are copied out: what stays in the state must not keep the whole batch in memory.
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, copyBuffers: true });

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
      const { ranges } = readRanges(b, at + 29);
      return {
        type: 'lease',
        topicId: b.readUInt32LE(at),
        subscriptionId: b.readUInt32LE(at + 4),
        kind: b[at + 8] ?? 0,
        consumer: b.readUInt32LE(at + 9),
        at: b.readDoubleLE(at + 13),
        deadline: b.readDoubleLE(at + 21),
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
    if (columns & COLUMN.indexes) {
      const indexes: number[] = [];
      for (let i = 0; i < count; i++) indexes.push(b.readUInt32LE(at + 4 * i));
      entry.producer.indexes = indexes;
      at += 4 * count;
    }
  }
  if (columns & COLUMN.history) entry.history = packed() as MessageHistory;
  if (columns & COLUMN.excluded) entry.excluded = packed() as NonNullable<PublishEntry['excluded']>;
  if (columns & COLUMN.transaction) {
    entry.transaction = b.readDoubleLE(at);
    at += 8;
  }
  if (columns & COLUMN.ends) {
    const [how, producerId, epoch] = [END_NAMES[b[at] ?? 0], b.readDoubleLE(at + 1), b.readDoubleLE(at + 9)];
    entry.ends = { how: how ?? 'aborted', producerId, epoch };
    at += 17;
  }
  if (columns & COLUMN.body) {
    const { text, next } = readText(b, at);
    entry.body = { blob: text ?? '', bytes: b.readDoubleLE(next) };
    at = next + 8;
  }
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
