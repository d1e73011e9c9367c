/**
 * Avro as far as it explains itself: a container file has its schema in front and is decoded where its blocks are not
 * compressed; a message of a schema registry has only the number of its schema.
 */

const MAX_RECORDS = 50;
const MAX_ITEMS = 1_000;

/** Undefined when it does not look like Avro. */
export function avro(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0x4f && bytes[1] === 0x62 && bytes[2] === 0x6a && bytes[3] === 1) return container(bytes);
  return undefined;
}

type Schema = string | Schema[] | { type: Schema; fields?: { name: string; type: Schema }[]; [key: string]: unknown };

function container(bytes: Uint8Array): string | undefined {
  try {
    const reader = new Reader(bytes, 4);
    const metadata = new Map<string, Uint8Array>();
    for (let count = reader.blockCount(); count !== 0; count = reader.blockCount())
      for (let i = 0; i < count; i++) metadata.set(reader.text(), reader.bytes());
    reader.skip(16);
    const codec = asText(metadata.get('avro.codec')) ?? 'null';
    const schemaText = asText(metadata.get('avro.schema'));
    if (schemaText === undefined) return undefined;
    // Read by `decode`, which trusts nothing of it.
    const schema = JSON.parse(schemaText) as Schema;
    const shown = `schema ${JSON.stringify(schema, null, 2)}`;
    if (codec !== 'null') return `${shown}\n\nIts blocks are compressed with ${codec} and not decoded here.`;
    const records: string[] = [];
    const names = new Map<string, Schema>();
    while (!reader.done && records.length < MAX_RECORDS) {
      const count = reader.long();
      reader.long();
      for (let i = 0; i < count && records.length < MAX_RECORDS; i++)
        records.push(JSON.stringify(decode(schema, reader, names), null, 2));
      reader.skip(16);
    }
    return `${records.join('\n')}\n\n${shown}`;
  } catch {
    return undefined;
  }
}

function decode(schema: Schema, reader: Reader, names: Map<string, Schema>, depth = 0): unknown {
  if (depth > 32) throw new Error('too deep');
  if (Array.isArray(schema)) {
    const branch = schema[reader.long()];
    if (branch === undefined) throw new Error('no such branch');
    return decode(branch, reader, names, depth + 1);
  }
  if (typeof schema === 'object') {
    if (typeof schema['name'] === 'string') names.set(schema['name'], schema);
    if (schema.type === 'record')
      return Object.fromEntries(
        (schema.fields ?? []).map(({ name, type }) => [name, decode(type, reader, names, depth + 1)]),
      );
    return complex(schema, reader, names, depth);
  }
  switch (schema) {
    case 'null':
      return null;
    case 'boolean':
      return reader.byte() === 1;
    case 'int':
    case 'long':
      return reader.long();
    case 'float':
      return reader.float();
    case 'double':
      return reader.double();
    case 'string':
      return reader.text();
    case 'bytes':
      return hex(reader.bytes());
    default: {
      const named = names.get(schema);
      if (named === undefined) throw new Error(`unknown type ${schema}`);
      return decode(named, reader, names, depth + 1);
    }
  }
}

function complex(
  schema: Exclude<Schema, string | Schema[]>,
  reader: Reader,
  names: Map<string, Schema>,
  depth: number,
): unknown {
  switch (schema.type) {
    case 'enum':
      return (schema['symbols'] as string[])[reader.long()];
    case 'fixed':
      return hex(reader.take(Number(schema['size'])));
    case 'array': {
      const items: unknown[] = [];
      for (let count = reader.blockCount(); count !== 0; count = reader.blockCount())
        for (let i = 0; i < count; i++) {
          if (items.length >= MAX_ITEMS) throw new Error('too long');
          items.push(decode(schema['items'] as Schema, reader, names, depth + 1));
        }
      return items;
    }
    case 'map': {
      const entries: [string, unknown][] = [];
      for (let count = reader.blockCount(); count !== 0; count = reader.blockCount())
        for (let i = 0; i < count; i++) {
          if (entries.length >= MAX_ITEMS) throw new Error('too long');
          entries.push([reader.text(), decode(schema['values'] as Schema, reader, names, depth + 1)]);
        }
      return Object.fromEntries(entries);
    }
    default:
      return decode(schema.type, reader, names, depth + 1);
  }
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function asText(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

class Reader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.byteLength;
  }

  byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new Error('the end');
    return byte;
  }

  /** Zig-zag. Beyond 2^53 it loses digits, as the JSON that it is shown as does. */
  long(): number {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number((value >> 1n) ^ -(value & 1n));
    }
    throw new Error('no number');
  }

  /** Of an array or a map; a negative one has its size in bytes behind it. */
  blockCount(): number {
    const count = this.long();
    if (count >= 0) return count;
    this.long();
    return -count;
  }

  take(length: number): Uint8Array {
    if (!(length >= 0 && length <= this.#bytes.byteLength - this.#at)) throw new Error('the end');
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return taken;
  }

  skip(length: number): void {
    this.take(length);
  }

  bytes(): Uint8Array {
    return this.take(this.long());
  }

  text(): string {
    return new TextDecoder().decode(this.bytes());
  }

  float(): number {
    const four = this.take(4);
    return new DataView(four.buffer, four.byteOffset, 4).getFloat32(0, true);
  }

  double(): number {
    const eight = this.take(8);
    return new DataView(eight.buffer, eight.byteOffset, 8).getFloat64(0, true);
  }
}
