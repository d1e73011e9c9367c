import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import type { ManualClock } from '../../src/core/clock.ts';
import type { RailheadError } from '../../src/core/errors.ts';
import type { SeededRandom } from '../../src/core/random.ts';
import { Broker } from '../../src/engine/broker.ts';
import type { RecordFormat } from '../../src/engine/formats.ts';
import type { Limits } from '../../src/engine/limits.ts';
import type { Journal } from '../../src/engine/ports.ts';
import type { ShardSession } from '../../src/engine/session.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import type { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { Scheduler } from './scheduler.ts';
import { SimDisk } from './sim-disk.ts';

/** Small, so that segments roll, checkpoints come, and messages move to cold blocks within a few hundred steps. */
export const TINY_JOURNAL = { segmentBytes: 40 << 10, segments: 6, maxBatchBytes: 19 << 10 };
export const TINY_LIMITS: Partial<Limits> = {
  batchBytes: 8 << 10,
  recentBytes: 4 << 10,
  coldCacheBytes: 4 << 10,
  coldBlockBytes: 2 << 10,
  checkpointBytes: 12 << 10,
  checkpointSliceBytes: 512,
  compactAfterMessages: 12,
  largeBodyBytes: 600,
};

export interface WorldOptions {
  disk: MemoryDisk;
  clock: ManualClock;
  random: SeededRandom;
  /** Puts a fault of the broker itself between shard and journal: for canaries. */
  wrapJournal?: (journal: Journal) => Journal;
  /** What gateways store in. */
  formats?: readonly RecordFormat[];
}

/** One life of a broker on a disk: from a start to a crash or a close. The seed decides what happens when. */
export class World {
  readonly disk: MemoryDisk;
  readonly clock: ManualClock;
  readonly random: SeededRandom;
  readonly scheduler: Scheduler;
  readonly #wrap: (journal: Journal) => Journal;
  readonly #formats: readonly RecordFormat[];
  #broker: Broker | undefined;
  failure: RailheadError | undefined;

  private constructor({ disk, clock, random, wrapJournal = (journal) => journal, formats = [] }: WorldOptions) {
    this.disk = disk;
    this.clock = clock;
    this.random = random;
    this.#wrap = wrapJournal;
    this.#formats = formats;
    this.scheduler = new Scheduler(random);
  }

  /** @throws what the start of the broker throws */
  static async open(options: WorldOptions): Promise<World> {
    const world = new World(options);
    await world.scheduler.until(world.#open(new SimDisk(options.disk, world.scheduler)));
    return world;
  }

  async #open(disk: Disk): Promise<void> {
    this.#broker = await Broker.open({
      journal: this.#wrap(new FileJournal(disk, { ...TINY_JOURNAL, random: this.random })),
      blobs: await FileBlobs.open(disk),
      clock: this.clock,
      random: this.random,
      limits: TINY_LIMITS,
      defer: (turn) => this.scheduler.add('turn', turn),
      onFailure: (error) => (this.failure = error),
      formats: this.#formats,
    });
  }

  get broker(): Broker {
    if (this.#broker === undefined) throw new Error('the broker of this world is not open');
    return this.#broker;
  }

  connect(): ShardSession {
    return this.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  }

  /** The process is gone: nothing that waits will ever go on. */
  kill(): void {
    this.scheduler.stop();
  }

  close(): Promise<void> {
    return this.scheduler.until(this.broker.close());
  }
}

/** Opens what a crash left, all answers at once and in order: quick, for checks that are made by the hundred thousand. */
export async function reopen(
  disk: MemoryDisk,
  clock: ManualClock,
  random: SeededRandom,
  onFailure: (error: RailheadError) => void = () => {},
): Promise<Broker> {
  return Broker.open({
    journal: new FileJournal(disk, { ...TINY_JOURNAL, random }),
    blobs: await FileBlobs.open(disk),
    clock,
    random,
    limits: TINY_LIMITS,
    defer: queueMicrotask,
    onFailure,
  });
}
