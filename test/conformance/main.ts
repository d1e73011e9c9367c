/**
 * `npm run conformance`: the tests with clients of others that npm brings. With `--all` also the clients that need other
 * package managers, each in a temporary folder and through kills of the server; `--only NAME` runs one of these alone, and
 * `--list` says which there are. One that cannot be installed is skipped, and said so at the end.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CLIENTS, Skipped } from './wide/clients.ts';

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
  },
});
if (values.list) {
  for (const { name, from } of CLIENTS) console.log(`${name.padEnd(32)}${from}`);
  process.exit(0);
}
const unknown = values.only.filter((name) => CLIENTS.every((client) => client.name !== name));
if (unknown.length > 0) {
  console.error(`No such client: ${unknown.join()}. There are ${CLIENTS.map(({ name }) => name).join(', ')}.`);
  process.exit(1);
}
let failed = 0;
if (values.only.length === 0) {
  const runner = join(import.meta.dirname, '../../scripts/test.ts');
  const tests = spawn(process.execPath, [runner, `${import.meta.dirname}/**/*.test.ts`], { stdio: 'inherit' });
  const [code] = await once(tests, 'exit');
  if (code !== 0) failed++;
}
const outcomes: string[] = [];
const chosen = (name: string): boolean => (values.only.length > 0 ? values.only.includes(name) : values.all);
for (const client of CLIENTS.filter(({ name }) => chosen(name))) {
  const { name } = client;
  console.log(`\n== ${name}`);
  const cwd = await mkdtemp(join(tmpdir(), `railhead-conformance-`));
  try {
    outcomes.push(`passed   ${name}: ${await client.prove(cwd)}`);
  } catch (error) {
    const { message } = error instanceof Error ? error : new Error(String(error));
    if (!(error instanceof Skipped)) failed++;
    outcomes.push(`${error instanceof Skipped ? 'SKIPPED ' : 'FAILED  '} ${name}: ${message}`);
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
  console.log(outcomes.at(-1));
}
if (outcomes.length > 0) console.log(`\n${outcomes.join('\n')}`);
process.exit(failed > 0 ? 1 : 0);
