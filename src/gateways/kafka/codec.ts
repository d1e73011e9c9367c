import { BrokenRequest } from './errors.ts';

/** Below this a view is copied: cheaper than one more piece in a gathered write. */
const COPY_BELOW_BYTES = 1024;
const FIRST_BYTES = 512;
const MAX_VARINT_BYTES = 5;

export const FRAME_HEADER_BYTES = 4;

/**
 * A request has at most so many elements in all its lists. The bytes of a request do not bound them: an empty string takes
 * one byte, and a hundred million of them would keep the thread for seconds and take gigabytes.
 */
export const MAX_ELEMENTS = 200_000;

/** Reads one request, in the layout of its version. Big endian. Trusts nothing. */
export class Reader {
  readonly buffer: Buffer;
  readonly version: number;
  /** Compact lengths and tagged fields (KIP-482). */
  readonly flexible: boolean;
  at: number;
  readonly end: number;
  #elements = 0;

  constructor(buffer: Buffer, at: number, end: number, version: number, flexible: boolean) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
    this.version = version;
    this.flexible = flexible;
  }

  int8(): number {
    return this.buffer.readInt8(this.take(1));
  }

  int16(): number {
    return this.buffer.readInt16BE(this.take(2));
  }

  int32(): number {
    return this.buffer.readInt32BE(this.take(4));
  }

  /** Exact up to 2^53; what is beyond it is no offset or time that anybody means. */
  int64(): number {
    return readInt64(this.buffer, this.take(8));
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.take(8));
  }

  varint(): number {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.buffer[this.take(1)] ?? 0;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    throw new BrokenRequest('A number of more than five bytes.');
  }

  /** Length of what follows, or -1 for null. */
  length(short: boolean): number {
    if (this.flexible) return this.varint() - 1;
    return short ? this.int16() : this.int32();
  }

  /** How many elements follow, each of at least `eachBytes`: refused when they cannot be there. -1 for null. */
  count(eachBytes: number): number {
    return this.#expect(this.flexible ? this.varint() - 1 : this.int32(), eachBytes);
  }

  /** How many tagged fields follow: of each at least its tag and its length. */
  taggedCount(): number {
    return this.#expect(this.varint(), 2);
  }

  #expect(count: number, eachBytes: number): number {
    if (count * eachBytes > this.end - this.at)
      throw new BrokenRequest(`${count} elements are announced, more than the bytes can hold.`);
    this.#elements += Math.max(0, count);
    if (this.#elements > MAX_ELEMENTS)
      throw new BrokenRequest(`${this.#elements} elements in one request; allowed are ${MAX_ELEMENTS}.`);
    return count;
  }

  view(length: number): Buffer {
    const start = this.take(length);
    return this.buffer.subarray(start, start + length);
  }

  text(length: number): string {
    const start = this.take(length);
    return this.buffer.utf8Slice(start, start + length);
  }

  /** Moves on by `bytes`, and says where they begin. */
  take(bytes: number): number {
    const start = this.at;
    if (bytes < 0 || start + bytes > this.end) throw new BrokenRequest('A request is shorter than its fields.');
    this.at = start + bytes;
    return start;
  }
}

export function readInt64(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at) * 2 ** 32 + buffer.readUInt32BE(at + 4);
}

/** What is beyond either end is that end: the largest number is read as one more, since that is the nearest there is. */
export function writeInt64(buffer: Buffer, value: number, at: number): void {
  const within = Math.max(-(2 ** 63), Math.min(value, 2 ** 63));
  const high = Math.min(Math.floor(within / 2 ** 32), 2 ** 31 - 1);
  buffer.writeInt32BE(high, at);
  buffer.writeUInt32BE(Math.min(within - high * 2 ** 32, 2 ** 32 - 1), at + 4);
}

/** Writes one answer: small fields side by side, records beside them, uncopied. */
export class Writer {
  readonly version: number;
  readonly flexible: boolean;
  #slab: Buffer;
  #at = 0;
  #from = 0;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;

  constructor(version: number, flexible: boolean, firstBytes = FIRST_BYTES) {
    this.version = version;
    this.flexible = flexible;
    this.#slab = Buffer.allocUnsafeSlow(firstBytes);
  }

  get byteLength(): number {
    return this.#pieceBytes + this.#at - this.#from;
  }

  int8(value: number): void {
    const at = this.#room(1);
    this.#slab.writeInt8(value, at);
  }

  int16(value: number): void {
    const at = this.#room(2);
    this.#slab.writeInt16BE(value, at);
  }

  int32(value: number): void {
    const at = this.#room(4);
    this.#slab.writeInt32BE(value, at);
  }

  int64(value: number): void {
    const at = this.#room(8);
    writeInt64(this.#slab, value, at);
  }

  float64(value: number): void {
    const at = this.#room(8);
    this.#slab.writeDoubleBE(value, at);
  }

  varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.int8((((rest & 0x7f) | 0x80) << 24) >> 24);
      rest = Math.floor(rest / 128);
    }
    this.int8(rest);
  }

  /** -1 for null. */
  length(value: number, short: boolean): void {
    if (this.flexible) this.varint(value + 1);
    else if (short) this.int16(value);
    else this.int32(value);
  }

  text(value: string): void {
    const bytes = Buffer.byteLength(value);
    this.length(bytes, true);
    const at = this.#room(bytes);
    this.#slab.utf8Write(value, at);
  }

  /** Large ones are not copied: they must not change any more. */
  bytes(view: Uint8Array): void {
    if (view.byteLength < COPY_BELOW_BYTES) {
      const at = this.#room(view.byteLength);
      this.#slab.set(view, at);
      return;
    }
    this.#cut();
    this.#pieces.push(Buffer.from(view.buffer, view.byteOffset, view.byteLength));
    this.#pieceBytes += view.byteLength;
  }

  /** All that was written, as pieces in order. The writer is over. */
  take(): Buffer[] {
    this.#cut();
    return this.#pieces;
  }

  #cut(): void {
    if (this.#at === this.#from) return;
    this.#pieces.push(this.#slab.subarray(this.#from, this.#at));
    this.#pieceBytes += this.#at - this.#from;
    this.#from = this.#at;
  }

  #room(bytes: number): number {
    if (this.#at + bytes > this.#slab.byteLength) {
      this.#cut();
      this.#slab = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(2 * this.#slab.byteLength, 64 * 1024)));
      this.#at = 0;
      this.#from = 0;
    }
    const at = this.#at;
    this.#at += bytes;
    return at;
  }
}
