import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { Group } from './group.ts';

/** The groups that have members, each with a timer. What a group has committed is in the engine, as cursors. */
export class Groups {
  readonly #clock: Clock;
  readonly #groups = new Map<string, Group>();
  readonly #timers = new Map<string, { at: number; cancel: () => void }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  find(id: string): Group | undefined {
    return this.#groups.get(id);
  }

  all(): Group[] {
    return [...this.#groups.values()];
  }

  /** Does something with a group, made if it is not there, and sees to its time. */
  with<T>(id: string, act: (group: Group, now: number) => T): T {
    let group = this.#groups.get(id);
    if (group === undefined) {
      group = new Group(id, (clientId) => `${clientId}-${randomUUID()}`);
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

  #see(group: Group): void {
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
