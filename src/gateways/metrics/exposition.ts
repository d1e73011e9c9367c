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

/** The text format of Prometheus: all lines of a family stand together, whatever the order in which they were added. */
export class Exposition {
  readonly #families = new Map<string, string[]>();

  add(family: Family, value: number, labels: Labels = {}): void {
    this.addAs(family, value, labelText(labels));
  }

  /** With labels that were made once, by `labelText`. */
  addAs({ name, type, help }: Family, value: number, labels: string): void {
    this.#lines(name, type, help).push(`${name}${labels} ${value}`);
  }

  histogram(name: string, help: string, histogram: Histogram, labels: Labels = {}): void {
    const lines = this.#lines(name, 'histogram', help);
    const counts = histogram.cumulative();
    const total = counts.at(-1) ?? 0;
    for (const [i, count] of counts.entries()) {
      const le = histogram.bounds[i]?.toString() ?? '+Inf';
      lines.push(`${name}_bucket${labelText({ ...labels, le })} ${count}`);
    }
    lines.push(`${name}_sum${labelText(labels)} ${histogram.sum}`, `${name}_count${labelText(labels)} ${total}`);
  }

  /** All of it, in pieces that are small enough to be made and sent one at a time. */
  *pieces(): Generator<string, void> {
    let piece = '';
    for (const lines of this.#families.values()) {
      for (const line of lines) {
        piece += `${line}\n`;
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

  #lines(name: string, type: Family['type'] | 'histogram', help: string): string[] {
    let lines = this.#families.get(name);
    if (lines === undefined)
      this.#families.set(name, (lines = [`# HELP ${name} ${escapedHelp(help)}`, `# TYPE ${name} ${type}`]));
    return lines;
  }
}

const SPECIAL = /["\\\n]/;

/** `{a="1",b="2"}`. Values come from clients: names of queues may hold anything. */
export function labelText(labels: Labels): string {
  const text = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`);
  return text.length === 0 ? '' : `{${text.join(',')}}`;
}

function escaped(value: string): string {
  // Hardly any name has one of these, and there are thousands of names.
  if (!SPECIAL.test(value)) return value;
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

function escapedHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
