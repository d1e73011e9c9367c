import type { Clock } from '../../core/clock.ts';

/** A group as a state machine: it says when it has to be told the time, and needs nothing else from outside. */
export interface TimedGroup {
  readonly id: string;
  /** Nothing of it needs to be remembered. */
  readonly isIdle: boolean;
  /** When `tick` is needed. */
  readonly deadline: number;
  tick(now: number): void;
  /** The coordinator stops. */
  dissolve(): void;
}

/** The groups that have members, each with a timer. What a group has committed is in the engine, as cursors. */
export class Groups<G extends TimedGroup> {
  readonly #clock: Clock;
  readonly #make: (id: string) => G;
  readonly #groups = new Map<string, G>();
  readonly #timers = new Map<string, { at: number; cancel: () => void }>();

  constructor(clock: Clock, make: (id: string) => G) {
    this.#clock = clock;
    this.#make = make;
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
    try {
      return act(group, this.#clock.now());
    } finally {
      this.#see(group);
    }
  }

  close(): void {
    for (const group of this.#groups.values()) {
      group.dissolve();
      this.#disarm(group.id);
    }
    this.#groups.clear();
  }

  #see(group: G): void {
    if (group.isIdle) {
      this.#groups.delete(group.id);
      this.#disarm(group.id);
      return;
    }
    const { deadline } = group;
    const armed = this.#timers.get(group.id);
    // One that comes too early looks again: so a heartbeat costs no timer.
    if (armed !== undefined && armed.at <= deadline) return;
    this.#disarm(group.id);
    if (deadline === Infinity) return;
    const cancel = this.#clock.timer(deadline, () => {
      this.#timers.delete(group.id);
      this.with(group.id, (each, now) => each.tick(now));
    });
    this.#timers.set(group.id, { at: deadline, cancel });
  }

  #disarm(id: string): void {
    this.#timers.get(id)?.cancel();
    this.#timers.delete(id);
  }
}
