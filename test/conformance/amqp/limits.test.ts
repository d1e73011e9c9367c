/** Where limits of queues lead: what is dropped, refused, put first, or would go round for ever. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfirmChannel } from 'amqplib';
import { client, closedWith, consumed, got, texts } from './client.ts';

/** How many messages a queue has that may not be there. */
async function held(on: ConfirmChannel, queue: string): Promise<number> {
  return (await on.checkQueue(queue)).messageCount;
}

test('a dead letter that only time and limits turn leaves its circle, and is kept aside', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual' });
  await channel.assertQueue('a', { messageTtl: 1000, deadLetterExchange: '', deadLetterRoutingKey: 'b' });
  await channel.assertQueue('b', { messageTtl: 1000, deadLetterExchange: '', deadLetterRoutingKey: 'a' });
  channel.sendToQueue('a', Buffer.from('round'));
  await channel.waitForConfirms();
  await broker.clock.advance('1s');
  await broker.inspect('b');
  assert.deepEqual([await held(channel, 'a'), await held(channel, 'b')], [0, 1]);
  await broker.clock.advance('1s');
  await broker.inspect('b.dead');
  assert.deepEqual([await held(channel, 'a'), await held(channel, 'b')], [0, 0]);
  await broker.clock.advance('1h');
  const { content, properties } = await got(channel, 'b.dead');
  assert.equal(content.toString(), 'round');
  assert.deepEqual(
    properties.headers?.['x-death']?.map(({ queue, reason, count }) => [queue, reason, count]),
    [
      ['b', 'expired', 1],
      ['a', 'expired', 1],
    ],
  );
});

test('of the queues that a dead letter leads to only those are left out that it died in', async (t) => {
  const { channel } = await client(t);
  await channel.assertExchange('graves', 'fanout');
  await channel.assertQueue('short', { maxLength: 1, deadLetterExchange: 'graves' });
  await channel.assertQueue('kept');
  for (const queue of ['short', 'kept']) await channel.bindQueue(queue, 'graves', '');
  for (const text of ['first', 'second']) channel.sendToQueue('short', Buffer.from(text));
  await channel.waitForConfirms();
  const [dead] = await consumed(channel, 'kept', 1, { noAck: true });
  assert.equal(dead?.content.toString(), 'first');
  assert.deepEqual(await texts(channel, 'short'), ['second']);
  assert.deepEqual(await texts(channel, 'kept'), []);
});

test('a message that a consumer rejected, or gave up on too often, may come round again', async (t) => {
  const { channel } = await client(t);
  for (const [queue, args, requeue] of [
    ['rejected', {}, false],
    ['given-up', { 'x-queue-type': 'quorum', 'x-delivery-limit': 1 }, true],
  ] as const) {
    await channel.assertQueue(queue, { deadLetterExchange: '', deadLetterRoutingKey: queue, arguments: args });
    channel.sendToQueue(queue, Buffer.from('again'));
    await channel.waitForConfirms();
    for (let round = 1; round <= 3; round++) {
      for (let tries = 0; tries < (requeue ? 2 : 1); tries++) {
        const [message] = await consumed(channel, queue, 1);
        assert.ok(message !== undefined);
        channel.reject(message, requeue);
      }
      const [again] = await consumed(channel, queue, 1);
      assert.ok(again !== undefined);
      assert.equal(again.properties.headers?.['x-death']?.[0]?.count, round, queue);
      // As it was, for the next round; without a failure that would count.
      channel.nack(again, false, true);
    }
  }
});

/** Of bodies of one size: what is stored beside them is little to that. */
const BODY_BYTES = 10_000;

function body(text: string): Buffer {
  return Buffer.alloc(BODY_BYTES, text);
}

async function letters(channel: ConfirmChannel, queue: string): Promise<string> {
  return (await texts(channel, queue)).map((text) => text.slice(0, 1)).join('');
}

test('a queue that may hold some bytes drops its oldest messages, or refuses new ones with a nack', async (t) => {
  const { channel, broker } = await client(t);
  // Room for three and what is stored beside them.
  const bytes = { 'x-max-length-bytes': 3.5 * BODY_BYTES };
  await channel.assertQueue('dead');
  await channel.assertQueue('drop', { arguments: bytes });
  await channel.assertQueue('bury', { deadLetterExchange: '', deadLetterRoutingKey: 'dead', arguments: bytes });
  await channel.assertQueue('refuse', { arguments: { ...bytes, 'x-overflow': 'reject-publish' } });
  const confirmed: Record<string, string> = {};
  for (const queue of ['drop', 'bury', 'refuse'])
    for (const letter of 'abcde') {
      const done = Promise.withResolvers<string>();
      channel.sendToQueue(queue, body(letter), {}, (error: unknown) => done.resolve(error === null ? 'ack' : 'nack'));
      confirmed[queue] = `${confirmed[queue] ?? ''} ${await done.promise}`.trim();
    }
  assert.deepEqual(confirmed, {
    drop: 'ack ack ack ack ack',
    bury: 'ack ack ack ack ack',
    refuse: 'ack ack ack nack nack',
  });
  await broker.inspect('dead');
  assert.equal(await letters(channel, 'drop'), 'cde');
  assert.equal(await letters(channel, 'bury'), 'cde');
  const dead = await consumed(channel, 'dead', 2, { noAck: true });
  assert.deepEqual(
    dead.map(({ content, properties }) => [
      content.toString().slice(0, 1),
      properties.headers?.['x-death']?.[0]?.reason,
    ]),
    [
      ['a', 'maxlen'],
      ['b', 'maxlen'],
    ],
  );
  assert.equal(await letters(channel, 'refuse'), 'abc');
  // There is room again.
  channel.sendToQueue('refuse', body('f'));
  await channel.waitForConfirms();
  assert.equal(await letters(channel, 'refuse'), 'f');
});

test('a queue has as many priorities as it asks for, from 1 to 255, and no more', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('many', { maxPriority: 255 });
  await channel.assertQueue('two', { maxPriority: 1 });
  for (const priority of [1, 0, 128, 254, 255, 127])
    for (const queue of ['many', 'two']) channel.sendToQueue(queue, Buffer.from(String(priority)), { priority });
  await channel.waitForConfirms();
  assert.deepEqual(await texts(channel, 'many'), ['255', '254', '128', '127', '1', '0']);
  // All but 0 are 1, and of one priority what came first is first.
  assert.deepEqual(await texts(channel, 'two'), ['1', '128', '254', '255', '127', '0']);
  const on = await connection.createChannel();
  const { code, message } = await closedWith(on, () => on.assertQueue('more', { maxPriority: 256 }));
  assert.equal(code, 406);
  assert.match(message, /invalid arg 'x-max-priority' for queue 'more' in vhost '\/': \{max_value_exceeded,256\}/);
});
