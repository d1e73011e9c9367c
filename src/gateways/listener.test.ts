import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { promisify } from 'node:util';
import { ManualClock } from '../core/clock.ts';
import type { RailheadError } from '../core/errors.ts';
import type { Gateway, GatewayConnection, Peer } from './gateway.ts';
import { Listener, type ListenerOptions } from './listener.ts';

/** Logs everybody in who says `login`, echoes, and says the reason when it closes. */
class Echo implements Gateway {
  readonly peers: Peer[] = [];
  readonly reasons: RailheadError[] = [];
  deaf = false;

  handle(socket: Duplex, peer: Peer): GatewayConnection {
    this.peers.push(peer);
    socket.on('data', (chunk: Buffer) => {
      if (chunk.toString() === 'login') peer.authenticated();
      socket.write(chunk);
    });
    return {
      close: (reason) => {
        this.reasons.push(reason);
        if (!this.deaf) socket.end(`bye ${reason.code}`);
      },
    };
  }
}

async function listening(t: TestContext, options: Partial<ListenerOptions> = {}) {
  const clock = new ManualClock();
  const gateway = new Echo();
  const listener = new Listener({ gateway, clock, ...options });
  const address = await listener.listen({ host: '127.0.0.1', port: 0 });
  const port = 'port' in address ? address.port : 0;
  const sockets: Socket[] = [];
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await listener.close();
  });
  const join = (from = '127.0.0.1'): Socket => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from });
    socket.on('error', () => {});
    sockets.push(socket);
    return socket;
  };
  return { clock, gateway, listener, port, join };
}

function said(socket: Socket, text: string): Promise<string> {
  if (text !== '') socket.write(text);
  return new Promise((resolve, reject) => {
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString()));
    socket.once('close', () => reject(new Error('the connection was closed')));
  });
}

async function arrived(socket: Socket): Promise<Socket> {
  await said(socket, 'hello');
  return socket;
}

const closed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));

test('a connection over TCP reaches the gateway with where it comes from', async (t) => {
  const { gateway, join } = await listening(t);
  assert.equal(await said(join(), 'login'), 'login');
  const peer = gateway.peers[0];
  assert.match(peer?.address ?? '', /^127\.0\.0\.1:\d+$/);
  assert.deepEqual([peer?.local, peer?.loopback, peer?.secure], [false, true, false]);
});

test('a Unix socket is for its owner only', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-listener-'));
  t.after(() => rm(dir, { recursive: true }));
  const gateway = new Echo();
  const listener = new Listener({ gateway, clock: new ManualClock() });
  const path = join(dir, 'socket');
  assert.deepEqual(await listener.listen({ path }), { path });
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const socket = connect(path);
  assert.equal(await said(socket, 'login'), 'login');
  assert.deepEqual([gateway.peers[0]?.local, gateway.peers[0]?.address], [true, 'unix']);
  const gone = closed(socket);
  await listener.close();
  await gone;
});

test('an address that is taken is an error that names it', async (t) => {
  const { port } = await listening(t);
  const second = new Listener({ gateway: new Echo(), clock: new ManualClock() });
  await assert.rejects(second.listen({ host: '127.0.0.1', port }), {
    code: 'CONFIG',
    message: new RegExp(`127\\.0\\.0\\.1:${port}`),
  });
});

test(
  'TCP asks after a minute of silence whether the other end is still there',
  { skip: process.platform !== 'linux' && 'only Linux shows the timers of its sockets' },
  async (t) => {
    const { port, join } = await listening(t);
    const { localPort } = await arrived(join());
    const hex = (value: number | undefined): string => `:${value?.toString(16).toUpperCase().padStart(4, '0')}`;
    const sockets = (await readFile('/proc/net/tcp', 'latin1')).split('\n').map((line) => line.trim().split(/\s+/));
    const [, , , , , timer] =
      sockets.find(([, from, to]) => from?.endsWith(hex(port)) && to?.endsWith(hex(localPort))) ?? [];
    // Its kind, 02 for keep-alive, and when it is due, in hundredths of a second (proc(5)).
    const [kind, due] = timer?.split(':') ?? [];
    assert.equal(kind, '02');
    assert.ok(Number.parseInt(due ?? '', 16) <= 6_000, timer);
  },
);

test('who does not log in within 10 s is told so; who does, stays', async (t) => {
  const { clock, gateway, join } = await listening(t);
  const idle = join();
  const good = join();
  await said(idle, 'hello');
  await said(good, 'login');
  clock.advance(9_999);
  assert.equal(gateway.reasons.length, 0);
  const word = said(idle, '');
  clock.advance(1);
  assert.equal(await word, 'bye TIMEOUT');
  assert.deepEqual(
    gateway.reasons.map((reason) => reason.code),
    ['TIMEOUT'],
  );
  assert.equal(await said(good, 'still here'), 'still here');
});

test('who is told to go for want of a login and stays is cut off two minutes later', async (t) => {
  const { clock, gateway, join, listener } = await listening(t);
  gateway.deaf = true;
  const first = await arrived(join());
  clock.advance(6_000);
  const second = await arrived(join());
  const ends = [first, second].map(closed);
  clock.advance(4_000);
  assert.equal(gateway.reasons.length, 1);
  clock.advance(119_999);
  // What it had begun to ask is answered still.
  assert.equal(await said(first, 'late'), 'late');
  assert.equal(listener.connections, 2);
  clock.advance(1);
  await ends[0];
  assert.equal(listener.connections, 1);
  clock.advance(6_000);
  assert.equal(gateway.reasons.length, 2);
  await ends[1];
});

test('connections over the limit are closed, and a place that becomes free is given again', async (t) => {
  const { join, listener } = await listening(t, { limits: { maxConnections: 2 } });
  const first = join();
  await said(first, 'login');
  await said(join(), 'login');
  await closed(join());
  first.destroy();
  for (;;) {
    if (listener.connections < 2) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(await said(join(), 'login'), 'login');
});

test('strangers of one address take places from each other, and from nobody else', { timeout: 30_000 }, async (t) => {
  const { listener, join } = await listening(t, { limits: { maxUnauthenticated: 2 } });
  const flood: Socket[] = [];
  for (let i = 0; i < 2; i++) flood.push(await arrived(join('127.0.0.2')));
  const [first, second] = flood.map((socket) => closed(socket));
  const honest = await arrived(join());
  await first;
  await arrived(join('127.0.0.2'));
  await second;
  assert.equal(await said(honest, 'login'), 'login');
  assert.deepEqual(listener.figures(), { open: 2, handshake: 1, accepted: 4, refused: 2 });
});

test(
  'who has logged in keeps a place however many strangers come, and strangers keep nobody out',
  { timeout: 30_000 },
  async (t) => {
    const { join } = await listening(t, { limits: { maxUnauthenticated: 2, maxConnections: 2 } });
    const good = join();
    await said(good, 'login');
    for (let i = 0; i < 5; i++) {
      const stranger = await arrived(join('127.0.0.2'));
      const gone = closed(stranger);
      await arrived(join('127.0.0.3'));
      await gone;
    }
    assert.equal(await said(good, 'still here'), 'still here');
  },
);

test('with TLS nothing else is understood, and the time to log in includes the handshake', async (t) => {
  const file = (name: string): Promise<Buffer> =>
    readFile(new URL(`../../test/fixtures/tls/localhost.${name}`, import.meta.url));
  const [key, cert] = [await file('key'), await file('crt')];
  const { clock, gateway, port, join } = await listening(t, { tls: { key, cert } });
  const secure = connectTls({ port, host: '127.0.0.1', ca: cert, servername: 'localhost' });
  t.after(() => secure.destroy());
  assert.equal(await said(secure, 'login'), 'login');
  assert.equal(gateway.peers[0]?.secure, true);
  const plain = join();
  plain.write('login'.repeat(100));
  await closed(plain);
  assert.equal(gateway.peers.length, 1);
  const silent = join();
  await new Promise((resolve) => silent.once('connect', resolve));
  // Until the listener has it too.
  while (clock.nextTimer() === undefined) await new Promise((resolve) => setImmediate(resolve));
  const gone = closed(silent);
  clock.advance(10_000);
  await gone;
});

test('closing tells every connection why, and cuts those that do not go', async (t) => {
  const { clock, gateway, listener, join } = await listening(t);
  const polite = join();
  await said(polite, 'login');
  const word = said(polite, '');
  const closing = listener.close(3_000);
  assert.equal(await word, 'bye CLOSED');
  await closing;

  const other = await listening(t);
  other.gateway.deaf = true;
  const stuck = other.join();
  await said(stuck, 'login');
  const gone = closed(stuck);
  const cut = other.listener.close(3_000);
  other.clock.advance(3_000);
  await Promise.all([gone, cut]);
  assert.equal(other.gateway.reasons[0]?.code, 'CLOSED');
  assert.equal(gateway.reasons.length, 1);
  assert.equal(clock.nextTimer(), undefined);
});

test('certificates that were renewed are shown to who connects then, and TLS 1.1 is refused', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-tls-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const made = async (name: string): Promise<{ key: Buffer; cert: Buffer }> => {
    const [key, cert] = [join(dir, `${name}.key`), join(dir, `${name}.crt`)];
    const what = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    ];
    await promisify(execFile)('openssl', ['req', '-x509', ...what, '-keyout', key, '-out', cert]);
    return { key: await readFile(key), cert: await readFile(cert) };
  };
  const first = await made('first');
  const { port, listener } = await listening(t, { tls: { ...first, minVersion: 'TLSv1.2' } });
  const shown = async (options: ConnectionOptions = {}): Promise<string> => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    try {
      await once(socket, 'secureConnect');
      return String(socket.getPeerCertificate().subject.CN);
    } finally {
      socket.destroy();
    }
  };
  assert.equal(await shown(), 'first');
  listener.renewTls({ ...(await made('second')), minVersion: 'TLSv1.2' });
  assert.equal(await shown(), 'second');
  await assert.rejects(shown({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
});
