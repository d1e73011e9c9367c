import type { RateLimit } from '../../core/units.ts';

/** What may come at once. Long enough for a turn that came late, short enough that nobody sees a wave. */
const BURST_MS = 50;

/**
 * A token bucket that starts full. It holds what 50 ms bring, at least one token: `500/s` are at most 25 at once, and
 * `30/m` spread over the minute. Volatile: a restart fills it, nothing of it is journaled.
 */
export class RateLimiter {
  /** The level is counted in units of which a token has `perMs` and a millisecond brings `count`: exact in integers. */
  readonly #unitsPerToken: number;
  readonly #unitsPerMs: number;
  readonly #burst: number;
  #level: number;
  #at = -Infinity;

  constructor(limit: RateLimit) {
    this.#unitsPerToken = limit.perMs;
    this.#unitsPerMs = limit.count;
    this.#burst = Math.max(this.#unitsPerToken, limit.count * Math.min(BURST_MS, limit.perMs));
    this.#level = this.#burst;
  }

  /** Whole tokens that could be taken now. */
  available(now: number): number {
    this.#refill(now);
    return Math.max(0, Math.floor(this.#level / this.#unitsPerToken));
  }

  /**
   * Takes `n` tokens or none. More than the bucket holds are given when it is full and paid back before the next, so
   * that a large batch is delayed and not stuck for ever.
   */
  tryTake(n: number, now: number): boolean {
    if (this.#missing(n, now) > 0) return false;
    this.#level -= n * this.#unitsPerToken;
    return true;
  }

  /** Gives back what was taken and not used. */
  giveBack(n: number): void {
    this.#level = Math.min(this.#burst, this.#level + n * this.#unitsPerToken);
  }

  /** Whole milliseconds from `now` until `tryTake(n)` says yes, if nobody else takes: 0 when it does now. */
  waitMs(n: number, now: number): number {
    return Math.max(0, Math.ceil(this.#missing(n, now) / this.#unitsPerMs));
  }

  #missing(n: number, now: number): number {
    this.#refill(now);
    return Math.min(n * this.#unitsPerToken, this.#burst) - this.#level;
  }

  #refill(now: number): void {
    if (now <= this.#at) return;
    this.#level = Math.min(this.#burst, this.#level + (now - this.#at) * this.#unitsPerMs);
    this.#at = now;
  }
}
