/** Policies, as the clients of queues and exchanges meet them. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type ConfirmChannel, connect } from 'amqplib';
import { LOCAL_PRINCIPAL } from '../../../src/core/auth.ts';
import type { Session } from '../../../src/core/session.ts';
import { textField } from '../../../src/gateways/amqp/fields.ts';
import { toAttributes } from '../../../src/gateways/amqp/translate.ts';
import { OPERATOR_POLICY_DOCUMENT, Policies, type PolicyDefinition } from '../../../src/gateways/policies.ts';
import { startServer } from '../../../src/server/index.ts';
import { place as testPlace } from './broker.ts';

interface Place {
  channel: ConfirmChannel;
  session: Session;
  /** Sets a policy for all queues and exchanges that begin so. */
  set: (name: string, prefix: string, definition: PolicyDefinition, more?: object) => Promise<unknown>;
  clear: (name: string) => Promise<unknown>;
  close: () => Promise<void>;
}

async function open(dir: string | undefined): Promise<Place> {
  const storage = dir === undefined ? { memory: true } : { dir };
  const server = await startServer({ ...storage, port: 0, log: { level: 'silent' } });
  const connection = await connect(server.amqpUrl ?? '');
  connection.on('error', () => {});
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => {});
  const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const policies = new Policies(session);
  return {
    channel,
    session,
    set: (name, prefix, definition, more = {}) =>
      policies.put({ name, pattern: `^${prefix}`, definition, applyTo: 'all', ...more }),
    clear: (name) => policies.delete(name),
    close: async () => {
      await connection.close().catch(() => {});
      await server.close();
    },
  };
}

async function place(t: TestContext): Promise<Place> {
  const opened = await open(undefined);
  t.after(() => opened.close());
  return opened;
}

async function publish(channel: ConfirmChannel, queue: string, ...texts: string[]): Promise<void> {
  for (const text of texts) channel.sendToQueue(queue, Buffer.from(text));
  await channel.waitForConfirms();
}

async function texts(channel: ConfirmChannel, queue: string): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return found;
    found.push(message.content.toString());
  }
}

test('a policy is applied to queues that exist, and taken back', async (t) => {
  const { channel, session, set, clear } = await place(t);
  await channel.assertQueue('jobs');
  await channel.assertQueue('other');
  const before = await session.request('describeTopic', { name: 'jobs' });
  await publish(channel, 'jobs', 'a', 'b', 'c');
  await set('short', 'jobs', { 'max-length': 2, 'message-ttl': 60_000, expires: 3_600_000 });
  assert.deepEqual((await session.request('describeTopic', { name: 'jobs' })).policy, {
    ...before.policy,
    maxMessages: 2,
    ttlMs: 60_000,
    expireUnusedMs: 3_600_000,
    overflow: 'drop-oldest',
  });
  assert.deepEqual(await texts(channel, 'jobs'), ['b', 'c']);
  assert.equal((await session.request('describeTopic', { name: 'other' })).policy.maxMessages, null);
  await clear('short');
  assert.deepEqual(await session.request('describeTopic', { name: 'jobs' }), before);
});

test('a policy is applied to what is declared later, and does not stand in the way of another declare', async (t) => {
  const { channel, set } = await place(t);
  await set('short', 'jobs', { 'max-length': 1, overflow: 'reject-publish' });
  await channel.assertQueue('jobs');
  await channel.assertQueue('jobs');
  await publish(channel, 'jobs', 'a');
  await assert.rejects(publish(channel, 'jobs', 'b'), /nacked/);
  assert.deepEqual(await texts(channel, 'jobs'), ['a']);
});

test('of the policies that match a queue the one with the highest priority counts, alone', async (t) => {
  const { channel, session, set, clear } = await place(t);
  await channel.assertQueue('jobs');
  await channel.assertQueue('jobs.q', { arguments: { 'x-queue-type': 'quorum' } });
  await set('a', 'jobs', { 'max-length': 1, expires: 1_000_000 });
  await set('b', 'jobs', { 'max-length': 2 }, { priority: 1 });
  await set('c', 'jobs', { 'max-length': 3 }, { priority: 2, applyTo: 'quorum_queues' });
  await set('d', 'jobs', { 'max-length': 4 }, { priority: 3, applyTo: 'exchanges' });
  const limits = async (queue: string): Promise<unknown[]> => {
    const { policy } = await session.request('describeTopic', { name: queue });
    return [policy.maxMessages, policy.expireUnusedMs];
  };
  assert.deepEqual(
    [await limits('jobs'), await limits('jobs.q')],
    [
      [2, null],
      [3, null],
    ],
  );
  await clear('b');
  await clear('c');
  assert.deepEqual(
    [await limits('jobs'), await limits('jobs.q')],
    [
      [1, 1_000_000],
      [1, 1_000_000],
    ],
  );
});

test('numbers of a queue and of its policy: the smaller one counts', async (t) => {
  const { channel, session, set } = await place(t);
  const own = { 'x-max-length': 10, 'x-message-ttl': 1000, 'x-queue-type': 'quorum', 'x-delivery-limit': 5 };
  await channel.assertQueue('jobs', { arguments: own });
  await channel.assertQueue('jobs.endless', { arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': -1 } });
  await set('p', 'jobs', { 'max-length': 20, 'message-ttl': 500, 'delivery-limit': 3 });
  const { policy, subscription } = await session.request('describeTopic', { name: 'jobs' });
  assert.deepEqual([policy.maxMessages, policy.ttlMs, subscription?.maxAttempts], [10, 500, 4]);
  const endless = await session.request('describeTopic', { name: 'jobs.endless' });
  assert.equal(endless.subscription?.maxAttempts, 4, 'a limit counts more than none');
});

test('numbers of a policy and of an operator policy: the smaller one counts; else what the operator says', async (t) => {
  const { channel, session, set } = await place(t);
  const operators = new Policies(session, OPERATOR_POLICY_DOCUMENT);
  await channel.assertQueue('jobs', { arguments: { 'x-max-length': 8, 'x-queue-type': 'quorum' } });
  await channel.assertQueue('own', { arguments: { 'x-overflow': 'drop-head', 'x-message-ttl': 10 } });
  const limits = async (queue: string): Promise<unknown[]> => {
    const { policy, subscription } = await session.request('describeTopic', { name: queue });
    const { maxMessages, ttlMs, overflow } = policy;
    return [maxMessages, ttlMs, overflow, subscription?.maxAttempts];
  };
  await set('p', 'jobs', { 'max-length': 9, 'message-ttl': 500, overflow: 'drop-head', 'delivery-limit': -1 });
  assert.deepEqual(await limits('jobs'), [8, 500, 'drop-oldest', 0]);
  const common = { 'max-length': 7, 'message-ttl': 900, overflow: 'reject-publish' };
  const strict = { ...common, 'delivery-limit': 4 };
  const put = (definition: object, more: object = {}) =>
    operators.put({ name: 'o', pattern: '.*', applyTo: 'queues', definition, ...more });
  await put(strict);
  assert.deepEqual(await limits('jobs'), [7, 500, 'reject', 5]);
  assert.deepEqual(await limits('own'), [null, 10, 'reject', 0], 'a delivery limit is for no classic queue');
  await put(common);
  assert.deepEqual(await limits('own'), [7, 10, 'drop-oldest', 0], 'without a policy of users too');
  await channel.assertQueue('later');
  assert.deepEqual(await limits('later'), [7, 900, 'reject', 0]);
  await put(strict, { applyTo: 'quorum_queues' });
  assert.deepEqual((await limits('later'))[0], null);
  await operators.delete('o');
  assert.deepEqual(await limits('jobs'), [8, 500, 'drop-oldest', 0]);
});

test('what a queue asked for itself wins over its policy, but for numbers', async (t) => {
  const { channel, set } = await place(t);
  for (const name of ['own', 'theirs']) await channel.assertExchange(`dead-${name}`, 'fanout');
  for (const name of ['own', 'theirs']) {
    await channel.assertQueue(`graves-${name}`);
    await channel.bindQueue(`graves-${name}`, `dead-${name}`, '');
  }
  await channel.assertQueue('jobs.own', { deadLetterExchange: 'dead-own' });
  await channel.assertQueue('jobs.plain');
  const waiting = new Promise<void>((resolve) => {
    void channel.consume('jobs.plain', (message) => {
      if (message === null) return;
      channel.nack(message, false, false);
      resolve();
    });
  });
  await set('p', 'jobs', { 'dead-letter-exchange': 'dead-theirs' });
  // Its consumer was there before the policy.
  await publish(channel, 'jobs.plain', 'a');
  await waiting;
  await publish(channel, 'jobs.own', 'b');
  const message = await channel.get('jobs.own');
  assert.ok(message !== false);
  channel.nack(message, false, false);
  await channel.checkQueue('jobs.own');
  assert.deepEqual(await texts(channel, 'graves-own'), ['b']);
  assert.deepEqual(await texts(channel, 'graves-theirs'), ['a']);
});

test('a policy gives exchanges an alternate one, and takes it back', async (t) => {
  const { channel, set, clear } = await place(t);
  await channel.assertExchange('lost', 'fanout');
  await channel.assertQueue('found');
  await channel.bindQueue('found', 'lost', '');
  await channel.assertExchange('x.old', 'direct');
  await set('p', 'x', { 'alternate-exchange': 'lost' }, { applyTo: 'exchanges' });
  await channel.assertExchange('x.new', 'direct');
  await channel.assertExchange('x.old', 'direct');
  for (const exchange of ['x.old', 'x.new']) channel.publish(exchange, 'nowhere', Buffer.from(exchange));
  await channel.waitForConfirms();
  assert.deepEqual(await texts(channel, 'found'), ['x.old', 'x.new']);
  await clear('p');
  channel.publish('x.old', 'nowhere', Buffer.from('x'));
  await channel.waitForConfirms();
  assert.deepEqual(await texts(channel, 'found'), []);
});

test('a policy says how long consumers of quorum queues may keep a delivery, and of two numbers the smaller one counts', async (t) => {
  const at = await testPlace(t, { clock: 'manual' });
  const connection = await connect(at.url);
  t.after(() => connection.close().catch(() => {}));
  const session = new Policies(at.broker.rail);
  await session.put({ name: 'slow', pattern: '^q', definition: { 'consumer-timeout': 60_000 } });
  const channel = await connection.createConfirmChannel();
  for (const [queue, args, used] of [
    ['q-own', { 'x-consumer-timeout': 30_000 }, 30_000],
    ['q-longer', { 'x-consumer-timeout': 120_000 }, 60_000],
    ['q-none', {}, 60_000],
  ] as const) {
    await channel.assertQueue(queue, { arguments: { 'x-queue-type': 'quorum', ...args } });
    await publish(channel, queue, 'x');
    const slow = await connection.createChannel();
    const [arrived, cancelled] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    await slow.consume(queue, (message) => (message === null ? cancelled : arrived).resolve());
    await arrived.promise;
    await at.broker.clock.advance(`${used - 1000}ms`);
    assert.equal((await channel.checkQueue(queue)).consumerCount, 1);
    await at.broker.clock.advance('2s');
    await cancelled.promise;
  }
});

test('a message-ttl that a policy says or says no more is for what is published from then on', async (t) => {
  const at = await testPlace(t, { clock: 'manual' });
  const connection = await connect(at.url);
  t.after(() => connection.close().catch(() => {}));
  const policies = new Policies(at.broker.rail);
  const channel = await connection.createConfirmChannel();
  for (const [queue, args] of [
    ['classic', {}],
    ['quorum', { 'x-queue-type': 'quorum' }],
  ] as const) {
    await channel.assertQueue(queue, { arguments: args });
    await publish(channel, queue, 'before');
    await policies.put({ name: 'short', pattern: `^${queue}`, definition: { 'message-ttl': 60_000 } });
    await publish(channel, queue, 'short');
    await policies.delete('short');
    await publish(channel, queue, 'after');
    await at.broker.clock.advance('2m');
    assert.deepEqual(await texts(channel, queue), ['before', 'after']);
  }
});

test('a policy with reject-publish-dlx is obeyed by classic and by quorum queues', async (t) => {
  const { channel, set } = await place(t);
  await channel.assertExchange('graves', 'fanout');
  await channel.assertQueue('dead');
  await channel.bindQueue('dead', 'graves', '');
  const definition = { 'max-length': 1, overflow: 'reject-publish-dlx', 'dead-letter-exchange': 'graves' };
  await set('full', 'full', definition);
  for (const type of ['classic', 'quorum']) {
    await channel.assertQueue(`full.${type}`, { arguments: { 'x-queue-type': type } });
    await publish(channel, `full.${type}`, 'fits');
    await assert.rejects(publish(channel, `full.${type}`, 'too much'), /nacked/);
    assert.deepEqual(await texts(channel, `full.${type}`), ['fits']);
    assert.deepEqual(await texts(channel, 'dead'), ['too much']);
  }
});

test('settings that say where or how RabbitMQ stores are accepted, all others refused', async (t) => {
  const { set } = await place(t);
  await set('p', 'jobs', { 'queue-mode': 'lazy', 'queue-version': 2, 'dead-letter-strategy': 'at-least-once' });
  await set('p', 'jobs', { 'stream-max-segment-size-bytes': 1_000_000, 'stream-filter-size-bytes': 16 });
  await set('p', 'jobs', { 'target-group-size': 3, 'max-in-memory-length': 0, 'consumer-disconnected-timeout': 0 });
  for (const definition of [{ 'ha-mode': 'all' }, { 'federation-upstream-set': 'all' }])
    await assert.rejects(set('p', 'jobs', definition), { code: 'NOT_SUPPORTED' });
  for (const definition of [
    { 'max-length': -1 },
    { 'max-length': '1' },
    { overflow: 'drop-tail' },
    { 'max-age': '1w' },
    {},
  ])
    await assert.rejects(set('p', 'jobs', definition), { code: 'INVALID' });
  await assert.rejects(set('p', '(', { 'max-length': 1 }), { code: 'INVALID' });
});

test('a policy says how much of a stream stays, over what the stream asked for itself', async (t) => {
  const { channel, session, set, clear } = await place(t);
  const stream = { 'x-queue-type': 'stream', 'x-max-age': '1D' };
  const retained = async (name: string): Promise<unknown[]> => {
    const { retain } = (await session.request('describeTopic', { name })).policy;
    return [retain.ageMs, retain.bytes];
  };
  await channel.assertQueue('log.old', { arguments: stream });
  await channel.assertQueue('log.classic');
  await set('p', 'log', { 'max-age': '1h', 'max-length-bytes': 50_000 });
  await channel.assertQueue('log.new', { arguments: stream });
  for (const name of ['log.old', 'log.new']) assert.deepEqual(await retained(name), [3_600_000, 50_000], name);
  assert.equal((await session.request('describeTopic', { name: 'log.classic' })).policy.ttlMs, null);
  await clear('p');
  for (const name of ['log.old', 'log.new']) assert.deepEqual(await retained(name), [86_400_000, null], name);
  await channel.assertQueue('log.old', { arguments: stream });
});

test('a policy that says what a type of queue does not have is not for it, and the next one counts', async (t) => {
  const { channel, session, set } = await place(t);
  const types = ['classic', 'quorum', 'stream'] as const;
  for (const type of types) await channel.assertQueue(type, { arguments: { 'x-queue-type': type } });
  await set('all', '.*', { 'max-length-bytes': 1_000_000 });
  await set('retried', '.*', { 'delivery-limit': 3, 'max-length': 5 }, { priority: 1 });
  await set('aged', '.*', { 'max-age': '1h' }, { priority: 2 });
  const seen = types.map(async (name) => {
    const { policy, subscription } = await session.request('describeTopic', { name });
    return [policy.maxBytes, policy.maxMessages, subscription?.maxAttempts, policy.retain.bytes, policy.retain.ageMs];
  });
  assert.deepEqual(await Promise.all(seen), [
    [1_000_000, null, 0, null, null],
    [null, 5, 4, null, null],
    [null, null, undefined, null, 3_600_000],
  ]);
});

test('a policy says how a quorum queue retries and what is done when it is full, over what the queue asked for itself', async (t) => {
  const { channel, session, set, clear } = await place(t);
  const own = { 'x-delayed-retry-type': 'failed', 'x-delayed-retry-min': 500, 'x-delayed-retry-max': 900 };
  await channel.assertQueue('q', {
    arguments: { 'x-queue-type': 'quorum', 'x-max-length': 1, 'x-overflow': 'drop-head', ...own },
  });
  await channel.assertQueue('plain', { arguments: { 'x-queue-type': 'quorum' } });
  const of = async (name: string): Promise<unknown> => {
    const { policy, subscription } = await session.request('describeTopic', { name });
    const { type, minMs, maxMs } = subscription?.backoff ?? {};
    return [policy.overflow, type, minMs, maxMs];
  };
  const before = [await of('q'), await of('plain')];
  assert.deepEqual(before, [
    ['drop-oldest', 'linear', 500, 900],
    ['reject', 'none', 0, 0],
  ]);
  const retry = { 'delayed-retry-type': 'all', 'delayed-retry-min': 600, 'delayed-retry-max': 800 };
  await set('p', '.*', { overflow: 'reject-publish', 'max-length': 9, ...retry });
  assert.deepEqual(
    [await of('q'), await of('plain')],
    [
      ['reject', 'linear', 500, 800],
      ['reject', 'linear', 600, 800],
    ],
  );
  // What is given back waits, of either kind, as soon as the policy says so.
  await publish(channel, 'plain', 'x');
  const message = await channel.get('plain');
  assert.ok(message !== false);
  channel.nack(message, false, true);
  assert.equal((await channel.checkQueue('plain')).messageCount, 0);
  await clear('p');
  assert.deepEqual([await of('q'), await of('plain')], before);
  for (const definition of [
    { 'delayed-retry-type': 'all' },
    { 'delayed-retry-type': 'all', 'delayed-retry-min': 5, 'delayed-retry-max': 4 },
  ])
    await assert.rejects(set('p', '.*', definition), { code: 'INVALID' });
});

test('a queue that could not be declared so today stays as it is, and the policies of others are applied', async (t) => {
  const { channel, session, set } = await place(t);
  const declared = { durable: true, autoDelete: true, arguments: new Map([['x-queue-type', textField('quorum')]]) };
  await session.request('declareTopic', { name: 'jobs.old', kind: 'queue', attributes: toAttributes(declared) });
  await channel.assertQueue('jobs.new');
  await set('p', 'jobs', { 'max-length': 5 });
  const most = async (name: string) => (await session.request('describeTopic', { name })).policy.maxMessages;
  assert.deepEqual([await most('jobs.old'), await most('jobs.new')], [null, 5]);
});

test('a test broker applies policies too', async (t) => {
  const { broker, url } = await testPlace(t);
  const connection = await connect(url);
  connection.on('error', () => {});
  t.after(() => connection.close().catch(() => {}));
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('jobs');
  await new Policies(broker.rail).put({ name: 'p', pattern: 'jobs', definition: { 'max-length': 1 } });
  await publish(channel, 'jobs', 'a', 'b');
  assert.deepEqual(await texts(channel, 'jobs'), ['b']);
});

test('policies and what they did are there after a restart', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-policies-'));
  let running: Place | undefined;
  // One after the other: hooks run in the order of their being said, and a broker that runs makes files.
  t.after(async () => {
    await running?.close();
    await rm(dir, { recursive: true, force: true });
  });
  const before = (running = await open(dir));
  await before.channel.assertQueue('jobs');
  await before.set('p', '.*', { 'max-length': 2, 'alternate-exchange': 'amq.fanout' });
  await before.close();
  const after = (running = await open(dir));
  await after.channel.assertQueue('later');
  for (const name of ['jobs', 'later'])
    assert.equal((await after.session.request('describeTopic', { name })).policy.maxMessages, 2);
  assert.equal((await after.session.request('describeRouter', { name: 'amq.topic' })).alternate, 'amq.fanout');
  await after.clear('p');
  assert.equal((await after.session.request('describeTopic', { name: 'jobs' })).policy.maxMessages, null);
});
