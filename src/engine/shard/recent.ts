import type { ByteLedger } from './ledger.ts';

/**
 * The bytes that were appended last, so that a message just published is served without the disk. Batches come in the
 * order of their positions; the oldest go first. The views are those of the journal's own buffers: nothing is copied.
 */
export class RecentBytes {
  readonly #limit: number;
  readonly #ledger: ByteLedger;
  #positions: number[] = [];
  #bodies: (Buffer | undefined)[] = [];
  #head = 0;
  #bytes = 0;

  constructor(limitBytes: number, ledger: ByteLedger) {
    this.#limit = limitBytes;
    this.#ledger = ledger;
  }

  add(position: number, body: Buffer): void {
    this.#positions.push(position);
    this.#bodies.push(body);
    const before = this.#bytes;
    this.#bytes += body.byteLength;
    while (this.#bytes > this.#limit && this.#head < this.#bodies.length - 1) {
      this.#bytes -= this.#bodies[this.#head]?.byteLength ?? 0;
      // Let go at once: the columns are cut only later, and a gigabyte of batches would stay behind the head.
      this.#bodies[this.#head] = undefined;
      this.#head++;
    }
    this.#ledger.add('recent', this.#bytes - before);
    if (this.#head > 1024 && this.#head * 2 > this.#bodies.length) {
      this.#positions = this.#positions.slice(this.#head);
      this.#bodies = this.#bodies.slice(this.#head);
      this.#head = 0;
    }
  }

  get(position: number, length: number): Buffer | undefined {
    if (position < (this.#positions[this.#head] ?? Infinity)) return undefined;
    let low = this.#head;
    let high = this.#positions.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#positions[middle] ?? 0) <= position) low = middle;
      else high = middle - 1;
    }
    const body = this.#bodies[low];
    const at = position - (this.#positions[low] ?? 0);
    return body !== undefined && at + length <= body.byteLength ? body.subarray(at, at + length) : undefined;
  }
}
