import type { Row, Subscription } from './rows.ts';
import { thin } from './thin.ts';

export interface Point {
  at: number;
  in: number;
  out: number;
  ready: number;
  delayed: number;
  leased: number;
  oldestMs: number;
}

/** Those that something happens in; of 10,000 idle ones nothing is kept. */
const MAX_FOLLOWED = 300;
const GROWTH_MS = 60_000;

/** How the subscriptions that something happens in, or that are being looked at, went: since this page was opened, or longer. */
export class Trends {
  readonly #points = new Map<string, Point[]>();
  readonly #pinned = new Set<string>();

  /** Keeps it whatever happens. */
  pin(topic: string, subscription: string): void {
    this.#pinned.add(keyOf(topic, subscription));
  }

  add(at: number, rows: ReadonlyMap<string, Row>): void {
    const added = new Set<string>();
    for (const row of rows.values())
      for (const one of row.subscriptions) {
        // Most of 10,000 are idle and nobody looks at them: not even their key is made.
        if (one.depth === 0 && row.in === 0 && one.out === 0) continue;
        const key = keyOf(row.name, one.name);
        if (this.#points.has(key) || this.#points.size < MAX_FOLLOWED) added.add(this.#push(key, at, row, one));
      }
    for (const key of new Set([...this.#points.keys(), ...this.#pinned])) {
      if (added.has(key)) continue;
      const [topic = '', subscription = ''] = key.split('\n');
      const row = rows.get(topic);
      const one = row?.subscriptions.find(({ name }) => name === subscription);
      if (row !== undefined && one !== undefined) this.#push(key, at, row, one);
    }
  }

  #push(key: string, at: number, row: Row, one: Subscription): string {
    const points = this.#points.get(key) ?? [];
    points.push(pointOf(at, row, one));
    thin(points);
    this.#points.set(key, points);
    return key;
  }

  /** Puts before the points of a subscription what the broker knows of the time before them. */
  fill(topic: string, subscription: string, before: readonly Point[]): void {
    const key = keyOf(topic, subscription);
    const points = this.#points.get(key) ?? [];
    const first = points[0]?.at ?? Infinity;
    this.#points.set(key, [...before.filter(({ at }) => at < first), ...points]);
  }

  of(topic: string, subscription: string): readonly Point[] {
    return this.#points.get(keyOf(topic, subscription)) ?? [];
  }

  /** Against a minute ago; undefined before there is one. */
  growth(one: Subscription): number | undefined {
    const points = this.#points.get(keyOf(one.topic, one.name));
    const last = points?.at(-1);
    if (points === undefined || last === undefined) return undefined;
    const before = points.findLast(({ at }) => at <= last.at - GROWTH_MS);
    return before === undefined ? undefined : depthOf(last) - depthOf(before);
  }

  clear(): void {
    this.#points.clear();
  }
}

/** No name has a line end. */
function keyOf(topic: string, subscription: string): string {
  return `${topic}\n${subscription}`;
}

function pointOf(at: number, row: Row, one: Subscription): Point {
  const { ready, delayed, leased, out, oldestAt } = one;
  return { at, in: row.in, out, ready, delayed, leased, oldestMs: oldestAt === null ? 0 : Math.max(0, at - oldestAt) };
}

function depthOf({ ready, delayed, leased }: Point): number {
  return ready + delayed + leased;
}
