import { PIECE_BYTES, type Pieces, type PieceWriter } from '../structures/pieces.ts';

const BLOCK = 4096;
const BLOCK_BYTES = 8 + BLOCK;

/**
 * How a priority is stored, so that 0 stands for what a message counts as that names none, and costs nothing: `usual` and
 * 0 have changed places. Its own inverse.
 */
export function stored(priority: number, usual: number): number {
  if (priority === usual) return 0;
  return priority === 0 ? usual : priority;
}

/** The priority of each message as it is stored, a byte each, in blocks by offset. Absent blocks: 0. */
export class Priorities {
  readonly #blocks = new Map<number, Uint8Array>();

  /** Nothing has another priority than what is stored as 0. */
  get empty(): boolean {
    return this.#blocks.size === 0;
  }

  of(offset: number): number {
    return this.#blocks.get(Math.floor(offset / BLOCK))?.[offset % BLOCK] ?? 0;
  }

  note(offset: number, priority: number): void {
    const index = Math.floor(offset / BLOCK);
    let block = this.#blocks.get(index);
    if (block === undefined) this.#blocks.set(index, (block = new Uint8Array(BLOCK)));
    block[offset % BLOCK] = priority;
  }

  /** What lies below the oldest pending message is not asked for again. */
  forgetBefore(oldest: number): void {
    const kept = Math.floor(oldest / BLOCK);
    for (const index of this.#blocks.keys()) {
      if (index >= kept) break;
      this.#blocks.delete(index);
    }
  }

  clear(): void {
    this.#blocks.clear();
  }

  /** For a checkpoint, of each block: f64 its index, the bytes. What is noted meanwhile is noted again by replay. */
  encode(pieces: PieceWriter): Pieces {
    const blocks = [...this.#blocks];
    const perPiece = Math.floor(PIECE_BYTES / BLOCK_BYTES);
    return pieces.put(blocks.length * BLOCK_BYTES, function* () {
      for (let first = 0; first < blocks.length; first += perPiece) {
        const part = blocks.slice(first, first + perPiece);
        const piece = Buffer.allocUnsafeSlow(part.length * BLOCK_BYTES);
        for (const [i, [index, block]] of part.entries()) {
          piece.writeDoubleLE(index, i * BLOCK_BYTES);
          piece.set(block, i * BLOCK_BYTES + 8);
        }
        yield piece;
      }
    });
  }

  load(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) {
      const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
      for (let at = 0; at < bytes.byteLength; at += BLOCK_BYTES)
        this.#blocks.set(bytes.readDoubleLE(at), new Uint8Array(bytes.subarray(at + 8, at + BLOCK_BYTES)));
    }
  }
}
