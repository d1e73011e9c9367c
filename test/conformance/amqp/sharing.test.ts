import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Channel, connect, type ConsumeMessage } from 'amqplib';
import { client, got, texts } from './client.ts';

test('equal consumers of a queue get as many messages each, in turn', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('q');
  const taken = [0, 0, 0];
  for (const i of taken.keys()) {
    const own = await connection.createChannel();
    await own.prefetch(50);
    await own.consume('q', (message) => {
      if (message === null) return;
      taken[i] = (taken[i] ?? 0) + 1;
      own.ack(message);
    });
  }
  for (let i = 0; i < 30; i++) {
    channel.sendToQueue('q', Buffer.from(String(i)));
    await channel.waitForConfirms();
  }
  while (taken.reduce((sum, count) => sum + count, 0) < 30) await channel.checkQueue('q');
  assert.deepEqual(taken, [10, 10, 10]);
});

test('a consumer without room is passed over, and has its turn again when it acks', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('q');
  const consume = async (prefetch: number): Promise<{ own: Channel; held: ConsumeMessage[] }> => {
    const own = await connection.createChannel();
    await own.prefetch(prefetch);
    const held: ConsumeMessage[] = [];
    await own.consume('q', (message) => message !== null && held.push(message));
    return { own, held };
  };
  const narrow = await consume(2);
  const wide = await consume(100);
  const publish = async (count: number): Promise<void> => {
    const before = narrow.held.length + wide.held.length;
    for (let i = 0; i < count; i++) {
      channel.sendToQueue('q', Buffer.from('x'));
      await channel.waitForConfirms();
    }
    while (narrow.held.length + wide.held.length < before + count) await channel.checkQueue('q');
  };
  await publish(20);
  assert.deepEqual([narrow.held.length, wide.held.length], [2, 18]);
  const [first] = narrow.held;
  assert.ok(first !== undefined);
  narrow.own.ack(first);
  // Answered after the ack was taken.
  await narrow.own.checkQueue('q');
  await publish(6);
  assert.deepEqual([narrow.held.length, wide.held.length], [3, 23]);
});

test('the next consumer of a queue with a single active one takes over when that goes', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('q', { arguments: { 'x-single-active-consumer': true } });
  const taken: string[] = [];
  const consume = async (name: string) => {
    const own = await connection.createChannel();
    const tag = await own.consume('q', (message) => {
      if (message === null) return;
      taken.push(`${name}: ${message.content.toString()}`);
      own.ack(message);
    });
    return { own, tag: tag.consumerTag };
  };
  const first = await consume('first');
  await consume('second');
  const send = async (text: string, count: number): Promise<void> => {
    channel.sendToQueue('q', Buffer.from(text));
    await channel.waitForConfirms();
    while (taken.length < count) await channel.checkQueue('q');
  };
  await send('a', 1);
  await send('b', 2);
  await first.own.cancel(first.tag);
  await send('c', 3);
  assert.deepEqual(taken, ['first: a', 'first: b', 'second: c']);
});

test('a binding of a headers exchange looks at headers that begin with x- when it says so', async (t) => {
  const { channel } = await client(t);
  await channel.assertExchange('x', 'headers');
  for (const match of ['all', 'any', 'all-with-x', 'any-with-x']) {
    await channel.assertQueue(match);
    await channel.bindQueue(match, 'x', '', { 'x-match': match, 'x-kind': 'a', size: 1 });
  }
  for (const [text, headers] of [
    ['both', { 'x-kind': 'a', size: 1 }],
    ['size', { 'x-kind': 'b', size: 1 }],
    ['kind', { 'x-kind': 'a', size: 2 }],
  ] as const)
    channel.publish('x', '', Buffer.from(text), { headers });
  await channel.waitForConfirms();
  assert.deepEqual(await texts(channel, 'all'), ['both', 'size']);
  assert.deepEqual(await texts(channel, 'any'), ['both', 'size']);
  assert.deepEqual(await texts(channel, 'all-with-x'), ['both']);
  assert.deepEqual(await texts(channel, 'any-with-x'), ['both', 'size', 'kind']);
});

test('a message of an x-delayed-message exchange keeps its time over a power cut', async (t) => {
  const { channel, broker, url } = await client(t, { clock: 'manual' });
  await channel.assertQueue('q');
  await channel.assertExchange('later', 'x-delayed-message', { arguments: { 'x-delayed-type': 'direct' } });
  await channel.bindQueue('q', 'later', 'k');
  channel.publish('later', 'k', Buffer.from('m'), { persistent: true, headers: { 'x-delay': 60_000 } });
  await channel.waitForConfirms();
  await broker.clock.advance('30s');
  await broker.faults.crashAndRecover({ powerCut: true });
  const connection = await connect(url);
  connection.on('error', () => {});
  t.after(() => connection.close().catch(() => {}));
  const after = await connection.createChannel();
  await broker.clock.advance('29s');
  assert.equal(await after.get('q'), false);
  await broker.clock.advance('1s');
  assert.equal((await got(after, 'q')).content.toString(), 'm');
});
