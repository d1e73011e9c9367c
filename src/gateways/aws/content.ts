import { RailheadError } from '../../core/errors.ts';
import type { Envelope, HeaderValue } from '../../core/records.ts';
import { parseXray, withTrace } from '../../core/trace-context.ts';
import type { RecordFormat } from '../../engine/formats.ts';

/**
 * A message as SQS has it, with its attributes as they were sent.
 *
 * ```
 * record   u32 size (of what follows)     little endian
 *          u8  flags
 *          [f64 delay ms]                 DELAY
 *          [u8 n, n bytes group id]       GROUP
 *          [u8 n, n bytes dedupe id]      DEDUPE; with SCOPED it counts within its group alone
 *          [u8 n, n bytes sender]         SENDER
 *          [u16 n, n bytes trace header]  TRACE
 *          [u32 n, n bytes attributes]    ATTRIBUTES: each u8 n name, u8 n type, u32 n value; UTF-8, or bytes of a Binary.
 *                                         No name is empty, and one may have 256 bytes, which is written as 0
 *          body                           the rest, UTF-8
 * ```
 *
 * Records are stored for years: a change needs a new tag.
 */
export const FORMAT_SQS = 3;

const FLAG = { DELAY: 1, GROUP: 2, DEDUPE: 4, SCOPED: 8, SENDER: 16, TRACE: 32, ATTRIBUTES: 64 } as const;
const KNOWN_FLAGS = 127;
/** What the engine has to look at. */
const LOOK = FLAG.DELAY | FLAG.GROUP | FLAG.DEDUPE;
const PREFIX_BYTES = 5;
/** In bytes. */
const LONGEST_NAME = 256;

export interface Attribute {
  name: string;
  type: string;
  value: string | Buffer;
}

export interface SqsRecord {
  body: string;
  delayMs?: number | undefined;
  groupId?: string | undefined;
  dedupeId?: string | undefined;
  /** How far a dedupe id counts. */
  dedupeScope?: 'queue' | 'messageGroup';
  sender?: string | undefined;
  trace?: string | undefined;
  attributes?: readonly Attribute[] | undefined;
}

export function isBinary(type: string): boolean {
  return type === 'Binary' || type.startsWith('Binary.');
}

export function encodeRecord(record: SqsRecord): Buffer {
  return encodeRecords([record]);
}

/** One after the other. */
export function encodeRecords(records: readonly SqsRecord[]): Buffer {
  const lists = records.map(({ attributes = [] }) =>
    attributes.length === 0 ? NO_BYTES : encodeAttributes(attributes),
  );
  let most = 0;
  for (const [i, record] of records.entries()) most += mostBytes(record) + (lists[i]?.byteLength ?? 0);
  const bytes = Buffer.allocUnsafe(most);
  let at = 0;
  for (const [i, record] of records.entries()) at = writeRecord(bytes, at, record, lists[i] ?? NO_BYTES);
  return bytes.subarray(0, at);
}

const NO_BYTES = Buffer.alloc(0);

/** Without its attributes. Names are ASCII or counted with three bytes a character. */
function mostBytes({ body, groupId = '', dedupeId = '', sender = '', trace = '' }: SqsRecord): number {
  const names = groupId.length + dedupeId.length + sender.length + trace.length;
  return PREFIX_BYTES + 64 + 3 * names + Buffer.byteLength(body);
}

/** Returns where it ends. */
function writeRecord(bytes: Buffer, start: number, record: SqsRecord, attributes: Buffer): number {
  const { body, delayMs, groupId, dedupeId, sender, trace } = record;
  let flags = 0;
  let at = start + PREFIX_BYTES;
  if (delayMs !== undefined && delayMs > 0) {
    flags |= FLAG.DELAY;
    at = bytes.writeDoubleLE(delayMs, at);
  }
  if (groupId !== undefined) {
    flags |= FLAG.GROUP;
    at = writeShort(bytes, at, groupId);
  }
  if (dedupeId !== undefined) {
    flags |= record.dedupeScope === 'messageGroup' ? FLAG.DEDUPE | FLAG.SCOPED : FLAG.DEDUPE;
    at = writeShort(bytes, at, dedupeId);
  }
  if (sender !== undefined) {
    flags |= FLAG.SENDER;
    at = writeShort(bytes, at, sender);
  }
  if (trace !== undefined) {
    flags |= FLAG.TRACE;
    const length = bytes.utf8Write(trace, at + 2);
    at = bytes.writeUInt16LE(length, at) + length;
  }
  if (attributes.byteLength > 0) {
    flags |= FLAG.ATTRIBUTES;
    at = bytes.writeUInt32LE(attributes.byteLength, at);
    at += attributes.copy(bytes, at);
  }
  at += bytes.utf8Write(body, at);
  bytes.writeUInt32LE(at - start - 4, start);
  bytes[start + 4] = flags;
  return at;
}

function writeShort(bytes: Buffer, at: number, text: string): number {
  const length = bytes.utf8Write(text, at + 1);
  bytes[at] = length;
  return at + 1 + length;
}

function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  const parts: Buffer[] = [];
  for (const { name, type, value } of attributes) {
    const head = [name, type].flatMap((text) => {
      const bytes = Buffer.from(text, 'utf8');
      return [Buffer.from([bytes.byteLength % LONGEST_NAME]), bytes];
    });
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.byteLength);
    parts.push(...head, length, bytes);
  }
  return Buffer.concat(parts);
}

/** Where the parts of one record lie. */
interface Parts {
  end: number;
  flags: number;
  delayMs: number;
  group: Span;
  dedupe: Span;
  sender: Span;
  trace: Span;
  attributes: Span;
  body: number;
}

interface Span {
  from: number;
  to: number;
}

const NONE: Span = { from: 0, to: 0 };

/** Trusts nothing: null for what is not a record. `bytes` may end before its body does. */
function partsOf(bytes: Buffer, start: number): Parts | null {
  if (start + PREFIX_BYTES > bytes.byteLength) return null;
  const end = start + 4 + bytes.readUInt32LE(start);
  const flags = bytes[start + 4] ?? 0;
  if (end < start + PREFIX_BYTES || (flags & ~KNOWN_FLAGS) !== 0) return null;
  const parts: Parts = {
    end,
    flags,
    delayMs: 0,
    group: NONE,
    dedupe: NONE,
    sender: NONE,
    trace: NONE,
    attributes: NONE,
    body: 0,
  };
  const limit = Math.min(end, bytes.byteLength);
  let at = start + PREFIX_BYTES;
  const span = (sizeBytes: 1 | 2 | 4): Span => {
    if (at + sizeBytes > limit) {
      at = Infinity;
      return NONE;
    }
    const length = bytes.readUIntLE(at, sizeBytes);
    const from = at + sizeBytes;
    at = from + length;
    return { from, to: at };
  };
  if ((flags & FLAG.DELAY) !== 0) {
    if (at + 8 > limit) return null;
    parts.delayMs = bytes.readDoubleLE(at);
    at += 8;
  }
  if ((flags & FLAG.GROUP) !== 0) parts.group = span(1);
  if ((flags & FLAG.DEDUPE) !== 0) parts.dedupe = span(1);
  if ((flags & FLAG.SENDER) !== 0) parts.sender = span(1);
  if ((flags & FLAG.TRACE) !== 0) parts.trace = span(2);
  if ((flags & FLAG.ATTRIBUTES) !== 0) parts.attributes = span(4);
  if (at > limit) return null;
  parts.body = at;
  return parts;
}

function text(bytes: Buffer, { from, to }: Span): string {
  return bytes.utf8Slice(from, to);
}

/** False when they do not fill their span. */
function eachAttribute(bytes: Buffer, { from, to }: Span, visit: (attribute: Attribute) => void): boolean {
  let at = from;
  while (at < to) {
    const nameBytes = bytes[at] ?? 0;
    const name = at + 1 + (nameBytes === 0 ? LONGEST_NAME : nameBytes);
    const type = name + 1 + (bytes[name] ?? 0);
    if (type + 4 > to) return false;
    const value = type + 4;
    const end = value + bytes.readUInt32LE(type);
    if (end > to) return false;
    const typeName = bytes.utf8Slice(name + 1, type);
    visit({
      name: bytes.utf8Slice(at + 1, name),
      type: typeName,
      value: isBinary(typeName) ? bytes.subarray(value, end) : bytes.utf8Slice(value, end),
    });
    at = end;
  }
  return true;
}

/** Reads the record that starts at `start`, and where the next one does. It was checked. */
export function readRecord(bytes: Buffer, start: number): { record: SqsRecord; end: number } {
  const parts = partsOf(bytes, start);
  if (parts === null) throw damaged(0, 'cannot be read');
  const { flags, end } = parts;
  const record: SqsRecord = { body: bytes.utf8Slice(parts.body, end) };
  if ((flags & FLAG.GROUP) !== 0) record.groupId = text(bytes, parts.group);
  if ((flags & FLAG.DEDUPE) !== 0) record.dedupeId = text(bytes, parts.dedupe);
  if ((flags & FLAG.SENDER) !== 0) record.sender = text(bytes, parts.sender);
  if ((flags & FLAG.TRACE) !== 0) record.trace = text(bytes, parts.trace);
  if ((flags & FLAG.ATTRIBUTES) !== 0) {
    const attributes: Attribute[] = [];
    eachAttribute(bytes, parts.attributes, (attribute) => attributes.push(attribute));
    record.attributes = attributes;
  }
  return { record, end };
}

function envelopeOf(bytes: Buffer, parts: Parts): Envelope {
  const { flags } = parts;
  const envelope: Envelope = { contentType: 'text/plain', body: bytes.subarray(parts.body, parts.end) };
  if ((flags & FLAG.DELAY) !== 0) envelope.delayMs = parts.delayMs;
  if ((flags & FLAG.GROUP) !== 0) envelope.key = text(bytes, parts.group);
  if ((flags & FLAG.DEDUPE) !== 0) {
    const id = text(bytes, parts.dedupe);
    envelope.dedupeId = (flags & FLAG.SCOPED) === 0 ? id : `${envelope.key ?? ''}\n${id}`;
  }
  if ((flags & FLAG.ATTRIBUTES) !== 0) {
    const headers: [string, HeaderValue][] = [];
    eachAttribute(bytes, parts.attributes, ({ name, type, value }) => headers.push([name, headerOf(type, value)]));
    envelope.headers = Object.fromEntries(headers);
  }
  // Its own clients have a header of their own for what others call `traceparent`.
  if ((flags & FLAG.TRACE) !== 0) {
    const headers = withTrace(envelope.headers, parseXray(text(bytes, parts.trace)));
    if (headers !== undefined) envelope.headers = headers;
  }
  return envelope;
}

/** As filters and other protocols see it. A number that a double cannot hold stays text. */
function headerOf(type: string, value: string | Buffer): HeaderValue {
  if (typeof value !== 'string' || !(type === 'Number' || type.startsWith('Number.'))) return value;
  const number = Number(value);
  return Number.isFinite(number) && (!Number.isInteger(number) || Number.isSafeInteger(number)) ? number : value;
}

function damaged(index: number, what: string): RailheadError {
  return new RailheadError('INVALID', `Record ${index} of the batch ${what}. The client library is broken.`);
}

/** @throws INVALID */
function checked(bytes: Buffer, start: number, index: number): Parts {
  const parts = partsOf(bytes, start);
  if (parts === null) throw damaged(index, 'has fields that do not fit into it');
  if (!(parts.delayMs >= 0 && Number.isFinite(parts.delayMs))) throw damaged(index, 'has a delay that is no time');
  if (!eachAttribute(bytes, parts.attributes, () => {})) throw damaged(index, 'has attributes that are cut off');
  return parts;
}

export const sqsFormat: RecordFormat = {
  tag: FORMAT_SQS,
  name: 'sqs',

  check(records, count) {
    let flags = 0;
    let at = 0;
    for (let i = 0; i < count; i++) {
      const parts = checked(records, at, i);
      if (parts.end > records.byteLength) throw damaged(i, 'has a size that does not fit its batch');
      flags |= parts.flags;
      at = parts.end;
    }
    if (at !== records.byteLength) throw damaged(count, `is more than the ${count} that were announced`);
    return (flags & LOOK) === 0;
  },

  bounds(records, count) {
    const bounds = new Uint32Array(count + 1);
    for (let i = 0, at = 0; i < count; i++) bounds[i + 1] = at += 4 + records.readUInt32LE(at);
    return bounds;
  },

  envelopes(records, count) {
    const envelopes: Envelope[] = [];
    for (let i = 0, at = 0; i < count; i++) {
      const parts = checked(records, at, i);
      envelopes.push(envelopeOf(records, parts));
      at = parts.end;
    }
    return envelopes;
  },

  headBytes(record) {
    return checked(record, 0, 0).body;
  },

  head(head, bodyBytes) {
    const parts = checked(head, 0, 0);
    if (parts.body !== head.byteLength || parts.end !== head.byteLength + bodyBytes)
      throw damaged(0, 'has a head that does not go with its body');
    return envelopeOf(head, parts);
  },
};
