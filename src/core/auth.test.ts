import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Action, askingForKeys, covers, isAuthorized, mayUse, type Principal, type Resource } from './auth.ts';
import { NamePattern } from './name-pattern.ts';

const queue = (name: string, namespace = 'shop'): Resource => ({ namespace, kind: 'topic', name });

test('a pattern is a name, or the beginning of names, and never a part of them', () => {
  const rows: [pattern: string, name: string, isCovered: boolean][] = [
    ['orders', 'orders', true],
    ['orders', 'orders-eu', false],
    ['orders*', 'orders', true],
    ['orders*', 'orders-eu', true],
    ['orders*', 'my-orders', false],
    ['orders*', 'order', false],
    ['*', '', true],
    ['or*ers', 'orders', false],
    ['', 'orders', false],
  ];
  for (const [pattern, name, isCovered] of rows) assert.equal(covers(pattern, name), isCovered, `${pattern} ${name}`);
});

/** RabbitMQ's patterns: `a` may be configured, `b` written, `c` read, `ac` configured and read. */
const patterned: Principal = {
  name: 'ann',
  grants: [],
  permissions: [
    {
      namespace: 'shop',
      configure: new NamePattern('^(a|ac)$'),
      write: new NamePattern('^(b|amq\\.default)$'),
      read: new NamePattern('^(c|ac)$'),
    },
  ],
};

test('of what patterns permit each action takes its own, and to manage takes configure and read', () => {
  const allowed = (action: Action): string[] =>
    ['a', 'b', 'c', 'ac', 'd'].filter((name) => isAuthorized(patterned, action, { ...queue(name), kind: 'router' }));
  assert.deepEqual(allowed('configure'), ['a', 'ac']);
  assert.deepEqual(allowed('publish'), ['b']);
  assert.deepEqual(allowed('consume'), ['c', 'ac']);
  assert.deepEqual(allowed('inspect'), ['c', 'ac']);
  assert.deepEqual(allowed('manage'), ['ac']);
  assert.deepEqual(allowed('admin'), []);
  assert.equal(isAuthorized(patterned, 'publish', queue('d')), true, 'to a queue through the default router');
  assert.equal(isAuthorized(patterned, 'configure', queue('a', 'elsewhere')), false);
  assert.deepEqual([mayUse(patterned, 'shop'), mayUse(patterned, 'elsewhere')], [true, false]);
});

test('who asks for keys has everything else of the one it stands for, also that it is gone', () => {
  const keyed = {
    ...patterned,
    tags: ['monitoring'],
    gone: true,
    outdated: true,
    grants: [{ namespace: 'shop', resource: 'q', actions: 'all' as const }],
    keyPermissions: [
      { namespace: 'shop', router: 'events', write: new NamePattern('^x$'), read: new NamePattern('^x$') },
    ],
  };
  const asking = askingForKeys(keyed);
  assert.equal(asking.keyPermissions, undefined);
  assert.deepEqual(
    [asking.name, asking.gone, asking.outdated, asking.tags, asking.grants, asking.permissions],
    [keyed.name, true, true, keyed.tags, keyed.grants, keyed.permissions],
  );
});
