import { Packr } from 'msgpackr';
import {
  COLUMN,
  END,
  ENTRY,
  type Entry,
  type LeaseEntry,
  NO_TEXT,
  type OffsetRange,
  type OtherEntry,
  type PublishEntry,
  SETTLE,
  type SettleEntry,
} from './entries.ts';

// Floats as 64 bits: times and offsets must come back exactly.
const packr = new Packr({ useRecords: false, variableMapSize: true });

/** The buffer in which a batch gathers. Bytes handed out by `take` are not written again as long as their slab is not given anew. */
export class EntryWriter {
  #slab: Buffer;
  #start = 0;
  #at = 0;
  #count = 0;
  readonly #slabBytes: number;
  readonly #newSlab: () => Buffer;

  /** @param newSlab gives memory of that size for many batches */
  constructor(slabBytes = 1 << 20, newSlab: () => Buffer = () => Buffer.allocUnsafeSlow(slabBytes)) {
    this.#slabBytes = slabBytes;
    this.#newSlab = newSlab;
    this.#slab = newSlab();
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
      this.#slab = this.#newSlab();
      this.#start = this.#at = 0;
    }
    return taken;
  }

  #begin(type: number, bound: number): Buffer {
    const need = bound + 5;
    if (this.#at + need > this.#slab.byteLength) {
      const gathered = this.#at - this.#start;
      const least = Math.max(gathered + need, Math.min(2 * gathered, 1 << 24));
      const larger = least <= this.#slabBytes ? this.#newSlab() : Buffer.allocUnsafeSlow(least);
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
    if (producer) bound += producer.id.length * 3 + 10 + 4 * (producer.indexes?.length ?? 0);
    bound += (history?.byteLength ?? 0) + (excluded?.byteLength ?? 0) + 8;
    if (entry.transaction !== undefined) bound += 25;
    if (entry.body) bound += entry.body.blob.length * 3 + 10;
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
        (producer?.indexes ? COLUMN.indexes : 0) |
        (history ? COLUMN.history : 0) |
        (excluded ? COLUMN.excluded : 0) |
        (entry.transaction === undefined ? 0 : COLUMN.transaction) |
        (entry.ends ? COLUMN.ends : 0) |
        (entry.body ? COLUMN.body : 0),
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
      for (const index of producer.indexes ?? []) at = b.writeUInt32LE(index, at);
    }
    for (const packed of [history, excluded]) {
      if (!packed) continue;
      at = b.writeUInt32LE(packed.byteLength, at);
      b.set(packed, at);
      at += packed.byteLength;
    }
    if (entry.transaction !== undefined) at = b.writeDoubleLE(entry.transaction, at);
    if (entry.ends) {
      b[at++] = END[entry.ends.how];
      at = b.writeDoubleLE(entry.ends.producerId, at);
      at = b.writeDoubleLE(entry.ends.epoch, at);
    }
    if (entry.body) {
      at = writeText(b, entry.body.blob, at);
      at = b.writeDoubleLE(entry.body.bytes, at);
    }
    b.set(entry.records, at);
    this.#at = at + entry.records.byteLength;
  }

  #lease(entry: LeaseEntry): void {
    const b = this.#begin(ENTRY.lease, 40 + entry.ranges.length * 14);
    let at = this.#at;
    at = b.writeUInt32LE(entry.topicId, at);
    at = b.writeUInt32LE(entry.subscriptionId, at);
    b[at++] = entry.kind;
    at = b.writeUInt32LE(entry.consumer, at);
    at = b.writeDoubleLE(entry.at, at);
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
