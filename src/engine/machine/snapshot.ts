import { OffsetSet } from '../structures/offset-set.ts';
import { join } from './lanes.ts';
import type { Subscription } from './topic.ts';

export interface EncodedUnsettled {
  pending: Uint8Array;
  openFrom: number;
}

/**
 * Which messages of one partition a subscription had not settled at some moment: some of those before `openFrom`, and
 * everything that was published from there on.
 */
export class Unsettled {
  readonly #pending: OffsetSet;
  readonly openFrom: number;

  constructor(pending: OffsetSet, openFrom: number) {
    this.#pending = pending;
    this.openFrom = openFrom;
  }

  has(offset: number): boolean {
    return offset >= this.openFrom || this.#pending.has(offset);
  }

  /** The first of them at or after `from`. Whether it was published already is not known here. */
  next(from: number): number {
    return this.#pending.next(from) ?? Math.max(from, this.openFrom);
  }

  /** How many there are in a partition that ends at `end`. */
  count(end: number): number {
    return this.#pending.size + Math.max(0, end - this.openFrom);
  }

  /** Those of [from, to), in runs. */
  *runs(from: number, to: number): Generator<{ from: number; to: number }, void, void> {
    for (const run of this.#pending.runs()) {
      if (run.from >= to) break;
      if (run.to > from) yield { from: Math.max(run.from, from), to: Math.min(run.to, to) };
    }
    if (this.openFrom < to) yield { from: Math.max(this.openFrom, from), to };
  }

  /** Gone for everybody: by retention, or compacted away. */
  remove(from: number, to: number): void {
    this.#pending.deleteRange(from, to);
  }

  clone(): Unsettled {
    return new Unsettled(this.#pending.clone(), this.openFrom);
  }

  encode(): EncodedUnsettled {
    return { pending: join(this.#pending.encode()), openFrom: this.openFrom };
  }

  static decode({ pending, openFrom }: EncodedUnsettled): Unsettled {
    return new Unsettled(OffsetSet.decode(pending), openFrom);
  }
}

export interface EncodedSnapshot {
  name: string;
  subscription: string;
  createdAt: number;
  expiresAt: number;
  partitions: EncodedUnsettled[];
}

/**
 * What a subscription of a topic had still to do when it was taken, under a name. It needs these messages as an
 * unsettled subscription does, until it is deleted or expires. Memory: as the subscription's own, some bits a message.
 */
export class Snapshot {
  readonly name: string;
  /** The one it was taken of. Any subscription of the topic can be put back to it. */
  readonly subscription: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly partitions: Unsettled[];

  constructor(init: Omit<EncodedSnapshot, 'partitions'>, partitions: Unsettled[]) {
    this.name = init.name;
    this.subscription = init.subscription;
    this.createdAt = init.createdAt;
    this.expiresAt = init.expiresAt;
    this.partitions = partitions;
  }

  static take(subscription: Subscription, name: string, createdAt: number, expiresAt: number): Snapshot {
    const partitions = subscription.backlogs.map(({ pending, fillFrom, restoring }, i) => {
      if (fillFrom === null) return new Unsettled(pending.clone(), subscription.topic.partition(i).end);
      const all = pending.clone();
      const openFrom = restoring?.openFrom ?? fillFrom;
      for (const run of restoring?.runs(fillFrom, openFrom) ?? []) all.addRange(run.from, run.to);
      return new Unsettled(all, Math.max(openFrom, fillFrom));
    });
    return new Snapshot({ name, subscription: subscription.name, createdAt, expiresAt }, partitions);
  }

  /** The topic has one more partition: all that will be in it was published since. */
  grow(): void {
    this.partitions.push(new Unsettled(new OffsetSet(), 0));
  }

  encode(): EncodedSnapshot {
    const { name, subscription, createdAt, expiresAt, partitions } = this;
    return { name, subscription, createdAt, expiresAt, partitions: partitions.map((one) => one.encode()) };
  }

  static decode(data: EncodedSnapshot): Snapshot {
    return new Snapshot(
      data,
      data.partitions.map((one) => Unsettled.decode(one)),
    );
  }
}
