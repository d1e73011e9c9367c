import { LOCAL_PRINCIPAL, type Principal } from '../../src/core/auth.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import type {
  ConsumeRequest,
  DeliveryRun,
  Operations,
  PublishReceipt,
  SubscriptionRef,
} from '../../src/core/session.ts';
import { Broker, type BrokerOptions } from '../../src/engine/broker.ts';
import type { ShardSession } from '../../src/engine/session.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal, type FileJournalOptions } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { advance } from './advance.ts';
import { Collector } from './collector.ts';
import { type Message, records } from './records.ts';

/** What a start finds, in the words of test names, and the restart that leaves it so. */
export const STARTS = [
  ['the journal alone', 'kill'],
  ['a checkpoint', 'checkpoint'],
] as const;

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

  /** `kill`: from the journal alone. `checkpoint`: from a checkpoint of now. `crash`: a power cut once all is quiet. */
  async restart(how: 'kill' | 'checkpoint' | 'close' | 'crash'): Promise<void> {
    await this.broker.settled();
    if (how === 'checkpoint') await this.broker.checkpoint();
    if (how === 'close') await this.broker.close();
    await this.start(how === 'crash' ? this.disk.crash(this.random) : this.disk.clone());
  }

  get broker(): Broker {
    return this.#started().broker;
  }

  /** The first session of the broker that runs. */
  get session(): ShardSession {
    return this.#started().session;
  }

  /** Another session. */
  connect(principal: Principal = LOCAL_PRINCIPAL): ShardSession {
    return this.broker.connect({ principal, namespace: 'default' });
  }

  send(topic: string, ...messages: readonly Message[]): Promise<PublishReceipt> {
    return this.session.publish({ to: { topic }, ...records(...messages) });
  }

  /** What a consumer with so much credit gets, which then goes and leaves its leases behind. */
  async receive(from: SubscriptionRef & Partial<ConsumeRequest>, credit: number): Promise<DeliveryRun[]> {
    const got = new Collector();
    const consumer = await this.session.consume({ lease: 'timed', ...from }, got);
    consumer.credit(credit);
    await this.quiet();
    await consumer.close();
    return got.runs;
  }

  /** The bodies that a peek shows. */
  async peek(at: Operations['peek']['args']): Promise<string[]> {
    const { messages } = await this.session.request('peek', at);
    return messages.map(({ envelope }) => Buffer.from(envelope.body).toString());
  }

  advance(ms: number): Promise<void> {
    return advance(this.broker, this.clock, ms);
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
