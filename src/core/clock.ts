import { realTime } from './real-time.ts';

/**
 * Time is handed in. Nothing in the engine reads a clock of its own, so that a test can hold it in its hands.
 * All times are milliseconds since 1970 (UTC) as a double; all durations end in `Ms`.
 */
export interface Clock {
  now(): number;
  /** Calls `fire` once, not before `at`. Returns a function that cancels it. Does not keep the process alive. */
  timer(at: number, fire: () => void): () => void;
}

const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * The clock of a running broker: wall time at its start plus monotonic time since, so that a step of the system clock
 * (an operator, NTP, a resumed VM) neither expires leases early nor freezes them.
 */
export class SystemClock implements Clock {
  readonly #wallAtStart = realTime.now();
  readonly #monotonicAtStart = realTime.monotonic();

  now(): number {
    return this.#wallAtStart + Math.floor(realTime.monotonic() - this.#monotonicAtStart);
  }

  timer(at: number, fire: () => void): () => void {
    let handle: NodeJS.Timeout;
    const arm = (): void => {
      const wait = Math.max(0, at - this.now());
      // Beyond 24.8 days a Node timer would fire at once; wait in steps.
      handle = realTime.setTimeout(wait > MAX_TIMEOUT_MS ? arm : fire, Math.min(wait, MAX_TIMEOUT_MS));
      handle.unref();
    };
    arm();
    return () => realTime.clearTimeout(handle);
  }
}

interface ManualTimer {
  at: number;
  order: number;
  fire: () => void;
}

/** A clock that stands still until it is moved. */
export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #timers = new Set<ManualTimer>();

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  timer(at: number, fire: () => void): () => void {
    const timer = { at, order: this.#order++, fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** When the next timer is due, or undefined when none is set. */
  nextTimer(): number | undefined {
    return this.#next()?.at;
  }

  /** Moves to `at`, firing what comes due on the way, each at its own time and in order. Synchronous. */
  moveTo(at: number): void {
    for (;;) {
      const next = this.#next();
      if (next === undefined || next.at > at) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.fire();
    }
    this.#now = Math.max(this.#now, at);
  }

  advance(ms: number): void {
    this.moveTo(this.#now + ms);
  }

  #next(): ManualTimer | undefined {
    let first: ManualTimer | undefined;
    for (const timer of this.#timers) {
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order))
        first = timer;
    }
    return first;
  }
}
