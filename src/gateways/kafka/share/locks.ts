import type { LeaseRange, SettleAction } from '../../../core/session.ts';
import { KafkaError } from '../errors.ts';

/** As the protocol numbers what becomes of a record. A gap is an offset without a record. */
const ACKNOWLEDGE = { gap: 0, accept: 1, release: 2, reject: 3, renew: 4 } as const;

export interface AcknowledgementBatch {
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** One for all, or one for each offset. */
  readonly acknowledgeTypes: readonly number[];
}

export type Verdict = SettleAction['action'] & ('ack' | 'release' | 'reject' | 'extend');

/** What was decided of the records of one partition. */
export type Verdicts = Map<Verdict, LeaseRange[]>;

interface Lock {
  readonly token: number;
  readonly until: number;
}

/** The records of one partition that a member has: each is locked until a deadline. */
export class Locks {
  readonly #partition: number;
  readonly #locks = new Map<number, Lock>();

  constructor(partition: number) {
    this.#partition = partition;
  }

  get size(): number {
    return this.#locks.size;
  }

  hold({ offset, count, token, deadline }: { offset: number; count: number; token: number; deadline: number }): void {
    for (let at = offset; at < offset + count; at++) this.#locks.set(at, { token, until: deadline });
  }

  /** These stay locked until then. */
  renew(ranges: readonly LeaseRange[], until: number): void {
    for (const { offset, count, token } of ranges) this.hold({ offset, count, token, deadline: until });
  }

  /** What nobody can settle any more. */
  forgetExpired(now: number): void {
    for (const [offset, { until }] of this.#locks) if (until <= now) this.#locks.delete(offset);
  }

  /**
   * All of it or nothing. What is not renewed is not locked any more.
   *
   * @throws KafkaError INVALID_REQUEST for what makes no sense, INVALID_RECORD_STATE for a record that the member does not have
   */
  settle(batches: readonly AcknowledgementBatch[], renewal: 'allowed' | 'refused'): Verdicts {
    const decided = new Map<number, Verdict>();
    let next = 0;
    for (const batch of batches) {
      const { firstOffset, lastOffset, acknowledgeTypes } = batch;
      const count = lastOffset - firstOffset + 1;
      const isWhole = count > 0 && (acknowledgeTypes.length === 1 || acknowledgeTypes.length === count);
      if (!isWhole || firstOffset < next)
        throw new KafkaError('INVALID_REQUEST', 'The batches of an acknowledgement must be in order, and each whole.');
      next = lastOffset + 1;
      // What can never be is told before what is not so any more.
      for (const type of acknowledgeTypes) verdictOf(type, renewal);
      // Before a loop over what a client may say to be any number.
      if (count > this.#locks.size) throw notHeld(firstOffset);
      for (let offset = firstOffset; offset <= lastOffset; offset++) {
        const type = acknowledgeTypes[acknowledgeTypes.length === 1 ? 0 : offset - firstOffset] ?? NaN;
        if (!this.#locks.has(offset)) throw notHeld(offset);
        decided.set(offset, verdictOf(type, renewal));
      }
    }
    return this.#take(decided);
  }

  /** All that is left, for whoever ends the session. */
  takeAll(verdict: Verdict): Verdicts {
    return this.#take(new Map([...this.#locks.keys()].sort((a, b) => a - b).map((offset) => [offset, verdict])));
  }

  #take(decided: ReadonlyMap<number, Verdict>): Verdicts {
    const verdicts: Verdicts = new Map();
    for (const [offset, verdict] of decided) {
      const lock = this.#locks.get(offset);
      if (lock === undefined) continue;
      if (verdict !== 'extend') this.#locks.delete(offset);
      const ranges = verdicts.get(verdict) ?? [];
      verdicts.set(verdict, ranges);
      const last = ranges.at(-1);
      if (last?.token === lock.token && last.offset + last.count === offset) last.count++;
      else ranges.push({ partition: this.#partition, offset, count: 1, token: lock.token });
    }
    return verdicts;
  }
}

function verdictOf(type: number, renewal: 'allowed' | 'refused'): Verdict {
  switch (type) {
    case ACKNOWLEDGE.gap:
    case ACKNOWLEDGE.accept:
      return 'ack';
    case ACKNOWLEDGE.release:
      return 'release';
    case ACKNOWLEDGE.reject:
      return 'reject';
    case ACKNOWLEDGE.renew:
      if (renewal === 'allowed') return 'extend';
  }
  throw new KafkaError('INVALID_REQUEST', `The acknowledge type ${type} is not known, or not announced.`);
}

function notHeld(offset: number): KafkaError {
  return new KafkaError('INVALID_RECORD_STATE', `The member does not have the record ${offset}, or not any more.`);
}
