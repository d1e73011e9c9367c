import type { ByteLedger } from './ledger.ts';

/** A buffer in which batches gathered, many in it. */
interface Slab {
  readonly bytes: Buffer;
  /** Somebody may have a view of it. */
  lent: boolean;
}

/**
 * The bytes that were appended last, so that a message just published is served without the disk. Batches come in the
 * order of their positions; the oldest go first. The bytes stay where they were gathered: nothing is copied. A slab that
 * nobody has read from is given for new batches once its own are old: at 200 MB/s fresh ones made the collection of
 * garbage run several times a second.
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
  /** The oldest first; the first one has the number `#firstSlab`. */
  readonly #slabs: Slab[] = [];
  #firstSlab = 0;
  readonly #slabBytes: number;
  #spare: Buffer | undefined;
  #bytes = 0;

  constructor(limitBytes: number, ledger: ByteLedger, slabBytes: number) {
    this.#limit = limitBytes;
    this.#ledger = ledger;
    this.#slabBytes = slabBytes;
  }

  /** Memory in which the next batches may gather. */
  takeSlab(): Buffer {
    const slab = this.#spare ?? Buffer.allocUnsafeSlow(this.#slabBytes);
    this.#spare = undefined;
    return slab;
  }

  add(position: number, body: Buffer): void {
    if (this.#slabs.at(-1)?.bytes.buffer !== body.buffer)
      this.#slabs.push({ bytes: Buffer.from(body.buffer), lent: false });
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
      for (const { bytes, lent } of this.#slabs.splice(0, oldest - this.#firstSlab))
        if (!lent && bytes.byteLength === this.#slabBytes) this.#spare = bytes;
      this.#firstSlab = oldest;
    }
    if (this.#head <= 1024 || this.#head * 2 <= this.#positions.length) return;
    this.#positions = this.#positions.slice(this.#head);
    this.#starts = this.#starts.slice(this.#head);
    this.#lengths = this.#lengths.slice(this.#head);
    this.#slabOf = this.#slabOf.slice(this.#head);
    this.#head = 0;
  }

  has(position: number, length: number): boolean {
    return this.#rowOf(position, length) !== undefined;
  }

  get(position: number, length: number): Buffer | undefined {
    const row = this.#rowOf(position, length);
    if (row === undefined) return undefined;
    const slab = this.#slabs[(this.#slabOf[row] ?? 0) - this.#firstSlab];
    if (slab === undefined) return undefined;
    slab.lent = true;
    const from = (this.#starts[row] ?? 0) + position - (this.#positions[row] ?? 0);
    return slab.bytes.subarray(from, from + length);
  }

  #rowOf(position: number, length: number): number | undefined {
    if (position < (this.#positions[this.#head] ?? Infinity)) return undefined;
    let low = this.#head;
    let high = this.#positions.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#positions[middle] ?? 0) <= position) low = middle;
      else high = middle - 1;
    }
    const at = position - (this.#positions[low] ?? 0);
    return at + length > (this.#lengths[low] ?? 0) ? undefined : low;
  }
}
