import { stripVTControlCharacters, styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** Results go to stdout, everything about them (progress, hints, errors) to stderr. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A value for a program to read: one line of JSON. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Coloured where the stream is a terminal and NO_COLOR is not set. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream });
}

/** Names, keys and errors come from strangers: none may move the cursor or forge a line. */
export function safe(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '�');
}

export interface Column<T> {
  title: string;
  of: (row: T) => string;
  align?: 'right';
}

/** Lines of a table, headings first. Cells may be coloured. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string[] {
  const cells = rows.map((row) => columns.map((column) => column.of(row)));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => width(line[index] ?? ''))),
  );
  const line = (texts: readonly string[]): string =>
    columns
      .map(({ align }, index) => {
        const text = texts[index] ?? '';
        const gap = ' '.repeat(Math.max(0, (widths[index] ?? 0) - width(text)));
        return align === 'right' ? gap + text : text + gap;
      })
      .join('  ')
      .trimEnd();
  return [paint('dim', line(columns.map(({ title }) => title))), ...cells.map(line)];
}

function width(text: string): number {
  return stripVTControlCharacters(text).length;
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** How long ago, in the largest unit that fits. */
export function age(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** One line that is written over; nothing where stderr is not a terminal. */
export class Progress {
  readonly #live = process.stderr.isTTY;
  #shownAt = 0;

  update(text: string): void {
    const now = Date.now();
    if (!this.#live || now - this.#shownAt < 100) return;
    this.#shownAt = now;
    process.stderr.write(`\r\x1b[2K${text}`);
  }

  end(): void {
    if (this.#live && this.#shownAt > 0) process.stderr.write('\r\x1b[2K');
  }
}
