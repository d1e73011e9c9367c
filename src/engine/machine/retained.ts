import { OffsetSet } from '../structures/offset-set.ts';
import { join } from './lanes.ts';

interface Slice {
  /** When the first and the newest message in it was settled. */
  since: number;
  newest: number;
  offsets: OffsetSet;
}

export type EncodedRetained = [since: number, newest: number, offsets: Uint8Array][];

/** A message may be kept longer than asked for by one part in so many: what is settled together is forgotten together. */
const SLICES = 16;

/**
 * Settled messages that are kept for a while, in slices of time. Memory: some bits a message, and nothing for those
 * that were settled in order.
 */
export class Retained {
  /** Oldest first. */
  #slices: Slice[] = [];

  get size(): number {
    return this.#slices.reduce((sum, { offsets }) => sum + offsets.size, 0);
  }

  /** [from, to) was settled, and is to be kept for `keepMs`. */
  add(from: number, to: number, at: number, keepMs: number): void {
    let slice = this.#slices.at(-1);
    if (slice === undefined || at - slice.since > keepMs / SLICES)
      this.#slices.push((slice = { since: at, newest: at, offsets: new OffsetSet() }));
    slice.newest = Math.max(slice.newest, at);
    slice.offsets.addRange(from, to);
  }

  /** The first that is kept at or after `from`. */
  next(from: number): number | undefined {
    let first: number | undefined;
    for (const { offsets } of this.#slices) {
      const next = offsets.next(from);
      if (next !== undefined && (first === undefined || next < first)) first = next;
    }
    return first;
  }

  /** True when some were settled at `before` or earlier, and nothing later with them. */
  hasOlder(before: number): boolean {
    const [oldest] = this.#slices;
    return oldest !== undefined && oldest.newest <= before;
  }

  /** Forgets the slices that `hasOlder` tells of. */
  forget(before: number): void {
    this.#slices = this.#slices.filter(({ newest }) => newest > before);
  }

  /** Everything below `start` is gone. */
  trim(start: number): void {
    for (const { offsets } of this.#slices) offsets.deleteRange(0, start);
    this.#slices = this.#slices.filter(({ offsets }) => offsets.size > 0);
  }

  encode(): EncodedRetained {
    return this.#slices.map(({ since, newest, offsets }) => [since, newest, join(offsets.encode())]);
  }

  static decode(data: EncodedRetained): Retained {
    const retained = new Retained();
    for (const [since, newest, offsets] of data)
      retained.#slices.push({ since, newest, offsets: OffsetSet.decode(offsets) });
    return retained;
  }
}
