/** `docs/protocols/amqp-management.md` has every endpoint that there is, no other, and names tests that exist. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { ROUTES } from '../../src/gateways/amqp/management/routes.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/protocols/amqp-management.md'), 'utf8');
const tests = ['conformance/amqp/management', 'conformance/amqp/monitoring', 'authorize/refused-logins']
  .map((name) => readFileSync(join(root, `test/${name}.test.ts`), 'utf8'))
  .join('\n');

test('the page of the management API has every endpoint, and no other', () => {
  const described = [...page.matchAll(/`((?:GET|PUT|POST|DELETE) \/[^`]*)`/g)].map(([, endpoint]) => endpoint);
  const endpoints = ROUTES.map(({ method, path }) => `${method} ${path}`);
  const inOrder = (all: readonly (string | undefined)[]): string[] => all.map(String).sort();
  assert.deepEqual(inOrder(described), inOrder(endpoints));
});

test('every test that the page of the management API names exists', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !line.endsWith('| test |'));
  assert.ok(rows.length > 30);
  const named = rows.map((line) => line.split('|').at(-2)?.trim() ?? '');
  assert.deepEqual(
    named.filter((name) => !tests.includes(`test('${name}'`)),
    [],
  );
  assert.ok(tests.includes(`"rabbitmqadmin of Debian's RabbitMQ does its work unmodified"`));
});
