import { AmqpError } from './errors.ts';

/**
 * Field tables, with every type that RabbitMQ speaks, so that what came is given back as it came.
 *
 * ```
 * table  u32 bytes, then  n × { u8 length, name, value }
 * value  u8 type, then
 *        t  u8 0 or 1            b  i8    B  u8    s  i16    u  u16    I  i32    i  u32    l  i64    L  u64
 *        f  32-bit float         d  64-bit float   D  u8 scale, i32 unscaled     T  u64 seconds of 1970
 *        S  u32 bytes, text      x  u32 bytes      A  u32 bytes, values          F  table          V  nothing
 * ```
 */
export type Field =
  | { readonly type: 't'; readonly value: boolean }
  | { readonly type: 'b' | 'B' | 's' | 'u' | 'I' | 'i'; readonly value: number }
  /** `bytes` of what is not a number: there are many such, and JavaScript keeps them no further apart. */
  | { readonly type: 'f' | 'd'; readonly value: number; readonly bytes?: Buffer }
  | { readonly type: 'l' | 'L' | 'T'; readonly value: bigint }
  | { readonly type: 'D'; readonly scale: number; readonly unscaled: number }
  | { readonly type: 'S' | 'x'; readonly value: Buffer }
  | { readonly type: 'A'; readonly value: readonly Field[] }
  | { readonly type: 'F'; readonly value: Table }
  | { readonly type: 'V' };

export type Table = ReadonlyMap<string, Field>;

const MAX_DEPTH = 32;

const FIXED = { t: 1, b: 1, B: 1, s: 2, u: 2, I: 4, i: 4, l: 8, L: 8, f: 4, d: 8, D: 5, T: 8, V: 0 } as const;

function fixedBytes(type: string): number | undefined {
  return Object.hasOwn(FIXED, type) ? FIXED[type as keyof typeof FIXED] : undefined;
}

/** Reads a table whose size field is at `at` and which must end by `end`. @throws SYNTAX_ERROR */
export function readTable(buffer: Buffer, at: number, end: number): { table: Table; next: number } {
  const reader = new FieldReader(buffer, at, end);
  const table = reader.table(1);
  return { table, next: reader.at };
}

function broken(what: string): AmqpError {
  return new AmqpError('SYNTAX_ERROR', `a field table ${what}`);
}

class FieldReader {
  readonly #buffer: Buffer;
  readonly #end: number;
  at: number;

  constructor(buffer: Buffer, at: number, end: number) {
    this.#buffer = buffer;
    this.at = at;
    this.#end = end;
  }

  table(depth: number): Table {
    const end = this.#sized(depth);
    const table = new Map<string, Field>();
    while (this.at < end) {
      const length = this.#buffer[this.#take(1, end)] ?? 0;
      const start = this.#take(length, end);
      table.set(this.#buffer.utf8Slice(start, start + length), this.#value(depth, end));
    }
    return table;
  }

  #array(depth: number): Field[] {
    const end = this.#sized(depth);
    const values: Field[] = [];
    while (this.at < end) values.push(this.#value(depth, end));
    return values;
  }

  /** End of what has its size in front. */
  #sized(depth: number): number {
    if (depth > MAX_DEPTH) throw broken(`is nested deeper than ${MAX_DEPTH}`);
    const bytes = this.#buffer.readUInt32BE(this.#take(4, this.#end));
    if (bytes > this.#end - this.at) throw broken('is longer than what holds it');
    return this.at + bytes;
  }

  #value(depth: number, end: number): Field {
    const buffer = this.#buffer;
    const type = String.fromCharCode(buffer[this.#take(1, end)] ?? 0);
    switch (type) {
      case 't':
        return { type, value: buffer[this.#take(1, end)] !== 0 };
      case 'b':
        return { type, value: buffer.readInt8(this.#take(1, end)) };
      case 'B':
        return { type, value: buffer.readUInt8(this.#take(1, end)) };
      case 's':
        return { type, value: buffer.readInt16BE(this.#take(2, end)) };
      case 'u':
        return { type, value: buffer.readUInt16BE(this.#take(2, end)) };
      case 'I':
        return { type, value: buffer.readInt32BE(this.#take(4, end)) };
      case 'i':
        return { type, value: buffer.readUInt32BE(this.#take(4, end)) };
      case 'l':
        return { type, value: buffer.readBigInt64BE(this.#take(8, end)) };
      case 'L':
      case 'T':
        return { type, value: buffer.readBigUInt64BE(this.#take(8, end)) };
      case 'f':
      case 'd': {
        const start = this.#take(FIXED[type], end);
        const value = type === 'f' ? buffer.readFloatBE(start) : buffer.readDoubleBE(start);
        return Number.isNaN(value) ? { type, value, bytes: buffer.subarray(start, this.at) } : { type, value };
      }
      case 'D': {
        const start = this.#take(5, end);
        return { type, scale: buffer[start] ?? 0, unscaled: buffer.readInt32BE(start + 1) };
      }
      case 'S':
      case 'x': {
        const bytes = buffer.readUInt32BE(this.#take(4, end));
        const start = this.#take(bytes, end);
        return { type, value: buffer.subarray(start, start + bytes) };
      }
      case 'A':
        return { type, value: this.#within(end, () => this.#array(depth + 1)) };
      case 'F':
        return { type, value: this.#within(end, () => this.table(depth + 1)) };
      case 'V':
        return { type };
      default:
        throw broken(`has a value of the unknown type ${JSON.stringify(type)}`);
    }
  }

  /** What is inside must end where its holder ends. */
  #within<T>(end: number, read: () => T): T {
    const value = read();
    if (this.at > end) throw broken('is longer than what holds it');
    return value;
  }

  #take(bytes: number, end: number): number {
    const start = this.at;
    if (bytes > end - start) throw broken('ends in the middle of a value');
    this.at = start + bytes;
    return start;
  }
}

/** Checks as `readTable` does, without making anything of it. Returns where the table ends. @throws SYNTAX_ERROR */
export function skipTable(buffer: Buffer, at: number, end: number, depth = 1): number {
  const inner = skipSize(buffer, at, end, depth);
  let next = at + 4;
  while (next < inner) {
    next += 1 + (buffer[next] ?? 0);
    next = skipValue(buffer, next, inner, depth);
  }
  return inner;
}

function skipSize(buffer: Buffer, at: number, end: number, depth: number): number {
  if (depth > MAX_DEPTH) throw broken(`is nested deeper than ${MAX_DEPTH}`);
  if (end - at < 4) throw broken('ends in the middle of a value');
  const inner = at + 4 + buffer.readUInt32BE(at);
  if (inner > end) throw broken('is longer than what holds it');
  return inner;
}

function skipValue(buffer: Buffer, at: number, end: number, depth: number): number {
  if (at >= end) throw broken('ends in the middle of a value');
  const type = String.fromCharCode(buffer[at] ?? 0);
  let next = at + 1;
  if (type === 'S' || type === 'x') next = skipSize(buffer, next, end, depth);
  else if (type === 'F') next = skipTable(buffer, next, end, depth + 1);
  else if (type === 'A') {
    const inner = skipSize(buffer, next, end, depth + 1);
    next += 4;
    while (next < inner) next = skipValue(buffer, next, inner, depth + 1);
  } else {
    const bytes = fixedBytes(type);
    if (bytes === undefined) throw broken(`has a value of the unknown type ${JSON.stringify(type)}`);
    next += bytes;
  }
  if (next > end) throw broken('ends in the middle of a value');
  return next;
}

/** Bytes that a table takes, size field included. */
export function tableBytes(table: Table): number {
  let bytes = 4;
  for (const [name, field] of table) bytes += 1 + Buffer.byteLength(name) + fieldBytes(field);
  return bytes;
}

function fieldBytes(field: Field): number {
  switch (field.type) {
    case 'S':
    case 'x':
      return 5 + field.value.byteLength;
    case 'A':
      return field.value.reduce((sum, each) => sum + fieldBytes(each), 5);
    case 'F':
      return 1 + tableBytes(field.value);
    default:
      return 1 + FIXED[field.type];
  }
}

/** Writes a table at `at`, where `tableBytes(table)` bytes are free; returns where it ends. */
export function writeTable(buffer: Buffer, table: Table, at: number): number {
  let next = at + 4;
  for (const [name, field] of table) {
    const length = buffer.utf8Write(name, next + 1);
    buffer[next] = length;
    next = writeField(buffer, field, next + 1 + length);
  }
  buffer.writeUInt32BE(next - at - 4, at);
  return next;
}

function writeField(buffer: Buffer, field: Field, start: number): number {
  buffer[start] = field.type.charCodeAt(0);
  const at = start + 1;
  switch (field.type) {
    case 't':
      return buffer.writeUInt8(field.value ? 1 : 0, at);
    case 'b':
      return buffer.writeInt8(field.value, at);
    case 'B':
      return buffer.writeUInt8(field.value, at);
    case 's':
      return buffer.writeInt16BE(field.value, at);
    case 'u':
      return buffer.writeUInt16BE(field.value, at);
    case 'I':
      return buffer.writeInt32BE(field.value, at);
    case 'i':
      return buffer.writeUInt32BE(field.value, at);
    case 'l':
      return buffer.writeBigInt64BE(field.value, at);
    case 'L':
    case 'T':
      return buffer.writeBigUInt64BE(field.value, at);
    case 'f':
    case 'd':
      if (field.bytes !== undefined) return at + field.bytes.copy(buffer, at);
      return field.type === 'f' ? buffer.writeFloatBE(field.value, at) : buffer.writeDoubleBE(field.value, at);
    case 'D':
      return buffer.writeInt32BE(field.unscaled, buffer.writeUInt8(field.scale, at));
    case 'S':
    case 'x':
      buffer.set(field.value, buffer.writeUInt32BE(field.value.byteLength, at));
      return at + 4 + field.value.byteLength;
    case 'A': {
      let next = at + 4;
      for (const each of field.value) next = writeField(buffer, each, next);
      buffer.writeUInt32BE(next - at - 4, at);
      return next;
    }
    case 'F':
      return writeTable(buffer, field.value, at);
    case 'V':
      return at;
  }
}

// ---- For those who make and read tables -----------------------------------------------------------------------------

export function textField(text: string): Field {
  return { type: 'S', value: Buffer.from(text) };
}

export function flagField(value: boolean): Field {
  return { type: 't', value };
}

/** A number as the smallest common type that RabbitMQ's own clients use: 32 bits if it fits, else 64. */
export function numberField(value: number): Field {
  if (!Number.isSafeInteger(value)) return { type: 'd', value };
  return value >= -(2 ** 31) && value < 2 ** 31 ? { type: 'I', value } : { type: 'l', value: BigInt(value) };
}

/** As RabbitMQ names the types of arguments in its texts. */
export const TYPE_NAMES: Readonly<Record<Field['type'], string>> = {
  t: 'bool',
  b: 'byte',
  B: 'unsignedbyte',
  s: 'short',
  u: 'unsignedshort',
  I: 'signedint',
  i: 'unsignedint',
  l: 'long',
  L: 'unsignedlong',
  f: 'float',
  d: 'double',
  D: 'decimal',
  S: 'longstr',
  x: 'binary',
  T: 'timestamp',
  A: 'array',
  F: 'table',
  V: 'void',
};

/** The text of a text field; undefined for another type. */
export function textOf(field: Field | undefined): string | undefined {
  return field?.type === 'S' ? field.value.toString() : undefined;
}

/** A whole number of any of the integer types; undefined for another type, or one that a double cannot hold. */
export function integerOf(field: Field | undefined): number | undefined {
  switch (field?.type) {
    case 'b':
    case 'B':
    case 's':
    case 'u':
    case 'I':
    case 'i':
      return field.value;
    case 'l':
    case 'L': {
      const value = Number(field.value);
      return Number.isSafeInteger(value) ? value : undefined;
    }
    default:
      return undefined;
  }
}

export function flagOf(field: Field | undefined): boolean | undefined {
  return field?.type === 't' ? field.value : undefined;
}

export function tableOf(field: Field | undefined): Table | undefined {
  return field?.type === 'F' ? field.value : undefined;
}
