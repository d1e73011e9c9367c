import type { BatchMemory } from '../../engine/ports.ts';

/** The last batches that were read back and checked, so that a run of reads from one batch checks it once. */
export class BatchCache implements BatchMemory {
  readonly #limitBytes: number;
  readonly #batches = new Map<number, Promise<Buffer>>();
  readonly #sizes = new Map<number, number>();
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** The batch at `position`, loaded once however many ask at the same time. A failed load is not kept. */
  get(position: number, bytes: number, load: () => Promise<Buffer>): Promise<Buffer> {
    const held = this.#batches.get(position);
    if (held !== undefined) {
      this.#batches.delete(position);
      this.#batches.set(position, held);
      return held;
    }
    const loading = load();
    this.#batches.set(position, loading);
    this.#sizes.set(position, bytes);
    this.#bytes += bytes;
    loading.catch(() => this.#forget(position));
    for (const oldest of this.#batches.keys()) {
      if (this.#bytes <= this.#limitBytes || oldest === position) break;
      this.#forget(oldest);
    }
    return loading;
  }

  clear(): void {
    this.#batches.clear();
    this.#sizes.clear();
    this.#bytes = 0;
  }

  #forget(position: number): void {
    this.#batches.delete(position);
    this.#bytes -= this.#sizes.get(position) ?? 0;
    this.#sizes.delete(position);
  }
}
