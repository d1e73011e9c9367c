import type { BrokerInfo } from '../../../core/broker-info.ts';
import { RailheadError } from '../../../core/errors.ts';
import { LIVE_LIMITS } from './limits.ts';
import { LiveTable } from './table.ts';
import type { LiveTotals } from './totals.ts';

/** One look at a namespace, as its charts remember it. */
export interface LiveSample extends LiveTotals {
  at: number;
  /** Resident memory of the process, bytes. */
  memoryBytes: number;
  /** Bytes of messages that the broker holds in memory. */
  heldBytes: number;
  journalBytes: number;
  /** What a sync took since the look before, on average; null when there was none. */
  syncMs: number | null;
}

/** What all viewers of a namespace see. */
export class Source {
  readonly table = new LiveTable();
  /** Of the last minutes, the oldest first. */
  readonly samples: LiveSample[] = [];
  info: BrokerInfo | undefined;
  viewers = 0;
  idleSince: number;
  #waiting: (() => void)[] = [];
  #failure: Error | undefined;

  constructor(now: number) {
    this.idleSince = now;
  }

  /** Resolves when there is a look after number `seen`. @throws when there will be none. */
  async after(seen: number): Promise<void> {
    while (this.table.look <= seen) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** A look is whole. */
  seen(sample: LiveSample, info: BrokerInfo): void {
    this.info = info;
    this.samples.push(sample);
    if (this.samples.length > LIVE_LIMITS.looks) this.samples.shift();
    this.#wake();
  }

  /** There will be no more. */
  end(failure: Error = new RailheadError('CLOSED', 'The broker is stopping.')): void {
    this.#failure ??= failure;
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
