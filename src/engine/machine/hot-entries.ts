import { cut, numbersOf, type Pieces, type PieceWriter } from '../structures/pieces.ts';

const EMPTY = new Float64Array(0);
const FIRST = 4;
const WIDTH = 4;
/** Dropped entries that are kept before the rest is copied. Small: a thousand queues have so many each. */
const SPARE = 64;

/**
 * The entries of one partition that lie in the commit log, oldest first, four numbers each:
 *
 * ```
 * first offset    position in the journal    bytes    publish time
 * ```
 *
 * In one typed array with a moving head: a queue of single messages has a million of these, and V8 does not give back
 * by what its heap grew. The bytes are those of a checkpoint too.
 */
export class HotEntries {
  #data = EMPTY;
  #head = 0;
  #end = 0;

  get length(): number {
    return (this.#end - this.#head) / WIDTH;
  }

  /** First offset of the i-th entry; undefined after the last. */
  base(i: number): number | undefined {
    return this.#at(i, 0);
  }

  /** Negative while its batch gathers. */
  position(i: number): number | undefined {
    return this.#at(i, 1);
  }

  bytes(i: number): number {
    return this.#at(i, 2) ?? 0;
  }

  publishedAt(i: number): number {
    return this.#at(i, 3) ?? 0;
  }

  push(base: number, position: number, bytes: number, publishedAt: number): void {
    if (this.#end === this.#data.length) this.#makeRoom();
    const at = this.#end;
    this.#data[at] = base;
    this.#data[at + 1] = position;
    this.#data[at + 2] = bytes;
    this.#data[at + 3] = publishedAt;
    this.#end = at + WIDTH;
  }

  setPosition(i: number, position: number): void {
    this.#data[this.#head + i * WIDTH + 1] = position;
  }

  /** Forgets the oldest `count`. */
  drop(count: number): void {
    this.#head += count * WIDTH;
    if (this.#head >= this.#end) {
      this.#head = this.#end = 0;
      this.#data = EMPTY;
    } else if (this.#head >= SPARE * WIDTH && this.#head * 2 > this.#end) this.#resize(this.#end - this.#head);
  }

  /** Index of the entry that holds `offset`, which is one of theirs. */
  find(offset: number): number {
    // The head is asked for most often: consumers read in order.
    const next = this.base(1);
    if (next === undefined || offset < next) return 0;
    return this.#lastAtMost(0, offset);
  }

  /** Index of the first entry published at or after `time`. Times only grow. */
  firstAt(time: number): number {
    return this.#firstNotBelow(3, time);
  }

  /** Index of the first entry at or after a position of the journal; those that still gather come last. */
  firstFrom(position: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = this.position(middle) ?? 0;
      if (at >= 0 && at < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** As they are now, without a copy: what has its position is never written again where it lies. */
  encode(pieces: PieceWriter): Pieces {
    const { buffer, byteOffset, byteLength } = this.#data.subarray(this.#head, this.#end);
    return pieces.put(byteLength, () => cut(new Uint8Array(buffer, byteOffset, byteLength)));
  }

  static decode(pieces: readonly Uint8Array[]): HotEntries {
    const entries = new HotEntries();
    entries.#data = numbersOf(pieces);
    entries.#end = entries.#data.length;
    return entries;
  }

  #at(i: number, column: number): number | undefined {
    const at = this.#head + i * WIDTH;
    return at < this.#end ? this.#data[at + column] : undefined;
  }

  #lastAtMost(column: number, value: number): number {
    let low = 0;
    let high = this.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#at(middle, column) ?? 0) <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #firstNotBelow(column: number, value: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#at(middle, column) ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** At the end of the array: the dead head is given up, and if that is not enough the array grows by half. */
  #makeRoom(): void {
    const alive = this.#end - this.#head;
    this.#resize(Math.max(FIRST * WIDTH, alive + Math.ceil(alive / WIDTH / 2) * WIDTH));
  }

  #resize(length: number): void {
    const data = new Float64Array(length);
    data.set(this.#data.subarray(this.#head, this.#end));
    this.#data = data;
    this.#end -= this.#head;
    this.#head = 0;
  }
}
