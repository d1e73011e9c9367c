/** Protobuf without its schema: fields by number, as far as the bytes allow. */

const MAX_DEPTH = 8;
const MAX_FIELDS = 2_000;

/** Undefined when the bytes are no such message to the last one. */
export function protobuf(bytes: Uint8Array): string | undefined {
  const lines = fields(bytes, 0, { left: MAX_FIELDS });
  return lines === undefined || lines.length === 0 ? undefined : lines.join('\n');
}

function fields(bytes: Uint8Array, depth: number, budget: { left: number }): string[] | undefined {
  const lines: string[] = [];
  const reader = new Reader(bytes);
  while (!reader.done) {
    if (--budget.left < 0) return undefined;
    const tag = reader.varint();
    if (tag === undefined || tag > 0xffffffffn) return undefined;
    const number = Number(tag >> 3n);
    if (number === 0) return undefined;
    const shown = value(reader, Number(tag & 7n), depth, budget);
    if (shown === undefined) return undefined;
    lines.push(...shown.map((line, index) => `${'  '.repeat(depth)}${index === 0 ? `${number}: ` : ''}${line}`));
  }
  return lines;
}

function value(reader: Reader, type: number, depth: number, budget: { left: number }): string[] | undefined {
  switch (type) {
    case 0: {
      const number = reader.varint();
      return number === undefined ? undefined : [number.toString()];
    }
    case 1: {
      const eight = reader.take(8);
      if (eight === undefined) return undefined;
      const view = new DataView(eight.buffer, eight.byteOffset, 8);
      return [`${view.getFloat64(0, true)} (or ${view.getBigUint64(0, true)})`];
    }
    case 2:
      return lengthDelimited(reader, depth, budget);
    case 5: {
      const four = reader.take(4);
      if (four === undefined) return undefined;
      const view = new DataView(four.buffer, four.byteOffset, 4);
      return [`${view.getFloat32(0, true)} (or ${view.getUint32(0, true)})`];
    }
    default:
      return undefined;
  }
}

function lengthDelimited(reader: Reader, depth: number, budget: { left: number }): string[] | undefined {
  const length = reader.varint();
  const bytes = length === undefined ? undefined : reader.take(Number(length));
  if (bytes === undefined) return undefined;
  const text = printable(bytes);
  if (text !== undefined) return [JSON.stringify(text)];
  const inner = depth < MAX_DEPTH ? fields(bytes, depth + 1, budget) : undefined;
  if (inner !== undefined && inner.length > 0) return ['{', ...inner.map((line) => line.slice(depth * 2)), '}'];
  return [[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')];
}

function printable(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return /\p{Cc}/u.test(text.replaceAll(/[\t\r\n]/g, '')) ? undefined : text;
  } catch {
    return undefined;
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.byteLength;
  }

  varint(): bigint | undefined {
    let result = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) return undefined;
      result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return result;
    }
    return undefined;
  }

  take(length: number): Uint8Array | undefined {
    if (length > this.#bytes.byteLength - this.#at) return undefined;
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return taken;
  }
}
