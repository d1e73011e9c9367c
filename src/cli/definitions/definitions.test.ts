/** Definitions as a file: written, read, compared and applied, against a real broker. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { type Result, Typist } from '../../../test/command-line.ts';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../../core/records.ts';
import type { Session } from '../../core/session.ts';
import { startServer, type RunningServer } from '../../server/index.ts';
import { existing } from './existing.ts';
import { exported } from './export.ts';
import { readDefinitions, writeDefinitions } from './file.ts';
import { planOf, type Plan } from './plan.ts';
import { deletions } from './prune.ts';

const FILE = `
queues:
  orders: { lease: 1m, maxAttempts: 7, order: key, deadLetter: { router: graves }, attributes: { shape: round } }
  plain:
topics:
  events:
    retain: { age: 7d }
    partitions: 4
    subscriptions:
      audit: { filter: { kind: [order], size: [{ numeric: ['>', 5] }] }, paused: true }
      mail:
routers:
  graves: { type: fanout, bindings: [{ to: { topic: plain } }] }
  sort:
    type: topic
    alternate: graves
    bindings:
      - { to: { topic: orders }, key: 'order.#' }
      - { to: { router: graves }, key: '*', filter: { urgent: [true] } }
`;

async function place(t: TestContext): Promise<{ server: RunningServer; session: Session }> {
  const server = await startServer({ memory: true, port: 0, host: ['127.0.0.1'] }, { log: pino({ level: 'silent' }) });
  t.after(() => server.close());
  return { server, session: server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) };
}

async function plan(session: Session, yaml: string): Promise<Plan> {
  return planOf(await readDefinitions(yaml, 'file'), await existing(session));
}

async function apply(session: Session, yaml: string): Promise<void> {
  for (const { run } of (await plan(session, yaml)).steps) await run(session);
}

test('everything in a file is made, and then there is nothing left to do', async (t) => {
  const { session } = await place(t);
  const { steps, impossible } = await plan(session, FILE);
  assert.deepEqual(impossible, []);
  assert.deepEqual(
    steps.map(({ how, what }) => `${how} ${what}`),
    [
      'create queue orders',
      'create queue plain',
      'create topic events',
      'create subscription events/audit',
      'create subscription events/mail',
      'create router graves',
      'create router sort',
      'create binding graves → plain',
      'create binding sort → orders with "order.#"',
      'create binding sort → graves with "*"',
    ],
  );
  await apply(session, FILE);
  const after = await plan(session, FILE);
  assert.deepEqual([after.steps, after.unchanged], [[], 10]);
});

test('what is exported makes the same in an empty broker', async (t) => {
  const [one, other] = [await place(t), await place(t)];
  await apply(one.session, FILE);
  const more = `
queues: { levels: { priorities: 8, defaultPriority: 4 } }
routers: { sort: { type: topic, bindings: [{ to: { topic: orders }, key: 'order.#', attributes: { of: somebody } }] } }
`;
  await apply(one.session, more);
  assert.deepEqual((await plan(one.session, more)).steps, []);
  const writer = new RecordBatchWriter();
  writer.append({}, 'tick');
  const record = writer.take().bytes;
  const schedule = { name: 'nightly', cron: '0 3 * * *', timezone: 'Europe/Zurich', topic: 'orders', record };
  await one.session.request('putSchedule', schedule);
  const file = await writeDefinitions(exported(await existing(one.session)));
  await apply(other.session, file);
  assert.equal(await writeDefinitions(exported(await existing(other.session))), file);
  assert.equal((await other.session.request('listSchedules', {})).schedules[0]?.timezone, 'Europe/Zurich');
  assert.match(file, /lease: 1m\n/);
  const { bindings } = await other.session.request('describeRouter', { name: 'sort' });
  const ofSomebody = bindings.filter(({ key, attributes }) => key === 'order.#' && attributes?.['of'] === 'somebody');
  assert.equal(ofSomebody.length, 1);
  const { subscription } = await other.session.request('describeTopic', { name: 'levels' });
  assert.equal(subscription?.defaultPriority, 4);
  assert.doesNotMatch(file, /maxCrashes/);
});

test('a change is shown with what it was, and what is not in the file stays', async (t) => {
  const { session } = await place(t);
  await apply(session, FILE);
  const { steps, others } = await plan(session, 'queues: { orders: { lease: 2m, maxMessages: 10 } }');
  assert.deepEqual(
    steps.map(({ how, what, changes }) => ({ how, what, changes })),
    [{ how: 'change', what: 'queue orders', changes: ['maxMessages: null → 10', 'lease: 1m → 2m'] }],
  );
  assert.deepEqual(others, ['topic events', 'queue plain', 'router graves', 'router sort']);
  await apply(session, 'queues: { orders: { lease: 2m, maxMessages: 10 } }');
  const { policy, subscription } = await session.request('describeTopic', { name: 'orders' });
  assert.deepEqual([policy.maxMessages, subscription?.leaseMs, subscription?.maxAttempts], [10, 120_000, 7]);
});

test('of a router the alternate changes, and what cannot change is said instead of passed over', async (t) => {
  const { session } = await place(t);
  await apply(
    session,
    `
routers:
  rest: { type: fanout }
  spread: { type: hash, hashHeader: user, attributes: { shape: round } }
`,
  );
  const changed = 'routers: { rest: { type: fanout }, spread: { type: hash, alternate: rest } }';
  const { steps, impossible } = await plan(session, changed);
  assert.deepEqual(
    steps.map(({ what, changes }) => [what, ...changes]),
    [['router spread', 'alternate: null → rest']],
  );
  assert.deepEqual(impossible, []);
  await apply(session, changed);
  const { alternate, hashHeader } = await session.request('describeRouter', { name: 'spread' });
  assert.deepEqual([alternate, hashHeader], ['rest', 'user']);
  assert.equal((await plan(session, changed)).unchanged, 2);
  const wrong = await plan(
    session,
    'routers: { spread: { type: hash, hashHeader: tenant, attributes: { shape: square } } }',
  );
  assert.deepEqual(wrong.impossible, [
    'router spread: hashHeader: user → tenant cannot change later',
    'router spread: attributes: {"shape":"round"} → {"shape":"square"} cannot change later',
  ]);
  await session.request('declareRouter', { name: 'constructor', type: 'fanout' });
  assert.deepEqual((await plan(session, changed)).others, ['router constructor']);
  const gone = await deletions(session, await readDefinitions(changed, 'file'), await existing(session));
  assert.deepEqual(
    gone.map(({ what }) => what),
    ['router constructor'],
  );
});

test('pruned, there is what the file names and nothing else, and each loss is counted first', async (t) => {
  const { session } = await place(t);
  await apply(session, FILE);
  for (const name of ['old', 'orders.dead', 'buried', 'gone-soon'])
    await session.request('declareTopic', { name, kind: 'queue', ...(name === 'gone-soon' && { transient: true }) });
  await session.request('declareRouter', { name: 'amq.topic', type: 'topic' });
  const writer = new RecordBatchWriter();
  writer.append({}, 'x');
  const records = writer.take().bytes;
  for (const topic of ['old', 'events'])
    await session.publish({ to: { topic }, format: FORMAT_NATIVE, records, count: 1 });
  await session.request('putSchedule', { name: 'nightly', cron: '0 3 * * *', topic: 'orders', record: records });
  const file = `
queues: { orders: { lease: 1m }, plain: { deadLetter: buried } }
topics: { events: { subscriptions: { audit: } } }
routers: { graves: { type: fanout }, sort: { type: topic, bindings: [{ to: { topic: orders }, key: 'order.#' }] } }
`;
  const prune = async () => deletions(session, await readDefinitions(file, 'file'), await existing(session));
  const steps = await prune();
  assert.deepEqual(
    steps.map(({ how, what, changes }) => [how, what, ...changes].join(' | ')),
    [
      'delete | binding graves → plain',
      'delete | binding sort → graves with "*"',
      'delete | schedule nightly',
      'delete | subscription events/mail | that has not settled 1',
      'delete | queue old | with 1 message',
    ],
  );
  for (const { run } of steps) await run(session);
  assert.deepEqual(await prune(), []);
  const left = await existing(session);
  assert.deepEqual([...left.topics.keys()].sort(), ['buried', 'events', 'gone-soon', 'orders', 'orders.dead', 'plain']);
  assert.deepEqual([...left.routers.keys()].sort(), ['amq.topic', 'graves', 'sort']);
});

test('what differs in little is seen: a pause, a time zone, the filter of a binding; another order of attributes is the same', async (t) => {
  const { session } = await place(t);
  const writer = new RecordBatchWriter();
  writer.append({}, 'x');
  const record = Buffer.from(writer.take().bytes).toString('base64');
  const file = ({ paused = false, zone = 'Europe/Berlin', urgent = true, attributes = 'a: x, b: y' } = {}): string => `
topics: { events: { attributes: { ${attributes} }, subscriptions: { audit: { paused: ${paused} } } } }
routers: { r: { type: topic, bindings: [{ to: { topic: events }, key: k, filter: { urgent: [${urgent}] } }] } }
schedules: { nightly: { cron: '0 3 * * *', timezone: ${zone}, topic: events, record: ${record} } }
`;
  await apply(session, file());
  const seen = async (yaml: string): Promise<string[]> =>
    (await plan(session, yaml)).steps.map(({ how, what, changes }) => [how, what, ...changes].join(' | '));
  assert.deepEqual(await seen(file()), []);
  assert.deepEqual(await seen(file({ attributes: 'b: y, a: x' })), []);
  assert.deepEqual(await seen(file({ paused: true })), ['change | subscription events/audit | paused: false → true']);
  assert.deepEqual(await seen(file({ zone: 'Asia/Tokyo' })), [
    'change | schedule nightly | timezone: Europe/Berlin → Asia/Tokyo',
  ]);
  assert.deepEqual(await seen(file({ urgent: false })), ['create | binding r → events with "k"']);
  await apply(session, file({ paused: true }));
  assert.deepEqual(await seen(file({ paused: true })), []);
});

test('where a subscription that the file names has its dead letters now is not pruned, whether the file says it or not', async (t) => {
  const { session } = await place(t);
  const file = 'topics: { events: { subscriptions: { audit: , mail: } } }';
  await apply(session, file);
  const ref = { topic: 'events', subscription: 'mail' };
  const policy = { deadLetter: 'buried' };
  await session.request('declareSubscription', { ...ref, policy, from: 'end', ifDifferent: 'update' });
  // Of `audit` by default; `mail` has another one, so that this name is nobody's.
  for (const name of ['events.audit.dead', 'buried', 'events.mail.dead', 'audit.dead'])
    await session.request('declareTopic', { name, kind: 'queue' });
  const steps = await deletions(session, await readDefinitions(file, 'file'), await existing(session));
  assert.deepEqual(
    steps.map(({ what }) => what),
    ['queue audit.dead', 'queue events.mail.dead'],
  );
});

test('that a queue is paused is exported, and applied: to one that is made, and to one that is there', async (t) => {
  const [{ session }, other] = [await place(t), await place(t)];
  const isPaused = async (at: Session): Promise<boolean | undefined> =>
    (await at.request('describeTopic', { name: 'orders' })).subscriptions[0]?.paused;
  await apply(session, 'queues: { orders: { paused: true }, plain: }');
  assert.equal(await isPaused(session), true);
  const text = await writeDefinitions(exported(await existing(session)));
  assert.equal(text, 'queues:\n  orders:\n    paused: true\n  plain: {}\n');
  await apply(other.session, text);
  assert.equal(await isPaused(other.session), true);
  // What a file leaves out stays.
  assert.deepEqual((await plan(session, 'queues: { orders: }')).steps, []);
  const { steps } = await plan(session, 'queues: { orders: { paused: false } }');
  assert.deepEqual(
    steps.map(({ how, what, changes }) => [how, what, ...changes]),
    [['change', 'queue orders', 'paused: true → false']],
  );
  await apply(session, 'queues: { orders: { paused: false } }');
  assert.equal(await isPaused(session), false);
  assert.equal((await plan(session, 'queues: { orders: { paused: false } }')).unchanged, 1);
});

test('what a subscription in the file will have for its dead letters is not pruned', async (t) => {
  const { session } = await place(t);
  await apply(session, 'queues: { graveyard: , other: }\ntopics: { events: { subscriptions: { audit: } } }');
  const file = 'topics: { events: { subscriptions: { audit: { deadLetter: graveyard } } } }';
  const steps = await deletions(session, await readDefinitions(file, 'file'), await existing(session));
  assert.deepEqual(
    steps.map(({ what }) => what),
    ['queue other'],
  );
});

test('what cannot change is said before anything is done', async (t) => {
  const { session } = await place(t);
  await apply(session, FILE);
  const { impossible, steps } = await plan(
    session,
    'queues: { orders: { order: fair }, plain: { priorities: 3 }, events: {} }\nrouters: { sort: { type: direct } }',
  );
  assert.deepEqual(impossible, [
    'queue orders: order: key → fair cannot change later',
    'queue plain: priorities: 1 → 3 cannot change later',
    'events is a topic and cannot become a queue',
    'router sort is of type topic and cannot become direct',
  ]);
  assert.ok(!steps.some(({ what }) => what.endsWith(' events') || what === 'router sort'));
});

test('an option that nobody knows is refused with its place', async () => {
  await assert.rejects(readDefinitions('queues: { a: { leese: 1m } }', 'my.yml'), /my\.yml: `queues\.a`: .*leese/);
  await assert.rejects(readDefinitions('queues: [', 'my.yml'), /my\.yml is not valid YAML/);
  await assert.rejects(readDefinitions('queues: { a: { lease: 30 } }', 'my.yml'), /`queues\.a\.lease`/);
});

test('the command shows the difference first, and does nothing that nobody agreed to', async (t) => {
  const { server, session } = await place(t);
  const typist = new Typist();
  t.after(() => typist.close());
  const railhead = (...args: string[]): Promise<Result> =>
    typist.run([...args, '--url', server.url], 'queues: { orders: { lease: 1m } }');
  const names = async (): Promise<string[]> => [...(await existing(session)).topics.keys()];
  const dry = await railhead('apply', '-f', '-', '--dry-run');
  assert.deepEqual([dry.code, dry.out.split('\n')[0]], [0, '+ queue orders']);
  const silent = await railhead('apply', '-f', '-');
  assert.equal(silent.code, 2);
  assert.match(silent.err, /Add --yes/);
  assert.deepEqual(await names(), []);
  assert.equal((await railhead('apply', '-f', '-', '--yes')).code, 0);
  assert.deepEqual(await names(), ['orders']);
  assert.equal((await railhead('export')).out, 'queues:\n  orders:\n    lease: 1m\n');
  await session.request('declareTopic', { name: 'old', kind: 'queue' });
  const pruning = await railhead('apply', '-f', '-', '--prune', '--dry-run');
  assert.match(pruning.out, /^- queue old$/m);
  assert.match(pruning.out, /1 to delete for good/);
  assert.equal((await railhead('apply', '-f', '-', '--prune')).code, 2);
  assert.deepEqual((await names()).sort(), ['old', 'orders']);
  assert.equal((await railhead('apply', '-f', '-', '--prune', '--yes')).code, 0);
  assert.deepEqual(await names(), ['orders']);
});
