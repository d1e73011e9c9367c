/** The credentials of users by Kafka's own API. */
import assert from 'node:assert/strict';
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import type { SASLOptions } from 'kafkajs';
import { ManualClock } from '../../../src/core/clock.ts';
import { ERROR } from '../../../src/gateways/kafka/errors.ts';
import { startServer } from '../../../src/server/index.ts';
import { RawPeer } from '../../kafka/raw-peer.ts';
import { kafkaAt } from './broker.ts';

const TOKEN = 'a-token-that-nobody-guesses';
const MECHANISM = { 'scram-sha-256': 1, 'scram-sha-512': 2 } as const;
const ALGORITHM = { 1: 'sha256', 2: 'sha512' } as const;
const BYTES = { 1: 32, 2: 64 } as const;

async function start(t: TestContext): Promise<{ admin: RawPeer; address: string; httpUrl: string }> {
  const log = { level: 'silent' } as const;
  const server = await startServer({ memory: true, port: 0, token: TOKEN, drainTimeout: '1s', log });
  t.after(() => server.close());
  const address = server.kafkaAddress ?? '';
  const admin = await RawPeer.dial(Number(address.split(':').at(-1)));
  await admin.ask('saslHandshake', 1, { mechanism: 'PLAIN' });
  await admin.ask('saslAuthenticate', 2, { authBytes: Buffer.from(`\0token\0${TOKEN}`) });
  return { admin, address, httpUrl: server.httpUrl };
}

/** As Kafka's tools make it of a password. */
function credential(name: string, mechanism: 1 | 2, password: string, iterations = 4096) {
  const salt = randomBytes(24);
  const saltedPassword = pbkdf2Sync(password, salt, iterations, BYTES[mechanism], ALGORITHM[mechanism]);
  return { name, mechanism, iterations, salt, saltedPassword };
}

/** Of whatever mechanism. */
type Credential = Omit<ReturnType<typeof credential>, 'mechanism'> & { mechanism: number };

async function logsIn(
  address: string,
  mechanism: keyof typeof MECHANISM | 'plain',
  password: string,
): Promise<boolean> {
  const who = { username: 'zoe', password };
  const sasl: SASLOptions =
    mechanism === 'plain'
      ? { mechanism, ...who }
      : mechanism === 'scram-sha-256'
        ? { mechanism, ...who }
        : { mechanism, ...who };
  const admin = kafkaAt(address, { sasl, retry: { retries: 0 } }).admin();
  try {
    await admin.connect();
    return true;
  } catch {
    return false;
  } finally {
    await admin.disconnect();
  }
}

test('a user that Kafka has made logs in with SCRAM and PLAIN until its credentials are deleted', async (t) => {
  const { admin, address } = await start(t);
  const alter = async (request: { deletions?: object[]; upsertions?: Credential[] }) => {
    const { deletions = [], upsertions = [] } = request;
    const answer = await admin.ask('alterUserScramCredentials', 0, { deletions: deletions as never, upsertions });
    return answer?.results.map(({ errorCode }) => errorCode);
  };
  const describe = async (names: string[] | null) => {
    const answer = await admin.ask('describeUserScramCredentials', 0, {
      users: names?.map((name) => ({ name })) ?? null,
    });
    return answer?.results.map(({ user, errorCode, credentialInfos }) => [
      user,
      errorCode,
      credentialInfos.map(({ mechanism, iterations }) => [mechanism, iterations]),
    ]);
  };
  assert.deepEqual(await describe(null), []);
  assert.deepEqual(
    await alter({ upsertions: [credential('zoe', 1, 'first'), credential('zoe', 2, 'first', 8192)] }),
    [0],
  );
  assert.deepEqual(await describe(null), [
    [
      'zoe',
      0,
      [
        [1, 4096],
        [2, 8192],
      ],
    ],
  ]);
  for (const mechanism of ['scram-sha-256', 'scram-sha-512', 'plain'] as const) {
    assert.equal(await logsIn(address, mechanism, 'first'), true, mechanism);
    assert.equal(await logsIn(address, mechanism, 'wrong'), false, mechanism);
  }
  assert.deepEqual(await alter({ upsertions: [credential('zoe', 1, 'second')] }), [0]);
  assert.equal(await logsIn(address, 'scram-sha-256', 'first'), false);
  assert.equal(await logsIn(address, 'scram-sha-256', 'second'), true);
  assert.equal(await logsIn(address, 'plain', 'second'), true);
  assert.equal(await logsIn(address, 'plain', 'first'), false);
  assert.deepEqual(await alter({ deletions: [{ name: 'zoe', mechanism: 1 }] }), [0]);
  assert.equal(await logsIn(address, 'scram-sha-256', 'second'), false);
  assert.equal(await logsIn(address, 'plain', 'second'), false);
  assert.equal(await logsIn(address, 'scram-sha-512', 'first'), true);
  assert.deepEqual(await alter({ deletions: [{ name: 'zoe', mechanism: 2 }] }), [0]);
  for (const mechanism of ['scram-sha-256', 'scram-sha-512', 'plain'] as const)
    assert.equal(await logsIn(address, mechanism, 'first'), false, mechanism);
  assert.deepEqual(await describe(['zoe', 'nobody', 'nobody']), [
    ['zoe', ERROR.RESOURCE_NOT_FOUND, []],
    ['nobody', ERROR.DUPLICATE_RESOURCE, []],
  ]);
  const fine = credential('zoe', 1, 'x');
  assert.deepEqual(await alter({ deletions: [{ name: 'zoe', mechanism: 1 }] }), [ERROR.RESOURCE_NOT_FOUND]);
  assert.deepEqual(await alter({ upsertions: [{ ...fine, iterations: 4095 }] }), [ERROR.UNACCEPTABLE_CREDENTIAL]);
  assert.deepEqual(await alter({ upsertions: [{ ...fine, iterations: 16_385 }] }), [ERROR.UNACCEPTABLE_CREDENTIAL]);
  assert.deepEqual(await alter({ upsertions: [{ ...fine, name: '' }] }), [ERROR.UNACCEPTABLE_CREDENTIAL]);
  assert.deepEqual(await alter({ upsertions: [{ ...fine, saltedPassword: Buffer.alloc(9) }] }), [
    ERROR.UNACCEPTABLE_CREDENTIAL,
  ]);
  assert.deepEqual(await alter({ upsertions: [fine, fine] }), [ERROR.DUPLICATE_RESOURCE]);
  // Of what is wrong the first change tells the reason; what follows it is one too many.
  const odd = { ...fine, mechanism: 9 };
  assert.deepEqual(await alter({ upsertions: [fine, odd] }), [ERROR.DUPLICATE_RESOURCE]);
  assert.deepEqual(await alter({ upsertions: [odd, fine] }), [ERROR.UNSUPPORTED_SASL_MECHANISM]);
  assert.deepEqual(await alter({ deletions: [{ name: '', mechanism: 1 }] }), [ERROR.UNACCEPTABLE_CREDENTIAL]);
  assert.deepEqual(await alter({ deletions: [{ name: 'zoe', mechanism: 9 }] }), [ERROR.UNSUPPORTED_SASL_MECHANISM]);
  assert.deepEqual(await describe(null), []);
});

const MINUTE = 60_000;

/** A broker of which every login lasts a minute of the test's time. */
async function startBrief(t: TestContext) {
  const clock = new ManualClock();
  const server = await startServer(
    { memory: true, port: 0, token: TOKEN, kafkaMaxReauth: '1m', drainTimeout: '1s', log: { level: 'silent' } },
    { clock },
  );
  t.after(() => server.close());
  const address = server.kafkaAddress ?? '';
  /** Connections of Kafka's clients since the start. */
  const accepted = async (): Promise<number> => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const text = await (await fetch(`${server.httpUrl}/metrics`, { headers })).text();
    return Number(/railhead_connections_accepted_total\{protocol="kafka"\} (\d+)/.exec(text)?.[1]);
  };
  return { clock, address, accepted };
}

test('with kafkaMaxReauth clients log in again on their connection, and one that does not is disconnected', async (t) => {
  const { clock, address } = await startBrief(t);
  const peer = await RawPeer.dial(Number(address.split(':').at(-1)));
  t.after(() => peer.socket.destroy());
  const logIn = async (password: string) => {
    await peer.ask('saslHandshake', 1, { mechanism: 'PLAIN' });
    const answer = await peer.ask('saslAuthenticate', 2, { authBytes: Buffer.from(`\0token\0${password}`) });
    return [answer?.errorCode, answer?.sessionLifetimeMs];
  };
  const isServed = async (): Promise<boolean> => (await peer.ask('listGroups', 0, {})) !== null;
  for (let life = 0; life < 3; life++) {
    assert.deepEqual(await logIn(TOKEN), [ERROR.NONE, MINUTE]);
    clock.advance(0.9 * MINUTE);
    assert.equal(await isServed(), true);
  }
  assert.equal((await logIn('wrong'))[0], ERROR.SASL_AUTHENTICATION_FAILED);
  clock.advance(0.05 * MINUTE);
  assert.equal(await isServed(), true, 'until its login ends');
  clock.advance(0.05 * MINUTE);
  assert.equal(await isServed(), false);
});

test('kafkajs logs in again on its connection where kafkaMaxReauth wants it, and messages flow on', async (t) => {
  const { clock, address, accepted } = await startBrief(t);
  const sasl: SASLOptions = { mechanism: 'plain', username: 'token', password: TOKEN };
  // Logs in again so long before the end by its own clock, which is not the one that is moved: here, whenever it is used.
  const producer = kafkaAt(address, { sasl, reauthenticationThreshold: MINUTE }).producer();
  await producer.connect();
  t.after(() => producer.disconnect());
  const send = (i: number) => producer.send({ topic: 'orders', messages: [{ value: String(i) }] });
  await send(0);
  const before = await accepted();
  for (let i = 1; i <= 5; i++) {
    clock.advance(0.9 * MINUTE);
    await send(i);
  }
  assert.equal(await accepted(), before, 'it went on with the connections that it had');

  // One that comes too late loses its connections, and makes new ones by itself.
  const late = kafkaAt(address, { sasl, reauthenticationThreshold: 0 }).producer();
  await late.connect();
  t.after(() => late.disconnect());
  await late.send({ topic: 'orders', messages: [{ value: 'a' }] });
  const connected = await accepted();
  clock.advance(MINUTE);
  await late.send({ topic: 'orders', messages: [{ value: 'b' }] });
  assert.ok((await accepted()) > connected);
});
