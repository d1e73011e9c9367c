import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { RailheadError } from '../../core/errors.ts';

/** By the three lowest bits of a batch's attributes. */
export const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
export type Codec = (typeof CODECS)[number];

/** What a batch may become: a few kilobytes can be made that would fill all memory. */
const MAX_DECOMPRESSED_BYTES = 64 * 1024 * 1024;

/** @throws INVALID for bytes that are not what the codec makes, or more than 64 MiB of them */
export function decompress(codec: Codec, bytes: Buffer, maxBytes = MAX_DECOMPRESSED_BYTES): Buffer {
  if (codec === 'none') return bytes;
  try {
    switch (codec) {
      case 'gzip':
        return gunzipSync(bytes, { maxOutputLength: maxBytes });
      case 'zstd':
        return zstdDecompressSync(bytes, { maxOutputLength: maxBytes });
      case 'snappy':
        return isFramed(bytes) ? unframeSnappy(bytes, maxBytes) : unsnap(bytes, maxBytes);
      case 'lz4':
        return unframeLz4(bytes, maxBytes);
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RailheadError('INVALID', `A batch compressed with ${codec} cannot be decompressed: ${why}.`, { cause });
  }
}

// ---- Snappy: as one block, or as Java's clients frame it ------------------------------------------------------------

const SNAPPY_FRAME = Buffer.from('\x82SNAPPY\0', 'latin1');
/** The magic, and two version numbers. */
const SNAPPY_HEADER_BYTES = 16;

function isFramed(bytes: Buffer): boolean {
  return bytes.byteLength >= SNAPPY_HEADER_BYTES && bytes.subarray(0, SNAPPY_FRAME.byteLength).equals(SNAPPY_FRAME);
}

function unframeSnappy(bytes: Buffer, maxBytes: number): Buffer {
  // One for all blocks: one of five bytes, in which there is nothing, must not cost memory of its own.
  const out = new Decompressed(maxBytes);
  for (let at = SNAPPY_HEADER_BYTES; at < bytes.byteLength;) {
    const length = at + 4 <= bytes.byteLength ? bytes.readUInt32BE(at) : Infinity;
    if (at + 4 + length > bytes.byteLength) throw new Error('a block is cut off');
    unpackSnappy(bytes.subarray(at + 4, at + 4 + length), out);
    at += 4 + length;
  }
  return out.taken;
}

function unsnap(bytes: Buffer, maxBytes: number): Buffer {
  const out = new Decompressed(maxBytes);
  unpackSnappy(bytes, out);
  return out.taken;
}

/** A block: how much comes out, then literals and copies. */
function unpackSnappy(bytes: Buffer, out: Decompressed): void {
  let at = 0;
  const byte = (): number => {
    if (at >= bytes.byteLength) throw new Error('a block is cut off');
    return bytes[at++] ?? 0;
  };
  const little = (count: number): number => {
    let value = 0;
    for (let i = 0; i < count; i++) value += byte() * 2 ** (8 * i);
    return value;
  };
  let announced = 0;
  for (let shift = 0, more = true; more; shift += 7) {
    if (shift > 28) throw new Error('its length is no number');
    const part = byte();
    announced += (part & 0x7f) * 2 ** shift;
    more = part >= 0x80;
  }
  const start = out.length;
  while (at < bytes.byteLength && out.length - start <= announced) {
    const tag = byte();
    const kind = tag & 3;
    if (kind === 0) {
      const short = tag >>> 2;
      const length = 1 + (short < 60 ? short : little(short - 59));
      if (at + length > bytes.byteLength) throw new Error('a block ends within its literals');
      out.copy(bytes, at, at + length);
      at += length;
    } else if (kind === 1) {
      const distance = (tag >>> 5) * 256 + byte();
      out.repeat(distance, ((tag >>> 2) & 7) + 4, start);
    } else out.repeat(little(kind === 2 ? 2 : 4), (tag >>> 2) + 1, start);
  }
  const length = out.length - start;
  if (length !== announced) throw new Error(`${length} bytes come out of a block of ${announced}`);
}

// ---- What comes out -------------------------------------------------------------------------------------------------

/** Grows with what comes out, never with what a header says. */
class Decompressed {
  bytes: Buffer = Buffer.allocUnsafe(64 * 1024);
  length = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** All that has come out. */
  get taken(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  reserve(more: number): void {
    const needed = this.length + more;
    if (needed > this.#maxBytes) throw new Error(`more than ${this.#maxBytes} bytes come out`);
    if (needed <= this.bytes.byteLength) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.bytes.byteLength));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  copy(from: Buffer, start: number, end: number): void {
    this.reserve(end - start);
    this.length += from.copy(this.bytes, this.length, start, end);
  }

  /** Bytes of its own since `start` again, `distance` back; they may overlap with what is written. */
  repeat(distance: number, count: number, start = 0): void {
    if (distance === 0 || distance > this.length - start) throw new Error('a match begins before the first byte');
    this.reserve(count);
    const { bytes } = this;
    for (let i = 0, at = this.length; i < count; i++, at++) bytes[at] = bytes[at - distance] ?? 0;
    this.length += count;
  }
}

// ---- LZ4 frames -----------------------------------------------------------------------------------------------------

const LZ4_MAGIC = 0x184d2204;
const LZ4_VERSION = 0x40;
const FLAG = { blockChecksum: 0x10, contentSize: 0x08, contentChecksum: 0x04, dictionary: 0x01 } as const;
/** Of the length of a block: it is stored as it is. */
const UNCOMPRESSED = 0x80000000;
const MIN_MATCH = 4;

function unframeLz4(bytes: Buffer, maxBytes: number): Buffer {
  if (bytes.byteLength < 7 || bytes.readUInt32LE(0) !== LZ4_MAGIC) throw new Error('it does not begin as an LZ4 frame');
  const flags = bytes[4] ?? 0;
  if ((flags & 0xc0) !== LZ4_VERSION) throw new Error('the version of the frame is not 1');
  let at = 7 + (flags & FLAG.contentSize ? 8 : 0) + (flags & FLAG.dictionary ? 4 : 0);
  const out = new Decompressed(maxBytes);
  for (;;) {
    if (at + 4 > bytes.byteLength) throw new Error('the frame is cut off');
    const size = bytes.readUInt32LE(at);
    at += 4;
    if (size === 0) break;
    const length = size & ~UNCOMPRESSED;
    if (at + length > bytes.byteLength) throw new Error('a block is cut off');
    if ((size & UNCOMPRESSED) !== 0) out.copy(bytes, at, at + length);
    else unpackLz4(bytes, at, at + length, out);
    at += length + (flags & FLAG.blockChecksum ? 4 : 0);
  }
  return out.taken;
}

/** One block: sequences of literals and a match, the last without one. */
function unpackLz4(bytes: Buffer, from: number, end: number, out: Decompressed): void {
  let at = from;
  const byte = (): number => {
    if (at >= end) throw new Error('a block ends within a sequence');
    return bytes[at++] ?? 0;
  };
  const length = (first: number): number => {
    let total = first;
    if (first === 15) {
      let more: number;
      do total += more = byte();
      while (more === 255);
    }
    return total;
  };
  while (at < end) {
    const token = byte();
    const literals = length(token >>> 4);
    if (at + literals > end) throw new Error('a block ends within its literals');
    out.copy(bytes, at, at + literals);
    at += literals;
    if (at === end) return;
    const distance = byte() | (byte() << 8);
    out.repeat(distance, length(token & 15) + MIN_MATCH);
  }
}
