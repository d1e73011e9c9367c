/** Crash simulation: brokers started on what crashes left, 10 million times; `--states N`, `--from SEED`, `--lives`. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { Share, ShareReport } from '../simulation/share.ts';

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
let from = Number(values.from);
let states = 0;
let seeds = 0;
let delivered = 0;
const problems: string[] = [];

/** In pieces, so that something is seen and memory is given back. */
const PIECE = values.lives ? 300 : 20_000;

async function thread(): Promise<void> {
  while (states < wanted && problems.length === 0) {
    const share: Share = { kind: values.lives ? 'lives' : 'crash-points', from, step: 1, states: PIECE };
    from += 100_000;
    const report = await new Promise<ShareReport>((resolve, reject) => {
      const worker = new Worker(new URL('../simulation/share.ts', import.meta.url), { workerData: share });
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    states += report.states;
    seeds += report.seeds;
    delivered += report.delivered;
    problems.push(...report.problems);
    const seconds = (performance.now() - started) / 1000;
    console.log(`${states.toLocaleString('en')} states, ${seeds} seeds, ${(states / seconds).toFixed(0)}/s`);
  }
}

await Promise.all(Array.from({ length: threads }, () => thread()));
for (const problem of problems) console.error(problem);
console.log(
  `${states.toLocaleString('en')} ${values.lives ? 'lives' : 'crash states'} of ${seeds} seeds checked${delivered > 0 ? `, ${delivered.toLocaleString('en')} deliveries` : ''}; ${problems.length} problems`,
);
process.exitCode = problems.length > 0 ? 1 : 0;
