import type { Clock } from '../../core/clock.ts';

/** A group as a state machine: it says when it has to be told the time, and needs nothing else from outside. */
export interface TimedGroup {
  readonly id: string;
  /** Nobody is in it. */
  readonly isIdle: boolean;
  /** When `tick` is needed. */
  readonly deadline: number;
  tick(now: number): void;
  /** The coordinator stops. */
  dissolve(): void;
}

/** So many groups that nobody is in are remembered: whoever makes up names has no more of our memory than that. */
const MAX_IDLE = 1_000;

/**
 * The groups that have members, each with a timer, and for a while those that had some. What a group has committed is in
 * the engine, as cursors.
 */
export class Groups<G extends TimedGroup> {
  readonly #clock: Clock;
  readonly #make: (id: string) => G;
  readonly #idleMs: number;
  readonly #groups = new Map<string, G>();
  /** Until when those are remembered that nobody is in, the oldest first. */
  readonly #idleUntil = new Map<string, number>();
  readonly #timers = new Map<string, { at: number; cancel: () => void }>();

  /** @param idleMs a group is described, listed and to be deleted for so long after the last of its members has left */
  constructor(clock: Clock, make: (id: string) => G, idleMs = 0) {
    this.#clock = clock;
    this.#make = make;
    this.#idleMs = idleMs;
  }

  find(id: string): G | undefined {
    return this.#groups.get(id);
  }

  all(): G[] {
    return [...this.#groups.values()];
  }

  /** Does something with a group, made if it is not there, and sees to its time. */
  with<T>(id: string, act: (group: G, now: number) => T): T {
    let group = this.#groups.get(id);
    if (group === undefined) {
      group = this.#make(id);
      this.#groups.set(id, group);
    }
    const now = this.#clock.now();
    try {
      return act(group, now);
    } finally {
      this.#see(group, now);
    }
  }

  /** Deleted, or one of another protocol has its name now: unless somebody is in it. */
  forget(id: string): void {
    if (this.#groups.get(id)?.isIdle === true) this.#remove(id);
  }

  close(): void {
    for (const group of this.#groups.values()) {
      group.dissolve();
      this.#disarm(group.id);
    }
    this.#groups.clear();
    this.#idleUntil.clear();
  }

  #see(group: G, now: number): void {
    const { id } = group;
    if (!group.isIdle) this.#idleUntil.delete(id);
    else if (!this.#idleUntil.has(id)) {
      this.#idleUntil.set(id, now + this.#idleMs);
      const [oldest] = this.#idleUntil.keys();
      if (this.#idleUntil.size > MAX_IDLE && oldest !== undefined) this.#remove(oldest);
    }
    const idleUntil = this.#idleUntil.get(id);
    if (idleUntil !== undefined && idleUntil <= now) return this.#remove(id);
    const deadline = idleUntil ?? group.deadline;
    const armed = this.#timers.get(id);
    // One that comes too early looks again: so a heartbeat costs no timer.
    if (armed !== undefined && armed.at <= deadline) return;
    this.#disarm(id);
    if (deadline === Infinity) return;
    const cancel = this.#clock.timer(deadline, () => {
      this.#timers.delete(id);
      this.with(id, (each, at) => each.tick(at));
    });
    this.#timers.set(id, { at: deadline, cancel });
  }

  #remove(id: string): void {
    this.#groups.delete(id);
    this.#idleUntil.delete(id);
    this.#disarm(id);
  }

  #disarm(id: string): void {
    this.#timers.get(id)?.cancel();
    this.#timers.delete(id);
  }
}
