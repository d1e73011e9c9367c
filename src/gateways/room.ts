import { soon } from '../core/real-time.ts';
import type { ByteOutput } from '../wire/byte-output.ts';

/** Pieces are written while fewer bytes wait for the socket: a few pieces, so that others wait for no more than these. */
const ROOM_BYTES = 1024 * 1024;

/** Where those of one connection wait that send large messages. First come, first served, a piece at a time. */
export class Room {
  readonly #out: ByteOutput;
  #waiting: (() => void)[] = [];

  constructor(out: ByteOutput) {
    this.#out = out;
  }

  /** Resolves when a piece may be written, or when the connection is over. Never at once, so that others come between. */
  wait(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    if (this.#waiting.length === 1) soon(() => this.look());
    return promise;
  }

  /** To be called when the socket took something. */
  look(): void {
    if (this.#out.waitingBytes >= ROOM_BYTES) return;
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) soon(() => this.look());
  }
}
