import { Bitmap, BLOCK } from './bitmap.ts';
import type { Pieces, PieceWriter } from './pieces.ts';
import { decodeRuns, encodedBytes, encodeRuns } from './offset-set-codec.ts';

/** Runs in one block above which they become a bitmap: about where both take the same memory. */
const MAX_RUNS_IN_BLOCK = 8;
/** Members left in a bitmap at which it becomes runs again, so that a few stuck messages do not hold many bitmaps. */
const MIN_IN_BITMAP = 4;
/** Removed slots at the front of the container array that are kept before they are given back. */
const SPARE_FRONT = 1024;

/** In a piece of a column, and what each takes there at most. */
const CONTAINERS_IN_PIECE = 512;
const RUN_BYTES = 16;
const BITMAP_BYTES = RUN_BYTES + BLOCK / 8;

/** From `from` to `to`, `to` exclusive. */
export interface OffsetRange {
  from: number;
  to: number;
}

/**
 * A contiguous run of any length, or a bitmap that owns one block of 4096 offsets.
 *
 * Always: `lo` is its first member and `hi` one after its last. Containers are sorted and never overlap, and no run
 * reaches into the block of a bitmap. One class for both kinds keeps the searches monomorphic.
 */
class Container {
  lo: number;
  hi: number;
  bitmap: Bitmap | null;

  constructor(lo: number, hi: number, bitmap: Bitmap | null = null) {
    this.lo = lo;
    this.hi = hi;
    this.bitmap = bitmap;
  }

  get size(): number {
    return this.bitmap === null ? this.hi - this.lo : this.bitmap.count;
  }
}

const VACANT = new Container(0, 0);

/**
 * A set of offsets (integers from 0 to 2^53 - 1) in little memory, made for queues: ranges come at the end and go from
 * the front, single ones leave from the middle and come back. A contiguous range costs one small object however long
 * it is; a block of 4096 with holes costs at most about 1 KiB.
 *
 * Adding at the end, taking from the front and everything near them is O(1); elsewhere a binary search over the
 * containers, and now and then moving their array.
 */
export class OffsetSet {
  /** Slots before `#head` are vacant, so that taking from the front moves nothing. */
  #containers: Container[] = [];
  #head = 0;
  #size = 0;
  readonly #run: OffsetRange = { from: 0, to: 0 };

  get size(): number {
    return this.#size;
  }

  /** The smallest member. */
  first(): number | undefined {
    return this.#containers[this.#head]?.lo;
  }

  /** The smallest member at or after `from`. */
  next(from: number): number | undefined {
    const container = this.#containers[this.#find(from)];
    if (container === undefined) return undefined;
    if (container.lo >= from) return container.lo;
    return container.bitmap === null ? from : container.bitmap.next(from);
  }

  has(offset: number): boolean {
    const container = this.#containers[this.#find(offset)];
    if (container === undefined || container.lo > offset) return false;
    return container.bitmap === null || container.bitmap.has(offset);
  }

  /** Adds one offset; false when it was there. */
  add(offset: number): boolean {
    const index = this.#find(offset);
    const owner = this.#bitmapAround(index, offset);
    if (owner !== undefined) return this.#fill(owner, offset, offset + 1) === 1;
    if ((this.#containers[index]?.lo ?? Infinity) <= offset) return false;
    this.#size++;
    this.#insertRun(index, offset, offset + 1);
    return true;
  }

  /** Adds `from` to `to` (exclusive); returns how many of them are new. */
  addRange(from: number, to: number): number {
    if (!(from < to)) return 0;
    const sizeBefore = this.#size;
    let index = this.#find(from);
    // What lies in the block of a bitmap goes there; the rest is a run of its own.
    const front = this.#bitmapAround(index, from);
    if (front?.bitmap) {
      const end = Math.min(to, front.bitmap.end);
      this.#fill(front, from, end);
      if (end === to) return this.#size - sizeBefore;
      from = end;
      index = this.#find(from);
    }
    if (index < this.#containers.length) {
      const back = this.#bitmapAround(this.#find(to - 1), to - 1);
      if (back?.bitmap && (from > back.bitmap.base || to < back.bitmap.end)) {
        const start = Math.max(from, back.bitmap.base);
        this.#fill(back, start, to);
        if (start === from) return this.#size - sizeBefore;
        to = start;
        index = this.#find(from);
      }
    }
    // Everything else in between is swallowed by one run.
    let lo = from;
    let hi = to;
    let swallowed = 0;
    let end = index;
    for (
      let container = this.#containers[end];
      container !== undefined && container.lo < to;
      container = this.#containers[++end]
    ) {
      if (container.bitmap === null && container.lo <= from && container.hi >= to) return this.#size - sizeBefore;
      swallowed += container.size;
      lo = Math.min(lo, container.lo);
      hi = Math.max(hi, container.hi);
    }
    if (end > index) index = this.#remove(index, end);
    this.#size += hi - lo - swallowed;
    this.#insertRun(index, lo, hi);
    return this.#size - sizeBefore;
  }

  /** Removes one offset; false when it was not there. */
  delete(offset: number): boolean {
    return this.deleteRange(offset, offset + 1) === 1;
  }

  /** Removes `from` to `to` (exclusive); returns how many were there. */
  deleteRange(from: number, to: number): number {
    if (!(from < to)) return 0;
    let index = this.#find(from);
    const front = this.#containers[index];
    if (front === undefined || front.lo >= to) return 0;
    const sizeBefore = this.#size;
    const startsBefore = front.lo < from;
    if (startsBefore) {
      if (front.hi > to) return this.#deleteInside(index, front, from, to);
      this.#cut(front, from, front.hi);
      index++;
    }
    let end = index;
    let back = this.#containers[end];
    while (back !== undefined && back.hi <= to) {
      this.#size -= back.size;
      back = this.#containers[++end];
    }
    if (back !== undefined && back.lo < to) this.#cut(back, back.lo, to);
    else back = undefined;
    if (end > index) this.#remove(index, end);
    if (startsBefore) this.#settle(front);
    if (back !== undefined) this.#settle(back);
    return sizeBefore - this.#size;
  }

  /**
   * The first contiguous run at or after `from`, at most `max` long, without removing it.
   * The object is overwritten by the next call of `firstRun` or `takeRun`.
   */
  firstRun(max: number, from = 0): Readonly<OffsetRange> | undefined {
    const index = this.#find(from);
    const container = this.#containers[index];
    if (container === undefined || max < 1) return undefined;
    let start = container.lo;
    if (start < from) start = container.bitmap === null ? from : container.bitmap.next(from);
    this.#run.from = start;
    this.#run.to = this.#runEnd(index, start, start + max);
    return this.#run;
  }

  /** Removes and returns the first contiguous run, at most `max` long. The object is overwritten as in `firstRun`. */
  takeRun(max: number): Readonly<OffsetRange> | undefined {
    const container = this.#containers[this.#head];
    if (container === undefined || max < 1) return undefined;
    const from = container.lo;
    const to = this.#runEnd(this.#head, from, from + max);
    this.#run.from = from;
    this.#run.to = to;
    if (container.bitmap === null && to < container.hi) {
      container.lo = to;
      this.#size -= to - from;
    } else {
      this.deleteRange(from, to);
    }
    return this.#run;
  }

  /** Every contiguous run, in order. The set must not change meanwhile. */
  *runs(): Generator<OffsetRange, void, void> {
    let index = this.#head;
    let container = this.#containers[index];
    let from = container?.lo ?? 0;
    while (container !== undefined) {
      const to = this.#runEnd(index, from, Infinity);
      yield { from, to };
      while (container !== undefined && container.hi <= to) container = this.#containers[++index];
      if (container === undefined) return;
      from = container.lo > to || container.bitmap === null ? container.lo : container.bitmap.next(to);
    }
  }

  clear(): void {
    this.#containers = [];
    this.#head = 0;
    this.#size = 0;
  }

  clone(): OffsetSet {
    const copy = new OffsetSet();
    copy.#containers = this.#containers
      .slice(this.#head)
      .map(({ lo, hi, bitmap }) => new Container(lo, hi, bitmap === null ? null : bitmap.clone()));
    copy.#size = this.#size;
    return copy;
  }

  /** How long `encode()` is, in bytes. */
  get byteLength(): number {
    return encodedBytes(this.#live());
  }

  /** A copy for a checkpoint, in pieces of at most 1 MiB that belong back to back. The drawing is in the codec's file. */
  encode(): Uint8Array[] {
    return encodeRuns(this.#live(), this.#size);
  }

  /** As it is now, for a checkpoint that is written while it goes on changing: pieces that are each a set of their own. */
  pieces(writer: PieceWriter): Pieces {
    const containers = this.clone().#containers;
    let bytes = 0;
    for (const { bitmap } of containers) bytes += bitmap === null ? RUN_BYTES : BITMAP_BYTES;
    return writer.put(bytes, function* () {
      for (let first = 0; first < containers.length; first += CONTAINERS_IN_PIECE) {
        const part = containers.slice(first, first + CONTAINERS_IN_PIECE);
        let size = 0;
        for (const container of part) size += container.size;
        yield* encodeRuns(part, size);
      }
    });
  }

  /** @throws JOURNAL_CORRUPT when the bytes are no set. */
  static decode(bytes: Uint8Array): OffsetSet {
    return OffsetSet.fromPieces([bytes]);
  }

  /** What `column` gave. @throws JOURNAL_CORRUPT when a piece is no set. */
  static fromPieces(pieces: readonly Uint8Array[]): OffsetSet {
    const set = new OffsetSet();
    for (const piece of pieces)
      decodeRuns(piece, {
        run(from, to) {
          set.addRange(from, to);
        },
        bitmap(bitmap) {
          const container = new Container(bitmap.next(bitmap.base), bitmap.lastEnd(bitmap.end), bitmap);
          set.#size += bitmap.count;
          set.#containers.push(container);
          set.#settle(container);
        },
      });
    return set;
  }

  #live(): Container[] {
    return this.#head === 0 ? this.#containers : this.#containers.slice(this.#head);
  }

  /** Index of the first container with a member at or after `offset`. */
  #find(offset: number): number {
    const containers = this.#containers;
    let low = this.#head;
    let high = containers.length;
    // Queues work at their two ends.
    if (low === high || offset < (containers[low]?.hi ?? 0)) return low;
    if (offset >= (containers[high - 1]?.hi ?? 0)) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((containers[middle]?.hi ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The container whose bitmap owns the block of `offset`, given `#find(offset)`. */
  #bitmapAround(index: number, offset: number): Container | undefined {
    const after = this.#containers[index];
    if (after !== undefined && after.bitmap !== null && offset >= after.bitmap.base) return after;
    const before = index > this.#head ? this.#containers[index - 1] : undefined;
    if (before !== undefined && before.bitmap !== null && offset < before.bitmap.end) return before;
    return undefined;
  }

  /** Adds to a bitmap; returns how many are new. */
  #fill(container: Container, from: number, to: number): number {
    const added = container.bitmap?.fill(from, to) ?? 0;
    this.#size += added;
    if (from < container.lo) container.lo = from;
    if (to > container.hi) container.hi = to;
    this.#settle(container);
    return added;
  }

  /** Removes from one end of a container. */
  #cut(container: Container, from: number, to: number): void {
    const { bitmap } = container;
    const atFront = from === container.lo;
    if (bitmap === null) {
      this.#size -= to - from;
      if (atFront) container.lo = to;
      else container.hi = from;
    } else {
      this.#size -= bitmap.clear(from, to);
      if (atFront) container.lo = bitmap.next(to);
      else container.hi = bitmap.lastEnd(from);
    }
  }

  /** Removes what lies strictly inside one container. */
  #deleteInside(index: number, container: Container, from: number, to: number): number {
    if (container.bitmap !== null) {
      const removed = container.bitmap.clear(from, to);
      this.#size -= removed;
      this.#settle(container);
      return removed;
    }
    this.#size -= to - from;
    const rest = new Container(to, container.hi);
    container.hi = from;
    this.#insert(index + 1, rest);
    this.#densify(from);
    this.#densify(to);
    return to - from;
  }

  /** After a change: a bitmap without holes becomes a run, one with few members becomes some. */
  #settle(container: Container): void {
    const { bitmap, lo, hi } = container;
    if (bitmap === null || (bitmap.count < hi - lo && bitmap.count > MIN_IN_BITMAP)) return;
    let index = this.#find(lo);
    index = this.#remove(index, index + 1);
    for (let from = lo; from < hi;) {
      const to = bitmap.gap(from);
      this.#insertRun(index, from, to);
      index = this.#find(to);
      from = bitmap.next(to);
    }
  }

  /** Puts the run [from, to) at `index`, joined with the runs that touch it. The caller has counted it. */
  #insertRun(index: number, from: number, to: number): void {
    const after = this.#containers[index];
    const before = index > this.#head ? this.#containers[index - 1] : undefined;
    const joinsAfter = after !== undefined && after.bitmap === null && after.lo === to;
    if (before !== undefined && before.bitmap === null && before.hi === from) {
      before.hi = joinsAfter ? after.hi : to;
      if (joinsAfter) this.#remove(index, index + 1);
    } else if (joinsAfter) {
      after.lo = from;
    } else {
      this.#insert(index, new Container(from, to));
      this.#densify(from);
      this.#densify(to - 1);
    }
  }

  #insert(index: number, container: Container): void {
    if (index === this.#containers.length) this.#containers.push(container);
    else if (index === this.#head && index > 0) this.#containers[--this.#head] = container;
    else this.#containers.splice(index, 0, container);
  }

  /** Removes the containers from `index` to `end` (exclusive); returns where the one after them is now. */
  #remove(index: number, end: number): number {
    const containers = this.#containers;
    if (end === containers.length) {
      // Not `length = 0`, which drops the array's memory: a queue that is drained at once would allocate it each time.
      while (containers.length > index) containers.pop();
      if (index === this.#head && index > 0) containers.length = this.#head = 0;
      return containers.length;
    }
    if (index > this.#head) {
      containers.splice(index, end - index);
      return index;
    }
    containers.fill(VACANT, index, end);
    this.#head = end;
    if (end >= SPARE_FRONT && end * 2 >= containers.length) {
      containers.splice(0, end);
      this.#head = 0;
    }
    return this.#head;
  }

  /** Turns the runs in the block of `offset` into a bitmap when they are many. */
  #densify(offset: number): void {
    // Cheap way out for a queue's usual handful of runs.
    if (this.#containers.length - this.#head <= MAX_RUNS_IN_BLOCK) return;
    const base = offset - (offset % BLOCK);
    const end = base + BLOCK;
    const index = this.#find(base);
    const tooMany = this.#containers[index + MAX_RUNS_IN_BLOCK];
    if (tooMany === undefined || tooMany.lo >= end) return;
    const bitmap = new Bitmap(base);
    let stop = index;
    let first: Container | undefined;
    let last: Container | undefined;
    for (let run = this.#containers[stop]; run !== undefined && run.lo < end; run = this.#containers[++stop]) {
      first ??= run;
      last = run;
      bitmap.fill(Math.max(run.lo, base), Math.min(run.hi, end));
    }
    if (first === undefined || last === undefined) return;
    const replacement = [new Container(bitmap.next(base), bitmap.lastEnd(end), bitmap)];
    if (first.lo < base) replacement.unshift(new Container(first.lo, base));
    if (last.hi > end) replacement.push(new Container(end, last.hi));
    this.#containers.splice(index, stop - index, ...replacement);
  }

  /** End of the run that `start`, a member of the container at `index`, belongs to, at most `limit`. */
  #runEnd(index: number, start: number, limit: number): number {
    let end = start;
    for (
      let container = this.#containers[index];
      container !== undefined && container.lo <= end;
      container = this.#containers[++index]
    ) {
      end = container.bitmap === null ? container.hi : container.bitmap.gap(end);
      if (end >= limit) return limit;
      if (end < container.hi) break;
    }
    return end;
  }
}
