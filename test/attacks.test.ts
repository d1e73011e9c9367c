/** Classes of attack that concern no one part: what is hostile in names and messages, and what the package brings along. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { type RunningServer, startServer, type ServerConfigInput } from '../src/server/index.ts';
import { connect } from '../src/sdk/connect.ts';
import { defineQueue } from '../src/sdk/define.ts';
import { LISTENER_LIMITS } from '../src/gateways/listener.ts';
import { call } from './aws/call.ts';

const root = resolve(import.meta.dirname, '..');

async function start(t: TestContext, config: ServerConfigInput = { memory: true }): Promise<RunningServer> {
  const server = await startServer({ port: 0, log: { level: 'silent' }, drainTimeout: '1s', ...config });
  t.after(() => server.close());
  return server;
}

/** One request as it is written, and the whole answer. */
async function raw(port: number, request: string): Promise<string> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  socket.on('error', () => {});
  socket.write(`${request}\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  await once(socket, 'close');
  return text;
}

function namesIn(answer: string): string[] {
  const [head = ''] = answer.split('\r\n\r\n', 1);
  const [, ...lines] = head.split('\r\n');
  return lines.map((line) => line.split(':', 1)[0]?.toLowerCase() ?? '');
}

const portOf = (url: string | null): number => Number(url?.split(':').at(-1));

test(
  'connections that never log in keep nobody out who comes from elsewhere, over any protocol',
  { timeout: 120_000 },
  async (t) => {
    const token = 'a-token-that-nobody-guesses';
    const server = await start(t, { memory: true, token });
    const http = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const protocols: Record<string, [address: string | null, first: string]> = {
      railhead: [server.url, http],
      amqp: [server.amqpUrl, 'AMQP\0\0\x09\x01'],
      'amqp-management': [server.amqpManagementUrl, http],
      aws: [server.awsUrl, http],
      // What every client begins with: ApiVersions, version 0, from nobody in particular.
      kafka: [server.kafkaAddress, '\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff'],
    };
    const flood: Socket[] = [];
    t.after(() => flood.forEach((socket) => socket.destroy()));
    const comeIn = async (port: number, from: string): Promise<Socket> => {
      const socket = createConnection({ port, host: '127.0.0.1', localAddress: from });
      flood.push(socket);
      socket.on('error', () => {});
      await once(socket, 'connect');
      return socket;
    };
    const isAnswered = (socket: Socket, first: string): Promise<boolean> => {
      socket.write(first, 'latin1');
      return Promise.race([once(socket, 'data').then(() => true), once(socket, 'close').then(() => false)]);
    };
    const { maxUnauthenticated } = LISTENER_LIMITS;
    for (const [protocol, [address, first]] of Object.entries(protocols)) {
      const port = portOf(address);
      const before = await comeIn(port, '127.0.0.1');
      for (let i = 0; i < maxUnauthenticated; i += 64)
        await Promise.all(Array.from({ length: 64 }, () => comeIn(port, '127.0.0.2')));
      assert.equal(await isAnswered(await comeIn(port, '127.0.0.1'), first), true, `${protocol}: who comes after them`);
      assert.equal(await isAnswered(before, first), true, `${protocol}: who was there before them`);
    }
    const metrics = await (
      await fetch(`${server.httpUrl}/metrics`, { headers: { authorization: `Bearer ${token}` } })
    ).text();
    for (const protocol of Object.keys(protocols))
      assert.match(metrics, new RegExp(`railhead_connections_refused_total\\{protocol="${protocol}"\\} [1-9]`));
  },
);

test('nothing that a message or a name says becomes a header of an answer', async (t) => {
  const server = await start(t);
  const rail = await connect(server.url);
  t.after(() => rail.close());
  const planted = 'x\r\nplanted: 1\r\n\r\n<script>';
  await assert.rejects(rail.queue(defineQueue(planted)).send('1'), { code: 'INVALID' });
  for (const name of ['q', 'planted: 1;"<script>']) {
    await rail
      .queue(defineQueue(name))
      .send(planted, { headers: { planted: '1', [planted]: planted, 'set-cookie': 'planted=1', location: 'planted' } });
  }
  const allowed = new Set(
    `cache-control connection content-length content-security-policy content-type date etag keep-alive transfer-encoding
     x-content-type-options www-authenticate x-amzn-requestid vary referrer-policy x-frame-options
     cross-origin-opener-policy cross-origin-resource-policy permissions-policy content-encoding`.split(/\s+/),
  );
  const asked: string[] = [];
  const encoded = encodeURIComponent(planted);
  for (const name of ['q', encoded, 'none', `none${encoded}`]) {
    for (const path of ['', '/messages', '/stats', `/messages/${encoded}`])
      asked.push(`GET /api/v1/queues/${name}${path}`);
    asked.push(`GET /api/v1/topics/${name}`, `GET /api/v1/routers/${name}`, `GET /api/v1/scale/${name}`);
    asked.push(`GET /api/queues/%2F/${name}`, `GET /000000000000/${name}?Action=${encoded}`, `GET /${name}`);
    asked.push(`POST /api/v1/queues/${name}/receive`, `GET /healthz?${name}`);
  }
  const ports = [server.port, portOf(server.amqpManagementUrl), portOf(server.awsUrl)];
  let answers = 0;
  for (const port of ports)
    for (const each of asked) {
      const answer = await raw(port, `${each} HTTP/1.1\r\nRailhead-Namespace: default\r\nContent-Length: 0`);
      const foreign = namesIn(answer).filter((name) => !allowed.has(name));
      assert.deepEqual(foreign, [], `${each}\n${answer.slice(0, 1000)}`);
      assert.doesNotMatch(answer.split('\r\n\r\n', 1)[0] ?? '', /planted/);
      answers++;
    }
  assert.equal(answers, ports.length * asked.length);
  assert.match(await raw(server.port, 'GET /api/v1/queues/q/messages HTTP/1.1'), /planted/);
});

test('no name of a client becomes the name of a file, and no path leads out of the pages', async (t) => {
  const place = await mkdtemp(join(tmpdir(), 'railhead-paths-'));
  const dir = join(place, 'inner', 'data');
  await mkdir(dir, { recursive: true });
  await writeFile(join(place, 'secret'), 'a secret of somebody else');
  const server = await start(t, { dir, journal: { segmentSize: '1MiB' } });
  // After the broker has closed: it makes files.
  t.after(() => rm(place, { recursive: true, force: true }));
  const hostile = ['../../planted', '/planted', '..\\planted', '.', '..', 'CON', '~planted', '$planted'];
  for (const name of hostile) {
    const rail = await connect(server.url, { namespace: `planted${name}` });
    await rail.queue(defineQueue(name, { maxMessageBytes: '4MiB' })).send(new Uint8Array(2 << 20));
    await rail.queue(name).send('small', { key: name });
    await rail.close();
  }
  const files = (await readdir(place, { recursive: true, withFileTypes: true })).filter((each) => !each.isDirectory());
  for (const { parentPath, name } of files) {
    assert.doesNotMatch(join(parentPath, name).slice(place.length), /planted|CON$/);
    assert.ok(parentPath.startsWith(dir) || name === 'secret', join(parentPath, name));
  }
  const up = '/..'.repeat(12);
  for (const file of ['/etc/passwd', `${place}/secret`, '/package.json']) {
    const path = `${up}${file}`;
    // A server that decodes before it looks, or after, or twice.
    const spellings = [
      path,
      path.replaceAll('.', '%2e'),
      path.replaceAll('/', '\\'),
      ...['%2f', '%5c', '%252f'].map((slash) => `/${path.slice(1).replaceAll('/', slash)}`),
      ...['%2f', '%5c'].map((slash) => `/assets${path.replaceAll('/', slash)}`),
      file,
      `/${encodeURIComponent(file)}`,
    ];
    for (const spelling of spellings) {
      const answer = await raw(server.port, `GET ${spelling} HTTP/1.1`);
      assert.doesNotMatch(answer, /root:|a secret of|"dependencies"/, spelling);
    }
  }
});

test('a subscription brings the broker to ask nothing of its own machine, nor where a redirect leads', async (t) => {
  const asked: unknown[] = [];
  const allowed = Promise.withResolvers<void>();
  const redirected = Promise.withResolvers<void>();
  const inside = createServer((request, response) => {
    asked.push(request.url);
    response.end();
    if (request.url === '/allowed') allowed.resolve();
  });
  inside.listen(0, '127.0.0.1');
  await once(inside, 'listening');
  // Bound to a host and a port.
  const { port } = inside.address() as AddressInfo;
  const redirecting = createServer((_request, response) => {
    response.writeHead(307, { location: `http://127.0.0.1:${port}/redirect` }).end(() => redirected.resolve());
  });
  redirecting.listen(0, '127.0.0.1');
  await once(redirecting, 'listening');
  t.after(() => {
    inside.close();
    redirecting.close();
  });
  const subscribe = async (server: RunningServer, endpoint: string): Promise<void> => {
    const url = server.awsUrl ?? '';
    const made = await call(url, 'query', 'CreateTopic', { Name: 'news' }, 'sns');
    const TopicArn = /<TopicArn>([^<]+)</.exec(made.text)?.[1];
    assert.ok(TopicArn, made.text);
    const answer = await call(url, 'query', 'Subscribe', { TopicArn, Protocol: 'http', Endpoint: endpoint }, 'sns');
    assert.equal(answer.status, 200, answer.text);
  };
  const guarded = await start(t);
  for (const host of ['127.0.0.1', 'localhost', '2130706433', '[::ffff:127.0.0.1]'])
    await subscribe(guarded, `http://${host}:${port}/guarded`);
  const open = await start(t, { memory: true, allowPrivateWebhooks: true });
  await subscribe(open, `http://127.0.0.1:${(redirecting.address() as AddressInfo).port}/`);
  await redirected.promise;
  // The endpoint is one that answers: where it is allowed, it is asked.
  await subscribe(open, `http://127.0.0.1:${port}/allowed`);
  await allowed.promise;
  assert.deepEqual(asked, ['/allowed']);
});

interface Locked {
  version?: string;
  resolved?: string;
  integrity?: string;
  dev?: boolean;
  optional?: boolean;
  devOptional?: boolean;
  peer?: boolean;
  link?: boolean;
  os?: string[];
  hasInstallScript?: boolean;
}

test('every package is locked by its digest, only an optional one that users get has a script, and the tarball is what it should be', async () => {
  const read = (file: string): unknown => JSON.parse(readFileSync(join(root, file), 'utf8'));
  const { lockfileVersion, packages } = read('package-lock.json') as {
    lockfileVersion: number;
    packages: Record<string, Locked>;
  };
  const manifest = read('package.json') as { dependencies: Record<string, string>; scripts: Record<string, string> };
  assert.equal(lockfileVersion, 3);
  const all = Object.entries(packages).filter(([path]) => path !== '');
  // Builds for other platforms may be missing at the registry by which the lock was made: by version, and optional.
  const unlocked = all.filter(
    ([, { integrity, optional, os }]) =>
      !(integrity?.startsWith('sha512-') ?? false) && !(optional === true && os !== undefined && !isHere(os)),
  );
  assert.deepEqual(
    unlocked.map(([path]) => path).filter((path) => !PLATFORM_BUILD.test(path)),
    [],
  );
  for (const [path, { resolved = 'https://registry.npmjs.org/' }] of all)
    assert.match(resolved, /^https:\/\/registry\.npmjs\.org\//, path);
  const users = all.filter(([, { dev, devOptional, peer }]) => ![dev, devOptional, peer].includes(true));
  assert.ok(users.length < 40, `${users.length} packages come with ours`);
  // It looks for a build of native code, which nothing needs: with --ignore-scripts all is the same.
  assert.deepEqual(
    users
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([path, { optional }]) => [path, optional]),
    [['node_modules/msgpackr-extract', true]],
  );
  for (const name of Object.keys(manifest.dependencies)) {
    assert.ok(packages[`node_modules/${name}`]?.integrity, `${name} is not locked`);
    const { scripts = {} } = read(`node_modules/${name}/package.json`) as { scripts?: Record<string, string> };
    assert.deepEqual(
      Object.keys(scripts).filter((script) => INSTALL_SCRIPTS.has(script)),
      [],
      name,
    );
  }
  // Nor does ours.
  assert.deepEqual(
    Object.keys(manifest.scripts).filter((script) => INSTALL_SCRIPTS.has(script)),
    [],
  );
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
  });
  const [packed] = JSON.parse(stdout) as { files: { path: string }[] }[];
  const others = (packed?.files ?? []).map(({ path }) => path).filter((path) => !path.startsWith('dist/'));
  assert.deepEqual(others.sort(), ['CHANGELOG.md', 'LICENSE', 'NOTICE', 'README.md', 'package.json']);
  for (const { path } of packed?.files ?? [])
    assert.doesNotMatch(basename(path), /^\.|\.(pem|key|env|test\.js)$/, path);
});

const INSTALL_SCRIPTS = new Set(['preinstall', 'install', 'postinstall']);
const PLATFORM_BUILD = /\/(binding|resolver-binding|msgpackr-extract|darwin|win32)-[\w-]+$/;

function isHere(os: readonly string[]): boolean {
  return os.includes(process.platform);
}
