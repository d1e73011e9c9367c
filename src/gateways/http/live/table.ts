import { deadLetterQueue } from '../../../core/policy.ts';
import type { SubscriptionStats, TopicStats } from '../../../core/stats.ts';
import { type LiveTotals, perSecond, TotalsCount } from './totals.ts';

/**
 * A topic or queue as the stream shows it. What is 0, false or null is left out, and so is a name that follows from the
 * topic's: most of 10,000 queues are idle. A queue of which there is nothing to say but its name is sent as that alone.
 */
export interface LiveRow {
  name: string;
  kind: 'queue' | 'topic';
  /** Kept, settled or not. */
  messages?: number;
  bytes?: number;
  /** Left out when it is 1. */
  partitions?: number;
  /** Published in a second, since the look before. */
  in?: number;
  published?: number;
  refused?: number;
  maxMessages?: number;
  maxBytes?: number;
  subscriptions: LiveSubscription[];
}

export interface LiveSubscription {
  /** Left out when it is that of the topic, as of a queue. */
  name?: string;
  /** Left out when it is the usual one: `QUEUE.dead`, or `TOPIC.SUBSCRIPTION.dead`. */
  deadLetterQueue?: string;
  ready?: number;
  delayed?: number;
  leased?: number;
  consumers?: number;
  paused?: true;
  /** ms. */
  oldestAt?: number;
  /** Acked in a second, since the look before. */
  out?: number;
  delivered?: number;
  redelivered?: number;
  acked?: number;
  deadLettered?: number;
  expired?: number;
}

interface Entry {
  stats: TopicStats;
  text: string;
  changedAt: number;
  seenAt: number;
}

interface Gone {
  name: string;
  at: number;
}

export interface Changes {
  /** Each the JSON of a `LiveRow`, or of a name. */
  rows: string[];
  gone: string[];
}

/** Whoever has missed more deletions than this gets everything anew. */
const MAX_GONE = 10_000;

/**
 * What the topics of a namespace look like, look by look, so that each viewer can be told what changed since the one it
 * has seen: one that is slow misses looks and no news.
 */
export class LiveTable {
  readonly #entries = new Map<string, Entry>();
  readonly #gone: Gone[] = [];
  /** Deletions up to this look are forgotten. */
  #forgotten = 0;
  #look = 0;
  #at = 0;
  #seconds = 0;

  /** Number of the newest whole look. */
  get look(): number {
    return this.#look;
  }

  /** Takes one look, in pieces. `at` in ms. */
  begin(at: number): { add: (stats: TopicStats) => void; end: () => LiveTotals } {
    const look = this.#look + 1;
    this.#seconds = this.#at === 0 ? 0 : (at - this.#at) / 1000;
    const totals = new TotalsCount();
    return {
      add: (stats) => this.#take(stats, look, totals),
      end: () => {
        this.#forgetUnseen(look);
        this.#look = look;
        this.#at = at;
        return totals.end();
      },
    };
  }

  /** What is to be told to somebody who has seen look number `since`; 0: everything. Null: begin anew with 0. */
  changes(since: number): Changes | null {
    if (since > 0 && since < this.#forgotten) return null;
    const rows: string[] = [];
    // Also those of a look that is not whole yet: they come again with it.
    for (const { text, changedAt } of this.#entries.values()) if (changedAt > since) rows.push(text);
    const gone = since === 0 ? [] : this.#gone.filter(({ at }) => at > since).map(({ name }) => name);
    return { rows, gone };
  }

  #take(stats: TopicStats, look: number, totals: TotalsCount): void {
    const before = this.#entries.get(stats.name);
    const row = isBare(stats) ? undefined : rowOf(stats, before?.stats, this.#seconds);
    const text = JSON.stringify(row ?? stats.name);
    if (row === undefined) totals.addIdle(stats);
    else totals.add(stats, { in: row.in ?? 0, out: row.subscriptions.reduce((sum, { out = 0 }) => sum + out, 0) });
    if (before === undefined) {
      this.#entries.set(stats.name, { stats, text, changedAt: look, seenAt: look });
      return;
    }
    if (before.text !== text) before.changedAt = look;
    Object.assign(before, { stats, text, seenAt: look });
  }

  #forgetUnseen(look: number): void {
    for (const [name, { seenAt }] of this.#entries) {
      if (seenAt === look) continue;
      this.#entries.delete(name);
      this.#gone.push({ name, at: look });
    }
    while (this.#gone.length > MAX_GONE) this.#forgotten = this.#gone.shift()?.at ?? this.#forgotten;
  }
}

/** A queue that was never used, and is as queues usually are. */
function isBare(stats: TopicStats): boolean {
  const { name, kind, messages, bytes, partitions, published, refused, maxMessages, maxBytes, subscriptions } = stats;
  const [one] = subscriptions;
  if (kind !== 'queue' || one === undefined || subscriptions.length > 1 || one.subscription !== name) return false;
  return (
    messages === 0 &&
    bytes === 0 &&
    published === 0 &&
    refused === 0 &&
    maxMessages === null &&
    maxBytes === null &&
    partitions.length === 1 &&
    one.depth === 0 &&
    one.consumers === 0 &&
    !one.paused &&
    one.delivered === 0 &&
    one.acked === 0 &&
    one.deadLettered === 0 &&
    one.expired === 0 &&
    one.deadLetterQueue === deadLetterQueue(null, kind, name, name)
  );
}

function rowOf(stats: TopicStats, before: TopicStats | undefined, seconds: number): LiveRow {
  const { name, kind, messages, bytes, published, refused, maxMessages, maxBytes } = stats;
  const partitions = stats.partitions.length;
  return {
    name,
    kind,
    ...(messages > 0 && { messages }),
    ...(bytes > 0 && { bytes }),
    ...(partitions > 1 && { partitions }),
    ...rate('in', published, before?.published, seconds),
    ...(published > 0 && { published }),
    ...(refused > 0 && { refused }),
    ...(maxMessages !== null && { maxMessages }),
    ...(maxBytes !== null && { maxBytes }),
    subscriptions: stats.subscriptions.map((one) =>
      subscriptionOf(
        one,
        kind,
        before?.subscriptions.find(({ subscription }) => subscription === one.subscription),
        seconds,
      ),
    ),
  };
}

function subscriptionOf(
  stats: SubscriptionStats,
  kind: TopicStats['kind'],
  before: SubscriptionStats | undefined,
  seconds: number,
): LiveSubscription {
  const { ready, delayed, leased, consumers, delivered, redelivered, acked, deadLettered, expired } = stats;
  const { topic, subscription, deadLetterQueue: dead } = stats;
  return {
    ...(subscription !== topic && { name: subscription }),
    ...(dead !== deadLetterQueue(null, kind, topic, subscription) && { deadLetterQueue: dead }),
    ...(ready > 0 && { ready }),
    ...(delayed > 0 && { delayed }),
    ...(leased > 0 && { leased }),
    ...(consumers > 0 && { consumers }),
    ...(stats.paused && { paused: true as const }),
    ...(stats.oldestAt !== null && { oldestAt: stats.oldestAt }),
    ...rate('out', acked, before?.acked, seconds),
    ...(delivered > 0 && { delivered }),
    ...(redelivered > 0 && { redelivered }),
    ...(acked > 0 && { acked }),
    ...(deadLettered > 0 && { deadLettered }),
    ...(expired > 0 && { expired }),
  };
}

/** Left out when it is nothing. */
function rate<K extends string>(key: K, now: number, before: number | undefined, seconds: number) {
  const value = before === undefined ? 0 : perSecond(now, before, seconds);
  return value === 0 ? {} : ({ [key]: value } as Record<K, number>);
}
