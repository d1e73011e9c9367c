/** Crash simulation over Kafka's protocol: producers, transactions and readers through lives of a broker; `--seeds N`, `--from SEED`. */
import { parseArgs } from 'node:util';
import { kafkaLives } from '../kafka/simulation/lives.ts';

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '5000' }, from: { type: 'string', default: '1000' } },
});
const from = Number(values.from);
const to = from + Number(values.seeds);
const REPORT_MS = 10_000;
let printedAt = performance.now();
const sum: Record<string, number> = {};
const problems: string[] = [];
for (let seed = from; seed < to && problems.length === 0; seed++) {
  try {
    const {
      problems: found,
      counts,
      transactions,
      acknowledged,
      commits,
      faults,
    } = await kafkaLives({
      seed,
      lives: 5,
      steps: 600,
    });
    problems.push(...found.map((problem) => `seed ${seed}: ${problem}`));
    for (const [key, count] of Object.entries({ seeds: 1, ...counts, ...transactions, acknowledged, commits, faults }))
      sum[key] = (sum[key] ?? 0) + count;
  } catch (error) {
    problems.push(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
  }
  if (performance.now() - printedAt < REPORT_MS) continue;
  printedAt = performance.now();
  console.log(sum);
}
for (const problem of problems) console.error(problem);
console.log(`${problems.length} problems`, sum);
process.exit(problems.length > 0 ? 1 : 0);
