import { setImmediate } from 'node:timers/promises';
import type { Made } from '../../core/in-order.ts';

/** So many parts of requests are begun in one turn of the loop: some ten microseconds each and what follows. */
export const PARTS_OF_TURN = 128;

/**
 * A request may name twenty thousand partitions or more, in lists within lists. Its parts are begun in their order, some
 * hundred in each turn of the loop, so that one client does not keep all others waiting.
 */
export class Turns {
  #left = PARTS_OF_TURN;
  #next: Promise<void> | undefined;

  /** As `Promise.all` over `map`. */
  async each<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
    return (await this.beginEach(items, act)).answer;
  }

  /** Resolves when the last part is begun, and waits for none. */
  async beginEach<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<Made<R[]>> {
    const begun: Promise<R>[] = [];
    for (const item of items) {
      while (this.#left <= 0) await this.#turn();
      this.#left--;
      const part = act(item);
      // One that fails while others wait for their turn must not go unheard.
      part.catch(() => {});
      begun.push(part);
    }
    return { answer: Promise.all(begun) };
  }

  /** Before one part, for those who do theirs one after another. */
  async begin(): Promise<void> {
    while (this.#left <= 0) await this.#turn();
    this.#left--;
  }

  async #turn(): Promise<void> {
    this.#next ??= setImmediate().then(() => {
      this.#left = PARTS_OF_TURN;
      this.#next = undefined;
    });
    await this.#next;
  }
}
