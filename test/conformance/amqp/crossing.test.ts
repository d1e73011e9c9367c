/** Properties of messages that cross between AMQP and the SDK: each row of the table on the page, both ways. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineQueue } from '../../../src/index.ts';
import { client, got } from './client.ts';

const NOW = new Date('2026-11-22T12:00:00Z');

test('what AMQP says of a message is in its envelope as the page says', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual', startAt: NOW });
  await channel.assertQueue('q', { maxPriority: 9 });
  channel.sendToQueue('q', Buffer.from('{"n":1}'), {
    contentType: 'application/json',
    contentEncoding: 'identity',
    priority: 7,
    expiration: '60000',
    correlationId: 'correlation',
    replyTo: 'reply',
    messageId: 'id',
    timestamp: 1_700_000_000,
    type: 'type',
    userId: 'guest',
    appId: 'app',
    headers: {
      'railhead-key': 'customer-7',
      'railhead-dedupe-id': 'once',
      'x-delay': 5000,
      colour: 'red',
      price: { '!': 'decimal', value: { digits: 12_345, places: 3 } },
      large: 2 ** 40,
      larger: { '!': 'int64', value: Number.MAX_SAFE_INTEGER - 1 },
      list: [1, { two: 'three' }],
    },
  });
  channel.sendToQueue('q', Buffer.from('plain'));
  await channel.waitForConfirms();
  const { ready, delayed } = await broker.inspect('q');
  // A delay counts through an x-delayed-message exchange alone.
  assert.equal(delayed.length, 0);
  const [first, plain] = ready;
  assert.ok(first !== undefined && plain !== undefined);
  assert.deepEqual(first.body, { n: 1 });
  assert.deepEqual([first.key, first.priority, first.expiresAt?.getTime()], ['customer-7', 7, NOW.getTime() + 60_000]);
  assert.deepEqual(
    { ...first.headers },
    {
      'x-delay': 5000,
      colour: 'red',
      price: 12.345,
      large: 2 ** 40,
      larger: Number.MAX_SAFE_INTEGER - 1,
      list: [1, { two: 'three' }],
      'amqp-content-encoding': 'identity',
      'amqp-correlation-id': 'correlation',
      'amqp-reply-to': 'reply',
      'amqp-message-id': 'id',
      'amqp-timestamp': 1_700_000_000,
      'amqp-type': 'type',
      'amqp-user-id': 'guest',
      'amqp-app-id': 'app',
    },
  );
  // Without a content type it is bytes.
  assert.deepEqual(Buffer.from(plain.body as Uint8Array).toString(), 'plain');
});

test('what an envelope says is in the properties of AMQP as the page says', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual', startAt: NOW });
  const queue = broker.rail.queue(defineQueue<{ n: number }>('ours', { priorities: 10 }));
  const headers = {
    colour: 'red',
    half: 0.5,
    'amqp-content-encoding': 'identity',
    'amqp-correlation-id': 'correlation',
    'amqp-reply-to': 'reply',
    'amqp-message-id': 'id',
    'amqp-type': 'type',
    'amqp-user-id': 'somebody',
    'amqp-app-id': 'app',
    'amqp-timestamp': 1_700_000_000,
  };
  await queue.send({ n: 1 }, { key: 'customer-7', dedupeId: 'once', priority: 7, ttl: '1m', headers });
  await queue.send({ n: 2 });
  const { content, fields, properties } = await got(channel, 'ours');
  assert.equal(content.toString(), '{"n":1}');
  assert.deepEqual([fields.exchange, fields.routingKey], ['', 'ours']);
  const { headers: back, ...named } = properties;
  assert.deepEqual(
    { ...back },
    { colour: 'red', half: 0.5, 'railhead-key': 'customer-7', 'railhead-dedupe-id': 'once' },
  );
  assert.deepEqual(
    { ...named },
    {
      contentType: 'application/json',
      contentEncoding: 'identity',
      deliveryMode: 2,
      priority: 7,
      correlationId: 'correlation',
      replyTo: 'reply',
      expiration: '60000',
      messageId: 'id',
      timestamp: 1_700_000_000,
      type: 'type',
      userId: 'somebody',
      appId: 'app',
      clusterId: undefined,
    },
  );
  const plain = (await got(channel, 'ours')).properties;
  // Of one that says nothing of its time, when it was published.
  assert.deepEqual([plain.timestamp, plain.deliveryMode], [NOW.getTime() / 1000, 2]);
});
