import type { Clock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';

/** A connection that has not logged in. */
export interface Newcomer {
  /** ms. */
  readonly since: number;
  /** It was too slow, and is to be ended with this reason. */
  timedOut(reason: RailheadError): void;
}

/** The time to log in, which is the same for all that come one after the other: one timer, for who came first. */
export class Handshakes {
  readonly #clock: Clock;
  readonly #ms: number;
  /** In the order in which they came. */
  readonly #waiting = new Set<Newcomer>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#ms = ms;
  }

  add(newcomer: Newcomer): void {
    this.#waiting.add(newcomer);
    this.#arm();
  }

  /** It has logged in or is gone. */
  delete(newcomer: Newcomer): void {
    if (!this.#waiting.delete(newcomer) || this.#waiting.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(): void {
    if (this.#cancel !== undefined) return;
    const [first] = this.#waiting;
    if (first !== undefined) this.#cancel = this.#clock.timer(first.since + this.#ms, () => this.#look());
  }

  #look(): void {
    const now = this.#clock.now();
    for (const newcomer of this.#waiting) {
      if (newcomer.since + this.#ms > now) break;
      this.#waiting.delete(newcomer);
      newcomer.timedOut(
        new RailheadError('TIMEOUT', `The login took longer than ${this.#ms} ms. Connect again and log in at once.`),
      );
    }
    this.#cancel = undefined;
    this.#arm();
  }
}
