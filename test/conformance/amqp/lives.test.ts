import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, closedWith, consumed, got, texts } from './client.ts';

const QUORUM = { 'x-queue-type': 'quorum' };

test('what has a life of nothing is for a consumer that waits for it, and else a dead letter', async (t) => {
  for (const [queue, args, options] of [
    ['classic', {}, {}],
    ['quorum', QUORUM, {}],
    ['own', {}, { expiration: 0 }],
  ] as const) {
    const { channel } = await client(t);
    await channel.assertExchange('dead', 'fanout');
    await channel.assertQueue('buried');
    await channel.bindQueue('buried', 'dead', '');
    const ttl = queue === 'own' ? {} : { 'x-message-ttl': 0 };
    await channel.assertQueue(queue, { arguments: { ...args, ...ttl, 'x-dead-letter-exchange': 'dead' } });
    channel.sendToQueue(queue, Buffer.from('nobody waits'), options);
    await channel.waitForConfirms();
    const dead = await got(channel, 'buried', { noAck: true });
    assert.equal(dead.content.toString(), 'nobody waits');
    assert.equal(dead.properties.headers?.['x-death']?.[0]?.reason, 'expired');
    // More at once than a consumer is first asked for.
    const wanted = Array.from({ length: 20 }, (_, i) => String(i));
    const taken = consumed(channel, queue, wanted.length);
    for (const text of wanted) channel.sendToQueue(queue, Buffer.from(text), options);
    assert.deepEqual(
      (await taken).map(({ content }) => content.toString()),
      wanted,
    );
    assert.deepEqual(await texts(channel, 'buried'), []);
  }
});

test('a consumer with a prefetch is given what lives for nothing as far as it goes, the rest is gone', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q', { messageTtl: 0 });
  await channel.prefetch(2);
  const taken: string[] = [];
  await channel.consume('q', (message) => void taken.push(String(message?.content)));
  for (const text of ['a', 'b', 'c']) channel.sendToQueue('q', Buffer.from(text));
  await channel.waitForConfirms();
  assert.equal((await channel.checkQueue('q')).messageCount, 0);
  channel.ackAll();
  await channel.checkQueue('q');
  assert.deepEqual(taken, ['a', 'b']);
});

test('another declare of a classic queue, and a get from any, begin the time of x-expires anew', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual' });
  for (const [queue, use, renews] of [
    ['declared', () => channel.assertQueue('declared', { expires: 60_000 }), true],
    ['passive', () => channel.checkQueue('passive'), true],
    ['got', () => channel.get('got'), true],
    ['quorum got', () => channel.get('quorum got'), true],
    // As in RabbitMQ.
    ['quorum declared', () => channel.checkQueue('quorum declared'), false],
    ['published', async () => channel.sendToQueue('published', Buffer.from('x')), false],
  ] as const) {
    const args = queue.startsWith('quorum') ? QUORUM : {};
    await channel.assertQueue(queue, { expires: 60_000, arguments: args });
    await broker.clock.advance('50s');
    await use();
    await channel.waitForConfirms();
    await broker.clock.advance('50s');
    const { topics } = await broker.rail.request('listTopics', {});
    assert.equal(
      topics.some(({ name }) => name === queue),
      renews,
      queue,
    );
  }
});

test('a queue goes when x-expires is over since its last consumer left', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual' });
  await channel.assertQueue('q', { expires: 60_000 });
  const { consumerTag } = await channel.consume('q', () => {});
  await broker.clock.advance('119s');
  await channel.cancel(consumerTag);
  await broker.clock.advance('50s');
  await channel.checkQueue('q');
  await broker.clock.advance('2m');
  assert.equal((await closedWith(channel, () => channel.checkQueue('q'))).code, 404);
});
