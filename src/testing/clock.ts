import type { Clock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { realTime } from '../core/real-time.ts';
import { durationMs } from '../core/units.ts';
import type { Duration } from '../core/units.ts';
import { keepAlive } from './alive.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

export interface TestClockOptions {
  /** `flowing`: goes on by itself, and can be moved ahead. `manual`: stands still until it is moved. */
  mode: 'flowing' | 'manual';
  /** When it starts, ms of 1970. */
  startAt: number;
  /**
   * Called after a timer fired in a jump: runs what follows from it, so that what comes due at 10:00 is over before it
   * is 10:05. Undefined when nothing followed.
   */
  settle: (fired: 'timer' | 'nothing') => Promise<void> | undefined;
}

/** Node's timers end here; a longer wait is cut and looked at again. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * The clock of a broker under test. Time flows, or stands still, and `advance` jumps it for everything that has this
 * clock: leases, delays, expiry, backoff, schedules.
 *
 * flowing   the time is the real one and what was jumped over; a real timer is set for the first of `#timers`
 * jumping   the time is that of the timer that fires; real timers wait until the jump is over
 * manual    as between two jumps, without a real timer
 */
export class TestClock implements Clock {
  readonly #mode: 'flowing' | 'manual';
  readonly #settle: TestClockOptions['settle'];
  readonly #timers = new Set<Timer>();
  #order = 0;
  /** The time at `#realBase`. While `#standing`, the time. */
  #base: number;
  #realBase = realTime.monotonic();
  #standing: boolean;
  #armed: NodeJS.Timeout | undefined;
  #armedAt = Infinity;
  #jumps: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: TestClockOptions) {
    this.#mode = options.mode;
    this.#settle = options.settle;
    this.#base = options.startAt;
    this.#standing = options.mode === 'manual';
  }

  /** Milliseconds since 1970. */
  now(): number {
    return this.#standing ? this.#base : Math.floor(this.#base + realTime.monotonic() - this.#realBase);
  }

  timer(at: number, fire: () => void): () => void {
    const timer = { at, order: this.#order++, fire };
    this.#timers.add(timer);
    if (at < this.#armedAt) this.#arm();
    return () => this.#timers.delete(timer);
  }

  /**
   * Jumps ahead. Resolves when everything that came due on the way has happened, each at its own time and in order.
   *
   * @example await broker.clock.advance('15m')
   */
  advance(duration: Duration): Promise<void> {
    const ms = durationMs(duration);
    return this.#enqueue(() => this.now() + ms);
  }

  /** Jumps to a time. @throws INVALID for one that has passed. */
  advanceTo(time: Date): Promise<void> {
    const at = time.getTime();
    if (!(at >= this.now())) {
      return Promise.reject(
        new RailheadError(
          'INVALID',
          `The clock cannot go to ${String(time)}: it is ${new Date(this.now()).toISOString()} already. Time only moves ahead.`,
        ),
      );
    }
    return this.#enqueue(() => at);
  }

  /** Nothing fires any more. */
  stop(): void {
    this.#stopped = true;
    this.#timers.clear();
    realTime.clearTimeout(this.#armed);
  }

  #enqueue(target: () => number): Promise<void> {
    const jump = keepAlive(this.#jumps.then(() => this.#jump(target())));
    this.#jumps = jump.catch(() => undefined);
    return jump;
  }

  async #jump(target: number): Promise<void> {
    // What is under way belongs to the time before.
    await this.#settle('nothing');
    this.#base = this.now();
    this.#standing = true;
    try {
      for (let next = this.#first(); next !== undefined && next.at <= target; next = this.#first()) {
        this.#timers.delete(next);
        this.#base = Math.max(this.#base, next.at);
        next.fire();
        const following = this.#settle('timer');
        if (following !== undefined) await following;
        if (this.#isStopped()) return;
      }
      this.#base = Math.max(this.#base, target);
      await this.#settle('nothing');
    } finally {
      this.#standing = this.#mode === 'manual';
      this.#realBase = realTime.monotonic();
      this.#armedAt = Infinity;
      this.#arm();
    }
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  #first(): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order))
        first = timer;
    }
    return first;
  }

  #arm(): void {
    if (this.#standing || this.#stopped) return;
    realTime.clearTimeout(this.#armed);
    const next = this.#first();
    this.#armedAt = next?.at ?? Infinity;
    if (next === undefined) return;
    const wait = Math.min(MAX_TIMEOUT_MS, Math.max(0, next.at - this.now()));
    this.#armed = realTime.setTimeout(this.#fireDue, wait);
    this.#armed.unref();
  }

  readonly #fireDue = (): void => {
    this.#armedAt = Infinity;
    if (this.#standing) return;
    const now = this.now();
    for (let next = this.#first(); next !== undefined && next.at <= now; next = this.#first()) {
      this.#timers.delete(next);
      next.fire();
    }
    this.#arm();
  };
}
