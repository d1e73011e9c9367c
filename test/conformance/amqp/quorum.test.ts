import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, closedWith, consumed } from './client.ts';

const QUORUM = { 'x-queue-type': 'quorum' };

test('a quorum queue holds back what is given back, longer with each failure, and says how often it was delivered', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual' });
  const delay = { 'x-delayed-retry-min': 1000, 'x-delayed-retry-max': 2500 };
  for (const [type, how] of [
    ['failed', 'reject'],
    ['returned', 'nack'],
    ['all', 'nack'],
  ] as const) {
    await channel.assertQueue(type, { arguments: { ...QUORUM, ...delay, 'x-delayed-retry-type': type } });
    channel.sendToQueue(type, Buffer.from('x'));
    await channel.waitForConfirms();
    for (const [i, wait] of [1000, 2000, 2500].entries()) {
      const [message] = await consumed(channel, type, 1);
      assert.ok(message !== undefined);
      const headers = message.properties.headers ?? {};
      const count = i === 0 ? undefined : i;
      assert.deepEqual([headers['x-delivery-count'], headers['x-acquired-count']], [count, count], type);
      if (how === 'reject') channel.reject(message, true);
      else channel.nack(message, false, true);
      await channel.checkQueue(type);
      await broker.clock.advance(`${wait - 1}ms`);
      assert.equal((await channel.checkQueue(type)).messageCount, 0, `${type} after ${wait - 1} ms`);
      await broker.clock.advance('1ms');
      assert.equal((await channel.checkQueue(type)).messageCount, 1, `${type} after ${wait} ms`);
    }
  }
  // The other way of giving back does not wait.
  const [message] = await consumed(channel, 'failed', 1);
  assert.ok(message !== undefined);
  channel.nack(message, false, true);
  assert.equal((await channel.checkQueue('failed')).messageCount, 1);
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
