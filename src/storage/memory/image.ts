const PAGE_BYTES = 4096;

interface Page {
  readonly bytes: Uint8Array;
  /** The image that may write into this page; every other one copies it first. */
  readonly owner: object;
}

/** The bytes of a file: sparse (a hole reads as zeros and costs nothing) and copied on write, so that clones are cheap. */
export class Image {
  #pages: Map<number, Page>;
  #owner: object = {};
  size: number;

  constructor(pages = new Map<number, Page>(), size = 0) {
    this.#pages = pages;
    this.size = size;
  }

  clone(): Image {
    this.#owner = {};
    return new Image(new Map(this.#pages), this.size);
  }

  write(bytes: Uint8Array, at: number): void {
    let from = 0;
    while (from < bytes.length) {
      const inPage = (at + from) % PAGE_BYTES;
      const length = Math.min(bytes.length - from, PAGE_BYTES - inPage);
      this.#writable((at + from - inPage) / PAGE_BYTES).set(bytes.subarray(from, from + length), inPage);
      from += length;
    }
    if (at + bytes.length > this.size) this.size = at + bytes.length;
  }

  read(at: number, length: number, into?: Buffer): Buffer {
    const bytes = Math.max(0, Math.min(length, this.size - at));
    const target = into === undefined || into.length < bytes ? Buffer.alloc(bytes) : into.subarray(0, bytes).fill(0);
    const first = Math.floor(at / PAGE_BYTES);
    const last = Math.floor((at + target.length - 1) / PAGE_BYTES);
    if (last - first > this.#pages.size) {
      for (const [index, page] of this.#pages) {
        if (index >= first && index <= last) copyPage(page.bytes, index, target, at);
      }
    } else {
      for (let index = first; index <= last; index++) {
        const page = this.#pages.get(index);
        if (page !== undefined) copyPage(page.bytes, index, target, at);
      }
    }
    return target;
  }

  flip(bit: number): void {
    const byte = Math.floor(bit / 8);
    const page = this.#writable(Math.floor(byte / PAGE_BYTES));
    const inPage = byte % PAGE_BYTES;
    page[inPage] = (page[inPage] ?? 0) ^ (1 << (bit % 8));
  }

  #writable(index: number): Uint8Array {
    const page = this.#pages.get(index);
    if (page !== undefined && page.owner === this.#owner) return page.bytes;
    const bytes = page === undefined ? new Uint8Array(PAGE_BYTES) : page.bytes.slice();
    this.#pages.set(index, { bytes, owner: this.#owner });
    return bytes;
  }
}

function copyPage(page: Uint8Array, index: number, target: Uint8Array, at: number): void {
  const start = index * PAGE_BYTES - at;
  const from = Math.max(0, -start);
  const to = Math.min(PAGE_BYTES, target.length - start);
  target.set(page.subarray(from, to), start + from);
}
