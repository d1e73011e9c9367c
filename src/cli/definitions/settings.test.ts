/** What a file says beside queues and topics: written, read, compared and applied, against a real broker. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { railhead, type Result } from '../../../test/command-line.ts';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../core/access.ts';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { storedPassword } from '../../core/passwords.ts';
import { OPERATOR_POLICY_DOCUMENT, Policies } from '../../gateways/policies.ts';
import { KeptVhostFacts } from '../../gateways/vhost-facts.ts';
import { VhostLimits } from '../../gateways/vhost-limits.ts';
import { type RunningServer, startServer } from '../../server/index.ts';
import { readDefinitions } from './file.ts';
import type { Plan } from './plan.ts';
import { exportedSettings, type Kept, planSettings, settingDeletions } from './settings.ts';

const FILE = `
vhost: { defaultQueueType: quorum, tags: [eu] }
policies:
  short: { pattern: '^orders', applyTo: queues, priority: 3, definition: { overflow: reject-publish, max-length: 1000 } }
operatorPolicies:
  strict: { pattern: '.*', definition: { max-length: 100 } }
vhostLimits: { max-queues: 50 }
schemas:
  orders: { message: shop.Order, protobuf: 'package shop; message Order { string id = 1; }' }
  events: { avro: { type: record, name: Event, fields: [] } }
permissions:
  ann: { write: '^orders$', read: '.*' }
topicPermissions:
  ann:
    events: { write: '^{username}\\.' }
    others: {}
`;

async function place(t: TestContext): Promise<{ server: RunningServer; kept: Required<Kept>; users: StoredUsers }> {
  const server = await startServer({ memory: true, port: 0, host: ['127.0.0.1'] }, { log: pino({ level: 'silent' }) });
  t.after(() => server.close());
  const session = (namespace: string) => server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace });
  const system = session(SYSTEM_NAMESPACE);
  return { server, kept: { namespace: 'shop', own: session('shop'), system }, users: new StoredUsers(system) };
}

async function planned(kept: Kept, yaml: string): Promise<Plan> {
  const plan: Plan = { steps: [], unchanged: 0, others: [], impossible: [] };
  await planSettings(plan, await readDefinitions(yaml, 'file'), kept);
  return plan;
}

async function apply(kept: Kept, yaml: string): Promise<void> {
  for (const { run } of (await planned(kept, yaml)).steps) await run(kept.own);
}

function shown({ steps }: Pick<Plan, 'steps'>): string[] {
  return steps.map(({ how, what, changes }) => [how, what, ...changes].join(' | '));
}

test('policies, limits and what users may do are made, and then there is nothing left to do', async (t) => {
  const { kept, users } = await place(t);
  await users.put({ name: 'ann', password: await storedPassword('secret-secret') });
  const plan = await planned(kept, FILE);
  assert.deepEqual(plan.impossible, []);
  assert.deepEqual(shown(plan), [
    'change | virtual host | tags: [] → ["eu"] | defaultQueueType: classic → quorum',
    'create | schema of orders',
    'create | schema of events',
    'create | policy short',
    'create | operator policy strict',
    'create | limit max-queues',
    'create | permission of ann',
    'create | topic permission of ann for events',
    'create | topic permission of ann for others',
  ]);
  await apply(kept, FILE);
  const after = await planned(kept, FILE);
  assert.deepEqual([after.steps, after.unchanged], [[], 9]);
  assert.equal((await new KeptVhostFacts(kept.own).read()).defaultQueueType, 'quorum');
  assert.deepEqual(
    (await new Policies(kept.own, OPERATOR_POLICY_DOCUMENT).list()).map(({ name }) => name),
    ['strict'],
  );
  assert.deepEqual(await new VhostLimits(kept.own).read(), { 'max-queues': 50 });
  assert.deepEqual(await users.permissions(), [
    { user: 'ann', namespace: 'shop', configure: '', write: '^orders$', read: '.*' },
  ]);
});

test('what is exported makes the same in another namespace, and users stay where they are', async (t) => {
  const { kept, users, server } = await place(t);
  await users.put({ name: 'ann', password: await storedPassword('secret-secret') });
  await apply(kept, FILE);
  const { settings, hidden } = await exportedSettings(kept);
  assert.deepEqual(hidden, []);
  assert.deepEqual(settings, {
    vhost: { tags: ['eu'], defaultQueueType: 'quorum' },
    policies: {
      short: {
        pattern: '^orders',
        applyTo: 'queues',
        priority: 3,
        definition: { 'max-length': 1000, overflow: 'reject-publish' },
      },
    },
    operatorPolicies: { strict: { pattern: '.*', definition: { 'max-length': 100 } } },
    vhostLimits: { 'max-queues': 50 },
    schemas: {
      events: { avro: { type: 'record', name: 'Event', fields: [] } },
      orders: { protobuf: 'package shop; message Order { string id = 1; }', message: 'shop.Order' },
    },
    permissions: { ann: { write: '^orders$', read: '.*' } },
    topicPermissions: { ann: { events: { write: '^{username}\\.' }, others: {} } },
  });
  const own = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'staging' });
  const other = { ...kept, own, namespace: 'staging' };
  await apply(other, JSON.stringify(settings));
  assert.deepEqual((await exportedSettings(other)).settings, settings);
});

test('a change is shown with what it was; what the file does not name stays, or goes when it is pruned', async (t) => {
  const { kept, users } = await place(t);
  await users.put({ name: 'ann', password: await storedPassword('secret-secret') });
  await apply(kept, FILE);
  const file = `
policies: { short: { pattern: '^orders', applyTo: queues, priority: 3, definition: { max-length: 5 } } }
operatorPolicies: {}
topicPermissions: { ann: { events: { write: '^{username}\\.', read: 'x' } } }
`;
  const plan = await planned(kept, file);
  assert.deepEqual(shown(plan), [
    'change | policy short | definition: {"max-length":1000,"overflow":"reject-publish"} → {"max-length":5}',
    'change | topic permission of ann for events | read:  → x',
  ]);
  assert.deepEqual(plan.others, ['operator policy strict', 'topic permission of ann for others']);
  const steps = await settingDeletions(await readDefinitions(file, 'file'), kept);
  assert.deepEqual(shown({ steps }), [
    'delete | operator policy strict',
    'delete | topic permission of ann for others',
  ]);
  for (const { run } of steps) await run(kept.own);
  const { settings } = await exportedSettings(kept);
  // Sections that the file does not have are not pruned.
  assert.deepEqual(settings.vhostLimits, { 'max-queues': 50 });
  assert.deepEqual(settings.permissions, { ann: { write: '^orders$', read: '.*' } });
  assert.deepEqual(
    [settings.operatorPolicies, Object.keys(settings.topicPermissions?.['ann'] ?? {})],
    [undefined, ['events']],
  );
});

test('what cannot be is said before anything is done', async (t) => {
  const { kept } = await place(t);
  const { impossible } = await planned(
    kept,
    `
policies: { a: { pattern: '(', definition: { max-length: 1 } }, b: { pattern: x, definition: { ha-mode: all } } }
operatorPolicies: { c: { pattern: x, definition: { dead-letter-exchange: y } } }
permissions: { bob: {} }
topicPermissions: { bob: { events: {} } }
`,
  );
  const named = /^(policy [ab]|operator policy c|permission of bob|topic permission of bob for events): /;
  assert.ok(
    impossible.every((text) => named.test(text)),
    impossible.join('\n'),
  );
  assert.equal(impossible.length, 5);
  assert.match(impossible.at(-1) ?? '', /there is no stored user "bob"/);
  await assert.rejects(readDefinitions('vhostLimits: { max-cats: 1 }', 'my.yml'), /my\.yml: `vhostLimits/);
});

test('the command applies them and exports them, and who may not see them has the rest', async (t) => {
  const { server, users } = await place(t);
  await users.put({ name: 'root', password: await storedPassword('secret-secret'), role: 'admin' });
  await users.put({ name: 'dev', password: await storedPassword('secret-secret'), role: 'operator' });
  const as = (who: string, args: string[], input = ''): Promise<Result> =>
    railhead([...args, '--url', server.url.replace('//', `//${who}:secret-secret@`)], { input });
  const file = 'queues:\n  orders:\nvhostLimits:\n  max-queues: 3\npermissions:\n  dev:\n    read: .*\n';
  const applied = await as('root', ['apply', '-f', '-', '--yes'], file);
  assert.equal(applied.code, 0, applied.err);
  assert.match(applied.out, /^\+ queue orders\n\+ limit max-queues\n\+ permission of dev\n/);
  const exported = await as('root', ['export']);
  assert.match(exported.out, /vhostLimits:\n {2}max-queues: 3\npermissions:\n {2}dev:\n {4}read: \.\*\n/);
  const partly = await as('dev', ['export']);
  assert.match(partly.out, /^queues:\n {2}orders:/);
  assert.doesNotMatch(partly.out, /max-queues/);
  assert.match(partly.err, /Left out, since that takes the right admin: .*vhostLimits, permissions/);
});
