import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { z } from 'zod';
import { LOCAL_PRINCIPAL, type Authenticator } from '../../core/auth.ts';
import { ManualClock } from '../../core/clock.ts';
import { ERRORS, RailheadError } from '../../core/errors.ts';
import { readRecord, RecordBatchWriter, asBuffer } from '../../core/records.ts';
import { SeededRandom } from '../../core/random.ts';
import type { PublishRequest, Settlement } from '../../core/session.ts';
import { DEFAULT_SUBSCRIPTION, DEFAULT_TOPIC } from '../../core/policy.ts';
import { FakeSession, fakeQueue } from '../../../test/fake-session.ts';
import { HttpGateway, type HttpGatewayOptions } from './gateway.ts';
import { STATUS } from './errors.ts';
import { openApiDocument } from './openapi.ts';
import { ROUTES } from './routes/index.ts';

const nobody: Authenticator = { required: false, authenticate: async () => LOCAL_PRINCIPAL };
const KEY = 'the-only-token-there-is';
const oneToken: Authenticator = {
  required: true,
  authenticate: async (credentials) => {
    if (credentials !== undefined && 'token' in credentials && credentials.token === KEY)
      return { name: 'ann', grants: [] };
    throw new RailheadError('UNAUTHENTICATED', 'No.');
  },
};

interface Rig {
  gateway: HttpGateway;
  session: FakeSession;
  clock: ManualClock;
  bugs: unknown[];
  connected: string[];
  /** Sends a request and gives the status and the parsed answer. */
  call: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;
}

interface Answer {
  status: number;
  body: Body;
}

/** What the tests look at, in whatever answer it stands. */
interface Body {
  messages: {
    id: string;
    body: unknown;
    base64: string;
    contentType: string;
    attempt: number;
    deadline: string;
    delivery: string;
  }[];
  error: { code: string; message: string; retryable: boolean; details: unknown };
  definition: { policy: unknown };
  paths: Record<string, Record<string, { operationId: string }>>;
}

function rig(t: TestContext, options: Partial<HttpGatewayOptions> = {}): Rig {
  const session = new FakeSession();
  const clock = new ManualClock();
  const bugs: unknown[] = [];
  const connected: string[] = [];
  const gateway = new HttpGateway({
    connect: ({ principal, namespace }) => {
      connected.push(`${principal.name}@${namespace}`);
      return session;
    },
    authenticator: nobody,
    health: () => ({ state: 'open', reason: null }),
    clock,
    maxBodyBytes: 64 * 1024,
    maxMemoryBytes: 256 * 1024,
    allowedHosts: [],
    onBug: (error) => bugs.push(error),
    ...options,
  });
  t.after(() => gateway.close());
  const call: Rig['call'] = async (method, path, body, headers = {}) => {
    const response = await gateway.fetch(
      new Request(`http://127.0.0.1${path}`, {
        method,
        headers: { host: '127.0.0.1', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    );
    assert.equal(response.headers.get('access-control-allow-origin'), null);
    assert.equal(response.headers.get('content-type'), 'application/json');
    return { status: response.status, body: (await response.json()) as Body };
  };
  return { gateway, session, clock, bugs, connected, call };
}

function published(session: FakeSession): PublishRequest {
  const call = session.calls.find(({ operation }) => operation === 'publish');
  assert.ok(call);
  return call.args as PublishRequest;
}

function bytesOf(value: unknown): number[] {
  assert.ok(value instanceof Uint8Array);
  return [...value];
}

test('a published message arrives at the session as one native record with all its fields', async (t) => {
  const { call, session } = rig(t);
  const { status, body } = await call('POST', '/api/v1/queues/mail/messages', {
    body: { to: 'ann' },
    key: 'k',
    priority: 3,
    delay: '10m',
    ttl: '1d',
    dedupeId: 'once',
    headers: { a: 1, b: ['x'], c: { $base64: 'AQI=' } },
    wait: '5s',
    producer: { id: 'p', sequence: 9 },
  });
  assert.deepEqual({ status, body }, { status: 200, body: { id: '7.0.0', duplicate: false } });
  const request = published(session);
  assert.deepEqual(request.to, { topic: 'mail' });
  assert.equal(request.waitMs, 5_000);
  assert.deepEqual(request.producer, { id: 'p', sequence: 9 });
  const { body: bytes, ...envelope } = readRecord(asBuffer(request.records), 0);
  assert.equal(Buffer.from(bytes).toString(), '{"to":"ann"}');
  assert.deepEqual(
    { ...envelope, headers: { ...envelope.headers, c: bytesOf(envelope.headers?.['c']) } },
    {
      key: 'k',
      priority: 3,
      delayMs: 600_000,
      ttlMs: 86_400_000,
      dedupeId: 'once',
      headers: { a: 1, b: ['x'], c: [1, 2] },
    },
  );
});

test('a message waits until a time given as an ISO date', async (t) => {
  const { call, session } = rig(t);
  await call('POST', '/api/v1/topics/news/messages', { body: 1, at: '2030-01-01T00:00:00+01:00' });
  assert.equal(readRecord(asBuffer(published(session).records), 0).notBefore, Date.UTC(2029, 11, 31, 23));
});

test('an id of 19 digits in a body is stored and given back digit for digit', async (t) => {
  const { call, session, gateway } = rig(t);
  const raw = '{"id":1234567890123456789,"x":1e400,"pi":3.14159265358979323846}';
  await call('POST', '/api/v1/queues/q/messages', `{"body":${raw}}`);
  const stored = Buffer.from(readRecord(asBuffer(published(session).records), 0).body).toString();
  assert.match(stored, /"id":1234567890123456789,"x":1e400/);
  const response = await gateway.fetch(
    new Request('http://localhost/api/v1/queues/q/receive', { method: 'POST', headers: { host: 'localhost' } }),
  );
  assert.ok((await response.text()).includes(`"body":${stored}`));
});

test('a body that is not JSON goes in and comes out as base64 with its content type', async (t) => {
  const { call } = rig(t);
  await call('POST', '/api/v1/queues/q/messages', { base64: '/9j/', contentType: 'image/jpeg' });
  const { body } = await call('POST', '/api/v1/queues/q/receive', {});
  assert.equal(body.messages[0]?.base64, '/9j/');
  assert.equal(body.messages[0].contentType, 'image/jpeg');
  assert.equal('body' in body.messages[0], false);
});

test('bytes that claim to be JSON and are not come out as base64', async (t) => {
  const { call, session } = rig(t);
  for (const bytes of [Buffer.from('{oops'), Buffer.from([0x22, 0xff, 0x22])]) {
    const batch = new RecordBatchWriter();
    batch.append({}, bytes);
    const { bytes: records, count } = batch.take();
    await session.publish({ to: { topic: 'q' }, format: 1, records, count });
    const { body } = await call('POST', '/api/v1/queues/q/receive', {});
    assert.equal(body.messages[0]?.base64, bytes.toString('base64'));
  }
});

test('a batch is one publish and answers with an id for each message', async (t) => {
  const { call, session } = rig(t);
  const { body } = await call('POST', '/api/v1/queues/q/messages/batch', {
    messages: [{ body: 1 }, { body: 2 }, { body: 3 }],
  });
  assert.deepEqual(
    body.messages.map(({ id }) => id),
    ['7.0.0', '7.0.1', '7.0.2'],
  );
  assert.equal(published(session).count, 3);
  assert.equal(published(session).atomic, true);
});

test('a batch that is not atomic says which messages were refused and why', async (t) => {
  const { call, session } = rig(t);
  session.publish = async () => ({
    topicId: 7,
    runs: [{ topicId: 7, partition: 1, offset: 40, count: 2, duplicate: false }],
    refused: [{ index: 1, count: 1, code: 'QUEUE_FULL', message: 'full' }],
  });
  const { body } = await call('POST', '/api/v1/queues/q/messages/batch', {
    atomic: false,
    messages: [{ body: 1 }, { body: 2 }, { body: 3 }],
  });
  assert.deepEqual(body.messages, [
    { id: '7.1.14', duplicate: false },
    { error: { code: 'QUEUE_FULL', message: 'full', retryable: true } },
    { id: '7.1.15', duplicate: false },
  ]);
});

test('receive waits for a message and answers as soon as one comes', async (t) => {
  const { call, session } = rig(t);
  const waiting = call('POST', '/api/v1/queues/q/receive', { wait: '30s', max: 10, lease: '1m' });
  await turn();
  await call('POST', '/api/v1/queues/q/messages', { body: 'late' });
  const { status, body } = await waiting;
  assert.equal(status, 200);
  assert.equal(body.messages[0]?.body, 'late');
  assert.equal(body.messages[0].attempt, 1);
  assert.equal(body.messages[0].deadline, '2026-01-01T00:00:30.000Z');
  assert.deepEqual(session.calls.find(({ operation }) => operation === 'consume')?.args, {
    topic: 'q',
    subscription: 'q',
    lease: 'timed',
    leaseMs: 60_000,
    name: 'http',
  });
  assert.equal(session.consumers, 0);
});

test('receive answers with an empty list when the wait is over, by the clock it was given', async (t) => {
  const { call, clock, session } = rig(t);
  let answered = false;
  const waiting = call('POST', '/api/v1/queues/q/receive', { wait: '20s' }).then((answer) => {
    answered = true;
    return answer;
  });
  while (clock.nextTimer() === undefined) await turn();
  clock.advance(19_999);
  await turn();
  assert.equal(answered, false);
  clock.advance(1);
  assert.deepEqual((await waiting).body, { messages: [] });
  assert.equal(session.consumers, 0);
});

test('receive of many takes what is there and does not wait to fill up', async (t) => {
  const { call } = rig(t);
  for (let i = 0; i < 70; i++) await call('POST', '/api/v1/queues/q/messages', { body: i });
  const { body } = await call('POST', '/api/v1/queues/q/receive', { wait: '30s', max: 1000 });
  assert.equal(body.messages.length, 70);
});

test('receive stops asking for more after 4 MiB', async (t) => {
  const { call } = rig(t, { maxBodyBytes: 2 << 20, maxMemoryBytes: 8 << 20 });
  for (let i = 0; i < 40; i++) await call('POST', '/api/v1/queues/q/messages', { body: 'x'.repeat(200_000) });
  const { body } = await call('POST', '/api/v1/queues/q/receive', { max: 1000 });
  assert.equal(body.messages.length, 32);
});

test('a client that goes away in a long poll gives back what it was sent, without counting an attempt', async (t) => {
  const { gateway, session } = rig(t);
  const gone = new AbortController();
  const waiting = gateway.fetch(
    new Request('http://localhost/api/v1/queues/q/receive', {
      method: 'POST',
      headers: { host: 'localhost', 'content-type': 'application/json' },
      body: '{"wait":"30s"}',
      signal: gone.signal,
    }),
  );
  while (session.consumers === 0) await turn();
  const batch = new RecordBatchWriter();
  batch.append({}, '1');
  const { bytes: records, count } = batch.take();
  await session.publish({ to: { topic: 'q' }, format: 1, records, count });
  gone.abort();
  await waiting;
  assert.deepEqual(session.calls.at(-1), {
    operation: 'settle',
    args: [
      {
        topic: 'q',
        subscription: 'q',
        ranges: [{ partition: 0, offset: 0, count: 1, token: 100 }],
        action: 'release',
        delayMs: 0,
        countAttempt: false,
      },
    ],
  });
  assert.equal(session.consumers, 0);
});

test('closing ends long polls with an empty answer and refuses what comes later', async (t) => {
  const { gateway, session, call } = rig(t);
  const waiting = call('POST', '/api/v1/queues/q/receive', { wait: '30s' });
  while (session.consumers === 0) await turn();
  await gateway.close();
  assert.deepEqual(await waiting, { status: 200, body: { messages: [] } });
  assert.equal(session.closed, true);
  assert.equal((await call('GET', '/api/v1/topics')).status, 503);
  assert.equal((await call('GET', '/readyz')).status, 503);
  assert.equal((await call('GET', '/healthz')).status, 200);
});

test('settle turns delivery ids back into lease ranges, side by side ones as one', async (t) => {
  const { call, session } = rig(t);
  await call('POST', '/api/v1/topics/a/messages/batch', { messages: [{ body: 1 }, { body: 2 }] });
  const received = await call('POST', '/api/v1/topics/a/subscriptions/a2/receive', { max: 5 });
  const deliveries = received.body.messages.map(({ delivery }) => delivery);
  const expected = { topic: 'a', subscription: 'a2', ranges: [{ partition: 0, offset: 0, count: 2, token: 100 }] };
  for (const [body, action] of [
    [{ action: 'ack' }, { action: 'ack' }],
    [{ action: 'release' }, { action: 'release', countAttempt: true }],
    [
      { action: 'release', delay: '5s', countAttempt: false, error: 'e' },
      { action: 'release', delayMs: 5_000, countAttempt: false, error: 'e' },
    ],
    [
      { action: 'reject', reason: 'bad' },
      { action: 'reject', reason: 'bad' },
    ],
    [
      { action: 'extend', lease: '2m' },
      { action: 'extend', leaseMs: 120_000 },
    ],
  ]) {
    const { status, body: answer } = await call('POST', '/api/v1/settle', {
      deliveries: [...deliveries, ...deliveries],
      ...body,
    });
    assert.deepEqual({ status, answer }, { status: 200, answer: { settled: 2 } });
    assert.deepEqual(session.calls.at(-1)?.args, [{ ...expected, ...action }] as Settlement[]);
  }
});

test('settling a lost lease is an error that names it, also when others were settled', async (t) => {
  const { call, session } = rig(t);
  await call('POST', '/api/v1/queues/q/messages/batch', { messages: [{ body: 1 }, { body: 2 }] });
  const { body } = await call('POST', '/api/v1/queues/q/receive', { max: 2 });
  const deliveries = body.messages.map(({ delivery }) => delivery);
  session.lost = [{ topic: 'q', subscription: 'q', partition: 0, offset: 1, count: 1, token: 100 }];
  const answer = await call('POST', '/api/v1/settle', { deliveries, action: 'ack' });
  assert.equal(answer.status, 409);
  assert.equal(answer.body.error.code, 'LEASE_LOST');
  assert.deepEqual(answer.body.error.details, { lost: [deliveries[1]], settled: 1 });
});

test('a delivery id that was not ours is refused', async (t) => {
  const { call, session } = rig(t);
  for (const id of [
    'x',
    'AAAA',
    Buffer.from('0.0.0.1.').toString('base64url'),
    Buffer.from('0.0.zzzzzzzzzzz.1.ab').toString('base64url'),
    '💥',
  ]) {
    const { status, body } = await call('POST', '/api/v1/settle', { deliveries: [id], action: 'ack' });
    assert.equal(status, 400, id);
    assert.match(body.error.message, /is not a delivery id/);
  }
  assert.equal(session.calls.length, 0);
});

test('a queue is declared with the options of the SDK, and shown with the same words', async (t) => {
  const { call, session } = rig(t);
  const options = {
    lease: '1m',
    maxAttempts: 5,
    backoff: { type: 'fixed', min: '2s' },
    order: 'key',
    maxBytes: '1GB',
    publishRate: '2000/s',
    retain: '1h',
    filter: { plan: ['pro', { prefix: 'x' }] },
    ttl: null,
  };
  session.answers.set('declareTopic', ({ policy, subscription }: { policy: object; subscription: object }) => ({
    created: true,
    updated: false,
    definition: fakeQueue('q', {
      policy: { ...DEFAULT_TOPIC, ...policy },
      subscription: { ...DEFAULT_SUBSCRIPTION, ...subscription },
    }),
  }));
  const { status, body } = await call('PUT', '/api/v1/queues/q?ifDifferent=update', options);
  assert.equal(status, 200);
  assert.deepEqual(session.calls.at(-1)?.args, {
    name: 'q',
    kind: 'queue',
    ifDifferent: 'update',
    policy: { maxBytes: 1e9, publishRate: { count: 2000, perMs: 1000 }, ttlMs: null },
    subscription: {
      leaseMs: 60_000,
      maxAttempts: 5,
      backoff: { type: 'fixed', minMs: 2_000, maxMs: 300_000, jitter: true },
      order: 'key',
      retainSettledMs: 3_600_000,
      filter: { plan: ['pro', { prefix: 'x' }] },
    },
  });
  const again = await call('PUT', '/api/v1/queues/q', body.definition.policy);
  assert.equal(again.status, 200, JSON.stringify(again.body));
  assert.deepEqual(again.body.definition, body.definition);
});

test('updating needs a queue that exists', async (t) => {
  const { call, session } = rig(t);
  assert.equal((await call('PATCH', '/api/v1/queues/none', { lease: '1m' })).status, 404);
  session.answers.set('describeTopic', () => ({ ...fakeQueue('t', { kind: 'topic' }), subscriptions: [] }));
  assert.match((await call('PATCH', '/api/v1/queues/t', { lease: '1m' })).body.error.message, /is a topic/);
});

const REQUESTS_REFUSED: [method: string, path: string, body: unknown, sentence: RegExp][] = [
  ['POST', '/api/v1/queues/q/messages', {}, /no body/],
  ['POST', '/api/v1/queues/q/messages', undefined, /The request has no body/],
  ['POST', '/api/v1/queues/q/messages', '{"body":', /not valid JSON/],
  ['POST', '/api/v1/queues/q/messages', { body: 1, base64: '' }, /both `body` and `base64`/],
  ['POST', '/api/v1/queues/q/messages', { body: 1, delay: '1s', at: '2030-01-01T00:00:00Z' }, /both `delay` and `at`/],
  ['POST', '/api/v1/queues/q/messages', { body: 1, delay: 5 }, /The body: `delay`/],
  ['POST', '/api/v1/queues/q/messages', { body: 1, delay: '5' }, /`delay`: write a number with ms, s/],
  ['POST', '/api/v1/queues/q/messages', { body: 1, prio: 5 }, /[Uu]nrecognized key: "prio"/],
  ['POST', '/api/v1/queues/q/messages', '{"body":1,"headers":{"__proto__":{"x":1}}}', /a name is __proto__/],
  ['POST', '/api/v1/queues/q/messages', `{"body":${'['.repeat(70)}${']'.repeat(70)}}`, /nested deeper than 64/],
  ['POST', '/api/v1/queues/q/messages/batch', { messages: [] }, /`messages`/],
  ['POST', '/api/v1/queues/q/messages/batch', { messages: [{ body: 1 }, { body: 1, ttl: 'x' }] }, /`messages\.1\.ttl`/],
  ['POST', '/api/v1/queues/q/receive', { wait: '61s' }, /longer than 60s/],
  ['POST', '/api/v1/queues/q/receive', { max: 0 }, /`max`/],
  ['POST', '/api/v1/settle', { deliveries: ['x'], action: 'nack' }, /`action`/],
  ['POST', '/api/v1/settle', { deliveries: ['x'], action: 'reject' }, /`reason`/],
  ['PUT', '/api/v1/queues/q', { lease: 30 }, /`lease`/],
  ['PUT', '/api/v1/queues/q', { filter: { $or: ['x'] } }, /no "\$or"/],
  ['PUT', '/api/v1/queues/q?ifDifferent=maybe', {}, /The query: `ifDifferent`/],
  ['GET', '/api/v1/topics?limit=-1', undefined, /whole number/],
  ['GET', '/api/v1/topics?limit=100000', undefined, /`limit`/],
  ['GET', '/api/v1/topics?lmit=1', undefined, /"lmit"/],
  ['GET', '/api/v1/topics/t/records?from=yesterday', undefined, /write 'start', 'end', an offset/],
  [`PUT`, `/api/v1/queues/${'n'.repeat(300)}`, {}, /The path: `queue`/],
];

for (const [method, path, body, sentence] of REQUESTS_REFUSED) {
  test(`refused without a call to the broker: ${method} ${path.slice(0, 40)} ${String(JSON.stringify(body)).slice(0, 50)}`, async (t) => {
    const { call, session } = rig(t);
    const answer = await call(method, path, body);
    assert.equal(answer.status, 400, JSON.stringify(answer.body));
    assert.match(answer.body.error.message, sentence);
    assert.equal(answer.body.error.code, 'INVALID');
    assert.equal(answer.body.error.retryable, false);
    assert.deepEqual(session.calls, []);
  });
}

test('every error code has a status, and a failure of the broker comes out with its code', async (t) => {
  const { call, session } = rig(t);
  for (const code of Object.keys(ERRORS) as (keyof typeof ERRORS)[]) {
    session.answers.set('purge', () => {
      throw new RailheadError(code, `It is ${code}.`);
    });
    const { status, body } = await call('POST', '/api/v1/queues/q/purge');
    assert.deepEqual(
      { status, body },
      { status: STATUS[code], body: { error: { code, message: `It is ${code}.`, retryable: ERRORS[code].retryable } } },
    );
    assert.ok(status >= 400);
  }
});

test('a bug of ours is logged and its text does not reach the client', async (t) => {
  const { call, session, bugs } = rig(t);
  session.answers.set('purge', () => {
    throw new TypeError('secret of the house');
  });
  const { status, body } = await call('POST', '/api/v1/queues/q/purge');
  assert.equal(status, 500);
  assert.equal(body.error.code, 'INTERNAL');
  assert.doesNotMatch(JSON.stringify(body), /secret/);
  assert.equal(bugs.length, 1);
});

test('an unknown route is NOT_FOUND and names the list of routes', async (t) => {
  const { call } = rig(t);
  const { status, body } = await call('GET', '/api/v1/nothing');
  assert.equal(status, 404);
  assert.match(body.error.message, /openapi\.json/);
});

test('with a login, every route under /api wants it, before the body is read; probes do not', async (t) => {
  const { call, session, connected } = rig(t, { authenticator: oneToken });
  for (const { spec } of ROUTES) {
    const path = `/api/v1${spec.path.replaceAll(/\{\w+\}/g, 'x')}`;
    assert.equal(
      (await call(spec.method.toUpperCase(), path, spec.method === 'get' ? undefined : 'not json')).status,
      401,
      path,
    );
  }
  assert.deepEqual(session.calls, []);
  assert.equal((await call('GET', '/healthz')).status, 200);
  assert.equal((await call('GET', '/readyz')).status, 200);
  assert.equal(
    (await call('POST', '/api/v1/queues/q/messages', { body: 1 }, { authorization: `Bearer ${KEY}` })).status,
    200,
  );
  assert.equal(
    (await call('POST', '/api/v1/queues/q/messages', { body: 1 }, { authorization: `Basic ${KEY}` })).status,
    401,
  );
  assert.deepEqual(connected, ['ann@default']);
});

test('one session serves a principal and namespace; another namespace has its own', async (t) => {
  const { call, connected } = rig(t);
  for (const namespace of ['default', 'shop', 'shop', 'default']) {
    await call('POST', '/api/v1/queues/q/messages', { body: 1 }, { 'railhead-namespace': namespace });
  }
  assert.deepEqual(connected, ['local@default', 'local@shop']);
});

test('a client that invents namespaces does not make sessions without end', async (t) => {
  const { call, connected, session } = rig(t);
  session.answers.set('purge', () => ({ purged: 0 }));
  for (let i = 0; i < 1_001; i++)
    await call('POST', '/api/v1/queues/q/purge', undefined, { 'railhead-namespace': `n${i}` });
  assert.equal(session.closed, true);
  assert.equal(connected.length, 1_001);
});

test('a web page of another origin, or with a name pointed at this machine, is refused', async (t) => {
  const { call } = rig(t, { allowedHosts: ['broker.example.com'] });
  const send = async (headers: Record<string, string>): Promise<number> =>
    (await call('POST', '/api/v1/queues/q/messages', { body: 1 }, headers)).status;
  assert.equal(await send({ host: '127.0.0.1:7070' }), 200);
  assert.equal(await send({ host: '[::1]:7070' }), 200);
  assert.equal(await send({ host: 'localhost:7070' }), 200);
  assert.equal(await send({ host: 'railhead:7070' }), 200);
  assert.equal(await send({ host: 'broker.example.com' }), 200);
  assert.equal(await send({ host: 'evil.example.com' }), 403);
  assert.equal(await send({ host: '127.0.0.1.evil.com:7070' }), 403);
  assert.equal(await send({ host: 'localhost:7070', origin: 'http://localhost:7070' }), 200);
  assert.equal(await send({ host: 'localhost:7070', origin: 'http://localhost:3000' }), 403);
  assert.equal(await send({ host: 'localhost:7070', origin: 'https://evil.com' }), 403);
  assert.equal(await send({ host: 'localhost:7070', origin: 'null' }), 403);
});

test('a form or plain text, which a browser sends without asking, is refused', async (t) => {
  const { call } = rig(t);
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain;application/json',
  ]) {
    const { status, body } = await call('POST', '/api/v1/queues/q/messages', { body: 1 }, { 'content-type': type });
    assert.equal(status, 400);
    assert.match(body.error.message, /Content-Type/);
  }
  assert.equal(
    (
      await call(
        'POST',
        '/api/v1/queues/q/messages',
        { body: 1 },
        { 'content-type': 'application/json; charset=utf-8' },
      )
    ).status,
    200,
  );
});

test('a body over the limit is refused, whether its length was announced or not, and memory is given back', async (t) => {
  const { call, gateway } = rig(t, { maxMemoryBytes: 70_000 });
  const large = { body: 'x'.repeat(65 * 1024) };
  assert.equal((await call('POST', '/api/v1/queues/q/messages', large, { 'content-length': '66600' })).status, 413);
  for (let i = 0; i < 3; i++) {
    const stream = new Blob([JSON.stringify(large)]).stream();
    const request = new Request('http://localhost/api/v1/queues/q/messages', {
      method: 'POST',
      headers: { host: 'localhost' },
      body: stream,
      duplex: 'half',
    });
    assert.equal((await gateway.fetch(request)).status, 413);
  }
  const fits = { body: 'x'.repeat(60 * 1024) };
  for (let i = 0; i < 3; i++) assert.equal((await call('POST', '/api/v1/queues/q/messages', fits)).status, 200);
});

test('bodies of all requests together stay under one limit', async (t) => {
  const { call, session } = rig(t, { maxMemoryBytes: 100_000 });
  let finish: () => void = () => undefined;
  const publish = session.publish.bind(session);
  session.publish = async (request) => {
    await new Promise<void>((resolve) => (finish = resolve));
    return publish(request);
  };
  const big = { body: 'x'.repeat(60_000) };
  const first = call('POST', '/api/v1/queues/q/messages', big);
  await turn();
  await turn();
  const second = await call('POST', '/api/v1/queues/q/messages', big);
  assert.equal(second.status, 429);
  assert.equal(second.body.error.retryable, true);
  finish();
  assert.equal((await first).status, 200);
});

test('random and mutated bodies are answered with 200 or 400, never with a bug', async (t) => {
  const { call, session, bugs } = rig(t);
  const random = new SeededRandom(20261121);
  session.answers.set('declareTopic', () => ({ created: true, updated: false, definition: fakeQueue('q') }));
  session.answers.set('putSchedule', () => ({ created: true, nextAt: null }));
  session.answers.set('bind', () => ({ created: true }));
  const seeds = [
    '{"body":{"a":[1,2,{"b":null}]},"key":"k","priority":1,"delay":"1s","headers":{"h":[1,{"$base64":"AA=="}]}}',
    '{"messages":[{"body":1},{"base64":"AA==","contentType":"x"}],"atomic":false,"producer":{"id":"p","sequence":1}}',
    '{"max":1,"wait":"0s","lease":"1m","autoAck":true}',
    '{"deliveries":["MC4wLjAuMS5xcQ"],"action":"release","delay":"1s"}',
    '{"lease":"1m","filter":{"a":["b",{"numeric":[">",1]},{"anythingBut":{"prefix":"x"}}]},"backoff":{"type":"fixed","min":"1s"}}',
    '{"to":"q","cron":"* * * * *","timezone":"UTC","body":1}',
    '{"to":{"topic":"q"},"key":"a.*","match":{"headers":{"x":1},"mode":"any"}}',
  ];
  const paths = [
    ['POST', '/api/v1/queues/q/messages'],
    ['POST', '/api/v1/queues/q/messages/batch'],
    ['POST', '/api/v1/settle'],
    ['PUT', '/api/v1/queues/q'],
    ['PUT', '/api/v1/schedules/s'],
    ['POST', '/api/v1/routers/r/bind'],
  ] as const;
  const statuses = new Map<number, number>();
  for (let round = 0; round < 3_000; round++) {
    const [method, path] = random.pick(paths);
    const answer = await call(method, path, mutate(random.pick(seeds), random));
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    assert.ok(
      answer.status === 200 || answer.status === 400,
      `round ${round}: ${answer.status} ${JSON.stringify(answer.body)}`,
    );
    session.waiting.length = 0;
  }
  assert.deepEqual(bugs, []);
  assert.ok((statuses.get(200) ?? 0) > 20 && (statuses.get(400) ?? 0) > 500, JSON.stringify([...statuses]));
});

const PIECES = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '\\',
  '1e999',
  '-1',
  'null',
  '"__proto__":{},',
  '\u0000',
  '999999999999999999999',
  '"constructor"',
  '[[[[',
];

function mutate(text: string, random: SeededRandom): string {
  for (let edits = random.below(4); edits > 0; edits--) {
    const at = random.below(text.length + 1);
    const removed = random.chance(0.5) ? random.below(6) : 0;
    text = text.slice(0, at) + (random.chance(0.7) ? random.pick(PIECES) : '') + text.slice(at + removed);
  }
  return text === '' ? '{' : text;
}

test('answers have the form that /openapi.json promises', async (t) => {
  const { call, session } = rig(t);
  await call('POST', '/api/v1/queues/q/messages', { body: { x: 1 }, key: 'k', headers: { a: 1 } });
  session.answers.set('describeTopic', () => ({ ...fakeQueue('q'), subscriptions: [] }));
  session.answers.set('listTopics', () => ({ topics: [fakeQueue('q')], next: null }));
  for (const [method, path] of [
    ['POST', '/queues/{queue}/receive'],
    ['GET', '/queues/{queue}'],
    ['GET', '/topics'],
  ] as const) {
    const route = ROUTES.find(({ spec }) => spec.path === path && spec.method === method.toLowerCase());
    assert.ok(route);
    const { status, body } = await call(method, `/api/v1${path.replace('{queue}', 'q')}`);
    assert.equal(status, 200);
    assert.deepEqual(z.safeParse(route.spec.result, body).error, undefined);
  }
});

test('/openapi.json lists every route once, with its own operationId', async (t) => {
  const { call } = rig(t);
  const { body } = await call('GET', '/openapi.json');
  assert.deepEqual(body, JSON.parse(JSON.stringify(openApiDocument())));
  const ids = Object.values(body.paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
  assert.equal(ids.length, ROUTES.length + 2);
  assert.equal(new Set(ids).size, ids.length);
});
