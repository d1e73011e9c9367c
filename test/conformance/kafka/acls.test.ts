/** ACLs by Kafka's own API: each API without the right for it, with nothing else than the right for it, and by kafkajs. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../../src/core/access.ts';
import { LOCAL_PRINCIPAL } from '../../../src/core/auth.ts';
import { storedPassword } from '../../../src/core/passwords.ts';
import { APIS } from '../../../src/gateways/kafka/apis.ts';
import { ERROR, type ErrorName } from '../../../src/gateways/kafka/errors.ts';
import { type RunningServer, startServer } from '../../../src/server/index.ts';
import { RawPeer } from '../../kafka/raw-peer.ts';
import { CLUSTER, KIND, type Right, OPERATION, type Row, ROWS, made } from './acl-rows.ts';
import { CLUSTER_ROWS } from './acl-cluster-rows.ts';
import { SHARE_ROWS } from './acl-share-rows.ts';
import { kafkaAt } from './broker.ts';

const PASSWORD = 'correct horse battery staple';
const TOKEN = 'a-token-that-nobody-guesses';
const DENY = 2;
const ALLOW = 3;
const REFUSALS: readonly number[] = [
  ERROR.TOPIC_AUTHORIZATION_FAILED,
  ERROR.GROUP_AUTHORIZATION_FAILED,
  ERROR.CLUSTER_AUTHORIZATION_FAILED,
  ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
];

type Stage = { server: RunningServer; users: StoredUsers; admin: RawPeer; port: number };

async function start(t: TestContext): Promise<Stage> {
  const log = { level: 'silent' } as const;
  const server = await startServer({ memory: true, port: 0, token: TOKEN, drainTimeout: '1s', log });
  t.after(() => server.close());
  const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: SYSTEM_NAMESPACE });
  const users = new StoredUsers(session);
  const password = await storedPassword(PASSWORD);
  for (const name of ['ann', 'bob']) await users.put({ name, password });
  const port = Number(server.kafkaAddress?.split(':').at(-1));
  return { server, users, admin: await login(port, 'token', TOKEN), port };
}

async function login(port: number, user: string, password = PASSWORD): Promise<RawPeer> {
  const peer = await RawPeer.dial(port);
  await peer.ask('saslHandshake', 1, { mechanism: 'PLAIN' });
  const authBytes = Buffer.from(`\0${user}\0${password}`);
  assert.equal((await peer.ask('saslAuthenticate', 2, { authBytes }))?.errorCode, ERROR.NONE);
  return peer;
}

async function put(admin: RawPeer, user: string, rights: readonly Right[], permissionType: number): Promise<void> {
  const creations = rights.map(([operation, kind, resourceName]) => ({
    resourceType: KIND[kind],
    resourceName,
    principal: `User:${user}`,
    host: '*',
    operation: OPERATION[operation],
    permissionType,
  }));
  const answer = await admin.ask('createAcls', 3, { creations });
  assert.deepEqual(
    answer?.results.map(({ errorCode }) => errorCode),
    rights.map(() => 0),
  );
}

/** All that a user has of one permission. @returns how many they were */
async function remove(admin: RawPeer, user: string, permissionType: number): Promise<number> {
  const any = { resourceTypeFilter: 1, resourceNameFilter: null, patternTypeFilter: 1, hostFilter: null, operation: 1 };
  const filters = [{ ...any, principalFilter: `User:${user}`, permissionType }];
  const answer = await admin.ask('deleteAcls', 3, { filters });
  return answer?.filterResults[0]?.matchingAcls.length ?? -1;
}

/** Every error code of an answer. */
function codesOf(answer: unknown): number[] {
  if (typeof answer !== 'object' || answer === null) return [];
  return Object.entries(answer).flatMap(([name, value]) =>
    /errorcode$/i.test(name) && typeof value === 'number' ? [value] : codesOf(value),
  );
}

/** They tell nothing and change nothing. */
const FOR_EVERYBODY = ['apiVersions', 'saslHandshake', 'saslAuthenticate', 'describeCluster'];

/** `refused`: what it has to be; null for an answer in which nothing is found. */
async function expect(row: Row, stage: Stage, peer: RawPeer, refused: ErrorName | null | 'allowed', why: string) {
  await row.before?.(stage.admin);
  const answer = await row.ask(peer);
  const codes = codesOf(answer);
  assert.notEqual(answer, null, why);
  if (refused === 'allowed') {
    const fine: number[] = [ERROR.NONE, ...(row.fine ?? []).map((name) => ERROR[name])];
    assert.deepEqual(
      codes.filter((code) => !fine.includes(code)),
      [],
      why,
    );
    // Rows with a count are asked for what the table says that their answers have.
    if (row.count !== undefined) assert.ok(row.count(answer as never) > 0, why);
  } else if (refused === null) assert.equal(row.count?.(answer as never), 0, why);
  else
    assert.deepEqual(
      codes.filter((code) => REFUSALS.includes(code)),
      [ERROR[refused]],
      why,
    );
}

test('every API is refused without the right for it, with an ACL that denies it and without one', async (t) => {
  const stage = await start(t);
  const { admin, port } = stage;
  const rows = [...ROWS, ...SHARE_ROWS, ...CLUSTER_ROWS];
  assert.deepEqual(
    Object.keys(APIS).filter((name) => !FOR_EVERYBODY.includes(name) && !rows.some(({ api }) => api === name)),
    [],
    'each API has a row here',
  );
  await admin.ask('createTopics', 5, { topics: [made('t')] });
  const [ann, bob] = [await login(port, 'ann'), await login(port, 'bob')];
  const everything: Right[] = [
    ['all', 'topic', '*'],
    ['all', 'group', '*'],
    ['all', 'transactionalId', '*'],
    ['all', 'cluster', CLUSTER],
  ];
  await put(admin, 'bob', everything, ALLOW);
  for (const row of rows) {
    for (const [i, right] of row.rights.entries()) {
      const why = `${row.api} without ${right.join(' ')}`;
      const refused = row.refused?.[i] ?? null;
      await put(admin, 'bob', [right, ...(row.instead ?? [])], DENY);
      await expect(row, stage, bob, refused, `${why}, which is denied`);
      assert.equal(await remove(admin, 'bob', DENY), 1 + (row.instead?.length ?? 0));
      const others = row.rights.filter((other) => other !== right);
      await put(admin, 'ann', [...others, ...(row.beside ?? [])], ALLOW);
      await expect(row, stage, ann, refused, `${why}, which nobody gave`);
      await put(admin, 'ann', [right], ALLOW);
      await expect(row, stage, ann, 'allowed', `${row.api} with no more than its rights`);
      await remove(admin, 'ann', ALLOW);
    }
    await expect(row, stage, bob, 'allowed', `${row.api} with all rights`);
  }
});

test('kafkajs allows a user to write and a prefix of topics to be read, and takes it back', async (t) => {
  const { port } = await start(t);
  const at = (username: string, password = PASSWORD) =>
    kafkaAt(`127.0.0.1:${port}`, { sasl: { mechanism: 'plain', username, password }, retry: { retries: 0 } });
  const admin = at('token', TOKEN).admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  await admin.createTopics({ topics: [{ topic: 'orders.new' }, { topic: 'other' }] });
  const right = { host: '*', permissionType: 3, resourceType: 2 };
  const write = { ...right, operation: 4, principal: 'User:ann', resourceName: 'orders.new', resourcePatternType: 3 };
  const read = { ...right, operation: 3, principal: 'User:bob', resourceName: 'orders.', resourcePatternType: 4 };
  const join = { ...read, resourceType: 3, resourceName: 'readers', resourcePatternType: 3 };
  await admin.createAcls({ acl: [write, read, join] });
  const [producer, consumer] = [at('ann').producer(), at('bob').consumer({ groupId: 'readers' })];
  await Promise.all([producer.connect(), consumer.connect()]);
  t.after(() => Promise.all([producer.disconnect(), consumer.disconnect()]));
  await producer.send({ topic: 'orders.new', messages: [{ value: 'one' }] });
  await assert.rejects(producer.send({ topic: 'other', messages: [{ value: 'no' }] }), /authorized/i);
  await consumer.subscribe({ topic: 'orders.new', fromBeginning: true });
  const value = await new Promise<string>((resolve, reject) => {
    consumer.run({ eachMessage: async ({ message }) => resolve(String(message.value)) }).catch(reject);
  });
  assert.equal(value, 'one');
  const filter = { ...right, operation: 1, permissionType: 1, resourcePatternType: 1 };
  const found = await admin.describeAcls({ ...filter, resourcePatternType: 2, resourceName: 'orders.new' });
  const named = found.resources.map(({ resourceName, resourcePatternType, acls }) => {
    const meant = acls.map(({ principal, operation }) => [principal, operation]);
    return [resourceName, [resourcePatternType, meant]] as const;
  });
  assert.deepEqual(
    new Map(named),
    new Map([
      ['orders.', [4, [['User:bob', 3]]]],
      ['orders.new', [3, [['User:ann', 4]]]],
    ]),
  );
  await admin.deleteAcls({ filters: [{ ...filter, principal: 'User:ann' }] });
  await assert.rejects(producer.send({ topic: 'orders.new', messages: [{ value: 'two' }] }), /authorized/i);
});

test('an ACL that could not be kept to is refused', async (t) => {
  const { admin } = await start(t);
  const fine = {
    resourceType: 2,
    resourceName: 't',
    principal: 'User:ann',
    host: '*',
    operation: 3,
    permissionType: 3,
  };
  const wrong = [
    { host: '10.0.0.1' },
    { principal: 'User:nobody' },
    { principal: 'Group:ann' },
    { resourceType: 6 },
    { resourceType: 4, resourceName: 'another-cluster' },
    { resourceName: '' },
    { resourcePatternType: 2 },
    { operation: 1 },
    { operation: 99 },
    { permissionType: 1 },
  ];
  const creations = [fine, ...wrong.map((change) => ({ ...fine, ...change }))];
  const answer = await admin.ask('createAcls', 3, { creations });
  assert.deepEqual(
    answer?.results.map(({ errorCode }) => errorCode),
    [ERROR.NONE, ...wrong.map(() => ERROR.INVALID_REQUEST)],
  );
});

test('ACLs go with their user, count for everybody, and for no admin', async (t) => {
  const { admin, users, port } = await start(t);
  await admin.ask('createTopics', 5, { topics: [made('t')] });
  const write = (peer: RawPeer) => ROWS[0]?.ask(peer).then(codesOf);
  const password = await storedPassword(PASSWORD);
  await users.put({ name: 'eve', password, role: 'admin' });
  const [ann, eve] = [await login(port, 'ann'), await login(port, 'eve')];
  await put(admin, '*', [['all', 'topic', 't']], ALLOW);
  assert.deepEqual(await write(ann), [ERROR.NONE]);
  await put(admin, '*', [['write', 'topic', 't']], DENY);
  assert.deepEqual(await write(ann), [ERROR.TOPIC_AUTHORIZATION_FAILED]);
  assert.deepEqual(await write(eve), [ERROR.NONE]);
  await remove(admin, '*', DENY);
  await remove(admin, '*', ALLOW);
  await put(admin, 'ann', [['write', 'topic', 't']], ALLOW);
  await users.delete('ann');
  await users.put({ name: 'ann', password });
  assert.deepEqual(await write(await login(port, 'ann')), [ERROR.TOPIC_AUTHORIZATION_FAILED]);
});
