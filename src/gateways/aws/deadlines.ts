import type { Clock } from '../../core/clock.ts';

interface Waiting {
  at: number;
  fire: () => void;
}

/**
 * When long polls end. They wait for whole seconds, up to twenty: those that wait equally long end in the order in which
 * they came, so that one timer at the clock does for all of them.
 */
export class Deadlines {
  readonly #clock: Clock;
  /** By how long they wait, the next to end first. */
  readonly #waiting = new Map<number, Set<Waiting>>();
  #next = Infinity;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls back after that time. Returns what undoes it. */
  in(ms: number, fire: () => void): () => void {
    const waiting = { at: this.#clock.now() + ms, fire };
    let queue = this.#waiting.get(ms);
    if (queue === undefined) this.#waiting.set(ms, (queue = new Set()));
    queue.add(waiting);
    if (waiting.at < this.#next) this.#arm(waiting.at);
    // The timer stays: it finds that nobody is due and looks for who is next.
    return () => void queue.delete(waiting);
  }

  #arm(at: number): void {
    this.#cancel?.();
    this.#next = at;
    this.#cancel = this.#clock.timer(at, () => this.#due());
  }

  #due(): void {
    const now = this.#clock.now();
    const due: Waiting[] = [];
    let next = Infinity;
    for (const queue of this.#waiting.values()) {
      for (const waiting of queue) {
        if (waiting.at > now) {
          next = Math.min(next, waiting.at);
          break;
        }
        due.push(waiting);
        queue.delete(waiting);
      }
    }
    this.#cancel = undefined;
    this.#next = Infinity;
    if (next < Infinity) this.#arm(next);
    for (const { fire } of due) fire();
  }
}
