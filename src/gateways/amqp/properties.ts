import type { Envelope, Headers, HeaderValue } from '../../core/records.ts';
import { AmqpError } from './errors.ts';
import {
  type Field,
  numberField,
  readTable,
  skipTable,
  type Table,
  tableBytes,
  textField,
  textOf,
  TYPE_NAMES,
  writeTable,
} from './fields.ts';

/** The properties of a content. */
export interface Properties {
  contentType?: string;
  contentEncoding?: string;
  headers?: Table;
  deliveryMode?: number;
  priority?: number;
  correlationId?: string;
  replyTo?: string;
  /** Milliseconds, as decimal text. */
  expiration?: string;
  messageId?: string;
  /** Seconds of 1970. */
  timestamp?: bigint;
  type?: string;
  userId?: string;
  appId?: string;
  clusterId?: string;
}

/** In the order of the wire; the flag of the first is the highest bit. */
const PROPERTIES = [
  ['contentType', 'shortstr'],
  ['contentEncoding', 'shortstr'],
  ['headers', 'table'],
  ['deliveryMode', 'octet'],
  ['priority', 'octet'],
  ['correlationId', 'shortstr'],
  ['replyTo', 'shortstr'],
  ['expiration', 'shortstr'],
  ['messageId', 'shortstr'],
  ['timestamp', 'timestamp'],
  ['type', 'shortstr'],
  ['userId', 'shortstr'],
  ['appId', 'shortstr'],
  ['clusterId', 'shortstr'],
] as const satisfies readonly (readonly [keyof Properties, 'shortstr' | 'table' | 'octet' | 'timestamp'])[];

export const PROPERTY = {
  headers: 1 << 13,
  priority: 1 << 11,
  replyTo: 1 << 9,
  expiration: 1 << 8,
  userId: 1 << 4,
} as const;

/** Bits that stand for no property: a continuation, which the protocol never uses, and one that is free. */
const NOT_PROPERTIES = 0b11;

/** Where the parts of a property list lie that a broker looks at; 0 for those that are not there. Of `scanProperties`. */
export interface PropertyPlaces {
  flags: number;
  headers: number;
  headersEnd: number;
  /** Of short strings: their length byte. */
  expiration: number;
  replyTo: number;
  userId: number;
}

export function noPlaces(): PropertyPlaces {
  return { flags: 0, headers: 0, headersEnd: 0, expiration: 0, replyTo: 0, userId: 0 };
}

/**
 * Checks that `buffer[at, end)` is exactly one property list, trusting nothing and making no object, and notes in
 * `places` where the interesting parts are. @throws SYNTAX_ERROR
 */
export function scanProperties(buffer: Buffer, start: number, end: number, places: PropertyPlaces): void {
  if (end - start < 2) throw broken();
  const flags = buffer.readUInt16BE(start);
  if ((flags & NOT_PROPERTIES) !== 0) throw broken();
  places.flags = flags;
  places.headers = places.headersEnd = places.expiration = places.replyTo = places.userId = 0;
  let at = start + 2;
  for (let bit = 15, i = 0; bit >= 2; bit--, i++) {
    if ((flags & (1 << bit)) === 0) continue;
    if (at >= end) throw broken();
    switch (PROPERTIES[i]?.[1]) {
      case 'octet':
        at += 1;
        break;
      case 'timestamp':
        at += 8;
        break;
      case 'table':
        places.headers = at;
        at = places.headersEnd = skipTable(buffer, at, end);
        break;
      default:
        if (bit === 8) places.expiration = at;
        else if (bit === 9) places.replyTo = at;
        else if (bit === 4) places.userId = at;
        at += 1 + (buffer[at] ?? 0);
    }
    if (at > end) throw broken();
  }
  if (at !== end) throw broken();
}

function broken(): AmqpError {
  return new AmqpError('SYNTAX_ERROR', 'the properties of a content are not what their flags say');
}

/** The text of a short string whose length byte is at `at`. */
export function shortText(buffer: Buffer, at: number): string {
  return buffer.utf8Slice(at + 1, at + 1 + (buffer[at] ?? 0));
}

/** Reads a property list that was scanned. */
export function readProperties(buffer: Buffer, start: number, end: number): Properties {
  const flags = buffer.readUInt16BE(start);
  const properties: Record<string, unknown> = {};
  let at = start + 2;
  for (let bit = 15, i = 0; bit >= 2; bit--, i++) {
    const property = PROPERTIES[i];
    if ((flags & (1 << bit)) === 0 || property === undefined) continue;
    const [name, kind] = property;
    switch (kind) {
      case 'octet':
        properties[name] = buffer[at++];
        break;
      case 'timestamp':
        properties[name] = buffer.readBigUInt64BE(at);
        at += 8;
        break;
      case 'table': {
        const { table, next } = readTable(buffer, at, end);
        properties[name] = table;
        at = next;
        break;
      }
      case 'shortstr':
        properties[name] = shortText(buffer, at);
        at += 1 + (buffer[at] ?? 0);
    }
  }
  return properties;
}

/** Flags and list, as on the wire. Text that does not fit into its field is cut. */
export function encodeProperties(properties: Properties): Buffer {
  let bound = 2;
  for (const [name, kind] of PROPERTIES) {
    if (properties[name] === undefined) continue;
    if (kind === 'table') bound += tableBytes(properties.headers ?? new Map());
    else bound += kind === 'shortstr' ? 256 : 8;
  }
  const buffer = Buffer.allocUnsafe(bound);
  let flags = 0;
  let at = 2;
  PROPERTIES.forEach(([name, kind], i) => {
    const value = properties[name];
    if (value === undefined) return;
    flags |= 1 << (15 - i);
    if (kind === 'octet') buffer[at++] = Number(value);
    else if (kind === 'timestamp') at = buffer.writeBigUInt64BE(properties.timestamp ?? 0n, at);
    else if (kind === 'table') at = writeTable(buffer, properties.headers ?? new Map(), at);
    else {
      const length = buffer.utf8Write(typeof value === 'string' ? value : '', at + 1, 255);
      buffer[at] = length;
      at += 1 + length;
    }
  });
  buffer.writeUInt16BE(flags, 0);
  return buffer.subarray(0, at);
}

// ---- To and from the envelope of the engine -------------------------------------------------------------------------

/**
 * Properties that the envelope has no field for become headers of these names, and such headers become properties
 * again. `docs/protocols/amqp.md` has the same table.
 */
const AS_HEADERS = [
  ['contentEncoding', 'amqp-content-encoding'],
  ['correlationId', 'amqp-correlation-id'],
  ['replyTo', 'amqp-reply-to'],
  ['messageId', 'amqp-message-id'],
  ['type', 'amqp-type'],
  ['userId', 'amqp-user-id'],
  ['appId', 'amqp-app-id'],
] as const satisfies readonly (readonly [keyof Properties, string])[];

/** Further routing keys: arrays of text. Nobody gets to see the second one. */
export const COPIES_HEADER = 'CC';
export const BLIND_COPIES_HEADER = 'BCC';

/** The routing keys that a header adds. @throws PRECONDITION_FAILED for one that is no array */
export function routesIn(headers: Table, name: typeof COPIES_HEADER | typeof BLIND_COPIES_HEADER): string[] {
  const field = headers.get(name);
  if (field === undefined) return [];
  if (field.type !== 'A')
    throw new AmqpError(
      'PRECONDITION_FAILED',
      `invalid message: {unacceptable_type_in_header,"${name}",${TYPE_NAMES[field.type]}}`,
    );
  return field.value.flatMap((each) => textOf(each) ?? []);
}

/** Those that a stored content was published with beside its own. */
export function copiesOf({ headers }: Properties): string[] {
  return headers?.get(COPIES_HEADER)?.type === 'A' ? routesIn(headers, COPIES_HEADER) : [];
}

/** Headers by which an AMQP client says what AMQP has no property for. */
export const KEY_HEADER = 'railhead-key';
export const DEDUPE_HEADER = 'railhead-dedupe-id';
export const DELAY_HEADER = 'x-delay';
const TIMESTAMP_HEADER = 'amqp-timestamp';

export const DEFAULT_CONTENT_TYPE = 'application/octet-stream';

/** @param how `delayed`: the header x-delay is obeyed */
export function toEnvelope(properties: Properties, body: Uint8Array, how: 'delayed' | 'plain'): Envelope {
  const envelope: Envelope = { contentType: properties.contentType ?? DEFAULT_CONTENT_TYPE, body };
  if (properties.priority !== undefined) envelope.priority = properties.priority;
  if (properties.expiration !== undefined) envelope.ttlMs = Number(properties.expiration);
  const headers: [string, HeaderValue][] = [];
  for (const [name, field] of properties.headers ?? []) {
    const value = toHeader(field);
    if (name === KEY_HEADER && typeof value === 'string') envelope.key = value;
    else if (name === DEDUPE_HEADER && typeof value === 'string') envelope.dedupeId = value;
    else headers.push([name, value]);
    if (name === DELAY_HEADER && how === 'delayed') envelope.delayMs = delayOf(value);
  }
  for (const [name, header] of AS_HEADERS) {
    const value = properties[name];
    if (value !== undefined) headers.push([header, value]);
  }
  if (properties.timestamp !== undefined) headers.push([TIMESTAMP_HEADER, Number(properties.timestamp)]);
  // `fromEntries` makes own fields of hostile names such as __proto__ too.
  if (headers.length > 0) envelope.headers = Object.fromEntries(headers);
  return envelope;
}

/** As the retired plugin read it: a number, or text that is one; anything else is no delay. */
function delayOf(value: HeaderValue): number {
  const delay = Number(value);
  return Number.isFinite(delay) && delay > 0 ? delay : 0;
}

export function fromEnvelope(envelope: Envelope, publishedAt: number): Properties {
  const properties: Properties = {
    contentType: envelope.contentType ?? 'application/json',
    deliveryMode: 2,
    timestamp: BigInt(Math.floor(publishedAt / 1000)),
  };
  if (envelope.priority !== undefined) properties.priority = envelope.priority;
  if (envelope.ttlMs !== undefined) properties.expiration = String(Math.ceil(envelope.ttlMs));
  const headers = new Map<string, Field>();
  const asProperties = new Map<string, keyof Properties>(AS_HEADERS.map(([name, header]) => [header, name]));
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries<HeaderValue>(envelope.headers ?? {})) {
    const property = asProperties.get(name);
    if (property !== undefined && typeof value === 'string') texts[property] = value;
    else if (name === TIMESTAMP_HEADER && typeof value === 'number' && value >= 0)
      properties.timestamp = BigInt(Math.floor(value));
    // A name in a field table has at most 255 bytes.
    else if (Buffer.byteLength(name) <= 255) headers.set(name, toField(value));
  }
  if (envelope.key !== undefined) headers.set(KEY_HEADER, textField(envelope.key));
  if (envelope.dedupeId !== undefined) headers.set(DEDUPE_HEADER, textField(envelope.dedupeId));
  if (headers.size > 0) properties.headers = headers;
  return { ...properties, ...texts };
}

export function toHeaders(table: Table): Headers {
  return Object.fromEntries(Array.from(table, ([name, field]): [string, HeaderValue] => [name, toHeader(field)]));
}

export function toHeader(field: Field): HeaderValue {
  switch (field.type) {
    case 'S':
      return field.value.toString();
    case 'l':
    case 'L':
    case 'T': {
      const value = Number(field.value);
      return Number.isSafeInteger(value) ? value : field.value.toString();
    }
    case 'D':
      return field.unscaled / 10 ** field.scale;
    case 'A':
      return field.value.map(toHeader);
    case 'F':
      return toHeaders(field.value);
    case 'V':
      return null;
    default:
      return field.value;
  }
}

export function toField(value: HeaderValue): Field {
  if (typeof value === 'string') return textField(value);
  if (typeof value === 'number') return numberField(value);
  if (typeof value === 'boolean') return { type: 't', value };
  if (value === null) return { type: 'V' };
  if (value instanceof Uint8Array) return { type: 'x', value: Buffer.from(value) };
  if (Array.isArray(value)) return { type: 'A', value: value.map(toField) };
  const entries = Object.entries(value).filter(([name]) => Buffer.byteLength(name) <= 255);
  return { type: 'F', value: new Map(entries.map(([name, each]) => [name, toField(each)])) };
}
