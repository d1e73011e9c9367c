import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const script = resolve(import.meta.dirname, '../../scripts/test.ts');

/** Runs `npm test` over files with this content and gives its exit code, its last line and all it printed. */
function runTests(
  files: Record<string, string>,
  ...flags: string[]
): { code: number | null; last: string; output: string } {
  const directory = mkdtempSync(join(tmpdir(), 'railhead-reporter-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(
        join(directory, name),
        `import { test, describe } from 'node:test';\nimport assert from 'node:assert/strict';\n${text}`,
      );
    }
    // Without this variable gone, the runner inside would think that it is a file of the runner outside.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { status, stdout } = spawnSync(process.execPath, [script, ...Object.keys(files), ...flags], {
      cwd: directory,
      env,
      encoding: 'utf8',
    });
    return { code: status, last: stdout.trimEnd().split('\n').at(-1) ?? '', output: stdout };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test('a run that passes ends with its counts and code 0', () => {
  const { code, last } = runTests({
    'a.test.ts': `test('x', () => {}); describe('s', () => { test('y', () => {}); });`,
  });
  assert.deepEqual({ code, last }, { code: 0, last: '2 passed, 0 failed' });
});

test('a failure shows the path of the test and its diff', () => {
  const { code, last, output } = runTests({
    'a.test.ts': `describe('outer', () => { test('inner', () => assert.deepEqual({ a: 1 }, { a: 2 })); });\ntest('good', () => {});`,
  });
  assert.deepEqual({ code, last }, { code: 1, last: '1 passed, 1 failed' });
  assert.match(output, /✖ .*a\.test\.ts:3 {2}outer › inner/);
  assert.match(output, /\+ {3}a: 1\n\s+- {3}a: 2/);
});

test('skipped tests and suites are named with their reason and counted', () => {
  const { code, last, output } = runTests({
    'a.test.ts': `test('x', () => {}); test('y', { skip: 'no server here' }, () => {}); describe('s', { skip: 'no disk' }, () => { test('z', () => {}); });`,
  });
  assert.deepEqual({ code, last }, { code: 0, last: '1 passed, 0 failed, 2 skipped' });
  assert.match(output, /because: no server here/);
  assert.match(output, /because: no disk/);
});

test('a run in which only skipped tests were found fails', () => {
  const { code, last } = runTests({ 'a.test.ts': `test('y', { skip: 'no server here' }, () => {});` });
  assert.deepEqual({ code, last }, { code: 1, last: '0 passed, 0 failed, 1 skipped' });
});

test('a file without tests is a failure, but not when tests are chosen by name', () => {
  const files = { 'a.test.ts': `test('x', () => {});`, 'b.test.ts': '' };
  assert.equal(runTests(files).last, '1 passed, 1 failed');
  assert.equal(runTests(files, '--grep', 'x').last, '1 passed, 0 failed');
});

test('a file that dies, and an error after the last test, are failures', () => {
  const died = runTests({ 'a.test.ts': `test('x', () => { process.exit(3); });` });
  assert.equal(died.code, 1);
  assert.match(died.output, /ended with code 3/);
  const late = runTests({
    'a.test.ts': `setTimeout(() => { throw new Error('too late'); }, 20);\ntest('x', () => {}); test('y', async () => { await new Promise((r) => setTimeout(r, 60)); });`,
  });
  assert.equal(late.code, 1);
  assert.match(late.output, /too late/);
});
