import { RailheadError } from '../core/errors.ts';
import { asBuffer } from '../core/records.ts';
import type { SeededRandom } from '../core/random.ts';
import type { DeliveryRun, LeaseRange, Settlement } from '../core/session.ts';
import { ALL_FORMATS } from '../server/formats.ts';

const FORMATS = new Map(ALL_FORMATS.map((format) => [format.tag, format]));

export interface CrashOptions {
  /**
   * False: as after kill -9, everything written is there. True: as after a power cut, only what was synced is sure, and
   * of the rest any part may be. Default false.
   */
  powerCut?: boolean;
}

interface FaultActions {
  dropConnections(): void;
  crashAndRecover(options: CrashOptions): Promise<void>;
}

/** What goes wrong, on command or by chance from the seed. At-least-once delivery allows all of it. */
export class Faults {
  readonly #random: SeededRandom;
  readonly #actions: FaultActions;
  #redeliver = 0;
  #redeliverNext = 0;
  #reorder = 0;

  /** Made by `testBroker`. */
  constructor(random: SeededRandom, actions: FaultActions) {
    this.#random = random;
    this.#actions = actions;
  }

  /**
   * Loses acks: the consumer is told that all is well, and gets the message again. By chance (0 to 1) until it is set
   * to 0, or `{ next: 1 }` for exactly that many of the next.
   *
   * @throws INVALID for a chance that is none.
   */
  redeliver(chance: number | { next: number }): void {
    if (typeof chance === 'number') this.#redeliver = probability('redeliver', chance);
    else this.#redeliverNext = chance.next;
  }

  /**
   * Messages overtake each other on their way to a consumer, by that chance (0 to 1), until it is set to 0. Those of a
   * queue with `order: 'key'` or `'strict'` keep their order, for they are never under way together; so do those of a
   * FIFO queue of SQS. A receive from a standard one gets fewer messages than there are, the others later.
   *
   * @throws INVALID for a chance that is none.
   */
  reorder(chance: number): void {
    this.#reorder = probability('reorder', chance);
  }

  /** Cuts every connection, that of `broker.rail` too, in the middle of whatever it carries. Clients connect again. */
  dropConnections(): void {
    this.#actions.dropConnections();
  }

  /** The broker dies without a word and starts again from what was on its disk. Clients connect again. */
  crashAndRecover(options: CrashOptions = {}): Promise<void> {
    return this.#actions.crashAndRecover(options);
  }

  /** No more redelivery and reordering. */
  clear(): void {
    this.#redeliver = this.#redeliverNext = this.#reorder = 0;
  }

  /** @internal Acks that are lost become releases. */
  settling(settlements: Settlement[]): Settlement[] {
    if (this.#redeliver === 0 && this.#redeliverNext === 0) return settlements;
    const result: Settlement[] = [];
    for (const settlement of settlements) {
      if (settlement.action !== 'ack') {
        result.push(settlement);
        continue;
      }
      const { topic, subscription } = settlement;
      const acked: LeaseRange[] = [];
      const lost: LeaseRange[] = [];
      for (const range of settlement.ranges) {
        for (let i = 0; i < range.count; i++) {
          const one = { ...range, offset: range.offset + i, count: 1 };
          (this.#losesAck() ? lost : acked).push(one);
        }
      }
      if (acked.length > 0) result.push({ topic, subscription, ranges: acked, action: 'ack' });
      if (lost.length > 0)
        result.push({ topic, subscription, ranges: lost, action: 'release', countAttempt: false, delayMs: 0 });
    }
    return result;
  }

  /** @internal What is handed over now, and what is held back until the next delivery. */
  delivering(runs: DeliveryRun[]): { now: DeliveryRun[]; later: DeliveryRun[] } {
    if (this.#reorder === 0) return { now: runs, later: [] };
    const now: DeliveryRun[] = [];
    const later: DeliveryRun[] = [];
    for (const run of runs.flatMap(single)) (this.#random.chance(this.#reorder) ? later : now).push(run);
    for (let i = later.length - 1; i > 0; i--) {
      const other = this.#random.below(i + 1);
      const [a, b] = [later[i], later[other]];
      if (a !== undefined && b !== undefined) [later[i], later[other]] = [b, a];
    }
    return { now, later };
  }

  #losesAck(): boolean {
    if (this.#redeliverNext > 0) {
      this.#redeliverNext--;
      return true;
    }
    return this.#random.chance(this.#redeliver);
  }
}

/** A run as runs of one message. What cannot be cut stays whole. */
function single(run: DeliveryRun): DeliveryRun[] {
  const batch = asBuffer(run.records);
  const bounds = run.count === 1 ? null : FORMATS.get(run.format)?.bounds(batch, run.count);
  if (bounds === null || bounds === undefined) return [run];
  return Array.from({ length: run.count }, (_, i) => ({
    ...run,
    offset: run.offset + i,
    count: 1,
    records: batch.subarray(bounds[i], bounds[i + 1]),
  }));
}

function probability(what: string, chance: number): number {
  if (chance >= 0 && chance <= 1) return chance;
  throw new RailheadError('INVALID', `The chance to ${what} is ${chance}; write a number from 0 to 1.`);
}
