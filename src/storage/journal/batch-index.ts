/** Where the batches of one segment begin, in order: 4 bytes each. */
export class BatchIndex {
  #starts = new Uint32Array(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(byte: number): void {
    if (this.#length === this.#starts.length) {
      const larger = new Uint32Array(Math.max(64, this.#starts.length * 2));
      larger.set(this.#starts);
      this.#starts = larger;
    }
    this.#starts[this.#length++] = byte;
  }

  /** The batch that holds `byte`, as [start, start of the next one or `end`]; undefined before the first. */
  around(byte: number, end: number): [number, number] | undefined {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] ?? 0) <= byte) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    return [this.#starts[low - 1] ?? 0, low < this.#length ? (this.#starts[low] ?? end) : end];
  }
}
