import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, get } from 'node:https';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { RailheadError } from '../core/errors.ts';
import { SeededRandom } from '../core/random.ts';
import { connect } from '../sdk/connect.ts';
import { Rail } from '../sdk/rail.ts';
import { connectRemote } from '../sdk/remote/remote-session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { eventually } from '../../test/eventually.ts';
import { startServer, type RunningServer, type ServerConfigInput } from './index.ts';
import { hashToken } from './users.ts';
import { socketPathOf } from './socket.ts';

const TLS = join(import.meta.dirname, '../../test/fixtures/tls');
const TOKEN = 'rh_a-token-for-this-test-only';

async function directory(t: TestContext, ...more: string[]): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'railhead-server-'));
  // After the servers that use it: hooks run in the order in which they were given.
  t.after(async () => {
    for (const server of running.get(t) ?? []) await server.close();
    await rm(made, { recursive: true, force: true });
  });
  return join(made, ...more);
}

const running = new WeakMap<TestContext, RunningServer[]>();

async function start(t: TestContext, config: ServerConfigInput, lines: string[] = []): Promise<RunningServer> {
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const server = await startServer(
    { port: 0, drainTimeout: '2s', journal: { segmentSize: '1MiB' }, ...config },
    { log },
  );
  running.set(t, [...(running.get(t) ?? []), server]);
  t.after(() => server.close());
  return server;
}

async function call(
  server: RunningServer,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  const response = await fetch(`${server.httpUrl}${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

test('one port speaks the native protocol and HTTP, and they see the same queue', async (t) => {
  const server = await start(t, { memory: true });
  const rail = await connect(server.url);
  t.after(() => rail.close());
  await call(server, 'PUT', '/api/v1/queues/mail', {});
  const { id } = await rail.queue('mail').send({ to: 'ann' });
  const { body } = await call(server, 'POST', '/api/v1/queues/mail/receive', {});
  assert.deepEqual(
    (body['messages'] as { id: string; body: unknown }[]).map((message) => [message.id, message.body]),
    [[id, { to: 'ann' }]],
  );
});

test('port 0 is the same free port on every host', async (t) => {
  const server = await start(t, { memory: true, host: ['127.0.0.1', '127.0.0.2'] });
  for (const host of ['127.0.0.1', '127.0.0.2'])
    assert.equal((await fetch(`http://${host}:${server.port}/readyz`)).status, 200);
});

test('what was confirmed is there after a restart, and a timed lease goes on', async (t) => {
  const dir = await directory(t, 'data');
  const first = await start(t, { dir });
  await call(first, 'PUT', '/api/v1/queues/q', {});
  await call(first, 'POST', '/api/v1/queues/q/messages/batch', { messages: [{ body: 'leased' }, { body: 'waits' }] });
  const received = await call(first, 'POST', '/api/v1/queues/q/receive', { lease: '10m' });
  const [leased] = received.body['messages'] as { delivery: string; body: unknown }[];
  assert.equal(leased?.body, 'leased');
  await first.close();
  assert.equal(await first.closed, null);

  const second = await start(t, { dir });
  const again = await call(second, 'POST', '/api/v1/queues/q/receive', { max: 10 });
  assert.deepEqual(
    (again.body['messages'] as { body: unknown }[]).map(({ body }) => body),
    ['waits'],
  );
  assert.deepEqual(
    (await call(second, 'POST', '/api/v1/settle', { deliveries: [leased.delivery], action: 'ack' })).body,
    { settled: 1 },
  );
});

test('a directory that another broker owns is refused with what to do, and free again after it closed', async (t) => {
  const dir = await directory(t);
  const first = await start(t, { dir });
  await assert.rejects(start(t, { dir }), (error) => {
    assert.ok(RailheadError.is(error, 'JOURNAL_LOCKED'));
    assert.match(
      error.message,
      /runs in .* already\. Use that one \(railhead ls --dir .*\), stop it, or choose another/,
    );
    return true;
  });
  await first.close();
  await start(t, { dir });
});

test('a port in use is refused, and the directory is free again', async (t) => {
  const first = await start(t, { memory: true });
  const dir = await directory(t);
  await assert.rejects(start(t, { dir, port: first.port }), /Cannot listen on 127\.0\.0\.1:\d+/);
  await start(t, { dir });
});

for (const [where, more] of [
  ['in the directory', []],
  ['elsewhere when the path is long', ['x'.repeat(100)]],
] as const) {
  test(`processes that share the directory reach the broker by a Unix socket, ${where}`, async (t) => {
    const dir = await directory(t, ...more);
    // The login is for the network: who can open the socket can read the journal beside it.
    const server = await start(t, { dir, token: TOKEN });
    const path = await socketPathOf(dir);
    assert.ok(Buffer.byteLength(path) <= 100);
    assert.equal(path.startsWith(dir), more.length === 0);
    const rail = new Rail({ session: await connectRemote({ socketPath: path }) });
    assert.equal((await rail.info()).journalId, server.broker.info().journalId);
    await rail.close();
    await server.close();
    await assert.rejects(connectRemote({ socketPath: path }), /Cannot reach/);
  });
}

test('a client that connects, asks nothing and closes is gone', async (t) => {
  const server = await start(t, { memory: true });
  // Those who ask over HTTP are there too.
  const others = await connections();
  const rail = await connect(server.url);
  await eventually('it is there', async () => (await connections()) === others + 1);
  await rail.close();
  await eventually('it is gone', async () => (await connections()) === others);

  async function connections(): Promise<number> {
    return ((await call(server, 'GET', '/api/v1/connections')).body['connections'] as unknown[]).length;
  }
});

test('with a token nobody comes in without it, over either protocol, and no log has it', async (t) => {
  const lines: string[] = [];
  const server = await start(
    t,
    {
      memory: true,
      token: TOKEN,
      users: [{ name: 'web', tokenHash: hashToken(`${TOKEN}2`), grants: [{ actions: ['inspect'] }] }],
    },
    lines,
  );
  assert.equal((await call(server, 'GET', '/api/v1/topics')).status, 401);
  assert.equal(
    (await call(server, 'GET', '/api/v1/topics', undefined, { authorization: `Bearer wrong-${TOKEN}` })).status,
    401,
  );
  assert.equal(
    (await call(server, 'GET', '/api/v1/topics', undefined, { authorization: `Bearer ${TOKEN}` })).status,
    200,
  );
  assert.equal((await call(server, 'GET', '/readyz')).status, 200);
  await assert.rejects(connect(server.url), (error) => RailheadError.is(error, 'UNAUTHENTICATED'));
  const rail = await connect(server.url.replace('//', `//${TOKEN}@`));
  await rail.request('declareTopic', { name: 'q', kind: 'queue' });
  await rail.close();
  const web = await connect(server.url, { token: `${TOKEN}2` });
  assert.equal((await web.request('describeTopic', { name: 'q' })).name, 'q');
  await assert.rejects(web.request('purge', { topic: 'q', subscription: 'q' }), (error) =>
    RailheadError.is(error, 'FORBIDDEN'),
  );
  await web.close();
  await server.close();
  assert.ok(lines.some((line) => line.includes('a login was refused')));
  assert.doesNotMatch(lines.join(''), new RegExp(TOKEN));
});

test('a client of the native protocol is a stranger until it has logged in, and is then shown by its name', async (t) => {
  const server = await start(t, { memory: true, token: TOKEN });
  const authorization = `Bearer ${TOKEN}`;
  const stranger = createConnection({ port: server.port, host: '127.0.0.1' });
  t.after(() => stranger.destroy());
  stranger.write('GET /railhead HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: railhead/1\r\n\r\n');
  const [answer] = (await once(stranger, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 101/);
  const rail = await connect(server.url, { token: TOKEN });
  t.after(() => rail.close());
  const { body } = await call(server, 'GET', '/api/v1/connections', undefined, { authorization });
  const named = (body['connections'] as { user: string | null }[]).map(({ user }) => user);
  // The third is the one that asks: over HTTP each request logs in for itself.
  assert.deepEqual(named, [null, 'token', null]);
  const scraped = await (await fetch(`${server.httpUrl}/metrics`, { headers: { authorization } })).text();
  assert.match(scraped, /^railhead_connections\{protocol="railhead",state="handshake"\} 1$/m);
});

test('with TLS both protocols are encrypted and plain connections get nowhere', async (t) => {
  const server = await start(t, {
    memory: true,
    tls: { cert: join(TLS, 'localhost.crt'), key: join(TLS, 'localhost.key') },
  });
  const ca = await readFile(join(TLS, 'localhost.crt'), 'utf8');
  assert.match(server.url, /^railheads:/);
  const rail = await connect(server.url.replace('127.0.0.1', 'localhost'), { tls: { ca } });
  assert.equal((await rail.info()).notices.length, 0);
  await rail.close();
  const agent = new Agent({ ca });
  t.after(() => agent.destroy());
  const status = await new Promise((resolve, reject) => {
    get(`${server.httpUrl.replace('127.0.0.1', 'localhost')}/readyz`, { agent }, (response) =>
      resolve(response.resume().statusCode),
    ).on('error', reject);
  });
  assert.equal(status, 200);
  await assert.rejects(fetch(`${server.httpUrl.replace('https', 'http')}/readyz`));
});

test('a certificate that is not there is refused at start, naming the setting', async (t) => {
  await assert.rejects(
    start(t, { memory: true, tls: { cert: '/none.crt', key: '/none.key' } }),
    /tls\.cert is "\/none\.crt", which cannot be read/,
  );
});

test('closing answers long polls, says goodbye to clients and is over within the time to drain', async (t) => {
  const server = await start(t, { memory: true });
  await call(server, 'PUT', '/api/v1/queues/q', {});
  const polling = call(server, 'POST', '/api/v1/queues/q/receive', { wait: '60s' });
  const session = await connectRemote({ url: server.url });
  while ((await session.request('subscriptionStats', { topic: 'q', subscription: 'q' })).consumers === 0);
  const before = performance.now();
  await server.close();
  assert.ok(performance.now() - before < 1_900);
  assert.deepEqual(await polling, { status: 200, body: { messages: [] } });
  await assert.rejects(fetch(`${server.httpUrl}/readyz`));
  await session.close();
});

test('a configuration that makes no sense is refused before anything is made', async (t) => {
  const dir = await directory(t, 'never');
  await assert.rejects(start(t, { dir, host: '0.0.0.0' } as unknown as ServerConfigInput), (error) =>
    RailheadError.is(error, 'CONFIG'),
  );
  await assert.rejects(readFile(join(dir, 'railhead.lock')), /ENOENT/);
});

test('when a sync fails the waiting request is told, the server is over, and the log says why', async (t) => {
  const disk = new MemoryDisk();
  const storage = {
    journal: new FileJournal(disk, { segmentBytes: 1 << 20 }),
    blobs: await FileBlobs.open(disk),
    directory: null,
    release: () => undefined,
  };
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const server = await startServer({ port: 0, memory: true }, { log, storage });
  t.after(() => server.close());
  await call(server, 'PUT', '/api/v1/queues/q', {});
  disk.failAt('sync', 1);
  const { status, body } = await call(server, 'POST', '/api/v1/queues/q/messages', { body: 1 });
  assert.equal(status, 503);
  assert.equal((body['error'] as { code: string }).code, 'STORAGE_FAILED');
  assert.ok(RailheadError.is(await server.closed, 'STORAGE_FAILED'));
  assert.ok(lines.some((line) => line.includes('storage failed, stopping')));
  await assert.rejects(fetch(`${server.httpUrl}/healthz`));
});

test('random bytes and mutated requests on the socket harm nobody else', async (t) => {
  const lines: string[] = [];
  const server = await start(t, { memory: true, host: ['127.0.0.1'] }, lines);
  const random = new SeededRandom(20261123);
  const seeds = [
    'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'POST /api/v1/queues/q/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"body":1}',
    'POST /api/v1/queues/q/receive HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
    'GET /railhead HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: railhead/1\r\n\r\n\u0005\u0000\u0000\u0000\u0001abcd',
  ];
  const one = async (): Promise<void> => {
    const bytes = Buffer.from(random.pick(seeds), 'latin1');
    for (let flips = random.below(6); flips > 0; flips--) bytes[random.below(bytes.byteLength)] = random.below(256);
    const socket = createConnection(server.port, '127.0.0.1').on('error', () => undefined);
    socket.resume().end(random.chance(0.3) ? bytes.subarray(0, random.below(bytes.byteLength)) : bytes);
    await Promise.race([once(socket, 'close'), sleep(3_000, undefined, { ref: false })]);
    socket.destroy();
  };
  for (let round = 0; round < 40; round++) await Promise.all(Array.from({ length: 8 }, one));
  assert.deepEqual(
    lines.filter((line) => line.includes('a bug')),
    [],
  );
  assert.equal((await fetch(`${server.httpUrl}/readyz`)).status, 200);
});

test('AMQP is spoken on a port of its own, unless it is turned off', async (t) => {
  const on = await start(t, { memory: true });
  assert.match(on.amqpUrl ?? '', /^amqp:\/\/127\.0\.0\.1:\d+$/);
  const socket = createConnection({ host: '127.0.0.1', port: Number(new URL(on.amqpUrl ?? '').port) });
  socket.write('AMQP\0\0\x09\x01');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  // connection.start
  assert.deepEqual([answer[0], answer.readUInt32BE(7)], [1, 0x000a000a]);
  socket.destroy();
  const off = await start(t, { memory: true, amqp: false });
  assert.deepEqual([off.amqpUrl, off.amqpManagementUrl], [null, null]);
});

test("RabbitMQ's tools are answered on a port of their own, unless that is turned off or AMQP is", async (t) => {
  const on = await start(t, { memory: true });
  const overview = await fetch(`${on.amqpManagementUrl}/api/overview`, { headers: { connection: 'close' } });
  const { listeners } = (await overview.json()) as { listeners: { protocol: string; port: number }[] };
  assert.deepEqual(
    listeners.map(({ protocol, port }) => [protocol, port]),
    [
      ['amqp', Number(new URL(on.amqpUrl ?? '').port)],
      ['http', Number(new URL(on.amqpManagementUrl ?? '').port)],
    ],
  );
  const off = await start(t, { memory: true, amqpManagement: false });
  assert.deepEqual([typeof off.amqpUrl, off.amqpManagementUrl], ['string', null]);
});

test('Kafka is spoken on a port of its own, unless it is turned off', async (t) => {
  const on = await start(t, { memory: true });
  const [host = '', port = ''] = on.kafkaAddress?.split(':') ?? [];
  const socket = createConnection({ host, port: Number(port) });
  // ApiVersions, version 0, correlation 7, no client id.
  socket.write(Buffer.from('0000000a00120000000000 07ffff'.replaceAll(' ', ''), 'hex'));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.deepEqual([answer.readInt32BE(4), answer.readInt16BE(8)], [7, 0]);
  socket.destroy();
  assert.equal((await start(t, { memory: true, kafka: false })).kafkaAddress, null);
});

test('clients of SQS are patient with a sync, and nobody else is', async (t) => {
  const { broker, awsUrl, httpUrl } = await start(t, { memory: true });
  const connect = t.mock.method(broker, 'connect');
  const headers = { connection: 'close' };
  await fetch(awsUrl ?? '', {
    method: 'POST',
    headers: { ...headers, 'x-amz-target': 'AmazonSQS.CreateQueue' },
    body: JSON.stringify({ QueueName: 'q' }),
  });
  await fetch(`${httpUrl}/api/v1/topics`, { headers });
  const owners = connect.mock.calls.map(({ arguments: [owner] }) => [owner.name, owner.patient === true]);
  assert.deepEqual(owners, [
    ['aws', true],
    ['http', false],
  ]);
});
