/** Somebody to whom deliveries were made: a consumer, or `basic.get` on a queue. Numbered within its channel. */
export interface Delivery {
  holder: number;
  partition: number;
  offset: number;
  token: number;
}

const FIRST_CAPACITY = 64;

/**
 * The deliveries of one channel that are not settled, by delivery tag. Tags only grow, so this is a ring of columns: a
 * delivery costs no object.
 */
export class Unacked {
  /** The oldest tag that may be unsettled, and the next one to be given. */
  #first = 1;
  #next = 1;
  #size = 0;
  #mask = 0;
  /** Holder + 1; 0 for what is settled. */
  #holders = new Uint32Array(0);
  #partitions = new Uint16Array(0);
  #offsets = new Float64Array(0);
  #tokens = new Float64Array(0);

  /** How many are not settled. */
  get size(): number {
    return this.#size;
  }

  /** No older tag is unsettled. */
  get firstTag(): number {
    return this.#first;
  }

  get nextTag(): number {
    return this.#next;
  }

  /** Gives the next tag to a delivery that needs no ack. */
  skip(): number {
    if (this.#size > 0) this.#put(-1, 0, 0, 0);
    else this.#first = ++this.#next;
    return this.#next - 1;
  }

  /** Gives the next tag. */
  add(holder: number, partition: number, offset: number, token: number): number {
    this.#put(holder, partition, offset, token);
    this.#size++;
    return this.#next - 1;
  }

  has(tag: number): boolean {
    return this.#size > 0 && tag >= this.#first && tag < this.#next && this.#holders[tag & this.#mask] !== 0;
  }

  /** Takes out the delivery with that tag into `out`; false when there is none. */
  take(tag: number, out: Delivery): boolean {
    if (this.#size === 0 || !(tag >= this.#first && tag < this.#next)) return false;
    const at = tag & this.#mask;
    const holder = this.#holders[at] ?? 0;
    if (holder === 0) return false;
    out.holder = holder - 1;
    out.partition = this.#partitions[at] ?? 0;
    out.offset = this.#offsets[at] ?? 0;
    out.token = this.#tokens[at] ?? 0;
    this.#holders[at] = 0;
    this.#size--;
    this.#advance();
    return true;
  }

  /** Takes out the oldest, up to that tag; false when there is none. */
  takeOldest(upTo: number, out: Delivery): boolean {
    return this.#size > 0 && this.#first <= upTo && this.take(this.#first, out);
  }

  #advance(): void {
    if (this.#size === 0) this.#first = this.#next;
    else while (this.#holders[this.#first & this.#mask] === 0) this.#first++;
  }

  #put(holder: number, partition: number, offset: number, token: number): void {
    if (this.#size === 0) this.#first = this.#next;
    if (this.#next - this.#first >= this.#holders.length) this.#grow();
    const at = this.#next & this.#mask;
    this.#holders[at] = holder + 1;
    this.#partitions[at] = partition;
    this.#offsets[at] = offset;
    this.#tokens[at] = token;
    this.#next++;
  }

  #grow(): void {
    const capacity = Math.max(FIRST_CAPACITY, this.#holders.length * 2);
    const mask = capacity - 1;
    const old = { holders: this.#holders, partitions: this.#partitions, offsets: this.#offsets, tokens: this.#tokens };
    this.#holders = new Uint32Array(capacity);
    this.#partitions = new Uint16Array(capacity);
    this.#offsets = new Float64Array(capacity);
    this.#tokens = new Float64Array(capacity);
    for (let tag = this.#first; tag < this.#next; tag++) {
      const [from, to] = [tag & this.#mask, tag & mask];
      this.#holders[to] = old.holders[from] ?? 0;
      this.#partitions[to] = old.partitions[from] ?? 0;
      this.#offsets[to] = old.offsets[from] ?? 0;
      this.#tokens[to] = old.tokens[from] ?? 0;
    }
    this.#mask = mask;
  }
}
