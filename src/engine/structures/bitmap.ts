/** Offsets in one bitmap, and the grid that bitmaps lie on. */
export const BLOCK = 4096;
export const BITMAP_BYTES = BLOCK / 8;
const WORDS = BLOCK / 32;

function ones(word: number): number {
  let n = word - ((word >>> 1) & 0x55555555);
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333);
  return Math.imul((n + (n >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function onesOf(words: Int32Array): number {
  let count = 0;
  for (const word of words) count += ones(word);
  return count;
}

/** Bits `low` to `high` (inclusive) of one word. */
function mask(low: number, high: number): number {
  return (-1 << low) & (-1 >>> (31 - high));
}

/** The members among the 4096 offsets from `base` on, one bit each. All arguments are offsets within that block. */
export class Bitmap {
  readonly base: number;
  /** Signed, because the engine of Node keeps 32 signed bits in a register and boxes an unsigned word. */
  words: Int32Array<ArrayBuffer>;
  count: number;
  /** Another one has the same words: they are copied before they change. */
  #shared = false;

  constructor(base: number, words = new Int32Array(WORDS), count = onesOf(words)) {
    this.base = base;
    this.words = words;
    this.count = count;
  }

  /** The first offset after the block. */
  get end(): number {
    return this.base + BLOCK;
  }

  has(offset: number): boolean {
    const bit = offset - this.base;
    return ((this.#word(bit >>> 5) >>> (bit & 31)) & 1) === 1;
  }

  /** Adds one; false when it was there. */
  add(offset: number): boolean {
    const bit = offset - this.base;
    const word = this.#word(bit >>> 5);
    const added = word | (1 << (bit & 31));
    if (word === added) return false;
    this.#own();
    this.words[bit >>> 5] = added;
    this.count++;
    return true;
  }

  /** Adds `from` to `to` (exclusive); returns how many are new. */
  fill(from: number, to: number): number {
    return this.#write(from - this.base, to - 1 - this.base, true);
  }

  /** Removes `from` to `to` (exclusive); returns how many were there. */
  clear(from: number, to: number): number {
    return this.#write(from - this.base, to - 1 - this.base, false);
  }

  /** The first member at or after `from`, or the end of the block. */
  next(from: number): number {
    return this.#scan(from, 0);
  }

  /** The first offset at or after `from` that is no member, or the end of the block. */
  gap(from: number): number {
    return this.#scan(from, -1);
  }

  /** One after the last member before `before`, or `base` when there is none. */
  lastEnd(before: number): number {
    const bit = before - 1 - this.base;
    if (bit < 0) return this.base;
    let index = bit >>> 5;
    let word = this.#word(index) & mask(0, bit & 31);
    while (word === 0 && index > 0) word = this.#word(--index);
    return this.base + index * 32 + 32 - Math.clz32(word);
  }

  /** How many contiguous runs the members make. */
  runs(): number {
    let runs = 0;
    let before = 0;
    for (let index = 0; index < WORDS; index++) {
      const word = this.#word(index);
      // A run starts where a bit is set and the bit below it is not.
      runs += ones(word & ~((word << 1) | before));
      before = word >>> 31;
    }
    return runs;
  }

  /** The same members; either may change by itself. Nothing is copied before that. */
  clone(): Bitmap {
    const copy = new Bitmap(this.base, this.words, this.count);
    copy.#shared = this.#shared = true;
    return copy;
  }

  #own(): void {
    if (!this.#shared) return;
    this.words = this.words.slice();
    this.#shared = false;
  }

  #word(index: number): number {
    return this.words[index] ?? 0;
  }

  /** From `from` on, the first bit that differs from those of `skip` (all zeros or all ones). */
  #scan(from: number, skip: number): number {
    const bit = from - this.base;
    if (bit >= BLOCK) return this.end;
    let index = bit >>> 5;
    let word = (this.#word(index) ^ skip) & mask(bit & 31, 31);
    while (word === 0) {
      if (++index === WORDS) return this.end;
      word = this.#word(index) ^ skip;
    }
    return this.base + index * 32 + 31 - Math.clz32(word & -word);
  }

  #write(low: number, high: number, set: boolean): number {
    const firstWord = low >>> 5;
    const lastWord = high >>> 5;
    let changed = 0;
    this.#own();
    for (let index = firstWord; index <= lastWord; index++) {
      const bits = mask(index === firstWord ? low & 31 : 0, index === lastWord ? high & 31 : 31);
      const word = this.#word(index);
      changed += ones(set ? bits & ~word : bits & word);
      this.words[index] = set ? word | bits : word & ~bits;
    }
    this.count += set ? changed : -changed;
    return changed;
  }
}
