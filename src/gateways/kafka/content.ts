import { createHash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { RailheadError } from '../../core/errors.ts';
import { type Envelope, type HeaderValue, MAX_KEY_BYTES } from '../../core/records.ts';
import type { RecordFormat } from '../../engine/formats.ts';
import { OpenedBatches } from './opened-batches.ts';
import { badBatch, checkCrc, checkRecords, type KafkaRecord, readHeader, readRecords } from './record-batch.ts';

/** A record batch is stored byte for byte as it came, compressed or not, and given back so. Never cut. */
export const FORMAT_KAFKA = 4;

const CONTENT_TYPE = 'content-type';

/** For all brokers of a process: where the bytes are the same, the records are. */
const opened = new OpenedBatches((batch) => readRecords(batch).map(toEnvelope));

export const kafkaFormat: RecordFormat = {
  tag: FORMAT_KAFKA,
  name: 'kafka',
  plainHasKeys: true,

  /**
   * What a batch holds is not decompressed, and looked at only where it is not compressed: that it is plain, but for keys,
   * is how the protocol is.
   */
  check(records, count) {
    const header = readHeader(records);
    if (header.count !== count)
      throw badBatch('INVALID_RECORD', `A batch of ${header.count} records was announced with ${count}.`);
    checkCrc(records);
    if (header.codec === 'none') checkRecords(records, count);
    return true;
  },

  bounds: () => null,

  envelopes(records, count) {
    const envelopes = opened.envelopes(records);
    if (envelopes.length !== count) throw badBatch('INVALID_RECORD', `A batch does not have its ${count} records.`);
    return envelopes;
  },

  headBytes: () => notApart(),
  head: () => notApart(),
  isRemoval: ({ absent }) => absent === true,
};

/** Batches are never taken apart, so that there is no head without its body. */
function notApart(): never {
  throw new RailheadError('NOT_SUPPORTED', 'A record batch of Kafka has no bodies apart from it.');
}

export function toEnvelope({ key, value, headers }: KafkaRecord): Envelope {
  const envelope: Envelope = { body: value ?? Buffer.alloc(0) };
  if (key !== null) envelope.key = keyText(key);
  if (value === null) envelope.absent = true;
  const named: [string, HeaderValue][] = [];
  for (const [name, bytes] of headers) {
    const text = bytes === null ? null : isUtf8(bytes) ? bytes.toString() : bytes;
    if (name === CONTENT_TYPE && typeof text === 'string') envelope.contentType = text;
    else named.push([name, text]);
  }
  if (envelope.contentType === undefined && value !== null) {
    const type = guessedType(value);
    if (type !== undefined) envelope.contentType = type;
  }
  // `fromEntries` makes own fields of hostile names such as __proto__ too.
  if (named.length > 0) envelope.headers = Object.fromEntries(named);
  return envelope;
}

const JSON_WORD = /^(true|false|null|-?\d+(\.\d+)?([eE][+-]?\d+)?)$/;

/** A record does not say what its value is. What cannot be JSON, which is what is meant where nothing is said, is text or bytes. */
function guessedType(value: Buffer): string | undefined {
  if (value[0] === 0x7b || value[0] === 0x5b || value[0] === 0x22) return undefined;
  if (value.byteLength <= 32 && JSON_WORD.test(value.toString('latin1'))) return undefined;
  return isUtf8(value) ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}

/** Keys are bytes there and text here. What is no text, or too long to be a key here, is told from others by its digest. */
function keyText(key: Buffer): string {
  if (key.byteLength <= MAX_KEY_BYTES && isUtf8(key)) return key.toString();
  return `sha256:${createHash('sha256').update(key).digest('base64url')}`;
}

/** A record that was published over another protocol. */
export function fromEnvelope(envelope: Envelope, timestamp: number): KafkaRecord {
  const headers: KafkaRecord['headers'] = Object.entries<HeaderValue>(envelope.headers ?? {}).map(([name, value]) => [
    name,
    headerBytes(value),
  ]);
  if (envelope.contentType !== undefined) headers.push([CONTENT_TYPE, Buffer.from(envelope.contentType)]);
  const body = Buffer.from(envelope.body.buffer, envelope.body.byteOffset, envelope.body.byteLength);
  return { timestamp, key: envelope.key === undefined ? null : Buffer.from(envelope.key), value: body, headers };
}

function headerBytes(value: HeaderValue): Buffer | null {
  if (value === null) return null;
  if (value instanceof Uint8Array) return Buffer.from(value);
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
}
