import type { Row, Subscription } from './rows.ts';

export interface Point {
  at: number;
  in: number;
  out: number;
  ready: number;
  delayed: number;
  leased: number;
  oldestMs: number;
}

const MAX_POINTS = 600;
/** Those that something happens in; of 10,000 idle ones nothing is kept. */
const MAX_FOLLOWED = 300;
const GROWTH_MS = 60_000;

/** How the subscriptions that something happens in, or that are being looked at, went since this page was opened. */
export class Trends {
  readonly #points = new Map<string, Point[]>();
  readonly #pinned = new Set<string>();

  /** Keeps it whatever happens. */
  pin(topic: string, subscription: string): void {
    this.#pinned.add(keyOf(topic, subscription));
  }

  add(at: number, rows: ReadonlyMap<string, Row>): void {
    for (const row of rows.values())
      for (const one of row.subscriptions) {
        const key = keyOf(row.name, one.name);
        const known = this.#points.get(key);
        if (known === undefined && !this.#pinned.has(key) && one.depth === 0 && row.in === 0 && one.out === 0) continue;
        if (known === undefined && !this.#pinned.has(key) && this.#points.size >= MAX_FOLLOWED) continue;
        const points = known ?? [];
        if (known === undefined) this.#points.set(key, points);
        points.push(pointOf(at, row, one));
        if (points.length > MAX_POINTS) points.shift();
      }
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
