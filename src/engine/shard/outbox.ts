import type { DeliveryRun, DeliverySink } from '../../core/session.ts';
import type { OffsetRange } from '../entries.ts';

/** One delivery on its way out. It leaves when its bodies are loaded and the gate has opened. */
export interface Outgoing {
  readonly token: number;
  readonly ranges: readonly OffsetRange[];
  runs: DeliveryRun[] | null;
  open: boolean;
}

/** Keeps the deliveries of one consumer in order, though some wait for the disk and some for a sync. */
export class Outbox {
  readonly #sink: DeliverySink;
  #waiting: Outgoing[] = [];
  #draining = false;

  constructor(sink: DeliverySink) {
    this.#sink = sink;
  }

  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  push(token: number, ranges: readonly OffsetRange[]): Outgoing {
    const outgoing: Outgoing = { token, ranges, runs: null, open: false };
    this.#waiting.push(outgoing);
    return outgoing;
  }

  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    let ready = 0;
    while (ready < this.#waiting.length) {
      const outgoing = this.#waiting[ready];
      if (outgoing === undefined || outgoing.runs === null || !outgoing.open) break;
      ready++;
    }
    const leaving = this.#waiting.splice(0, ready);
    this.#draining = false;
    const [only] = leaving;
    const runs = leaving.length === 1 && only?.runs ? only.runs : leaving.flatMap((outgoing) => outgoing.runs ?? []);
    if (runs.length > 0) this.#sink.deliver(runs);
  }

  /** Empties it and returns what will never leave. */
  clear(): readonly Outgoing[] {
    const unsent = this.#waiting;
    this.#waiting = [];
    return unsent;
  }
}
