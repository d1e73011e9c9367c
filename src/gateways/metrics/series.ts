import { type Exposition, type Family, type Labels, labelText } from './exposition.ts';
import type { Slices } from './slices.ts';

/** One figure of everything of a kind. */
export interface Column<T> extends Family {
  of: (thing: T) => number;
  /** How the figures of those without series of their own become one. Default `sum`. */
  together?: 'sum' | 'max';
}

/** Queues, topics, subscriptions. */
export interface Kind<T> {
  columns: readonly Column<T>[];
  /** Of this one alone, also after another of the same name took its place. */
  key: (thing: T) => string | number;
  labels: (thing: T) => Labels;
  /** Those with the most have series of their own. */
  rank: (thing: T) => number;
  /** So many of them. */
  limit: number;
  /** Labels of the others. */
  other: Labels;
}

/**
 * Series for many things of one kind, at most `limit` of each column and one `other` for the rest, so that ten thousand
 * queues do not choke a scraper. Which ones have their own may change from one look to the next. Counters of `other` only
 * grow for all that: they gather what was counted by those that were in it at that time.
 */
export class SeriesGroup<T> {
  readonly #kind: Kind<T>;
  readonly #counters: readonly Column<T>[];
  readonly #other: string;
  /** Of `other`, by counter. */
  readonly #gathered: number[];
  /** What the counters of each showed at the last look; nothing of one that has counted nothing. */
  #last = new Map<string | number, readonly number[]>();
  #turn = Promise.resolve();

  constructor(kind: Kind<T>) {
    this.#kind = kind;
    this.#counters = kind.columns.filter(({ type }) => type === 'counter');
    this.#other = labelText(kind.other);
    this.#gathered = this.#counters.map(() => 0);
  }

  write(out: Exposition, things: readonly T[], slices: Slices): Promise<void> {
    // One after the other: what `other` has gathered is counted from look to look.
    return (this.#turn = this.#turn.then(() => this.#write(out, things, slices)));
  }

  async #write(out: Exposition, things: readonly T[], slices: Slices): Promise<void> {
    const { columns, key, labels, limit } = this.#kind;
    const isOwn = this.#choose(things);
    const seen = new Map<string | number, readonly number[]>();
    const together = columns.map(() => 0);
    for (const [i, thing] of things.entries()) {
      if (slices.due()) await slices.rest();
      const id = key(thing);
      if (isOwn(i)) this.#writeLines(out, labelText(labels(thing)), ({ of }) => of(thing));
      else this.#gather(thing, this.#last.get(id), together);
      if (this.#counters.some(({ of }) => of(thing) !== 0))
        seen.set(
          id,
          this.#counters.map(({ of }) => of(thing)),
        );
    }
    this.#last = seen;
    if (things.length <= limit && this.#gathered.every((count) => count === 0)) return;
    const counts = new Map(this.#counters.map((column, i) => [column, this.#gathered[i] ?? 0]));
    this.#writeLines(out, this.#other, (column, i) => counts.get(column) ?? together[i] ?? 0);
  }

  /** Among equals the first ones: so an idle broker shows the same ones each time. */
  #choose(things: readonly T[]): (index: number) => boolean {
    const { limit, rank } = this.#kind;
    if (things.length <= limit) return () => true;
    const ranks = Float64Array.from(things, rank);
    const sorted = ranks.toSorted();
    const least = sorted[sorted.length - limit] ?? Infinity;
    let above = 0;
    for (const each of ranks) if (each > least) above++;
    let equals = limit - above;
    return (index) => {
      const own = ranks[index] ?? 0;
      return own > least || (own === least && equals-- > 0);
    };
  }

  #gather(thing: T, last: readonly number[] | undefined, together: number[]): void {
    for (const [i, { of }] of this.#counters.entries())
      this.#gathered[i] = (this.#gathered[i] ?? 0) + of(thing) - (last?.[i] ?? 0);
    for (const [i, { type, of, together: how }] of this.#kind.columns.entries()) {
      if (type === 'counter') continue;
      const before = together[i] ?? 0;
      together[i] = how === 'max' ? Math.max(before, of(thing)) : before + of(thing);
    }
  }

  #writeLines(out: Exposition, labels: string, value: (column: Column<T>, index: number) => number): void {
    for (const [i, column] of this.#kind.columns.entries()) out.addAs(column, value(column, i), labels);
  }
}
