import { AmqpError } from './errors.ts';

/**
 * What one connection holds of contents that have to be whole before they can be handed on, and of transactions: bytes
 * that no pause of the socket would make fewer, since what ends them comes over the same socket.
 */
export class WholeBytes {
  readonly #most: number;
  #bytes = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** @throws RESOURCE_ERROR, which ends the connection */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#most)
      throw new AmqpError(
        'RESOURCE_ERROR',
        `more than ${this.#most} bytes of transactions and of messages that are not whole; commit more often, or use more connections`,
      );
    this.#bytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}
