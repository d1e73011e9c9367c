/** Crash simulation over AMQP: a scripted client through lives of a broker, 20,000 seeds; `--seeds N`, `--from SEED`. */
import { parseArgs } from 'node:util';
import { amqpLives } from '../simulation/amqp-lives.ts';

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '20000' }, from: { type: 'string', default: '1000' } },
});
const from = Number(values.from);
const to = from + Number(values.seeds);
const REPORT_MS = 10_000;
let printedAt = performance.now();
const sum = { seeds: 0, lives: 0, confirmed: 0, delivered: 0, redelivered: 0 };
const problems: string[] = [];
for (let seed = from; seed < to && problems.length === 0; seed++) {
  try {
    const { problems: found, trace: _, ...counts } = await amqpLives({ seed, lives: 5, steps: 150 });
    problems.push(...found.map((problem) => `seed ${seed}: ${problem}`));
    sum.seeds++;
    for (const key of ['lives', 'confirmed', 'delivered', 'redelivered'] as const) sum[key] += counts[key];
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
