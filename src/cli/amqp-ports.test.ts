/** Where `railhead` listens for AMQP, as the flags are typed; and what it does when somebody else has the port. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect } from 'amqplib';

const MAIN = join(import.meta.dirname, 'main.ts');
const TLS = join(import.meta.dirname, '../../test/fixtures/tls');
const [CERT, KEY] = [join(TLS, 'localhost.crt'), join(TLS, 'localhost.key')];
const TIMEOUT_MS = 60_000;
const USUAL = 5672;
const USUAL_WITH_TLS = 5671;
/** Nothing else listens: what is taken is AMQP's port. */
const ALONE = ['--memory', '--no-aws', '--no-kafka'];

interface Ready {
  url: string;
  http: string;
  amqp: string | null;
  amqpManagement: string | null;
}

function launch(args: readonly string[]): ChildProcess {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('RAILHEAD_')));
  // What the test runner sets for its own children would make the child speak its protocol.
  delete clean['NODE_TEST_CONTEXT'];
  return spawn(process.execPath, [MAIN, ...args, '--json'], { env: clean, stdio: 'pipe', timeout: TIMEOUT_MS });
}

function textOf(stream: NodeJS.ReadableStream | null): () => string {
  let text = '';
  stream?.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  return () => text;
}

/** `railhead` with these arguments, once it takes connections; and what its log says so far. */
async function running(t: TestContext, ...args: string[]): Promise<{ ready: Ready; log: () => string }> {
  const child = launch(args);
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  const log = textOf(child.stderr);
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').once('data', resolve);
    child.once('close', () => reject(new Error(log())));
  });
  return { ready: JSON.parse(line) as Ready, log };
}

/** What it said, of one that does not start. */
async function refused(...args: string[]): Promise<string> {
  const child = launch(args);
  const [log, out] = [textOf(child.stderr), textOf(child.stdout)];
  // One that is ready did start, and would run on.
  child.stdout?.on('data', () => {
    if (out().includes('"pid"')) child.kill('SIGKILL');
  });
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(code, 1, `${args.join(' ')}: ${out()}${log()}`);
  return log() + out();
}

async function listening(port: number): Promise<Server> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Somebody has this port: this test, or whoever had it before. */
async function taken(t: TestContext, port: number): Promise<void> {
  const server = await listening(port).catch(() => undefined);
  t.after(() => server?.close());
}

async function freePort(): Promise<number> {
  const server = await listening(0);
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('--amqp PORT is where AMQP listens, and --no-amqp turns it off with what needs it', async (t) => {
  const port = await freePort();
  const on = await running(t, ...ALONE, '--port', '0', '--amqp', String(port));
  assert.equal(on.ready.amqp, `amqp://127.0.0.1:${port}`);
  const connection = await connect(on.ready.amqp);
  await connection.close();
  const off = await running(t, ...ALONE, '--port', '0', '--no-amqp');
  assert.deepEqual([off.ready.amqp, off.ready.amqpManagement], [null, null]);
});

test('the default port that somebody else has turns AMQP off where only this machine can connect', async (t) => {
  await taken(t, USUAL);
  const port = String(await freePort());
  const { ready, log } = await running(t, ...ALONE, '--port', port, '--amqp-management', '0');
  assert.equal(ready.amqp, null);
  assert.match(log(), /the port of AMQP is taken, so that AMQP is off; name another with --amqp/);
  const state = (await (await fetch(`${ready.http}/readyz`)).json()) as { off: string[] };
  assert.deepEqual(state.off, ['amqp']);
});

test('the default port that somebody else has is an error off loopback, with a config file, and when it was asked for', async (t) => {
  await taken(t, USUAL);
  const dir = await mkdtemp(join(tmpdir(), 'railhead-ports-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'railhead.yaml');
  await writeFile(file, 'log:\n  level: info\n');
  const port = async (): Promise<string[]> => ['--port', String(await freePort())];
  const cases: [string, string[]][] = [
    ['off loopback', ['--host', '0.0.0.0', '--insecure']],
    ['with a config file', ['--config', file]],
    ['asked for', ['--amqp', String(USUAL)]],
  ];
  for (const [what, args] of cases)
    assert.match(await refused(...ALONE, ...(await port()), ...args), /Cannot listen on [^ ]+:5672/, what);
});

test('with TLS the default port is 5671, where nobody gets in without it', async (t) => {
  const free = await listening(USUAL_WITH_TLS).catch(() => undefined);
  t.after(() => free?.close());
  const tls = ['--tls-cert', CERT, '--tls-key', KEY];
  const start = async () => running(t, ...ALONE, ...tls, '--port', String(await freePort()), '--amqp-management', '0');
  const blocked = await start();
  assert.equal(blocked.ready.amqp, null);
  assert.match(blocked.log(), /"port":5671.*the port of AMQP is taken|the port of AMQP is taken.*port=5671/);
  if (free === undefined) {
    t.diagnostic('somebody else listens on 5671');
    return;
  }
  free.close();
  await once(free, 'close');
  const { ready } = await start();
  assert.equal(ready.amqp, 'amqps://127.0.0.1:5671');
  const ca = await readFile(CERT);
  const connection = await connect('amqps://localhost:5671', { ca: [ca], servername: 'localhost' });
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('q');
  channel.sendToQueue('q', Buffer.from('over TLS'));
  await channel.waitForConfirms();
  await connection.close();
  await assert.rejects(connect('amqp://127.0.0.1:5671'));
});
