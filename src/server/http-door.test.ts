import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { eventually } from '../../test/eventually.ts';
import { FakeSession } from '../../test/fake-session.ts';
import { LOCAL_PRINCIPAL, type Authenticator } from '../core/auth.ts';
import { type Clock, ManualClock, SystemClock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { HttpGateway } from '../gateways/http/gateway.ts';
import { Listener } from '../gateways/listener.ts';
import type { HttpLimits } from '../gateways/http-sockets.ts';
import { HttpDoor } from './http-door.ts';

const nobody: Authenticator = { required: false, authenticate: async () => LOCAL_PRINCIPAL };

const token: Authenticator = {
  required: true,
  authenticate: async (shown) => {
    if (shown !== undefined && 'token' in shown && shown.token === 'right') return LOCAL_PRINCIPAL;
    throw new RailheadError('UNAUTHENTICATED', 'No.');
  },
};

interface Rig {
  port: number;
  session: FakeSession;
  gateway: HttpGateway;
  listener: Listener;
  door: HttpDoor;
  bugs: unknown[];
}

async function rig(
  t: TestContext,
  limits: Partial<HttpLimits> = {},
  authenticator = nobody,
  listenerClock: Clock = new SystemClock(),
): Promise<Rig> {
  const session = new FakeSession();
  const clock = new SystemClock();
  const bugs: unknown[] = [];
  const onBug = (error: unknown): void => void bugs.push(error);
  const gateway = new HttpGateway({
    connect: () => session,
    authenticator,
    health: () => ({ state: 'open', reason: null }),
    clock,
    maxBodyBytes: 1 << 20,
    maxMemoryBytes: 4 << 20,
    allowedHosts: [],
    onBug,
  });
  const door = new HttpDoor({
    fetch: gateway.fetch,
    guard: (headers) => gateway.guard(headers),
    upgrade: (message, socket) => {
      if (message.headers.upgrade !== 'test') return undefined;
      socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\nhello');
      return { close: () => socket.end() };
    },
    onBug,
    limits,
  });
  const listener = new Listener({ gateway: door, clock: listenerClock });
  const bound = await listener.listen({ host: '127.0.0.1', port: 0 });
  assert.ok('port' in bound);
  t.after(async () => {
    door.close();
    await Promise.all([gateway.close(), listener.close(0)]);
  });
  return { port: bound.port, session, gateway, listener, door, bugs };
}

/** Sends bytes and gives all that comes until the other end closes. */
async function exchange(port: number, ...pieces: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let got = '';
  socket.setEncoding('latin1').on('data', (text: string) => (got += text));
  socket.on('error', () => undefined);
  for (const piece of pieces) socket.write(piece);
  await once(socket, 'close');
  return got;
}

async function post(
  port: number,
  path: string,
  body: string,
  agent: Agent,
): Promise<{ status: number | undefined; text: string; socket: Socket }> {
  const sent = request({
    port,
    host: '127.0.0.1',
    path,
    method: 'POST',
    agent,
    headers: { 'content-type': 'application/json' },
  });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const { socket } = response;
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  return { status: response.statusCode, text, socket };
}

test('requests of one connection are answered one after the other on it', async (t) => {
  const { port, bugs } = await rig(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const first = await post(port, '/api/v1/queues/q/messages', '{"body":1}', agent);
  const second = await post(port, '/api/v1/queues/q/receive', '{}', agent);
  assert.equal(first.status, 200);
  assert.match(second.text, /"body":1/);
  assert.equal(first.socket, second.socket);
  assert.deepEqual(bugs, []);
});

test('a connection upgrades to what the server offers, and to nothing else', async (t) => {
  const { port } = await rig(t);
  const upgrade = (name: string, more = ''): Promise<string> =>
    exchange(
      port,
      `GET /railhead HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: ${name}\r\n${more}\r\n`,
    );
  assert.match(await upgrade('test'), /^HTTP\/1\.1 101 .*hello$/s);
  assert.match(await upgrade('websocket'), /^HTTP\/1\.1 501 .*NOT_SUPPORTED/s);
  assert.match(await upgrade('test', 'Origin: https://evil.example\r\n'), /^HTTP\/1\.1 403 /);
});

test('what is not HTTP is told so and cut off', async (t) => {
  const { port } = await rig(t);
  assert.match(await exchange(port, 'AMQP\0\0\u0009\u0001\r\n\r\n'), /^HTTP\/1\.1 400 .*not an HTTP request/s);
});

test('headers over 16 KiB are refused', async (t) => {
  const { port } = await rig(t);
  const answer = await exchange(port, `GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 413 .*16 KiB/s);
});

test('a client that sends its headers drop by drop is cut off', async (t) => {
  const { port } = await rig(t, { headersMs: 100, requestMs: 200, checkMs: 20 });
  assert.match(await exchange(port, 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a'), /^HTTP\/1\.1 504 .*in time/s);
});

test('a second request of a connection has the same deadline', async (t) => {
  const { port } = await rig(t, { headersMs: 100, requestMs: 200, checkMs: 20 });
  const answer = await exchange(port, 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /healthz HTTP/1.1\r\nHost');
  assert.match(answer, /^HTTP\/1\.1 200 .*HTTP\/1\.1 504 /s);
});

test('a body that does not come is not waited for without end', async (t) => {
  const { port } = await rig(t, { headersMs: 100, requestMs: 200, checkMs: 20 });
  const head =
    'POST /api/v1/queues/q/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{';
  await exchange(port, head);
});

test('who is not logged in gets the answer before the body is read, and the connection ends', async (t) => {
  const { port, session } = await rig(
    t,
    {},
    {
      required: true,
      authenticate: () => Promise.reject(new RailheadError('UNAUTHENTICATED', 'No.')),
    },
  );
  const head =
    'POST /api/v1/queues/q/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n';
  assert.match(await exchange(port, head, '{"body":"'), /^HTTP\/1\.1 401 .*www-authenticate: Bearer/is);
  assert.deepEqual(session.calls, []);
});

test('a client that leaves during a long poll ends its consumer', async (t) => {
  const { port, session, bugs } = await rig(t);
  const socket = connect(port, '127.0.0.1');
  socket.write(
    'POST /api/v1/queues/q/receive HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"wait":"60s"}',
  );
  await eventually('the queue has 1 consumers', () => session.consumers === 1);
  socket.destroy();
  await eventually('the queue has 0 consumers', () => session.consumers === 0);
  assert.deepEqual(bugs, []);
});

test('draining answers what is under way, ends idle connections, and then nothing is left', async (t) => {
  const { port, session, gateway, listener, door } = await rig(t);
  const idle = new Agent({ keepAlive: true });
  await post(port, '/api/v1/queues/q/messages', '{"body":1}', idle);
  await post(port, '/api/v1/queues/q/receive', '{}', idle);
  const polling = exchange(
    port,
    'POST /api/v1/queues/q/receive HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"wait":"60s"}',
  );
  await eventually('the queue has 1 consumers', () => session.consumers === 1);
  assert.equal(listener.connections, 2);
  door.close();
  await Promise.all([listener.close(60_000), gateway.close()]);
  assert.match(await polling, /^HTTP\/1\.1 200 .*\{"messages":\[\]\}$/s);
  assert.equal(listener.connections, 0);
});

test('who says nothing, or half a request, is sent away after 10 s, and who comes then is served as before', async (t) => {
  const clock = new ManualClock();
  const { port, listener } = await rig(t, {}, nobody, clock);
  const strangers = [exchange(port, ''), exchange(port, 'GET /healthz HTTP/1.1\r\nHost: 127')];
  await eventually('both are there', () => listener.connections === 2);
  clock.advance(10_000);
  assert.deepEqual(await Promise.all(strangers), ['', '']);
  const head = 'HTTP/1.1\r\nHost: 127.0.0.1\r\n';
  assert.match(
    await exchange(port, `GET /railhead ${head}Connection: Upgrade\r\nUpgrade: test\r\n\r\n`),
    /^HTTP\/1\.1 101 .*hello$/s,
  );
  const twice = await exchange(port, `GET /healthz ${head}\r\nGET /healthz ${head}Connection: close\r\n\r\n`);
  assert.equal(twice.match(/HTTP\/1\.1 200 /g)?.length, 2);
});

test('of a request no more than a hundred headers count', async (t) => {
  const { port } = await rig(t, {}, token);
  const ask = (before: number): Promise<string> => {
    const others = Array.from({ length: before }, (_, i) => `X-${i}: x\r\n`).join('');
    const login = `${others}Authorization: Bearer right\r\nConnection: close\r\n\r\n`;
    return exchange(port, `GET /api/v1/whoami HTTP/1.1\r\nHost: 127.0.0.1\r\n${login}`);
  };
  // With the host and the last two they are a hundred. Of more Node refuses the request, or the last one does not count.
  assert.match(await ask(97), /^HTTP\/1\.1 200 /);
  assert.match(await ask(98 + 1), /^HTTP\/1\.1 (413|401) /);
});

test('a connection without a request is closed when it was idle for long', async (t) => {
  const { port } = await rig(t, { idleMs: 100, checkMs: 20 });
  const answer = await exchange(port, 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  assert.match(answer, /^HTTP\/1\.1 200 /);
});
