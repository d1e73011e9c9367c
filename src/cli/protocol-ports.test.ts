/** Where `railhead` listens for each protocol, as the flags are typed; and what it does when somebody else has the port. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { connect } from 'amqplib';
import { Kafka, logLevel } from 'kafkajs';

const MAIN = join(import.meta.dirname, 'main.ts');
const TLS = join(import.meta.dirname, '../../test/fixtures/tls');
const [CERT, KEY] = [join(TLS, 'localhost.crt'), join(TLS, 'localhost.key')];
const TIMEOUT_MS = 60_000;

interface Ready {
  url: string;
  http: string;
  amqp: string | null;
  amqpManagement: string | null;
  aws: string | null;
  kafka: string | null;
}

interface Protocol {
  flag: 'amqp' | 'aws' | 'kafka';
  /** As the log calls it. */
  name: string;
  usual: number;
  usualWithTls: number;
  /** How it is told where it is spoken, before host and port. */
  schemes: readonly [plain: string, secure: string];
  /** A client of it connects and asks for something; with the certificate over TLS. */
  call: (address: string, ca?: Buffer) => Promise<void>;
}

const PROTOCOLS: readonly Protocol[] = [
  {
    flag: 'amqp',
    name: 'AMQP',
    usual: 5672,
    usualWithTls: 5671,
    schemes: ['amqp://', 'amqps://'],
    call: async (address, ca) => {
      const connection = await connect(address, ca && { ca: [ca] });
      const channel = await connection.createConfirmChannel();
      await channel.assertQueue('q');
      channel.sendToQueue('q', Buffer.from('hello'));
      await channel.waitForConfirms();
      await connection.close();
    },
  },
  {
    flag: 'aws',
    name: 'AWS',
    usual: 4566,
    usualWithTls: 4566,
    schemes: ['http://', 'https://'],
    call: async (endpoint, ca) => {
      const sqs = new SQSClient({
        endpoint,
        region: 'eu-central-1',
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
        maxAttempts: 1,
        ...(ca !== undefined && { requestHandler: { httpsAgent: new Agent({ ca }) } }),
      });
      await sqs.send(new ListQueuesCommand()).finally(() => sqs.destroy());
    },
  },
  {
    flag: 'kafka',
    name: 'Kafka',
    usual: 9092,
    usualWithTls: 9092,
    schemes: ['', ''],
    call: async (broker, ca) => {
      const ssl = ca !== undefined && { ca };
      const kafka = new Kafka({ brokers: [broker], ssl, retry: { retries: 0 }, logLevel: logLevel.NOTHING });
      const admin = kafka.admin();
      await admin.connect();
      await admin.listTopics();
      await admin.disconnect();
    },
  },
];

/** Nothing else listens than the main port and this one. */
const alone = (protocol: Protocol): string[] => [
  '--memory',
  ...PROTOCOLS.filter((each) => each !== protocol).map(({ flag }) => `--no-${flag}`),
  '--no-amqp-management',
];

const spokenBy = ({ amqp, aws, kafka }: Ready): Record<string, string | null> => ({ amqp, aws, kafka });

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

interface Running {
  ready: Ready;
  log: () => string;
  stop: () => Promise<void>;
}

/** `railhead` with these arguments, once it takes connections; and what its log says so far. */
async function running(t: TestContext, ...args: string[]): Promise<Running> {
  const child = launch(args);
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'close');
  };
  t.after(stop);
  const log = textOf(child.stderr);
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').once('data', resolve);
    child.once('close', () => reject(new Error(log())));
  });
  return { ready: JSON.parse(line) as Ready, log, stop };
}

/** What a command that ends by itself said, and its exit code. */
async function ended(...args: string[]): Promise<{ code: number | null; said: string }> {
  const child = launch(args);
  const [log, out] = [textOf(child.stderr), textOf(child.stdout)];
  // A broker that is ready did start, and would run on.
  child.stdout?.on('data', () => {
    if (out().includes('"pid"')) child.kill('SIGKILL');
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said: log() + out() };
}

async function listening(port: number): Promise<Server> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Somebody has this port: this test, or whoever had it before. */
async function taken(t: TestContext, port: number): Promise<Server | undefined> {
  const server = await listening(port).catch(() => undefined);
  t.after(() => server?.close());
  return server;
}

async function freePort(): Promise<string> {
  const server = await listening(0);
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return String(port);
}

/** A test of each protocol. */
async function each(t: TestContext, prove: (protocol: Protocol, t: TestContext) => Promise<void>): Promise<void> {
  for (const protocol of PROTOCOLS) await t.test(protocol.name, (inner) => prove(protocol, inner));
}

test('a protocol is spoken on the port of its flag, and nowhere with --no- before its name', (t) =>
  each(t, async (protocol, inner) => {
    const { flag, schemes, call } = protocol;
    const port = await freePort();
    const on = await running(inner, ...alone(protocol), '--port', '0', `--${flag}`, port);
    const address = `${schemes[0]}127.0.0.1:${port}`;
    assert.deepEqual(spokenBy(on.ready), { amqp: null, aws: null, kafka: null, [flag]: address });
    await call(address);
    await on.stop();
    const off = await running(inner, '--memory', '--port', '0', `--no-${flag}`);
    const silent = Object.entries(spokenBy(off.ready)).filter(([, where]) => where === null);
    assert.deepEqual(silent, [[flag, null]]);
    assert.equal(off.ready.amqpManagement === null, flag === 'amqp', 'what needs AMQP goes with it');
    const ready = (await (await fetch(`${off.ready.http}/readyz`)).json()) as { off?: string[] };
    assert.equal(ready.off, undefined, 'nobody misses what was turned off');
  }));

test('a default port that somebody else has turns its protocol off where only this machine can connect', (t) =>
  each(t, async (protocol, inner) => {
    const { flag, name, usual } = protocol;
    await taken(inner, usual);
    const { ready, log } = await running(inner, ...alone(protocol), '--port', await freePort());
    assert.equal(ready[flag], null);
    const warning = `the port of ${name} is taken, so that ${name} is off; name another with --${flag}`;
    assert.ok(log().includes(warning), log());
    assert.match(log(), new RegExp(`port"?[:=]${usual}\\b`));
    const state = (await (await fetch(`${ready.http}/readyz`)).json()) as { off: string[] };
    assert.deepEqual(state.off, [flag]);
    const doctor = await ended('doctor', '--url', ready.url);
    assert.equal(doctor.code, 1, doctor.said);
    assert.match(doctor.said, new RegExp(`"protocol-off".*${flag} is off.*--${flag} PORT.*--no-${flag}`));
  }));

test('the management API goes with AMQP also when AMQP had to yield its port', async (t) => {
  await taken(t, 5672);
  const rest = ['--no-aws', '--no-kafka', '--amqp-management', '0'];
  const { ready } = await running(t, '--memory', ...rest, '--port', await freePort());
  assert.deepEqual([ready.amqp, ready.amqpManagement], [null, null]);
});

test('a default port that somebody else has is an error off loopback, with a config file, and when it was asked for', (t) =>
  each(t, async (protocol, inner) => {
    const { flag, usual } = protocol;
    await taken(inner, usual);
    const dir = await mkdtemp(join(tmpdir(), 'railhead-ports-'));
    inner.after(() => rm(dir, { recursive: true, force: true }));
    const file = join(dir, 'railhead.yaml');
    await writeFile(file, 'log:\n  level: info\n');
    const cases: [string, string[]][] = [
      ['off loopback', ['--host', '0.0.0.0', '--insecure']],
      ['with a config file', ['--config', file]],
      ['asked for', [`--${flag}`, String(usual)]],
    ];
    for (const [what, args] of cases) {
      const { code, said } = await ended(...alone(protocol), '--port', await freePort(), ...args);
      assert.equal(code, 1, `${what}: ${said}`);
      assert.match(said, new RegExp(`Cannot listen on [^ ]+:${usual}`), what);
    }
  }));

test('with TLS nobody gets in without it on the default port, which is 5671 for AMQP', (t) =>
  each(t, async (protocol, inner) => {
    const { flag, name, usualWithTls, schemes, call } = protocol;
    const mine = await taken(inner, usualWithTls);
    const tls = ['--tls-cert', CERT, '--tls-key', KEY];
    const start = async () => running(inner, ...alone(protocol), ...tls, '--port', await freePort());
    const blocked = await start();
    assert.equal(blocked.ready[flag], null);
    assert.ok(blocked.log().includes(`the port of ${name} is taken`), blocked.log());
    assert.match(blocked.log(), new RegExp(`port"?[:=]${usualWithTls}\\b`));
    await blocked.stop();
    mine?.close();
    if (mine !== undefined) await once(mine, 'close');
    const { ready } = await start();
    if (ready[flag] === null) {
      await assert.rejects(listening(usualWithTls), 'the port is free');
      inner.diagnostic(`somebody else listens on ${usualWithTls}`);
      return;
    }
    const [plain, secure] = schemes;
    assert.equal(ready[flag], `${secure}127.0.0.1:${usualWithTls}`);
    await call(`${secure}localhost:${usualWithTls}`, await readFile(CERT));
    await assert.rejects(call(`${plain}127.0.0.1:${usualWithTls}`));
  }));
