/** A record as a reader saw it. */
export interface Seen {
  partition: number;
  offset: number;
  value: string;
}

/** What a producer was told: these values lie side by side from that offset on. */
export interface Acknowledged {
  partition: number;
  baseOffset: number;
  values: readonly string[];
}

/**
 * What a producer knows of one transaction. `asked`: to commit, and nobody has answered: all of it is there, or nothing.
 * `dead`: it was aborted, or ended by whoever came after its producer, or by its timeout.
 */
export interface Transaction {
  outcome: 'open' | 'asked' | 'committed' | 'dead';
  readonly values: string[];
}

export type Isolation = 'committed' | 'uncommitted';

/** What must not go back: the end of the log, and what groups have committed. */
export type Mark = 'committed' | 'end' | `committed by ${string}`;

/** Next offsets by partition. */
export type Offsets = ReadonlyMap<number, number>;

export interface KafkaReport {
  acknowledged: number;
  consumed: number;
  /** Commits that the group was told of. */
  commits: number;
  /** Values that were stored though no producer was told so. */
  unconfirmed: number;
  /** Transactions by how they ended, as their producers know it. */
  transactions: Record<Transaction['outcome'], number>;
  /** In words, each with its place. Empty when all promises were kept. */
  problems: string[];
}

/**
 * What happened to the records of a topic, as clients saw it. A value is `PRODUCER:NUMBER`, and the numbers of a producer
 * rise. Nothing acknowledged is lost or elsewhere, nothing is there twice, the order of a producer holds in each partition,
 * an offset keeps its record, offsets do not go back, and who reads what is committed sees all of a transaction that was
 * committed and nothing of another.
 */
export class KafkaHistory {
  readonly #attempted = new Set<string>();
  readonly #acknowledged: Acknowledged[] = [];
  readonly #consumed: Seen[] = [];
  readonly #transactions: Transaction[] = [];
  readonly #transactionOf = new Map<string, Transaction>();
  readonly #floors = new Map<Mark, Map<number, number>>();
  readonly #problems: string[] = [];
  #confirmed = 0;
  #commits = 0;

  attempt(values: readonly string[], transaction?: Transaction): void {
    for (const value of values) {
      this.#attempted.add(value);
      if (transaction === undefined) continue;
      this.#transactionOf.set(value, transaction);
      transaction.values.push(value);
    }
  }

  /** Its producer says how it ends, before it says so to the broker. */
  begin(): Transaction {
    const transaction: Transaction = { outcome: 'open', values: [] };
    this.#transactions.push(transaction);
    return transaction;
  }

  acknowledge(acknowledged: Acknowledged): void {
    this.#acknowledged.push(acknowledged);
    this.#confirmed += acknowledged.values.length;
    this.#raise('end', acknowledged.partition, acknowledged.baseOffset + acknowledged.values.length);
  }

  /** The group got it. */
  consume(seen: Seen, isolation: Isolation = 'uncommitted'): void {
    this.#consumed.push(seen);
    const outcome = this.#transactionOf.get(seen.value)?.outcome ?? 'committed';
    if (isolation === 'committed' && outcome !== 'committed' && outcome !== 'asked')
      this.#problems.push(`a reader of what is committed got ${seen.value} of a transaction that is ${outcome}`);
  }

  /** The group was told that this is committed. */
  commit(partition: number, offset: number, mark: Mark = 'committed'): void {
    this.#commits++;
    this.#raise(mark, partition, offset);
  }

  get acknowledged(): number {
    return this.#confirmed;
  }

  get commits(): number {
    return this.#commits;
  }

  /** By how they ended so far, as their producers know it. */
  get transactions(): KafkaReport['transactions'] {
    const outcomes = { open: 0, asked: 0, committed: 0, dead: 0 };
    for (const { outcome } of this.#transactions) outcomes[outcome]++;
    return outcomes;
  }

  get consumed(): number {
    return this.#consumed.length;
  }

  /** What an answer to a question that is asked now has to reach. */
  floor(of: Mark): Offsets {
    return new Map(this.#floors.get(of));
  }

  answered(of: Mark, floor: Offsets, answers: Offsets): void {
    for (const [partition, least] of floor) {
      const got = answers.get(partition) ?? -1;
      if (got < least) this.#problems.push(`${of} of partition ${partition} went back from ${least} to ${got}`);
    }
    for (const [partition, offset] of answers) this.#raise(of, partition, offset);
  }

  /** `log`: all that lies in the partitions, read at the end; `visible`: what a reader of what is committed sees of it. */
  report(log: readonly Seen[], visible: readonly Seen[] = log): KafkaReport {
    const problems = [...this.#problems];
    const byPlace = new Map(log.map(({ partition, offset, value }) => [`${partition}/${offset}`, value]));
    for (const { partition, offset, value } of visible)
      if (byPlace.get(`${partition}/${offset}`) !== value)
        problems.push(`${value} at ${partition}/${offset} is there for those alone who read what is committed`);
    const readable = new Set(visible.map(({ value }) => value));
    problems.push(...this.#half(readable));
    const byValue = new Set(byPlace.values());
    const confirmed = new Set<string>();
    for (const { partition, baseOffset, values } of this.#acknowledged)
      for (const [i, value] of values.entries()) {
        confirmed.add(value);
        const there = byPlace.get(`${partition}/${baseOffset + i}`);
        if (there !== value)
          problems.push(
            `${value} was acknowledged at ${partition}/${baseOffset + i}, where ${there ?? 'nothing'} lies`,
          );
      }
    const got = new Set<string>();
    for (const { partition, offset, value } of this.#consumed) {
      got.add(value);
      const there = byPlace.get(`${partition}/${offset}`);
      if (there !== value)
        problems.push(`the group got ${value} at ${partition}/${offset}, where ${there ?? 'nothing'} lies`);
    }
    for (const value of confirmed) {
      const isDue = (this.#transactionOf.get(value)?.outcome ?? 'committed') === 'committed';
      if (isDue && !got.has(value)) problems.push(`the group never got ${value}`);
      if (!this.#transactionOf.has(value) && byValue.has(value) && !readable.has(value))
        problems.push(`${value} is hidden from those who read what is committed`);
    }
    problems.push(...this.#misplaced(log));
    const unconfirmed = log.filter(({ value }) => !confirmed.has(value)).length;
    return {
      acknowledged: this.#confirmed,
      consumed: this.#consumed.length,
      commits: this.#commits,
      unconfirmed,
      transactions: this.transactions,
      problems,
    };
  }

  #half(visible: ReadonlySet<string>): string[] {
    const problems: string[] = [];
    for (const { outcome, values } of this.#transactions) {
      const seen = values.filter((value) => visible.has(value));
      const missing = values.find((value) => !visible.has(value));
      if (outcome === 'committed' && missing !== undefined)
        problems.push(`${missing} was committed and cannot be read`);
      if (outcome === 'asked' && seen.length > 0 && missing !== undefined)
        problems.push(`${seen[0]} can be read and ${missing} of the same transaction cannot`);
      if ((outcome === 'open' || outcome === 'dead') && seen.length > 0)
        problems.push(`${seen[0]} can be read, though its transaction is ${outcome}`);
    }
    return problems;
  }

  #misplaced(log: readonly Seen[]): string[] {
    const problems: string[] = [];
    const places = new Map<string, string>();
    const newest = new Map<string, number>();
    for (const { partition, offset, value } of log.toSorted((a, b) => a.offset - b.offset)) {
      const place = `${partition}/${offset}`;
      if (!this.#attempted.has(value)) problems.push(`${value} at ${place} was sent by nobody`);
      const other = places.get(value);
      if (other !== undefined) problems.push(`${value} lies at ${other} and at ${place}`);
      places.set(value, place);
      const [producer = '', number = ''] = value.split(':');
      const line = `${producer} ${partition}`;
      const before = newest.get(line) ?? -1;
      if (Number(number) < before) problems.push(`${value} at ${place} comes after ${producer}:${before}`);
      newest.set(line, Math.max(before, Number(number)));
    }
    return problems;
  }

  #raise(of: Mark, partition: number, offset: number): void {
    const floors = this.#floors.get(of) ?? new Map<number, number>();
    floors.set(partition, Math.max(floors.get(partition) ?? -1, offset));
    this.#floors.set(of, floors);
  }
}
