/** What a body says, in no format's words. Bytes are shown as hexadecimal digits. */
export type Value = null | boolean | number | bigint | string | Uint8Array | readonly Value[] | ValueMap;
export type ValueMap = ReadonlyMap<string, Value>;

/** Nested deeper, or more of them than people read, and the body is shown as bytes. */
export const MAX_DEPTH = 32;
export const MAX_VALUES = 5_000;
const SHOWN_CHARS = 64 << 10;

/** The bytes are not what the schema says. */
export class Misfit extends Error {}

/** What some bytes may make: a few hundred hostile ones can stand for millions of values. */
export class Budget {
  #left: number;

  constructor(values = MAX_VALUES) {
    this.#left = values;
  }

  /** @throws Misfit when it is used up */
  take(depth: number): void {
    if (depth > MAX_DEPTH || --this.#left < 0) throw new Misfit('nested too deep, or too many values');
  }
}

/** JSON over several lines, for people: digits stay as they are, and a long one is cut. */
export function textOfValue(value: Value): string {
  const text = json(value, '');
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)} …` : text;
}

function json(value: Value, indent: string): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number' && !Number.isFinite(value)) return JSON.stringify(String(value));
  if (value instanceof Uint8Array) return JSON.stringify(hex(value));
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const deeper = `${indent}  `;
  if (isMap(value)) return list('{', entries(value, deeper), '}', indent);
  return list(
    '[',
    value.map((each) => json(each, deeper)),
    ']',
    indent,
  );
}

function isMap(value: readonly Value[] | ValueMap): value is ValueMap {
  return value instanceof Map;
}

function entries(map: ValueMap, deeper: string): string[] {
  return Array.from(map, ([name, each]) => `${JSON.stringify(name)}: ${json(each, deeper)}`);
}

function list(open: string, items: readonly string[], close: string, indent: string): string {
  if (items.length === 0) return `${open}${close}`;
  return `${open}\n${items.map((item) => `${indent}  ${item}`).join(',\n')}\n${indent}${close}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
