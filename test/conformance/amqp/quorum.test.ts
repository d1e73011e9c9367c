import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeptVhostFacts } from '../../../src/gateways/vhost-facts.ts';
import { client, closedWith, consumed, texts } from './client.ts';

const QUORUM = { 'x-queue-type': 'quorum' };

test('a quorum queue holds back what is given back, longer with each failure, and says how often it was delivered', async (t) => {
  const { channel, broker, connection } = await client(t, { clock: 'manual' });
  const delay = { 'x-delayed-retry-min': 1000, 'x-delayed-retry-max': 2500 };
  for (const [type, how] of [
    ['failed', 'reject'],
    ['failed', 'close'],
    ['returned', 'nack'],
    ['all', 'nack'],
    ['all', 'reject'],
  ] as const) {
    const queue = `${type} ${how}`;
    await channel.assertQueue(queue, { arguments: { ...QUORUM, ...delay, 'x-delayed-retry-type': type } });
    channel.sendToQueue(queue, Buffer.from('x'));
    await channel.waitForConfirms();
    // What is only returned has not failed: it waits as for the first failure, each time.
    for (const [i, wait] of (how === 'nack' ? [1000, 1000, 1000] : [1000, 2000, 2500]).entries()) {
      const on = await connection.createChannel();
      const [message] = await consumed(on, queue, 1);
      assert.ok(message !== undefined);
      const headers = message.properties.headers ?? {};
      const count = i === 0 ? undefined : i;
      assert.equal(headers['x-acquired-count'], count, queue);
      assert.equal(headers['x-delivery-count'], how === 'nack' ? undefined : count, queue);
      if (how === 'reject') on.reject(message, true);
      else if (how === 'nack') on.nack(message, false, true);
      await on.close();
      await broker.clock.advance(`${wait - 1}ms`);
      assert.equal((await channel.checkQueue(queue)).messageCount, 0, `${queue} after ${wait - 1} ms`);
      await broker.clock.advance('1ms');
      assert.equal((await channel.checkQueue(queue)).messageCount, 1, `${queue} after ${wait} ms`);
    }
  }
  // The other way of giving back does not wait.
  const [message] = await consumed(channel, 'failed reject', 1);
  assert.ok(message !== undefined);
  channel.nack(message, false, true);
  assert.equal((await channel.checkQueue('failed reject')).messageCount, 1);
});

test('a quorum queue has priorities up to 31 without being asked, higher ones come first, and none counts as 4', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q', { arguments: QUORUM });
  for (const priority of [0, 31, 5, undefined, 200, 4])
    channel.sendToQueue('q', Buffer.from(String(priority)), priority === undefined ? {} : { priority });
  await channel.waitForConfirms();
  assert.deepEqual(await texts(channel, 'q'), ['31', '200', '5', 'undefined', '4', '0']);
});

test('arguments of quorum queues are refused elsewhere and when they make no sense', async (t) => {
  const { connection } = await client(t);
  for (const [args, text] of [
    [
      { 'x-delayed-retry-min': 5 },
      /'x-delayed-retry-min' for queue 'q' in vhost '\/' of queue type rabbit_classic_queue/,
    ],
    [{ ...QUORUM, 'x-delayed-retry-type': 'all' }, /it needs 'x-delayed-retry-min'/],
    [{ ...QUORUM, 'x-delayed-retry-type': 'some' }, /invalid arg 'x-delayed-retry-type'/],
    [
      { ...QUORUM, 'x-max-priority': 5 },
      /'x-max-priority' for queue 'q' in vhost '\/' of queue type rabbit_quorum_queue/,
    ],
  ] as const) {
    const on = await connection.createChannel();
    const { code, message } = await closedWith(on, () => on.assertQueue('q', { arguments: args }));
    assert.equal(code, 406);
    assert.match(message, text);
  }
});

test('the default type of a virtual host is that of queues that name none, and another declare must agree with it', async (t) => {
  const { channel, connection, broker } = await client(t);
  const facts = new KeptVhostFacts(broker.rail);
  await channel.assertQueue('old');
  await facts.put({ defaultQueueType: 'quorum' });
  await channel.assertQueue('q', { arguments: { 'x-delivery-limit': 3 } });
  await channel.assertQueue('q', { arguments: { ...QUORUM, 'x-delivery-limit': 3 } });
  const on = await connection.createChannel();
  const { code, message } = await closedWith(on, () => on.assertQueue('old'));
  assert.equal(code, 406);
  assert.match(message, /inequivalent arg 'x-queue-type' for queue 'old'/);
  await channel.assertQueue('old', { arguments: { 'x-queue-type': 'classic' } });
  // Of no type that it cannot be of.
  await channel.assertQueue('brief', { autoDelete: true });
  await facts.put({ defaultQueueType: 'stream' });
  await channel.assertQueue('s');
  await channel.assertQueue('s', { arguments: { 'x-queue-type': 'stream' } });
  await facts.put({ defaultQueueType: 'classic' });
  await channel.assertQueue('old');
});
