import { ByteReader, numeral, unzigzag, utf8 } from './byte-reader.ts';
import { Budget, Misfit, type Value } from './value.ts';

/** Protobuf's wire format: with the names of a message type, or by the numbers of its fields alone. */

export interface MessageType {
  readonly name: string;
  readonly fields: ReadonlyMap<number, Field>;
}

export interface Field {
  readonly name: string;
  readonly repeated: boolean;
  /** Of a map, entries with a key (1) and a value (2). */
  readonly isMap: boolean;
  readonly type: Scalar | { readonly message: MessageType } | { readonly symbols: ReadonlyMap<number, string> };
}

const WIRE = { varint: 0, eight: 1, length: 2, group: 3, groupEnd: 4, four: 5 } as const;

/** What a scalar is on the wire, and how it is read there. */
const SCALARS = {
  double: [WIRE.eight, (reader) => reader.view(8).getFloat64(0, true)],
  float: [WIRE.four, (reader) => reader.view(4).getFloat32(0, true)],
  int32: [WIRE.varint, (reader) => Number(BigInt.asIntN(32, reader.varint()))],
  int64: [WIRE.varint, (reader) => numeral(BigInt.asIntN(64, reader.varint()))],
  uint32: [WIRE.varint, (reader) => Number(BigInt.asUintN(32, reader.varint()))],
  uint64: [WIRE.varint, (reader) => numeral(reader.varint())],
  sint32: [WIRE.varint, (reader) => Number(BigInt.asIntN(32, unzigzag(reader.varint())))],
  sint64: [WIRE.varint, (reader) => numeral(unzigzag(reader.varint()))],
  fixed32: [WIRE.four, (reader) => reader.view(4).getUint32(0, true)],
  fixed64: [WIRE.eight, (reader) => numeral(reader.view(8).getBigUint64(0, true))],
  sfixed32: [WIRE.four, (reader) => reader.view(4).getInt32(0, true)],
  sfixed64: [WIRE.eight, (reader) => numeral(reader.view(8).getBigInt64(0, true))],
  bool: [WIRE.varint, (reader) => reader.varint() !== 0n],
  string: [WIRE.length, (reader) => utf8(reader.take(reader.varint()))],
  bytes: [WIRE.length, (reader) => reader.take(reader.varint())],
} as const satisfies Record<string, readonly [wire: number, read: (reader: ByteReader) => Value]>;

export type Scalar = keyof typeof SCALARS;

export function isScalar(name: string): name is Scalar {
  return Object.hasOwn(SCALARS, name);
}

/** @throws Misfit unless the bytes are a message of the type, to the last one */
export function readProtobuf(type: MessageType, bytes: Uint8Array, budget = new Budget()): Map<string, Value> {
  return message(type, new ByteReader(bytes), budget, 0, undefined);
}

/** @param group the number of the field whose end it waits for; else it goes to the end of the bytes */
function message(
  type: MessageType,
  reader: ByteReader,
  budget: Budget,
  depth: number,
  group: number | undefined,
): Map<string, Value> {
  budget.take(depth);
  const found = new Map<string, Value>();
  for (let tag = nextTag(reader, group); tag !== undefined; tag = nextTag(reader, group)) {
    const field = type.fields.get(tag.number);
    if (field === undefined) {
      // Of a newer version of the type: by its number.
      add(found, String(tag.number), [rawValue(tag, reader, budget, depth + 1)], 'several');
      continue;
    }
    const values = fieldValues(field, tag, reader, budget, depth + 1);
    if (field.isMap) addEntries(found, field.name, values);
    else add(found, field.name, values, field.repeated ? 'list' : 'last');
  }
  return found;
}

/** @param as what becomes of a second one: `list` is one from the first on, `several` becomes one, `last` is replaced */
function add(found: Map<string, Value>, name: string, values: readonly Value[], as: 'list' | 'several' | 'last'): void {
  const before = found.get(name);
  if (as === 'last' || (as === 'several' && before === undefined)) found.set(name, values.at(-1) ?? null);
  else if (Array.isArray(before)) (before as Value[]).push(...values);
  else found.set(name, before === undefined ? [...values] : [before, ...values]);
}

function addEntries(found: Map<string, Value>, name: string, entries: readonly Value[]): void {
  const map = new Map<string, Value>(found.get(name) as Map<string, Value> | undefined);
  for (const entry of entries as ReadonlyMap<string, Value>[])
    // Protobuf leaves out a key that is the default of its type.
    map.set(keyText(entry.get('key')), entry.get('value') ?? null);
  found.set(name, map);
}

function keyText(key: Value | undefined): string {
  return typeof key === 'string' || typeof key === 'number' || typeof key === 'bigint' || typeof key === 'boolean'
    ? String(key)
    : '';
}

/** More than one where they are packed. */
function fieldValues(
  { type }: Field,
  { wire, number }: Tag,
  reader: ByteReader,
  budget: Budget,
  depth: number,
): Value[] {
  if (typeof type === 'object' && 'message' in type) {
    if (wire === WIRE.group) return [message(type.message, reader, budget, depth, number)];
    if (wire !== WIRE.length) throw new Misfit(`field ${number} is no message`);
    return [message(type.message, new ByteReader(reader.take(reader.varint())), budget, depth, undefined)];
  }
  const [expected, read]: readonly [number, (reader: ByteReader) => Value] =
    typeof type === 'string'
      ? SCALARS[type]
      : [WIRE.varint, (from) => symbol(type.symbols, Number(BigInt.asIntN(32, from.varint())))];
  budget.take(depth);
  if (wire === expected) return [read(reader)];
  if (wire !== WIRE.length) throw new Misfit(`field ${number} is of another type`);
  const packed = new ByteReader(reader.take(reader.varint()));
  const values: Value[] = [];
  for (; packed.left > 0; budget.take(depth)) values.push(read(packed));
  return values;
}

function symbol(symbols: ReadonlyMap<number, string>, value: number): Value {
  return symbols.get(value) ?? value;
}

// ---- By number ------------------------------------------------------------------------------------------------------

/** As `protoc --decode_raw` shows it: what is text or a message is a guess. @throws Misfit */
export function readRawProtobuf(bytes: Uint8Array): Map<string, Value> {
  return rawMessage(new ByteReader(bytes), new Budget(), 0, undefined);
}

function rawMessage(reader: ByteReader, budget: Budget, depth: number, group: number | undefined): Map<string, Value> {
  budget.take(depth);
  const found = new Map<string, Value>();
  for (let tag = nextTag(reader, group); tag !== undefined; tag = nextTag(reader, group))
    add(found, String(tag.number), [rawValue(tag, reader, budget, depth + 1)], 'several');
  return found;
}

function rawValue({ wire, number }: Tag, reader: ByteReader, budget: Budget, depth: number): Value {
  budget.take(depth);
  switch (wire) {
    case WIRE.varint:
      return numeral(reader.varint());
    case WIRE.eight: {
      const view = reader.view(8);
      return `${view.getFloat64(0, true)} (or ${view.getBigUint64(0, true)})`;
    }
    case WIRE.four: {
      const view = reader.view(4);
      return `${view.getFloat32(0, true)} (or ${view.getUint32(0, true)})`;
    }
    case WIRE.group:
      return rawMessage(reader, budget, depth, number);
    default: {
      const bytes = reader.take(reader.varint());
      return printable(bytes) ?? guessedMessage(bytes, budget, depth) ?? bytes;
    }
  }
}

function guessedMessage(bytes: Uint8Array, budget: Budget, depth: number): Value | undefined {
  try {
    return rawMessage(new ByteReader(bytes), budget, depth, undefined);
  } catch (error) {
    if (error instanceof Misfit) return undefined;
    throw error;
  }
}

function printable(bytes: Uint8Array): string | undefined {
  try {
    const text = utf8(bytes);
    return /\p{Cc}/u.test(text.replaceAll(/[\t\r\n]/g, '')) ? undefined : text;
  } catch {
    return undefined;
  }
}

// ---- Tags -----------------------------------------------------------------------------------------------------------

interface Tag {
  readonly number: number;
  readonly wire: number;
}

/** Undefined at the end. @throws Misfit for what is no tag */
function nextTag(reader: ByteReader, group: number | undefined): Tag | undefined {
  if (reader.left === 0 && group === undefined) return undefined;
  const tag = reader.varint();
  const number = Number(tag >> 3n);
  const wire = Number(tag & 7n);
  if (number === 0 || tag > 0xffffffffn || wire > WIRE.four) throw new Misfit('a field has no number, or no type');
  if (wire !== WIRE.groupEnd) return { number, wire };
  if (number !== group) throw new Misfit('a group ends that did not begin');
  return undefined;
}
