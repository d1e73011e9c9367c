/** `docs/protocols/amqp.md` names a test for what it claims, and every method, argument and header of the protocol. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { claims } from '../claims.ts';
import { differenceRows } from './differential/differences.ts';
import { type FieldKind, METHODS, type MethodName, wireName } from '../../src/gateways/amqp/methods.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/protocols/amqp.md'), 'utf8');

const rows = claims(page).map((cells) => ({ claim: cells[0] ?? '', shownBy: cells.at(-1) ?? '' }));

/** As they stand in the code: arguments, headers, and the types of exchanges that are an argument of their declare. */
const NAME = /'((?:x|hash|railhead)-[a-z-]+|alternate-exchange|CC|BCC)'/g;

function textOf(patterns: string[], without?: RegExp): string {
  const files = globSync(patterns, { cwd: root }).filter((file) => without?.test(file) !== true);
  return files.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
}

test('every test that the AMQP page names exists', () => {
  const source = textOf([
    'src/{gateways/amqp,server,cli}/*.test.ts',
    'test/{authorize,conformance/amqp,kill}/*.test.ts',
  ]);
  assert.ok(rows.length > 100);
  assert.deepEqual(
    rows.filter(({ shownBy }) => !source.includes(`test('${shownBy}'`)),
    [],
  );
});

test('every method of the protocol is on the AMQP page', () => {
  const missing = (Object.keys(METHODS) as MethodName[])
    .map(wireName)
    .filter((name) => !page.includes(`\`${name}\``) && !(name.endsWith('-ok') || name === 'basic.get-empty'));
  assert.deepEqual(missing, []);
});

test('every argument and header that the gateway knows is in a row of the AMQP page', () => {
  const source = textOf(['src/gateways/amqp/*.ts'], /\.test\.ts$/);
  const names = new Set([...source.matchAll(NAME)].map(([, name = '']) => name));
  // Those that are put together from parts.
  for (const which of ['first', 'last']) {
    assert.ok(source.includes('`x-${which}-death-reason`'));
    names.add(`x-${which}-death-*`);
  }
  assert.ok(names.size > 40);
  const claims = rows.map(({ claim }) => claim);
  assert.deepEqual(
    [...names].filter((name) => !claims.some((claim) => claim.includes(`\`${name}\``))),
    [],
  );
});

test('every flag that a method has is in a row of the AMQP page', () => {
  const { accessRequest: _, ...methods } = METHODS;
  const flags = Object.values(methods).flatMap(({ fields }) =>
    Object.entries<FieldKind>(fields).flatMap(([name, kind]) =>
      kind === 'bit' && !name.startsWith('reserved')
        ? name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
        : [],
    ),
  );
  assert.ok(flags.length > 30);
  const claims = rows.map(({ claim }) => claim);
  assert.deepEqual(
    [...new Set(flags)].filter((flag) => !claims.some((claim) => new RegExp(`\\b${flag}\\b`).test(claim))),
    [],
  );
});

test('every difference that the scripts know of is on the AMQP page', () => {
  const missing = differenceRows().filter((row) => !page.includes(row));
  assert.deepEqual(missing, []);
});
