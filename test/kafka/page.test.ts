/** `docs/protocols/kafka.md` names a test for what it claims, and every API with its versions. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { APIS } from '../../src/gateways/kafka/apis.ts';
import { TOPIC_CONFIGS } from '../../src/gateways/kafka/configs.ts';
import { ERROR } from '../../src/gateways/kafka/errors.ts';
import type { Api } from '../../src/gateways/kafka/fields.ts';
import { claims } from '../claims.ts';
import { SHARE_CONFIGS } from '../../src/gateways/kafka/share/configs.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/protocols/kafka.md'), 'utf8');

test('every test that the Kafka page names exists', () => {
  const files = globSync(
    [
      'src/gateways/kafka/**/*.test.ts',
      'src/cli/protocol-ports.test.ts',
      'test/conformance/kafka/*.test.ts',
      'test/kafka/**/*.test.ts',
      'test/kill/kafka*.test.ts',
    ],
    { cwd: root },
  );
  const source = files.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
  const named = claims(page).map((cells) => cells.at(-1) ?? '');
  assert.ok(named.length > 30);
  assert.deepEqual(
    named.filter((name) => !source.includes(`test('${name}'`)),
    [],
  );
});

test('the Kafka page has every API with the versions that are spoken, and no other', () => {
  const spoken = Object.entries<Api>(APIS).map(
    ([name, { versions }]) => `${name.slice(0, 1).toUpperCase()}${name.slice(1)} ${versions.join('–')}`,
  );
  const listed = claims(page).flatMap(([name, versions, ...more]) =>
    more.length === 2 ? [`${name} ${versions}`] : [],
  );
  assert.deepEqual(listed.sort(), spoken.sort());
});

test('the Kafka page has every config that means something', () => {
  assert.deepEqual(
    [...TOPIC_CONFIGS.keys(), ...SHARE_CONFIGS.keys()].filter((name) => !page.includes(`\`${name}\``)),
    [],
  );
});

test('the Kafka page has every error that is given, with its code, and no other', () => {
  const given = Object.entries(ERROR).filter(([name]) => name !== 'NONE');
  const listed = page.matchAll(/^\| ([A-Z_]+) \| (-?\d+) \| \S/gm);
  assert.deepEqual(
    Array.from(listed, ([, name, code]) => `${name} ${code}`),
    given.map(([name, code]) => `${name} ${code}`),
  );
});
