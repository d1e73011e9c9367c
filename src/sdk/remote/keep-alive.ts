import { realTime } from '../../core/real-time.ts';

/** Far longer than any process waits; Node's own limit is 2^31 - 1. */
const NEVER_MS = 2 ** 30;

/**
 * Keeps the process alive while there is something to wait for, whether a socket is open or not (between two attempts
 * to connect there is none). Without it an idle client lets the process end.
 */
export class KeepAlive {
  #timer: NodeJS.Timeout | undefined;
  #needed = false;

  set needed(needed: boolean) {
    if (needed === this.#needed) return;
    this.#needed = needed;
    if (!needed) this.#timer?.unref();
    else if (this.#timer === undefined) this.#timer = realTime.setInterval(() => {}, NEVER_MS);
    else this.#timer.ref();
  }

  close(): void {
    this.#needed = false;
    realTime.clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
