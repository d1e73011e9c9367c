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
  /** All of its figures are 0: then nobody needs to ask for each of them. Most of ten thousand queues are so. */
  isBlank?: (thing: T) => boolean;
  /** Those with the most have series of their own. */
  rank: (thing: T) => number;
  /** So many of them. */
  limit: number;
  /** Labels of the others. */
  other: Labels;
}

/** Between two looks at the time. */
const STEP = 16;

/**
 * Series for many things of one kind, at most `limit` of each column and one `other` for the rest, so that ten thousand
 * queues do not choke a scraper. Which ones have their own may change from one look to the next. Counters of `other` only
 * grow for all that: they gather what was counted by those that were in it at that time.
 */
export class SeriesGroup<T> {
  readonly #kind: Kind<T>;
  readonly #counters: readonly Column<T>[];
  readonly #gauges: readonly { column: Column<T>; index: number }[];
  readonly #other: string;
  /** Of `other`, by counter. */
  readonly #gathered: number[];
  /** What the counters of each showed at the last look; nothing of one that has counted nothing. */
  #last = new Map<string | number, readonly number[]>();
  #turn = Promise.resolve();

  constructor(kind: Kind<T>) {
    this.#kind = kind;
    this.#counters = kind.columns.filter(({ type }) => type === 'counter');
    this.#gauges = kind.columns.flatMap((column, index) => (column.type === 'gauge' ? [{ column, index }] : []));
    this.#other = labelText(kind.other);
    this.#gathered = this.#counters.map(() => 0);
  }

  write(out: Exposition, things: readonly T[], slices: Slices): Promise<void> {
    // One after the other: what `other` has gathered is counted from look to look.
    return (this.#turn = this.#turn.then(() => this.#write(out, things, slices)));
  }

  async #write(out: Exposition, things: readonly T[], slices: Slices): Promise<void> {
    const { columns, key, labels, limit, isBlank } = this.#kind;
    const isOwn = this.#choose(things);
    const seen = new Map<string | number, readonly number[]>();
    const together = columns.map(() => 0);
    for (let i = 0; i < things.length; i++) {
      if (i % STEP === 0 && slices.due()) await slices.rest();
      // Inside the bounds: the array is only read here.
      const thing = things[i] as T;
      const own = isOwn(i);
      const blank = isBlank?.(thing) === true;
      if (blank && !own && this.#last.size === 0) continue;
      const counted = blank ? undefined : this.#counted(thing);
      // Among those that have counted nothing, now and at the last look, nobody needs its name.
      const id = counted !== undefined || this.#last.size > 0 ? key(thing) : '';
      if (own) this.#writeLines(out, labelText(labels(thing)), ({ of }) => of(thing));
      else this.#gather(thing, this.#last.get(id), counted, together);
      if (counted !== undefined) seen.set(id, counted);
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
    const ranks = new Float64Array(things.length);
    // Those that hold nothing need not be sorted: of ten thousand queues that is most.
    const full: number[] = [];
    for (let i = 0; i < things.length; i++) {
      // Inside the bounds, as above.
      const each = rank(things[i] as T);
      ranks[i] = each;
      if (each > 0) full.push(each);
    }
    const isCrowded = full.length > limit;
    const least = isCrowded ? (full.sort((a, b) => b - a)[limit - 1] ?? Infinity) : 0;
    const above = isCrowded ? full.findIndex((each) => each <= least) : full.length;
    let equals = limit - Math.max(0, above);
    return (index) => {
      const own = ranks[index] ?? 0;
      return own > least || (own === least && equals-- > 0);
    };
  }

  /** Undefined for one that has counted nothing: most of ten thousand queues. */
  #counted(thing: T): readonly number[] | undefined {
    const counters = this.#counters;
    for (let i = 0; i < counters.length; i++)
      if (counters[i]?.of(thing) !== 0) return counters.map(({ of }) => of(thing));
    return undefined;
  }

  // Loops by index: the first scrapes run before anything is compiled, where an iterator costs more than the figures.
  #gather(
    thing: T,
    last: readonly number[] | undefined,
    counted: readonly number[] | undefined,
    together: number[],
  ): void {
    if (last !== undefined || counted !== undefined)
      for (let i = 0; i < this.#gathered.length; i++)
        this.#gathered[i] = (this.#gathered[i] ?? 0) + (counted?.[i] ?? 0) - (last?.[i] ?? 0);
    const gauges = this.#gauges;
    for (let i = 0; i < gauges.length; i++) {
      const gauge = gauges[i];
      if (gauge === undefined) continue;
      const value = gauge.column.of(thing);
      if (value === 0) continue;
      const before = together[gauge.index] ?? 0;
      together[gauge.index] = gauge.column.together === 'max' ? Math.max(before, value) : before + value;
    }
  }

  #writeLines(out: Exposition, labels: string, value: (column: Column<T>, index: number) => number): void {
    const { columns } = this.#kind;
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i];
      if (column !== undefined) out.addAs(column, value(column, i), labels);
    }
  }
}
