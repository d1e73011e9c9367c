/** RabbitMQ's management HTTP API as its tools use it, beside an unmodified client of AMQP. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { type ChannelModel, connect } from 'amqplib';
import { hashPassword } from '../../../src/core/passwords.ts';
import { startServer, type RunningServer } from '../../../src/server/index.ts';
import { RawPeer } from '../../amqp/raw-peer.ts';

/** What an answer says: looked at without a check, since it is what is tested. */
type Json = ReturnType<typeof JSON.parse>;

interface Place {
  server: RunningServer;
  call: (method: string, path: string, body?: unknown, login?: string) => Promise<{ status: number; body: Json }>;
  client: (login?: string) => Promise<ChannelModel>;
}

async function place(t: TestContext, config: object = {}): Promise<Place> {
  const everything = [{ namespace: '*', resource: '*', actions: 'all' as const }];
  const guest = { name: 'guest', passwordHash: await hashPassword('guest'), grants: everything };
  const server = await startServer({ memory: true, port: 0, log: { level: 'silent' }, users: [guest], ...config });
  t.after(() => server.close());
  return {
    server,
    call: async (method, path, body, login = 'guest:guest') => {
      const response = await fetch(`${server.amqpManagementUrl}${path}`, {
        method,
        ...(body !== undefined && { body: JSON.stringify(body) }),
        headers: { authorization: `Basic ${Buffer.from(login).toString('base64')}`, connection: 'close' },
      });
      const text = await response.text();
      return { status: response.status, body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text };
    },
    client: async (login = 'guest:guest') => {
      const connection = await connect(`amqp://${login}@${new URL(server.amqpUrl ?? '').host}`, {
        clientProperties: { connection_name: 'a test' },
      });
      connection.on('error', () => {});
      t.after(() => connection.close().catch(() => {}));
      return connection;
    },
  };
}

const ALL = { configure: '.*', write: '.*', read: '.*' };

test('a queue is declared, listed with its counts, purged and deleted', async (t) => {
  const { call, client } = await place(t);
  const declare = { durable: true, auto_delete: false, arguments: { 'x-max-length': 10 } };
  assert.equal((await call('PUT', '/api/queues/%2F/jobs', declare)).status, 201);
  assert.equal((await call('PUT', '/api/queues/%2F/jobs', declare)).status, 204);
  const other = await call('PUT', '/api/queues/%2F/jobs', { ...declare, durable: false });
  assert.equal(other.status, 400);
  assert.match(other.body.reason, /^inequivalent arg 'durable' for queue 'jobs' in vhost '\/'/);
  const channel = await (await client()).createConfirmChannel();
  for (const text of ['a', 'b', 'c']) channel.sendToQueue('jobs', Buffer.from(text));
  await channel.waitForConfirms();
  await channel.prefetch(1);
  await channel.consume('jobs', () => {});
  await channel.checkQueue('jobs');
  const { body } = await call('GET', '/api/queues/%2F/jobs');
  const shown = ({
    name,
    vhost,
    type,
    durable,
    messages,
    messages_ready,
    messages_unacknowledged,
  }: Json): unknown[] => [
    [name, vhost, type, durable],
    [messages, messages_ready, messages_unacknowledged],
  ];
  assert.deepEqual(shown(body), [
    ['jobs', '/', 'classic', true],
    [3, 2, 1],
  ]);
  assert.deepEqual([body.consumers, body.consumer_details.length, body.message_stats.publish], [1, 1, 3]);
  assert.deepEqual(
    [body.arguments, typeof body.message_stats.publish_details.rate],
    [{ 'x-max-length': 10 }, 'number'],
  );
  assert.deepEqual(shown((await call('GET', '/api/queues')).body[0]), shown(body));
  assert.deepEqual(shown((await call('GET', '/api/queues/%2F')).body[0]), shown(body));
  assert.equal((await call('DELETE', '/api/queues/%2F/jobs/contents')).status, 204);
  assert.equal((await call('GET', '/api/queues/%2F/jobs')).body.messages, 1);
  assert.equal((await call('DELETE', '/api/queues/%2F/jobs?if-unused=true')).status, 400);
  assert.equal((await call('DELETE', '/api/queues/%2F/jobs')).status, 204);
  assert.deepEqual(await call('GET', '/api/queues/%2F/jobs'), {
    status: 404,
    body: { error: 'Object Not Found', reason: 'Not Found' },
  });
});

test('lists come in pages, sorted, filtered by name, with the columns that were asked for', async (t) => {
  const { call } = await place(t);
  for (const name of ['b', 'a', 'ab']) await call('PUT', `/api/queues/%2F/${name}`, {});
  const get = async (query: string): Promise<Json> => (await call('GET', `/api/queues?${query}`)).body;
  assert.deepEqual(await get('columns=name,arguments.x&sort=name&sort_reverse=true'), [
    { name: 'b' },
    { name: 'ab' },
    { name: 'a' },
  ]);
  // As the scaler of KEDA asks.
  const page = await get('page=1&use_regex=true&pagination=false&name=%5Ea&page_size=100&sort=name');
  assert.deepEqual(
    [page.total_count, page.filtered_count, page.items.map(({ name }: Json) => name)],
    [3, 2, ['a', 'ab']],
  );
  assert.deepEqual((await get('page=2&page_size=2&sort=name&columns=name')).items, [{ name: 'b' }]);
  assert.equal((await call('GET', '/api/queues?page=9')).status, 400);
  assert.equal((await call('GET', '/api/queues?page=1&use_regex=true&name=(a)%5C1')).status, 400);
});

test('a stream is shown and exported with the other queues', async (t) => {
  const { call, client } = await place(t);
  assert.equal((await call('PUT', '/api/queues/%2F/log', { arguments: { 'x-queue-type': 'stream' } })).status, 201);
  await call('POST', '/api/bindings/%2F/e/amq.topic/q/log', { routing_key: '#' });
  const channel = await (await client()).createConfirmChannel();
  channel.publish('amq.topic', 'a', Buffer.from('x'));
  await channel.waitForConfirms();
  const { body } = await call('GET', '/api/queues/%2F/log');
  assert.deepEqual([body.type, body.messages, body.message_stats.publish], ['stream', 1, 1]);
  assert.deepEqual((await call('GET', '/api/definitions')).body.queues[0].arguments, { 'x-queue-type': 'stream' });
  assert.equal((await call('DELETE', '/api/queues/%2F/log')).status, 204);
});

test('exchanges and bindings are declared, listed and deleted', async (t) => {
  const { call } = await place(t);
  const exchange = { type: 'topic', durable: true, internal: false, arguments: { 'alternate-exchange': 'amq.fanout' } };
  assert.equal((await call('PUT', '/api/exchanges/%2F/x', exchange)).status, 201);
  assert.equal((await call('PUT', '/api/exchanges/%2F/x', exchange)).status, 204);
  assert.equal((await call('PUT', '/api/exchanges/%2F/x', { ...exchange, type: 'direct' })).status, 400);
  assert.equal((await call('PUT', '/api/exchanges/%2F/amq.mine', exchange)).status, 401);
  const { body } = await call('GET', '/api/exchanges/%2F/x');
  assert.deepEqual([body.type, body.durable, body.arguments], ['topic', true, exchange.arguments]);
  const names = (await call('GET', '/api/exchanges/%2F')).body.map(({ name }: Json) => name);
  for (const name of ['', 'amq.direct', 'amq.topic', 'x']) assert.ok(names.includes(name), name);
  await call('PUT', '/api/queues/%2F/q', {});
  const bound = await call('POST', '/api/bindings/%2F/e/x/q/q', { routing_key: 'a.#' });
  assert.equal(bound.status, 201);
  await call('POST', '/api/bindings/%2F/e/amq.headers/q/q', { arguments: { 'x-match': 'any', color: 'red' } });
  await call('POST', '/api/bindings/%2F/e/x/e/amq.fanout', { routing_key: '' });
  const between = (await call('GET', '/api/bindings/%2F/e/x/q/q')).body;
  assert.deepEqual(between, [
    {
      source: 'x',
      vhost: '/',
      destination: 'q',
      destination_type: 'queue',
      routing_key: 'a.#',
      arguments: {},
      properties_key: 'a.%23',
    },
  ]);
  const ofQueue = (await call('GET', '/api/queues/%2F/q/bindings')).body;
  assert.deepEqual(
    ofQueue.map(({ source, routing_key, arguments: args }: Json) => [source, routing_key, args]),
    [
      ['', 'q', {}],
      ['amq.headers', '', { color: 'red', 'x-match': 'any' }],
      ['x', 'a.#', {}],
    ],
  );
  assert.equal((await call('GET', '/api/bindings')).body.length, 4);
  assert.equal((await call('GET', '/api/exchanges/%2F/x/bindings/source')).body.length, 2);
  assert.equal((await call('GET', '/api/exchanges/%2F/amq.fanout/bindings/destination')).body.length, 1);
  for (const { source, destination_type: type, destination, properties_key: key } of [ofQueue[1], between[0]]) {
    const path = `/api/bindings/%2F/e/${source}/${type.charAt(0)}/${destination}/${encodeURIComponent(key)}`;
    assert.equal((await call('GET', path)).body.destination, 'q');
    assert.equal((await call('DELETE', path)).status, 204);
    assert.equal((await call('DELETE', path)).status, 404);
  }
  assert.equal((await call('DELETE', '/api/exchanges/%2F/x?if-unused=true')).status, 400);
  assert.equal((await call('DELETE', '/api/exchanges/%2F/x')).status, 204);
  assert.equal((await call('DELETE', '/api/exchanges/%2F/x')).status, 404);
  assert.equal((await call('GET', '/api/exchanges/%2F/x')).status, 404);
});

test('bindings that differ only in arguments are shown and deleted one by one, as they were made', async (t) => {
  const { call, client } = await place(t);
  const channel = await (await client()).createChannel();
  await channel.assertQueue('q');
  // Numbers of different sizes, which are one in JSON.
  const marks = [{}, { mark: 1 }, { mark: { '!': 'short', value: 2 } }, { other: ['x'], mark: 70_000 }];
  for (const args of marks) await channel.bindQueue('q', 'amq.direct', 'k', args);
  const between = async (): Promise<Json[]> => (await call('GET', '/api/bindings/%2F/e/amq.direct/q/q')).body;
  const shown = await between();
  assert.deepEqual(
    shown.map(({ arguments: args }) => args),
    [{}, { mark: 1 }, { mark: 2 }, { other: ['x'], mark: 70_000 }],
  );
  for (const { properties_key: key } of shown)
    assert.equal((await call('DELETE', `/api/bindings/%2F/e/amq.direct/q/q/${encodeURIComponent(key)}`)).status, 204);
  assert.deepEqual(await between(), []);
});

test('messages are published and taken in every mode of acknowledging', async (t) => {
  const { call, client } = await place(t);
  const channel = await (await client()).createConfirmChannel();
  await channel.assertQueue('graves');
  await channel.assertQueue('q', { deadLetterExchange: '', deadLetterRoutingKey: 'graves' });
  const properties = { delivery_mode: 2, content_type: 'text/plain', headers: { n: 1, deep: { list: [true, 'x'] } } };
  const publish = (
    payload: string,
    payload_encoding = 'string',
    more: Json = {},
  ): Promise<{ status: number; body: Json }> =>
    call('POST', '/api/exchanges/%2F/amq.default/publish', {
      properties,
      routing_key: 'q',
      payload,
      payload_encoding,
      ...more,
    });
  assert.deepEqual((await publish('hellö')).body, { routed: true });
  assert.deepEqual((await publish('/w==', 'base64')).body, { routed: true });
  assert.deepEqual((await publish('x', 'string', { routing_key: 'nowhere' })).body, { routed: false });
  assert.equal((await publish('x', 'string', { properties: { user_id: 'somebody' } })).status, 400);
  const nowhere = await call('POST', '/api/exchanges/%2F/nowhere/publish', { routing_key: '', payload: '' });
  assert.deepEqual(nowhere, {
    status: 400,
    body: { error: 'bad_request', reason: "404 NOT_FOUND - no exchange 'nowhere' in vhost '/'" },
  });
  const get = async (body: Json): Promise<Json[]> => (await call('POST', '/api/queues/%2F/q/get', body)).body;
  const [first, second] = await get({ count: 5, ackmode: 'ack_requeue_true', encoding: 'auto' });
  assert.deepEqual(first, {
    payload_bytes: 6,
    redelivered: false,
    exchange: '',
    routing_key: 'q',
    message_count: 1,
    properties,
    payload: 'hellö',
    payload_encoding: 'string',
  });
  assert.deepEqual([second?.['payload'], second?.['payload_encoding']], ['/w==', 'base64']);
  const again = await get({ count: 1, ackmode: 'reject_requeue_true', encoding: 'base64', truncate: 3 });
  assert.deepEqual([again[0]?.['redelivered'], again[0]?.['payload']], [true, Buffer.from('hel').toString('base64')]);
  assert.equal((await get({ count: 1, ackmode: 'ack_requeue_false' }))[0]?.['payload'], 'hellö');
  assert.equal((await get({ count: 1, ackmode: 'reject_requeue_false' }))[0]?.['payload'], '/w==');
  assert.deepEqual(await get({ count: 1, ackmode: 'ack_requeue_false' }), []);
  const dead = await channel.get('graves', { noAck: true });
  assert.ok(dead !== false);
  assert.deepEqual([dead.content, dead.properties.contentType], [Buffer.from([255]), 'text/plain']);
  assert.equal((await call('POST', '/api/queues/%2F/q/get', { count: 1, ackmode: 'maybe' })).status, 400);
});

test('connections, channels and consumers are shown, and a connection can be closed', async (t) => {
  const { call, client } = await place(t);
  const connection = await client();
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('q');
  channel.sendToQueue('q', Buffer.from('x'));
  await channel.waitForConfirms();
  await channel.prefetch(7);
  await channel.consume('q', () => {}, { consumerTag: 'tag' });
  await channel.checkQueue('q');
  const [shown] = (await call('GET', '/api/connections')).body;
  assert.deepEqual(
    [shown.user_provided_name, shown.vhost, shown.channels, shown.protocol, shown.state, shown.auth_mechanism],
    ['a test', '/', 1, 'AMQP 0-9-1', 'running', 'PLAIN'],
  );
  assert.ok(shown.recv_oct > 0 && shown.client_properties.capabilities['basic.nack']);
  const path = `/api/connections/${encodeURIComponent(shown.name)}`;
  assert.equal((await call('GET', path)).body.name, shown.name);
  for (const list of ['/api/channels', `${path}/channels`, '/api/vhosts/%2F/channels']) {
    const [each] = (await call('GET', list)).body;
    assert.deepEqual([each.number, each.confirm, each.prefetch_count, each.messages_unacknowledged], [1, true, 7, 1]);
    assert.equal((await call('GET', `/api/channels/${encodeURIComponent(each.name)}`)).body.consumer_count, 1);
  }
  for (const list of ['/api/consumers', '/api/consumers/%2F']) {
    const [each] = (await call('GET', list)).body;
    assert.deepEqual(
      [each.consumer_tag, each.queue, each.ack_required, each.prefetch_count],
      ['tag', { name: 'q', vhost: '/' }, true, 7],
    );
  }
  assert.equal((await call('GET', '/api/vhosts/elsewhere/connections')).status, 404);
  assert.equal((await call('GET', '/api/connections/username/guest')).body.length, 1);
  assert.equal((await call('GET', '/api/connections/username/nobody')).body.length, 0);
  assert.equal((await call('DELETE', '/api/connections/username/nobody')).status, 204);
  assert.equal((await call('POST', '/api/rebalance/queues', {})).status, 204);
  const closed = new Promise((resolve) => connection.once('close', resolve));
  assert.equal((await call('DELETE', path)).status, 204);
  await closed;
  assert.equal((await call('DELETE', path)).status, 404);
  const again = await client();
  const gone = new Promise((resolve) => again.once('close', resolve));
  assert.equal((await call('DELETE', '/api/connections/username/guest')).status, 204);
  await gone;
});

test('virtual hosts are made, shown with their counts, and deleted with all that is in them', async (t) => {
  const { call } = await place(t);
  assert.equal((await call('PUT', '/api/vhosts/shop', {})).status, 201);
  assert.equal((await call('PUT', '/api/vhosts/shop', {})).status, 204);
  assert.equal((await call('PUT', '/api/vhosts/%24system', {})).status, 400);
  assert.equal((await call('PUT', '/api/vhosts/q', { default_queue_type: 'lazy' })).status, 400);
  assert.equal((await call('PUT', '/api/vhosts/q', { tracing: true })).status, 501);
  await call('PUT', '/api/queues/shop/q', {});
  await call('POST', '/api/exchanges/shop/amq.default/publish', { routing_key: 'q', payload: 'x' });
  assert.equal((await call('GET', '/api/vhosts/shop')).body.messages, 1);
  const names = async (): Promise<unknown> => (await call('GET', '/api/vhosts')).body.map(({ name }: Json) => name);
  assert.deepEqual(await names(), ['/', 'shop']);
  assert.equal((await call('DELETE', '/api/vhosts/shop')).status, 204);
  assert.deepEqual(await names(), ['/']);
  assert.equal((await call('GET', '/api/queues/shop')).status, 404);
  assert.equal((await call('DELETE', '/api/vhosts/%2F')).status, 400);
});

test('a virtual host keeps its description and tags, and gives queues that ask for no type its own', async (t) => {
  const { call, client } = await place(t);
  const facts = { description: 'orders', tags: 'eu, old', default_queue_type: 'quorum' };
  assert.equal((await call('PUT', '/api/vhosts/%2F', facts)).status, 204);
  assert.equal((await call('PUT', '/api/vhosts/%2F', { description: 'all orders' })).status, 204);
  const { body } = await call('GET', '/api/vhosts/%2F');
  const shown = { description: 'all orders', tags: ['eu', 'old'], default_queue_type: 'quorum' };
  assert.deepEqual(
    [body.description, body.tags, body.default_queue_type, body.metadata],
    [...Object.values(shown), shown],
  );
  const channel = await (await client()).createChannel();
  const typeOf = async (queue: string): Promise<unknown> => (await call('GET', `/api/queues/%2F/${queue}`)).body.type;
  await channel.assertQueue('plain');
  await channel.assertQueue('plain', { arguments: { 'x-queue-type': 'quorum' } });
  await channel.assertQueue('asked', { arguments: { 'x-queue-type': 'classic' } });
  await channel.assertQueue('passing', { durable: false });
  await channel.assertQueue('own', { exclusive: true });
  await channel.assertQueue('goes', { autoDelete: true });
  assert.deepEqual(await Promise.all(['plain', 'asked', 'passing', 'own', 'goes'].map(typeOf)), [
    'quorum',
    ...['asked', 'passing', 'own', 'goes'].map(() => 'classic'),
  ]);
  const other = await place(t);
  const { body: exported } = await call('GET', '/api/definitions');
  assert.equal((await other.call('POST', '/api/definitions', exported)).status, 204);
  assert.deepEqual((await other.call('GET', '/api/definitions')).body.vhosts, [
    { name: '/', ...shown, metadata: shown },
  ]);
});

test('users and permissions are kept, and count over AMQP at once', async (t) => {
  const { call, client } = await place(t);
  assert.equal((await call('PUT', '/api/users/ann', { password: 'secret12', tags: 'monitoring, other' })).status, 201);
  assert.equal((await call('PUT', '/api/users/ann', { tags: '' })).status, 400);
  const { body } = await call('GET', '/api/users/ann');
  assert.deepEqual([body.name, body.tags, body.hashing_algorithm], ['ann', ['monitoring', 'other'], 'railhead_scrypt']);
  assert.equal((await call('GET', '/api/users')).body.length, 1);
  assert.equal((await call('GET', '/api/users/without-permissions')).body.length, 1);
  assert.equal((await call('PUT', '/api/permissions/%2F/ann', { ...ALL, read: '(a' })).status, 400);
  assert.equal((await call('PUT', '/api/permissions/%2F/ann', { ...ALL, configure: '^a' })).status, 201);
  assert.equal((await call('PUT', '/api/permissions/%2F/nobody', ALL)).status, 400);
  const permission = { user: 'ann', vhost: '/', ...ALL, configure: '^a' };
  for (const path of ['/api/permissions', '/api/users/ann/permissions', '/api/vhosts/%2F/permissions'])
    assert.deepEqual((await call('GET', path)).body, [permission]);
  assert.deepEqual((await call('GET', '/api/permissions/%2F/ann')).body, permission);
  const channel = await (await client('ann:secret12')).createChannel();
  await channel.assertQueue('allowed');
  const refused = new Promise<Error>((resolve) => channel.once('error', resolve));
  await assert.rejects(channel.assertQueue('refused'));
  assert.match((await refused).message, /configure access to queue 'refused' in vhost '\/' refused for user 'ann'/);
  assert.equal((await call('DELETE', '/api/permissions/%2F/ann')).status, 204);
  assert.equal((await call('DELETE', '/api/permissions/%2F/ann')).status, 404);
  assert.equal((await call('POST', '/api/users/bulk-delete', { users: ['ann'] })).status, 204);
  assert.equal((await call('DELETE', '/api/users/ann')).status, 404);
});

test('tags say what a user sees and changes, as in RabbitMQ', async (t) => {
  const { call } = await place(t);
  for (const tags of ['administrator', 'monitoring', 'policymaker', 'management', '']) {
    await call('PUT', `/api/users/${tags || 'none'}`, { password: 'secret12', tags });
    await call('PUT', `/api/permissions/%2F/${tags || 'none'}`, ALL);
  }
  await call('PUT', '/api/vhosts/shop', {});
  await call('PUT', '/api/queues/shop/q', {});
  const status = async (user: string, method: string, path: string, body?: unknown): Promise<number> =>
    (await call(method, path, body, `${user}:secret12`)).status;
  const policy = { pattern: 'x', definition: { expires: 1 } };
  assert.deepEqual((await call('GET', '/api/whoami', undefined, 'monitoring:secret12')).body, {
    name: 'monitoring',
    tags: ['monitoring'],
  });
  const table: Record<string, number[]> = {};
  for (const user of ['administrator', 'monitoring', 'policymaker', 'management', 'none']) {
    table[user] = [
      await status(user, 'GET', '/api/whoami'),
      await status(user, 'GET', '/api/nodes'),
      await status(user, 'GET', '/api/queues/shop'),
      await status(user, 'PUT', '/api/queues/shop/mine', {}),
      await status(user, 'PUT', `/api/policies/%2F/${user}`, policy),
      await status(user, 'GET', '/api/users'),
      await status(user, 'PUT', '/api/vhosts/new', {}),
      await status(user, 'GET', '/metrics'),
      await status(user, 'GET', '/api/definitions'),
    ];
  }
  assert.deepEqual(table, {
    administrator: [200, 200, 200, 401, 201, 200, 201, 200, 200],
    monitoring: [200, 200, 200, 401, 401, 401, 401, 200, 401],
    policymaker: [200, 401, 401, 401, 201, 401, 401, 401, 401],
    management: [200, 401, 401, 401, 401, 401, 401, 401, 401],
    none: [401, 401, 401, 401, 401, 401, 401, 401, 401],
  });
  assert.deepEqual((await call('GET', '/api/vhosts', undefined, 'management:secret12')).body.length, 1);
});

test('who shows no login, or a wrong one, is told which one is wanted', async (t) => {
  const { call, server } = await place(t, { token: 'a-token-that-nobody-guesses', users: [] });
  const refused = await fetch(`${server.amqpManagementUrl}/api/overview`);
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get('www-authenticate'), 'Basic realm="RabbitMQ Management"');
  assert.equal((await call('GET', '/api/overview')).status, 401);
  // Orchestrators have none.
  for (const check of ['is-in-service', 'below-node-connection-limit', 'ready-to-serve-clients']) {
    const answer = await fetch(`${server.amqpManagementUrl}/api/health/checks/${check}`);
    assert.deepEqual([answer.status, await answer.json()], [200, { status: 'ok' }], check);
  }
  const headers = { authorization: 'Bearer a-token-that-nobody-guesses' };
  const let_in = await fetch(`${server.amqpManagementUrl}/api/whoami`, { headers });
  assert.deepEqual(await let_in.json(), { name: 'token', tags: ['administrator'] });
});

test('a web page of another origin or name gets nothing', async (t) => {
  const { server } = await place(t, { users: [] });
  const get = (headers: Record<string, string>): Promise<Response> =>
    fetch(`${server.amqpManagementUrl}/api/overview`, { headers });
  assert.equal((await get({ origin: 'https://evil.example' })).status, 401);
  assert.equal((await get({})).status, 200);
});

test('policies are set, listed, shown at what they apply to, and cleared', async (t) => {
  const { call } = await place(t);
  await call('PUT', '/api/queues/%2F/jobs', { arguments: { 'x-queue-type': 'quorum' } });
  const policy = { pattern: '^jobs', definition: { 'max-length': 5 }, priority: 1, 'apply-to': 'quorum_queues' };
  assert.equal((await call('PUT', '/api/policies/%2F/short', policy)).status, 201);
  assert.equal((await call('PUT', '/api/policies/%2F/short', policy)).status, 204);
  assert.equal(
    (await call('PUT', '/api/policies/%2F/bad', { ...policy, definition: { 'ha-mode': 'all' } })).status,
    501,
  );
  assert.equal(
    (await call('PUT', '/api/policies/%2F/bad', { ...policy, definition: { expires: 'soon' } })).status,
    400,
  );
  assert.deepEqual((await call('GET', '/api/policies/%2F/short')).body, { vhost: '/', name: 'short', ...policy });
  assert.equal((await call('GET', '/api/policies')).body.length, 1);
  assert.equal((await call('GET', '/api/policies/%2F')).body.length, 1);
  const queue = (await call('GET', '/api/queues/%2F/jobs')).body;
  assert.deepEqual(
    [queue.policy, queue.type, queue.effective_policy_definition],
    ['short', 'quorum', { 'max-length': 5 }],
  );
  assert.equal((await call('DELETE', '/api/policies/%2F/short')).status, 204);
  assert.equal((await call('GET', '/api/policies/%2F/short')).status, 404);
  assert.equal((await call('GET', '/api/queues/%2F/jobs')).body.policy, null);
});

test('topic permissions are set, listed and cleared, by exchange or all of a user', async (t) => {
  const { call } = await place(t);
  await call('PUT', '/api/users/ann', { password: 'secret12', tags: '' });
  const permission = { exchange: 'amq.topic', write: '^{username}\\.', read: '.*' };
  const path = '/api/topic-permissions/%2F/ann';
  assert.equal((await call('GET', path)).status, 404);
  assert.equal((await call('PUT', path, permission)).status, 201);
  assert.equal((await call('PUT', path, permission)).status, 204);
  assert.equal((await call('PUT', path, { ...permission, exchange: 'x' })).status, 201);
  assert.equal((await call('PUT', path, { ...permission, write: '{other}' })).status, 400);
  assert.equal((await call('PUT', '/api/topic-permissions/%2F/nobody', permission)).status, 400);
  const shown = ['amq.topic', 'x'].map((exchange) => ({ ...permission, user: 'ann', vhost: '/', exchange }));
  for (const list of [
    path,
    '/api/topic-permissions',
    '/api/users/ann/topic-permissions',
    '/api/vhosts/%2F/topic-permissions',
  ])
    assert.deepEqual((await call('GET', list)).body, shown, list);
  assert.equal((await call('DELETE', `${path}?exchange=x`)).status, 204);
  assert.equal((await call('GET', path)).body.length, 1);
  assert.equal((await call('DELETE', path)).status, 204);
  assert.equal((await call('DELETE', path)).status, 404);
});

test('operator policies are set, listed, shown at what they apply to, and cleared', async (t) => {
  const { call } = await place(t);
  await call('PUT', '/api/users/ann', { password: 'secret12', tags: 'policymaker' });
  await call('PUT', '/api/permissions/%2F/ann', ALL);
  await call('PUT', '/api/queues/%2F/jobs', {});
  await call('PUT', '/api/policies/%2F/p', { pattern: '^jobs', definition: { 'max-length': 5, expires: 100_000 } });
  const operator = { pattern: '^jobs', definition: { 'max-length': 3 }, priority: 1, 'apply-to': 'queues' };
  const path = '/api/operator-policies/%2F/o';
  assert.equal((await call('PUT', path, operator, 'ann:secret12')).status, 401);
  assert.equal((await call('PUT', path, operator)).status, 201);
  assert.equal((await call('PUT', path, operator)).status, 204);
  for (const [status, wrong] of [
    [501, { ...operator, definition: { 'dead-letter-exchange': 'x' } }],
    [400, { ...operator, 'apply-to': 'exchanges' }],
    [400, { ...operator, definition: { 'max-length': -1 } }],
  ] as const)
    assert.equal((await call('PUT', path, wrong)).status, status);
  const shown = { vhost: '/', name: 'o', ...operator };
  assert.deepEqual((await call('GET', path)).body, shown);
  assert.deepEqual((await call('GET', '/api/operator-policies')).body, [shown]);
  const { body: queue } = await call('GET', '/api/queues/%2F/jobs');
  assert.deepEqual(
    [queue.policy, queue.operator_policy, queue.effective_policy_definition],
    ['p', 'o', { 'max-length': 3, expires: 100_000 }],
  );
  assert.equal((await call('DELETE', path)).status, 204);
  assert.equal((await call('DELETE', path)).status, 404);
  assert.equal((await call('GET', '/api/queues/%2F/jobs')).body.operator_policy, null);
});

test('a virtual host takes no more connections and queues than its limits say', async (t) => {
  const { server, call, client } = await place(t);
  const path = '/api/vhost-limits/%2F';
  await call('PUT', '/api/queues/%2F/a', {});
  assert.equal((await call('PUT', `${path}/max-queues`, { value: 2 })).status, 201);
  assert.equal((await call('PUT', `${path}/max-connections`, { value: 2 })).status, 201);
  assert.equal((await call('PUT', `${path}/max-queues`, { value: 3 })).status, 204);
  assert.equal((await call('PUT', `${path}/max-queues`, { value: 'many' })).status, 400);
  assert.equal((await call('PUT', `${path}/max-channels`, { value: 3 })).status, 400);
  const value = { 'max-connections': 2, 'max-queues': 3 };
  assert.deepEqual((await call('GET', path)).body, [{ vhost: '/', value }]);
  assert.deepEqual((await call('GET', '/api/vhost-limits')).body, [{ vhost: '/', value }]);

  const [one, other] = [await client(), await client()];
  const third = await RawPeer.dial(Number(new URL(server.amqpUrl ?? '').port));
  await third.login();
  third.out.method(0, 'connectionTuneOk', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
  third.out.method(0, 'connectionOpen', { virtualHost: '/', reserved1: '', reserved2: false });
  const { replyCode, replyText } = await third.wait('connectionClose');
  const text = "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (2) is reached";
  assert.deepEqual([replyCode, replyText], [530, text]);
  third.socket.destroy();
  await one.close();
  const again = await client();
  const channels = await Promise.all([other, again].map((connection) => connection.createChannel()));
  const refused: string[] = [];
  for (const channel of channels) channel.on('error', (error: Error) => refused.push(error.message));
  // All at once, over two connections: there is room for two more.
  const declared = await Promise.allSettled([
    channels[0]?.assertQueue('b'),
    channels[1]?.assertQueue('c'),
    channels[0]?.assertQueue('d'),
  ]);
  assert.equal(declared.filter(({ status }) => status === 'fulfilled').length, 2);
  assert.match(refused.join(), /406 .*cannot declare queue '.': queue limit in vhost '\/' \(3\) is reached/);
  assert.equal((await call('PUT', '/api/queues/%2F/e', {})).status, 400);
  assert.equal((await call('PUT', '/api/queues/%2F/a', {})).status, 204, 'what is there may be declared again');
  await call('DELETE', '/api/queues/%2F/a');
  assert.equal((await call('PUT', '/api/queues/%2F/e', {})).status, 201);

  for (const limit of ['max-queues', 'max-connections'])
    assert.equal((await call('DELETE', `${path}/${limit}`)).status, 204);
  assert.equal((await call('DELETE', `${path}/max-queues`)).status, 404);
  assert.equal((await call('PUT', '/api/queues/%2F/f', {})).status, 201);
  await client();
});

test('definitions go from one broker to another, users with their passwords', async (t) => {
  const one = await place(t);
  await one.call('PUT', '/api/users/ann', { password: 'secret12', tags: 'administrator' });
  await one.call('PUT', '/api/vhosts/shop', {});
  await one.call('PUT', '/api/permissions/shop/ann', ALL);
  await one.call('PUT', '/api/exchanges/shop/x', { type: 'headers' });
  await one.call('PUT', '/api/queues/shop/q', { arguments: { 'x-message-ttl': 60_000 } });
  await one.call('POST', '/api/bindings/shop/e/x/q/q', { arguments: { 'x-match': 'all', n: 1 } });
  await one.call('PUT', '/api/policies/shop/p', { pattern: 'q', definition: { 'max-length': 3 } });
  await one.call('PUT', '/api/operator-policies/shop/o', { pattern: 'q', definition: { 'max-length': 2 } });
  await one.call('PUT', '/api/vhost-limits/shop/max-queues', { value: 10 });
  await one.call('PUT', '/api/topic-permissions/shop/ann', { exchange: 'amq.topic', write: '^{username}', read: '' });
  const { body: exported } = await one.call('GET', '/api/definitions');
  const other = await place(t);
  assert.equal((await other.call('POST', '/api/definitions', exported)).status, 204);
  assert.equal((await other.call('POST', '/api/definitions', exported)).status, 204);
  const { body: again } = await other.call('GET', '/api/definitions');
  assert.deepEqual(again, exported);
  assert.deepEqual(
    exported.parameters.map(({ component, vhost, value }: Json) => [component, vhost, value]),
    [
      ['operator_policy', 'shop', { pattern: 'q', 'apply-to': 'all', definition: { 'max-length': 2 }, priority: 0 }],
      ['vhost-limits', 'shop', { 'max-queues': 10 }],
    ],
  );
  assert.equal(exported.topic_permissions.length, 1);
  assert.equal((await other.call('GET', '/api/whoami', undefined, 'ann:secret12')).status, 200);
  assert.equal((await other.call('GET', '/api/whoami', undefined, 'ann:secret13')).status, 401);
  const { body: shop } = await other.call('GET', '/api/definitions/shop');
  assert.deepEqual(shop.queues, [
    { name: 'q', durable: true, auto_delete: false, arguments: { 'x-message-ttl': 60_000 } },
  ]);
  assert.equal((await other.call('POST', '/api/definitions/%2F', shop)).status, 204);
  assert.equal((await other.call('GET', '/api/queues/%2F/q')).body.policy, 'p');
});

/** As RabbitMQ 3.10 wrote it, but for what is of no interest here. */
const OF_RABBITMQ = {
  rabbit_version: '3.10.8',
  users: [
    {
      name: 'ann',
      password_hash: 'qDUO1XpV6w606I1Sm9mCCUgQ6znThn+X3qo4bCVS1klhuvyk',
      hashing_algorithm: 'rabbit_password_hashing_sha256',
      tags: ['management'],
      limits: {},
    },
  ],
  vhosts: [{ name: '/' }],
  permissions: [{ user: 'ann', vhost: '/', ...ALL }],
  topic_permissions: [],
  parameters: [],
  global_parameters: [{ name: 'internal_cluster_id', value: 'rabbitmq-cluster-id-Y5_2okrkFTJdPCEoU1Z-vQ' }],
  policies: [
    { vhost: '/', name: 'pol', pattern: '^j', 'apply-to': 'queues', definition: { expires: 1_000_000 }, priority: 1 },
  ],
  queues: [{ name: 'jobs', vhost: '/', durable: true, auto_delete: false, arguments: { 'x-max-length': 5 } }],
  exchanges: [
    { name: 'ex', vhost: '/', type: 'topic', durable: false, auto_delete: false, internal: false, arguments: {} },
  ],
  bindings: [
    { source: 'ex', vhost: '/', destination: 'jobs', destination_type: 'queue', routing_key: 'a.#', arguments: {} },
  ],
};

test('definitions that RabbitMQ exported are taken, and its users log in with their old passwords', async (t) => {
  const { call, client } = await place(t);
  assert.equal((await call('POST', '/api/definitions', OF_RABBITMQ)).status, 204);
  const channel = await (await client('ann:secret')).createConfirmChannel();
  channel.publish('ex', 'a.b', Buffer.from('x'));
  await channel.waitForConfirms();
  assert.equal((await channel.checkQueue('jobs')).messageCount, 1);
  assert.equal((await call('GET', '/api/queues/%2F/jobs')).body.policy, 'pol');
  const shovels = [{ vhost: '/', component: 'shovel', name: 's', value: {} }];
  assert.equal((await call('POST', '/api/definitions', { ...OF_RABBITMQ, parameters: shovels })).status, 501);
  const limited = (limits: object): object => ({
    ...OF_RABBITMQ,
    users: OF_RABBITMQ.users.map((user) => ({ ...user, limits })),
  });
  assert.equal((await call('POST', '/api/definitions', limited({ 'max-cats': 1 }))).status, 400);
  assert.equal((await call('POST', '/api/definitions', limited({ 'max-connections': 1 }))).status, 204);
  await assert.rejects(client('ann:secret'), /ConnectionClose/);
});

test('a user has no more connections and channels than its limits say, whatever its virtual hosts', async (t) => {
  const { call, client, server } = await place(t);
  await call('PUT', '/api/users/ann', { password: 'secret-secret', tags: '' });
  await call('PUT', '/api/vhosts/other');
  for (const vhost of ['%2F', 'other']) await call('PUT', `/api/permissions/${vhost}/ann`, ALL);
  const path = '/api/user-limits/ann';
  assert.deepEqual((await call('GET', path)).body, []);
  assert.equal((await call('PUT', `${path}/max-connections`, { value: 2 })).status, 204);
  assert.equal((await call('PUT', `${path}/max-channels`, { value: 3 })).status, 204);
  assert.equal((await call('PUT', `${path}/max-channels`, { value: 'many' })).status, 400);
  assert.equal((await call('PUT', `${path}/max-queues`, { value: 3 })).status, 400);
  assert.equal((await call('PUT', '/api/user-limits/nobody/max-channels', { value: 3 })).status, 404);
  const value = { 'max-connections': 2, 'max-channels': 3 };
  assert.deepEqual((await call('GET', '/api/user-limits')).body, [{ user: 'ann', value }]);
  assert.deepEqual((await call('GET', '/api/users/ann')).body.limits, value);

  const one = await client('ann:secret-secret');
  const url = `amqp://ann:secret-secret@${new URL(server.amqpUrl ?? '').host}/other`;
  const other = await connect(url);
  other.on('error', () => {});
  t.after(() => other.close().catch(() => {}));
  await assert.rejects(connect(url), /ConnectionClose/);
  await client();
  for (const connection of [one, one, other]) await connection.createChannel();
  const ended = once(other, 'error');
  await assert.rejects(other.createChannel());
  const [error] = (await ended) as [Error];
  assert.match(error.message, /530 .*number of channels opened for user 'ann' has reached .* user limit of \(3\)/);
  assert.equal((await call('DELETE', `${path}/max-channels`)).status, 204);
  assert.equal((await call('PUT', `${path}/max-connections`, { value: -1 })).status, 204);
  assert.deepEqual((await call('GET', path)).body, []);
  for (let i = 0; i < 4; i++) await one.createChannel();
});

test('the overview, the node and the health checks say what tools look at', async (t) => {
  const { call, server } = await place(t);
  await call('PUT', '/api/queues/%2F/q', {});
  const { body } = await call('GET', '/api/overview');
  assert.deepEqual([body.product_name, body.object_totals.queues, body.queue_totals.messages], ['Railhead', 1, 0]);
  const [node] = (await call('GET', '/api/nodes')).body;
  assert.deepEqual([node.name, node.running, node.mem_alarm], [body.node, true, false]);
  assert.equal((await call('GET', `/api/nodes/${node.name}`)).body.os_pid, String(process.pid));
  assert.equal((await call('GET', '/api/nodes/other')).status, 404);
  assert.equal((await call('GET', '/api/cluster-name')).body.name, body.cluster_name);
  assert.deepEqual((await call('GET', '/api/extensions')).body, []);
  for (const path of [
    '/api/aliveness-test/%2F',
    '/api/healthchecks/node',
    `/api/healthchecks/node/${node.name}`,
    '/api/health/checks/alarms',
    '/api/health/checks/local-alarms',
    '/api/health/checks/virtual-hosts',
    '/api/health/checks/node-is-mirror-sync-critical',
    '/api/health/checks/node-is-quorum-critical',
    '/api/health/checks/protocol-listener/amqp091',
    '/api/health/checks/protocol-listener/AMQP,http',
    '/api/health/checks/is-in-service',
    '/api/health/checks/quorum-queues-without-elected-leaders/vhost/%2F/pattern/.*/',
    `/api/health/checks/port-listener/${new URL(server.amqpUrl ?? '').port}`,
  ]) {
    const { status, body: answer } = await call('GET', path);
    assert.deepEqual([path, status, answer.status], [path, 200, 'ok']);
  }
  for (const path of ['port-listener/1', 'protocol-listener/amqp,mqtt']) {
    const { status, body: answer } = await call('GET', `/api/health/checks/${path}`);
    assert.deepEqual([status, answer.status, answer.reason], [503, 'failed', 'No active listener']);
  }
});

test('rates are what changed since somebody looked at least five seconds before', async () => {
  const { Rates } = await import('../../../src/core/rates.ts');
  const { ManualClock } = await import('../../../src/core/clock.ts');
  const clock = new ManualClock();
  const rates = new Rates(clock);
  const rate = (publish: number): unknown => rates.withRates('q', { publish })['publish_details'];
  assert.deepEqual(rate(10), { rate: 0 });
  clock.advance(4_000);
  assert.deepEqual(rate(50), { rate: 0 });
  clock.advance(6_000);
  assert.deepEqual(rate(110), { rate: 10 });
  clock.advance(1_000);
  assert.deepEqual(rate(1000), { rate: 10 });
});

test('metrics have the names of RabbitMQ, as sums and for each queue', async (t) => {
  const { call, client } = await place(t);
  const channel = await (await client()).createConfirmChannel();
  for (const name of ['a', 'b"\\']) {
    await channel.assertQueue(name);
    channel.sendToQueue(name, Buffer.from('x'));
  }
  await channel.waitForConfirms();
  const { body: sums } = await call('GET', '/metrics');
  assert.match(sums, /^# TYPE rabbitmq_queue_messages_ready gauge$/m);
  for (const line of ['rabbitmq_queue_messages_ready 2', 'rabbitmq_connections 1', 'rabbitmq_queues 2'])
    assert.ok(sums.split('\n').includes(line), line);
  const { body: each } = await call('GET', '/metrics/per-object');
  assert.ok(each.includes('rabbitmq_queue_messages_ready{vhost="/",queue="a"} 1\n'));
  assert.ok(each.includes('rabbitmq_queue_messages_ready{vhost="/",queue="b\\"\\\\"} 1\n'));
  assert.ok(each.includes('rabbitmq_queue_messages_published_total{vhost="/",queue="a"} 1\n'));
  const detailed = async (query: string): Promise<string[]> =>
    (await call('GET', `/metrics/detailed${query}`)).body
      .split('\n')
      .filter((line: string) => line.startsWith('rabbitmq_detailed'));
  const coarse = await detailed('?family=queue_coarse_metrics&vhost=%2F');
  assert.ok(coarse.includes('rabbitmq_detailed_queue_messages_ready{vhost="/",queue="a"} 1'), coarse.join('\n'));
  assert.equal(coarse.length, 6);
  assert.equal((await detailed('?family=queue_consumer_count')).length, 2);
  assert.deepEqual(await detailed('?family=queue_coarse_metrics&vhost=other'), []);
  assert.deepEqual(await detailed(''), []);
});

test('metrics count what AMQP clients did, under the names that dashboards of RabbitMQ ask for', async (t) => {
  const { call, client } = await place(t);
  const connection = await client();
  const channel = await connection.createConfirmChannel();
  channel.on('return', () => {});
  await channel.assertQueue('q');
  await channel.assertQueue('q');
  await channel.assertQueue('small', { maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } });
  for (let i = 0; i < 3; i++) channel.sendToQueue('q', Buffer.from('x'));
  channel.sendToQueue('nowhere', Buffer.from('x'));
  channel.sendToQueue('nowhere', Buffer.from('x'), { mandatory: true });
  channel.sendToQueue('small', Buffer.from('x'));
  await channel.waitForConfirms();
  channel.sendToQueue('small', Buffer.from('x'));
  await channel.waitForConfirms().catch(() => {});
  const other = await connection.createChannel();
  other.on('error', () => {});
  other.sendToQueue('q', Buffer.from('x'));
  await other.get('q', { noAck: true });
  await other.get('q');
  await other.get('nothing').catch(() => {});
  await channel.purgeQueue('small');
  await channel.get('small');
  for (const noAck of [true, false]) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { consumerTag } = await channel.consume('q', () => resolve(), { noAck });
    if (!noAck) channel.sendToQueue('q', Buffer.from('x'));
    await promise;
    await channel.cancel(consumerTag);
  }
  await channel.waitForConfirms();
  await channel.deleteQueue('small');
  const { body } = await call('GET', '/metrics');
  const value = (name: string): number => Number(new RegExp(`^rabbitmq_${name} (\\d+)$`, 'm').exec(body)?.[1]);
  const expected: [string, number][] = [
    ['connections_opened_total', 1],
    ['connections_closed_total', 0],
    ['channels_opened_total', 2],
    ['channels_closed_total', 1],
    ['queues_declared_total', 3],
    ['queues_created_total', 2],
    ['queues_deleted_total', 1],
    ['global_messages_received_total', 9],
    ['global_messages_received_confirm_total', 8],
    ['global_messages_confirmed_total', 7],
    ['global_messages_unroutable_returned_total', 1],
    ['global_messages_unroutable_dropped_total', 1],
    ['global_messages_delivered_get_auto_ack_total', 1],
    ['global_messages_delivered_get_manual_ack_total', 1],
    ['global_messages_get_empty_total', 1],
  ];
  assert.deepEqual(
    expected.map(([name]) => [name, value(name)]),
    expected,
  );
  const [byHand, byThat] = ['manual', 'auto'].map((how) => value(`global_messages_delivered_consume_${how}_ack_total`));
  assert.ok(Number(byHand) >= 1 && Number(byThat) >= 1, `${byHand}, ${byThat}`);
});

test('what RabbitMQ would keep and obey and this broker would ignore is refused', async (t) => {
  const { call } = await place(t);
  const refused: [string, string][] = [
    ['PUT', '/api/parameters/shovel/%2F/s'],
    ['PUT', '/api/global-parameters/p'],
    ['PUT', '/api/feature-flags/khepri_db/enable'],
    ['PUT', '/api/cluster-name'],
    ['POST', '/api/queues/%2F/q/actions'],
    ['POST', '/api/vhosts/%2F/start/node'],
  ];
  for (const [method, path] of refused) assert.deepEqual([path, (await call(method, path, {})).status], [path, 501]);
  for (const path of [
    '/api/parameters',
    '/api/parameters/shovel',
    '/api/parameters/shovel/%2F',
    '/api/global-parameters',
    '/api/feature-flags',
    '/api/deprecated-features',
    '/api/deprecated-features/used',
  ])
    assert.deepEqual([path, await call('GET', path)], [path, { status: 200, body: [] }]);
  for (const path of ['/api/parameters/shovel/%2F/s', '/api/global-parameters/p', '/api/nosuch', '/api/queues/%ff'])
    assert.deepEqual([path, (await call('GET', path)).status], [path, 404]);
  assert.equal((await call('PUT', '/api/overview', {})).status, 405);
  assert.equal((await call('PUT', '/api/queues/%2F/q', [])).status, 400);
});

const ADMIN = '/usr/bin/rabbitmqadmin';

test(
  "rabbitmqadmin of Debian's RabbitMQ does its work unmodified",
  { skip: !existsSync(ADMIN) && 'it is not installed' },
  async (t) => {
    const { server } = await place(t);
    const dir = await mkdtemp(join(tmpdir(), 'railhead-admin-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const file = join(dir, 'definitions.json');
    const run = promisify(execFile);
    const admin = async (...args: string[]): Promise<string> => {
      const { port } = new URL(server.amqpManagementUrl ?? '');
      const { stdout } = await run('python3', [ADMIN, '-P', port, '-f', 'tsv', ...args], { env: { HOME: dir } });
      return stdout.trim();
    };
    assert.equal(await admin('declare', 'exchange', 'name=x', 'type=topic'), 'exchange declared');
    assert.equal(await admin('declare', 'queue', 'name=q', 'arguments={"x-max-length":9}'), 'queue declared');
    assert.equal(await admin('declare', 'binding', 'source=x', 'destination=q', 'routing_key=a.#'), 'binding declared');
    assert.equal(await admin('publish', 'exchange=x', 'routing_key=a.b', 'payload=hello'), 'Message published');
    assert.equal(await admin('publish', 'routing_key=no', 'payload=x'), 'Message published but NOT routed');
    assert.equal(await admin('list', 'queues', 'name', 'messages'), 'name\tmessages\nq\t1');
    assert.match(await admin('get', 'queue=q', 'ackmode=ack_requeue_false'), /a\.b\tx\t0\thello\t5\tstring\tFalse$/);
    await admin('declare', 'vhost', 'name=shop');
    await admin('declare', 'user', 'name=ann', 'password=secret12', 'tags=administrator');
    await admin('declare', 'permission', 'vhost=shop', 'user=ann', 'configure=.*', 'write=.*', 'read=.*');
    await admin('declare', 'policy', 'name=p', 'pattern=^q', 'definition={"expires":1000000}', 'apply-to=queues');
    assert.match(await admin('show', 'overview'), /^rabbitmq_version\t/);
    assert.equal(
      await admin('-u', 'ann', '-p', 'secret12', '-V', 'shop', 'declare', 'queue', 'name=q2'),
      'queue declared',
    );
    for (const list of ['exchanges', 'bindings', 'vhosts', 'users', 'permissions', 'policies', 'nodes'])
      assert.ok((await admin('list', list)).includes('\n'), list);
    for (const list of ['connections', 'channels', 'consumers', 'parameters', 'operator_policies'])
      assert.doesNotMatch(await admin('list', list), /error/i);
    await admin('export', file);
    assert.equal(JSON.parse(await readFile(file, 'utf8')).queues.length, 2);
    for (const what of [
      ['queue', 'name=q'],
      ['exchange', 'name=x'],
      ['policy', 'name=p'],
      ['vhost', 'name=shop'],
      ['user', 'name=ann'],
    ])
      assert.match(await admin('delete', ...what), / deleted$/);
    await admin('import', file);
    assert.match(await admin('list', 'bindings'), /x\tq\ta\.#/);
    assert.equal(await admin('purge', 'queue', 'name=q'), 'queue purged');
    assert.equal(
      await admin('delete', 'binding', 'source=x', 'destination_type=queue', 'destination=q', 'properties_key=a.%23'),
      'binding deleted',
    );
  },
);
