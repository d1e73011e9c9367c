import type { Clock } from '../../../core/clock.ts';

/** Messages with a turn of their own, for each subscription; those behind look again when these are through. */
const MAX_TURNS = 1_000;

/** When each message may be posted, for subscriptions that take so many a second. Volatile: a restart begins anew. */
export class Throttle {
  readonly #clock: Clock;
  readonly #bySubscription = new Map<string, { nextAt: number; turns: Map<number, number> }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** 0: now. Else after how many milliseconds this message should ask again. */
  waitMs(subscription: string, message: number, perSecond: number): number {
    const now = this.#clock.now();
    let state = this.#bySubscription.get(subscription);
    if (state === undefined) this.#bySubscription.set(subscription, (state = { nextAt: 0, turns: new Map() }));
    const turn = state.turns.get(message);
    if (turn !== undefined && turn > now) return Math.ceil(turn - now);
    if (turn !== undefined) {
      state.turns.delete(message);
      return 0;
    }
    const at = Math.max(now, state.nextAt);
    if (state.turns.size >= MAX_TURNS) return Math.max(1, Math.ceil(at - now));
    state.nextAt = at + 1000 / perSecond;
    if (at <= now) return 0;
    state.turns.set(message, at);
    return Math.ceil(at - now);
  }

  /** Its subscription is gone, or has no limit any more. */
  forget(subscription: string): void {
    this.#bySubscription.delete(subscription);
  }
}
