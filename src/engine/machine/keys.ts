import { PIECE_BYTES, type PieceReader, type Pieces, type PieceWriter } from '../structures/pieces.ts';

/** Messages of one block. Small, so that one message that stays behind holds about a KiB and not more. */
const BLOCK = 256;
const BLOCK_BYTES = 8 + BLOCK * 4;
/** Length of a text that is not there: its number is free. */
const NO_TEXT = 0xffff;

interface Block {
  /** Number of the key + 1 of each message; 0 for none. */
  numbers: Int32Array;
  used: number;
  /** A checkpoint that is being written has these numbers: they are copied before they change. */
  shared: boolean;
}

export interface EncodedKeyTable {
  /** By number: u16 length, UTF-8. */
  texts: Pieces;
  /** Of each block: f64 its index, then the numbers. */
  blocks: Pieces;
}

/**
 * Which key each message has. A key has a number while a message has the key, and a message takes four bytes: a map from
 * messages to texts takes twenty times as much and ten seconds to read with a million keys.
 */
export class KeyTable {
  readonly #numbers = new Map<string, number>();
  #texts: (string | undefined)[] = [];
  /** By number: how many messages have it. */
  readonly #uses: number[] = [];
  readonly #free: number[] = [];
  readonly #blocks = new Map<number, Block>();

  set(offset: number, key: string): void {
    this.delete(offset);
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#texts.length;
      this.#numbers.set(key, number);
      this.#texts[number] = key;
      this.#uses[number] = 0;
    }
    this.#uses[number] = (this.#uses[number] ?? 0) + 1;
    const index = Math.floor(offset / BLOCK);
    let block = this.#blocks.get(index);
    if (block === undefined)
      this.#blocks.set(index, (block = { numbers: new Int32Array(BLOCK), used: 0, shared: false }));
    else own(block);
    block.numbers[offset % BLOCK] = number + 1;
    block.used++;
  }

  delete(offset: number): void {
    const index = Math.floor(offset / BLOCK);
    const block = this.#blocks.get(index);
    const number = (block?.numbers[offset % BLOCK] ?? 0) - 1;
    if (block === undefined || number < 0) return;
    if (--block.used === 0) this.#blocks.delete(index);
    else {
      own(block);
      block.numbers[offset % BLOCK] = 0;
    }
    const uses = (this.#uses[number] ?? 0) - 1;
    this.#uses[number] = uses;
    if (uses > 0) return;
    this.#numbers.delete(this.#texts[number] ?? '');
    this.#texts[number] = undefined;
    this.#free.push(number);
  }

  numberOf(offset: number): number | undefined {
    const number = this.#blocks.get(Math.floor(offset / BLOCK))?.numbers[offset % BLOCK] ?? 0;
    return number === 0 ? undefined : number - 1;
  }

  textOf(offset: number): string | undefined {
    const number = this.numberOf(offset);
    return number === undefined ? undefined : this.#texts[number];
  }

  *entries(): Generator<[number, string], void, void> {
    for (const [index, { numbers }] of this.#blocks)
      for (const [i, number] of numbers.entries())
        if (number > 0) yield [index * BLOCK + i, this.#texts[number - 1] ?? ''];
  }

  clear(): void {
    this.#numbers.clear();
    this.#texts = [];
    this.#uses.length = 0;
    this.#free.length = 0;
    this.#blocks.clear();
  }

  encode(pieces: PieceWriter): EncodedKeyTable {
    const texts = this.#texts.slice();
    const bound = boundOf(texts);
    const blocks: { index: number; numbers: Int32Array }[] = [];
    for (const [index, block] of this.#blocks) {
      block.shared = true;
      blocks.push({ index, numbers: block.numbers });
    }
    return {
      texts: pieces.put(bound, () => encodeTexts(texts, Math.min(bound, PIECE_BYTES))),
      blocks: pieces.put(blocks.length * BLOCK_BYTES, () => encodeBlocks(blocks)),
    };
  }

  load(data: EncodedKeyTable, pieces: PieceReader): void {
    this.clear();
    for (const piece of pieces.get(data.texts)) {
      const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
      for (let at = 0; at < bytes.byteLength;) {
        const length = bytes.readUInt16LE(at);
        at += 2;
        const number = this.#texts.length;
        this.#uses.push(0);
        if (length === NO_TEXT) {
          this.#texts.push(undefined);
          this.#free.push(number);
          continue;
        }
        const text = bytes.utf8Slice(at, at + length);
        at += length;
        this.#texts.push(text);
        this.#numbers.set(text, number);
      }
    }
    for (const piece of pieces.get(data.blocks)) {
      const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
      for (let at = 0; at < bytes.byteLength; at += BLOCK_BYTES) {
        const numbers = new Int32Array(BLOCK);
        new Uint8Array(numbers.buffer).set(bytes.subarray(at + 8, at + BLOCK_BYTES));
        let used = 0;
        for (const number of numbers) {
          if (number === 0) continue;
          used++;
          this.#uses[number - 1] = (this.#uses[number - 1] ?? 0) + 1;
        }
        this.#blocks.set(bytes.readDoubleLE(at), { numbers, used, shared: false });
      }
    }
  }
}

function own(block: Block): void {
  if (!block.shared) return;
  block.numbers = block.numbers.slice();
  block.shared = false;
}

function boundOf(texts: readonly (string | undefined)[]): number {
  let bytes = 0;
  for (const text of texts) bytes += 2 + (text?.length ?? 0) * 3;
  return bytes;
}

function* encodeTexts(texts: readonly (string | undefined)[], pieceBytes: number): Generator<Uint8Array, void, void> {
  // One text always fits: it has at most 65,534 bytes, which are at most as many characters.
  let bytes = Buffer.allocUnsafeSlow(pieceBytes);
  let at = 0;
  for (const text of texts) {
    if (at + 2 + (text?.length ?? 0) * 3 > bytes.byteLength) {
      yield bytes.subarray(0, at);
      bytes = Buffer.allocUnsafeSlow(pieceBytes);
      at = 0;
    }
    const length = text === undefined ? NO_TEXT : bytes.utf8Write(text, at + 2);
    bytes.writeUInt16LE(length, at);
    at += 2 + (text === undefined ? 0 : length);
  }
  if (at > 0) yield bytes.subarray(0, at);
}

function* encodeBlocks(blocks: readonly { index: number; numbers: Int32Array }[]): Generator<Uint8Array, void, void> {
  const perPiece = Math.floor(PIECE_BYTES / BLOCK_BYTES);
  for (let first = 0; first < blocks.length; first += perPiece) {
    const part = blocks.slice(first, first + perPiece);
    const bytes = Buffer.allocUnsafeSlow(part.length * BLOCK_BYTES);
    for (const [i, { index, numbers }] of part.entries()) {
      bytes.writeDoubleLE(index, i * BLOCK_BYTES);
      bytes.set(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength), i * BLOCK_BYTES + 8);
    }
    yield bytes;
  }
}
