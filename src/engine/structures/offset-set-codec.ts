import { RailheadError } from '../../core/errors.ts';
import { asBuffer } from '../../core/records.ts';
import { Bitmap, BITMAP_BYTES, BLOCK } from './bitmap.ts';

/**
 * How an OffsetSet looks in a checkpoint. Little endian.
 *
 * ```
 * set    u32 version (1)
 *        u32 items
 *        f64 members in all
 *        items × 16 bytes, sorted:
 *          run     f64 first offset    f64 length (> 0)
 *          bitmap  f64 base            f64 -members (< 0), base is a multiple of 4096
 *        for each bitmap item, in order: 512 bytes, offset base + i is bit i % 8 of byte i / 8
 * ```
 *
 * A bitmap is written as runs where these are shorter. Another layout needs another version: checkpoints outlive code.
 */
const VERSION = 1;
const HEADER_BYTES = 16;
const ITEM_BYTES = 16;
/** A bitmap with at most so many runs is shorter as runs. */
const MAX_RUNS = (ITEM_BYTES + BITMAP_BYTES) / ITEM_BYTES;
const PIECE_BYTES = 1 << 20;

interface EncodableContainer {
  readonly lo: number;
  readonly hi: number;
  readonly bitmap: Bitmap | null;
}

export function encodedBytes(containers: readonly EncodableContainer[]): number {
  let bytes = HEADER_BYTES;
  for (const { bitmap } of containers) {
    const runs = bitmap === null ? 1 : bitmap.runs();
    bytes += runs <= MAX_RUNS ? runs * ITEM_BYTES : ITEM_BYTES + BITMAP_BYTES;
  }
  return bytes;
}

export function encodeRuns(containers: readonly EncodableContainer[], size: number): Uint8Array[] {
  let items = 0;
  let bitmaps = 0;
  const asRuns = containers.map(({ bitmap }) => {
    const runs = bitmap === null ? 1 : bitmap.runs();
    items += runs <= MAX_RUNS ? runs : 1;
    if (runs > MAX_RUNS) bitmaps++;
    return runs <= MAX_RUNS;
  });
  let at = HEADER_BYTES;
  let bitsAt = HEADER_BYTES + items * ITEM_BYTES;
  const bytes = Buffer.allocUnsafeSlow(bitsAt + bitmaps * BITMAP_BYTES);
  // Node runs on little-endian machines; the words in memory are the bytes of the drawing.
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  bytes.writeUInt32LE(VERSION, 0);
  bytes.writeUInt32LE(items, 4);
  bytes.writeDoubleLE(size, 8);
  const item = (first: number, length: number): void => {
    bytes.writeDoubleLE(first, at);
    bytes.writeDoubleLE(length, at + 8);
    at += ITEM_BYTES;
  };
  containers.forEach(({ lo, hi, bitmap }, index) => {
    if (bitmap === null) item(lo, hi - lo);
    else if (asRuns[index] === true) {
      for (let from = lo; from < hi;) {
        const to = bitmap.gap(from);
        item(from, to - from);
        from = bitmap.next(to);
      }
    } else {
      item(bitmap.base, -bitmap.count);
      words.set(bitmap.words, bitsAt / 4);
      bitsAt += BITMAP_BYTES;
    }
  });
  const pieces: Uint8Array[] = [];
  for (let from = 0; from < bytes.byteLength; from += PIECE_BYTES)
    pieces.push(bytes.subarray(from, from + PIECE_BYTES));
  return pieces;
}

export interface RunVisitor {
  run(from: number, to: number): void;
  bitmap(bitmap: Bitmap): void;
}

/** @throws JOURNAL_CORRUPT */
export function decodeRuns(input: Uint8Array, visitor: RunVisitor): void {
  const bytes = asBuffer(input);
  if (bytes.byteLength < HEADER_BYTES || bytes.readUInt32LE(0) !== VERSION) throw damaged('has an unknown header');
  const items = bytes.readUInt32LE(4);
  let bitsAt = HEADER_BYTES + items * ITEM_BYTES;
  if (bitsAt > bytes.byteLength)
    throw damaged(`announces ${items} items, which do not fit its ${bytes.byteLength} bytes`);
  let end = 0;
  let members = 0;
  for (let index = 0; index < items; index++) {
    const at = HEADER_BYTES + index * ITEM_BYTES;
    const first = bytes.readDoubleLE(at);
    const length = bytes.readDoubleLE(at + 8);
    const next = length < 0 ? first + BLOCK : first + length;
    if (
      !Number.isSafeInteger(first) ||
      !Number.isSafeInteger(length) ||
      length === 0 ||
      first < end ||
      !Number.isSafeInteger(next)
    ) {
      throw damaged(`has the impossible item ${index}: ${first}, ${length} after ${end}`);
    }
    if (length > 0) {
      visitor.run(first, next);
    } else {
      if (first % BLOCK !== 0 || bitsAt + BITMAP_BYTES > bytes.byteLength)
        throw damaged(`has the impossible bitmap ${index} at ${first}`);
      const words = new Int32Array(BITMAP_BYTES / 4);
      bytes.copy(new Uint8Array(words.buffer), 0, bitsAt, bitsAt + BITMAP_BYTES);
      bitsAt += BITMAP_BYTES;
      const bitmap = new Bitmap(first, words);
      if (bitmap.count !== -length)
        throw damaged(`has ${bitmap.count} members in the bitmap at ${first} and announces ${-length}`);
      visitor.bitmap(bitmap);
    }
    members += Math.abs(length);
    end = next;
  }
  if (bitsAt !== bytes.byteLength) throw damaged(`has ${bytes.byteLength - bitsAt} bytes too many`);
  if (members !== bytes.readDoubleLE(8)) throw damaged(`has ${members} members and announces ${bytes.readDoubleLE(8)}`);
}

function damaged(what: string): RailheadError {
  return new RailheadError('JOURNAL_CORRUPT', `A set of offsets in a checkpoint ${what}.`);
}
