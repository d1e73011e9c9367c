import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import { soon } from '../core/real-time.ts';
import type { SeededRandom } from '../core/random.ts';
import { Broker } from '../engine/broker.ts';
import type { DocumentWatcher } from '../engine/shard/documents.ts';
import type { PublishEntry } from '../engine/entries.ts';
import type { Session } from '../core/session.ts';
import { RECORD_FORMATS } from '../server/formats.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { JournalSpy } from './journal-spy.ts';

export interface LifeOptions {
  clock: Clock;
  random: SeededRandom;
  onPublish: (entry: PublishEntry) => void;
  /** Of protocols that are spoken, over all lives. */
  watchers: readonly DocumentWatcher[];
}

/** Leases of clients that are gone: a test does not want to wait for them. */
const LIMITS = { takeOverGraceMs: 0 };

/** One run of the broker over a disk in memory, from its start to its end or crash. */
export class Life {
  readonly broker: Broker;
  readonly #disk: MemoryDisk;
  readonly #spy: JournalSpy;
  readonly #turns: Turns;
  readonly #options: LifeOptions;
  readonly #sessions = new Map<string, Session>();
  #dead = false;

  private constructor(broker: Broker, disk: MemoryDisk, spy: JournalSpy, turns: Turns, options: LifeOptions) {
    this.broker = broker;
    this.#disk = disk;
    this.#spy = spy;
    this.#turns = turns;
    this.#options = options;
  }

  static async begin(options: LifeOptions, disk = new MemoryDisk()): Promise<Life> {
    const turns = new Turns(options.clock);
    let life: Life | undefined = undefined;
    const spy = new JournalSpy(new FileJournal(disk, { random: options.random }), (entry) => {
      if (life === undefined || !life.#dead) options.onPublish(entry);
    });
    const broker = await Broker.open({
      journal: spy,
      blobs: await FileBlobs.open(disk),
      clock: turns.clock,
      random: options.random,
      limits: LIMITS,
      formats: RECORD_FORMATS,
      defer: turns.defer,
    });
    broker.watchDocuments(async (namespace, kind) => {
      for (const watcher of options.watchers) await watcher(namespace, kind);
    });
    life = new Life(broker, disk, spy, turns, options);
    return life;
  }

  /** Grows whenever something was decided. */
  get activity(): number {
    return this.#spy.appends;
  }

  /** True when the timer that fired last was the engine's: then all that follows has happened, or `activity` grows. */
  takeFired(): boolean {
    return this.#turns.takeFired();
  }

  /** For looking into it, beside all clients. */
  session(namespace: string): Session {
    let session = this.#sessions.get(namespace);
    if (session === undefined) {
      session = this.broker.connect({ principal: LOCAL_PRINCIPAL, namespace, name: 'test' });
      this.#sessions.set(namespace, session);
    }
    return session;
  }

  /** What a next life finds. This one goes on for a moment, on a disk that nobody reads. */
  crash(powerCut: boolean): MemoryDisk {
    this.#dead = true;
    const disk = powerCut ? this.#disk.crash(this.#options.random) : this.#disk.clone();
    void this.broker.close().catch(() => undefined);
    return disk;
  }

  close(): Promise<void> {
    this.#dead = true;
    return this.broker.close();
  }
}

/**
 * Runs a turn of the engine right after a timer of the engine fired, and not a turn of the loop later. A test that jumps
 * over a year of minutes with nothing to do then takes a second, not an hour.
 */
class Turns {
  readonly clock: Clock;
  #due: (() => void)[] = [];
  #fired = false;

  constructor(clock: Clock) {
    this.clock = {
      now: () => clock.now(),
      timer: (at, fire) =>
        clock.timer(at, () => {
          fire();
          this.#run();
          this.#fired = true;
        }),
    };
  }

  readonly defer = (turn: () => void): void => {
    this.#due.push(turn);
    soon(() => {
      if (this.#due.includes(turn)) this.#run();
    });
  };

  takeFired(): boolean {
    const fired = this.#fired;
    this.#fired = false;
    return fired;
  }

  #run(): void {
    for (const turn of this.#due.splice(0)) turn();
  }
}
