import { RailheadError } from '../core/errors.ts';

/** Memory for request bodies, shared by all requests of a gateway. */
export class BodyBudget {
  readonly #maxBytes: number;
  #used = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#used;
  }

  /** @throws RATE_LIMITED when so much is held already. */
  take(bytes: number): void {
    if (this.#used + bytes > this.#maxBytes) {
      throw new RailheadError(
        'RATE_LIMITED',
        `Requests hold ${this.#used} of ${this.#maxBytes} bytes already, and this one needs ${bytes} more. Try again later, or raise limits.httpMemory.`,
      );
    }
    this.#used += bytes;
  }

  giveBack(bytes: number): void {
    this.#used -= bytes;
  }
}
