/** One limit of refused logins by address, for every door of a server. */
import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { createConnection, Server, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../src/core/access.ts';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { RailheadError } from '../../src/core/errors.ts';
import { LOGIN_LIMITS } from '../../src/core/login-limits.ts';
import { storedPassword } from '../../src/core/passwords.ts';
import { ERROR } from '../../src/gateways/kafka/errors.ts';
import { UPGRADE_PATH, UPGRADE_PROTOCOL } from '../../src/wire/frames.ts';
import { type ServerConfigInput, startServer } from '../../src/server/index.ts';
import { RawPeer as AmqpPeer } from '../amqp/raw-peer.ts';
import { amzDate, signed } from '../aws/signing.ts';
import { RawPeer as KafkaPeer } from '../kafka/raw-peer.ts';
import { RawClient } from '../native/raw-client.ts';

const USER = 'guest';
const PASSWORD = 'correct horse';
const MOST = LOGIN_LIMITS.refusedOfAddress;
const MINUTE_MS = 60_000;

/** Where a client says to be; this machine is the last one. */
const [HERE, THERE, LOCAL] = ['127.0.0.2', '127.0.0.3', '127.0.0.1'];

type Secret = 'right' | 'wrong';
type Outcome = 'in' | 'refused' | 'later';
/** One login, on a connection of its own. */
type Door = (from: string, secret: Secret) => Promise<Outcome>;

/** The broker takes addresses of this machine for those of others, but for the usual one. */
function fromElsewhere(t: TestContext): void {
  const { emit } = Server.prototype as { emit: (this: Server, event: string, ...given: unknown[]) => boolean };
  t.mock.method(Server.prototype, 'emit', function (this: Server, event: string, ...given: unknown[]) {
    const [socket] = given;
    if (event === 'connection' && socket instanceof Socket && socket.remoteAddress !== LOCAL) {
      const value = socket.remoteAddress?.replace(/^127\.0\.0\.([2-9])$/, '192.0.2.$1');
      Object.defineProperty(socket, 'remoteAddress', { value, configurable: true });
    }
    return emit.call(this, event, ...given);
  });
}

interface Place {
  t: TestContext;
  clock: ManualClock;
  key: { id: string; secret: string };
  ports: Record<'main' | 'amqp' | 'management' | 'aws' | 'kafka', number>;
}

async function place(
  t: TestContext,
  limits: ServerConfigInput['limits'] = {},
): Promise<Place & { doors: Record<string, Door> }> {
  fromElsewhere(t);
  const clock = new ManualClock(Date.parse('2026-11-01T12:00:00Z'));
  const server = await startServer(
    { memory: true, port: 0, host: ['127.0.0.1'], drainTimeout: '1s', log: { level: 'silent' }, limits },
    { clock },
  );
  t.after(() => server.close());
  const users = new StoredUsers(server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: SYSTEM_NAMESPACE }));
  const { scram } = await storedPassword(PASSWORD);
  // As RabbitMQ has it, which is quicker to be compared with than scrypt.
  const salt = Buffer.from('salt');
  const digest = createHash('sha256').update(salt).update(PASSWORD).digest();
  const password = { hash: `rabbit-sha256:${Buffer.concat([salt, digest]).toString('base64')}`, scram };
  await users.put({ name: USER, password, role: 'admin', tags: ['administrator'] });
  const key = await users.addAccessKey(USER, 1);
  const portOf = (url: string | null): number => Number(url?.split(':').at(-1));
  const ports = {
    main: server.port,
    amqp: portOf(server.amqpUrl),
    management: portOf(server.amqpManagementUrl),
    aws: portOf(server.awsUrl),
    kafka: portOf(server.kafkaAddress),
  };
  const at = { t, clock, key, ports };
  return { ...at, doors: doorsOf(at) };
}

async function dial(t: TestContext, port: number, from: string): Promise<Socket> {
  const socket = createConnection({ port, host: '127.0.0.1', localAddress: from });
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

interface Asked {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: string;
}

async function ask(
  { port, ...where }: { port: number; localAddress?: string; agent?: Agent },
  { method = 'GET', path = '/', headers = {}, body }: Asked,
): Promise<{ status: number; text: string }> {
  const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: false, ...where });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, text: await text(response) };
}

const inHttp = ({ status }: { status: number }): Outcome => {
  if (status === 200) return 'in';
  assert.ok(status === 401 || status === 429, `${status}`);
  return status === 401 ? 'refused' : 'later';
};

const inKafka = (errorCode: number | undefined): Outcome => {
  if (errorCode === ERROR.NONE) return 'in';
  assert.ok(errorCode === ERROR.SASL_AUTHENTICATION_FAILED || errorCode === ERROR.THROTTLING_QUOTA_EXCEEDED);
  return errorCode === ERROR.SASL_AUTHENTICATION_FAILED ? 'refused' : 'later';
};

function bearer({ key }: Pick<Place, 'key'>, secret: Secret): Asked {
  const token = secret === 'right' ? `${key.id}.${key.secret}` : 'a-token-of-nobody';
  return { path: '/api/v1/whoami', headers: { authorization: `Bearer ${token}` } };
}

/** Signed, of the form that each service's clients have. */
function signedFor({ clock, key, ports }: Omit<Place, 't'>, service: 'sqs' | 'sns', secret: Secret): Asked {
  const body = service === 'sqs' ? '{}' : 'Action=ListTopics&Version=2010-03-31';
  const headers = {
    'content-type': service === 'sqs' ? 'application/x-amz-json-1.0' : 'application/x-www-form-urlencoded',
    host: `127.0.0.1:${ports.aws}`,
    'x-amz-date': amzDate(clock.now()),
    ...(service === 'sqs' && { 'x-amz-target': 'AmazonSQS.ListQueues' }),
  };
  const by = secret === 'right' ? key : { id: key.id, secret: 'x'.repeat(40) };
  const authorization = signed({ service, region: 'us-east-1' }, headers, body, by);
  return { method: 'POST', headers: { ...headers, authorization }, body };
}

const inAws = ({ status, text: said }: { status: number; text: string }): Outcome => {
  if (status === 200) return 'in';
  const isLater = said.includes('ThrottlingException');
  assert.equal(status, isLater ? 400 : 403, said);
  if (isLater) assert.match(said, /Try again in \d+ s/);
  else assert.match(said, /InvalidClientTokenId/);
  return isLater ? 'later' : 'refused';
};

async function handshake(peer: KafkaPeer, mechanism: string): Promise<(bytes: string) => Promise<[number, string]>> {
  assert.equal((await peer.ask('saslHandshake', 1, { mechanism }))?.errorCode, ERROR.NONE);
  return async (bytes) => {
    const answer = await peer.ask('saslAuthenticate', 2, { authBytes: Buffer.from(bytes) });
    assert.ok(answer);
    if (answer.errorCode === ERROR.THROTTLING_QUOTA_EXCEEDED) assert.match(answer.errorMessage ?? '', /Try again in/);
    return [answer.errorCode, answer.authBytes.toString()];
  };
}

async function scram(peer: KafkaPeer, password: string): Promise<Outcome> {
  const say = await handshake(peer, 'SCRAM-SHA-256');
  const [, first] = await say(`n,,n=${USER},r=client`);
  const [, nonce, salt = '', iterations] = /^r=(.+),s=(.+),i=(\d+)$/.exec(first) ?? [];
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest();
  const without = `c=biws,r=${nonce}`;
  const mask = createHmac('sha256', storedKey).update(`n=${USER},r=client,${first},${without}`).digest();
  const proof = Buffer.from(clientKey.map((byte, i) => byte ^ (mask[i] ?? 0)));
  const [errorCode] = await say(`${without},p=${proof.toString('base64')}`);
  return inKafka(errorCode);
}

function doorsOf(at: Place): Record<string, Door> {
  const { t, key, ports } = at;
  const token = `${key.id}.${key.secret}`;
  const passwordOf = (secret: Secret): string => (secret === 'right' ? PASSWORD : 'a wrong one');
  const kafka = async (from: string): Promise<KafkaPeer> => KafkaPeer.over(await dial(t, ports.kafka, from));
  const native = async (from: string, shown: object): Promise<Outcome> => {
    const socket = await dial(t, ports.main, from);
    socket.write(
      `GET ${UPGRADE_PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${UPGRADE_PROTOCOL}\r\n\r\n`,
    );
    const [upgraded] = (await once(socket, 'data')) as [Buffer];
    assert.match(upgraded.toString(), /^HTTP\/1.1 101 /);
    const client = new RawClient(socket);
    try {
      await client.hello(shown);
      return 'in';
    } catch (error) {
      assert.ok(RailheadError.is(error));
      assert.ok(error.code === 'UNAUTHENTICATED' || error.code === 'RATE_LIMITED');
      return error.code === 'RATE_LIMITED' ? 'later' : 'refused';
    }
  };
  return {
    'native by password': (from, secret) => native(from, { user: USER, password: passwordOf(secret) }),
    'native by token': (from, secret) => native(from, { token: secret === 'right' ? token : 'of-nobody' }),
    'http by token': async (from, secret) =>
      inHttp(await ask({ port: ports.main, localAddress: from }, bearer(at, secret))),
    'http in a browser': async (from, secret) => {
      const body = JSON.stringify({ user: USER, password: passwordOf(secret) });
      const headers = { 'content-type': 'application/json' };
      const path = '/api/v1/login';
      return inHttp(await ask({ port: ports.main, localAddress: from }, { method: 'POST', path, headers, body }));
    },
    'amqp-management': async (from, secret) => {
      const basic = Buffer.from(`${USER}:${passwordOf(secret)}`).toString('base64');
      const headers = { authorization: `Basic ${basic}` };
      return inHttp(await ask({ port: ports.management, localAddress: from }, { path: '/api/whoami', headers }));
    },
    amqp: async (from, secret) => {
      const peer = AmqpPeer.over(await dial(t, ports.amqp, from));
      await peer.greet(undefined, passwordOf(secret));
      while (peer.came.length < 2) await once(peer.socket, 'data');
      peer.socket.destroy();
      const method = peer.came[1]?.method;
      if (method?.name === 'connectionTune') return 'in';
      assert.ok(method?.name === 'connectionClose');
      const { replyCode, replyText } = method.args;
      if (replyCode === 403) return 'refused';
      assert.deepEqual([replyCode, /Try again in \d+ s/.test(replyText)], [320, true], replyText);
      return 'later';
    },
    'kafka by PLAIN': async (from, secret) => {
      const say = await handshake(await kafka(from), 'PLAIN');
      return inKafka((await say(`\0${USER}\0${passwordOf(secret)}`))[0]);
    },
    'kafka by PLAIN, with a token': async (from, secret) => {
      const say = await handshake(await kafka(from), 'PLAIN');
      return inKafka((await say(`\0token\0${secret === 'right' ? token : 'of-nobody'}`))[0]);
    },
    'kafka by SCRAM': async (from, secret) => scram(await kafka(from), passwordOf(secret)),
    'kafka by OAUTHBEARER': async (from, secret) => {
      const say = await handshake(await kafka(from), 'OAUTHBEARER');
      const shown = secret === 'right' ? token : 'of-nobody';
      return inKafka((await say(`n,,\u0001auth=Bearer ${shown}\u0001\u0001`))[0]);
    },
    sqs: async (from, secret) =>
      inAws(await ask({ port: ports.aws, localAddress: from }, signedFor(at, 'sqs', secret))),
    sns: async (from, secret) =>
      inAws(await ask({ port: ports.aws, localAddress: from }, signedFor(at, 'sns', secret))),
  };
}

test('after ten refused logins over any door an address waits for a minute at all of them, with the right secret too', async (t) => {
  const { clock, doors } = await place(t);
  for (const [name, door] of Object.entries(doors)) {
    assert.equal(await door(HERE, 'right'), 'in', name);
    for (let i = 0; i < MOST; i++) assert.equal(await door(HERE, 'wrong'), 'refused', `${name}, wrong ${i}`);
    for (const [other, at] of Object.entries(doors)) {
      assert.equal(await at(HERE, 'right'), 'later', `${other}, after ${name}`);
      assert.equal(await at(THERE, 'right'), 'in', `${other}, from elsewhere`);
    }
    clock.advance(MINUTE_MS - 1);
    assert.equal(await door(HERE, 'right'), 'later', name);
    clock.advance(1);
    assert.equal(await door(HERE, 'right'), 'in', name);
  }
});

test('a wrong secret of a program on this machine keeps no other one waiting', async (t) => {
  const { doors } = await place(t);
  const { 'http in a browser': browser, ...programs } = doors;
  assert.ok(browser);
  for (const [name, door] of Object.entries(programs)) {
    for (let i = 0; i <= MOST; i++) assert.equal(await door(LOCAL, 'wrong'), 'refused', name);
    assert.equal(await door(LOCAL, 'right'), 'in', name);
  }
  assert.equal(await browser(LOCAL, 'right'), 'in');
  for (let i = 0; i < MOST; i++) assert.equal(await browser(LOCAL, 'wrong'), 'refused');
  assert.equal(await browser(LOCAL, 'right'), 'later');
  for (const [name, door] of Object.entries(programs)) assert.equal(await door(LOCAL, 'right'), 'in', name);
});

test('a connection that was let in goes on while its address waits, until something wrong is shown on it', async (t) => {
  const at = await place(t);
  const { clock, doors, ports } = at;
  const connection = (port: number): { port: number; agent: Agent } => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, localAddress: HERE });
    t.after(() => agent.destroy());
    return { port, agent };
  };
  const [http, lane, parsed] = [connection(ports.main), connection(ports.aws), connection(ports.aws)];
  /** The second of Amazon's is one that Node's parser reads: for it a request is not a plain POST. */
  const requests: Record<string, (secret: Secret) => Promise<Outcome>> = {
    http: async (secret) => inHttp(await ask(http, bearer(at, secret))),
    sqs: async (secret) => inAws(await ask(lane, signedFor(at, 'sqs', secret))),
    sns: async (secret) => {
      const { headers, ...asked } = signedFor(at, 'sns', secret);
      return inAws(await ask(parsed, { ...asked, headers: { ...headers, te: 'trailers' } }));
    },
  };
  const kafka = KafkaPeer.over(await dial(t, ports.kafka, HERE));
  const again = async (password: string): Promise<Outcome> => {
    const say = await handshake(kafka, 'PLAIN');
    return inKafka((await say(`\0${USER}\0${password}`))[0]);
  };
  for (const [name, login] of Object.entries(requests)) assert.equal(await login('right'), 'in', name);
  assert.equal(await again(PASSWORD), 'in');
  for (let i = 0; i < MOST; i++) assert.equal(await doors['http by token']?.(HERE, 'wrong'), 'refused');
  for (const [name, login] of Object.entries(requests)) {
    for (let i = 0; i < 3; i++) assert.equal(await login('right'), 'in', name);
    assert.equal(await login('wrong'), 'refused', name);
    assert.equal(await login('right'), 'later', name);
  }
  assert.equal(await again(PASSWORD), 'in');
  assert.equal(await again('a wrong one'), 'refused');
  assert.equal(await again(PASSWORD), 'later');
  clock.advance(MINUTE_MS);
  for (const [name, login] of Object.entries(requests)) assert.equal(await login('right'), 'in', name);
});

test('requests that show nothing are not counted, and limits.refusedLogins says how many are too many', async (t) => {
  const { doors, ports } = await place(t, { refusedLogins: 2 });
  const door = doors['http by token'];
  assert.ok(door);
  const anonymous = { path: '/api/v1/whoami' };
  for (let i = 0; i < 5; i++)
    assert.equal((await ask({ port: ports.main, localAddress: HERE }, anonymous)).status, 401);
  for (let i = 0; i < 2; i++) assert.equal(await door(HERE, 'wrong'), 'refused');
  assert.equal(await door(HERE, 'right'), 'later');
});

test('with limits.refusedLogins of 0 nobody waits', async (t) => {
  const { doors } = await place(t, { refusedLogins: 0 });
  const door = doors['http by token'];
  assert.ok(door);
  for (let i = 0; i < 3 * MOST; i++) assert.equal(await door(HERE, 'wrong'), 'refused');
  assert.equal(await door(HERE, 'right'), 'in');
});
