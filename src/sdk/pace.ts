import type { Clock } from '../core/clock.ts';

const WINDOW_MS = 10;
/** Longer than the way to a broker in the same region and back. */
const HORIZON_MS = 20;
const MAX_AHEAD = 4_096;

/**
 * How many messages to fetch ahead of the handlers: what they get through in 20 ms, measured over windows of 10 ms.
 * Quick handlers never wait for the network; slow ones leave the backlog to other workers.
 */
export class Pace {
  readonly #clock: Clock;
  readonly #fixed: number | undefined;
  #windowStart: number;
  #completed = 0;
  #ahead = 0;

  constructor(clock: Clock, fixed: number | undefined) {
    this.#clock = clock;
    this.#fixed = fixed;
    this.#windowStart = clock.now();
  }

  ahead(): number {
    return this.#fixed ?? this.#ahead;
  }

  completed(): void {
    if (this.#fixed !== undefined) return;
    this.#completed++;
    const elapsed = this.#clock.now() - this.#windowStart;
    if (elapsed < WINDOW_MS) return;
    this.#ahead = Math.min(MAX_AHEAD, Math.floor((this.#completed / elapsed) * HORIZON_MS));
    this.#windowStart += elapsed;
    this.#completed = 0;
  }
}
