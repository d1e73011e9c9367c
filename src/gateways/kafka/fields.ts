import type { Reader, Writer } from './codec.ts';
import { Writer as NestedWriter } from './codec.ts';
import { BrokenRequest } from './errors.ts';

/**
 * The words in which the tables of `messages/` describe requests and answers: a field has a type, the versions that have
 * it, and what is meant where it is missing. One description reads and writes every version.
 *
 * ```
 * struct({ name: string, partition: int32.from(3), epoch: int32.from(9).or(-1), node: nullableString.tagged(0, 10) })
 * ```
 */
export interface Field<T, Optional extends boolean = boolean> {
  readonly since: number;
  readonly until: number;
  /** Where it is sent among the tagged fields of its struct. */
  readonly tag: number | undefined;
  /** In place of one that a version does not have, or that was left out. */
  readonly fallback: T;
  readonly optional: Optional;
  /** It never takes less, where a version has it. */
  readonly minBytes: number;
  read(reader: Reader): T;
  write(writer: Writer, value: T): void;
  /** Since that version. */
  from(version: number): Field<T, Optional>;
  /** Until that version, which has it. */
  to(version: number): Field<T, Optional>;
  /** What is meant where it is missing. An answer may leave it out. */
  or(fallback: T): Field<T, true>;
  tagged(tag: number, since: number): Field<T, true>;
}

type Fields = Readonly<Record<string, Field<unknown>>>;
type TypeOf<F> = F extends { read(reader: Reader): infer T } ? T : never;
type OptionalKeys<F extends Fields> = { [K in keyof F]: F[K] extends Field<unknown, true> ? K : never }[keyof F];

type Given<F extends Fields> = { [K in Exclude<keyof F, OptionalKeys<F>>]: Loose<TypeOf<F[K]>> } & {
  [K in OptionalKeys<F>]?: Loose<TypeOf<F[K]>>;
};

/** Carries, on the type only, what may be left out when it is written. */
type Struct<F extends Fields> = { -readonly [K in keyof F]: TypeOf<F[K]> } & { readonly '~given'?: Given<F> };

/** What a table describes: as it is written. */
export type Loose<T> = T extends Buffer | string | number | boolean | null
  ? T
  : T extends readonly (infer E)[]
    ? readonly Loose<E>[]
    : T extends { readonly '~given'?: infer G }
      ? G
      : T;

interface Shape<T> {
  readonly fallback: T;
  readonly minBytes: number;
  read(reader: Reader): T;
  write(writer: Writer, value: T): void;
}

interface Life {
  readonly since: number;
  readonly until: number;
  readonly tag: number | undefined;
}

const ALWAYS: Life = { since: 0, until: Infinity, tag: undefined };

function field<T, Optional extends boolean>(shape: Shape<T>, life: Life, optional: Optional): Field<T, Optional> {
  return {
    ...shape,
    ...life,
    optional,
    from: (since) => field(shape, { ...life, since }, optional),
    to: (until) => field(shape, { ...life, until }, optional),
    or: (fallback) => field({ ...shape, fallback }, life, true),
    tagged: (tag, since) => field(shape, { ...life, since, tag }, true),
  };
}

function plain<T>(shape: Shape<T>): Field<T, false> {
  return field(shape, ALWAYS, false);
}

function number(name: 'int8' | 'int16' | 'int32' | 'int64' | 'float64', minBytes: number): Field<number, false> {
  return plain({
    fallback: 0,
    minBytes,
    read: (reader) => reader[name](),
    write: (writer, value) => writer[name](value),
  });
}

export const int8 = number('int8', 1);
export const int16 = number('int16', 2);
export const int32 = number('int32', 4);
export const int64 = number('int64', 8);
export const float64 = number('float64', 8);

export const bool = plain<boolean>({
  fallback: false,
  minBytes: 1,
  read: (reader) => reader.int8() !== 0,
  write: (writer, value) => writer.int8(value ? 1 : 0),
});

export const NO_UUID = '00000000000000000000000000000000';

/** As 32 hexadecimal digits. */
export const uuid = plain<string>({
  fallback: NO_UUID,
  minBytes: 16,
  read: (reader) => reader.view(16).toString('hex'),
  write: (writer, value) => writer.bytes(Buffer.from(value, 'hex')),
});

export const string = plain<string>({
  fallback: '',
  minBytes: 1,
  read: (reader) => notNull(readText(reader)),
  write: (writer, value) => writer.text(value),
});

export const nullableString = plain<string | null>({
  fallback: null,
  minBytes: 1,
  read: readText,
  write(writer, value) {
    if (value === null) writer.length(-1, true);
    else writer.text(value);
  },
});

const NO_BYTES = Buffer.alloc(0);

export const bytes = plain<Buffer>({
  fallback: NO_BYTES,
  minBytes: 1,
  read: (reader) => notNull(readBytes(reader)),
  write: writeBytes,
});

/** Record batches: a view where they are read, pieces that are not copied where they are written. */
export const records = plain<readonly Buffer[] | null>({
  fallback: null,
  minBytes: 1,
  read(reader) {
    const view = readBytes(reader);
    return view === null ? null : [view];
  },
  write(writer, value) {
    let length = 0;
    for (const piece of value ?? []) length += piece.byteLength;
    writer.length(value === null ? -1 : length, false);
    for (const piece of value ?? []) writer.bytes(piece);
  },
});

function readText(reader: Reader): string | null {
  const length = reader.length(true);
  return length < 0 ? null : reader.text(length);
}

function readBytes(reader: Reader): Buffer | null {
  const length = reader.length(false);
  return length < 0 ? null : reader.view(length);
}

function writeBytes(writer: Writer, value: Buffer | null): void {
  writer.length(value === null ? -1 : value.byteLength, false);
  if (value !== null) writer.bytes(value);
}

function notNull<T>(value: T | null): T {
  if (value === null) throw new BrokenRequest('A field is null that must not be.');
  return value;
}

export function array<T>(element: Field<T>): Field<T[], false> {
  return plain<T[]>({
    fallback: [],
    minBytes: 1,
    read: (reader) => notNull(readArray(reader, element)),
    write: (writer, value) => writeArray(writer, element, value),
  });
}

export function nullableArray<T>(element: Field<T>): Field<T[] | null, false> {
  return plain<T[] | null>({
    fallback: null,
    minBytes: 1,
    read: (reader) => readArray(reader, element),
    write: (writer, value) => writeArray(writer, element, value),
  });
}

function readArray<T>(reader: Reader, element: Field<T>): T[] | null {
  const count = reader.count(Math.max(1, element.minBytes));
  if (count < 0) return null;
  const values: T[] = [];
  for (let i = 0; i < count; i++) values.push(element.read(reader));
  return values;
}

function writeArray<T>(writer: Writer, element: Field<T>, values: readonly T[] | null): void {
  if (writer.flexible) writer.varint(values === null ? 0 : values.length + 1);
  else writer.int32(values === null ? -1 : values.length);
  for (const value of values ?? []) element.write(writer, value);
}

/** One of the fields of a struct, whatever its type: the struct knows which value is whose. */
type AnyField = Field<unknown>;

function has({ since, until }: AnyField, version: number): boolean {
  return version >= since && version <= until;
}

class StructShape<F extends Fields> implements Shape<Struct<F>> {
  readonly minBytes: number;
  readonly #plain: [string, AnyField][] = [];
  readonly #tagged: [string, AnyField, number][] = [];

  constructor(fields: F) {
    // A table is closed: what a key names is read and written by the field of that key alone.
    for (const [name, each] of Object.entries(fields as unknown as Record<string, AnyField>)) {
      if (each.tag === undefined) this.#plain.push([name, each]);
      else this.#tagged.push([name, each, each.tag]);
    }
    const always = this.#plain.filter(([, { since, until }]) => since === 0 && until === Infinity);
    this.minBytes = always.reduce((sum, [, { minBytes }]) => sum + minBytes, 0);
  }

  get fallback(): Struct<F> {
    return this.#empty() as Struct<F>;
  }

  #empty(): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (const [name, each] of this.#plain) value[name] = each.fallback;
    for (const [name, each] of this.#tagged) value[name] = each.fallback;
    return value;
  }

  read(reader: Reader): Struct<F> {
    const value: Record<string, unknown> = {};
    for (const [name, each] of this.#plain) value[name] = has(each, reader.version) ? each.read(reader) : each.fallback;
    for (const [name, each] of this.#tagged) value[name] = each.fallback;
    if (reader.flexible) this.#readTagged(reader, value);
    return value as Struct<F>;
  }

  /** Those that nobody knows are stepped over, not kept. */
  #readTagged(reader: Reader, value: Record<string, unknown>): void {
    for (let left = reader.taggedCount(); left > 0; left--) {
      const tag = reader.varint();
      const start = reader.take(reader.varint());
      const end = reader.at;
      const known = this.#tagged.find(([, each, number]) => number === tag && has(each, reader.version));
      if (known === undefined) continue;
      reader.at = start;
      value[known[0]] = known[1].read(reader);
      if (reader.at !== end) throw new BrokenRequest(`The tagged field ${tag} is not as long as it says.`);
    }
  }

  write(writer: Writer, value: Struct<F>): void {
    const given: Record<string, unknown> = value;
    for (const [name, each] of this.#plain)
      if (has(each, writer.version)) each.write(writer, given[name] ?? each.fallback);
    if (writer.flexible) this.#writeTagged(writer, given);
  }

  #writeTagged(writer: Writer, value: Record<string, unknown>): void {
    const present = this.#tagged.filter(([name, each]) => has(each, writer.version) && value[name] !== undefined);
    writer.varint(present.length);
    for (const [name, each, tag] of present.sort((a, b) => a[2] - b[2])) {
      const nested = new NestedWriter(writer.version, true, 64);
      each.write(nested, value[name]);
      writer.varint(tag);
      writer.varint(nested.byteLength);
      for (const piece of nested.take()) writer.bytes(piece);
    }
  }
}

export function struct<F extends Fields>(fields: F): Field<Struct<F>, false> {
  const shape = new StructShape(fields);
  return plain<Struct<F>>({
    fallback: shape.fallback,
    minBytes: shape.minBytes,
    read: (reader) => shape.read(reader),
    write: (writer, value) => shape.write(writer, value),
  });
}

/** A struct that may be left out: a byte before it says whether it is there. */
export function nullable<T>(element: Field<T>): Field<T | null, false> {
  return plain<T | null>({
    fallback: null,
    minBytes: 1,
    read: (reader) => (reader.int8() < 0 ? null : element.read(reader)),
    write(writer, value) {
      writer.int8(value === null ? -1 : 1);
      if (value !== null) element.write(writer, value);
    },
  });
}

/** One API of the protocol: its number, the versions that are spoken here, and what they look like. */
export interface Api<Request = unknown, Response = unknown> {
  readonly key: number;
  readonly versions: readonly [number, number];
  /** The first version with compact lengths and tagged fields. */
  readonly flexibleFrom: number;
  readonly request: Field<Request>;
  readonly response: Field<Response>;
}

export type RequestOf<A> = A extends Api<infer Q> ? Q : never;
/** What may be answered: without what is not said in most answers. */
export type ResponseOf<A> = A extends Api<infer _, infer R> ? Loose<R> : never;

export function api<Q, R>(
  key: number,
  versions: readonly [number, number],
  flexibleFrom: number,
  messages: { request: Field<Q>; response: Field<R> },
): Api<Q, R> {
  return { key, versions, flexibleFrom, ...messages };
}
