import { isMet, show, showMust, spread, verdict, type Figure } from './figures.ts';
import type { Context, Outcome, Row } from './row.ts';

export interface Measured {
  row: Row;
  outcome: Outcome;
}

function range({ samples, unit }: Figure): string {
  const { min, median, max } = spread(samples);
  return samples.length === 1 ? show(median, unit) : `${show(min, unit)} / ${show(median, unit)} / ${show(max, unit)}`;
}

/** One line a figure: min / median / max, what it must be, and whether it is. */
export function asText({ figures, notes = [], skipped = [] }: Outcome): string {
  const width = Math.max(0, ...figures.map(({ what }) => what.length));
  return [
    ...figures.map(
      (figure) =>
        `  ${figure.what.padEnd(width)}  ${range(figure).padEnd(36)} n=${`${figure.samples.length}`.padEnd(3)} ${showMust(figure).padEnd(14)} ${verdict(figure)}`,
    ),
    ...notes.map((note) => `  note: ${note}`),
    ...skipped.map((what) => `  SKIPPED: ${what}`),
  ].join('\n');
}

export function asMarkdown(
  all: readonly Measured[],
  machine: readonly string[],
  context: Context,
  seconds: number,
): string {
  const figures = all.flatMap(({ outcome }) => outcome.figures);
  const missed = figures.filter((figure) => isMet(figure) === false);
  const lines = [
    '# What was measured',
    '',
    'Written by `npm run bench`. Min / median / max of n runs; the median decides. What is to be reached stands beside it.',
    '',
    ...machine.map((line) => `- ${line}`),
    `- scale ${context.scale}, ${context.runs} runs of the short ones, ${seconds} s in all`,
    `- ${figures.filter((figure) => isMet(figure) === true).length} of ${figures.filter((figure) => figure.must !== undefined).length} figures are met${missed.length === 0 ? '' : `; missed: ${missed.map((figure) => figure.what).join('; ')}`}`,
    '',
  ];
  for (const { row, outcome } of all) {
    lines.push(`## ${row.name}`, '', `${row.title}.`, '');
    if (outcome.figures.length > 0) {
      lines.push('| figure | min / median / max | n | must | |', '|---|---|---|---|---|');
      for (const figure of outcome.figures)
        lines.push(
          `| ${figure.what} | ${range(figure)} | ${figure.samples.length} | ${showMust(figure)} | ${verdict(figure)} |`,
        );
      lines.push('');
    }
    for (const note of outcome.notes ?? []) lines.push(`- ${note}`);
    for (const what of outcome.skipped ?? []) lines.push(`- **Skipped**: ${what}`);
    if ((outcome.notes ?? []).length + (outcome.skipped ?? []).length > 0) lines.push('');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}
