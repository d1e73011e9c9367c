/** What happened to messages, as clients saw it. The total-queue checker: O(n), no solver. */
export class TotalQueue {
  readonly #attempted = new Set<number>();
  readonly #confirmed = new Set<number>();
  readonly #received = new Map<number, number>();

  attempt(n: number): void {
    this.#attempted.add(n);
  }

  confirm(n: number): void {
    this.#confirmed.add(n);
  }

  receive(n: number): void {
    this.#received.set(n, (this.#received.get(n) ?? 0) + 1);
  }

  get confirmed(): number {
    return this.#confirmed.size;
  }

  get received(): number {
    return this.#received.size;
  }

  /** Valid when `lost` and `unexpected` are empty, after a full drain. */
  report(): TotalQueueReport {
    const lost = [...this.#confirmed].filter((n) => !this.#received.has(n));
    const report: TotalQueueReport = {
      attempted: this.#attempted.size,
      confirmed: this.#confirmed.size,
      received: this.#received.size,
      lost,
      unexpected: [...this.#received.keys()].filter((n) => !this.#attempted.has(n)),
      recovered: [...this.#received.keys()].filter((n) => this.#attempted.has(n) && !this.#confirmed.has(n)).length,
      duplicated: [...this.#received.values()].reduce((sum, times) => sum + times - 1, 0),
      where: { first: 0, middle: 0, last: 0 },
    };
    // Where a loss lies tells what kind it is: a broker that started over, a hole, or a reader that is slow.
    let highest = 0;
    for (const n of this.#confirmed) if (n > highest) highest = n;
    for (const n of lost) report.where[n < highest / 3 ? 'first' : n < (2 * highest) / 3 ? 'middle' : 'last']++;
    return report;
  }
}

export interface TotalQueueReport {
  attempted: number;
  confirmed: number;
  received: number;
  lost: number[];
  unexpected: number[];
  /** Received though no confirm was seen. */
  recovered: number;
  duplicated: number;
  where: { first: number; middle: number; last: number };
}
