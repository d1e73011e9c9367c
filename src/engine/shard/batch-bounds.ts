import type { RecordFormat } from '../formats.ts';
import type { Partition } from '../machine/partition.ts';

/** Up to so many messages a batch is gone through as quickly as one is found here. */
const FEW = 64;
const MOST = 16;

interface Batch {
  readonly partition: Partition;
  /** Offset of its first message. */
  readonly base: number;
  readonly count: number;
  readonly bytes: number;
  readonly bounds: Uint32Array | null;
}

/**
 * Where the messages of a batch begin, for the large ones that were cut last: whoever takes their messages one by one would
 * else have all of a batch gone through for each of them.
 */
export class BatchBounds {
  /** The one that was asked for last is the last. */
  readonly #recent: Batch[] = [];

  /** As `RecordFormat.bounds`, of the batch that begins at `base`. */
  of(partition: Partition, base: number, format: RecordFormat, records: Buffer, count: number): Uint32Array | null {
    if (count <= FEW) return format.bounds(records, count);
    const at = this.#recent.findLastIndex(
      (each) =>
        each.partition === partition && each.base === base && each.count === count && each.bytes === records.byteLength,
    );
    const [known] = at === -1 ? [] : this.#recent.splice(at, 1);
    const { byteLength: bytes } = records;
    const batch = known ?? { partition, base, count, bytes, bounds: format.bounds(records, count) };
    this.#recent.push(batch);
    if (this.#recent.length > MOST) this.#recent.shift();
    return batch.bounds;
  }
}
