import { crc32 } from 'node:zlib';
import { type Codec, CODECS, decompress } from './compression.ts';
import { readInt64 } from './codec.ts';
import { badBatch, type KafkaRecord, writeBatch } from './record-batch.ts';

/**
 * A message set (magic 0 and 1), as producers of before Kafka 0.11 send it: messages side by side. Big endian.
 *
 * ```
 *  0  i64 offset        a producer has none to say
 *  8  i32 size          of what follows
 * 12  u32 CRC-32        of what follows
 * 16  i8  magic         0 or 1
 * 17  i8  attributes    bits 0–2 codec, 3 LogAppendTime
 * 18  i64 timestamp     magic 1 alone
 *     i32 n, n bytes key, i32 n, n bytes value      (n = -1: null)
 * ```
 *
 * With a codec the value is a message set of the same magic, compressed.
 */
const SIZE = 8;
const CRC = 12;
const MAGIC = 16;
const ATTRIBUTES = 17;
const TIMESTAMP = 18;
const CODEC_BITS = 7;
/** Without a key and a value. */
const MIN_SIZE = 14;
/** What messages of magic 0 have, as in Kafka. */
const NO_TIMESTAMP = -1;
/** Of one set, decompressed. A set of empty messages would else become objects of many times its size. */
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_MESSAGES = 100_000;
/** Each is opened by itself, and one of thirty bytes may hold nothing. A producer sends one. */
const MAX_COMPRESSED = 1_000;

interface Message {
  readonly codec: Codec;
  readonly magic: number;
  readonly record: KafkaRecord;
}

/** The same records as one uncompressed batch of magic 2. Trusts nothing. @throws INVALID, as `badBatch` */
export function upConverted(set: Buffer): Buffer {
  const records: KafkaRecord[] = [];
  let left = MAX_BYTES;
  let compressed = 0;
  const push = (record: KafkaRecord): void => {
    if (records.length === MAX_MESSAGES)
      throw badBatch('INVALID_RECORD', `A message set has more than ${MAX_MESSAGES} messages.`);
    records.push(record);
  };
  for (const message of messagesOf(set)) {
    if (message.codec === 'none') {
      push(message.record);
      continue;
    }
    if (++compressed > MAX_COMPRESSED)
      throw badBatch('INVALID_RECORD', `A message set has more than ${MAX_COMPRESSED} compressed messages.`);
    const inner = opened(message.codec, message.record.value ?? Buffer.alloc(0), left);
    left -= inner.byteLength;
    for (const each of messagesOf(inner)) {
      if (each.codec !== 'none' || each.magic !== message.magic)
        throw badBatch('INVALID_RECORD', 'A compressed message is in another one, or they differ in their magic.');
      push(each.record);
    }
  }
  if (records.length === 0) throw badBatch('INVALID_RECORD', 'A message set without messages.');
  return writeBatch(records);
}

function opened(codec: Codec, bytes: Buffer, maxBytes: number): Buffer {
  try {
    return decompress(codec, bytes, maxBytes);
  } catch (error) {
    throw badBatch('CORRUPT_MESSAGE', error instanceof Error ? error.message : String(error));
  }
}

function* messagesOf(set: Buffer): Generator<Message> {
  for (let at = 0; at < set.byteLength;) {
    if (at + CRC + MIN_SIZE > set.byteLength) throw badBatch('CORRUPT_MESSAGE', 'A message set is cut off.');
    const size = set.readInt32BE(at + SIZE);
    if (size < MIN_SIZE || at + CRC + size > set.byteLength)
      throw badBatch('CORRUPT_MESSAGE', `A message of ${size} bytes in ${set.byteLength - at - CRC}.`);
    yield readMessage(set.subarray(at, at + CRC + size));
    at += CRC + size;
  }
}

function readMessage(bytes: Buffer): Message {
  const magic = bytes[MAGIC] ?? 0;
  if (magic > 1) throw badBatch('UNSUPPORTED_FOR_MESSAGE_FORMAT', `A message of magic ${magic} in a message set.`);
  if (crc32(bytes.subarray(MAGIC)) !== bytes.readUInt32BE(CRC))
    throw badBatch('CORRUPT_MESSAGE', 'The checksum of a message is not that of its bytes.');
  const codec = CODECS[(bytes[ATTRIBUTES] ?? 0) & CODEC_BITS];
  if (codec === undefined || codec === 'zstd')
    throw badBatch('UNSUPPORTED_COMPRESSION_TYPE', 'A message of this magic is compressed with gzip, snappy or LZ4.');
  let at = magic === 0 ? TIMESTAMP : TIMESTAMP + 8;
  const next = (): Buffer | null => {
    if (at + 4 > bytes.byteLength) throw cutOff();
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length < 0) return null;
    if (at + length > bytes.byteLength) throw cutOff();
    at += length;
    return bytes.subarray(at - length, at);
  };
  const timestamp = magic === 0 ? NO_TIMESTAMP : readTimestamp(bytes);
  const [key, value] = [next(), next()];
  if (at !== bytes.byteLength) throw cutOff();
  return { codec, magic, record: { timestamp, key, value, headers: [] } };
}

function readTimestamp(bytes: Buffer): number {
  if (bytes.byteLength < TIMESTAMP + 8) throw cutOff();
  return readInt64(bytes, TIMESTAMP);
}

function cutOff(): Error {
  return badBatch('CORRUPT_MESSAGE', 'A message is cut off, or longer than it says.');
}
