import type { Clock } from '../core/clock.ts';

/** A peer that was silent for this many intervals is gone. */
export const MISSED_BEFORE_DEAD = 3;

export interface HeartbeatOptions {
  clock: Clock;
  intervalMs: number;
  /** So many intervals of silence end it. Default 3. */
  missedBeforeDead?: number;
  /** Called once an interval. */
  beat: () => void;
  /** Called once, when nothing was received for so long. */
  dead: () => void;
}

/**
 * Keeps a quiet connection known to both ends as alive. Counts intervals, not time since the last frame: after our own
 * process stood still (a stopped VM, a long pause) one interval has passed, not a hundred, and the peer's frames that
 * wait in the socket are read before it is called dead.
 */
export class Heartbeat {
  #missed = 0;
  #suspended = false;
  #cancel: () => void;
  readonly #options: HeartbeatOptions;
  readonly #tick = (): void => {
    const { clock, intervalMs, missedBeforeDead = MISSED_BEFORE_DEAD, beat, dead } = this.#options;
    if (!this.#suspended && ++this.#missed >= missedBeforeDead) {
      dead();
      return;
    }
    this.#cancel = clock.timer(clock.now() + intervalMs, this.#tick);
    beat();
  };

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#cancel = options.clock.timer(options.clock.now() + options.intervalMs, this.#tick);
  }

  received(): void {
    this.#missed = 0;
  }

  /** While we do not read from the peer, its silence says nothing. */
  set suspended(suspended: boolean) {
    this.#suspended = suspended;
    this.#missed = 0;
  }

  stop(): void {
    this.#cancel();
  }
}
