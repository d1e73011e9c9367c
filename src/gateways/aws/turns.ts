/**
 * Changes of one thing, one after the other in the order in which they were asked for: what a change has read is still
 * so when it writes.
 */
export class Turns {
  /** Of each thing that is being changed, the last change that waits or runs. */
  readonly #last = new Map<string, Promise<unknown>>();

  async take<T>(thing: string, change: () => Promise<T>): Promise<T> {
    const before = this.#last.get(thing);
    // Whether the one before has failed is its own affair.
    const mine = before === undefined ? change() : before.then(change, change);
    this.#last.set(thing, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(thing) === mine) this.#last.delete(thing);
    }
  }
}
