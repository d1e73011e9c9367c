import type { DeliveryRun, DeliverySink } from '../../core/session.ts';
import type { OffsetRange } from '../entries.ts';
import type { ByteLedger } from './ledger.ts';

/** One delivery on its way out. It leaves when its bodies are loaded and the gate has opened. */
export interface Outgoing {
  readonly token: number;
  readonly ranges: readonly OffsetRange[];
  /** It leaves before this or not at all: the messages are somebody else's then. */
  readonly deadline: number;
  runs: DeliveryRun[] | null;
  /** Of its runs, as long as it waits with them. */
  bytes: number;
  open: boolean;
  /** It will never leave. */
  dropped: boolean;
}

/** Keeps the deliveries of one consumer in order, though some wait for the disk and some for a sync. */
export class Outbox {
  readonly #sink: DeliverySink;
  readonly #ledger: ByteLedger;
  #waiting: Outgoing[] = [];
  #draining = false;

  constructor(sink: DeliverySink, ledger: ByteLedger) {
    this.#sink = sink;
    this.#ledger = ledger;
  }

  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  push(token: number, ranges: readonly OffsetRange[], deadline: number): Outgoing {
    const outgoing: Outgoing = { token, ranges, deadline, runs: null, bytes: 0, open: false, dropped: false };
    this.#waiting.push(outgoing);
    return outgoing;
  }

  /** Its bodies are there. */
  fill(outgoing: Outgoing, runs: DeliveryRun[]): void {
    if (outgoing.dropped) return;
    outgoing.runs = runs;
    for (const { records } of runs) outgoing.bytes += records.byteLength;
    this.#ledger.add('outgoing', outgoing.bytes);
  }

  /** Sends what may leave. Returns how many messages did not, because their lease ended while they waited. */
  drain(now: number): number {
    if (this.#draining) return 0;
    this.#draining = true;
    let ready = 0;
    while (ready < this.#waiting.length) {
      const outgoing = this.#waiting[ready];
      if (outgoing === undefined || outgoing.runs === null || !outgoing.open) break;
      ready++;
    }
    const leaving = this.#waiting.splice(0, ready);
    this.#draining = false;
    let late = 0;
    for (const outgoing of leaving) {
      this.#ledger.add('outgoing', -outgoing.bytes);
      if (outgoing.deadline > now) continue;
      outgoing.runs = null;
      for (const range of outgoing.ranges) late += range.count;
    }
    const [only] = leaving;
    const runs = leaving.length === 1 && only?.runs ? only.runs : leaving.flatMap((outgoing) => outgoing.runs ?? []);
    if (runs.length > 0) this.#sink.deliver(runs);
    return late;
  }

  /** Empties it and returns what will never leave. */
  clear(): readonly Outgoing[] {
    const unsent = this.#waiting;
    this.#waiting = [];
    for (const outgoing of unsent) {
      outgoing.dropped = true;
      this.#ledger.add('outgoing', -outgoing.bytes);
    }
    return unsent;
  }
}
