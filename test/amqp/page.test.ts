/** `docs/protocols/amqp.md` names a test for what it claims, and every method of the protocol. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { differenceRows } from './differential/differences.ts';
import { METHODS, type MethodName, wireName } from '../../src/gateways/amqp/methods.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/protocols/amqp.md'), 'utf8');

/** Of the tables with a column of tests: what is claimed, and the test that shows it. */
function rows(): { claim: string; shownBy: string }[] {
  const found: { claim: string; shownBy: string }[] = [];
  let inTable = false;
  for (const line of page.split('\n')) {
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    if (cells.at(-2) === 'test') inTable = true;
    else if (!line.startsWith('|')) inTable = false;
    else if (inTable && !line.startsWith('|---')) found.push({ claim: cells[1] ?? '', shownBy: cells.at(-2) ?? '' });
  }
  return found;
}

test('every test that the AMQP page names exists', () => {
  const files = globSync(['src/gateways/amqp/*.test.ts', 'test/conformance/amqp/*.test.ts'], { cwd: root });
  const source = files.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
  const named = rows().filter(({ shownBy }) => shownBy !== '');
  assert.ok(named.length > 40);
  assert.deepEqual(
    named.filter(({ shownBy }) => !source.includes(`test('${shownBy}'`)),
    [],
  );
});

test('every method of the protocol is on the AMQP page', () => {
  const missing = (Object.keys(METHODS) as MethodName[])
    .map(wireName)
    .filter((name) => !page.includes(`\`${name}\``) && !(name.endsWith('-ok') || name === 'basic.get-empty'));
  assert.deepEqual(missing, []);
});

test('every difference that the scripts know of is on the AMQP page', () => {
  const missing = differenceRows().filter((row) => !page.includes(row));
  assert.deepEqual(missing, []);
});
