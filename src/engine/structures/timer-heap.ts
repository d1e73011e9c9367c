import { RailheadError } from '../../core/errors.ts';
import { numbersOf, type Pieces, type PieceWriter } from './pieces.ts';

/** Children of a node: a flat heap has fewer cache misses on the way down than one of two. */
const ARITY = 4;
const PAGE_SHIFT = 12;
const PAGE_ENTRIES = 1 << PAGE_SHIFT;
const FIRST_ENTRIES = 16;
const ENTRY_BYTES = 16;

/**
 * A min-heap of (time, offset) by time, then offset, in 16 bytes an entry: ten million delayed messages take 160 MB and
 * nothing that the garbage collector has to walk. It grows and shrinks by pages of 64 KiB, so that no growth copies it
 * all at once, and an empty heap takes nothing. Offset may be any number that names a thing, such as a lease's.
 *
 * An entry cannot be removed from the middle. The caller checks whether what it popped still holds, and calls `rebuild`
 * when too many do not.
 */
export class TimerHeap {
  /** Pages of `time, offset, time, offset …`. All hold 4096 entries but the first, which starts small. */
  readonly #pages: Float64Array[] = [];
  /** Pages that a checkpoint has, which is being written: they are copied before they change. Null when there are none. */
  #shared: Set<Float64Array> | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The earliest time; Infinity when there is none. */
  peekTime(): number {
    return this.#size === 0 ? Infinity : this.#time(0);
  }

  /** The offset with the earliest time. */
  peekOffset(): number | undefined {
    return this.#size === 0 ? undefined : this.#offset(0);
  }

  /** The earliest time of an offset. Looks at every entry: for people who ask, not for the hot path. */
  timeOf(offset: number): number | undefined {
    let earliest: number | undefined;
    for (let i = 0; i < this.#size; i++) {
      if (this.#offset(i) === offset && (earliest === undefined || this.#time(i) < earliest)) earliest = this.#time(i);
    }
    return earliest;
  }

  push(time: number, offset: number): void {
    this.#append(time, offset);
    this.#siftUp(this.#size - 1);
  }

  /** Many at once, in any order; quicker than one by one when they are many beside those already here. */
  pushAll(times: ArrayLike<number>, offsets: ArrayLike<number>): void {
    const start = this.#size;
    for (let i = 0; i < times.length; i++) this.#append(times[i] ?? 0, offsets[i] ?? 0);
    if (this.#size - start > start / 4) this.#heapify();
    else for (let i = start; i < this.#size; i++) this.#siftUp(i);
  }

  /** Removes the earliest entry if its time is not after `now`; returns its offset. */
  popDue(now: number): number | undefined {
    if (this.#size === 0 || this.#time(0) > now) return undefined;
    const due = this.#offset(0);
    const last = --this.#size;
    if (last > 0) this.#siftDown(0, this.#time(last), this.#offset(last));
    this.#shrink();
    return due;
  }

  /** Drops every entry for which `keep` says false. O(n). */
  rebuild(keep: (time: number, offset: number) => boolean): void {
    let kept = 0;
    for (let i = 0; i < this.#size; i++) {
      const time = this.#time(i);
      const offset = this.#offset(i);
      if (keep(time, offset)) this.#set(kept++, time, offset);
    }
    this.#size = kept;
    this.#shrink();
    this.#heapify();
  }

  clear(): void {
    this.#size = 0;
    this.#shrink();
  }

  get byteLength(): number {
    return this.#size * ENTRY_BYTES;
  }

  /** As it is now, for a checkpoint that is written while it goes on changing: f64 time, f64 offset, in any order. */
  pieces(writer: PieceWriter): Pieces {
    const pages = this.#pages.slice(0, Math.ceil(this.#size / PAGE_ENTRIES));
    const bytes = this.byteLength;
    const shared = new Set(pages);
    this.#shared = shared;
    const done = (): void => {
      if (this.#shared === shared) this.#shared = null;
    };
    return writer.put(bytes, function* () {
      let left = bytes;
      for (const page of pages) {
        const used = Math.min(left, page.byteLength);
        left -= used;
        yield new Uint8Array(page.buffer, page.byteOffset, used);
      }
      done();
    });
  }

  /**
   * Replaces all entries by those that `column` gave. O(n).
   * @throws JOURNAL_CORRUPT when the bytes are no entries; the heap is empty then.
   */
  load(pieces: readonly Uint8Array[]): void {
    this.clear();
    for (const piece of pieces) {
      if (piece.byteLength % ENTRY_BYTES !== 0)
        throw this.#damaged(`has ${piece.byteLength} bytes, no multiple of ${ENTRY_BYTES}`);
      const numbers = numbersOf([piece]);
      for (let i = 0; i < numbers.length; i += 2) {
        const time = numbers[i] ?? 0;
        const offset = numbers[i + 1] ?? 0;
        if (!Number.isFinite(time) || !Number.isSafeInteger(offset))
          throw this.#damaged(`has the impossible entry (${time}, ${offset})`);
        this.#append(time, offset);
      }
    }
    this.#heapify();
  }

  #damaged(what: string): RailheadError {
    this.clear();
    return new RailheadError('JOURNAL_CORRUPT', `A list of timers in a checkpoint ${what}.`);
  }

  #page(index: number): Float64Array {
    const page = this.#pages[index >>> PAGE_SHIFT];
    if (page === undefined) throw new Error(`Railhead bug: no entry ${index} in a timer heap of ${this.#size}`);
    return page;
  }

  #time(index: number): number {
    return this.#page(index)[(index & (PAGE_ENTRIES - 1)) * 2] ?? 0;
  }

  #offset(index: number): number {
    return this.#page(index)[(index & (PAGE_ENTRIES - 1)) * 2 + 1] ?? 0;
  }

  #set(index: number, time: number, offset: number): void {
    let page = this.#page(index);
    if (this.#shared !== null && this.#shared.delete(page)) {
      page = page.slice();
      this.#pages[index >>> PAGE_SHIFT] = page;
    }
    const at = (index & (PAGE_ENTRIES - 1)) * 2;
    page[at] = time;
    page[at + 1] = offset;
  }

  #append(time: number, offset: number): void {
    const index = this.#size++;
    if (index >= PAGE_ENTRIES) {
      if (index >>> PAGE_SHIFT === this.#pages.length) this.#pages.push(new Float64Array(PAGE_ENTRIES * 2));
    } else {
      const page = this.#pages[0];
      if (page === undefined) {
        this.#pages.push(new Float64Array(FIRST_ENTRIES * 2));
      } else if (index * 2 === page.length) {
        const larger = new Float64Array(page.length * 2);
        larger.set(page);
        this.#pages[0] = larger;
      }
    }
    this.#set(index, time, offset);
  }

  /** Gives pages back, but keeps one to spare, so that a heap at the border of a page does not allocate all the time. */
  #shrink(): void {
    const used = Math.ceil(this.#size / PAGE_ENTRIES);
    if (this.#pages.length > used + 1) this.#pages.length = used + 1;
    if (this.#size === 0 && (this.#pages[0]?.length ?? 0) > FIRST_ENTRIES * 2) this.#pages.length = 0;
  }

  #heapify(): void {
    for (let i = Math.floor((this.#size - 2) / ARITY); i >= 0; i--) this.#siftDown(i, this.#time(i), this.#offset(i));
  }

  #siftUp(start: number): void {
    const time = this.#time(start);
    const offset = this.#offset(start);
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >>> 2;
      const parentTime = this.#time(parent);
      const parentOffset = this.#offset(parent);
      if (parentTime < time || (parentTime === time && parentOffset <= offset)) break;
      this.#set(index, parentTime, parentOffset);
      index = parent;
    }
    if (index !== start) this.#set(index, time, offset);
  }

  /** Puts an entry at `start` or as far below as it belongs. What was at `start` is overwritten. */
  #siftDown(start: number, time: number, offset: number): void {
    const size = this.#size;
    let index = start;
    for (;;) {
      const firstChild = index * ARITY + 1;
      if (firstChild >= size) break;
      const end = Math.min(firstChild + ARITY, size);
      let child = -1;
      let childTime = time;
      let childOffset = offset;
      for (let i = firstChild; i < end; i++) {
        const t = this.#time(i);
        if (t > childTime) continue;
        const o = this.#offset(i);
        if (t === childTime && o >= childOffset) continue;
        child = i;
        childTime = t;
        childOffset = o;
      }
      if (child < 0) break;
      this.#set(index, childTime, childOffset);
      index = child;
    }
    this.#set(index, time, offset);
  }
}
