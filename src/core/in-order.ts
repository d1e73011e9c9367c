/** A call that is made. Its answer comes when it comes. */
export interface Made<T> {
  readonly answer: Promise<T>;
}

/**
 * Lets calls that need time before they can be made happen in the order in which they were asked for.
 *
 * A call is prepared at once, beside others, and made when all before it were made or failed. Nobody waits for answers.
 */
export class InOrder {
  #last: Promise<void> | null = null;

  /** True when nothing is under way: a call may be made at once. */
  get idle(): boolean {
    return this.#last === null;
  }

  async run<P, T>(prepared: Promise<P>, call: (prepared: P) => Promise<T>): Promise<T> {
    return this.runInPieces(prepared, (all) => ({ answer: call(all) }));
  }

  /** For a call that is made in pieces, with others' turns between them: what comes after it waits for the last one. */
  async runInPieces<P, T>(prepared: Promise<P>, call: (prepared: P) => Made<T> | Promise<Made<T>>): Promise<T> {
    const before = this.#last;
    const { promise: mine, resolve: pass } = Promise.withResolvers<void>();
    this.#last = mine;
    let made: Made<T>;
    try {
      const [outcome] = await Promise.allSettled([prepared, before]);
      if (outcome.status === 'rejected') throw outcome.reason;
      made = await call(outcome.value);
    } finally {
      if (this.#last === mine) this.#last = null;
      pass();
    }
    return made.answer;
  }
}
