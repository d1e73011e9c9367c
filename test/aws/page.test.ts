/** `docs/protocols/sqs.md` names a test for what it claims, every action and every attribute. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { parseModel } from '../../src/gateways/aws/model.ts';
import { SQS_MODEL } from '../../src/gateways/aws/model/sqs.ts';
import { SETTINGS } from '../../src/gateways/aws/sqs/settings.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/protocols/sqs.md'), 'utf8');

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

test('every test that the SQS page names exists', () => {
  const files = globSync(['src/gateways/aws/**/*.test.ts', 'test/conformance/aws/*.test.ts', 'test/aws/*.test.ts'], {
    cwd: root,
  });
  const source = files.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
  const named = rows().filter(({ shownBy }) => shownBy !== '');
  assert.ok(named.length > 20);
  assert.deepEqual(
    named.filter(({ shownBy }) => !["test('", 'test("', 'test(`'].some((call) => source.includes(`${call}${shownBy}`))),
    [],
  );
});

test('every action and every attribute is on the SQS page', () => {
  const names = [...parseModel(SQS_MODEL).actions.keys(), ...Object.keys(SETTINGS)];
  assert.deepEqual(
    names.filter((name) => !page.includes(`\`${name}\``)),
    [],
  );
});
