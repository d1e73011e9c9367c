import { RailheadError } from './errors.ts';
import { Packr, Unpackr } from 'msgpackr';

/**
 * The native record: how a message of the SDK looks on the wire and in the journal, byte for byte the same, so that a
 * batch is written as it came and given back as it is. Little endian.
 *
 * ```
 * record   u32 size (of what follows)
 *          u8  flags
 *          [u8  priority]                 PRIORITY
 *          [f64 delay ms]                 DELAY       counted from when the broker takes it
 *          [f64 not before, ms of 1970]   NOT_BEFORE  (never together with DELAY)
 *          [f64 ttl ms]                   TTL         counted from when the broker takes it
 *          [u16 n, n bytes utf-8]         KEY
 *          [u16 n, n bytes utf-8]         DEDUPE
 *          [u16 n, n bytes utf-8]         CONTENT_TYPE (absent: application/json)
 *          [u32 n, n bytes msgpack map]   HEADERS
 *          body                           the rest
 * batch    record record …
 * ```
 *
 * All eight flags are taken. A new field needs a new format tag (see `FORMAT_NATIVE`): records are stored for years.
 */
export const FORMAT_NATIVE = 1;

export const RECORD = {
  PRIORITY: 1,
  DELAY: 2,
  NOT_BEFORE: 4,
  TTL: 8,
  KEY: 16,
  DEDUPE: 32,
  CONTENT_TYPE: 64,
  HEADERS: 128,
} as const;

export const MAX_KEY_BYTES = 1024;
export const MAX_HEADERS_BYTES = 64 * 1024;
export const DEFAULT_CONTENT_TYPE = 'application/json';

export type HeaderValue =
  | string
  | number
  | boolean
  | null
  | Uint8Array
  | HeaderValue[]
  | { [name: string]: HeaderValue };
export type Headers = Readonly<Record<string, HeaderValue>>;

/** What a message carries around its body, in engine words. Every record format can be decoded to this. */
export interface Envelope {
  key?: string;
  /** With which it was published, where a format keeps that: dead letters without a routing key of their own have them. */
  routingKeys?: readonly string[];
  priority?: number;
  delayMs?: number;
  notBefore?: number;
  ttlMs?: number;
  dedupeId?: string;
  /** Absent: application/json. */
  contentType?: string;
  headers?: Headers;
  /** Of a format that tells no body from an empty one: it has none. */
  absent?: true;
  body: Uint8Array;
}

const packr = new Packr({ useRecords: false, variableMapSize: true, mapsAsObjects: true });
// Maps keep hostile names such as __proto__ as data: msgpackr renames them when it makes plain objects.
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });
const utf8 = new TextDecoder('utf-8');

const NOTHING = Buffer.alloc(0);
const MAX_FIRST_BYTES = 1 << 20;
/** Smaller ones are cut from a slab of Node's, which is much quicker than an allocation each. */
const POOLED_BELOW_BYTES = 4096;

/** Collects records into one contiguous batch. Grows by doubling; `take()` hands the bytes over and starts anew. */
export class RecordBatchWriter {
  #buffer: Buffer = NOTHING;
  #length = 0;
  #count = 0;
  /** Size of the next buffer: about what the last batch took, so that one small message does not cost a page. */
  #nextBytes: number;

  constructor(initialBytes = 512) {
    this.#nextBytes = initialBytes;
  }

  get byteLength(): number {
    return this.#length;
  }

  get count(): number {
    return this.#count;
  }

  /** Appends one record. A string body is written as UTF-8 without an intermediate buffer. */
  append(envelope: Omit<Envelope, 'body'>, body: Uint8Array | string): void {
    const bodyBound = typeof body === 'string' ? body.length * 3 : body.byteLength;
    const headers = envelope.headers === undefined ? undefined : packr.pack(envelope.headers);
    const bound =
      64 +
      (envelope.key?.length ?? 0) * 3 +
      (envelope.dedupeId?.length ?? 0) * 3 +
      (envelope.contentType?.length ?? 0) * 3 +
      (headers?.byteLength ?? 0) +
      bodyBound;
    this.#reserve(bound);
    const buffer = this.#buffer;
    const start = this.#length;
    let at = start + 5;
    let flags = 0;
    if (envelope.priority !== undefined) {
      flags |= RECORD.PRIORITY;
      buffer[at++] = envelope.priority;
    }
    if (envelope.delayMs !== undefined) {
      flags |= RECORD.DELAY;
      at = buffer.writeDoubleLE(envelope.delayMs, at);
    } else if (envelope.notBefore !== undefined) {
      flags |= RECORD.NOT_BEFORE;
      at = buffer.writeDoubleLE(envelope.notBefore, at);
    }
    if (envelope.ttlMs !== undefined) {
      flags |= RECORD.TTL;
      at = buffer.writeDoubleLE(envelope.ttlMs, at);
    }
    if (envelope.key !== undefined) {
      flags |= RECORD.KEY;
      at = this.#text(envelope.key, at, 'key');
    }
    if (envelope.dedupeId !== undefined) {
      flags |= RECORD.DEDUPE;
      at = this.#text(envelope.dedupeId, at, 'dedupeId');
    }
    if (envelope.contentType !== undefined) {
      flags |= RECORD.CONTENT_TYPE;
      at = this.#text(envelope.contentType, at, 'contentType');
    }
    if (headers !== undefined) {
      if (headers.byteLength > MAX_HEADERS_BYTES) {
        throw new RailheadError(
          'TOO_LARGE',
          `The headers take ${headers.byteLength} bytes; at most ${MAX_HEADERS_BYTES} are allowed. Put large data into the body.`,
        );
      }
      flags |= RECORD.HEADERS;
      at = buffer.writeUInt32LE(headers.byteLength, at);
      at += headers.copy(buffer, at);
    }
    if (typeof body === 'string') at += buffer.utf8Write(body, at);
    else {
      buffer.set(body, at);
      at += body.byteLength;
    }
    buffer[start + 4] = flags;
    buffer.writeUInt32LE(at - start - 4, start);
    this.#length = at;
    this.#count++;
  }

  /** The batch so far. The writer gives it up: it may be sent or stored without a copy. */
  take(): { bytes: Buffer; count: number } {
    const taken = { bytes: this.#buffer.subarray(0, this.#length), count: this.#count };
    this.#nextBytes = Math.min(Math.max(512, this.#length * 1.5), MAX_FIRST_BYTES);
    this.#buffer = NOTHING;
    this.#length = 0;
    this.#count = 0;
    return taken;
  }

  #text(text: string, at: number, what: string): number {
    const length = this.#buffer.utf8Write(text, at + 2);
    if (length > MAX_KEY_BYTES) {
      throw new RailheadError('TOO_LARGE', `The ${what} takes ${length} bytes; at most ${MAX_KEY_BYTES} are allowed.`);
    }
    this.#buffer.writeUInt16LE(length, at);
    return at + 2 + length;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.byteLength) return;
    const size = Math.ceil(Math.max(this.#buffer.byteLength * 2, this.#length + bytes, this.#nextBytes));
    const larger = size < POOLED_BELOW_BYTES ? Buffer.allocUnsafe(size) : Buffer.allocUnsafeSlow(size);
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** A view that makes number reads quick, whatever kind of Uint8Array came in. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Checks that `batch` holds exactly `count` whole records and returns the union of their flags: 0 says that all are
 * plain. This is the only check that stands between a peer's bytes and the journal, so it trusts nothing.
 *
 * @throws INVALID naming the record.
 */
export function checkRecords(batch: Buffer, count: number): number {
  let at = 0;
  let flags = 0;
  for (let i = 0; i < count; i++) {
    if (at + 5 > batch.byteLength) throw damaged(i, 'is cut off');
    const end = at + 4 + batch.readUInt32LE(at);
    if (end > batch.byteLength || end < at + 5) throw damaged(i, 'has a size that does not fit its batch');
    const recordFlags = batch[at + 4] ?? 0;
    if (recordFlags !== 0 && bodyStart(batch, at) > end) throw damaged(i, 'has fields longer than itself');
    flags |= recordFlags;
    at = end;
  }
  if (at !== batch.byteLength) throw damaged(count, `is more than the ${count} that were announced`);
  return flags;
}

/** How many bytes of the record at `start` come before its body. */
export function recordHeadBytes(batch: Buffer, start: number): number {
  return bodyStart(batch, start) - start;
}

/** The beginning of a record whose body of `bodyBytes` is handed over apart. */
export function recordHead(envelope: Omit<Envelope, 'body'>, bodyBytes: number): Buffer {
  const writer = new RecordBatchWriter(256);
  writer.append(envelope, '');
  const { bytes } = writer.take();
  bytes.writeUInt32LE(bytes.byteLength - 4 + bodyBytes, 0);
  return bytes;
}

/**
 * Checks that `head` is one record up to its body, and that the body has `bodyBytes`. Trusts nothing, as `checkRecords`.
 *
 * @throws INVALID
 */
export function checkRecordHead(head: Buffer, bodyBytes: number): void {
  if (head.byteLength < 5) throw damaged(0, 'is cut off');
  if (head.readUInt32LE(0) !== head.byteLength - 4 + bodyBytes)
    throw damaged(0, `has a size that does not fit its body of ${bodyBytes} bytes`);
  if (bodyStart(head, 0) !== head.byteLength) throw damaged(0, 'does not end where its body begins');
}

function damaged(index: number, what: string): RailheadError {
  return new RailheadError(
    'INVALID',
    `Record ${index} of the batch ${what}. The client library is broken or newer than this broker.`,
  );
}

/** Offset of the first byte after the record that starts at `at`. */
export function recordEnd(batch: Buffer, at: number): number {
  return at + 4 + batch.readUInt32LE(at);
}

function bodyStart(batch: Buffer, start: number): number {
  const flags = batch[start + 4] ?? 0;
  let at = start + 5;
  if (flags & RECORD.PRIORITY) at += 1;
  if (flags & RECORD.DELAY) at += 8;
  if (flags & RECORD.NOT_BEFORE) at += 8;
  if (flags & RECORD.TTL) at += 8;
  for (const field of [RECORD.KEY, RECORD.DEDUPE, RECORD.CONTENT_TYPE]) {
    if (flags & field) at = at + 2 <= batch.byteLength ? at + 2 + batch.readUInt16LE(at) : Infinity;
  }
  if (flags & RECORD.HEADERS) at = at + 4 <= batch.byteLength ? at + 4 + batch.readUInt32LE(at) : Infinity;
  return at;
}

/** Reads the record that starts at `start`. The body is a view into `batch`, not a copy. */
export function readRecord(batch: Buffer, start: number): Envelope {
  const end = recordEnd(batch, start);
  const flags = batch[start + 4] ?? 0;
  if (flags === 0) return { body: batch.subarray(start + 5, end) };
  const envelope: Envelope = { body: batch };
  let at = start + 5;
  const text = (): string => {
    const length = batch.readUInt16LE(at);
    at += 2 + length;
    return batch.utf8Slice(at - length, at);
  };
  if (flags & RECORD.PRIORITY) envelope.priority = batch[at++] ?? 0;
  if (flags & RECORD.DELAY) {
    envelope.delayMs = batch.readDoubleLE(at);
    at += 8;
  }
  if (flags & RECORD.NOT_BEFORE) {
    envelope.notBefore = batch.readDoubleLE(at);
    at += 8;
  }
  if (flags & RECORD.TTL) {
    envelope.ttlMs = batch.readDoubleLE(at);
    at += 8;
  }
  if (flags & RECORD.KEY) envelope.key = text();
  if (flags & RECORD.DEDUPE) envelope.dedupeId = text();
  if (flags & RECORD.CONTENT_TYPE) envelope.contentType = text();
  if (flags & RECORD.HEADERS) {
    const length = batch.readUInt32LE(at);
    envelope.headers = unpackHeaders(batch.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  envelope.body = batch.subarray(at, end);
  return envelope;
}

function unpackHeaders(bytes: Uint8Array): Headers {
  try {
    const value: unknown = unpackr.unpack(bytes);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Headers;
  } catch (error) {
    throw new RailheadError('INVALID', 'The headers are not a MessagePack map.', { cause: error });
  }
  throw new RailheadError('INVALID', 'The headers are not a MessagePack map.');
}

const JSON_NULL = Buffer.from('null');

/**
 * Whether a message of a compacted topic says no more than that its key is gone: it has no body, or the null of JSON, which
 * is what the SDK makes of null.
 */
export function saysGone({ body, contentType }: Envelope): boolean {
  return body.byteLength === 0 || (contentType === undefined && JSON_NULL.equals(body));
}

export function textOf(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}
