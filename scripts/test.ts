/**
 * `npm test`: every `*.test.ts` of src and test, each file in its own process.
 * `npm run test:unit -- FILE…` runs those files; `--grep TEXT` keeps the tests whose name contains TEXT.
 */
import { existsSync, globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { run } from 'node:test';
import { parseArgs } from 'node:util';
import { Reporter } from './reporter.ts';

const root = resolve(import.meta.dirname, '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { grep: { type: 'string' }, concurrency: { type: 'string' } },
});

const missing = positionals.filter((path) => !path.includes('*') && !existsSync(path));
if (missing.length > 0) {
  console.error(
    `No such test file: ${missing.join(', ')}. Give paths from ${process.cwd()}, such as src/core/units.test.ts.`,
  );
  process.exit(1);
}
/** They take more than half a minute each: begun last, one of them would hold up the end alone. */
const LONG = ['test/simulation/', 'test/dashboard/', 'test/package/', 'src/cli/cli.test.ts'];
const isLong = (path: string): boolean => LONG.some((long) => path.replaceAll('\\', '/').startsWith(long));
const patterns = positionals.length > 0 ? positionals : ['src/**/*.test.ts', 'test/**/*.test.ts'];
const files = globSync(patterns, { cwd: positionals.length > 0 ? process.cwd() : root })
  .filter((path) => positionals.length > 0 || !/^test\/(soak|fixtures)\//.test(path.replaceAll('\\', '/')))
  .sort((a, b) => Number(isLong(b)) - Number(isLong(a)) || (a < b ? -1 : 1))
  .map((path) => resolve(positionals.length > 0 ? process.cwd() : root, path));

// Hundreds of processes read the same sources: what one has compiled the next need not. Of a checkout alone, whose
// files nobody else writes.
process.env['NODE_COMPILE_CACHE'] ??= resolve(root, 'node_modules/.cache/railhead-tests');

const reporter = new Reporter({
  write: (text) => process.stdout.write(text),
  root,
  colors: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
  filtered: values.grep !== undefined,
});
const stream = run({
  files,
  // The slow tests wait for child processes and syncs, so that more files than cores pays.
  concurrency: values.concurrency === undefined ? availableParallelism() + 1 : Number(values.concurrency),
  // The bare name `railhead` means src/ in tests; see `exports` in package.json.
  execArgv: ['--conditions=railhead-source'],
  timeout: 8 * 60_000,
  ...(values.grep === undefined ? {} : { testNamePatterns: [values.grep] }),
});
for await (const event of stream) reporter.onEvent(event);

const { passed, failed } = reporter.counts;
if (passed + failed === 0) console.error(`\nNo test ran. Looked for ${patterns.join(' and ')}.`);
reporter.end();
// A worker or socket left open by the runner itself must not turn a finished run into a hang.
process.exit(failed > 0 || passed === 0 ? 1 : 0);
