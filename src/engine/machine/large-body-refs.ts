import type { LargeBody } from '../entries.ts';
import { LateMap } from '../structures/late-map.ts';

/**
 * The messages of one partition whose bodies are blobs of their own, by offset. A map, not columns: a body that is here
 * has a file and a megabyte at least. Offsets are added in order.
 */
export class LargeBodyRefs {
  readonly #bodies = new LateMap<number, LargeBody>();

  get size(): number {
    return this.#bodies.size;
  }

  get(offset: number): LargeBody | undefined {
    return this.#bodies.get(offset);
  }

  values(): Iterable<LargeBody> {
    return this.#bodies.values();
  }

  add(offset: number, body: LargeBody): void {
    this.#bodies.set(offset, body);
  }

  /** Those of [from, to), which are forgotten. */
  drop(from: number, to: number): LargeBody[] {
    const dropped: LargeBody[] = [];
    for (const offset of this.offsetsIn(from, to)) {
      const body = this.#bodies.get(offset);
      if (body !== undefined) dropped.push(body);
      this.#bodies.delete(offset);
    }
    return dropped;
  }

  bytesIn(from: number, to: number): number {
    let bytes = 0;
    for (const offset of this.offsetsIn(from, to)) bytes += this.#bodies.get(offset)?.bytes ?? 0;
    return bytes;
  }

  /** Whichever is shorter: the range, or the map up to its end. */
  offsetsIn(from: number, to: number): number[] {
    const offsets: number[] = [];
    if (this.#bodies.size === 0) return offsets;
    if (to - from < this.#bodies.size) {
      for (let offset = from; offset < to; offset++) if (this.#bodies.has(offset)) offsets.push(offset);
      return offsets;
    }
    for (const offset of this.#bodies.keys()) {
      if (offset >= to) break;
      if (offset >= from) offsets.push(offset);
    }
    return offsets;
  }

  encode(): [number, string, number][] {
    return [...this.#bodies].map(([offset, { blob, bytes }]) => [offset, blob, bytes]);
  }
}
