import { ByteOutput } from '../../wire/byte-output.ts';
import type { FrameShape } from '../../wire/frame-cutter.ts';
import { RECORD_PREFIX_BYTES, RecordView } from './content.ts';
import { AmqpError, REPLIES } from './errors.ts';
import { readTable, tableBytes, type Table, writeTable } from './fields.ts';
import {
  type AnyMethod,
  type Arguments,
  type FieldKind,
  type Method,
  methodName,
  METHODS,
  type MethodName,
} from './methods.ts';

/**
 * ```
 * frame    u8 type   u16 channel   u32 n   n bytes   u8 0xCE             big endian
 * method   type 1    u16 class  u16 method  fields
 * header   type 2    u16 class  u16 0  u64 body size  u16 property flags  properties
 * body     type 3    the next bytes of the body
 * beat     type 8    nothing, channel 0
 * ```
 */
export const FRAME = { method: 1, header: 2, body: 3, heartbeat: 8 } as const;

export const FRAME_HEADER_BYTES = 7;
/** What a frame takes beside its payload. */
export const FRAME_OVERHEAD_BYTES = FRAME_HEADER_BYTES + 1;
export const FRAME_END = 0xce;
/** Class, weight and size in front of the properties of a header frame. */
export const CONTENT_PREFIX_BYTES = 12;
export const BASIC_CLASS = 60;

/** The first bytes of a connection, and the answer to others. */
export const PROTOCOL_HEADER = Buffer.from('AMQP\0\0\x09\x01', 'latin1');
/** Of 0-9, which RabbitMQ takes for the same. */
const OLD_PROTOCOL_HEADER = Buffer.from('AMQP\x01\x01\0\x09', 'latin1');

export function isProtocolHeader(header: Buffer): boolean {
  return header.equals(PROTOCOL_HEADER) || header.equals(OLD_PROTOCOL_HEADER);
}

/** No frame may be larger before the login: a stranger can make us hold almost nothing. */
export const MAX_FRAME_BEFORE_LOGIN = 8 * 1024;
/** So much more is forgiven, as RabbitMQ does: some clients forget that a frame has a beginning and an end. */
const FORGIVEN_BYTES = FRAME_OVERHEAD_BYTES;
/** The smallest limit that a client may ask for. */
export const MIN_FRAME_MAX = 4096;

/** Frames as a connection expects them: first the protocol header, then frames of at most `maxFrameBytes`. */
export class AmqpFrames implements FrameShape {
  // The protocol header and the smallest frame are eight bytes.
  readonly headerBytes = 8;
  maxFrameBytes = MAX_FRAME_BEFORE_LOGIN;
  /** Until the protocol header was read. */
  starting = true;
  #forgivenBytes = 0;

  /** After the login. */
  agree(frameMax: number): void {
    this.maxFrameBytes = frameMax;
    this.#forgivenBytes = FORGIVEN_BYTES;
  }

  frameBytes(buffer: Buffer, at: number): number {
    if (this.starting) return PROTOCOL_HEADER.byteLength;
    const type = buffer[at] ?? 0;
    if (type !== FRAME.heartbeat && (type < FRAME.method || type > FRAME.body))
      throw new AmqpError('FRAME_ERROR', `type ${type}: unknown frame`);
    const payload = buffer.readUInt32BE(at + 3);
    const bytes = payload + FRAME_OVERHEAD_BYTES;
    if (bytes > this.maxFrameBytes + this.#forgivenBytes) {
      throw new AmqpError(
        'FRAME_ERROR',
        `type ${type}: frame of ${payload} bytes is larger than the ${this.maxFrameBytes - FRAME_OVERHEAD_BYTES} allowed`,
      );
    }
    return bytes;
  }
}

// ---- Reading --------------------------------------------------------------------------------------------------------

/** Reads a method from the payload of its frame. @throws SYNTAX_ERROR, and NOT_IMPLEMENTED for one that nobody knows. */
export function readMethod(buffer: Buffer, start: number, end: number): AnyMethod {
  if (end - start < 4) throw new AmqpError('SYNTAX_ERROR', 'a method frame is shorter than the id of a method');
  const id = buffer.readUInt32BE(start);
  const name = methodName(id);
  if (name === undefined) {
    throw new AmqpError('NOT_IMPLEMENTED', `there is no method ${id & 0xffff} of class ${id >>> 16}`);
  }
  const reader = new ArgumentReader(buffer, start + 4, end);
  const args: Record<string, unknown> = {};
  for (const [field, kind] of Object.entries<FieldKind>(METHODS[name].fields)) args[field] = reader.read(kind);
  reader.done(name);
  // The table gives both the type of the arguments and how they were read.
  return { name, args } as AnyMethod;
}

class ArgumentReader {
  readonly #buffer: Buffer;
  readonly #end: number;
  #at: number;
  /** The next bit of the octet before `#at`; 0 when there is none. */
  #mask = 0;

  constructor(buffer: Buffer, at: number, end: number) {
    this.#buffer = buffer;
    this.#at = at;
    this.#end = end;
  }

  read(kind: FieldKind): number | boolean | string | Buffer | Table {
    if (kind === 'bit') return this.#bit();
    this.#mask = 0;
    switch (kind) {
      case 'octet':
        return this.#buffer[this.#take(1)] ?? 0;
      case 'short':
        return this.#buffer.readUInt16BE(this.#take(2));
      case 'long':
        return this.#buffer.readUInt32BE(this.#take(4));
      case 'longlong':
        return readLongLong(this.#buffer, this.#take(8));
      case 'shortstr': {
        const length = this.#buffer[this.#take(1)] ?? 0;
        const start = this.#take(length);
        return this.#buffer.utf8Slice(start, start + length);
      }
      case 'longstr': {
        const length = this.#buffer.readUInt32BE(this.#take(4));
        const start = this.#take(length);
        return this.#buffer.subarray(start, start + length);
      }
      case 'table': {
        const { table, next } = readTable(this.#buffer, this.#at, this.#end);
        this.#at = next;
        return table;
      }
    }
  }

  done(name: MethodName): void {
    if (this.#at !== this.#end)
      throw new AmqpError('SYNTAX_ERROR', `${name} has ${this.#end - this.#at} bytes too many`);
  }

  #bit(): boolean {
    if (this.#mask === 0 || this.#mask === 0x100) {
      this.#take(1);
      this.#mask = 1;
    }
    const bit = ((this.#buffer[this.#at - 1] ?? 0) & this.#mask) !== 0;
    this.#mask <<= 1;
    return bit;
  }

  #take(bytes: number): number {
    const start = this.#at;
    if (bytes > this.#end - start) throw new AmqpError('SYNTAX_ERROR', 'a method is shorter than its fields');
    this.#at = start + bytes;
    return start;
  }
}

/** As a double: tags of more than 2^53 were never given. */
export function readLongLong(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) * 2 ** 32 + buffer.readUInt32BE(at + 4);
}

// ---- Writing --------------------------------------------------------------------------------------------------------

/** Most bytes that the fields of a method take. */
function argumentBytes(fields: Method['fields'], args: Readonly<Record<string, unknown>>): number {
  let bytes = 4;
  for (const [field, kind] of Object.entries(fields)) {
    const value = args[field];
    if (kind === 'shortstr') bytes += 256;
    else if (kind === 'longstr') bytes += 4 + (Buffer.isBuffer(value) ? value.byteLength : 0);
    else if (kind === 'table') bytes += value instanceof Map ? tableBytes(value) : 4;
    else bytes += 8;
  }
  return bytes;
}

const NO_ROUTE_TEXT = Buffer.from('NO_ROUTE');

/** What one AMQP connection sends. */
export class AmqpOutput extends ByteOutput {
  /** Largest frame that the client takes. */
  frameMax = MIN_FRAME_MAX;
  #frameStart = 0;
  /** Channels in the middle of a large content, and what is to be said on them after it. */
  readonly #held = new Map<number, (() => void)[]>();

  // ---- Order ------------------------------------------------------------------------------------------------------

  /** Says it now, or when the content that its channel is in the middle of has ended. */
  inTurn(channel: number, say: () => void): void {
    const waiting = this.#held.get(channel);
    if (waiting === undefined) say();
    else waiting.push(say);
  }

  /** A content has begun whose body comes by `bodyPiece`: nothing else may be said on its channel before `release`. */
  hold(channel: number): void {
    this.#held.set(channel, []);
  }

  release(channel: number): void {
    const waiting = this.#held.get(channel) ?? [];
    this.#held.delete(channel);
    for (let say = waiting.shift(); say !== undefined; say = waiting.shift()) {
      say();
      const held = this.#held.get(channel);
      if (held === undefined) continue;
      held.push(...waiting);
      return;
    }
  }

  #isHeld(channel: number): boolean {
    return this.#held.size > 0 && this.#held.has(channel);
  }

  // ---- Frames -----------------------------------------------------------------------------------------------------

  protocolHeader(): void {
    this.bytes(PROTOCOL_HEADER);
    this.schedule();
  }

  heartbeat(): void {
    this.#begin(FRAME.heartbeat, 0, 0);
    this.#end();
  }

  /** A method without content, from the table. The hot ones have their own below. */
  method<M extends MethodName>(channel: number, name: M, args: Arguments<M>): void {
    if (this.#isHeld(channel)) {
      this.inTurn(channel, () => this.method(channel, name, args));
      return;
    }
    const { id, fields } = METHODS[name];
    this.#begin(FRAME.method, channel, argumentBytes(fields, args));
    this.at = writeArguments(this.slab, this.at, id, fields, args);
    this.#end();
  }

  /** `basic.ack` or `basic.nack` of a publish. */
  confirm(channel: number, how: 'ack' | 'nack', tag: number, upTo: 'one' | 'all'): void {
    if (this.#isHeld(channel)) {
      this.inTurn(channel, () => this.confirm(channel, how, tag, upTo));
      return;
    }
    this.#begin(FRAME.method, channel, 13);
    const { slab } = this;
    let at = slab.writeUInt32BE(how === 'ack' ? METHODS.basicAck.id : METHODS.basicNack.id, this.at);
    at = writeLongLong(slab, tag, at);
    slab[at] = upTo === 'all' ? 1 : 0;
    this.at = at + 1;
    this.#end();
  }

  /**
   * `basic.deliver` of the record that `view` shows. `consumer` is the tag as a short string. With `apartBytes` the
   * record ends where its body begins, and so many bytes follow by `bodyPiece`.
   */
  deliver(
    channel: number,
    consumer: Buffer,
    tag: number,
    attempt: number,
    records: Buffer,
    view: RecordView,
    apartBytes?: number,
  ): void {
    if (this.#isHeld(channel)) {
      const own = copyOf(view, records);
      this.inTurn(channel, () => this.deliver(channel, consumer, tag, attempt, records, own, apartBytes));
      return;
    }
    const { byteLength: consumerBytes } = consumer;
    this.#begin(FRAME.method, channel, 13 + consumerBytes + view.properties - view.route);
    const { slab } = this;
    let at = slab.writeUInt32BE(METHODS.basicDeliver.id, this.at);
    slab.set(consumer, at);
    at = writeLongLong(slab, tag, at + consumerBytes);
    slab[at++] = attempt > 1 ? 1 : 0;
    this.at = at + records.copy(slab, at, view.route, view.properties);
    this.#end();
    this.#content(channel, records, view, apartBytes);
  }

  /** `basic.get-ok` of the record that `view` shows. `left` messages wait after it. `apartBytes` as in `deliver`. */
  getOk(
    channel: number,
    tag: number,
    attempt: number,
    left: number,
    records: Buffer,
    view: RecordView,
    apartBytes?: number,
  ): void {
    if (this.#isHeld(channel)) {
      const own = copyOf(view, records);
      this.inTurn(channel, () => this.getOk(channel, tag, attempt, left, records, own, apartBytes));
      return;
    }
    this.#begin(FRAME.method, channel, 17 + view.properties - view.route);
    const { slab } = this;
    let at = slab.writeUInt32BE(METHODS.basicGetOk.id, this.at);
    at = writeLongLong(slab, tag, at);
    slab[at++] = attempt > 1 ? 1 : 0;
    at += records.copy(slab, at, view.route, view.properties);
    this.at = slab.writeUInt32BE(left, at);
    this.#end();
    this.#content(channel, records, view, apartBytes);
  }

  /** `basic.return` of a record that nobody took. */
  unroutable(channel: number, records: Buffer, view: RecordView): void {
    if (this.#isHeld(channel)) {
      const own = copyOf(view, records);
      this.inTurn(channel, () => this.unroutable(channel, records, own));
      return;
    }
    this.#begin(FRAME.method, channel, 7 + NO_ROUTE_TEXT.byteLength + view.properties - view.route);
    const { slab } = this;
    let at = slab.writeUInt32BE(METHODS.basicReturn.id, this.at);
    at = slab.writeUInt16BE(REPLIES.NO_ROUTE.code, at);
    slab[at++] = NO_ROUTE_TEXT.byteLength;
    at += NO_ROUTE_TEXT.copy(slab, at);
    this.at = at + records.copy(slab, at, view.route, view.properties);
    this.#end();
    this.#content(channel, records, view);
  }

  /** Header and body of a record. */
  #content(channel: number, records: Buffer, { properties, body, end }: RecordView, apartBytes?: number): void {
    this.#begin(FRAME.header, channel, CONTENT_PREFIX_BYTES + body - properties);
    const { slab } = this;
    let at = slab.writeUInt32BE(BASIC_CLASS * 0x10000, this.at);
    at = writeLongLong(slab, apartBytes ?? end - body, at);
    this.at = at + records.copy(slab, at, properties, body);
    this.#end();
    if (apartBytes === undefined) this.#body(channel, records, body, end);
  }

  /** The next bytes of a body that lay apart. They must not change any more. */
  bodyPiece(channel: number, bytes: Uint8Array): void {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#body(channel, buffer, 0, buffer.byteLength);
  }

  /** In as many frames as the client's limit makes of it. */
  #body(channel: number, buffer: Buffer, start: number, end: number): void {
    const most = this.frameMax - FRAME_OVERHEAD_BYTES;
    for (let from = start; from < end; from += most) {
      const to = Math.min(from + most, end);
      this.makeRoom(FRAME_HEADER_BYTES);
      this.#head(FRAME.body, channel, to - from);
      this.range(buffer, from, to);
      this.makeRoom(1);
      this.slab[this.at++] = FRAME_END;
      this.written();
    }
  }

  #begin(type: number, channel: number, bound: number): void {
    this.makeRoom(FRAME_OVERHEAD_BYTES + bound);
    this.#frameStart = this.at;
    this.#head(type, channel, 0);
  }

  #head(type: number, channel: number, bytes: number): void {
    const { slab } = this;
    slab[this.at] = type;
    this.at = slab.writeUInt32BE(bytes, slab.writeUInt16BE(channel, this.at + 1));
  }

  #end(): void {
    this.slab.writeUInt32BE(this.at - this.#frameStart - FRAME_HEADER_BYTES, this.#frameStart + 3);
    this.slab[this.at++] = FRAME_END;
    this.written();
  }
}

/** The view is used for other records before this one is written. */
function copyOf(view: RecordView, records: Buffer): RecordView {
  return new RecordView().at(records, view.route - RECORD_PREFIX_BYTES);
}

function writeLongLong(buffer: Buffer, value: number, at: number): number {
  const high = Math.floor(value / 2 ** 32);
  return buffer.writeUInt32BE(value - high * 2 ** 32, buffer.writeUInt32BE(high, at));
}

/** Writes id and fields of a method at `at`; returns where they end. */
function writeArguments(
  buffer: Buffer,
  start: number,
  id: number,
  fields: Method['fields'],
  args: Readonly<Record<string, unknown>>,
): number {
  let at = buffer.writeUInt32BE(id, start);
  let bits = 0;
  for (const [field, kind] of Object.entries(fields)) {
    const value = args[field];
    if (kind === 'bit') {
      if (bits % 8 === 0) buffer[at++] = 0;
      if (value === true) buffer[at - 1] = (buffer[at - 1] ?? 0) | (1 << (bits % 8));
      bits++;
      continue;
    }
    bits = 0;
    at = writeArgument(buffer, at, kind, value);
  }
  return at;
}

function writeArgument(buffer: Buffer, at: number, kind: Exclude<FieldKind, 'bit'>, value: unknown): number {
  // The types of `method` hold each value to the kind of its field.
  switch (kind) {
    case 'octet':
      return buffer.writeUInt8(value as number, at);
    case 'short':
      return buffer.writeUInt16BE(value as number, at);
    case 'long':
      return buffer.writeUInt32BE(value as number, at);
    case 'longlong':
      return writeLongLong(buffer, value as number, at);
    case 'shortstr':
      buffer[at] = buffer.utf8Write(value as string, at + 1, 255);
      return at + 1 + (buffer[at] ?? 0);
    case 'longstr':
      buffer.set(value as Buffer, buffer.writeUInt32BE((value as Buffer).byteLength, at));
      return at + 4 + (value as Buffer).byteLength;
    case 'table':
      return writeTable(buffer, value as Table, at);
  }
}
