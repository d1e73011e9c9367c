import type { ByteLedger } from './ledger.ts';

/**
 * The bytes that were appended last, so that a message just published is served without the disk. Batches come in the
 * order of their positions; the oldest go first. The bytes stay where they were gathered: nothing is copied.
 *
 * A batch is a row of numbers here, and no object: thousands of small batches a second that live until the limit drives
 * them out would all grow old in the heap, and the collections that this brings on are felt in the latency of others.
 */
export class RecentBytes {
  readonly #limit: number;
  readonly #ledger: ByteLedger;
  /** A row for each batch: its position, its bytes' place in its slab, their length, and the slab's number. */
  #positions: number[] = [];
  #starts: number[] = [];
  #lengths: number[] = [];
  #slabOf: number[] = [];
  #head = 0;
  /** The buffers in which batches gathered, many in each, the oldest first; the first one has the number `#firstSlab`. */
  readonly #slabs: Buffer[] = [];
  #firstSlab = 0;
  #bytes = 0;

  constructor(limitBytes: number, ledger: ByteLedger) {
    this.#limit = limitBytes;
    this.#ledger = ledger;
  }

  add(position: number, body: Buffer): void {
    if (this.#slabs.at(-1)?.buffer !== body.buffer) this.#slabs.push(Buffer.from(body.buffer));
    this.#positions.push(position);
    this.#starts.push(body.byteOffset);
    this.#lengths.push(body.byteLength);
    this.#slabOf.push(this.#firstSlab + this.#slabs.length - 1);
    const before = this.#bytes;
    this.#bytes += body.byteLength;
    while (this.#bytes > this.#limit && this.#head < this.#positions.length - 1) {
      this.#bytes -= this.#lengths[this.#head] ?? 0;
      this.#head++;
    }
    this.#letGo();
    this.#ledger.add('recent', this.#bytes - before);
  }

  /** Slabs at once, for they are what takes memory; rows once they are many. */
  #letGo(): void {
    const oldest = this.#slabOf[this.#head] ?? 0;
    if (oldest > this.#firstSlab) {
      this.#slabs.splice(0, oldest - this.#firstSlab);
      this.#firstSlab = oldest;
    }
    if (this.#head <= 1024 || this.#head * 2 <= this.#positions.length) return;
    this.#positions = this.#positions.slice(this.#head);
    this.#starts = this.#starts.slice(this.#head);
    this.#lengths = this.#lengths.slice(this.#head);
    this.#slabOf = this.#slabOf.slice(this.#head);
    this.#head = 0;
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
    const at = position - (this.#positions[low] ?? 0);
    if (at + length > (this.#lengths[low] ?? 0)) return undefined;
    const from = (this.#starts[low] ?? 0) + at;
    return this.#slabs[(this.#slabOf[low] ?? 0) - this.#firstSlab]?.subarray(from, from + length);
  }
}
