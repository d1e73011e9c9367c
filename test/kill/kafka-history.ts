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

/** Next offsets by partition. */
export type Offsets = ReadonlyMap<number, number>;

export interface KafkaReport {
  acknowledged: number;
  consumed: number;
  /** Commits that the group was told of. */
  commits: number;
  /** Values that were stored though no producer was told so. */
  unconfirmed: number;
  /** In words, each with its place. Empty when all promises were kept. */
  problems: string[];
}

/**
 * What happened to the records of idempotent producers, as clients saw it. A value is `PRODUCER:NUMBER`, and the numbers
 * of a producer rise. Nothing acknowledged is lost or elsewhere, nothing is there twice, the order of a producer holds in
 * each partition, an offset keeps its record, and offsets do not go back.
 */
export class KafkaHistory {
  readonly #attempted = new Set<string>();
  readonly #acknowledged: Acknowledged[] = [];
  readonly #consumed: Seen[] = [];
  readonly #floors = new Map<'committed' | 'end', Map<number, number>>();
  readonly #problems: string[] = [];
  #confirmed = 0;
  #commits = 0;

  attempt(values: readonly string[]): void {
    for (const value of values) this.#attempted.add(value);
  }

  acknowledge(acknowledged: Acknowledged): void {
    this.#acknowledged.push(acknowledged);
    this.#confirmed += acknowledged.values.length;
    this.#raise('end', acknowledged.partition, acknowledged.baseOffset + acknowledged.values.length);
  }

  /** The group got it. */
  consume(seen: Seen): void {
    this.#consumed.push(seen);
  }

  /** The group was told that this is committed. */
  commit(partition: number, offset: number): void {
    this.#commits++;
    this.#raise('committed', partition, offset);
  }

  get acknowledged(): number {
    return this.#confirmed;
  }

  get commits(): number {
    return this.#commits;
  }

  get consumed(): number {
    return this.#consumed.length;
  }

  /** What an answer to a question that is asked now has to reach. */
  floor(of: 'committed' | 'end'): Offsets {
    return new Map(this.#floors.get(of));
  }

  answered(of: 'committed' | 'end', floor: Offsets, answers: Offsets): void {
    for (const [partition, least] of floor) {
      const got = answers.get(partition) ?? -1;
      if (got < least) this.#problems.push(`${of} of partition ${partition} went back from ${least} to ${got}`);
    }
    for (const [partition, offset] of answers) this.#raise(of, partition, offset);
  }

  /** `log`: all that lies in the partitions, read at the end. */
  report(log: readonly Seen[]): KafkaReport {
    const problems = [...this.#problems];
    const byPlace = new Map(log.map(({ partition, offset, value }) => [`${partition}/${offset}`, value]));
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
    for (const value of confirmed) if (!got.has(value)) problems.push(`the group never got ${value}`);
    problems.push(...this.#misplaced(log));
    const unconfirmed = log.filter(({ value }) => !confirmed.has(value)).length;
    return {
      acknowledged: this.#confirmed,
      consumed: this.#consumed.length,
      commits: this.#commits,
      unconfirmed,
      problems,
    };
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

  #raise(of: 'committed' | 'end', partition: number, offset: number): void {
    const floors = this.#floors.get(of) ?? new Map<number, number>();
    floors.set(partition, Math.max(floors.get(partition) ?? -1, offset));
    this.#floors.set(of, floors);
  }
}
