import { RailheadError } from '../../core/errors.ts';
import type { Settlement, SettleReceipt } from '../../core/session.ts';
import type { Line } from './connector.ts';
import { costOf, isBound, isRepeatable, writePending, type Pending } from './pending.ts';

/** `since` of a consumer that is started again: it waits for the broker as long as it takes. */
export const RESUBSCRIPTION = Infinity;

/**
 * The requests without an answer, in the order they were asked for. They are sent as they come while there is a line,
 * and all that is left when there is one again.
 */
export class RequestTable {
  readonly #maxInFlightBytes: number;
  /** Called when the table becomes empty, and when it no longer is. */
  readonly #onChange: () => void;
  readonly #pending = new Map<number, Pending>();
  /** Publishes that wait until enough of what is in flight is confirmed, in order. */
  #waiting: Pending[] = [];
  #inFlightBytes = 0;
  #lastId = 0;
  #line: Line | undefined;

  constructor(maxInFlightBytes: number, onChange: () => void) {
    this.#maxInFlightBytes = maxInFlightBytes;
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#pending.size;
  }

  add(pending: Pending): void {
    const cost = costOf(pending);
    if (cost > 0 && (this.#waiting.length > 0 || !this.#hasRoom(cost))) this.#waiting.push(pending);
    else this.#start(pending, cost);
  }

  /** The request with this id, which is in the table no more. */
  take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    const cost = costOf(pending);
    if (cost > 0) {
      this.#inFlightBytes -= cost;
      if (this.#waiting.length > 0) this.#startWaiting();
    }
    if (this.#pending.size === 0) this.#onChange();
    return pending;
  }

  /** Sends all there is: consumers first, then the rest in order. */
  connected(line: Line, sameBroker: boolean): void {
    for (const pending of this.#pending.values()) if (pending.kind === 'consume') this.#send(pending, line);
    // Also visits a publish that had to wait and starts in this loop: after all that are older.
    for (const pending of this.#pending.values()) {
      if (pending.kind === 'consume') continue;
      if (pending.sent && !sameBroker && pending.kind === 'publish') {
        this.take(pending.id);
        pending.reject(unknownOutcome('another broker answers now'));
      } else if (!sameBroker && pending.kind === 'settle') {
        // Its tokens name something else there.
        this.take(pending.id);
        pending.resolve({ lost: everyRange(pending.settlements) });
      } else this.#send(pending, line);
    }
    this.#line = line;
  }

  /** What was sent and must not be done twice fails; the rest waits for the next line. */
  disconnected(reason: RailheadError, now: number): void {
    this.#line = undefined;
    const bound = this.#waiting.filter(isBound);
    this.#waiting = this.#waiting.filter((pending) => !isBound(pending));
    for (const pending of bound) pending.reject(brokeBefore(reason));
    for (const pending of this.#pending.values()) {
      if (!pending.sent) {
        if (isBound(pending)) {
          this.take(pending.id);
          pending.reject(brokeBefore(reason));
        }
        continue;
      }
      if (pending.since === RESUBSCRIPTION) {
        // Made anew for the next line.
        this.take(pending.id);
        continue;
      }
      pending.since = now;
      if (pending.kind === 'close') {
        this.take(pending.id);
        pending.resolve();
      } else if (reason.code === 'PROTOCOL' || !isRepeatable(pending)) {
        // After PROTOCOL the broker or we sent something broken: the same bytes would break the next line too.
        this.take(pending.id);
        pending.reject(unknownOutcome(reason.message, reason));
      }
    }
  }

  *settlements(): Iterable<Extract<Pending, { kind: 'settle' }>> {
    for (const pending of this.#pending.values()) if (pending.kind === 'settle') yield pending;
  }

  /** Fails what has waited since before `before`. */
  expire(before: number, reason: RailheadError): void {
    for (const pending of this.#pending.values()) {
      if (pending.since > before) continue;
      this.take(pending.id);
      pending.reject(failed(pending, reason));
    }
    const expired = this.#waiting.filter((pending) => pending.since <= before);
    this.#waiting = this.#waiting.filter((pending) => pending.since > before);
    for (const pending of expired) pending.reject(failed(pending, reason));
  }

  rejectWaiting(reason: RailheadError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const pending of waiting) pending.reject(failed(pending, reason));
  }

  rejectAll(reason: RailheadError): void {
    this.#line = undefined;
    this.rejectWaiting(reason);
    for (const pending of this.#pending.values()) {
      this.take(pending.id);
      pending.reject(failed(pending, reason));
    }
  }

  #start(pending: Pending, cost: number): void {
    do this.#lastId = this.#lastId === 0xffffffff ? 1 : this.#lastId + 1;
    while (this.#pending.has(this.#lastId));
    pending.id = this.#lastId;
    this.#inFlightBytes += cost;
    this.#pending.set(pending.id, pending);
    if (this.#pending.size === 1) this.#onChange();
    if (this.#line !== undefined) this.#send(pending, this.#line);
  }

  #send(pending: Pending, line: Line): void {
    try {
      writePending(line.connection.out, pending, line.welcome.limits.maxFrameBytes);
      pending.sent = true;
    } catch (error) {
      if (!(error instanceof RailheadError)) throw error;
      this.take(pending.id);
      pending.reject(error);
    }
  }

  #startWaiting(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const cost = costOf(next);
      if (!this.#hasRoom(cost)) break;
      this.#waiting.shift();
      this.#start(next, cost);
    }
  }

  /** One that is larger than the limit goes alone. */
  #hasRoom(cost: number): boolean {
    return this.#inFlightBytes === 0 || this.#inFlightBytes + cost <= this.#maxInFlightBytes;
  }
}

function everyRange(settlements: readonly Settlement[]): SettleReceipt['lost'] {
  return settlements.flatMap(({ topic, subscription, ranges }) =>
    ranges.map((range) => ({ topic, subscription, ...range })),
  );
}

function failed(pending: Pending, reason: RailheadError): RailheadError {
  return new RailheadError(reason.code, reason.message, {
    cause: reason,
    outcome: pending.sent ? 'unknown' : 'not-stored',
  });
}

function brokeBefore(reason: RailheadError): RailheadError {
  return new RailheadError('CONNECTION_LOST', `The connection broke before it was sent: ${reason.message}`, {
    cause: reason,
    outcome: 'not-stored',
  });
}

function unknownOutcome(why: string, cause?: RailheadError): RailheadError {
  return new RailheadError(
    'CONNECTION_LOST',
    `The connection broke before the answer came (${why}); whether it was done is not known.`,
    { cause, outcome: 'unknown' },
  );
}
