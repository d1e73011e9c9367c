import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { startServer } from '../../../server/index.ts';
import { LIVE_LIMITS } from './limits.ts';

const TOKEN = 'a-token-that-nobody-guesses';

async function server(t: TestContext) {
  const running = await startServer(
    { memory: true, port: 0, host: ['127.0.0.1'], amqp: false, aws: false, kafka: false, token: TOKEN },
    { log: pino({ level: 'silent' }) },
  );
  t.after(() => running.close());
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
  const call = (method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(`${running.httpUrl}/api/v1${path}`, {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  return { running, call };
}

interface Event {
  name: string;
  data: Record<string, unknown>;
}

/** The next events of a stream, one after the other. */
async function* eventsOf(response: Response): AsyncGenerator<Event> {
  assert.ok(response.body);
  let rest = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    rest += chunk;
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      const [name = '', data = ''] = rest.slice(0, end).split('\n');
      rest = rest.slice(end + 2);
      yield { name: name.replace('event: ', ''), data: JSON.parse(data.replace('data: ', '')) as Event['data'] };
    }
  }
}

async function until(events: AsyncGenerator<Event>, name: string): Promise<Event['data']> {
  for (let next = await events.next(); next.done !== true; next = await events.next())
    if (next.value.name === name) return next.value.data;
  throw new Error(`the stream ended before ${name}`);
}

test('a stream begins with everything, goes on with what changed, and ends with the broker', async (t) => {
  const { running, call } = await server(t);
  await call('PUT', '/queues/a', {});
  await call('PUT', '/queues/b', {});
  const response = await call('GET', '/events');
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  const events = eventsOf(response);
  await until(events, 'begin');
  const names = ({ rows }: Event['data']): string[] =>
    (rows as (string | { name: string })[]).map((row) => (typeof row === 'string' ? row : row.name)).sort();
  assert.deepEqual(names(await until(events, 'rows')), ['a', 'b']);
  await until(events, 'look');
  await call('POST', '/queues/b/messages', { body: 1 });
  assert.deepEqual(names(await until(events, 'rows')), ['b']);
  await call('DELETE', '/queues/a');
  for (;;) {
    const { gone } = await until(events, 'look');
    if ((gone as string[]).includes('a')) break;
  }
  const ended = (async () => {
    for (let next = await events.next(); next.done !== true; next = await events.next());
  })();
  await running.close();
  await ended;
});

test('charts begin before anybody looks, for the namespace and for a queue', async (t) => {
  const { call } = await server(t);
  await call('PUT', '/queues/a', {});
  await call('POST', '/queues/a/messages', { body: 1 });
  const points = async (path: string): Promise<Record<string, unknown>[]> => {
    const response = await call('GET', path);
    return ((await response.json()) as { points: Record<string, unknown>[] }).points;
  };
  let found = await points('/history');
  for (let tries = 0; tries < 500 && found.length === 0; tries++) {
    await sleep(20);
    found = await points('/history');
  }
  assert.equal(found[0]?.['ready'], 1);
  assert.ok(Number(found[0]['memoryBytes']) > 0);
  assert.equal((await points('/queues/a/history'))[0]?.['ready'], 1);
  assert.equal((await call('GET', '/queues/none/history')).status, 404);
  const response = await call('GET', '/events');
  const { history } = await until(eventsOf(response), 'begin');
  assert.equal((history as { ready: number }[])[0]?.ready, 1);
});

test('a stream wants a login, and the right to see the counts', async (t) => {
  const { running } = await server(t);
  const refused = await fetch(`${running.httpUrl}/api/v1/events`);
  assert.equal(refused.status, 401);
  await refused.body?.cancel();
  for (const path of ['/history', '/queues/a/history'])
    assert.equal((await fetch(`${running.httpUrl}/api/v1${path}`)).status, 401);
});

test('more streams than the limit are refused, and one that ends makes room', async (t) => {
  const { call } = await server(t);
  const open = await Promise.all(Array.from({ length: 64 }, () => call('GET', '/events')));
  assert.deepEqual([...new Set(open.map(({ status }) => status))], [200]);
  const refused = await call('GET', '/events');
  assert.equal(refused.status, 429);
  await refused.body?.cancel();
  await open[0]?.body?.cancel();
  let status = 429;
  for (let tries = 0; tries < 100 && status === 429; tries++) {
    await sleep(20);
    const again = await call('GET', '/events');
    ({ status } = again);
    await again.body?.cancel();
  }
  assert.equal(status, 200);
  for (const { body } of open.slice(1)) await body?.cancel();
});

test('no more namespaces than the limit are looked at at one time', async (t) => {
  const { running } = await server(t);
  const look = (namespace: string): Promise<Response> => {
    const headers = { authorization: `Bearer ${TOKEN}`, 'railhead-namespace': namespace };
    return fetch(`${running.httpUrl}/api/v1/events`, { headers });
  };
  const most = LIVE_LIMITS.namespaces;
  const open = await Promise.all(Array.from({ length: most }, (_, i) => look(`n${i}`)));
  assert.deepEqual([...new Set(open.map(({ status }) => status))], [200]);
  const refused = await look('another');
  assert.equal(refused.status, 429);
  assert.match(await refused.text(), new RegExp(`${most} namespaces`));
  const again = await look('n0');
  assert.equal(again.status, 200);
  for (const { body } of [...open, again]) await body?.cancel();
});
