import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Action, Principal } from '../core/auth.ts';
import type { OperationName } from '../core/session.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { operations } from './operations.ts';

// The table of the engine has a line for each operation and no other: its type says so, and `keys` does not.
const OPERATIONS = Object.keys(operations) as OperationName[];

async function place(t: TestContext): Promise<EngineBench> {
  const bench = await new EngineBench().start();
  t.after(() => bench.broker.close());
  for (const name of ['q', 'secret']) await bench.session.request('declareTopic', { name, kind: 'queue' });
  return bench;
}

function who(...actions: Action[]): Principal {
  return { name: 'ann', grants: [{ namespace: '*', resource: '*', actions }] };
}

test('every operation is refused without the right, and with every right but its own', async (t) => {
  const bench = await place(t);
  const all: Action[] = ['configure', 'publish', 'consume', 'inspect', 'manage', 'admin'];
  for (const operation of OPERATIONS) {
    const others = all.filter((action) => action !== operations[operation].action);
    for (const principal of [{ name: 'ann', grants: [] }, who(...others)]) {
      // What it would do it with does not matter: it is refused before that is looked at. So no form is the right one.
      const args = { name: 'q', topic: 'q', subscription: 'q', places: [] };
      await assert.rejects(bench.connect(principal).request(operation, args), { code: 'FORBIDDEN' }, operation);
    }
  }
});

test('what a viewer may do changes nothing', () => {
  const changing = OPERATIONS.filter((operation) => operations[operation].full !== undefined);
  assert.ok(changing.length > 20);
  assert.deepEqual(
    changing.filter((operation) => operations[operation].action === 'inspect'),
    [],
  );
});

test('messages go in and out only with the right, also together and in pieces', async (t) => {
  const bench = await place(t);
  const publish = { to: { topic: 'q' }, format: 0, records: new Uint8Array(), count: 0 };
  const ref = { topic: 'q', subscription: 'q' };
  const sink = { deliver: () => {}, ended: () => {} };
  const ack = { ...ref, ranges: [], action: 'ack' as const };
  const nothing = { publishes: [], settlements: [], cursors: [] };
  const writer = bench.connect(who('configure', 'consume', 'inspect', 'manage', 'admin'));
  const reader = bench.connect(who('configure', 'publish', 'inspect', 'manage', 'admin'));
  for (const refused of [
    writer.publish(publish),
    writer.publish({ ...publish, to: { router: 'r', key: '' } }),
    writer.body({ topic: 'q' }, 2 << 20),
    writer.commit({ ...nothing, publishes: [publish] }),
    reader.consume({ ...ref, lease: 'session' }, sink),
    reader.settle([ack]),
    reader.commit({ ...nothing, settlements: [ack] }),
    reader.commit({ ...nothing, cursors: [{ cursor: 'c', topic: 'q', partition: 0, offset: 0 }] }),
  ])
    await assert.rejects(refused, { code: 'FORBIDDEN' });
});

test('a redrive to another queue, its end, and a schedule take the right to publish there', async (t) => {
  const bench = await place(t);
  const grants = [
    { namespace: 'default', resource: 'q', actions: 'all' as const },
    { namespace: 'default', resource: 'nightly', actions: 'all' as const },
    { namespace: '*', resource: '*', actions: ['inspect' as const] },
  ];
  const session = bench.connect({ name: 'ann', grants });
  const ref = { topic: 'q', subscription: 'q' };
  await assert.rejects(session.request('redrive', { ...ref, to: 'secret' }), { code: 'FORBIDDEN' });
  await assert.rejects(session.request('redriveProgress', { id: 'x', cancel: true }), { code: 'FORBIDDEN' });
  const schedule = { name: 'nightly', cron: '@daily', topic: 'secret', record: new Uint8Array() };
  await assert.rejects(session.request('putSchedule', schedule), { code: 'FORBIDDEN' });
});

test('the place of somebody else is moved by nobody who may read the topic alone, also in a transaction', async (t) => {
  const bench = await place(t);
  await bench.session.request('declareTopic', { name: 'log', kind: 'topic' });
  const as = (...resources: string[]) =>
    bench.connect({
      name: 'ann',
      grants: resources.map((resource) => ({
        namespace: 'default',
        resource,
        actions: ['consume', 'publish'] as const,
      })),
    });
  const cursors = [{ cursor: 'billing', topic: 'log', partition: 0, offset: 0 }];
  const commit = { publishes: [], settlements: [], cursors };
  const producer = await as('mine').request('claimProducer', { producer: 'mine' });
  for (const session of [as('log', 'mine'), as('billing', 'mine')]) {
    await assert.rejects(session.commit(commit), { code: 'FORBIDDEN' });
    await session.request('beginTransaction', producer);
    await assert.rejects(session.request('addToTransaction', { ...producer, cursors }), { code: 'FORBIDDEN' });
  }
  const both = as('log', 'billing', 'mine');
  await both.commit(commit);
  await both.request('addToTransaction', { ...producer, cursors });
});

test('whoever may peek at a queue sees how its bodies are read, and those that died elsewhere, and no other document', async (t) => {
  const bench = await place(t);
  const { session } = bench;
  const subscription = { deadLetter: 'work.dead' };
  await session.request('declareTopic', { name: 'work', kind: 'queue', subscription });
  for (const [kind, name] of [
    ['schema', 'q'],
    ['schema', 'secret'],
    ['schema', 'work'],
    ['user', 'q'],
  ] as const)
    await session.request('putDocument', { kind, name, value: `${kind} of ${name}` });
  await bench.send('work', 'dies');
  const ref = { topic: 'work', subscription: 'work' };
  const [run] = await bench.receive(ref, 1);
  assert.ok(run);
  const ranges = [{ partition: 0, offset: run.offset, count: 1, token: run.token }];
  await session.settle([{ ...ref, ranges, action: 'reject', reason: 'no' }]);
  await bench.quiet();
  const seen = async (name: string): Promise<string[]> => {
    const reader = bench.connect({ name: 'ann', grants: [{ namespace: '*', resource: name, actions: ['consume'] }] });
    await assert.rejects(reader.request('listDocuments', { kind: 'schema' }), { code: 'FORBIDDEN' });
    const { schemas } = await reader.request('peek', { topic: name, subscription: name, schemas: true });
    return (schemas ?? []).map(({ value }) => value);
  };
  assert.deepEqual(await seen('q'), ['schema of q']);
  assert.deepEqual(await seen('work.dead'), ['schema of work']);
  assert.equal((await session.request('peek', { topic: 'q', subscription: 'q' })).schemas, undefined);
});
