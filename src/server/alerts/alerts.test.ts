/** Alerts of a server whose clock the test moves, and where their notices come. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { ManualClock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { nextTurn } from '../../core/real-time.ts';
import { SeededRandom } from '../../core/random.ts';
import type { Session } from '../../core/session.ts';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { Slices } from '../../gateways/metrics/slices.ts';
import { alertRule, type AlertRuleInput, StoredAlerts } from '../../gateways/alerts.ts';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../core/access.ts';
import { Rail } from '../../sdk/rail.ts';
import { startServer, type ServerConfigInput } from '../index.ts';
import { AlertBoard } from './board.ts';
import { look } from './look.ts';
import type { Notice } from './notice.ts';
import { Notifier } from './notifier.ts';

/** Enough for a look and what it publishes, none of which waits for anything but the loop. */
const TURNS = 60;

async function place(
  t: TestContext,
  alerts: AlertRuleInput[],
  allowPrivateWebhooks = true,
  more: Pick<ServerConfigInput, 'alertSecret' | 'alertSecretFile'> = {},
) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = pino({ level: 'info', base: null }, { write: (line: string) => void lines.push(line) });
  const config = { memory: true, port: 0, host: ['127.0.0.1'], alerts, allowPrivateWebhooks, ...more };
  const server = await startServer(config, { clock, log, random: new SeededRandom(7) });
  t.after(() => server.close());
  const connect = (namespace: string): Session => server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace });
  const session = connect('default');
  const rail = new Rail({ session, clock });
  await session.request('declareTopic', { name: 'orders', kind: 'queue' });
  /** Moves in steps of one look. */
  const pass = async (seconds: number): Promise<void> => {
    for (let at = 0; at < seconds; at += 10) {
      clock.advance(10_000);
      for (let turn = 0; turn < TURNS; turn++) await nextTurn();
    }
  };
  return { clock, lines, pass, rail, server, system: connect(SYSTEM_NAMESPACE) };
}

/** Somebody who takes notices, with the status that the test says. */
async function webhook(t: TestContext) {
  const notices: Notice[] = [];
  const came: { headers: Record<string, string | undefined>; body: string }[] = [];
  const statuses: number[] = [];
  let asked = 0;
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    request.on('end', () => {
      asked++;
      const status = statuses.shift() ?? 200;
      if (status === 200) notices.push(JSON.parse(text) as Notice);
      // None of these is there twice.
      came.push({ headers: request.headers as Record<string, string | undefined>, body: text });
      response.writeHead(status).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return { url: `http://127.0.0.1:${address.port}/secret-path`, notices, came, statuses, asked: () => asked };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await nextTurn();
}

test('what holds for as long as a rule says is told once, and once more when it is over', async (t) => {
  const hook = await webhook(t);
  const rule = { name: 'deep', when: 'depth', above: 1, for: '1m', webhook: hook.url } as const;
  const { clock, pass, rail, server } = await place(t, [rule]);
  const orders = rail.queue('orders');
  await orders.send(1);
  await pass(60);
  await orders.send(2);
  const since = clock.now() + 10_000;
  await pass(60);
  assert.equal(hook.asked(), 0, 'it was not above for a minute yet');
  await pass(10);
  await until(() => hook.notices.length === 1);
  await pass(120);
  assert.equal(hook.asked(), 1, 'told once');
  assert.deepEqual(hook.notices[0], {
    text: 'ALERT: deep (depth above 1): orders: 2',
    id: hook.notices[0]?.id ?? '',
    rule: 'deep',
    state: 'firing',
    when: 'depth',
    above: 1,
    todo: 'More consumers, or faster ones; or fewer messages.',
    at: new Date(since + 60_000).toISOString(),
    broker: server.broker.info().journalId,
    total: 1,
    alerts: [
      {
        namespace: 'default',
        topic: 'orders',
        subscription: 'orders',
        value: 2,
        since: new Date(since).toISOString(),
      },
    ],
  });
  const [message] = await orders.fetch();
  await message?.ack();
  await pass(10);
  await until(() => hook.notices.length === 2);
  assert.equal(hook.notices[1]?.state, 'resolved');
  assert.match(hook.notices[0].id, /^alert_[\w-]{22}$/);
  assert.notEqual(hook.notices[1].id, hook.notices[0].id);
});

test('what is over before its time is told to nobody', async (t) => {
  const hook = await webhook(t);
  const { pass, rail } = await place(t, [{ name: 'deep', when: 'depth', above: 0, for: '1m', webhook: hook.url }]);
  const orders = rail.queue('orders');
  for (let i = 0; i < 3; i++) {
    await orders.send(i);
    await pass(50);
    await orders.purge();
    await pass(20);
  }
  assert.equal(hook.asked(), 0);
});

test('notices are messages in a queue too', async (t) => {
  const { pass, rail } = await place(t, [{ name: 'waits', when: 'noConsumers', for: '10s', topic: 'alerts' }]);
  // The rule is about all queues, so that it would tell of its own notices as well.
  const alerts = rail.queue('alerts');
  await rail.request('declareTopic', { name: 'alerts', kind: 'queue', policy: {} });
  await rail.queue('orders').send(1);
  await pass(20);
  const [message] = await alerts.fetch();
  assert.equal(message?.headers['railhead-alert'], 'waits');
  assert.equal(message.headers['railhead-alert-state'], 'firing');
  const { rule, alerts: subjects } = message.body as Notice;
  assert.equal(rule, 'waits');
  assert.equal(subjects[0]?.topic, 'orders');
});

test('a notice that does not get there is sent again after a while, and the next one waits for it', async (t) => {
  const hook = await webhook(t);
  hook.statuses.push(500, 302, 404);
  const { clock, lines, pass, rail } = await place(t, [
    { name: 'deep', when: 'depth', above: 0, for: 0, webhook: hook.url },
  ]);
  const orders = rail.queue('orders');
  await orders.send(1);
  await pass(10);
  await until(() => hook.asked() === 1);
  await orders.purge();
  for (let asked = 2; asked <= 4; asked++) {
    await until(() => lines.filter((line) => line.includes('failed, again')).length === asked - 1);
    clock.advance(60_000);
    await until(() => hook.asked() >= asked);
  }
  await pass(10);
  await until(() => hook.notices.length === 2);
  assert.deepEqual(
    hook.notices.map(({ state }) => state),
    ['firing', 'resolved'],
  );
  assert.ok(!lines.join('').includes('secret-path'), 'the address of a webhook is not logged');
});

test('a webhook on this machine, or in a private network, is not asked unless the configuration says so', async (t) => {
  const hook = await webhook(t);
  const rules: AlertRuleInput[] = [{ name: 'deep', when: 'depth', above: 0, for: 0, webhook: hook.url }];
  const { lines, pass, rail } = await place(t, rules, false);
  await rail.queue('orders').send(1);
  await pass(10);
  await until(() => lines.some((line) => line.includes('not public')));
  assert.equal(hook.asked(), 0);
});

test('a rule that is stored counts at once, before one of the same name in the configuration, and no more when deleted', async (t) => {
  const { pass, rail, server, system } = await place(t, [{ name: 'deep', when: 'depth', above: 100, for: 0 }]);
  const stored = new StoredAlerts(system);
  const shown = async (): Promise<{ rules: { from: string }[]; active: { rule: string; state: string }[] }> => {
    const response = await fetch(`${server.httpUrl}/api/v1/alerts`);
    return (await response.json()) as Awaited<ReturnType<typeof shown>>;
  };
  await rail.queue('orders').send(1);
  await pass(10);
  assert.deepEqual((await shown()).active, []);
  await stored.put({ name: 'deep', when: 'depth', above: 0, for: '20s', webhook: 'https://hooks.example.com/secret' });
  await pass(10);
  const { rules, active } = await shown();
  assert.deepEqual(
    rules.map(({ from }) => from),
    ['stored'],
  );
  assert.ok(!JSON.stringify(rules).includes('secret'));
  assert.deepEqual(
    active.map(({ rule, state }) => [rule, state]),
    [['deep', 'pending']],
  );
  await stored.delete('deep');
  await pass(10);
  assert.deepEqual((await shown()).active, []);
  await assert.rejects(stored.put({ name: 'x', when: 'depth' }), { code: 'INVALID' });
});

test('alerts are shown to who may inspect what they are about; those of the broker, and the rules, to who may do everything', async (t) => {
  const { clock, pass, rail, server, system } = await place(t, [
    { name: 'deep', when: 'depth', above: 0, for: 0 },
    { name: 'log', when: 'journal', above: 0, for: 0 },
  ]);
  const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'shop' });
  await session.request('declareTopic', { name: 'stock', kind: 'queue' });
  await new Rail({ session, clock }).queue('stock').send(1);
  await rail.queue('orders').send(1);
  const users = new StoredUsers(system);
  await users.put({ name: 'root', role: 'admin' });
  await users.put({ name: 'viewer', role: 'viewer' });
  await users.put({ name: 'shopkeeper' });
  await users.allow({ user: 'shopkeeper', namespace: 'shop', pattern: '*', verbs: ['publish', 'consume', 'manage'] });
  await users.put({ name: 'worker' });
  await users.allow({ user: 'worker', namespace: 'default', pattern: 'ord*', verbs: ['consume'] });
  await users.put({ name: 'nobody' });
  type Of = { subject: { topic: string } | null }[];
  const names = (alerts: Of): string[] => alerts.map(({ subject }) => subject?.topic ?? 'the broker').sort();
  const shown = async (user: string): Promise<[active: string[], ended: string[], rules: number | null]> => {
    const { id, secret } = await users.addAccessKey(user, clock.now());
    const headers = { authorization: `Bearer ${id}.${secret}` };
    const response = await fetch(`${server.httpUrl}/api/v1/alerts`, { headers });
    const told = (await response.json()) as { active: Of; ended: Of; rules: unknown[] | null };
    return [names(told.active), names(told.ended), told.rules?.length ?? null];
  };
  await pass(10);
  assert.deepEqual(await shown('root'), [['orders', 'stock', 'the broker'], [], 2]);
  assert.deepEqual(await shown('viewer'), [['orders', 'stock'], [], null]);
  assert.deepEqual(await shown('shopkeeper'), [['stock'], [], null]);
  assert.deepEqual(await shown('worker'), [['orders'], [], null]);
  assert.deepEqual(await shown('nobody'), [[], [], null]);
  await rail.queue('orders').purge();
  await pass(10);
  assert.deepEqual(await shown('worker'), [[], ['orders'], null]);
  assert.deepEqual(await shown('shopkeeper'), [['stock'], [], null]);
});

test('each condition is what it says', async (t) => {
  const { clock, rail, server } = await place(t, []);
  const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  await session.request('declareTopic', { name: 'paused', kind: 'queue' });
  await session.request('declareTopic', { name: 'worked', kind: 'queue' });
  const on = async (input: Omit<AlertRuleInput, 'name'>): Promise<(string | null)[]> => {
    const rule = alertRule({ name: 'rule', ...input });
    const found = await look([rule], { broker: server.broker, directory: '/', slices: new Slices() });
    return (found.get(rule) ?? []).map(({ subject }) => subject?.subscription ?? null);
  };
  for (const name of ['orders', 'paused', 'worked']) await rail.queue(name).send(1);
  await rail.queue('paused').pause();
  await session.consume(
    { topic: 'worked', subscription: 'worked', lease: 'session' },
    { deliver: () => {}, ended: () => {} },
  );
  const [message] = await rail.queue('orders').fetch();
  await message?.reject('no such shoes');
  await rail.queue('orders').send(2);
  clock.advance(60_000);
  await server.broker.settled();

  assert.deepEqual(
    new Set(await on({ when: 'depth', above: 0 })),
    new Set(['orders', 'orders.dead', 'paused', 'worked']),
  );
  assert.deepEqual(await on({ when: 'depth', above: 0, queues: 'or*', namespace: 'default' }), [
    'orders',
    'orders.dead',
  ]);
  assert.deepEqual(await on({ when: 'depth', above: 0, namespace: 'elsewhere' }), []);
  assert.deepEqual(await on({ when: 'deadLetters' }), ['orders.dead']);
  assert.deepEqual(await on({ when: 'noConsumers' }), ['orders']);
  assert.equal((await on({ when: 'oldest', above: '59s' })).length, 4);
  assert.deepEqual(await on({ when: 'oldest', above: '61s' }), []);
  assert.deepEqual(await on({ when: 'unhealthy' }), []);
  assert.deepEqual(await on({ when: 'disk', above: 0.001 }), [null]);
  assert.deepEqual(await on({ when: 'journal', above: '99%' }), []);

  const real = server.broker;
  const broker = {
    survey: () => real.survey(),
    health: () => ({ ...real.health(), reason: 'the disk is full' }),
    info: () => ({
      ...real.info(),
      counters: {
        journalUsedBytes: 95,
        journalCapacityBytes: 100,
        memoryRecentBytes: 90,
        memorySendBufferBytes: 9,
        memoryBudgetBytes: 100,
      },
    }),
  };
  for (const when of ['unhealthy', 'journal', 'memory'] as const) {
    const rule = alertRule({ name: when, when });
    const found = await look([rule], { broker, directory: null, slices: new Slices() });
    assert.equal(found.get(rule)?.length, 1, when);
  }
});

test('a rule that cannot be is refused in words', () => {
  const bad: [AlertRuleInput, RegExp][] = [
    [{ name: 'a', when: 'depth' }, /needs a limit/],
    [{ name: 'a', when: 'disk', queues: 'orders' }, /about the broker/],
    [{ name: 'a', when: 'disk', above: 100 }, /less than 100/],
    [{ name: 'a', when: 'unhealthy', above: 1 }, /leave `above` out/],
    [{ name: 'a', when: 'depth', above: 'many' }, /a number of messages/],
    [{ name: 'a', when: 'oldest', above: '1 fortnight' }, /above/],
    [{ name: 'a', when: 'depth', above: 1, topicNamespace: 'x' }, /name the topic/],
  ];
  for (const [rule, words] of bad) assert.throws(() => alertRule(rule), words);
});

test('what is tried again and again is given up, and what came later is told then', async () => {
  const clock = new ManualClock();
  const rule = alertRule({ name: 'deep', when: 'depth', above: 0 });
  const notice = (state: Notice['state']): Notice => ({ state }) as Notice;
  const tried: string[] = [];
  const failed: string[] = [];
  const notifier = new Notifier({
    clock,
    random: new SeededRandom(1),
    failed: (_rule, _error, final) => failed.push(final),
    send: async (_rule, { state }) => {
      tried.push(state);
      if (state === 'firing') throw new Error('nobody is there');
    },
  });
  notifier.notify(rule, notice('firing'));
  notifier.notify(rule, notice('resolved'));
  const began = clock.now();
  while (!tried.includes('resolved')) {
    await nextTurn();
    const next = clock.nextTimer();
    if (next !== undefined) clock.moveTo(next);
  }
  assert.equal(failed.at(-1), 'given up');
  assert.equal(tried.length, 19);
  assert.ok(clock.now() - began > 25 * 60_000 && clock.now() - began < 60 * 60_000, 'for about an hour');
});

test('many alerts of one look are one notice', () => {
  const board = new AlertBoard();
  const rule = alertRule({ name: 'deep', when: 'depth', above: 0, for: 0 });
  const findings = Array.from({ length: 10_000 }, (_, i) => ({
    subject: { namespace: 'default', topic: `q${i}`, subscription: `q${i}` },
    value: 1,
  }));
  const changes = board.update(rule, findings, 0);
  assert.equal(changes.length, 1);
  assert.equal(changes[0]?.alerts.length, 10_000);
  assert.deepEqual(board.update(rule, findings, 1), []);
  assert.equal(board.update(rule, findings.slice(5_000), 2)[0]?.state, 'resolved');
});

test('what is over is remembered with since when and until when, the last first, and so is what a rule left behind', () => {
  const board = new AlertBoard();
  const rule = alertRule({ name: 'deep', when: 'depth', above: 0, for: 10 });
  const finding = (name: string) => ({ subject: { namespace: 'default', topic: name, subscription: name }, value: 3 });
  board.update(rule, [finding('a'), finding('b'), finding('short')], 0);
  board.update(rule, [finding('a'), finding('b')], 10);
  assert.deepEqual(board.ended(), [], 'what was never told is not remembered');
  board.update(rule, [finding('a')], 20);
  board.forget('deep', 30);
  assert.deepEqual(
    board.ended().map(({ subject, since, until, end, value }) => [subject?.topic, since, until, end, value]),
    [
      ['a', 0, 30, 'rule', 3],
      ['b', 0, 20, 'over', 3],
    ],
  );
  const now = alertRule({ name: 'now', when: 'depth', above: 0, for: 0 });
  board.update(
    now,
    Array.from({ length: 1_000 }, (_, i) => finding(`q${i}`)),
    40,
  );
  board.update(now, [], 50);
  assert.equal(board.ended().length, 100);
});

test('a notice is signed with every secret, and verified by whoever has one of them', async (t) => {
  const { isFromRailhead } = await verifierOfTheDocument(t);
  const dir = await mkdtemp(join(tmpdir(), 'railhead-signing-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'secret');
  const secret = (): string => `whsec_${randomBytes(32).toString('base64')}`;
  const [old, next, foreign] = [secret(), secret(), secret()];
  await writeFile(file, `${old}\n`);
  const hook = await webhook(t);
  const rule = { name: 'deep', when: 'depth', above: 0, for: 0, webhook: hook.url } as const;
  const { clock, lines, pass, rail } = await place(t, [rule], true, { alertSecretFile: file });
  const verified = (index: number, by: string): boolean => {
    const { headers, body } = hook.came[index] ?? { headers: {}, body: '' };
    // The clock of the broker is not that of this machine.
    const seconds = Number(headers['webhook-timestamp']);
    assert.equal(seconds, Math.floor(clock.now() / 1_000));
    t.mock.timers.enable({ apis: ['Date'], now: seconds * 1_000 });
    try {
      assert.equal(isFromRailhead(headers, `${body} `, by), false, 'another body');
      assert.equal(isFromRailhead({ ...headers, 'webhook-id': 'alert_another' }, body, by), false, 'another id');
      const result = isFromRailhead(headers, body, by);
      t.mock.timers.setTime((seconds + 301) * 1_000);
      assert.equal(isFromRailhead(headers, body, by), false, 'an old one');
      return result;
    } finally {
      t.mock.timers.reset();
    }
  };
  const orders = rail.queue('orders');
  await orders.send(1);
  await pass(10);
  await until(() => hook.came.length === 1);
  assert.deepEqual([verified(0, old), verified(0, next), verified(0, foreign)], [true, false, false]);
  assert.equal(hook.came[0]?.headers['webhook-id'], hook.notices[0]?.id);

  await writeFile(file, `${next}\n${old}\n`);
  await orders.purge();
  await pass(10);
  await until(() => hook.came.length === 2);
  assert.deepEqual([verified(1, old), verified(1, next), verified(1, foreign)], [true, true, false]);

  await writeFile(file, 'not a secret\n');
  await orders.send(2);
  await pass(10);
  await until(() => lines.some((line) => line.includes('has no secrets')));
  assert.equal(hook.came.length, 2, 'nothing goes out without a signature');
  await writeFile(file, next);
  clock.advance(60_000);
  await until(() => hook.came.length === 3);
  assert.deepEqual([verified(2, old), verified(2, next)], [false, true]);
  for (const each of [old, next]) assert.ok(!lines.join('').includes(each.slice(6)), 'the log has a secret');
});

test('secrets that are none are refused at the start, and so are both ways to give them', async () => {
  const refused = (config: ServerConfigInput) =>
    assert.rejects(startServer({ memory: true, port: 0, ...config }), (error) => {
      assert.ok(RailheadError.is(error, 'CONFIG'));
      assert.match(error.message, /alertSecret/);
      assert.doesNotMatch(error.message, /too-short/);
      return true;
    });
  const good = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  await refused({ alertSecret: 'whsec_too-short' });
  await refused({ alertSecret: `${good} ${good} ${good}` });
  await refused({ alertSecretFile: '/nowhere/at/all' });
  await refused({ alertSecret: good, alertSecretFile: '/nowhere/at/all' });
});

/** The sample of docs/alerts.md. */
async function verifierOfTheDocument(t: TestContext): Promise<{
  isFromRailhead: (headers: Record<string, string | undefined>, body: string, secret: string) => boolean;
}> {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-verifier-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const page = await readFile(join(import.meta.dirname, '../../../docs/alerts.md'), 'utf8');
  const [, code = ''] = /```ts\n(\/\/ verify\.ts\n[\s\S]*?)```/.exec(page) ?? [];
  const file = join(dir, 'verify.ts');
  await writeFile(file, code);
  return (await import(file)) as Awaited<ReturnType<typeof verifierOfTheDocument>>;
}
