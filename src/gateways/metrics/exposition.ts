import type { Histogram } from '../../core/histogram.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Family {
  name: string;
  type: 'gauge' | 'counter';
  help: string;
}

/** Media type of the text format of Prometheus. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const PIECE_CHARS = 64 << 10;

/** Series of one family: each has its labels, as `labelText` made them, and its value. */
export interface Series {
  readonly labels: readonly string[];
  readonly values: readonly number[];
}

/**
 * The text format of Prometheus: all lines of a family stand together, whatever the order in which they were added. Of many
 * series the lines are made when they are sent: thousands of texts that wait are copied by each collection of garbage.
 */
export class Exposition {
  readonly #families = new Map<string, (string | { name: string; series: Series })[]>();

  add({ name, type, help }: Family, value: number, labels: Labels = {}): void {
    this.#lines(name, type, help).push(`${name}${labelText(labels)} ${value}`);
  }

  addSeries({ name, type, help }: Family, series: Series): void {
    this.#lines(name, type, help).push({ name, series });
  }

  /** @param le how a bound is written, where those who ask for it write it in another way */
  histogram(
    name: string,
    help: string,
    histogram: Histogram,
    labels: Labels = {},
    le: (bound: number) => string = String,
  ): void {
    const lines = this.#lines(name, 'histogram', help);
    const counts = histogram.cumulative();
    const total = counts.at(-1) ?? 0;
    for (const [i, count] of counts.entries()) {
      const bound = histogram.bounds[i];
      lines.push(`${name}_bucket${labelText({ ...labels, le: bound === undefined ? '+Inf' : le(bound) })} ${count}`);
    }
    lines.push(`${name}_sum${labelText(labels)} ${histogram.sum}`, `${name}_count${labelText(labels)} ${total}`);
  }

  /** All of it, in pieces that are small enough to be made and sent one at a time. */
  *pieces(): Generator<string, void> {
    let piece = '';
    for (const added of this.#families.values()) {
      for (const one of added) {
        if (typeof one === 'string') piece += `${one}\n`;
        else {
          const { name, series } = one;
          for (let i = 0; i < series.labels.length; i++) {
            piece += `${name}${series.labels[i] ?? ''} ${series.values[i] ?? 0}\n`;
            if (piece.length < PIECE_CHARS) continue;
            yield piece;
            piece = '';
          }
        }
        if (piece.length < PIECE_CHARS) continue;
        yield piece;
        piece = '';
      }
    }
    if (piece !== '') yield piece;
  }

  text(): string {
    return [...this.pieces()].join('');
  }

  #lines(
    name: string,
    type: Family['type'] | 'histogram',
    help: string,
  ): (string | { name: string; series: Series })[] {
    let lines = this.#families.get(name);
    if (lines === undefined)
      this.#families.set(name, (lines = [`# HELP ${name} ${escapedHelp(help)}`, `# TYPE ${name} ${type}`]));
    return lines;
  }
}

const SPECIAL = /["\\\n]/;

/** `{a="1",b="2"}`. Values come from clients: names of queues may hold anything. */
export function labelText(labels: Labels): string {
  let text = '';
  // By name and not by entry: this runs for thousands of queues, the first times before anything is compiled.
  for (const label of Object.keys(labels))
    text += `${text === '' ? '{' : ','}${label}="${escaped(labels[label] ?? '')}"`;
  return text === '' ? '' : `${text}}`;
}

function escaped(value: string): string {
  // Hardly any name has one of these, and there are thousands of names.
  if (!SPECIAL.test(value)) return value;
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

function escapedHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
