import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Acl, type AclOperation, Acls } from './acl.ts';
import {
  type Action,
  askingForKeys,
  covers,
  type Grant,
  isAuthorized,
  mayUse,
  type Principal,
  type Resource,
} from './auth.ts';
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

test('an action that is several operations of Kafka takes all of them allowed, and one that is denied is enough', () => {
  const everything: Grant = { namespace: '*', resource: '*', actions: 'all' };
  const allow = (operation: AclOperation, permission: Acl['permission'] = 'allow'): Acl => ({
    user: 'ann',
    kind: 'topic',
    pattern: 'literal',
    name: 'orders',
    operation,
    permission,
  });
  const topic: Resource = { namespace: 'default', kind: 'topic', name: 'orders' };
  const may = (action: Action, acls: readonly Acl[], grants: readonly Grant[] = []): boolean =>
    isAuthorized({ name: 'ann', grants, acls: new Acls(acls) }, action, topic);
  const actions = {
    configure: ['create', 'delete', 'alter', 'alterConfigs'],
    manage: ['read', 'delete', 'alter'],
  } as const;
  for (const action of ['configure', 'manage'] as const) {
    const all = actions[action].map((operation) => allow(operation));
    assert.equal(may(action, all), true);
    for (const missing of actions[action]) {
      const others = all.filter(({ operation }) => operation !== missing);
      assert.equal(may(action, others), false, `${action} without ${missing}`);
      // What ACLs do not say, grants do; what they deny, nobody gives.
      assert.equal(may(action, others, [everything]), true);
      assert.equal(may(action, [...all, allow(missing, 'deny')], [everything]), false, `${action}, ${missing} denied`);
    }
  }
});

test('who is gone may do nothing, whatever it was allowed by grants, patterns and ACLs', () => {
  const acls = new Acls([
    { user: 'ann', kind: 'topic', pattern: 'literal', name: 'c', operation: 'all', permission: 'allow' },
  ]);
  const grants: Grant[] = [{ namespace: '*', resource: '*', actions: 'all' }];
  for (const principal of [{ ...patterned, grants }, { ...patterned, acls }, patterned]) {
    const namespace = 'acls' in principal ? 'default' : 'shop';
    assert.equal(isAuthorized(principal, 'consume', queue('c', namespace)), true);
    assert.equal(isAuthorized({ ...principal, gone: true }, 'consume', queue('c', namespace)), false);
  }
});
