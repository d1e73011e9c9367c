import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { Broker, type BrokerOptions } from '../../src/engine/broker.ts';
import type { ShardSession } from '../../src/engine/session.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal, type FileJournalOptions } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';

/** A broker in memory that can be stopped and started again on what is on its disk, with a clock that the test moves. */
export class EngineBench {
  readonly clock = new ManualClock();
  readonly random: SeededRandom;
  disk = new MemoryDisk();
  readonly #options: Partial<BrokerOptions>;
  readonly #journal: FileJournalOptions;
  #running: { broker: Broker; session: ShardSession } | undefined;

  constructor(options: Partial<BrokerOptions> = {}, journal: FileJournalOptions = {}, seed = 1) {
    this.random = new SeededRandom(seed);
    this.#options = options;
    this.#journal = journal;
  }

  /** A broker on what `disk` has. One that ran before is not closed: it is as if its process had been killed. */
  async start(disk = this.disk, journal = new FileJournal(disk, this.#journal)): Promise<this> {
    this.disk = disk;
    const blobs = await FileBlobs.open(disk);
    const { clock, random } = this;
    const broker = await Broker.open({ journal, blobs, clock, random, ...this.#options });
    this.#running = { broker, session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) };
    return this;
  }

  get broker(): Broker {
    return this.#started().broker;
  }

  /** The first session of the broker that runs. */
  get session(): ShardSession {
    return this.#started().session;
  }

  /** Another session. */
  connect(): ShardSession {
    return this.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  }

  /** Timer by timer, so that what one of them starts is done before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.clock.now() + ms;
    for (;;) {
      await this.broker.settled();
      const next = this.clock.nextTimer();
      if (next === undefined || next > end) break;
      this.clock.moveTo(next);
    }
    this.clock.moveTo(end);
    await this.broker.settled();
  }

  /** Everything is done, also what nobody waits for: files that are removed. */
  async quiet(): Promise<void> {
    for (let turn = 0; turn < 50; turn++) {
      await this.broker.settled();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #started(): { broker: Broker; session: ShardSession } {
    if (this.#running === undefined) throw new Error('The bench was not started.');
    return this.#running;
  }
}
