import type { Isolation, Mark, Offsets, Seen } from '../../kill/kafka-history.ts';
import { type Facts, fetch, IN, PARTITIONS, type SimClient } from './client.ts';
import { demandOk, type Line } from './line.ts';

/** Reads on from what it has committed, and commits now and then. */
export class Reader implements SimClient {
  readonly name: string;
  readonly isolation: Isolation;
  draining = false;
  /** Places that it has read, in any life. */
  readonly #got = new Set<string>();
  readonly #facts: Facts;
  readonly #mark: Mark;

  constructor(name: string, isolation: Isolation, facts: Facts) {
    this.name = name;
    this.isolation = isolation;
    this.#facts = facts;
    this.#mark = `committed by ${name}`;
  }

  async live(line: Line, pause: () => Promise<void>): Promise<void> {
    const { history, random, count } = this.#facts;
    const positions = await this.#committed(line);
    for (let idle = 0; ;) {
      await pause();
      const partition = this.draining ? idle % PARTITIONS : random.below(PARTITIONS);
      const from = positions.get(partition) ?? 0;
      const how = { isolation: this.isolation, maxWaitMs: this.draining ? 0 : random.below(30) };
      const { records, next, end } = await fetch(line, IN, partition, from, how);
      for (const seen of records) {
        count('read');
        this.#got.add(placeOf(seen));
        history.consume(seen, this.isolation);
      }
      positions.set(partition, next);
      if (random.chance(0.3)) await this.#commit(line, partition, next);
      if (this.draining && next >= end && ++idle > PARTITIONS) return;
    }
  }

  /** What of this it never got. */
  missed(log: readonly Seen[]): Seen[] {
    return log.filter((seen) => !this.#got.has(placeOf(seen)));
  }

  async #committed(line: Line): Promise<Map<number, number>> {
    const { history } = this.#facts;
    const floor: Offsets = history.floor(this.#mark);
    const topics = [{ name: IN, partitionIndexes: Array.from({ length: PARTITIONS }, (_, i) => i) }];
    const told = await line.ask('offsetFetch', 7, { groupId: this.name, topics });
    demandOk(told.errorCode, `the offsets of ${this.name}`);
    const found = (told.topics[0]?.partitions ?? []).map((each) => {
      demandOk(each.errorCode, `an offset of ${this.name}`);
      return [each.partitionIndex, each.committedOffset] as const;
    });
    history.answered(this.#mark, floor, new Map(found));
    return new Map(found.map(([partition, offset]) => [partition, Math.max(0, offset)]));
  }

  async #commit(line: Line, partition: number, offset: number): Promise<void> {
    const partitions = [{ partitionIndex: partition, committedOffset: offset, committedMetadata: null }];
    const told = await line.ask('offsetCommit', 7, {
      groupId: this.name,
      memberId: '',
      topics: [{ name: IN, partitions }],
    });
    demandOk(told.topics[0]?.partitions[0]?.errorCode, `a commit of ${this.name}`);
    this.#facts.history.commit(partition, offset, this.#mark);
  }
}

function placeOf({ partition, offset, value }: Seen): string {
  return `${partition}/${offset} ${value}`;
}
