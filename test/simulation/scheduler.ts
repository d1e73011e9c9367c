import type { SeededRandom } from '../../src/core/random.ts';

/**
 * Decides what happens next. Everything that would come from outside (an answer of the disk, a turn of the shard)
 * waits here, and the seed picks one at a time; so the same seed gives the same run, step by step.
 */
export class Scheduler {
  readonly #random: SeededRandom;
  #waiting: { what: string; go: () => void }[] = [];
  #stopped = false;
  /** What happened, in order: two runs of a seed must give the same. */
  readonly trace: string[] = [];

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  get idle(): boolean {
    return this.#waiting.length === 0;
  }

  /** Whether something of that kind waits. */
  awaits(what: string): boolean {
    return this.#waiting.some((each) => each.what === what);
  }

  /** Resolves when the seed picks it; never after `stop`, as for a process that was killed. */
  pause(what: string): Promise<void> {
    return new Promise((resolve) => this.add(what, resolve));
  }

  add(what: string, go: () => void): void {
    if (!this.#stopped) this.#waiting.push({ what, go });
  }

  /** Lets one of the waiting things happen, and all that follows from it at once. False when nothing waits. */
  async step(): Promise<boolean> {
    const [next] = this.#waiting.splice(this.#random.below(this.#waiting.length), 1);
    if (next === undefined) return false;
    this.trace.push(next.what);
    next.go();
    await microtasks();
    return true;
  }

  /** Steps until `done` settles. Throws when nothing waits any more and it has not. */
  async until<T>(done: Promise<T>): Promise<T> {
    const end = { over: false };
    const ends = (): void => void (end.over = true);
    done.then(ends, ends);
    await microtasks();
    for (let dry = 0; !end.over;) {
      if (await this.step()) dry = 0;
      else if (++dry > 100)
        throw new Error('The simulation stands still: nothing waits, and what was asked for has not happened.');
      else await microtasks();
    }
    return done;
  }

  /** Steps until nothing waits. */
  async rest(limit = 100_000): Promise<void> {
    for (let dry = 0, steps = 0; dry < 5; steps++) {
      if (steps > limit) throw new Error(`The simulation does not come to rest: still busy after ${limit} steps.`);
      if (await this.step()) dry = 0;
      else {
        dry++;
        await microtasks();
      }
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting = [];
  }
}

/** Lets every promise that can go on do so. Nothing here waits for a timer or a real disk, so that this is all there is. */
export function microtasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
