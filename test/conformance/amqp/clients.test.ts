import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AMQPClient, type AMQPMessage } from '@cloudamqp/amqp-client';
import manager from 'amqp-connection-manager';
import type { ConfirmChannel } from 'amqplib';
import { Connection } from 'rabbitmq-client';
import { place } from './broker.ts';

test('rabbitmq-client publishes, consumes with its own retries, and goes on after its connection was cut', async (t) => {
  const { url, broker } = await place(t);
  const rabbit = new Connection({ url, retryLow: 10 });
  rabbit.on('error', () => {});
  t.after(() => rabbit.close());
  const publisher = rabbit.createPublisher({
    confirm: true,
    maxAttempts: 3,
    exchanges: [{ exchange: 'events', type: 'topic' }],
  });
  const seen: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const consumer = rabbit.createConsumer(
    {
      queue: 'users',
      queueOptions: { durable: true },
      qos: { prefetchCount: 2 },
      exchanges: [{ exchange: 'events', type: 'topic' }],
      queueBindings: [{ exchange: 'events', routingKey: 'users.*' }],
    },
    async (message) => {
      // The first delivery of each fails: the client nacks it and it comes again.
      if (!message.redelivered) throw new Error('try again');
      seen.push(String(message.body));
      if (seen.length === 3) broker.faults.dropConnections();
      if (new Set(seen).size === 6) resolve();
    },
  );
  consumer.on('error', () => {});
  await new Promise<void>((ready) => consumer.once('ready', ready));
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f'])
    await publisher.send({ exchange: 'events', routingKey: 'users.new' }, name);
  await promise;
  await consumer.close();
  await publisher.close();
});

test('@cloudamqp/amqp-client publishes with confirms and consumes', async (t) => {
  const { url } = await place(t);
  const connection = await new AMQPClient(url).connect();
  const channel = await connection.channel();
  await channel.confirmSelect();
  await channel.queueDeclare('q', { durable: true });
  await channel.prefetch(10);
  for (let i = 0; i < 100; i++) await channel.basicPublish('', 'q', `message ${i}`, { deliveryMode: 2 });
  const seen: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await channel.basicConsume('q', { noAck: false }, async (message) => {
    seen.push(message.bodyToString() ?? '');
    await message.ack();
    if (seen.length === 100) resolve();
  });
  await promise;
  assert.deepEqual(
    seen,
    Array.from({ length: 100 }, (_, i) => `message ${i}`),
  );
  await connection.close();
});

test('amqp-connection-manager reconnects after a crash of the broker and loses no confirmed message', async (t) => {
  const { url, broker } = await place(t);
  const connection = manager.connect([url], { reconnectTimeInSeconds: 0.01, heartbeatIntervalInSeconds: 0 });
  const channel = connection.createChannel({
    setup: async (each: ConfirmChannel) => {
      await each.assertQueue('q', { durable: true });
    },
  });
  await channel.waitForConnect();
  const sent: string[] = [];
  for (let i = 0; i < 40; i++) {
    if (i === 20) await broker.faults.crashAndRecover({ powerCut: true });
    // What was on its way when the connection broke is refused, and the program sends it again.
    const send = (): Promise<boolean> => channel.sendToQueue('q', Buffer.from(String(i)), { persistent: true });
    await send().catch(send);
    sent.push(String(i));
  }
  const stored = new Set(
    (await broker.inspect('q')).ready.map(({ body }) => Buffer.from(body as Uint8Array).toString()),
  );
  assert.deepEqual(
    sent.filter((each) => !stored.has(each)),
    [],
  );
  await channel.close();
  await connection.close();
});

test('a transaction takes effect as a whole with its commit, and not at all after a rollback', async (t) => {
  const { url } = await place(t);
  const connection = await new AMQPClient(url).connect();
  const channel = await connection.channel();
  for (const name of ['in', 'out', 'other']) await channel.queueDeclare(name, { durable: true });
  await channel.basicPublish('', 'in', 'job');
  await channel.txSelect();
  const waiting = async (name: string): Promise<number> =>
    (await channel.queueDeclare(name, { durable: true, passive: true })).messageCount;
  const take = async (): Promise<AMQPMessage> => {
    const message = await channel.basicGet('in', { noAck: false });
    assert.ok(message !== null);
    return message;
  };
  const first = await take();
  for (const name of ['out', 'other', 'nowhere']) await channel.basicPublish('', name, 'result');
  await channel.basicAck(first.deliveryTag);
  assert.deepEqual([await waiting('out'), await waiting('other')], [0, 0]);
  await channel.txRollback();
  await channel.txCommit();
  assert.deepEqual([await waiting('out'), await waiting('other')], [0, 0]);
  // The ack was rolled back too: the message is still with this channel.
  for (const name of ['out', 'other', 'nowhere']) await channel.basicPublish('', name, 'result');
  await channel.basicAck(first.deliveryTag);
  await channel.txCommit();
  assert.deepEqual([await waiting('out'), await waiting('other')], [1, 1]);
  await channel.basicRecover(true);
  assert.equal(await waiting('in'), 0);
  await assert.rejects(channel.confirmSelect(), /cannot switch from tx to confirm mode/);
  await connection.close();
});

test('a transaction settles what there is at that time, and a tag that is not there closes its channel at once', async (t) => {
  const { url } = await place(t);
  const connection = await new AMQPClient(url).connect();
  const channel = await connection.channel();
  await channel.queueDeclare('q', { durable: true });
  for (const body of ['a', 'b', 'c', 'd']) await channel.basicPublish('', 'q', body);
  await channel.txSelect();
  const take = async (): Promise<number> => (await channel.basicGet('q', { noAck: false }))?.deliveryTag ?? 0;
  await channel.basicNack(await take(), false);
  await take();
  await channel.basicAck(0, true);
  await take();
  await channel.basicAck(0, true);
  await channel.basicAck(0, true);
  await take();
  await channel.txCommit();
  await channel.basicRecover(true);
  assert.equal((await channel.basicGet('q', { noAck: true }))?.bodyString(), 'd');
  assert.equal(await channel.basicGet('q', { noAck: true }), null);
  await channel.basicPublish('', 'q', 'e');
  await channel.txCommit();
  const tag = await take();
  await channel.basicAck(tag);
  // It waits for the commit, and is not given back.
  await channel.basicRecover(true);
  assert.equal(await channel.basicGet('q', { noAck: true }), null);
  await channel.basicAck(tag);
  await assert.rejects(channel.txCommit(), /unknown delivery tag/);
  await connection.close();
});

test('what nobody takes of a transaction comes back in the order in which it was published', async (t) => {
  const { url } = await place(t);
  const connection = await new AMQPClient(url).connect();
  const channel = await connection.channel();
  const returned: string[] = [];
  channel.onReturn = (message) => returned.push(message.bodyString() ?? '');
  await channel.txSelect();
  for (const [body, exchange] of [
    ['1', 'amq.direct'],
    ['2', ''],
    ['3', 'amq.direct'],
  ] as const)
    await channel.basicPublish(exchange, 'nowhere', body, {}, true);
  await channel.txCommit();
  assert.deepEqual(returned, ['1', '2', '3']);
  await connection.close();
});
