/**
 * npm run bench -- [NAME…] [--scale 0.1] [--runs 5] [--delays 0,1,5] [--out FILE] [--no-out]
 *
 * Measures the figures that the project promises, prints them with what they must reach, and writes them to
 * `benches/results.md`. Names: see below. A peer that is not installed is skipped and named.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Calm } from './harness/calm.ts';
import { describeMachine, machineLines } from './harness/machine.ts';
import { killAll } from './harness/process.ts';
import { asMarkdown, asText, type Measured } from './harness/report.ts';
import type { Context, Row } from './harness/row.ts';
import { killBuilt } from './peers/built.ts';
import { amqp } from './rows/amqp.ts';
import { aws } from './rows/aws.ts';
import { connections } from './rows/connections.ts';
import { consume } from './rows/consume.ts';
import { dashboard } from './rows/dashboard.ts';
import { embedded } from './rows/embedded.ts';
import { hooks } from './rows/hooks.ts';
import { jobs } from './rows/jobs.ts';
import { kafka } from './rows/kafka.ts';
import { latency } from './rows/latency.ts';
import { publish } from './rows/publish.ts';
import { queues } from './rows/queues.ts';
import { testBroker } from './rows/test-broker.ts';
import { declared, delayedAndKeys, waiting } from './rows/waiting.ts';

const ROWS: readonly Row[] = [
  publish,
  consume,
  embedded,
  latency,
  queues,
  waiting,
  delayedAndKeys,
  declared,
  testBroker,
  hooks,
  jobs,
  dashboard,
  connections,
  ...amqp,
  ...aws,
  ...kafka,
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scale: { type: 'string', default: '1' },
    runs: { type: 'string', default: '5' },
    delays: { type: 'string', default: '0,1,5' },
    out: { type: 'string' },
    'no-out': { type: 'boolean', default: false },
  },
});

const write = (text: string): void => void process.stdout.write(`${text}\n`);
const names = ROWS.map((row) => row.name);
/** By its name, or by the first word of it. */
const isMeant = (name: string, asked: string): boolean => name === asked || name.startsWith(`${asked} `);
const unknown = positionals.filter((asked) => !names.some((name) => isMeant(name, asked)));
if (unknown.length > 0) {
  process.stderr.write(`There is no bench ${unknown.join(', ')}; there are ${names.join(', ')}.\n`);
  process.exit(1);
}

const machine = machineLines(describeMachine());
for (const line of machine) write(line);
const began = performance.now();
const context: Context = {
  scale: Number(values.scale),
  runs: Number(values.runs),
  delays: values.delays.split(',').map(Number),
  calm: new Calm(),
  log: (text) => process.stderr.write(`  [${((performance.now() - began) / 1000).toFixed(0)} s] ${text}\n`),
};

const all: Measured[] = [];
let failed = false;
for (const row of ROWS) {
  if (positionals.length > 0 && !positionals.some((asked) => isMeant(row.name, asked))) continue;
  write(`\n${row.name}: ${row.title}`);
  let outcome: Measured['outcome'];
  try {
    outcome = await row.run(context);
  } catch (error) {
    failed = true;
    killAll();
    killBuilt();
    outcome = { figures: [], skipped: [`It failed: ${error instanceof Error ? error.message : String(error)}`] };
  }
  const note = context.calm.note();
  if (note !== undefined) outcome = { ...outcome, notes: [...(outcome.notes ?? []), note] };
  all.push({ row, outcome });
  write(asText(outcome));
}
const seconds = Math.round((performance.now() - began) / 1000);
write(`\n${seconds} s in all.`);
// A part of the rows does not replace the record of all of them.
const record = positionals.length === 0 ? new URL('results.md', import.meta.url).pathname : undefined;
const out = values['no-out'] ? undefined : (values.out ?? record);
if (out !== undefined) writeFileSync(out, asMarkdown(all, machine, context, seconds));
process.exitCode = failed ? 1 : 0;
