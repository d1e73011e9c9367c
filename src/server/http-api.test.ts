/** The HTTP API on the real broker, in memory, under a clock that the test moves. Every answer is checked against OpenAPI's schemas. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import avsc from 'avsc';
import { pino } from 'pino';
import { ManualClock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import { ROUTES } from '../gateways/http/routes/index.ts';
import { startServer } from './index.ts';

interface Shown {
  id: string;
  delivery: string;
  body: unknown;
  attempt: number;
  state: string;
  history: { reason: string; error: string; attempts: number };
}

interface Answer {
  status: number;
  messages: Shown[];
  body: Record<string, unknown>;
}

interface Api {
  url: string;
  /** Lines of the log of level error. */
  errors: string[];
  (method: string, path: string, body?: unknown): Promise<Answer>;
  advance: (ms: number) => Promise<void>;
}

const TOKEN = 'a-token-that-nobody-guesses';

async function api(t: TestContext): Promise<Api> {
  const clock = new ManualClock();
  const errors: string[] = [];
  const log = pino({ level: 'error' }, { write: (line: string) => void errors.push(line) });
  const config = { memory: true, port: 0, host: ['127.0.0.1'], token: TOKEN, journal: { segmentSize: '1MiB' } };
  const server = await startServer(config, { clock, log, random: new SeededRandom(7) });
  t.after(() => server.close());
  const call = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`${server.httpUrl}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const got = (await response.json()) as Record<string, unknown>;
    if (response.status === 200) checkResult(method, path, got);
    return { status: response.status, body: got, messages: (got['messages'] ?? []) as Shown[] };
  };
  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await server.broker.settled();
  };
  return Object.assign(call, { advance, url: server.httpUrl, errors });
}

const called = new Set<string>();

function checkResult(method: string, path: string, got: unknown): void {
  const route = ROUTES.find(({ spec }) => spec.method === method.toLowerCase() && matches(spec.path, path));
  assert.ok(route, `${method} ${path} is no route`);
  called.add(route.spec.operationId);
  const parsed = route.spec.result.safeParse(got);
  assert.equal(parsed.error?.message, undefined, `${method} ${path} answered ${JSON.stringify(got)}`);
}

function matches(pattern: string, path: string): boolean {
  const parts = pattern.split('/');
  const given = (path.split('?')[0] ?? '').split('/');
  // A literal segment wins over a parameter, as it does in the server.
  if (given.at(-1) === 'batch' && parts.at(-1) !== 'batch') return false;
  return parts.length === given.length && parts.every((part, index) => part.startsWith('{') || part === given[index]);
}

test('a message goes from publish to ack, with redelivery by delay in between', async (t) => {
  const call = await api(t);
  assert.equal((await call('PUT', '/queues/q', { lease: '1m', dedupeWindow: '5m' })).body['created'], true);
  assert.equal((await call('PUT', '/queues/q', { lease: '1m' })).body['created'], false);
  const sent = await call('POST', '/queues/q/messages', { body: { n: 1 }, dedupeId: 'a' });
  assert.deepEqual((await call('POST', '/queues/q/messages', { body: { n: 1 }, dedupeId: 'a' })).body, {
    id: sent.body['id'],
    duplicate: true,
  });

  const first = await call('POST', '/queues/q/receive', { max: 10 });
  assert.deepEqual(
    first.messages.map(({ id, attempt }) => [id, attempt]),
    [[sent.body['id'], 1]],
  );
  const deliveries = first.messages.map(({ delivery }) => delivery);
  assert.equal((await call('POST', '/settle', { deliveries, action: 'extend', lease: '5m' })).status, 200);
  assert.equal(
    (await call('POST', '/settle', { deliveries, action: 'release', delay: '10s', error: 'later' })).status,
    200,
  );
  assert.deepEqual((await call('POST', '/queues/q/receive')).messages, []);
  await call.advance(10_000);
  const second = await call('POST', '/queues/q/receive');
  assert.equal(second.messages[0]?.attempt, 2);
  const lost = await call('POST', '/settle', { deliveries, action: 'ack' });
  assert.equal(lost.status, 409);
  assert.equal(
    (await call('POST', '/settle', { deliveries: [second.messages[0].delivery], action: 'ack' })).status,
    200,
  );
  assert.deepEqual((await call('GET', '/queues/q/consumers')).body, { consumers: [] });
  const { body: stats } = await call('GET', '/queues/q/stats');
  assert.equal((stats['subscriptions'] as { acked: number; depth: number }[])[0]?.acked, 1);
  assert.equal((await call('GET', '/stats?prefix=q')).status, 200);
});

test('a timed lease ends by the clock, and the message comes again', async (t) => {
  const call = await api(t);
  await call('PUT', '/queues/q', {});
  await call('POST', '/queues/q/messages', { body: 1 });
  await call('POST', '/queues/q/receive', { lease: '30s' });
  await call.advance(29_000);
  assert.equal((await call('POST', '/queues/q/receive')).messages.length, 0);
  // The end of the lease counts as a failed attempt; the backoff follows.
  await call.advance(1_000);
  await call.advance(1_000);
  assert.equal((await call('POST', '/queues/q/receive')).messages[0]?.attempt, 2);
});

test('a rejected message is found among the dead letters, and redriven with another body', async (t) => {
  const call = await api(t);
  await call('PUT', '/queues/q', {});
  assert.deepEqual((await call('GET', '/queues/q/dead')).body, { queue: 'q.dead', messages: [] });
  await call('POST', '/queues/q/messages/batch', { messages: [{ body: 'bad', key: 'k' }, { body: 'worse' }] });
  const received = await call('POST', '/queues/q/receive', { max: 2 });
  await call('POST', '/settle', {
    deliveries: received.messages.map(({ delivery }) => delivery),
    action: 'reject',
    reason: 'no such address',
  });
  await call.advance(0);
  const dead = await call('GET', '/queues/q/dead');
  assert.deepEqual(
    dead.messages.map(({ body, history }) => [body, history.reason, history.error]),
    [
      ['bad', 'rejected', 'no such address'],
      ['worse', 'rejected', 'no such address'],
    ],
  );
  const [bad] = dead.messages;
  assert.ok(bad);
  const started = await call('POST', '/queues/q/dead/redrive', {
    ids: [bad.id],
    edits: [{ id: bad.id, body: 'good', key: 'k' }],
  });
  assert.equal(started.status, 200);
  await call.advance(1_000);
  const progress = await call('GET', `/redrives/${String(started.body['id'])}`);
  assert.deepEqual({ state: progress.body['state'], moved: progress.body['moved'] }, { state: 'done', moved: 1 });
  assert.equal((await call('POST', '/queues/q/receive')).messages[0]?.body, 'good');
  assert.deepEqual((await call('POST', '/queues/q/dead/drop')).body, { dropped: 1 });
  assert.equal((await call('DELETE', '/redrives/nope')).status, 404);
});

test('an undo puts back what was redriven since and nobody has taken, with its story', async (t) => {
  const call = await api(t);
  await call('PUT', '/queues/q', {});
  const bodies = ['before', 'taken', 'put back', 'too'];
  await call('POST', '/queues/q/messages/batch', { messages: bodies.map((body) => ({ body })) });
  const { messages: taken } = await call('POST', '/queues/q/receive', { max: 4 });
  const deliveries = taken.map(({ delivery }) => delivery);
  await call('POST', '/settle', { deliveries, action: 'reject', reason: 'no such address' });
  await call.advance(1_000);
  const waiting = async (path: string): Promise<string[]> =>
    (await call('GET', path)).messages.map(({ body }) => String(body)).toSorted();
  const [before] = (await call('GET', '/queues/q/dead')).messages;
  await call('POST', '/queues/q/dead/redrive', { ids: [before?.id] });
  await call('POST', '/queues/q/messages', { body: 'never died' });
  await call.advance(1_000);
  const { body: redrive } = await call('POST', '/queues/q/dead/redrive');
  await call.advance(1_000);
  assert.deepEqual(await waiting('/queues/q/messages'), ['before', 'never died', 'put back', 'taken', 'too']);
  await call('POST', '/queues/q/receive', { max: 3 });
  const undone = await call('POST', '/queues/q/dead/undo', { since: redrive['startedAt'] });
  assert.deepEqual(undone.body, { moved: 2 });
  const { messages: dead } = await call('GET', '/queues/q/dead');
  assert.deepEqual(dead.map(({ body, history }) => `${String(body)}: ${history.reason}, ${history.error}`).toSorted(), [
    'put back: rejected, no such address',
    'too: rejected, no such address',
  ]);
  assert.deepEqual((await call('POST', '/queues/q/dead/undo', { since: redrive['startedAt'] })).body, { moved: 0 });

  await call('PUT', '/queues/aside', {});
  const { body: aside } = await call('POST', '/queues/q/dead/redrive', { to: 'aside' });
  await call.advance(1_000);
  assert.deepEqual(await waiting('/queues/aside/messages'), ['put back', 'too']);
  await call('POST', '/queues/q/dead/undo', { since: aside['startedAt'], to: 'aside' });
  assert.deepEqual(await waiting('/queues/aside/messages'), []);
  assert.equal((await call('GET', '/queues/q/dead')).messages.length, 2);
});

test('a waiting message is peeked at, rescheduled, cancelled; the rest is purged', async (t) => {
  const call = await api(t);
  await call('PUT', '/queues/q', {});
  const { body } = await call('POST', '/queues/q/messages', { body: 'one', delay: '1h' });
  const id = String(body['id']);
  assert.equal((await call('GET', '/queues/q/messages?state=delayed')).messages[0]?.state, 'delayed');
  const moved = await call('POST', `/queues/q/messages/${id}/reschedule`, { delay: '2h' });
  assert.equal(moved.body['dueAt'], '2026-01-01T02:00:00.000Z');
  assert.equal((await call('POST', `/queues/q/messages/${id}/reschedule`, {})).status, 400);
  assert.deepEqual((await call('DELETE', `/queues/q/messages/${id}`)).body, { cancelled: true });
  await call('POST', '/queues/q/messages/batch', { messages: [{ body: 1 }, { body: 2 }] });
  assert.deepEqual((await call('POST', '/queues/q/purge')).body, { purged: 2 });
});

test('a paused queue gives nothing out until it is resumed', async (t) => {
  const call = await api(t);
  await call('PUT', '/queues/q', {});
  await call('POST', '/queues/q/messages', { body: 1 });
  await call('POST', '/queues/q/pause');
  assert.equal((await call('POST', '/queues/q/receive')).messages.length, 0);
  await call('POST', '/queues/q/resume');
  assert.equal((await call('POST', '/queues/q/receive')).messages.length, 1);
});

test('a topic keeps its messages for every subscription and for readers', async (t) => {
  const call = await api(t);
  await call('PUT', '/topics/t', { partitions: 2, retain: { age: '7d' } });
  await call('POST', '/topics/t/messages/batch', {
    messages: [
      { body: 1, key: 'a' },
      { body: 2, key: 'a' },
    ],
  });
  await call('PUT', '/topics/t/subscriptions/s?from=start', { maxAttempts: 3 });
  await call('PUT', '/topics/t/subscriptions/late', {});
  const path = '/topics/t/subscriptions/s';
  assert.deepEqual(
    (await call('POST', `${path}/receive`, { max: 9, autoAck: true })).messages.map(({ body }) => body),
    [1, 2],
  );
  assert.equal((await call('POST', '/topics/t/subscriptions/late/receive')).messages.length, 0);
  assert.equal((await call('POST', `${path}/seek`, { to: 'start' })).body['ready'], 2);
  assert.equal((await call('GET', `${path}/stats`)).body['ready'], 2);
  assert.equal((await call('PUT', `${path}/snapshots/one`, { expires: '1h' })).body['depth'], 2);
  assert.equal((await call('PUT', `${path}/snapshots/one`)).status, 409);
  assert.equal((await call('POST', `${path}/seek`, { to: 'end' })).body['ready'], 0);
  assert.equal((await call('POST', `${path}/seek`, { snapshot: 'one' })).body['ready'], 2);
  assert.equal((await call('POST', `${path}/seek`, { snapshot: 'one', to: 'end' })).status, 400);
  const { body: listed } = await call('GET', '/snapshots?topic=t');
  assert.deepEqual(
    (listed['snapshots'] as { snapshot: string; subscription: string }[]).map((one) => [
      one.snapshot,
      one.subscription,
    ]),
    [['one', 's']],
  );
  assert.equal((await call('DELETE', '/topics/t/snapshots/one')).body['deleted'], true);
  const described = await call('GET', '/topics/t');
  assert.deepEqual(
    (described.body['subscriptions'] as { subscription: string }[]).map(({ subscription }) => subscription).sort(),
    ['late', 's'],
  );
  const partitions = await Promise.all(
    [0, 1].map((partition) => call('GET', `/topics/t/records?partition=${partition}&from=start`)),
  );
  assert.deepEqual(
    partitions.flatMap(({ messages }) => messages.map(({ body }) => body)),
    [1, 2],
  );
  assert.equal((await call('DELETE', path)).body['deleted'], true);
  assert.equal((await call('PATCH', '/topics/t', { retain: { age: '1d' } })).body['updated'], true);
  assert.equal((await call('DELETE', '/topics/t')).body['deleted'], true);
  assert.equal((await call('GET', '/topics/t')).status, 404);
});

test('definitions are listed page by page', async (t) => {
  const call = await api(t);
  for (const name of ['a', 'b', 'c']) await call('PUT', `/queues/${name}`, {});
  const first = await call('GET', '/topics?limit=2');
  assert.deepEqual(
    (first.body['topics'] as { name: string }[]).map(({ name }) => name),
    ['a', 'b'],
  );
  const rest = await call('GET', `/topics?limit=2&after=${String(first.body['next'])}`);
  assert.deepEqual(
    (rest.body['topics'] as { name: string }[]).map(({ name }) => name),
    ['c'],
  );
  assert.equal((await call('PATCH', '/queues/a', { lease: '2m' })).body['updated'], true);
  assert.equal((await call('PUT', '/queues/a', { lease: '3m' })).status, 409);
  assert.equal((await call('GET', '/queues/a')).status, 200);
  assert.equal((await call('DELETE', '/queues/a')).status, 200);
});

test('names with slashes, spaces and dots are names', async (t) => {
  const call = await api(t);
  for (const name of ['a/b', 'ä ö', '..', 'constructor', '__proto__']) {
    const path = `/queues/${encodeURIComponent(name)}`;
    // The URL of fetch resolves `..`, also when it is encoded.
    if (name === '..') continue;
    assert.equal((await call('PUT', path, {})).status, 200, name);
    assert.equal((await call('GET', path)).body['name'], name);
  }
});

test('a router sends to what is bound to it', async (t) => {
  const call = await api(t);
  for (const queue of ['eu', 'all']) await call('PUT', `/queues/${queue}`, {});
  assert.equal((await call('PUT', '/routers/orders', { type: 'topic' })).body['created'], true);
  await call('POST', '/routers/orders/bind', { to: { topic: 'eu' }, key: 'order.eu.*' });
  await call('POST', '/routers/orders/bind', { to: { topic: 'all' }, key: '#' });
  const both = await call('POST', '/routers/orders/messages', { body: 1, routingKey: 'order.eu.new' });
  assert.equal((both.body['ids'] as string[]).length, 2);
  assert.equal(
    typeof (await call('POST', '/routers/orders/messages', { body: 2, routingKey: 'x' })).body['id'],
    'string',
  );
  const { body: trace } = await call('POST', '/routers/orders/trace', { routingKey: 'order.eu.new' });
  assert.deepEqual(trace, { topics: ['eu', 'all'], missing: [], routers: ['orders'] });
  assert.deepEqual((await call('POST', '/routers/orders/trace', { routingKey: 'x' })).body['topics'], ['all']);
  assert.equal((await call('POST', '/queues/eu/receive', { max: 9 })).messages.length, 1);
  assert.equal((await call('POST', '/queues/all/receive', { max: 9 })).messages.length, 2);
  assert.equal(((await call('GET', '/routers/orders')).body['bindings'] as unknown[]).length, 2);
  assert.equal(
    (await call('POST', '/routers/orders/unbind', { to: { topic: 'all' }, key: '#' })).body['removed'],
    true,
  );
  assert.equal(((await call('GET', '/routers')).body['routers'] as unknown[]).length, 1);
  assert.deepEqual((await call('POST', '/routers/orders/messages', { body: 3, routingKey: 'none' })).body, {
    duplicate: false,
    ids: [],
  });
  const deadLetter = { router: 'orders', key: 'order.eu.dead' };
  const put = await call('PUT', '/queues/routed', { deadLetter });
  assert.equal(put.body['created'], true);
  assert.deepEqual(((await call('GET', '/queues/routed')).body['policy'] as { deadLetter: unknown }).deadLetter, {
    ...deadLetter,
    unrouted: 'queue',
  });
  assert.equal((await call('DELETE', '/routers/orders')).body['deleted'], true);
});

test('a schedule publishes when it is due', async (t) => {
  const call = await api(t);
  await call('PUT', '/queues/q', {});
  const put = await call('PUT', '/schedules/nightly', {
    cron: '0 3 * * *',
    timezone: 'Europe/Berlin',
    to: 'q',
    body: { night: true },
  });
  assert.deepEqual(put.body, { created: true, nextAt: '2026-01-01T02:00:00.000Z' });
  const listed = (await call('GET', '/schedules')).body['schedules'] as { message: unknown }[];
  assert.deepEqual(listed[0]?.message, { body: { night: true } });
  await call.advance(2 * 3_600_000);
  assert.deepEqual(
    (await call('POST', '/queues/q/receive')).messages.map(({ body }) => body),
    [{ night: true }],
  );
  assert.equal((await call('DELETE', '/schedules/nightly')).body['deleted'], true);
  assert.equal((await call('PUT', '/schedules/bad', { cron: 'every day', to: 'q', body: 1 })).status, 400);
});

test('users are stored with what they may do, and their passwords are not shown', async (t) => {
  const call = await api(t);
  assert.equal((await call('PUT', '/users/ann', { password: 'correct horse', tags: ['monitoring'] })).status, 200);
  assert.deepEqual((await call('PUT', '/users/ann', { role: 'viewer' })).body, { created: false });
  assert.equal((await call('PUT', '/users/ann', { role: 'king' })).status, 400);
  for (const limits of [{ 'max-connections': 5, 'max-channels': 7 }, { 'max-connections': -1 }])
    assert.equal((await call('PUT', '/users/ann', { limits })).status, 200);
  assert.equal((await call('PUT', '/users/ann', { limits: { 'max-cats': 1 } })).status, 400);
  const scram = ['sha256', 'sha512'];
  assert.deepEqual((await call('GET', '/users')).body, {
    users: [
      { name: 'ann', role: 'viewer', tags: ['monitoring'], password: true, scram, limits: { 'max-channels': 7 } },
    ],
  });
  assert.deepEqual((await call('DELETE', '/users/ann/scram/sha512')).body, { deleted: true });
  assert.equal((await call('DELETE', '/users/ann/scram/sha512')).status, 404);
  assert.equal((await call('DELETE', '/users/ann/scram/md5')).status, 400);
  const rule = { user: 'ann', namespace: 'shop', pattern: 'orders*' };
  assert.deepEqual((await call('PUT', '/rules/ann/shop/orders*', { verbs: ['publish'] })).body, { created: true });
  assert.equal((await call('PUT', '/rules/ann/shop/*orders', { verbs: ['publish'] })).status, 400);
  assert.deepEqual((await call('GET', '/rules')).body, { rules: [{ ...rule, verbs: ['publish'] }] });
  assert.deepEqual((await call('DELETE', '/rules/ann/shop/orders*')).body, { deleted: true });
  assert.equal((await call('DELETE', '/rules/ann/shop/orders*')).status, 404);
  const { id, secret, token } = (await call('POST', '/users/ann/keys')).body;
  assert.equal(token, `${String(id)}.${String(secret)}`);
  assert.doesNotMatch(JSON.stringify((await call('GET', '/users/ann/keys')).body), new RegExp(String(secret)));
  assert.equal((await call('DELETE', `/users/bob/keys/${String(id)}`)).status, 404);
  assert.deepEqual((await call('DELETE', `/users/ann/keys/${String(id)}`)).body, { deleted: true });
  const patterns = { configure: '^a', write: '.*', read: '' };
  assert.deepEqual((await call('PUT', '/permissions/ann/shop', patterns)).body, { created: true });
  assert.equal((await call('PUT', '/permissions/ann/shop', { ...patterns, read: '(a)\\1' })).status, 400);
  assert.equal((await call('PUT', '/permissions/bob/shop', patterns)).status, 404);
  assert.deepEqual((await call('GET', '/permissions')).body, {
    permissions: [{ user: 'ann', namespace: 'shop', ...patterns }],
  });
  assert.deepEqual((await call('DELETE', '/permissions/ann/shop')).body, { deleted: true });
  const keys = { write: '^{username}\\.', read: '.*' };
  assert.deepEqual((await call('PUT', '/topic-permissions/ann/shop/events', keys)).body, { created: true });
  assert.equal((await call('PUT', '/topic-permissions/ann/shop/events', { ...keys, read: '(a)\\1' })).status, 400);
  assert.equal((await call('PUT', '/topic-permissions/bob/shop/events', keys)).status, 404);
  assert.deepEqual((await call('GET', '/topic-permissions')).body, {
    permissions: [{ user: 'ann', namespace: 'shop', exchange: 'events', ...keys }],
  });
  assert.deepEqual((await call('DELETE', '/topic-permissions/ann/shop/events')).body, { deleted: true });
  assert.equal((await call('DELETE', '/topic-permissions/ann/shop/events')).status, 404);
  assert.deepEqual((await call('DELETE', '/users/ann')).body, { deleted: true });
});

test('ACLs and quotas of Kafka are set, listed and taken away', async (t) => {
  const call = await api(t);
  const acl = { user: '*', kind: 'group', pattern: 'literal', name: 'g', operation: 'read', permission: 'deny' };
  assert.deepEqual((await call('POST', '/acls', acl)).body, { created: true });
  assert.equal((await call('POST', '/acls', { ...acl, operation: 'fly' })).status, 400);
  assert.deepEqual((await call('GET', '/acls?user=*')).body, { acls: [acl] });
  assert.deepEqual((await call('POST', '/acls/remove', acl)).body, { deleted: true });
  const quota = { clientId: 'batch', producerByteRate: 1000 };
  assert.equal((await call('PUT', '/quotas', quota)).status, 200);
  assert.deepEqual((await call('GET', '/quotas')).body, { quotas: [quota] });
  assert.equal((await call('PUT', '/quotas', { ...quota, producerByteRate: null })).status, 200);
  assert.deepEqual((await call('GET', '/quotas')).body, { quotas: [] });
});

test('a group of Kafka gets a retry policy, hands a record back, and loses the policy again', async (t) => {
  const call = await api(t);
  await call('PUT', '/topics/orders', {});
  await call('POST', '/topics/orders/messages', { body: 1 });
  const policy = { attempts: 2, backoff: { type: 'fixed', min: '10s', max: '10s', jitter: false } };
  const failed = { topic: 'orders', partition: 0, offset: 0, reason: 'it broke' };
  assert.equal((await call('POST', '/groups/billing/failed', failed)).status, 404);
  assert.deepEqual((await call('PUT', '/topics/orders/groups/billing/retry', policy)).body, {
    created: true,
    retryTopic: 'orders.billing.retry',
    deadLetterQueue: 'orders.billing.dead',
  });
  assert.equal((await call('PUT', '/topics/orders/groups/billing/retry', { attempts: 0 })).status, 400);
  assert.deepEqual((await call('GET', '/retries')).body, {
    policies: [
      {
        topic: 'orders',
        group: 'billing',
        ...policy,
        retryTopic: 'orders.billing.retry',
        waitingQueue: 'orders.billing.retry.waiting',
        deadLetterQueue: 'orders.billing.dead',
      },
    ],
  });
  assert.deepEqual((await call('POST', '/groups/billing/failed', failed)).body, { handedBack: true });
  assert.equal((await call('POST', '/groups/billing/failed', { ...failed, offset: 1 })).status, 416);
  assert.equal((await call('DELETE', '/topics/orders/groups/billing/retry')).status, 409);
  await call('POST', '/queues/orders.billing.retry.waiting/purge');
  assert.deepEqual((await call('DELETE', '/topics/orders/groups/billing/retry')).body, { deleted: true });
});

test('a policy is set, listed and cleared', async (t) => {
  const call = await api(t);
  const policy = { pattern: '^jobs', priority: 1, definition: { 'max-length': 5 } };
  assert.deepEqual((await call('PUT', '/policies/short', policy)).body, { created: true });
  assert.equal(
    (await call('PUT', '/policies/bad', { ...policy, definition: { 'federation-upstream': 'x' } })).status,
    501,
  );
  assert.deepEqual((await call('GET', '/policies')).body, {
    policies: [{ name: 'short', ...policy, applyTo: 'all' }],
  });
  assert.deepEqual((await call('DELETE', '/policies/short')).body, { deleted: true });
});

test('an operator policy is set beside policies, and only with what operators may say', async (t) => {
  const call = await api(t);
  const policy = { pattern: '^jobs', applyTo: 'queues', priority: 0, definition: { 'max-length': 5 } };
  assert.deepEqual((await call('PUT', '/operator-policies/strict', policy)).body, { created: true });
  assert.equal(
    (await call('PUT', '/operator-policies/bad', { ...policy, definition: { 'max-age': '1D' } })).status,
    501,
  );
  assert.deepEqual((await call('GET', '/operator-policies')).body, { policies: [{ name: 'strict', ...policy }] });
  assert.deepEqual((await call('GET', '/policies')).body, { policies: [] });
  assert.deepEqual((await call('DELETE', '/operator-policies/strict')).body, { deleted: true });
});

test('limits of what AMQP clients may have are set, listed and taken away', async (t) => {
  const call = await api(t);
  assert.deepEqual((await call('PUT', '/vhost-limits/max-queues', { value: 10 })).body, { created: true });
  assert.equal((await call('PUT', '/vhost-limits/max-queues', { value: 1.5 })).status, 400);
  assert.equal((await call('PUT', '/vhost-limits/max-cats', { value: 1 })).status, 400);
  assert.deepEqual((await call('GET', '/vhost-limits')).body, { limits: { 'max-queues': 10 } });
  assert.deepEqual((await call('DELETE', '/vhost-limits/max-queues')).body, { deleted: true });
  assert.equal((await call('DELETE', '/vhost-limits/max-queues')).status, 404);
});

test('a namespace says what it is as a virtual host, and what is not given stays', async (t) => {
  const call = await api(t);
  const facts = { description: '', tags: [], defaultQueueType: 'classic' };
  assert.deepEqual((await call('GET', '/vhost')).body, facts);
  assert.deepEqual((await call('PATCH', '/vhost', { defaultQueueType: 'quorum' })).body, {
    ...facts,
    defaultQueueType: 'quorum',
  });
  assert.equal((await call('PATCH', '/vhost', { defaultQueueType: 'lazy' })).status, 400);
  await call('PATCH', '/vhost', { description: 'orders', tags: ['a'] });
  assert.deepEqual((await call('GET', '/vhost')).body, {
    description: 'orders',
    tags: ['a'],
    defaultQueueType: 'quorum',
  });
});

test('the doctor says what to fix about the server', async (t) => {
  const call = await api(t);
  const findings = (await call('GET', '/doctor')).body['findings'] as { check: string; fix: string }[];
  assert.ok(findings.some(({ check }) => check === 'in-memory'));
});

test('an alert is set, is on when its time has come, and is deleted', async (t) => {
  const call = await api(t);
  await call('PUT', '/queues/orders', {});
  await call('POST', '/queues/orders/messages', { body: 1 });
  assert.equal((await call('PUT', '/alerts/deep', { when: 'depth' })).status, 400);
  assert.deepEqual((await call('PUT', '/alerts/deep', { when: 'depth', above: 0, for: '0s' })).body, { created: true });
  await call.advance(10_000);
  for (;;) {
    const { body } = await call('GET', '/alerts');
    const [alert] = body['active'] as { rule: string; state: string; value: number }[];
    if (alert === undefined) continue;
    assert.deepEqual([alert.rule, alert.state, alert.value], ['deep', 'firing', 1]);
    break;
  }
  assert.deepEqual((await call('DELETE', '/alerts/deep')).body, { deleted: true });
});

test('a full queue answers 429, which may be tried again', async (t) => {
  const call = await api(t);
  await call('PUT', '/queues/q', { maxMessages: 2 });
  await call('POST', '/queues/q/messages', { body: 1 });
  const mixed = await call('POST', '/queues/q/messages/batch', { atomic: false, messages: [{ body: 2 }, { body: 3 }] });
  const results = mixed.body['messages'] as { id?: string; error?: { code: string } }[];
  assert.equal(results[0]?.id, '1.0.1');
  assert.equal(results[1]?.error?.code, 'QUEUE_FULL');
  const { status, body } = await call('POST', '/queues/q/messages', { body: 4 });
  assert.equal(status, 429);
  const { code, retryable } = body['error'] as { code: string; retryable: boolean };
  assert.deepEqual({ code, retryable }, { code: 'QUEUE_FULL', retryable: true });
});

test('an autoscaler reads what there is to do and how many consumers it takes', async (t) => {
  const call = await api(t);
  await call('PUT', '/queues/work', {});
  assert.equal((await call('GET', '/scale/work')).body['suggestedConsumers'], 0);
  for (let i = 0; i < 10; i++) await call('POST', '/queues/work/messages', { body: i });
  const waiting = (await call('GET', '/scale/work/work')).body;
  assert.deepEqual([waiting['backlog'], waiting['drainSeconds'], waiting['suggestedConsumers']], [10, null, 1]);
  await call.advance(10_000);
  assert.equal((await call('GET', '/scale/work?drain=30s&min=2&max=8')).body['suggestedConsumers'], 2);
  assert.equal((await call('GET', '/scale/work')).body['arrivalRate'], 1);
  assert.equal((await call('GET', '/scale/work?min=3&max=2')).status, 400);
  assert.equal((await call('GET', '/scale/nothing')).status, 404);
  assert.equal((await call('GET', '/scale/work/nothing')).status, 404);
});

test('bodies are decoded by the schema of their queue, where they died too, for who asks for that', async (t) => {
  const call = await api(t);
  const type = avsc.Type.forSchema(ORDER as avsc.Schema);
  const post = (base64: string, contentType: string): Promise<Answer> =>
    call('POST', '/queues/orders/messages', { base64, contentType });
  await call('PUT', '/queues/orders', { maxAttempts: 1, backoff: { type: 'none' } });
  await post(type.toBuffer({ id: 7 }).toString('base64'), 'avro/binary');
  await post(Buffer.from('plain').toString('base64'), 'text/plain');
  const decoded = async (path: string): Promise<unknown[]> => {
    const { messages } = await call('GET', path);
    return (messages as unknown as { decoded?: unknown }[]).map((message) => message.decoded);
  };
  const guessed = await decoded('/queues/orders/messages?decode=true');
  assert.deepEqual(guessed, [undefined, undefined]);
  assert.equal((await call('PUT', '/schemas/orders', { avro: { type: 'record' } })).status, 400);
  assert.equal((await call('PUT', '/schemas/orders', { avro: ORDER, protobuf: 'x' })).status, 400);
  assert.deepEqual((await call('PUT', '/schemas/orders', { avro: ORDER })).body, { created: true });
  assert.deepEqual((await call('GET', '/schemas')).body, { schemas: [{ topic: 'orders', avro: ORDER }] });
  const asOrder = { as: 'Avro Order', text: '{\n  "id": 7\n}' };
  assert.deepEqual(await decoded('/queues/orders/messages?decode=true'), [asOrder, undefined]);
  assert.deepEqual(await decoded('/queues/orders/messages'), [undefined, undefined]);
  const { messages } = await call('POST', '/queues/orders/receive', {});
  await call('POST', '/settle', {
    deliveries: messages.map(({ delivery }) => delivery),
    action: 'reject',
    reason: 'no',
  });
  assert.deepEqual(await decoded('/queues/orders.dead/messages?decode=true'), [asOrder]);
  const proto = 'message Order { int32 number = 1; }';
  assert.deepEqual((await call('PUT', '/schemas/orders.dead', { protobuf: proto })).body, { created: true });
  const misfit = { as: 'bytes: it does not fit Protobuf Order' };
  assert.deepEqual(await decoded('/queues/orders.dead/messages?decode=true'), [misfit]);
  assert.deepEqual((await call('DELETE', '/schemas/orders.dead')).body, { deleted: true });
  assert.deepEqual((await call('DELETE', '/schemas/orders.dead')).body, { deleted: false });
  assert.deepEqual(await decoded('/queues/orders.dead/messages?decode=true'), [asOrder]);
});

const ORDER = { type: 'record', name: 'Order', fields: [{ name: 'id', type: 'int' }] };

test('every route was called above and answered', async (t) => {
  const call = await api(t);
  await call('PUT', '/topics/read', {});
  assert.deepEqual((await call('GET', '/topics/read/readers')).body, { readers: [] });
  await call('GET', '/cursors');
  // Cursors are committed over other protocols.
  assert.equal((await call('GET', '/cursors/group')).status, 404);
  called.add('cursorLag');
  await call('GET', '/info');
  const { body: config } = await call('GET', '/config');
  const settings = config['settings'] as { path: string; value: string; from: string }[];
  assert.deepEqual(
    settings.filter(({ path }) => path === 'memory' || path === 'token').map(({ value, from }) => [value, from]),
    [
      ['true', 'set'],
      ['set, and not shown', 'set'],
    ],
  );
  const { body: connected } = await call('GET', '/connections');
  const [first] = connected['connections'] as { protocol: string; address: string }[];
  assert.match(first?.address ?? '', /^127\.0\.0\.1:\d+$/);
  await call('POST', '/topics/read/messages', { body: 'x'.repeat(5_000) });
  const { body: journal } = await call('GET', '/journal');
  const [segment] = journal['log'] as { name: string; bytes: number; aliveBytes: number }[];
  assert.ok(segment !== undefined && segment.aliveBytes > 5_000 && segment.aliveBytes < segment.bytes);
  assert.deepEqual(journal['cold'], []);
  assert.deepEqual((await call('GET', '/topics/read/subscriptions/nothing/history')).status, 404);
  called.add('historyOfSubscription');
  await call('GET', '/history');
  assert.deepEqual((await call('GET', '/namespaces')).body, { namespaces: ['default'] });
  // Goes on for ever, and has tests of its own beside its code.
  called.add('liveStats');
  // Both paths of a pair run the same code; one of them is enough.
  const base = (id: string): string => id.replace(/(Queue|Topic|Subscription)$/, '');
  const seen = new Set([...called].map(base));
  const missing = ROUTES.map(({ spec }) => spec.operationId).filter(
    (id) => !seen.has(base(id)) && id !== 'cancelRedrive',
  );
  assert.deepEqual(missing, []);
});

test('mutated requests get an answer that is no bug, and the broker works on', async (t) => {
  const call = await api(t);
  const random = new SeededRandom(20261122);
  await call('PUT', '/queues/q', {});
  await call('PUT', '/topics/t', { partitions: 2 });
  await call('PUT', '/routers/r', { type: 'headers' });
  const seeds: [method: string, path: string, body: string][] = [
    [
      'POST',
      '/queues/q/messages',
      '{"body":{"a":[1]},"key":"k","priority":0,"delay":"1s","ttl":"1h","headers":{"h":[1,{"$base64":"AA=="}]}}',
    ],
    [
      'POST',
      '/topics/t/messages/batch',
      '{"messages":[{"body":1,"key":"x"},{"base64":"AA=="}],"atomic":false,"producer":{"id":"p","sequence":1}}',
    ],
    ['POST', '/queues/q/receive', '{"max":2,"wait":"0s","lease":"1m","autoAck":true}'],
    ['POST', '/settle', '{"deliveries":["MC4wLjYuMS5xcQ"],"action":"release","delay":"1s","countAttempt":false}'],
    [
      'PUT',
      '/queues/q?ifDifferent=update',
      '{"lease":"1m","maxAttempts":3,"deadLetter":{"router":"r"},"filter":{"a":["b",{"numeric":[">",1,"<",5]},{"wildcard":"*x*"},{"cidr":"10.0.0.0/8"}]}}',
    ],
    ['PUT', '/schedules/s', '{"to":"q","cron":"*/5 * * * *","timezone":"Europe/Berlin","body":1}'],
    [
      'POST',
      '/routers/r/bind',
      '{"to":{"topic":"q"},"key":"a.*","match":{"headers":{"x":1},"present":["z"],"mode":"any"},"filter":{"y":[{"exists":true}]}}',
    ],
    [
      'POST',
      '/queues/q/dead/redrive',
      '{"ids":["1.0.0"],"ratePerSecond":10,"filter":{"a":["b"]},"edits":[{"id":"1.0.0","body":1}]}',
    ],
    ['POST', '/topics/t/subscriptions/s/seek', '{"to":"120"}'],
    ['POST', '/queues/q/seek', '{"snapshot":"one"}'],
    ['PUT', '/queues/q/snapshots/one', '{"expires":"1h"}'],
    ['GET', '/topics/t/records?from=120&max=3&partition=1', ''],
    ['GET', '/queues/q/messages?state=ready&after=1.0.0&limit=5', ''],
    ['DELETE', '/queues/q/messages/1.0.zz', ''],
  ];
  const statuses = new Map<number, number>();
  for (let round = 0; round < 800; round++) {
    const [method, path, body] = random.pick(seeds);
    const target = random.chance(0.3) ? mutate(path, random).replaceAll(/[\s#]/g, '') : path;
    const response = await fetch(`${call.url}/api/v1${target.startsWith('/') ? '' : '/'}${target}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      ...(body !== '' && { body: mutate(body, random) }),
      signal: AbortSignal.timeout(5_000),
    });
    await response.arrayBuffer();
    statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    assert.notEqual(response.status, 500, `round ${round}: ${method} ${target} ${call.errors.join('')}`);
  }
  assert.deepEqual(call.errors, []);
  assert.ok((statuses.get(200) ?? 0) > 50 && (statuses.get(400) ?? 0) > 100, JSON.stringify([...statuses]));
  assert.equal((await call('GET', '/info')).status, 200);
});

const PIECES = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '1e999',
  '-1',
  'null',
  '"__proto__":{},',
  '999999999999999999999',
  '0',
  '%00',
  '%2F',
  '%ff',
  '..',
  'é',
];

function mutate(text: string, random: SeededRandom): string {
  let mutated = text;
  for (let edits = random.below(4); edits > 0; edits--) {
    const at = random.below(mutated.length + 1);
    const removed = random.chance(0.5) ? random.below(6) : 0;
    mutated = mutated.slice(0, at) + (random.chance(0.7) ? random.pick(PIECES) : '') + mutated.slice(at + removed);
  }
  return mutated;
}
