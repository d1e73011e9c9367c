import type { IdleTopic, TopicStats } from '../../../core/stats.ts';

/** Of a namespace. Queues of dead letters count apart: what lies there does not wait for its consumer. */
export interface LiveTotals {
  queues: number;
  topics: number;
  subscriptions: number;
  consumers: number;
  /** Messages in a second. */
  in: number;
  out: number;
  ready: number;
  delayed: number;
  leased: number;
  deadLetters: number;
  /** When the oldest message that waits was published, ms. */
  oldestAt: number | null;
}

export interface Rates {
  in: number;
  out: number;
}

/** Sums up one look, topic by topic. Whose dead letters lie where is known at its end alone. */
export class TotalsCount {
  readonly #totals: LiveTotals = {
    queues: 0,
    topics: 0,
    subscriptions: 0,
    consumers: 0,
    in: 0,
    out: 0,
    ready: 0,
    delayed: 0,
    leased: 0,
    deadLetters: 0,
    oldestAt: null,
  };
  readonly #deadLetterQueues: string[] = [];
  readonly #active: { stats: TopicStats; rates: Rates }[] = [];

  add(stats: TopicStats, rates: Rates): void {
    this.addIdle(stats);
    this.#active.push({ stats, rates });
  }

  /** A topic in which nothing is and nothing happens, as in most of 10,000. */
  addIdle({ name, kind, subscriptions }: IdleTopic): void {
    if (kind === 'queue') this.#totals.queues++;
    else {
      this.#totals.topics++;
      this.#totals.subscriptions += subscriptions.length;
    }
    for (const { consumers, deadLetterQueue } of subscriptions) {
      this.#totals.consumers += consumers;
      if (deadLetterQueue !== name) this.#deadLetterQueues.push(deadLetterQueue);
    }
  }

  end(): LiveTotals {
    const totals = this.#totals;
    // Of thousands of names that takes a while, and where nothing lies anywhere nobody asks.
    const deadLetterQueues = new Set(this.#active.length === 0 ? [] : this.#deadLetterQueues);
    for (const { stats, rates } of this.#active) {
      const dead = deadLetterQueues.has(stats.name);
      if (!dead) {
        totals.in = tenths(totals.in + rates.in);
        totals.out = tenths(totals.out + rates.out);
      }
      for (const { ready, delayed, leased, oldestAt } of stats.subscriptions) {
        if (dead) {
          totals.deadLetters += ready + delayed + leased;
          continue;
        }
        totals.ready += ready;
        totals.delayed += delayed;
        totals.leased += leased;
        if (oldestAt !== null) totals.oldestAt = Math.min(totals.oldestAt ?? Infinity, oldestAt);
      }
    }
    return totals;
  }
}

/** Nothing at the first look. Counts that begin anew, as after a restart or of a queue made again, are no negative rate. */
export function perSecond(now: number, before: number, seconds: number): number {
  return now <= before || seconds <= 0 ? 0 : tenths((now - before) / seconds);
}

export function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
