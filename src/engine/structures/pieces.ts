/**
 * What may be large of an object in a checkpoint: pieces that belong together, in order. Small ones lie in the frame of
 * the object; of a large one the frame has only the number, and each piece lies in a frame of its own.
 */
export type Pieces = Uint8Array[] | number;

/** About as long as a piece is, so that none takes more than some milliseconds to make. */
export const PIECE_BYTES = 256 << 10;
const SMALL_BYTES = 64 << 10;

/** Gathers those of one object. The pieces of large ones are made later, while the object goes on changing. */
export class PieceWriter {
  readonly #large: (() => Iterable<Uint8Array>)[] = [];

  /** @param bytes at most in all  @param pieces of what will not change any more */
  put(bytes: number, pieces: () => Iterable<Uint8Array>): Pieces {
    return bytes <= SMALL_BYTES ? [...pieces()] : this.#large.push(pieces) - 1;
  }

  *large(): Generator<{ part: number; piece: Uint8Array }, void, void> {
    for (const [part, pieces] of this.#large.entries()) for (const piece of pieces()) yield { part, piece };
  }
}

/** The other side: the pieces that were read before the object itself. */
export class PieceReader {
  readonly #large: Uint8Array[][] = [];

  add(part: number, piece: Uint8Array): void {
    (this.#large[part] ??= []).push(piece);
  }

  get(part: Pieces): readonly Uint8Array[] {
    return typeof part === 'number' ? (this.#large[part] ?? []) : part;
  }
}

/** Bytes that will not change any more, cut into pieces. */
export function* cut(bytes: Uint8Array, pieceBytes = PIECE_BYTES): Generator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** The pieces of `cut` as numbers. A copy, for numbers cannot be read at any address. */
export function numbersOf(pieces: readonly Uint8Array[]): Float64Array<ArrayBuffer> {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.byteLength;
  const joined = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.byteLength;
  }
  return new Float64Array(joined.buffer);
}
