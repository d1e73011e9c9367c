/** kafkajs against a server as people start it: TLS, a login, an address that is not its own. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Kafka, SASLOptions } from 'kafkajs';
import { hashPassword } from '../../../src/core/passwords.ts';
import { type ServerConfigInput, startServer } from '../../../src/server/index.ts';
import { ERROR } from '../../../src/gateways/kafka/errors.ts';
import { RawPeer } from '../../kafka/raw-peer.ts';
import { kafkaAt } from './broker.ts';

const TLS = join(import.meta.dirname, '../../fixtures/tls');
const PASSWORD = 'correct horse battery staple';
const TOKEN = 'a-token-that-nobody-guesses';

/** A server for one test; where it speaks Kafka. */
async function start(t: TestContext, config: ServerConfigInput): Promise<string> {
  const server = await startServer({ memory: true, port: 0, drainTimeout: '1s', log: { level: 'silent' }, ...config });
  t.after(() => server.close());
  assert.ok(server.kafkaAddress !== null);
  return server.kafkaAddress;
}

async function roundTrip(kafka: Kafka): Promise<string> {
  const producer = kafka.producer();
  const consumer = kafka.consumer({ groupId: 'readers' });
  try {
    await Promise.all([producer.connect(), consumer.connect()]);
    await producer.send({ topic: 'letters', messages: [{ value: 'hello' }] });
    await consumer.subscribe({ topic: 'letters', fromBeginning: true });
    return await new Promise<string>((resolve, reject) => {
      const eachMessage = async ({ message }: { message: { value: Buffer | null } }): Promise<void> =>
        resolve(String(message.value));
      consumer.run({ eachMessage }).catch(reject);
    });
  } finally {
    await Promise.all([producer.disconnect(), consumer.disconnect()]);
  }
}

test('kafkajs produces and consumes over TLS, logged in; without TLS it gets nowhere', async (t) => {
  const tls = { cert: join(TLS, 'localhost.crt'), key: join(TLS, 'localhost.key') };
  const kafkaAddress = await start(t, { tls, users: [{ name: 'ann', passwordHash: await hashPassword(PASSWORD) }] });
  const address = kafkaAddress.replace('127.0.0.1', 'localhost');
  const sasl = { mechanism: 'plain', username: 'ann', password: PASSWORD } as const;
  const ssl = { ca: await readFile(tls.cert, 'utf8') };
  assert.equal(await roundTrip(kafkaAt(address, { ssl, sasl })), 'hello');
  const plain = kafkaAt(address, { sasl, retry: { retries: 0 }, connectionTimeout: 500 }).admin();
  await assert.rejects(plain.connect());
  await plain.disconnect();
});

test('kafkajs logs in with SCRAM as a stored user, and with a bearer token', async (t) => {
  const server = await startServer({
    memory: true,
    port: 0,
    token: TOKEN,
    drainTimeout: '1s',
    log: { level: 'silent' },
  });
  t.after(() => server.close());
  const http = server.httpUrl;
  const put = async (path: string, body: object): Promise<void> => {
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
    const { ok } = await fetch(`${http}/api/v1${path}`, { method: 'PUT', headers, body: JSON.stringify(body) });
    assert.ok(ok, path);
  };
  await put('/users/ann', { password: PASSWORD });
  await put('/permissions/ann/default', { configure: '.*', write: '.*', read: '.*' });
  const at = (sasl: SASLOptions): Kafka => kafkaAt(server.kafkaAddress ?? '', { sasl, retry: { retries: 0 } });
  for (const mechanism of ['scram-sha-256', 'scram-sha-512'] as const) {
    assert.equal(await roundTrip(at({ mechanism, username: 'ann', password: PASSWORD })), 'hello');
    await assert.rejects(roundTrip(at({ mechanism, username: 'ann', password: 'wrong' })), /auth/i);
  }
  const oauthBearerProvider = async (): Promise<{ value: string }> => ({ value: TOKEN });
  assert.equal(await roundTrip(at({ mechanism: 'oauthbearer', oauthBearerProvider })), 'hello');
});

test('clients are told to connect to the advertised address', async (t) => {
  // What a container's network or a load balancer does: another address than the server's own.
  let target = 0;
  let passed = 0;
  const mapped = createServer((socket) => {
    passed++;
    const through = createConnection({ host: '127.0.0.1', port: target });
    for (const side of [socket, through]) side.on('error', () => side.destroy());
    socket.pipe(through).pipe(socket);
  });
  await once(mapped.listen(0, '127.0.0.1'), 'listening');
  t.after(() => mapped.close());
  const { port } = mapped.address() as AddressInfo;
  const kafkaAddress = await start(t, { kafkaAdvertised: `localhost:${port}` });
  target = Number(kafkaAddress.split(':')[1]);
  assert.equal(await roundTrip(kafkaAt(kafkaAddress)), 'hello');
  assert.ok(passed >= 2, `${passed} connections came through the advertised address`);
  for (const kafkaAdvertised of ['broker.example.com', 'host:0', 'host:65536', 'a b:1', '2001:db8::7:1'])
    await assert.rejects(startServer({ memory: true, port: 0, kafkaAdvertised }), { code: 'CONFIG' });
});

test('an IPv6 address is advertised without its brackets', async (t) => {
  const kafkaAddress = await start(t, { kafkaAdvertised: '[2001:db8::7]:19092' });
  const peer = await RawPeer.dial(Number(kafkaAddress.split(':')[1]));
  t.after(() => peer.socket.destroy());
  const answer = await peer.ask('describeCluster', 1, { includeClusterAuthorizedOperations: false });
  assert.deepEqual(
    answer?.brokers.map(({ brokerId, host, port }) => [brokerId, host, port]),
    [[1, '2001:db8::7', 19092]],
  );
  const controllers = await peer.ask('describeCluster', 1, {
    includeClusterAuthorizedOperations: false,
    endpointType: 2,
  });
  assert.deepEqual([controllers?.errorCode, controllers?.brokers], [ERROR.INVALID_REQUEST, []]);
});

test('a topic that nobody created is made with as many partitions as the setting says, or not at all', async (t) => {
  const partitionsOf = async (config: ServerConfigInput): Promise<number> => {
    const kafkaAddress = await start(t, config);
    const producer = kafkaAt(kafkaAddress, { retry: { retries: 1, initialRetryTime: 5 } }).producer();
    const admin = kafkaAt(kafkaAddress).admin();
    await Promise.all([producer.connect(), admin.connect()]);
    try {
      await producer.send({ topic: 'unmade', messages: [{ value: 'x' }] });
      const { topics } = await admin.fetchTopicMetadata({ topics: ['unmade'] });
      return topics[0]?.partitions.length ?? 0;
    } finally {
      await Promise.all([producer.disconnect(), admin.disconnect()]);
    }
  };
  assert.equal(await partitionsOf({}), 1);
  assert.equal(await partitionsOf({ kafkaAutoCreate: 5 }), 5);
  await assert.rejects(partitionsOf({ kafkaAutoCreate: false }), /does not host this topic-partition/);
});
