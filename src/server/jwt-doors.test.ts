/** Tokens of another issuer log in over every protocol that takes one, with the same rights, until they are over. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { type ChannelModel, connect as connectAmqp } from 'amqplib';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { ERROR } from '../gateways/kafka/errors.ts';
import { nextTurn } from '../core/real-time.ts';
import { connect } from '../sdk/connect.ts';
import { Rail } from '../sdk/rail.ts';
import { connectRemote } from '../sdk/remote/remote-session.ts';
import { RawPeer } from '../../test/kafka/raw-peer.ts';
import { Issuer } from '../../test/issuer.ts';
import { startServer } from './index.ts';

async function place(t: TestContext) {
  const clock = new ManualClock();
  const issuer = await Issuer.start(t);
  const rules = [{ verbs: ['publish' as const, 'consume' as const], pattern: 'q' }];
  const server = await startServer(
    {
      memory: true,
      port: 0,
      log: { level: 'silent' },
      jwt: [
        {
          name: 'sso',
          issuer: issuer.url,
          audience: 'railhead',
          addresses: 'any',
          clockSkew: 0,
          allow: [{ claim: 'scope', has: 'q', rules }],
        },
      ],
    },
    { clock },
  );
  t.after(() => server.close());
  const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  for (const name of ['q', 'other']) await session.request('declareTopic', { name, kind: 'queue' });
  const token = (): Promise<string> => issuer.sign(clock.now(), { scope: 'q', jti: String(Math.floor(clock.now())) });
  const get = async (path: string, headers: Record<string, string>): Promise<number> =>
    (await fetch(`${server.httpUrl}${path}`, { headers })).status;
  const amqp = async (secret: string): Promise<ChannelModel> => {
    const { host } = new URL(server.amqpUrl ?? '');
    const connection = await connectAmqp(`amqp://whoever:${secret}@${host}`);
    connection.on('error', () => {});
    t.after(() => connection.close().catch(() => undefined));
    return connection;
  };
  return { clock, issuer, server, token, get, amqp };
}

const LIFE_MS = 300_000;

test('over HTTP, and in a browser: what the claims allow, until the token is over', async (t) => {
  const { server, token, get, clock } = await place(t);
  const bearer = { authorization: `Bearer ${await token()}` };
  assert.equal(await get('/api/v1/queues/q', bearer), 200);
  assert.equal(await get('/api/v1/queues/other', bearer), 403);
  assert.equal(await get('/api/v1/queues/q', { authorization: `Bearer ${(await token()).slice(0, -4)}AAAA` }), 401);
  assert.equal(await get('/api/v1/queues/q', {}), 401);
  const login = await fetch(`${server.httpUrl}/api/v1/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token: await token() }),
  });
  const [cookie = ''] = (login.headers.get('set-cookie') ?? '').split(';');
  const shown = (await login.json()) as { name: string; expiresAt: string };
  assert.deepEqual([shown.name, Date.parse(shown.expiresAt)], ['sso:ann', clock.now() + LIFE_MS]);
  assert.equal(await get('/api/v1/queues/q', { cookie }), 200);
  clock.advance(LIFE_MS);
  assert.equal(await get('/api/v1/queues/q', bearer), 401);
  assert.equal(await get('/api/v1/queues/q', { cookie }), 401);
});

test('over the native protocol: the connection ends with the token, and with the same one there is no other', async (t) => {
  const { server, token, clock } = await place(t);
  const rail = await connect(server.url, { token: await token(), connectTimeout: '2s' });
  t.after(() => rail.close());
  await rail.queue('q').send('1');
  await assert.rejects(rail.queue('other').send('1'), { code: 'FORBIDDEN' });
  clock.advance(LIFE_MS);
  await assert.rejects(rail.queue('q').send('2'), { code: 'UNAUTHENTICATED' });
  await assert.rejects(connect(server.url, { token: await token().then((good) => `${good}x`), connectTimeout: '2s' }), {
    code: 'UNAUTHENTICATED',
  });
});

test('over the native protocol: who gives a function has a new token for each connection, and goes on', async (t) => {
  const { server, token, clock } = await place(t);
  const asked: number[] = [];
  const fresh = (): Promise<string> => {
    asked.push(clock.now());
    return token();
  };
  const rail = await connect(server.url, { token: fresh, connectTimeout: '2s' });
  t.after(() => rail.close());
  for (let life = 0; life < 3; life++) {
    await rail.queue('q').send(life);
    clock.advance(LIFE_MS);
  }
  await rail.queue('q').send('the last');
  assert.equal(asked.length, 4);
  assert.equal((await rail.queue('q').stats()).ready, 4);
});

test('over the native protocol a newer token is shown on the open connection, whose consumers and what they hold go on', async (t) => {
  const { server, issuer, clock } = await place(t);
  // Chance is asked when a login begins to last, and nothing else asks for it while the connection is there.
  let logins = 0;
  const session = await connectRemote({
    url: server.url,
    clock,
    random: { next: () => (logins++, 0.5) },
    token: () => {
      const exp = Math.floor(clock.now() / 1000) + 20;
      return issuer.sign(clock.now(), { scope: 'q', jti: String(logins), exp });
    },
  });
  t.after(() => session.close());
  await server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }).request('declareTopic', {
    name: 'q',
    kind: 'queue',
    subscription: { leaseMs: 3_600_000 },
    ifDifferent: 'update',
  });
  const rail = new Rail({ session, clock });
  await rail.queue('q').send('held');
  const [held] = await rail.queue('q').fetch();
  assert.ok(held);
  const sessionId = session.welcome?.sessionId;
  for (let life = 1; life <= 3; life++) {
    clock.advance(17_500);
    while (logins <= life) await nextTurn();
    await rail.queue('q').send(life);
  }
  await held.ack();
  assert.equal(session.welcome?.sessionId, sessionId, 'it is the same connection');
  assert.deepEqual(
    await rail
      .queue('q')
      .stats()
      .then(({ ready, leased }) => [ready, leased]),
    [3, 0],
  );
});

test('over AMQP as the password: a new one in time keeps the connection, else it ends with the token', async (t) => {
  const { token, clock, amqp } = await place(t);
  const [renewed, left] = [await amqp(await token()), await amqp(await token())];
  const channel = await renewed.createConfirmChannel();
  clock.advance(LIFE_MS / 2);
  await renewed.updateSecret(Buffer.from(await token()), 'it is time');
  const ended = once(left, 'close');
  clock.advance(LIFE_MS / 2);
  await ended;
  channel.sendToQueue('q', Buffer.from('1'));
  await channel.waitForConfirms();
  const over = once(renewed, 'close');
  clock.advance(LIFE_MS / 2);
  await over;
});

test('over AMQP a new secret of another user, or one that is no good, ends the connection', async (t) => {
  const { token, clock, amqp, issuer } = await place(t);
  for (const secret of ['nonsense', await issuer.sign(clock.now(), { sub: 'bob', scope: 'q' })]) {
    const connection = await amqp(await token());
    const refused = new Promise<Error>((resolve) => connection.on('error', resolve));
    // The library never settles what the end of the connection overtakes.
    void connection.updateSecret(Buffer.from(secret), 'it is time').catch(() => undefined);
    assert.match((await refused).message, /NOT_ALLOWED|530/);
  }
});

test('over AMQP nobody is who they say beside the token', async (t) => {
  const { token, amqp } = await place(t);
  const connection = await amqp(await token());
  for (const [userId, works] of [
    ['sso:ann', true],
    ['whoever', false],
  ] as const) {
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => {});
    channel.sendToQueue('q', Buffer.from('1'), { userId });
    assert.equal(
      await channel.waitForConfirms().then(
        () => true,
        () => false,
      ),
      works,
      userId,
    );
  }
});

test('over Kafka by OAUTHBEARER, and as the password: the connection ends with the token', async (t) => {
  const { server, token, clock } = await place(t);
  const port = Number(server.kafkaAddress?.split(':').at(-1));
  const logIn = async (mechanism: string, text: string) => {
    const peer = await RawPeer.dial(port);
    t.after(() => peer.socket.destroy());
    await peer.ask('saslHandshake', 1, { mechanism });
    const answer = await peer.ask('saslAuthenticate', 1, { authBytes: Buffer.from(text) });
    return { peer, errorCode: answer?.errorCode };
  };
  const bearer = await logIn('OAUTHBEARER', `n,,\u0001auth=Bearer ${await token()}\u0001\u0001`);
  const plain = await logIn('PLAIN', `\0whoever\0${await token()}`);
  const forged = await logIn('OAUTHBEARER', `n,,\u0001auth=Bearer ${await token()}x\u0001\u0001`);
  // CVE-2026-110985 of Kafka: the right claims, and a header that says that nobody signed them.
  const [, claims] = (await token()).split('.');
  const none = Buffer.from('{"alg":"none"}').toString('base64url');
  const unsigned = await logIn('OAUTHBEARER', `n,,\u0001auth=Bearer ${none}.${claims}.\u0001\u0001`);
  assert.deepEqual([bearer.errorCode, plain.errorCode], [ERROR.NONE, ERROR.NONE]);
  const { SASL_AUTHENTICATION_FAILED } = ERROR;
  assert.deepEqual([forged.errorCode, unsigned.errorCode], [SASL_AUTHENTICATION_FAILED, SASL_AUTHENTICATION_FAILED]);
  for (const { peer } of [bearer, plain]) {
    const answer = await peer.ask('metadata', 1, {
      topics: null,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    });
    assert.deepEqual(
      answer?.topics.map(({ name }) => name),
      ['q'],
    );
  }
  const ended = Promise.all([once(bearer.peer.socket, 'close'), once(plain.peer.socket, 'close')]);
  clock.advance(LIFE_MS);
  await ended;
});

test('over Kafka a client is told how long its token lasts, and goes on with a newer one of the same user (KIP-368)', async (t) => {
  const { server, token, clock, issuer } = await place(t);
  const port = Number(server.kafkaAddress?.split(':').at(-1));
  const peer = await RawPeer.dial(port);
  t.after(() => peer.socket.destroy());
  const logIn = async (shown: string) => {
    await peer.ask('saslHandshake', 1, { mechanism: 'OAUTHBEARER' });
    return peer.ask('saslAuthenticate', 1, { authBytes: Buffer.from(`n,,\u0001auth=Bearer ${shown}\u0001\u0001`) });
  };
  const topics = async (): Promise<unknown> => {
    const asked = { topics: null, includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false };
    return (await peer.ask('metadata', 1, asked))?.topics.map(({ name }) => name);
  };
  assert.equal((await logIn(await token()))?.sessionLifetimeMs, LIFE_MS);
  assert.deepEqual(await topics(), ['q']);
  for (let life = 0; life < 3; life++) {
    clock.advance(LIFE_MS * 0.9);
    const again = await logIn(await token());
    assert.deepEqual([again?.errorCode, again?.sessionLifetimeMs], [ERROR.NONE, LIFE_MS]);
    assert.deepEqual(await topics(), ['q']);
  }
  for (const refused of ['nonsense', await issuer.sign(clock.now(), { sub: 'bob', scope: 'q' })])
    assert.equal((await logIn(refused))?.errorCode, ERROR.SASL_AUTHENTICATION_FAILED);
  assert.deepEqual(await topics(), ['q'], 'the token that was good is good until its end');
  const ended = once(peer.socket, 'close');
  clock.advance(LIFE_MS);
  await ended;
});

test('over the management API as the password, and as a bearer', async (t) => {
  const { server, token, clock } = await place(t);
  const whoami = async (authorization: string): Promise<number> =>
    (await fetch(`${server.amqpManagementUrl}/api/whoami`, { headers: { authorization } })).status;
  const good = await token();
  const basic = `Basic ${Buffer.from(`x:${good}`).toString('base64')}`;
  assert.notEqual(await whoami(basic), 401);
  assert.notEqual(await whoami(`Bearer ${good}`), 401);
  clock.advance(LIFE_MS);
  assert.equal(await whoami(basic), 401);
  assert.equal(await whoami(`Bearer ${good}`), 401);
});
