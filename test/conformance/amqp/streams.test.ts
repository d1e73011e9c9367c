import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { type Channel, type ChannelModel, connect, type ConsumeMessage } from 'amqplib';
import { client, closedWith } from './client.ts';

const STREAM = { 'x-queue-type': 'stream' };

async function publish(channel: Channel & { waitForConfirms(): Promise<void> }, ...bodies: string[]): Promise<void> {
  for (const body of bodies) channel.sendToQueue('s', Buffer.from(body), { headers: { own: 1 } });
  await channel.waitForConfirms();
}

/** The first messages of a consumer that begins there, on a channel of its own. */
async function read(connection: ChannelModel, count: number, args: object, prefetch = 100): Promise<ConsumeMessage[]> {
  const channel = await connection.createChannel();
  await channel.prefetch(prefetch);
  const messages: ConsumeMessage[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await channel.consume(
    's',
    (message) => {
      if (message === null) return;
      messages.push(message);
      channel.ack(message);
      if (messages.length === count) resolve();
    },
    { arguments: args },
  );
  await promise;
  await channel.close();
  return messages;
}

function shown(messages: readonly ConsumeMessage[]): string[] {
  return messages.map(({ content, properties }) => `${properties.headers?.['x-stream-offset']}: ${content.toString()}`);
}

/** The code and text of the exception that ends a connection of its own. */
async function refused(url: string, ask: (channel: Channel) => Promise<unknown>): Promise<string> {
  const connection = await connect(url);
  const failed = once(connection, 'error');
  const channel = await connection.createChannel();
  channel.on('error', () => {});
  void ask(channel).catch(() => {});
  const [error] = (await failed) as [{ code: number; message: string }];
  return `${error.code} ${error.message}`;
}

test('a stream keeps what is consumed, and every consumer begins where it says', async (t) => {
  const { channel, connection, broker, url } = await client(t, { clock: 'manual' });
  await channel.assertQueue('s', { arguments: STREAM });
  await publish(channel, 'a', 'b');
  await broker.clock.advance('2h');
  await publish(channel, 'c', 'd');
  assert.equal((await channel.checkQueue('s')).messageCount, 4);
  const all = ['0: a', '1: b', '2: c', '3: d'];
  const expected: [unknown, string[]][] = [
    ['first', all],
    [1, all.slice(1)],
    [-1, all],
    ['last', all.slice(3)],
    ['1h', all.slice(2)],
    ['1D', all],
    [{ '!': 'timestamp', value: Math.floor((broker.clock.now() - 3_600_000) / 1000) }, all.slice(2)],
  ];
  for (const [offset, wanted] of expected) {
    const messages = await read(connection, wanted.length, { 'x-stream-offset': offset });
    assert.deepEqual(shown(messages), wanted, JSON.stringify(offset));
    assert.equal(messages[0]?.properties.headers?.['own'], 1);
    assert.deepEqual(
      messages.map(({ fields }) => [fields.redelivered, fields.exchange, fields.routingKey]),
      wanted.map(() => [false, '', 's']),
    );
  }
  // Neither waits for what is there: they begin after it, or at an offset that is not there yet.
  const next = read(connection, 1, {});
  const later = read(connection, 1, { 'x-stream-offset': 5 });
  await (await connection.createChannel()).checkQueue('s');
  await publish(channel, 'e', 'f');
  assert.deepEqual([shown(await next)[0], shown(await later)[0]], ['4: e', '5: f']);
  await broker.faults.crashAndRecover();
  const again = await connect(url);
  assert.equal((await read(again, 6, { 'x-stream-offset': 'first' })).length, 6);
  await again.close();
});

test('a consumer of a stream holds no more than its prefetch, and acks let it read on', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('s', { arguments: STREAM });
  await publish(channel, ...Array.from({ length: 50 }, (_, i) => String(i)));
  assert.equal((await read(connection, 50, { 'x-stream-offset': 'first' }, 3)).length, 50);
  const slow = await connection.createChannel();
  await slow.prefetch(7);
  const held: ConsumeMessage[] = [];
  const seven = Promise.withResolvers<void>();
  const fourteen = Promise.withResolvers<void>();
  await slow.consume(
    's',
    (message) => {
      if (message !== null) held.push(message);
      if (held.length === 7) seven.resolve();
      if (held.length === 14) fourteen.resolve();
    },
    { arguments: { 'x-stream-offset': 'first' } },
  );
  await seven.promise;
  for (let i = 0; i < 3; i++) await slow.checkQueue('s');
  assert.equal(held.length, 7);
  slow.ackAll();
  await fourteen.promise;
  await slow.close();
});

test('x-stream-filter lets only messages with these filter values through, and those without if they match unfiltered', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('s', { arguments: STREAM });
  for (let i = 0; i < 30; i++) {
    const value = ['red', 'blue', undefined][i % 3];
    channel.sendToQueue('s', Buffer.from(String(i)), {
      headers: value === undefined ? {} : { 'x-stream-filter-value': value },
    });
  }
  channel.sendToQueue('s', Buffer.from('end'), { headers: { 'x-stream-filter-value': 'red' } });
  await channel.waitForConfirms();
  const from = { 'x-stream-offset': 'first' };
  const red = await read(connection, 11, { ...from, 'x-stream-filter': 'red' }, 2);
  assert.deepEqual(
    red.map(({ content }) => content.toString()),
    [...Array.from({ length: 10 }, (_, i) => String(3 * i)), 'end'],
  );
  const both = await read(connection, 21, { ...from, 'x-stream-filter': ['red', 'blue'] });
  assert.ok(both.every(({ properties }) => properties.headers?.['x-stream-filter-value'] !== undefined));
  const unfiltered = { 'x-stream-filter': ['red'], 'x-stream-match-unfiltered': true };
  assert.equal((await read(connection, 21, { ...from, ...unfiltered })).at(-1)?.content.toString(), 'end');
});

test('x-max-age and x-max-length-bytes let the oldest messages of a stream go', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual' });
  await channel.assertQueue('s', { arguments: { ...STREAM, 'x-max-age': '1h' } });
  await channel.assertQueue('small', { arguments: { ...STREAM, 'x-max-length-bytes': 100_000 } });
  await publish(channel, 'old');
  await broker.clock.advance('50m');
  await publish(channel, 'new');
  await broker.clock.advance('20m');
  assert.equal((await channel.checkQueue('s')).messageCount, 1);
  for (let i = 0; i < 30; i++) {
    channel.sendToQueue('small', Buffer.alloc(10_000));
    await channel.waitForConfirms();
  }
  const { messageCount } = await channel.checkQueue('small');
  assert.ok(messageCount >= 5 && messageCount < 15, String(messageCount));
});

test('what RabbitMQ refuses of streams is refused in its words', async (t) => {
  const { channel, connection, url } = await client(t);
  await channel.assertQueue('s', { arguments: STREAM });
  await publish(channel, 'a');
  const closing: [RegExp, (on: Channel) => Promise<unknown>][] = [
    [/invalid property 'exclusive-owner'/, (on) => on.assertQueue('x', { exclusive: true, arguments: STREAM })],
    [/invalid property 'auto-delete'/, (on) => on.assertQueue('x', { autoDelete: true, arguments: STREAM })],
    [/invalid property 'non-durable'/, (on) => on.assertQueue('x', { durable: false, arguments: STREAM })],
    [
      /invalid arg 'x-message-ttl' for queue 'x' in vhost '\/' of queue type rabbit_stream_queue/,
      (on) => on.assertQueue('x', { messageTtl: 1, arguments: STREAM }),
    ],
    [/invalid_max_age/, (on) => on.assertQueue('x', { arguments: { ...STREAM, 'x-max-age': '1x' } })],
    [
      /invalid arg 'x-max-age' for queue 'x' in vhost '\/' of queue type rabbit_classic_queue/,
      (on) => on.assertQueue('x', { arguments: { 'x-max-age': '1h' } }),
    ],
    [/inequivalent arg 'x-queue-type'/, (on) => on.assertQueue('s')],
    [/consumer prefetch count is not set for 'queue 's' in vhost '\/''/, (on) => on.consume('s', () => {})],
    [
      /consumer prefetch count is not set/,
      async (on) => {
        await on.prefetch(5, true);
        await on.consume('s', () => {});
      },
    ],
    ...[
      { 'x-priority': 3 },
      { 'x-stream-offset': 'soon' },
      { 'x-stream-offset': true },
      { 'x-stream-filter': 5 },
      { 'x-stream-filter': 'a', 'x-stream-match-unfiltered': 'yes' },
    ].map((args): [RegExp, (on: Channel) => Promise<unknown>] => [
      new RegExp(`invalid arg '${Object.keys(args).at(-1)}'`),
      async (on) => {
        await on.prefetch(5);
        await on.consume('s', () => {}, { arguments: args });
      },
    ]),
  ];
  for (const [text, ask] of closing) {
    const on = await connection.createChannel();
    const { code, message } = await closedWith(on, () => ask(on));
    assert.equal(code, 406);
    assert.match(message, text);
  }
  const ending: [RegExp, (on: Channel) => Promise<unknown>][] = [
    [/540 .*basic.get not supported by stream queues queue 's' in vhost '\/'/, (on) => on.get('s')],
    [/540 .*queue.purge not supported/, (on) => on.purgeQueue('s')],
    [
      /540 .*automatic acknowledgement not supported/,
      async (on) => {
        await on.prefetch(5);
        await on.consume('s', () => {}, { noAck: true });
      },
    ],
    [
      /540 .*basic.nack and basic.reject not supported/,
      async (on) => {
        await on.prefetch(5);
        const options = { arguments: { 'x-stream-offset': 'first' } };
        await on.consume('s', (message) => message !== null && on.nack(message), options);
      },
    ],
  ];
  for (const [text, ask] of ending) assert.match(await refused(url, ask), text);
});

test('sizes of how RabbitMQ stores a stream mean nothing, but are checked and compared', async (t) => {
  const { channel, connection } = await client(t);
  const sizes = { 'x-stream-max-segment-size-bytes': 1_000_000, 'x-stream-filter-size-bytes': 32 };
  await channel.assertQueue('s', { arguments: { ...STREAM, ...sizes } });
  await publish(channel, 'a');
  assert.deepEqual(shown(await read(connection, 1, { 'x-stream-offset': 'first' })), ['0: a']);
  await channel.assertQueue('s', { arguments: { ...STREAM, ...sizes } });
  const wrong: [RegExp, string, object][] = [
    [/inequivalent arg 'x-stream-max-segment-size-bytes'/, 's', { 'x-stream-max-segment-size-bytes': 2_000_000 }],
    // Compared since 4.2.
    [/inequivalent arg 'x-stream-filter-size-bytes'/, 's', { ...sizes, 'x-stream-filter-size-bytes': 64 }],
    [/max_value_exceeded/, 'x', { 'x-stream-max-segment-size-bytes': 4_000_000_000 }],
    [/expected integer, got longstr/, 'x', { 'x-stream-max-segment-size-bytes': 'big' }],
    [/expected 16 to 255/, 'x', { 'x-stream-filter-size-bytes': 15 }],
    [/expected 16 to 255/, 'x', { 'x-stream-filter-size-bytes': 256 }],
  ];
  for (const [text, name, args] of wrong) {
    const on = await connection.createChannel();
    const { code, message } = await closedWith(on, () => on.assertQueue(name, { arguments: { ...STREAM, ...args } }));
    assert.equal(code, 406);
    assert.match(message, text);
  }
});

test('a stream is bound, declared again and deleted like a queue, and its consumers hear of that', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('s', { arguments: STREAM });
  assert.equal((await channel.assertQueue('s', { arguments: STREAM })).messageCount, 0);
  await channel.bindQueue('s', 'amq.topic', 'a.#');
  channel.publish('amq.topic', 'a.b', Buffer.from('routed'), { mandatory: true, expiration: '1' });
  await channel.waitForConfirms();
  const [routed] = await read(connection, 1, { 'x-stream-offset': 'first' });
  assert.deepEqual([routed?.fields.exchange, routed?.fields.routingKey], ['amq.topic', 'a.b']);
  const reading = await connection.createChannel();
  await reading.prefetch(1);
  const cancelled = Promise.withResolvers<void>();
  await reading.consume('s', (message) => message === null && cancelled.resolve());
  assert.equal((await channel.deleteQueue('s', { ifEmpty: true })).messageCount, 0);
  await cancelled.promise;
});

test('a topic of the SDK is a stream, and a stream a topic', async (t) => {
  const { broker, channel, connection } = await client(t);
  await channel.assertQueue('s', { arguments: STREAM });
  await publish(channel, '"by amqp"');
  await broker.rail.topic('s').publish('by sdk');
  const messages = await read(connection, 2, { 'x-stream-offset': 'first' });
  assert.deepEqual(shown(messages), ['0: "by amqp"', '1: "by sdk"']);
});
