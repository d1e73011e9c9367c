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

/** What a look has found, as far as it is needed. */
export interface Found<T> {
  readonly total: number;
  /** In the order in which they came. */
  readonly things: readonly T[];
}

/**
 * Takes things one by one as they are read, and keeps those that count: of the blank ones the first, which may get series of
 * their own. Most of ten thousand queues are blank, and are forgotten at once instead of being copied by each collection of
 * garbage until all are read.
 */
export class Finder<T> implements Found<T> {
  readonly things: T[] = [];
  total = 0;
  readonly #kind: Pick<Kind<T>, 'isBlank' | 'limit'>;
  #blank = 0;

  constructor(kind: Pick<Kind<T>, 'isBlank' | 'limit'>) {
    this.#kind = kind;
  }

  add(thing: T): void {
    this.total++;
    const { isBlank, limit } = this.#kind;
    if (isBlank?.(thing) !== true || this.#blank++ < limit) this.things.push(thing);
  }
}

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

  /** For one look. */
  finder(): Finder<T> {
    return new Finder(this.#kind);
  }

  write(out: Exposition, found: Found<T>, slices: Slices): Promise<void> {
    // One after the other: what `other` has gathered is counted from look to look.
    return (this.#turn = this.#turn.then(() => this.#write(out, found, slices)));
  }

  async #write(out: Exposition, { things, total }: Found<T>, slices: Slices): Promise<void> {
    const { columns, key, labels, limit, isBlank } = this.#kind;
    const isOwn = this.#choose(things, total);
    const texts: string[] = [];
    const values = columns.map((): number[] => []);
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
      if (own) {
        texts.push(labelText(labels(thing)));
        for (let c = 0; c < columns.length; c++) values[c]?.push(columns[c]?.of(thing) ?? 0);
      } else this.#gather(thing, this.#last.get(id), counted, together);
      if (counted !== undefined) seen.set(id, counted);
    }
    this.#last = seen;
    if (total > limit || this.#gathered.some((count) => count !== 0)) {
      const counts = new Map(this.#counters.map((column, i) => [column, this.#gathered[i] ?? 0]));
      texts.push(this.#other);
      for (const [i, column] of columns.entries()) values[i]?.push(counts.get(column) ?? together[i] ?? 0);
    }
    if (texts.length === 0) return;
    for (const [i, column] of columns.entries()) out.addSeries(column, { labels: texts, values: values[i] ?? [] });
  }

  /** Among equals the first ones: so an idle broker shows the same ones each time. */
  #choose(things: readonly T[], total: number): (index: number) => boolean {
    const { limit, rank } = this.#kind;
    if (total <= limit) return () => true;
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
}
