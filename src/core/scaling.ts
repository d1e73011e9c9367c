import type { Clock } from './clock.ts';
import { Rates } from './rates.ts';
import type { SubscriptionStats, TopicStats } from './stats.ts';

/** What a subscription has to do, and how quickly it is done. Rates are messages a second; null until there were two looks. */
export interface Load {
  /** Ready for a consumer. What is delayed is not. */
  backlog: number;
  delayed: number;
  leased: number;
  consumers: number;
  arrivalRate: number | null;
  /** Messages that consumers are done with. */
  serviceRate: number | null;
  /** What one consumer does in a second when it has enough to do, as far as that was seen. */
  consumerRate: number | null;
}

export interface ScalingGoal {
  /** A backlog should be gone after so long. */
  drainMs: number;
  min: number;
  max: number;
}

/** Consumers that are always busy leave no room for what comes in bursts. */
const BUSY_SHARE = 0.8;
/** Weight of the newest measurement of what a consumer does. */
const NEWEST_SHARE = 0.3;
const MAX_SEEN = 10_000;

/**
 * How many consumers there should be: as many as do what arrives and, in the time given, what waits. Before it was seen
 * what one of them does, one more as long as something waits.
 */
export function suggestConsumers(load: Load, { drainMs, min, max }: ScalingGoal): number {
  return Math.min(max, Math.max(min, wanted(load, drainMs)));
}

function wanted({ backlog, leased, consumers, arrivalRate, consumerRate }: Load, drainMs: number): number {
  if (backlog === 0 && leased === 0 && (arrivalRate ?? 0) === 0) return 0;
  if (consumerRate !== null)
    return Math.ceil(((arrivalRate ?? 0) + backlog / (drainMs / 1000)) / (consumerRate * BUSY_SHARE));
  if (backlog > 0) return consumers + 1;
  // Nothing waits: those that have nothing are not needed.
  return Math.max(1, Math.min(consumers, leased));
}

/** When the backlog is gone if all goes on as it does, in seconds; null when it never will be. */
export function drainSeconds({ backlog, arrivalRate, serviceRate }: Load): number | null {
  if (backlog === 0) return 0;
  const gain = (serviceRate ?? 0) - (arrivalRate ?? 0);
  return gain > 0 ? backlog / gain : null;
}

interface Seen {
  at: number;
  /** Something waited then. */
  waited: boolean;
  consumerRate: number | null;
}

/** Loads of subscriptions, from the looks at their counts. */
export class LoadMeter {
  readonly #rates: Rates;
  /** By key, those that were asked for last at the end. */
  readonly #seen = new Map<string, Seen>();

  constructor(clock: Clock, sampleMs?: number) {
    this.#rates = new Rates(clock, sampleMs);
  }

  /** @param key names this subscription, and no other that had its name before */
  look(key: string, topic: TopicStats, of: SubscriptionStats): Load {
    const { ready, delayed, leased, depth, consumers, acked, deadLettered, expired } = of;
    const measured = this.#rates.look(key, { published: topic.published, depth, acked, deadLettered, expired });
    const { rates } = measured;
    const serviceRate = notNegative(rates['acked']);
    return {
      backlog: ready,
      delayed,
      leased,
      consumers,
      arrivalRate: notNegative(topic.kind === 'queue' ? rates['published'] : arrivals(rates)),
      serviceRate,
      consumerRate: this.#consumerRate(key, measured.at, { waits: ready > 0, consumers, serviceRate }),
    };
  }

  /** Only consumers for which something waited all the time show what they can do. */
  #consumerRate(
    key: string,
    at: number,
    { waits, consumers, serviceRate }: { waits: boolean; consumers: number; serviceRate: number | null },
  ): number | null {
    const before = this.#seen.get(key);
    if (before?.at === at) return before.consumerRate;
    let consumerRate = before?.consumerRate ?? null;
    if (before?.waited === true && waits && consumers > 0 && serviceRate !== null && serviceRate > 0) {
      const now = serviceRate / consumers;
      consumerRate = consumerRate === null ? now : consumerRate + (now - consumerRate) * NEWEST_SHARE;
    }
    this.#seen.delete(key);
    this.#seen.set(key, { at, waited: waits, consumerRate });
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > MAX_SEEN && oldest !== undefined) this.#seen.delete(oldest);
    return consumerRate;
  }
}

/** A filter may keep messages of the topic away: what came is what is there more, and what went. */
function arrivals(rates: Readonly<Record<string, number>>): number | undefined {
  const { depth, acked = 0, deadLettered = 0, expired = 0 } = rates;
  return depth === undefined ? undefined : depth + acked + deadLettered + expired;
}

/** After a purge, or of a queue that was deleted and made anew, less is there than before. */
function notNegative(rate: number | undefined): number | null {
  return rate === undefined ? null : Math.max(0, rate);
}
