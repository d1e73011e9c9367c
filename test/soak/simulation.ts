/** Crash simulation: brokers started on what crashes left, 10 million times; `--states N`, `--from SEED`, `--lives`. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { inThread, type Share, type ShareReport } from '../simulation/share.ts';

const { values } = parseArgs({
  options: {
    states: { type: 'string', default: '10000000' },
    from: { type: 'string', default: '1000' },
    lives: { type: 'boolean', default: false },
    threads: { type: 'string', default: String(availableParallelism()) },
  },
});
const wanted = Number(values.states);
const threads = Number(values.threads);
const started = performance.now();
const REPORT_MS = 10_000;
let printedAt = started;

/** What each thread has done so far. A thread stays: the first seconds of a new one go into compiling. */
const shares = new Map<number, ShareReport>();

function sum(of: (report: ShareReport) => number): number {
  return [...shares.values()].reduce((total, report) => total + of(report), 0);
}

function progress(): void {
  const now = performance.now();
  if (now - printedAt < REPORT_MS) return;
  printedAt = now;
  const states = sum((report) => report.states);
  const rate = states / ((now - started) / 1000);
  const memory = (process.memoryUsage.rss() / 2 ** 20).toFixed(0);
  const seeds = sum((report) => report.seeds);
  console.log(`${states.toLocaleString('en')} states, ${seeds} seeds, ${rate.toFixed(0)}/s, ${memory} MiB`);
}

async function thread(i: number): Promise<void> {
  const share: Share = {
    kind: values.lives ? 'lives' : 'crash-points',
    from: Number(values.from) + i,
    step: threads,
    states: wanted / threads,
  };
  const note = (report: ShareReport): void => void shares.set(i, report);
  const report = await inThread(share, (soFar) => {
    note(soFar);
    progress();
  });
  note(report);
  if (report.problems.length > 0) summary();
}

await Promise.all(Array.from({ length: threads }, (_, i) => thread(i)));
summary();

/** Also as soon as one thread has found something: nobody waits an hour for the others. */
function summary(): never {
  const states = sum((report) => report.states);
  const seeds = sum((report) => report.seeds);
  const delivered = sum((report) => report.delivered);
  const problems = [...shares.values()].flatMap((report) => report.problems);
  for (const problem of problems) console.error(problem);
  console.log(
    `${states.toLocaleString('en')} ${values.lives ? 'lives' : 'crash states'} of ${seeds} seeds checked${delivered > 0 ? `, ${delivered.toLocaleString('en')} deliveries` : ''}; ${problems.length} problems`,
  );
  process.exit(problems.length > 0 ? 1 : 0);
}
