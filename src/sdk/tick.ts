import { RailheadError } from '../core/errors.ts';
import type { Clock } from '../core/clock.ts';
import { realTime, soon } from '../core/real-time.ts';

const resolved = Promise.resolve();

/** After everything that is already running in this turn. */
export function afterMicrotasks(run: () => void): void {
  void resolved.then(run);
}

/** After the I/O that is waiting in this turn of the loop. */
export function afterTurn(run: () => void): void {
  soon(run);
}

/** Resolves at that time by the clock. @throws ABORTED when the signal aborts first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted(signal));
    const onAbort = (): void => {
      cancel();
      if (signal !== undefined) reject(aborted(signal));
    };
    const cancel = clock.timer(clock.now() + ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

export function aborted(signal: AbortSignal): RailheadError {
  return new RailheadError('ABORTED', 'The wait was ended by its AbortSignal.', { cause: signal.reason });
}

/** Keeps the process alive while something is under way, and only then: an idle client lets it end. */
export class KeepAlive {
  #holders = 0;
  #timer: NodeJS.Timeout | undefined;

  hold(): void {
    if (this.#holders++ > 0) return;
    this.#timer ??= realTime.setInterval(() => undefined, 2 ** 30);
    this.#timer.ref();
  }

  drop(): void {
    if (--this.#holders === 0) this.#timer?.unref();
  }

  end(): void {
    realTime.clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
