import type { SubscriptionStats, SurveyedTopic, TopicStats } from '../../../core/stats.ts';
import { type LiveTotals, perSecond, tenths, TotalsCount } from './totals.ts';

/** How a subscription was at one moment. Rates are messages in a second since the point before. */
export interface HistoryPoint {
  at: number;
  /** Published to its topic. */
  in: number;
  /** Acked. */
  out: number;
  ready: number;
  delayed: number;
  leased: number;
  /** Age of the oldest message that is not settled, ms. */
  oldestMs: number;
}

export interface HistoryLimits {
  /** Points that are kept of each line, one in ten seconds. */
  points: number;
  /** Namespaces that are followed. */
  namespaces: number;
  /** Subscriptions that are followed: those in which something happened last. */
  subscriptions: number;
}

/** Of an hour. */
export const HISTORY_LIMITS: HistoryLimits = { points: 360, namespaces: 64, subscriptions: 500 };

/** Numbers of one point, as they lie in a ring: a `HistoryPoint` without its time. */
const WIDTH = 6;

/** What was counted at the look before. Of a topic that counted nothing yet, nothing is kept. */
interface Counted {
  published: number;
  acked: Map<string, number>;
  look: number;
}

/** The last points of a subscription. What lies between `last` and now is nothing but zeros, and not written. */
interface Line {
  first: number;
  last: number;
  ring: Float32Array;
}

/**
 * Rates and depths of all namespaces, and of the subscriptions in which something happens, from the start of the broker
 * on: rings of points, so that whoever looks for the first time sees how it came about.
 */
export class History<Sample extends LiveTotals> {
  readonly #limits: HistoryLimits;
  readonly #samples = new Map<string, Sample[]>();
  readonly #counted = new Map<string, Counted>();
  /** The one in which something happened last is the last. */
  readonly #lines = new Map<string, Line>();
  /** When each look was, by its number modulo the points. */
  readonly #times: Float64Array;
  /** Number of the newest look. */
  #look = -1;

  constructor(limits: HistoryLimits) {
    this.#limits = limits;
    this.#times = new Float64Array(limits.points);
  }

  /** The oldest first. */
  samples(namespace: string): readonly Sample[] {
    return this.#samples.get(namespace) ?? [];
  }

  /** The oldest first; none of a subscription in which nothing happened for long. */
  points(namespace: string, topic: string, subscription: string): HistoryPoint[] {
    const line = this.#lines.get(keyOf(namespace, topic, subscription));
    const points: HistoryPoint[] = [];
    const oldest = this.#look - this.#limits.points + 1;
    for (let look = Math.max(line?.first ?? Infinity, oldest); look <= this.#look; look++)
      points.push(pointOf(this.#times[look % this.#limits.points] ?? 0, line, look % this.#limits.points, look));
    return points;
  }

  /** Takes one look. `complete` adds what belongs to the process to what was counted in a namespace. */
  begin(
    at: number,
    complete: (totals: LiveTotals) => Sample,
  ): { add: (surveyed: SurveyedTopic) => void; end: () => void } {
    const look = this.#look + 1;
    const seconds = look === 0 ? 0 : (at - this.#timeOf(this.#look)) / 1000;
    // There from the start: of a broker without queues, memory and disk are what there is to see.
    const found = new Map([['default', new TotalsCount()]]);
    return {
      add: (surveyed) => {
        const { namespace, idle } = surveyed;
        let of = found.get(namespace);
        if (of === undefined) {
          if (found.size >= this.#limits.namespaces) return;
          found.set(namespace, (of = new TotalsCount()));
        }
        if (idle !== null) {
          of.addIdle(idle);
          return;
        }
        const { stats } = surveyed;
        const topic = `${namespace}\n${stats.name}`;
        const rates = this.#count(topic, stats, look, seconds);
        of.add(stats, { in: rates.in, out: rates.out.reduce((sum, one) => sum + one, 0) });
        for (const [index, one] of stats.subscriptions.entries())
          this.#follow(`${topic}\n${one.subscription}`, look, at, { one, in: rates.in, out: rates.out[index] ?? 0 });
      },
      end: () => {
        this.#look = look;
        this.#times[look % this.#limits.points] = at;
        this.#keep(found, complete);
        for (const [key, counted] of this.#counted) if (counted.look !== look) this.#counted.delete(key);
        this.#forgetIdle();
      },
    };
  }

  #timeOf(look: number): number {
    return this.#times[look % this.#limits.points] ?? 0;
  }

  #count(topic: string, stats: TopicStats, look: number, seconds: number): { in: number; out: number[] } {
    let counted = this.#counted.get(topic);
    if (counted === undefined) this.#counted.set(topic, (counted = { published: 0, acked: new Map(), look }));
    const { acked } = counted;
    const rates = {
      in: perSecond(stats.published, counted.published, seconds),
      out: stats.subscriptions.map((one) => perSecond(one.acked, acked.get(one.subscription) ?? 0, seconds)),
    };
    counted.look = look;
    counted.published = stats.published;
    for (const one of stats.subscriptions) acked.set(one.subscription, one.acked);
    return rates;
  }

  /** Writes a point, if something happens and there is room for one more line. */
  #follow(key: string, look: number, at: number, now: { one: SubscriptionStats; in: number; out: number }): void {
    const { one } = now;
    if (one.depth === 0 && now.in === 0 && now.out === 0) return;
    const { points } = this.#limits;
    const line = this.#lines.get(key) ?? this.#newLine(look);
    if (line === undefined) return;
    for (let quiet = Math.max(line.last + 1, look - points + 1); quiet < look; quiet++)
      line.ring.fill(0, (quiet % points) * WIDTH, (quiet % points) * WIDTH + WIDTH);
    const age = one.oldestAt === null ? 0 : Math.max(0, at - one.oldestAt);
    line.ring.set([now.in, now.out, one.ready, one.delayed, one.leased, age], (look % points) * WIDTH);
    line.last = look;
    this.#lines.delete(key);
    this.#lines.set(key, line);
  }

  #newLine(look: number): Line | undefined {
    const { points, subscriptions } = this.#limits;
    if (this.#lines.size >= subscriptions) {
      const [oldest] = this.#lines;
      if (oldest === undefined || oldest[1].last >= look - 1) return undefined;
      this.#lines.delete(oldest[0]);
    }
    return { first: look, last: look, ring: new Float32Array(points * WIDTH) };
  }

  #forgetIdle(): void {
    for (const [key, { last }] of this.#lines) {
      if (last > this.#look - this.#limits.points) return;
      this.#lines.delete(key);
    }
  }

  #keep(found: ReadonlyMap<string, TotalsCount>, complete: (totals: LiveTotals) => Sample): void {
    for (const [namespace, of] of found) {
      const samples = this.#samples.get(namespace) ?? [];
      samples.push(complete(of.end()));
      if (samples.length > this.#limits.points) samples.shift();
      this.#samples.set(namespace, samples);
    }
    for (const namespace of this.#samples.keys()) if (!found.has(namespace)) this.#samples.delete(namespace);
  }
}

/** No name has a line end. */
function keyOf(namespace: string, topic: string, subscription: string): string {
  return `${namespace}\n${topic}\n${subscription}`;
}

function pointOf(at: number, line: Line | undefined, place: number, look: number): HistoryPoint {
  const values = line === undefined || look > line.last ? [] : line.ring.subarray(place * WIDTH, place * WIDTH + WIDTH);
  const [published = 0, acked = 0, ready = 0, delayed = 0, leased = 0, oldestMs = 0] = values;
  return { at, in: tenths(published), out: tenths(acked), ready, delayed, leased, oldestMs };
}
