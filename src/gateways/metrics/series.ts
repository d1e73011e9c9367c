import { type Exposition, type Family, type Labels, labelText } from './exposition.ts';
import type { Slices } from './slices.ts';

/** One figure of every row. */
export interface Column extends Family {
  /** How the figures of the rows without series of their own become one. Default `sum`. */
  together?: 'sum' | 'max';
}

/** A queue, a topic, a subscription. */
export interface Row {
  /** Of this one alone, also after another of the same name took its place. */
  key: string;
  labels: Labels;
  /** As many as there are columns. */
  values: readonly number[];
  /** Those with the most have series of their own. */
  rank: number;
}

/**
 * Series for many things of one kind, at most `limit` of each column and one `other` for the rest, so that ten thousand
 * queues do not choke a scraper. Which ones have their own may change from one look to the next. Counters of `other` only
 * grow for all that: they gather what was counted by those that were in it at that time.
 */
export class SeriesGroup {
  readonly #columns: readonly Column[];
  readonly #limit: number;
  readonly #other: string;
  /** Of `other`, of the columns that are counters. */
  readonly #gathered: number[];
  /** What each row showed at the last look. */
  #last = new Map<string, readonly number[]>();
  #turn = Promise.resolve();

  constructor(columns: readonly Column[], options: { limit: number; other: Labels }) {
    this.#columns = columns;
    this.#limit = options.limit;
    this.#other = labelText(options.other);
    this.#gathered = columns.map(() => 0);
  }

  write(out: Exposition, rows: readonly Row[], slices: Slices): Promise<void> {
    // One after the other: what `other` has gathered is counted from look to look.
    return (this.#turn = this.#turn.then(() => this.#write(out, rows, slices)));
  }

  async #write(out: Exposition, rows: readonly Row[], slices: Slices): Promise<void> {
    const isOwn = this.#choose(rows);
    const seen = new Map<string, readonly number[]>();
    const together = this.#columns.map(() => 0);
    for (const [i, row] of rows.entries()) {
      if (slices.due()) await slices.rest();
      if (isOwn(i)) this.#writeRow(out, row.values, labelText(row.labels));
      else this.#gather(row, together);
      seen.set(row.key, row.values);
    }
    this.#last = seen;
    if (rows.length <= this.#limit && this.#gathered.every((count) => count === 0)) return;
    const other = this.#columns.map(({ type }, i) => (type === 'counter' ? this.#gathered : together)[i] ?? 0);
    this.#writeRow(out, other, this.#other);
  }

  /** Among equals the first ones: so an idle broker shows the same ones each time. */
  #choose(rows: readonly Row[]): (index: number) => boolean {
    if (rows.length <= this.#limit) return () => true;
    const ranks = Float64Array.from(rows, ({ rank }) => rank).sort();
    const least = ranks[ranks.length - this.#limit] ?? Infinity;
    let above = 0;
    for (const rank of ranks) if (rank > least) above++;
    let equals = this.#limit - above;
    return (index) => {
      const rank = rows[index]?.rank ?? 0;
      return rank > least || (rank === least && equals-- > 0);
    };
  }

  #gather({ key, values }: Row, together: number[]): void {
    const last = this.#last.get(key);
    for (const [i, column] of this.#columns.entries()) {
      const value = values[i] ?? 0;
      const before = together[i] ?? 0;
      if (column.type === 'counter') this.#gathered[i] = (this.#gathered[i] ?? 0) + value - (last?.[i] ?? 0);
      else together[i] = column.together === 'max' ? Math.max(before, value) : before + value;
    }
  }

  #writeRow(out: Exposition, values: readonly number[], labels: string): void {
    for (const [i, column] of this.#columns.entries()) out.addAs(column, values[i] ?? 0, labels);
  }
}
