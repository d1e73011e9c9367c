import { Misfit } from './value.ts';

/** Reads what Avro and Protobuf have in common, and nothing beyond the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.byteLength - this.#at;
  }

  /** @throws Misfit at the end */
  byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new Misfit('the bytes end too soon');
    return byte;
  }

  /** Seven bits in a byte, the low ones first: at most 64 bits. */
  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new Misfit('a number has more than ten bytes');
  }

  /** A varint whose lowest bit is the sign. */
  zigzag(): bigint {
    return unzigzag(this.varint());
  }

  take(length: number | bigint): Uint8Array {
    if (length < 0 || length > this.left) throw new Misfit('something is longer than the bytes that are left');
    const taken = this.#bytes.subarray(this.#at, this.#at + Number(length));
    this.#at += taken.byteLength;
    return taken;
  }

  view(length: 4 | 8): DataView {
    const { buffer, byteOffset } = this.take(length);
    return new DataView(buffer, byteOffset, length);
  }
}

export function unzigzag(value: bigint): bigint {
  return (value >> 1n) ^ -(value & 1n);
}

/** As a number where that loses no digit. */
export function numeral(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** @throws Misfit for what is not UTF-8 */
export function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Misfit('a text is not UTF-8');
  }
}
