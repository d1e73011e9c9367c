/** What Kafka's tools set of users, over HTTP. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startServer } from '../../../src/server/index.ts';
import { RawPeer } from '../../kafka/raw-peer.ts';
import { kafkaAt } from './broker.ts';

/** As the protocol numbers them; 1 is any. */
const [TOPIC, PREFIXED, READ, ALLOW, ANY] = [2, 4, 3, 3, 1] as const;
const TOKEN = 'a-token-that-nobody-guesses';
const READ_ORDERS = {
  user: 'ann',
  kind: 'topic',
  pattern: 'prefixed',
  name: 'orders',
  operation: 'read',
  permission: 'allow',
};

async function start(t: TestContext) {
  const log = { level: 'silent' } as const;
  const server = await startServer({ memory: true, port: 0, token: TOKEN, drainTimeout: '1s', log });
  t.after(() => server.close());
  const http = async (method: string, path: string, body?: object): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(new URL(`/api/v1${path}`, server.httpUrl), {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: await response.json() };
  };
  const peer = await RawPeer.dial(Number(server.kafkaAddress?.split(':').at(-1)));
  t.after(() => peer.socket.destroy());
  await peer.ask('saslHandshake', 1, { mechanism: 'PLAIN' });
  await peer.ask('saslAuthenticate', 2, { authBytes: Buffer.from(`\0token\0${TOKEN}`) });
  await http('PUT', '/users/ann', { password: 'correct horse' });
  return { http, peer, address: server.kafkaAddress ?? '' };
}

test('ACLs, quotas and credentials made by tools of Kafka are seen and changed over HTTP, and the other way round', async (t) => {
  const { http, peer, address } = await start(t);
  const sasl = { mechanism: 'plain', username: 'token', password: TOKEN } as const;
  const admin = kafkaAt(address, { sasl }).admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  await admin.createAcls({
    acl: [
      {
        resourceType: TOPIC,
        resourceName: 'orders',
        resourcePatternType: PREFIXED,
        principal: 'User:ann',
        host: '*',
        operation: READ,
        permissionType: ALLOW,
      },
    ],
  });
  assert.deepEqual((await http('GET', '/acls')).body, { acls: [READ_ORDERS] });
  assert.deepEqual((await http('GET', '/acls?user=bob')).body, { acls: [] });
  const denied = { user: '*', kind: 'topic', name: 'secret', operation: 'all', permission: 'deny' };
  assert.deepEqual((await http('POST', '/acls', denied)).body, { created: true });
  assert.equal((await http('POST', '/acls', { ...READ_ORDERS, kind: 'cluster' })).status, 400);
  assert.equal((await http('POST', '/acls', { ...READ_ORDERS, user: 'nobody' })).status, 404);
  assert.deepEqual((await http('POST', '/acls/remove', READ_ORDERS)).body, { deleted: true });
  assert.equal((await http('POST', '/acls/remove', READ_ORDERS)).status, 404);
  const { resources } = await admin.describeAcls({
    resourceType: ANY,
    resourcePatternType: ANY,
    operation: ANY,
    permissionType: ANY,
  });
  assert.deepEqual(
    resources.map(({ resourceName, acls }) => [resourceName, acls.map(({ principal }) => principal)]),
    [['secret', ['User:*']]],
  );

  const entity = [{ entityType: 'user', entityName: 'ann' }];
  const ops = [{ key: 'producer_byte_rate', value: 1000, remove: false }];
  await peer.ask('alterClientQuotas', 1, { entries: [{ entity, ops }], validateOnly: false });
  assert.deepEqual((await http('GET', '/quotas')).body, { quotas: [{ user: 'ann', producerByteRate: 1000 }] });
  const everybody = { user: null, clientId: 'batch', consumerByteRate: 500 };
  assert.equal((await http('PUT', '/quotas', everybody)).status, 200);
  assert.equal(
    (await http('PUT', '/quotas', { user: 'ann', producerByteRate: null, consumerByteRate: 7 })).status,
    200,
  );
  assert.equal((await http('PUT', '/quotas', { producerByteRate: 1 })).status, 400);
  const told = await peer.ask('describeClientQuotas', 1, { components: [], strict: false });
  assert.deepEqual(
    told?.entries?.map(({ entity: of, values }) => [of, values]),
    [
      [entity, [{ key: 'consumer_byte_rate', value: 7 }]],
      [
        [
          { entityType: 'user', entityName: null },
          { entityType: 'client-id', entityName: 'batch' },
        ],
        [{ key: 'consumer_byte_rate', value: 500 }],
      ],
    ],
  );

  const credentials = async (): Promise<unknown> =>
    ((await http('GET', '/users')).body as { users: { scram: string[] }[] }).users[0]?.scram;
  assert.deepEqual(await credentials(), ['sha256', 'sha512']);
  await peer.ask('alterUserScramCredentials', 0, { deletions: [{ name: 'ann', mechanism: 1 }], upsertions: [] });
  assert.deepEqual(await credentials(), ['sha512']);
  assert.equal((await http('DELETE', '/users/ann/scram/sha256')).status, 404);
  assert.deepEqual((await http('DELETE', '/users/ann/scram/sha512')).body, { deleted: true });
  assert.deepEqual(await credentials(), []);
  const left = await peer.ask('describeUserScramCredentials', 0, { users: null });
  assert.deepEqual(left?.results, []);
});
