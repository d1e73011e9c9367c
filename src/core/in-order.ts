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
    const before = this.#last;
    const { promise: mine, resolve: pass } = Promise.withResolvers<void>();
    this.#last = mine;
    let answer: Promise<T>;
    try {
      const [outcome] = await Promise.allSettled([prepared, before]);
      if (outcome.status === 'rejected') throw outcome.reason;
      answer = call(outcome.value);
    } finally {
      if (this.#last === mine) this.#last = null;
      pass();
    }
    return answer;
  }
}
