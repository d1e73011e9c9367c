/** Rights by patterns, as an unmodified client of RabbitMQ meets them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test, type TestContext } from 'node:test';
import { type Channel, type ChannelModel, connect, type ConsumeMessage } from 'amqplib';
import { type PermissionPatterns, StoredUsers, SYSTEM_NAMESPACE } from '../../../src/core/access.ts';
import { LOCAL_PRINCIPAL } from '../../../src/core/auth.ts';
import { storedPassword } from '../../../src/core/passwords.ts';
import type { Session } from '../../../src/core/session.ts';
import { startServer, type RunningServer } from '../../../src/server/index.ts';

const NOTHING: PermissionPatterns = { configure: '', write: '', read: '' };
const EVERYTHING: PermissionPatterns = { configure: '.*', write: '.*', read: '.*' };

let server: RunningServer;
let system: Session;
let users: StoredUsers;

before(async () => {
  server = await startServer({ memory: true, port: 0, log: { level: 'silent' } });
  system = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: SYSTEM_NAMESPACE });
  users = new StoredUsers(system);
  await users.put({ name: 'operator', password: await storedPassword('secret'), role: 'operator' });
  await users.put({ name: 'ann', password: await storedPassword('secret'), tags: [] });
});

after(() => server.close());

/** A client that may do everything. */
async function anybody(): Promise<{ connection: ChannelModel; channel: Channel }> {
  return open('operator:secret');
}

async function open(login: string, vhost = ''): Promise<{ connection: ChannelModel; channel: Channel }> {
  const url = new URL(server.amqpUrl ?? '');
  const connection = await connect(`amqp://${login}@${url.host}${vhost}`);
  connection.on('error', () => {});
  const channel = await connection.createChannel();
  channel.on('error', () => {});
  return { connection, channel };
}

/** What happens to a channel that does this: nothing, or the text with which it is closed. */
async function outcome(channel: Channel, act: (channel: Channel) => Promise<unknown>): Promise<string> {
  let closed = '';
  channel.on('error', (error: Error) => (closed = error.message));
  try {
    await act(channel);
    // What is refused without an answer is known by the next one.
    await channel.prefetch(0);
    return 'done';
  } catch (error) {
    return closed || String(error);
  }
}

interface Row {
  what: string;
  needs: Partial<PermissionPatterns>;
  act: (channel: Channel) => Promise<unknown>;
}

const QUIET = Buffer.from('x');

/** The table of https://www.rabbitmq.com/docs/access-control. */
const TABLE: Row[] = [
  { what: 'exchange.declare', needs: { configure: '^new-x$' }, act: (c) => c.assertExchange('new-x', 'fanout') },
  {
    what: 'exchange.declare with an alternate exchange',
    needs: { configure: '^new-ax$', write: '^x$', read: '^new-ax$' },
    act: (c) => c.assertExchange('new-ax', 'fanout', { alternateExchange: 'x' }),
  },
  { what: 'exchange.delete', needs: { configure: '^doomed-x$' }, act: (c) => c.deleteExchange('doomed-x') },
  { what: 'queue.declare', needs: { configure: '^new-q$' }, act: (c) => c.assertQueue('new-q') },
  {
    what: 'queue.declare with a dead-letter exchange',
    needs: { configure: '^new-dq$', write: '^x$', read: '^new-dq$' },
    act: (c) => c.assertQueue('new-dq', { deadLetterExchange: 'x' }),
  },
  { what: 'queue.declare of a name by the server', needs: { configure: '^amq\\.gen-' }, act: (c) => c.assertQueue('') },
  { what: 'queue.delete', needs: { configure: '^doomed-q$' }, act: (c) => c.deleteQueue('doomed-q') },
  { what: 'exchange.bind', needs: { write: '^y$', read: '^x$' }, act: (c) => c.bindExchange('y', 'x', 'k') },
  { what: 'exchange.unbind', needs: { write: '^y$', read: '^x$' }, act: (c) => c.unbindExchange('y', 'x', 'k') },
  { what: 'queue.bind', needs: { write: '^q$', read: '^x$' }, act: (c) => c.bindQueue('q', 'x', 'k') },
  { what: 'queue.unbind', needs: { write: '^q$', read: '^x$' }, act: (c) => c.unbindQueue('q', 'x', 'k') },
  {
    what: 'basic.publish to an exchange',
    needs: { write: '^x$' },
    act: (c) => Promise.resolve(c.publish('x', 'k', QUIET)),
  },
  {
    what: 'basic.publish to the default exchange',
    needs: { write: '^amq\\.default$' },
    act: (c) => Promise.resolve(c.publish('', 'q', QUIET)),
  },
  { what: 'basic.get', needs: { read: '^q$' }, act: (c) => c.get('q', { noAck: true }) },
  { what: 'basic.consume', needs: { read: '^q$' }, act: (c) => c.consume('q', () => {}, { noAck: true }) },
  { what: 'queue.purge', needs: { read: '^q$' }, act: (c) => c.purgeQueue('q') },
];

async function setUp(): Promise<void> {
  const { connection, channel } = await anybody();
  for (const name of ['x', 'y', 'doomed-x']) await channel.assertExchange(name, 'direct');
  for (const name of ['q', 'doomed-q']) await channel.assertQueue(name);
  for (const name of ['new-x', 'new-ax']) await channel.deleteExchange(name);
  for (const name of ['new-q', 'new-dq']) await channel.deleteQueue(name);
  await connection.close();
}

async function asAnn(patterns: PermissionPatterns, row: Row): Promise<string> {
  await users.setPermission('ann', 'default', patterns);
  await setUp();
  const { connection, channel } = await open('ann:secret');
  try {
    return await outcome(channel, row.act);
  } finally {
    await connection.close().catch(() => {});
  }
}

for (const row of TABLE) {
  const needs = Object.entries(row.needs) as [keyof PermissionPatterns, string][];
  const words = needs.map(([right, pattern]) => `${right} ${pattern}`).join(', ') || 'no right';
  test(`${row.what} takes ${words}`, async () => {
    assert.equal(await asAnn({ ...NOTHING, ...row.needs }, row), 'done');
    for (const [right] of needs) {
      const text = await asAnn({ ...EVERYTHING, [right]: '^other$' }, row);
      assert.match(text, new RegExp(`403 .*ACCESS_REFUSED - ${right} access to \\w+ '.+' in vhost '/' refused`), right);
    }
  });
}

test('a passive declare takes any right on what it asks for, as in RabbitMQ since 4.2.7 and 4.3.1', async () => {
  const rows: Row[] = [
    { what: 'exchange', needs: {}, act: (c) => c.checkExchange('x') },
    { what: 'queue', needs: {}, act: (c) => c.checkQueue('q') },
  ];
  for (const row of rows) {
    for (const right of ['configure', 'write', 'read'] as const)
      assert.equal(await asAnn({ ...NOTHING, [right]: '^[xq]$' }, row), 'done', `${row.what}, ${right}`);
    const text = await asAnn({ configure: '^other$', write: '^other$', read: '^other$' }, row);
    assert.match(text, /403 .*ACCESS_REFUSED - configure access to (queue 'q'|exchange 'x') in vhost '\/' refused/);
  }
});

// ---- Topic permissions ----------------------------------------------------------------------------------------------

/** Ann may use everything, but of the routing keys of `topics` those that begin with her name, and read those of `eu`. */
async function asAnnOfTopics(t: TestContext): Promise<Channel> {
  const permission = { user: 'ann', namespace: 'default', router: 'topics' };
  await users.setPermission('ann', 'default', EVERYTHING);
  await users.setKeyPermission({ ...permission, write: '^{username}\\.', read: '^{vhost}eu\\.' });
  await setUp();
  const { connection, channel } = await open('ann:secret');
  await channel.assertExchange('topics', 'topic');
  await channel.assertExchange('other-topics', 'topic');
  t.after(async () => {
    await users.clearKeyPermission(permission);
    await connection.close().catch(() => {});
  });
  return channel;
}

const KEYS: { what: string; act: (channel: Channel) => unknown; refused?: string }[] = [
  { what: 'publishing with an own key', act: (c) => c.publish('topics', 'ann.x', QUIET) },
  {
    what: 'publishing with another key',
    act: (c) => c.publish('topics', 'bob.x', QUIET),
    refused: "write access to topic 'bob.x' in exchange 'topics' in vhost '/' refused for user 'ann'",
  },
  { what: 'copies to own keys', act: (c) => c.publish('topics', 'ann.x', QUIET, { CC: ['ann.y'] }) },
  {
    what: 'a copy to another key',
    act: (c) => c.publish('topics', 'ann.x', QUIET, { CC: ['ann.y', 'bob.y'] }),
    refused: "write access to topic 'bob.y'",
  },
  {
    what: 'a blind copy to another key',
    act: (c) => c.publish('topics', 'ann.x', QUIET, { BCC: ['bob.y'] }),
    refused: "write access to topic 'bob.y'",
  },
  { what: 'binding a queue by a key that may be read', act: (c) => c.bindQueue('q', 'topics', '/eu.#') },
  {
    what: 'binding a queue by another key',
    act: (c) => c.bindQueue('q', 'topics', '#'),
    refused: "read access to topic '#' in exchange 'topics' in vhost '/' refused for user 'ann'",
  },
  {
    what: 'binding an exchange by another key',
    act: (c) => c.bindExchange('y', 'topics', 'ann.x'),
    refused: "read access to topic 'ann.x'",
  },
  { what: 'every key of another exchange', act: (c) => c.publish('other-topics', 'bob.x', QUIET) },
];

for (const { what, act, refused } of KEYS)
  test(`with a topic permission, ${what} is ${refused === undefined ? 'allowed' : 'refused with 403'}`, async (t) => {
    const channel = await asAnnOfTopics(t);
    const text = await outcome(channel, async (c) => void (await act(c)));
    if (refused === undefined) assert.equal(text, 'done');
    else assert.ok(text.includes(`403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - ${refused}`), text);
  });

test('a change of a topic permission counts for the key that a channel published with before', async (t) => {
  const channel = await asAnnOfTopics(t);
  const publish = async (c: Channel): Promise<void> => void c.publish('topics', 'ann.x', QUIET);
  assert.equal(await outcome(channel, publish), 'done');
  await users.setKeyPermission({ user: 'ann', namespace: 'default', router: 'topics', write: '^none$', read: '' });
  assert.match(await outcome(channel, publish), /403/);
});

test('a topic permission of an exchange that is no topic exchange takes nothing away', async (t) => {
  const channel = await asAnnOfTopics(t);
  const permission = { user: 'ann', namespace: 'default', router: 'x' };
  await users.setKeyPermission({ ...permission, write: '', read: '' });
  t.after(() => users.clearKeyPermission(permission));
  assert.equal(await outcome(channel, async (c) => void c.publish('x', 'k', QUIET)), 'done');
  assert.equal(await outcome(channel, (c) => c.bindQueue('q', 'x', 'k')), 'done');
});

test('over a protocol that asks for no keys, an exchange with a topic permission takes no publish', async (t) => {
  await asAnnOfTopics(t);
  const { id, secret } = await users.addAccessKey('ann', 1);
  const send = async (router: string, key: string): Promise<number> => {
    const authorization = `Bearer ${id}.${secret}`;
    const body = JSON.stringify({ body: 1, routingKey: key });
    const headers = { authorization, 'content-type': 'application/json' };
    return (
      await fetch(new URL(`/api/v1/routers/${router}/messages`, server.httpUrl), { method: 'POST', headers, body })
    ).status;
  };
  assert.deepEqual([await send('topics', 'ann.x'), await send('other-topics', 'ann.x')], [403, 200]);
});

test('what stands for a name in a topic permission is no pattern', async () => {
  await users.put({ name: '.*', password: await storedPassword('secret'), tags: [] });
  await users.setPermission('.*', 'default', EVERYTHING);
  await users.setKeyPermission({ user: '.*', namespace: 'default', router: 'topics', write: '^{username}$', read: '' });
  const { connection, channel } = await open('.*:secret');
  await channel.assertExchange('topics', 'topic');
  assert.equal(await outcome(channel, async (c) => void c.publish('topics', '.*', QUIET)), 'done');
  assert.match(await outcome(channel, async (c) => void c.publish('topics', 'ann', QUIET)), /403/);
  await connection.close();
  await users.delete('.*');
  assert.deepEqual(await users.keyPermissions(), []);
});

test('only a user with the tag impersonator publishes with the user-id of another', async () => {
  await users.setPermission('ann', 'default', EVERYTHING);
  await setUp();
  const publish = async (c: Channel) => c.publish('', 'q', QUIET, { userId: 'bob' });
  for (const [tags, expected] of [
    [['management'], /406 .*user_id property set to 'bob' but authenticated user was 'ann'/],
    [['impersonator'], /^done$/],
  ] as const) {
    await users.put({ name: 'ann', tags });
    const { connection, channel } = await open('ann:secret');
    assert.match(await outcome(channel, publish), expected);
    await connection.close();
  }
  await users.put({ name: 'ann', tags: [] });
});

test('who has no permission in a virtual host cannot open it', async () => {
  await users.setPermission('ann', 'default', EVERYTHING);
  await assert.rejects(open('ann:secret', '/elsewhere'), /ConnectionClose/);
  await users.setPermission('ann', 'elsewhere', NOTHING);
  const { connection } = await open('ann:secret', '/elsewhere');
  await connection.close();
});

test('a change of permissions counts for connections that are open', async () => {
  await users.setPermission('ann', 'default', EVERYTHING);
  await setUp();
  const { connection, channel } = await open('ann:secret');
  assert.equal(await outcome(channel, (c) => c.get('q')), 'done');
  await users.clearPermission('ann', 'default');
  assert.match(await outcome(channel, (c) => c.get('q')), /403/);
  await connection.close();
});

test('who may no longer read loses the channel of a consumer at its next settlement', async () => {
  await users.setPermission('ann', 'default', EVERYTHING);
  await setUp();
  const { connection, channel } = await open('ann:secret');
  channel.sendToQueue('q', Buffer.from('x'));
  const message = await new Promise<ConsumeMessage | null>((resolve) => void channel.consume('q', resolve));
  await users.setPermission('ann', 'default', { ...EVERYTHING, read: '' });
  assert.ok(message);
  assert.match(await outcome(channel, async (c) => c.ack(message)), /403/);
  await connection.close();
});

test('connections of a deleted user are closed, those of one with a new password or no permissions stay', async () => {
  const user = { name: 'cid', password: await storedPassword('secret'), tags: [] };
  await users.put(user);
  await users.setPermission('cid', 'default', EVERYTHING);
  const [{ connection, channel }, other] = [await open('cid:secret'), await open('ann:secret')];
  await users.put({ ...user, password: await storedPassword('other') });
  assert.equal(await outcome(channel, (c) => c.assertExchange('e', 'fanout')), 'done');
  await assert.rejects(open('cid:secret'), /403|ACCESS_REFUSED|refused/);
  await users.clearPermission('cid', 'default');
  const closed = once(connection, 'close');
  await users.delete('cid');
  const [error] = await closed;
  assert.match(String(error), /320 .*CONNECTION_FORCED - user 'cid' is deleted/);
  assert.equal(await outcome(other.channel, (c) => c.checkQueue('q')), 'done');
  await other.connection.close();
});

test('a wrong password is refused, and so is a name that nobody has', async () => {
  await assert.rejects(open('ann:wrong'), /403|ACCESS_REFUSED|refused/);
  const { connection } = await anybody();
  await connection.close();
});

test('what a deleted user was permitted is gone with it', async () => {
  await users.put({ name: 'bob', password: await storedPassword('secret'), tags: [] });
  await users.setPermission('bob', 'default', EVERYTHING);
  await users.delete('bob');
  assert.deepEqual(
    (await users.permissions()).filter(({ user }) => user === 'bob'),
    [],
  );
});
