import type { Shortage } from '../../core/broker-info.ts';
import type { Operations } from '../../core/session.ts';
import type { Shard } from './shard.ts';

/** What lasts less is no shortage: every burst would be one. */
const LASTING_MS = 1_000;
/** While there is one, and nothing happens, it is looked at so often. */
const LOOK_MS = 1_000;

interface Watcher {
  readonly was: Shortage | null;
  wake(): void;
}

/** Tells those who want to know when publishes have to wait for the broker itself, and when that is over. */
export class Shortages {
  readonly #shard: Shard;
  readonly #lack: () => Shortage | null;
  readonly #watchers = new Set<Watcher>();
  #now: Shortage | null = null;
  /** Since when something was lacking; null when nothing is. */
  #since: number | null = null;

  /** @param lack what publishes wait for at the moment */
  constructor(shard: Shard, lack: () => Shortage | null) {
    this.#shard = shard;
    this.#lack = lack;
  }

  async wait({ was, waitMs }: Operations['shortage']['args']): Promise<Operations['shortage']['result']> {
    if (this.#now === was && waitMs > 0) await this.#wait(was, Math.min(waitMs, 3_600_000));
    this.#shard.assertOpen();
    return { of: this.#now };
  }

  /** Called in each turn. */
  look(): void {
    const lack = this.#lack();
    const now = this.#shard.clock.now();
    if (lack === null) {
      this.#since = null;
      this.#change(null);
      return;
    }
    this.#since ??= now;
    if (this.#now !== null || now - this.#since >= LASTING_MS) this.#change(lack);
    const next = this.#now === null ? this.#since + LASTING_MS : now + LOOK_MS;
    // An appointment is a turn, and a turn looks.
    this.#shard.agenda.atLatest('shortage', next, () => {});
  }

  wakeAll(): void {
    for (const watcher of this.#watchers) watcher.wake();
  }

  #change(to: Shortage | null): void {
    if (to === this.#now) return;
    this.#now = to;
    for (const watcher of this.#watchers) if (watcher.was !== to) watcher.wake();
  }

  #wait(was: Shortage | null, waitMs: number): Promise<void> {
    const { clock } = this.#shard;
    return new Promise((resolve) => {
      const watcher = {
        was,
        wake: () => {
          cancel();
          this.#watchers.delete(watcher);
          resolve();
        },
      };
      const cancel = clock.timer(clock.now() + waitMs, watcher.wake);
      this.#watchers.add(watcher);
    });
  }
}
