/** Certificates of clients log in over every port, as the user whose name they have. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect as connectTls, type SecureVersion } from 'node:tls';
import { connect as connectAmqp, credentials } from 'amqplib';
import { Kafka, logLevel } from 'kafkajs';
import { Authority, type Pair } from '../../test/certificates.ts';
import { Issuer } from '../../test/issuer.ts';
import { StoredUsers, SYSTEM_NAMESPACE } from '../core/access.ts';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { connect } from '../sdk/connect.ts';
import { checkConfig } from './config.ts';
import { startServer, type ServerConfigInput } from './index.ts';
import { hashToken } from './users.ts';

const TLS = join(import.meta.dirname, '../../test/fixtures/tls');
const [CERT, KEY] = [join(TLS, 'localhost.crt'), join(TLS, 'localhost.key')];
const CA = readFileSync(CERT);
const TOKEN = 'a-token-that-nobody-guesses';

async function place(
  t: TestContext,
  tls: Partial<NonNullable<ServerConfigInput['tls']>> = {},
  more: Pick<ServerConfigInput, 'jwt'> = {},
) {
  const authority = await Authority.make(t);
  const server = await startServer({
    memory: true,
    port: 0,
    log: { level: 'silent' },
    token: TOKEN,
    users: [{ name: 'shop', tokenHash: hashToken('x'), grants: [{ resource: 'q' }] }],
    tls: { cert: CERT, key: KEY, clientCa: authority.file, ...tls },
    ...more,
  });
  t.after(() => server.close());
  const admin = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  for (const name of ['q', 'other']) await admin.request('declareTopic', { name, kind: 'queue' });
  const users = new StoredUsers(server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: SYSTEM_NAMESPACE }));
  const get = async (port: number, path: string, pair: Partial<Pair> = {}, headers = {}): Promise<number> => {
    const options = { host: 'localhost', port, path, ca: CA, agent: false, headers, ...pair } as const;
    const sent = request(options).end();
    const [response] = (await once(sent, 'response')) as [{ statusCode: number; resume(): void }];
    response.resume();
    return response.statusCode;
  };
  const queue = (pair?: Pair, headers?: Record<string, string>, name = 'q'): Promise<number> =>
    get(server.port, `/api/v1/queues/${name}`, pair, headers);
  return { server, authority, users, get, queue };
}

test('over HTTP a certificate logs in the user that it names, and no other; a header goes before it', async (t) => {
  const { authority, queue, users } = await place(t);
  const shop = await authority.issue('/CN=shop');
  assert.equal(await queue(shop), 200);
  assert.equal(await queue(shop, {}, 'other'), 403);
  assert.equal(await queue(shop, { authorization: `Bearer ${TOKEN}` }, 'other'), 200);
  assert.equal(await queue(shop, { authorization: 'Bearer nonsense' }), 401);
  assert.equal(await queue(await authority.issue('/CN=nobody')), 401);
  // The user of the one token has no entry: its name in a certificate is nobody's.
  assert.equal(await queue(await authority.issue('/CN=token')), 401);
  assert.equal(await queue(), 401);
  const stored = await authority.issue('/O=Example/CN=ann');
  assert.equal(await queue(stored), 401);
  await users.put({ name: 'ann', role: 'viewer' });
  assert.equal(await queue(stored), 200);
  await users.delete('ann');
  assert.equal(await queue(stored), 401);
});

test('a certificate of another authority, or with two names, ends the connection', async (t) => {
  const { authority, queue } = await place(t);
  const stranger = await Authority.make(t);
  for (const pair of [await stranger.issue('/CN=shop'), await authority.issue('/CN=shop/CN=root')])
    await assert.rejects(queue(pair), /ECONNRESET|socket hang up|alert/);
});

test('the name may be an alternative one of a kind, where there is one of them', async (t) => {
  const { authority, queue } = await place(t, { clientName: 'URI' });
  assert.equal(await queue(await authority.issue('/CN=x', 'URI:shop,DNS:a.example')), 200);
  assert.equal(await queue(await authority.issue('/CN=shop', 'URI:nobody')), 401);
  for (const names of ['DNS:shop', 'URI:shop,URI:root'])
    await assert.rejects(queue(await authority.issue('/CN=shop', names)), /ECONNRESET|socket hang up|alert/);
});

test('where certificates are required nobody connects without one, over any port', async (t) => {
  const { server, authority, queue } = await place(t, { clientCertificates: 'required' });
  assert.equal(await queue(await authority.issue('/CN=shop')), 200);
  const portOf = (url: string | null): number => Number(url?.split(':').at(-1));
  const ports = [
    server.port,
    ...[server.amqpUrl, server.amqpManagementUrl, server.awsUrl, server.kafkaAddress].map(portOf),
  ];
  for (const port of ports) {
    const socket = connectTls({ host: 'localhost', port, ca: CA });
    await assert.rejects(once(socket, 'close'), /certificate required/);
  }
});

test('over the native protocol, AMQP by EXTERNAL, Kafka without SASL and the management API', async (t) => {
  const { server, authority, users, get } = await place(t);
  const pair = await authority.issue('/CN=shop');
  const rail = await connect(server.url.replace('127.0.0.1', 'localhost'), { tls: { ca: CA, ...pair } });
  t.after(() => rail.close());
  await rail.queue('q').send('1');
  await assert.rejects(rail.queue('other').send('1'), { code: 'FORBIDDEN' });

  const amqpPort = Number(server.amqpUrl?.split(':').at(-1));
  const external = { ca: CA, credentials: credentials.external(), servername: 'localhost' };
  const amqp = await connectAmqp(`amqps://localhost:${amqpPort}`, { ...external, ...pair });
  const channel = await amqp.createConfirmChannel();
  channel.sendToQueue('q', Buffer.from('2'), { userId: 'shop' });
  await channel.waitForConfirms();
  await amqp.close();
  await assert.rejects(connectAmqp(`amqps://localhost:${amqpPort}`, external));

  const broker = server.kafkaAddress?.replace('127.0.0.1', 'localhost') ?? '';
  const kafka = (ssl: object): Kafka =>
    new Kafka({
      brokers: [broker],
      ssl: { ca: CA, servername: 'localhost', ...ssl },
      logLevel: logLevel.NOTHING,
      retry: { retries: 0 },
    });
  const admin = kafka(pair).admin();
  await admin.connect();
  assert.deepEqual(await admin.listTopics(), ['q']);
  await admin.disconnect();
  await assert.rejects(
    kafka({})
      .admin()
      .connect()
      .then(() => kafka({}).admin().listTopics()),
  );

  const management = Number(server.amqpManagementUrl?.split(':').at(-1));
  await users.put({ name: 'ann', role: 'admin', tags: ['administrator'] });
  assert.equal(await get(management, '/api/whoami', await authority.issue('/CN=ann')), 200);
  assert.equal(await get(management, '/api/whoami'), 401);
});

test('the file of authorities is read again at SIGHUP', async (t) => {
  const { server, authority, get, queue } = await place(t);
  const other = await Authority.make(t);
  const pair = await other.issue('/CN=shop');
  await assert.rejects(queue(pair));
  await copyFile(other.file, authority.file);
  await server.renewTls();
  assert.equal(await queue(pair), 200);
  for (const url of [server.amqpManagementUrl, server.awsUrl]) {
    const { port } = new URL(url ?? '');
    assert.ok((await get(Number(port), '/', pair)) > 0, 'on its port it was not');
  }
});

test('certificates are read again although the keys of an issuer cannot be, which is said', async (t) => {
  const issuer = new Issuer();
  await issuer.addKey('first');
  const other = await Authority.make(t);
  const jwksFile = join(dirname(other.file), 'jwks.json');
  await writeFile(jwksFile, JSON.stringify(await issuer.jwks()));
  const jwt = [{ name: 'sso', issuer: issuer.url, audience: 'railhead', jwksFile }];
  const { server, authority, queue } = await place(t, {}, { jwt });
  const pair = await other.issue('/CN=shop');
  await copyFile(other.file, authority.file);
  await writeFile(jwksFile, '{');
  await assert.rejects(server.renewTls(), { code: 'CONFIG' });
  assert.equal(await queue(pair), 200);
});

test('client certificates without TLS, or required without authorities, are refused at the start', () => {
  for (const tls of [{ clientCa: 'ca.pem' }, { cert: 'a', key: 'b', clientCertificates: 'required' as const }])
    assert.throws(() => checkConfig({ tls }), { code: 'CONFIG', message: /Client certificates need/ });
});

test('no port takes TLS before 1.2', async (t) => {
  const { server } = await place(t);
  const addresses = [server.url, server.amqpUrl, server.amqpManagementUrl, server.awsUrl];
  const ports = [...addresses.map((url) => new URL(url ?? '').port), server.kafkaAddress?.split(':').at(-1)].map(
    Number,
  );
  // So that the client could, were it asked to.
  const old = { minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const agreed = (port: number, maxVersion: SecureVersion): Promise<string | null> =>
    new Promise((resolve) => {
      const socket = connectTls({ host: 'localhost', port, ca: CA, ...old, maxVersion }, () => {
        resolve(socket.getProtocol());
        socket.destroy();
      });
      socket.on('error', () => resolve(null));
    });
  for (const port of ports)
    assert.deepEqual([await agreed(port, 'TLSv1.1'), await agreed(port, 'TLSv1.2')], [null, 'TLSv1.2'], `${port}`);
});
