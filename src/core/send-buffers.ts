/**
 * What waits in the connections of a broker for peers that do not take it, in all of them together. Whoever consumes gets
 * an equal part of the share, so that ten thousand slow consumers hold no more than ten do.
 */
export class SendBuffers {
  readonly #shareBytes: number;
  #bytes = 0;
  #consumers = 0;

  constructor(shareBytes: number) {
    this.#shareBytes = shareBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes more that wait, or less when negative. */
  add(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Somebody begins to consume. */
  join(): void {
    this.#consumers++;
  }

  leave(): void {
    this.#consumers--;
  }

  /** What may wait for one of them, and be on its way to it as well. */
  get each(): number {
    return this.#shareBytes / Math.max(1, this.#consumers) / 2;
  }
}
