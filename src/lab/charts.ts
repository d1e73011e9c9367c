/** Charts for a terminal, as text: they read the same in a log without colours. */

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;
const LEVELS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;

/** A horizontal bar, exact to an eighth of a character. Anything above zero is seen. */
export function bar(value: number, max: number, width: number): string {
  if (value <= 0 || max <= 0) return '';
  const eighths = Math.min(width * 8, Math.max(1, Math.round((value / max) * width * 8)));
  return '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '');
}

/** One character for each value, from 0 to the highest. */
export function sparkline(values: readonly number[], max = Math.max(1, ...values)): string {
  return values.map((value) => LEVELS[Math.round((Math.min(Math.max(value, 0), max) / max) * 7)] ?? '').join('');
}

export interface BarRow {
  label: string;
  value: number;
  /** What stands behind the bar. */
  text: string;
}

/** Bars below each other on one scale. The longest one takes what `width` leaves beside labels and texts. */
export function barRows(rows: readonly BarRow[], width: number): string[] {
  const max = Math.max(...rows.map(({ value }) => value));
  const labels = Math.max(...rows.map(({ label }) => label.length));
  const texts = Math.max(...rows.map(({ text }) => text.length));
  const room = Math.max(8, width - labels - texts - 3);
  return rows.map(({ label, value, text }) => `${label.padEnd(labels)}  ${bar(value, max, room)} ${text}`);
}
