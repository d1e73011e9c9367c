import { crc32 } from 'node:zlib';
import { RailheadError } from '../../core/errors.ts';
import type { LargeBody } from '../entries.ts';
import type { BlobStore, BlobWriter } from '../ports.ts';

/**
 * The blob of a large body: pieces, all of the same size but the last.
 *
 * ```
 * piece   u32 CRC-32 of the bytes   256 KiB of the body; the last has what is left
 * ```
 */
const PIECE_BYTES = 256 * 1024;
const STRIDE = 4 + PIECE_BYTES;
/** Read at once. */
const PIECES_PER_READ = 4;

export class BodyBlobWriter {
  readonly #writer: BlobWriter;
  /** The piece that fills. The only memory that a body takes on its way to the disk. */
  readonly #piece = Buffer.allocUnsafeSlow(STRIDE);
  #filled = 0;

  constructor(writer: BlobWriter) {
    this.#writer = writer;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength;) {
      const part = bytes.subarray(at, at + PIECE_BYTES - this.#filled);
      this.#piece.set(part, 4 + this.#filled);
      this.#filled += part.byteLength;
      at += part.byteLength;
      if (this.#filled === PIECE_BYTES) await this.#flush();
    }
  }

  async seal(): Promise<void> {
    if (this.#filled > 0) await this.#flush();
    await this.#writer.seal();
  }

  abort(): Promise<void> {
    return this.#writer.abort();
  }

  async #flush(): Promise<void> {
    const piece = this.#piece.subarray(0, 4 + this.#filled);
    piece.writeUInt32LE(crc32(piece.subarray(4)), 0);
    this.#filled = 0;
    await this.#writer.write(piece);
  }
}

/**
 * Fills `target` with the bytes of a body from `from` on, which are part of it. Holds a mebibyte beside it at most.
 *
 * @throws NOT_FOUND when it was removed, JOURNAL_CORRUPT naming the place
 */
export async function readBodyInto(blobs: BlobStore, body: LargeBody, from: number, target: Buffer): Promise<void> {
  const end = from + target.byteLength;
  let at = from;
  while (at < end) {
    const first = Math.floor(at / PIECE_BYTES);
    const last = Math.min(first + PIECES_PER_READ, Math.ceil(end / PIECE_BYTES));
    const place = first * STRIDE;
    const bytes = Math.min(last * PIECE_BYTES, body.bytes) - first * PIECE_BYTES + 4 * (last - first);
    const pieces = await blobs.read(body.blob, place, bytes);
    for (let i = first; i < last; i++) {
      const piece = pieces.subarray((i - first) * STRIDE, (i - first + 1) * STRIDE);
      const content = piece.subarray(4);
      if (piece.byteLength <= 4 || crc32(content) !== piece.readUInt32LE(0)) throw damaged(body, i * STRIDE);
      const skip = at - i * PIECE_BYTES;
      const taken = Math.min(end - at, content.byteLength - skip);
      content.copy(target, at - from, skip, skip + taken);
      at += taken;
    }
  }
}

function damaged(body: LargeBody, at: number): RailheadError {
  return new RailheadError(
    'JOURNAL_CORRUPT',
    `The body of a message is damaged at byte ${at} of ${body.blob}. Restore the file from a copy, or give up that message.`,
  );
}
