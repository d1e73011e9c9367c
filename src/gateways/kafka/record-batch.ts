import { RailheadError } from '../../core/errors.ts';
import { readInt64, writeInt64 } from './codec.ts';
import { type Codec, CODECS, decompress } from './compression.ts';
import { crc32c } from './crc32c.ts';
import type { ErrorName } from './errors.ts';

/**
 * A record batch (magic 2). Big endian.
 *
 * ```
 *  0  i64 base offset             set when it is fetched
 *  8  i32 length                  of what follows
 * 12  i32 leader epoch            set when it is fetched
 * 16  i8  magic                   2
 * 17  u32 CRC-32C                 of what follows
 * 21  i16 attributes              bits 0–2 codec, 3 LogAppendTime, 4 transactional, 5 control
 * 23  i32 last offset delta
 * 27  i64 base timestamp
 * 35  i64 max timestamp
 * 43  i64 producer id
 * 51  i16 producer epoch
 * 53  i32 base sequence
 * 57  i32 records
 * 61  records, compressed together
 *
 * record  varint length, i8 attributes, varint timestamp delta, varint offset delta,
 *         varint n, n bytes key, varint n, n bytes value      (n = -1: null; varints are zigzag)
 *         varint headers, each: varint n, n bytes name, varint n, n bytes value
 * ```
 */
export const BATCH_HEADER_BYTES = 61;
/** Before what the length counts. */
export const LENGTH_END = 12;
const MAGIC = 16;
export const CRC = 17;
/** Of the oldest layout that there was; nothing can be shorter. */
const LEAST_LENGTH = 14;
const ATTRIBUTES = 21;
const LAST_DELTA = 23;
const BASE_TIMESTAMP = 27;
const MAX_TIMESTAMP = 35;
const PRODUCER_ID = 43;
const PRODUCER_EPOCH = 51;
const BASE_SEQUENCE = 53;
const COUNT = 57;

/** Of all records of a batch: one of two bytes becomes an object of fifty times that. */
const MAX_HEADERS = 500_000;

export const ATTRIBUTE = { codec: 7, logAppendTime: 8, transactional: 16, control: 32 } as const;

/** There is one leader, and it never changes. */
export const LEADER_EPOCH = 0;

/** The fields of a batch's header that decide something. */
export interface BatchHeader {
  count: number;
  attributes: number;
  codec: Codec;
  baseTimestamp: number;
  maxTimestamp: number;
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
}

const BAD_BATCH = [
  'CORRUPT_MESSAGE',
  'INVALID_RECORD',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
  'UNSUPPORTED_COMPRESSION_TYPE',
] as const satisfies readonly ErrorName[];

/** What refuses a batch, with the protocol's own word for it. */
export function badBatch(error: (typeof BAD_BATCH)[number], message: string): RailheadError {
  return new RailheadError('INVALID', message, { details: { kafka: error }, outcome: 'not-stored' });
}

/** The word of `badBatch`, if an error is one. */
export function errorNameOf(error: unknown): ErrorName | undefined {
  if (!RailheadError.is(error)) return undefined;
  const name = error.details?.kafka;
  return BAD_BATCH.find((known) => known === name);
}

/** Of any bytes. */
export function isTransactionalBatch(bytes: Buffer): boolean {
  return bytes.byteLength >= BATCH_HEADER_BYTES && (bytes.readInt16BE(ATTRIBUTES) & ATTRIBUTE.transactional) !== 0;
}

/**
 * Looks at the header of one batch that is all there is in `bytes`. The checksum is another matter, but for a header that
 * cannot be: damage on the way is told as such, since clients try again then.
 *
 * @throws INVALID, as `badBatch`
 */
export function readHeader(bytes: Buffer): BatchHeader {
  checkOneBatch(bytes);
  const attributes = bytes.readInt16BE(ATTRIBUTES);
  const codec = CODECS[attributes & ATTRIBUTE.codec];
  if (codec === undefined)
    throw wrongHeader(bytes, `The codec ${attributes & ATTRIBUTE.codec} of a batch is not known.`);
  if ((attributes & ATTRIBUTE.control) !== 0)
    throw wrongHeader(bytes, 'Control batches are written by the broker alone.');
  const count = bytes.readInt32BE(COUNT);
  if (count < 1 || bytes.readInt32BE(LAST_DELTA) !== count - 1)
    throw wrongHeader(bytes, `A batch of ${count} records whose last one is ${bytes.readInt32BE(LAST_DELTA)}.`);
  return {
    count,
    attributes,
    codec,
    baseTimestamp: readInt64(bytes, BASE_TIMESTAMP),
    maxTimestamp: readInt64(bytes, MAX_TIMESTAMP),
    producerId: readInt64(bytes, PRODUCER_ID),
    producerEpoch: bytes.readInt16BE(PRODUCER_EPOCH),
    baseSequence: bytes.readInt32BE(BASE_SEQUENCE),
  };
}

function wrongHeader(bytes: Buffer, message: string): RailheadError {
  checkCrc(bytes);
  return badBatch('INVALID_RECORD', message);
}

/** Whether it can be given to a log to look at. */
export function isOneBatch(bytes: Buffer): boolean {
  try {
    checkOneBatch(bytes);
    return CODECS[bytes.readInt16BE(ATTRIBUTES) & ATTRIBUTE.codec] !== undefined;
  } catch {
    return false;
  }
}

/** As Kafka looks: what is not whole is no batch, and what cannot be one is corrupt. */
function checkOneBatch(bytes: Buffer): void {
  const nothing = (): RailheadError => badBatch('INVALID_RECORD', 'There is no whole record batch.');
  if (bytes.byteLength < LENGTH_END) throw nothing();
  const length = bytes.readInt32BE(8);
  if (length < LEAST_LENGTH) throw badBatch('CORRUPT_MESSAGE', `A record batch of ${length} bytes.`);
  if (bytes.byteLength <= MAGIC) throw nothing();
  const magic = bytes.readInt8(MAGIC);
  if (magic < 0 || magic > 2) throw badBatch('CORRUPT_MESSAGE', `Records of magic ${magic}, which there is not.`);
  if (length + LENGTH_END > bytes.byteLength) throw nothing();
  if (magic !== 2)
    throw badBatch('INVALID_RECORD', `Records of magic ${magic} in a version that has batches; 2 is stored.`);
  if (length + LENGTH_END < bytes.byteLength)
    throw badBatch(
      'INVALID_RECORD',
      `A record batch of ${length} bytes in ${bytes.byteLength - LENGTH_END}; a partition takes one batch at a time.`,
    );
  if (bytes.byteLength < BATCH_HEADER_BYTES)
    throw badBatch('CORRUPT_MESSAGE', 'A record batch without all of its header.');
}

/** @throws INVALID, as `badBatch` */
export function checkCrc(bytes: Buffer): void {
  if (crc32c(bytes, ATTRIBUTES) !== bytes.readUInt32BE(CRC))
    throw badBatch('CORRUPT_MESSAGE', 'The checksum of a record batch is not that of its bytes.');
}

/**
 * A copy in which all records have the time at which the broker took them. What was damaged on the way must not get a
 * checksum that says that it was not.
 *
 * @throws INVALID, as `badBatch`
 */
export function withLogAppendTime(bytes: Buffer, now: number): Buffer {
  checkCrc(bytes);
  const copy = Buffer.from(bytes);
  copy.writeInt16BE(copy.readInt16BE(ATTRIBUTES) | ATTRIBUTE.logAppendTime, ATTRIBUTES);
  writeInt64(copy, now, MAX_TIMESTAMP);
  copy.writeUInt32BE(crc32c(copy, ATTRIBUTES), CRC);
  return copy;
}

/** As it is fetched, in two pieces: the place that the log gave it, and the rest as it was published. */
export function placed(batch: Buffer, baseOffset: number): [Buffer, Buffer] {
  const head = Buffer.allocUnsafe(MAGIC);
  writeInt64(head, baseOffset, 0);
  batch.copy(head, 8, 8, LENGTH_END);
  head.writeInt32BE(LEADER_EPOCH, LENGTH_END);
  return [head, batch.subarray(MAGIC)];
}

export interface KafkaRecord {
  timestamp: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: [name: string, value: Buffer | null][];
}

/** The records of a batch. Trusts nothing. @throws INVALID */
export function readRecords(bytes: Buffer): KafkaRecord[] {
  const header = readHeader(bytes);
  const cursor = new RecordCursor(decompress(header.codec, bytes.subarray(BATCH_HEADER_BYTES)));
  const records: KafkaRecord[] = [];
  for (let i = 0; i < header.count; i++) records.push(cursor.record(header));
  if (!cursor.done) throw tooMany(header.count);
  return records;
}

/**
 * That the records of a batch that is not compressed are as many and as long as it says: a consumer would else be stuck
 * at them. Makes nothing of them, and is quick: every record that is published is looked at.
 *
 * @throws INVALID, as `badBatch`
 */
export function checkRecords(bytes: Buffer, count: number): void {
  let at = BATCH_HEADER_BYTES;
  let end = bytes.byteLength;
  /** A time or an offset: whatever it is. */
  const skipNumber = (): void => {
    for (let i = 0; i < 10 && at < end; i++) if ((bytes[at++] ?? 0) < 0x80) return;
    throw cutOff();
  };
  /** Of at most four bytes, below 0 for null: what is longer than 128 MiB is not in a batch. */
  const length = (): number => {
    let zigzag = 0;
    for (let shift = 0; shift < 28 && at < end; shift += 7) {
      const byte = bytes[at++] ?? 0;
      zigzag |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (zigzag >>> 1) ^ -(zigzag & 1);
    }
    throw cutOff();
  };
  const skip = (taken: number): void => {
    if (taken <= 0) return;
    at += taken;
    if (at > end) throw cutOff();
  };
  for (let i = 0; i < count; i++) {
    end = bytes.byteLength;
    const recordEnd = length() + at;
    if (recordEnd <= at || recordEnd > end) throw cutOff();
    end = recordEnd;
    // The attributes.
    at++;
    skipNumber();
    skipNumber();
    skip(length());
    skip(length());
    const headers = length();
    if (headers < 0) throw cutOff();
    for (let left = headers; left > 0; left--) {
      const name = length();
      if (name < 0) throw cutOff();
      skip(name);
      skip(length());
    }
    if (at !== recordEnd) throw cutOff();
  }
  if (at !== bytes.byteLength) throw tooMany(count);
}

function tooMany(count: number): RailheadError {
  return badBatch('INVALID_RECORD', `A batch has more than its ${count} records.`);
}

class RecordCursor {
  readonly #bytes: Buffer;
  #at = 0;
  #end: number;
  #headers = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#end = bytes.byteLength;
  }

  get done(): boolean {
    return this.#at === this.#bytes.byteLength;
  }

  record({ attributes, baseTimestamp, maxTimestamp }: BatchHeader): KafkaRecord {
    this.#end = this.#bytes.byteLength;
    const end = this.#varint() + this.#at;
    if (end > this.#bytes.byteLength) throw cutOff();
    this.#end = end;
    this.#take(1);
    const timestamp = baseTimestamp + this.#varint();
    this.#varint();
    const key = this.#bytesOrNull();
    const value = this.#bytesOrNull();
    const headers: KafkaRecord['headers'] = [];
    const count = this.#varint();
    if (count < 0 || 2 * count > end - this.#at) throw cutOff();
    this.#headers += count;
    if (this.#headers > MAX_HEADERS)
      throw badBatch('INVALID_RECORD', `The records of a batch have more than ${MAX_HEADERS} headers.`);
    for (let i = 0; i < count; i++) headers.push([this.#bytesOrNull()?.toString() ?? '', this.#bytesOrNull()]);
    if (this.#at !== end) throw cutOff();
    return { timestamp: (attributes & ATTRIBUTE.logAppendTime) === 0 ? timestamp : maxTimestamp, key, value, headers };
  }

  #bytesOrNull(): Buffer | null {
    const length = this.#varint();
    if (length < 0) return null;
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** Zigzag, up to ten bytes; exact up to 2^53. Most have one byte. */
  #varint(): number {
    const first = this.#bytes[this.#take(1)] ?? 0;
    if (first < 0x80) return (first >>> 1) ^ -(first & 1);
    let value = first & 0x7f;
    for (let i = 1; i < 10; i++) {
      const byte = this.#bytes[this.#take(1)] ?? 0;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    throw cutOff();
  }

  #take(bytes: number): number {
    const start = this.#at;
    if (start + bytes > this.#end) throw cutOff();
    this.#at = start + bytes;
    return start;
  }
}

function cutOff(): RailheadError {
  return badBatch('INVALID_RECORD', 'A record of a batch is cut off, or longer than it says.');
}

/** An uncompressed batch of records that were published over another protocol, or came in an older layout. */
export function writeBatch(records: readonly KafkaRecord[], attributes = 0): Buffer {
  const baseTimestamp = records[0]?.timestamp ?? 0;
  const bodies = records.map((record, i) => writeRecord(record, i, record.timestamp - baseTimestamp));
  const header = Buffer.alloc(BATCH_HEADER_BYTES);
  const batch = Buffer.concat([header, ...bodies]);
  batch.writeInt32BE(batch.byteLength - LENGTH_END, 8);
  batch[MAGIC] = 2;
  batch.writeInt16BE(attributes, ATTRIBUTES);
  batch.writeInt32BE(records.length - 1, LAST_DELTA);
  writeInt64(batch, baseTimestamp, BASE_TIMESTAMP);
  writeInt64(
    batch,
    records.reduce((max, { timestamp }) => Math.max(max, timestamp), baseTimestamp),
    MAX_TIMESTAMP,
  );
  batch.fill(0xff, PRODUCER_ID, COUNT);
  batch.writeInt32BE(records.length, COUNT);
  batch.writeUInt32BE(crc32c(batch, ATTRIBUTES), CRC);
  return batch;
}

function writeRecord({ key, value, headers }: KafkaRecord, offsetDelta: number, timestampDelta: number): Buffer {
  const parts: Buffer[] = [Buffer.alloc(1), varint(timestampDelta), varint(offsetDelta)];
  const push = (bytes: Buffer | null): void => {
    parts.push(varint(bytes === null ? -1 : bytes.byteLength));
    if (bytes !== null) parts.push(bytes);
  };
  push(key);
  push(value);
  parts.push(varint(headers.length));
  for (const [name, header] of headers) {
    push(Buffer.from(name));
    push(header);
  }
  const body = Buffer.concat(parts);
  return Buffer.concat([varint(body.byteLength), body]);
}

function varint(value: number): Buffer {
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  const bytes: number[] = [];
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Of which kind the times of a topic are. */
export type MarkerTime = 'create' | 'log-append';

/** The end of a transaction, as the broker writes it: a control batch with one record. */
export function markerBatch(marker: {
  producerId: number;
  epoch: number;
  committed: boolean;
  at: number;
  time?: MarkerTime;
}): Buffer {
  const key = Buffer.from([0, 0, 0, marker.committed ? 1 : 0]);
  // A version and the epoch of the coordinator.
  const value = Buffer.alloc(6);
  const record: KafkaRecord = { timestamp: marker.at, key, value, headers: [] };
  const time = marker.time === 'log-append' ? ATTRIBUTE.logAppendTime : 0;
  const batch = writeBatch([record], ATTRIBUTE.transactional | ATTRIBUTE.control | time);
  writeInt64(batch, marker.producerId, PRODUCER_ID);
  batch.writeInt16BE(marker.epoch, PRODUCER_EPOCH);
  batch.writeInt32BE(-1, BASE_SEQUENCE);
  batch.writeUInt32BE(crc32c(batch, ATTRIBUTES), CRC);
  return batch;
}
