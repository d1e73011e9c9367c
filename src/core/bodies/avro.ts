import { inflateRawSync, zstdDecompressSync } from 'node:zlib';
import { RailheadError } from '../errors.ts';
import { ByteReader, numeral, utf8 } from './byte-reader.ts';
import { Budget, MAX_DEPTH, Misfit, textOfValue, type Value } from './value.ts';

/**
 * Avro, as its specification has it. A reader of our own: libraries make code out of schemas, and allocate what a count in
 * the bytes asks for, and here both may come from somebody else.
 */
export type AvroType =
  | { kind: (typeof PRIMITIVES)[number] }
  | { kind: 'record'; name: string; fields: { name: string; type: AvroType }[] }
  | { kind: 'enum'; name: string; symbols: string[] }
  | { kind: 'fixed'; name: string; size: number }
  | { kind: 'array' | 'map'; of: AvroType }
  | { kind: 'union'; branches: AvroType[] };

const PRIMITIVES = ['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'] as const;
const PRIMITIVE_TYPES = new Map<unknown, AvroType>(PRIMITIVES.map((kind) => [kind, { kind }]));

/** @param schema parsed JSON. @throws INVALID */
export function compileAvro(schema: unknown): AvroType {
  return new Compiler().type(schema, '', 0);
}

/** As people call it. */
export function avroName(type: AvroType): string {
  return 'name' in type ? type.name : type.kind;
}

class Compiler {
  readonly #named = new Map<string, AvroType>();

  type(schema: unknown, namespace: string, depth: number): AvroType {
    if (depth > MAX_DEPTH) throw invalid(`it is nested deeper than ${MAX_DEPTH}`);
    if (typeof schema === 'string') return this.#reference(schema, namespace);
    if (Array.isArray(schema))
      return { kind: 'union', branches: schema.map((branch) => this.type(branch, namespace, depth + 1)) };
    if (typeof schema !== 'object' || schema === null) throw invalid(`${short(schema)} is no type`);
    const fields = new Map<string, unknown>(Object.entries(schema));
    const kind = fields.get('type');
    switch (kind) {
      case 'record':
      case 'error':
        return this.#record(fields, namespace, depth);
      case 'enum':
        return this.#name(fields, namespace, { kind, name: '', symbols: texts(fields.get('symbols')) });
      case 'fixed': {
        const size = fields.get('size');
        if (typeof size !== 'number' || !Number.isInteger(size) || size < 0)
          throw invalid(`the size of a fixed is ${short(size)}`);
        return this.#name(fields, namespace, { kind, name: '', size });
      }
      case 'array':
        return { kind, of: this.type(fields.get('items'), namespace, depth + 1) };
      case 'map':
        return { kind, of: this.type(fields.get('values'), namespace, depth + 1) };
      default:
        // A primitive with a logical type, or a type around another.
        return this.type(kind, namespace, depth + 1);
    }
  }

  #record(fields: ReadonlyMap<string, unknown>, namespace: string, depth: number): AvroType {
    const record = this.#name(fields, namespace, { kind: 'record' as const, name: '', fields: [] as never[] });
    const list = fields.get('fields');
    if (!Array.isArray(list)) throw invalid(`record ${record.name} has no list of fields`);
    const own = record.name.includes('.') ? record.name.slice(0, record.name.lastIndexOf('.')) : '';
    const made: { name: string; type: AvroType }[] = record.fields;
    for (const field of list as unknown[]) {
      const { name, type } = (typeof field === 'object' && field !== null ? field : {}) as Record<string, unknown>;
      if (typeof name !== 'string') throw invalid(`a field of ${record.name} has no name`);
      made.push({ name, type: this.type(type, own, depth + 1) });
    }
    return record;
  }

  /** Known by its name from here on, within itself too. */
  #name<T extends AvroType & { name: string }>(fields: ReadonlyMap<string, unknown>, outer: string, type: T): T {
    const name = fields.get('name');
    if (typeof name !== 'string' || name === '') throw invalid(`a ${type.kind} has no name`);
    const own = fields.get('namespace');
    const namespace = typeof own === 'string' ? own : outer;
    type.name = name.includes('.') || namespace === '' ? name : `${namespace}.${name}`;
    this.#named.set(type.name, type);
    return type;
  }

  #reference(name: string, namespace: string): AvroType {
    const found = PRIMITIVE_TYPES.get(name) ?? this.#named.get(`${namespace}.${name}`) ?? this.#named.get(name);
    if (found === undefined) throw invalid(`the type ${short(name)} is not defined before it is used`);
    return found;
  }
}

/** @throws Misfit unless the bytes are one value of the type, to the last one */
export function readAvro(type: AvroType, bytes: Uint8Array): Value {
  const reader = new ByteReader(bytes);
  const value = read(type, reader, new Budget(), 0);
  if (reader.left > 0) throw new Misfit(`${reader.left} bytes are left over`);
  return value;
}

function read(type: AvroType, reader: ByteReader, budget: Budget, depth: number): Value {
  budget.take(depth);
  switch (type.kind) {
    case 'null':
      return null;
    case 'boolean': {
      const byte = reader.byte();
      if (byte > 1) throw new Misfit('a boolean is neither 0 nor 1');
      return byte === 1;
    }
    case 'int':
    case 'long':
      return numeral(reader.zigzag());
    case 'float':
      return reader.view(4).getFloat32(0, true);
    case 'double':
      return reader.view(8).getFloat64(0, true);
    case 'bytes':
      return reader.take(reader.zigzag());
    case 'string':
      return utf8(reader.take(reader.zigzag()));
    case 'fixed':
      return reader.take(type.size);
    case 'enum':
      return chosen(type.symbols, reader.zigzag());
    case 'union':
      return read(chosen(type.branches, reader.zigzag()), reader, budget, depth + 1);
    case 'record':
      return new Map(type.fields.map((field) => [field.name, read(field.type, reader, budget, depth + 1)]));
    case 'array': {
      const items: Value[] = [];
      for (let left = count(reader); left > 0n; left = left === 1n ? count(reader) : left - 1n)
        items.push(read(type.of, reader, budget, depth + 1));
      return items;
    }
    case 'map': {
      const found = new Map<string, Value>();
      for (let left = count(reader); left > 0n; left = left === 1n ? count(reader) : left - 1n) {
        const key = utf8(reader.take(reader.zigzag()));
        found.set(key, read(type.of, reader, budget, depth + 1));
      }
      return found;
    }
  }
}

/** Of the next block of an array or a map; 0 ends it. A negative one has its size in bytes behind it. */
function count(reader: ByteReader): bigint {
  const items = reader.zigzag();
  if (items >= 0n) return items;
  reader.zigzag();
  return -items;
}

function chosen<T>(from: readonly T[], index: bigint): T {
  const one = index >= 0n ? from[Number(index)] : undefined;
  if (one === undefined) throw new Misfit(`number ${index} of ${from.length} is chosen`);
  return one;
}

// ---- Files ----------------------------------------------------------------------------------------------------------

const MAGIC = Buffer.from('Obj\u0001');
const SYNC_BYTES = 16;
const MAX_RECORDS = 50;
const MAX_BLOCK_BYTES = 1 << 20;
const MAX_FILE_SCHEMA_CHARS = 64 << 10;

export function isAvroFile(bytes: Uint8Array): boolean {
  return MAGIC.equals(bytes.subarray(0, MAGIC.byteLength));
}

/** An object container file has its schema in front. @throws Misfit, INVALID */
export function readAvroFile(bytes: Uint8Array): string {
  const reader = new ByteReader(bytes.subarray(MAGIC.byteLength));
  const metadata = read({ kind: 'map', of: { kind: 'bytes' } }, reader, new Budget(), 0);
  const fact = (name: string): string | undefined => {
    const value = metadata instanceof Map ? (metadata.get(name) as unknown) : undefined;
    return value instanceof Uint8Array ? utf8(value) : undefined;
  };
  const text = fact('avro.schema');
  if (text === undefined) throw new Misfit('the file has no schema');
  if (text.length > MAX_FILE_SCHEMA_CHARS) throw new Misfit('the schema of the file is too long');
  const schema: unknown = JSON.parse(text);
  const type = compileAvro(schema);
  const shown = `schema ${JSON.stringify(schema, null, 2)}`;
  const codec = fact('avro.codec') ?? 'null';
  if (!(codec in CODECS))
    return `${shown}\n\nIts blocks are compressed with ${codec.slice(0, 50)} and not decoded here.`;
  reader.take(SYNC_BYTES);
  const records: string[] = [];
  const budget = new Budget();
  while (reader.left > 0 && records.length < MAX_RECORDS) {
    const inBlock = reader.zigzag();
    const block = new ByteReader(opened(codec, reader.take(reader.zigzag())));
    for (let i = 0n; i < inBlock && records.length < MAX_RECORDS; i++)
      records.push(textOfValue(read(type, block, budget, 0)));
    reader.take(SYNC_BYTES);
  }
  return `${records.join('\n')}\n\n${shown}`;
}

const CODECS: Record<string, (block: Uint8Array) => Uint8Array> = {
  null: (block) => block,
  deflate: (block) => inflateRawSync(block, { maxOutputLength: MAX_BLOCK_BYTES }),
  zstandard: (block) => zstdDecompressSync(block, { maxOutputLength: MAX_BLOCK_BYTES }),
};

function opened(codec: string, block: Uint8Array): Uint8Array {
  try {
    return CODECS[codec]?.(block) ?? block;
  } catch {
    throw new Misfit(`a block is not compressed with ${codec}, or is larger than ${MAX_BLOCK_BYTES} bytes`);
  }
}

function texts(value: unknown): string[] {
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
  throw invalid('an enum has no list of symbols');
}

function short(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 80);
}

function invalid(why: string): RailheadError {
  return new RailheadError('INVALID', `The Avro schema is not one: ${why}.`);
}
