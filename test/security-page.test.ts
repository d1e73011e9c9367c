/** `docs/security.md` names a test for each class of attack, or says that there is none. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { CHECK_NAMES } from '../src/server/doctor/checks.ts';

const root = resolve(import.meta.dirname, '..');

test('every test that docs/security.md names exists, and all 28 classes are there', () => {
  const page = readFileSync(join(root, 'docs/security.md'), 'utf8');
  const table = page.slice(page.indexOf('## Classes of attack'), page.indexOf('## Advisories'));
  const named = table
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| class'))
    .map((line) => line.split('|').at(-2)?.trim() ?? '');
  assert.equal(named.length, 28);
  const files = globSync(['src/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root });
  const source = files.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
  const quotes = ["'", '"', '`'];
  assert.deepEqual(
    named.filter((name) => name !== 'none yet' && !quotes.some((quote) => source.includes(`${quote}${name}${quote}`))),
    [],
  );
});

test('the hardening list of docs/security.md has each check of the doctor, and no other', () => {
  const page = readFileSync(join(root, 'docs/security.md'), 'utf8');
  const list = page.slice(page.indexOf('## Hardening'), page.indexOf('## Classes of attack'));
  const items = list.split(/^\d+\. /m).slice(1);
  assert.ok(items.length >= 7);
  const named = items.map((item) => [...(/\(([^()]*)\)\s*$/.exec(item)?.[1] ?? '').matchAll(/`([\w-]+)`/g)]);
  for (const [i, names] of named.entries()) assert.ok(names.length > 0, `line ${i + 1} has no check`);
  assert.deepEqual(named.flatMap((names) => names.map(([, name = '']) => name)).sort(), [...CHECK_NAMES].sort());
});
