import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConfirmChannel, connect, type Options } from 'amqplib';
import { client, closedWith, consumed, got, texts } from './client.ts';

/** Whether each of some publishes was confirmed, and not refused. */
async function confirmed(channel: ConfirmChannel, queue: string, bodies: readonly string[]): Promise<boolean[]> {
  return Promise.all(
    bodies.map(
      (body) =>
        new Promise<boolean>((resolve) => {
          channel.sendToQueue(queue, Buffer.from(body), {}, (error: unknown) => resolve(error === null));
        }),
    ),
  );
}

test('CC and BCC add routing keys: each queue gets the message once, and nobody sees BCC', async (t) => {
  const { channel } = await client(t);
  await channel.assertExchange('x', 'direct');
  for (const name of ['a', 'b', 'c', 'd']) {
    await channel.assertQueue(name);
    await channel.bindQueue(name, 'x', name);
  }
  await channel.bindQueue('a', 'x', 'b');
  const copies = { CC: ['b', 'a', 'nowhere'], BCC: ['c'] };
  for (const exchange of ['x', '']) {
    channel.publish(exchange, 'a', Buffer.from('x'), { ...copies, headers: { own: 1 } });
    await channel.waitForConfirms();
    for (const name of ['a', 'b', 'c']) {
      const { properties, fields } = await got(channel, name, { noAck: true });
      assert.deepEqual({ ...properties.headers }, { own: 1, CC: copies.CC }, `${exchange} to ${name}`);
      assert.deepEqual([fields.exchange, fields.routingKey], [exchange, 'a']);
    }
    assert.deepEqual([await texts(channel, 'a'), await texts(channel, 'd')], [[], []]);
  }
});

test('CC that is not an array is refused with 406, and a copy that somebody takes is no return', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('a');
  const returned: string[] = [];
  channel.on('return', ({ content }: { content: Buffer }) => returned.push(content.toString()));
  channel.publish('', 'nowhere', Buffer.from('taken'), { mandatory: true, CC: ['a'] });
  channel.publish('', 'nowhere', Buffer.from('not taken'), { mandatory: true, BCC: ['nor-here'] });
  await channel.waitForConfirms();
  assert.deepEqual([await texts(channel, 'a'), returned], [['taken'], ['not taken']]);
  const other = await connection.createChannel();
  const { code, message } = await closedWith(other, () =>
    other.publish('', 'a', Buffer.from('x'), { headers: { CC: 'a' } }),
  );
  assert.equal(code, 406);
  assert.match(message, /unacceptable_type_in_header,"CC",longstr/);
});

test('a dead letter without a routing key of its own keeps its copies, with one it goes nowhere else', async (t) => {
  const { channel } = await client(t);
  for (const name of ['main', 'copy', 'other', 'plain']) await channel.assertQueue(name);
  await channel.assertExchange('dlx', 'direct');
  for (const name of ['main', 'copy', 'other']) await channel.bindQueue(name, 'dlx', name);
  await channel.assertQueue('kept', { deadLetterExchange: 'dlx' });
  await channel.assertQueue('keyed', { deadLetterExchange: 'dlx', deadLetterRoutingKey: 'other' });
  for (const name of ['kept', 'keyed']) {
    await channel.assertExchange(name, 'fanout');
    await channel.bindQueue(name, name, '');
    channel.publish(name, 'main', Buffer.from(name), { CC: ['copy'] });
    await channel.waitForConfirms();
    channel.reject(await got(channel, name), false);
  }
  for (const name of ['main', 'copy', 'other']) {
    const [message] = await consumed(channel, name, 1, { noAck: true });
    const headers = message?.properties.headers;
    assert.deepEqual(headers?.['x-death']?.[0]?.['routing-keys'], ['main', 'copy']);
    assert.deepEqual(headers['CC'], name === 'other' ? undefined : ['copy']);
    assert.equal(message?.content.toString(), name === 'other' ? 'keyed' : 'kept');
  }
});

test('the default exchange takes dead letters, by their own routing key or by another', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('dead');
  await channel.assertQueue('q', { deadLetterExchange: '', deadLetterRoutingKey: 'dead' });
  await channel.assertQueue('r', { deadLetterExchange: '' });
  await channel.assertQueue('nowhere', { deadLetterExchange: '', deadLetterRoutingKey: 'no-such-queue' });
  await channel.bindQueue('r', 'amq.fanout', '');
  channel.sendToQueue('q', Buffer.from('keyed'));
  channel.publish('amq.fanout', 'dead', Buffer.from('own'));
  channel.sendToQueue('nowhere', Buffer.from('gone'));
  await channel.waitForConfirms();
  for (const name of ['nowhere', 'q', 'r']) channel.reject(await got(channel, name), false);
  const found = await consumed(channel, 'dead', 2, { noAck: true });
  assert.deepEqual(
    found.map(({ content, fields }) => `${content.toString()} by '${fields.exchange}', ${fields.routingKey}`).sort(),
    ["keyed by '', dead", "own by '', dead"],
  );
  assert.equal((await channel.checkQueue('nowhere')).messageCount, 0);
  const { code } = await closedWith(channel, () => channel.checkQueue('no-such-queue'));
  assert.equal(code, 404);
});

test('a queue that may hold nothing hands on to consumers, and drops or refuses everything else', async (t) => {
  const { channel } = await client(t);
  const limits: Record<string, Options.AssertQueue> = {
    messages: { maxLength: 0 },
    bytes: { arguments: { 'x-max-length-bytes': 0 } },
    refusing: { maxLength: 0, arguments: { 'x-overflow': 'reject-publish' } },
  };
  for (const [name, options] of Object.entries(limits)) {
    await channel.assertQueue(name, options);
    assert.deepEqual(await confirmed(channel, name, ['x']), [name !== 'refusing'], name);
    assert.equal((await channel.checkQueue(name)).messageCount, 0);
    const came: string[] = [];
    await channel.consume(name, (message) => came.push(message?.content.toString() ?? ''), { noAck: true });
    await confirmed(channel, name, ['y']);
    await channel.checkQueue(name);
    assert.deepEqual(came, name === 'refusing' ? [] : ['y'], name);
  }
});

test('reject-publish-dlx refuses what is too much, and it is a dead letter', async (t) => {
  const { channel } = await client(t);
  await channel.assertExchange('dlx', 'fanout');
  await channel.assertQueue('dead');
  await channel.bindQueue('dead', 'dlx', '');
  const full = { maxLength: 2, arguments: { 'x-overflow': 'reject-publish-dlx' } };
  await channel.assertQueue('q', { ...full, deadLetterExchange: 'dlx' });
  await channel.assertQueue('without', full);
  assert.deepEqual(await confirmed(channel, 'q', ['a', 'b', 'c', 'd']), [true, true, false, false]);
  assert.deepEqual(await confirmed(channel, 'without', ['a', 'b', 'c']), [true, true, false]);
  await channel.bindQueue('q', 'amq.fanout', '');
  channel.publish('amq.fanout', '', Buffer.from('routed'));
  await assert.rejects(channel.waitForConfirms());
  const dead = await consumed(channel, 'dead', 3, { noAck: true });
  assert.deepEqual(
    dead.map(({ content, properties }) => [content.toString(), properties.headers?.['x-death']?.[0]?.reason]),
    ['c', 'd', 'routed'].map((text) => [text, 'maxlen']),
  );
  assert.deepEqual(
    [await texts(channel, 'q'), await texts(channel, 'without')],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
  );
});

test('an x-consistent-hash exchange spreads by routing key, header or property, in proportion to binding keys', async (t) => {
  const { channel, broker } = await client(t);
  const by = { key: {}, header: { 'hash-header': 'user' }, property: { 'hash-property': 'message_id' } };
  for (const [name, args] of Object.entries(by)) {
    await channel.assertExchange(name, 'x-consistent-hash', { arguments: args });
    for (const [queue, weight] of Object.entries({ small: '1', large: '3' })) {
      await channel.assertQueue(`${name}-${queue}`);
      await channel.bindQueue(`${name}-${queue}`, name, weight);
    }
    // Twice each: what is equal goes the same way, also after a restart.
    for (let round = 0; round < 2; round++)
      for (let i = 0; i < 200; i++)
        channel.publish(name, name === 'key' ? `k${i}` : 'same', Buffer.from(String(i)), {
          headers: { user: `u${i}` },
          messageId: `m${i}`,
          CC: ['ignored'],
        });
    await channel.waitForConfirms();
    const small = await texts(channel, `${name}-small`);
    const large = await texts(channel, `${name}-large`);
    assert.equal(small.length + large.length, 400, name);
    assert.ok(small.length > 50 && small.length < 160, `${name}: ${small.length}`);
    assert.equal(new Set(small).size * 2, small.length);
  }
  channel.publish('key', 'k1', Buffer.from('before'));
  await channel.waitForConfirms();
  const went = (await channel.checkQueue('key-small')).messageCount;
  await broker.faults.crashAndRecover();
  const { url } = await broker.endpoint('amqp');
  const connection = await connect(url);
  const after = await connection.createConfirmChannel();
  after.publish('key', 'k1', Buffer.from('after'));
  await after.waitForConfirms();
  assert.equal((await after.checkQueue('key-small')).messageCount, went * 2);
  await connection.close();
});

test('an x-consistent-hash exchange refuses binding keys that are no weight, and arguments that it does not know', async (t) => {
  const { connection, channel } = await client(t);
  await channel.assertExchange('x', 'x-consistent-hash');
  await channel.assertQueue('q');
  await channel.bindQueue('q', 'x', '007');
  const refused: [RegExp, (on: ConfirmChannel) => Promise<unknown>][] = [
    [/The binding key must be an integer: <<"a">>/, (on) => on.bindQueue('q', 'x', 'a')],
    [/The binding key must be greater than 0/, (on) => on.bindQueue('q', 'x', '0')],
    [
      /hash-header and hash-property are mutually exclusive/,
      (on) =>
        on.assertExchange('y', 'x-consistent-hash', {
          arguments: { 'hash-header': 'a', 'hash-property': 'timestamp' },
        }),
    ],
    [
      /Unsupported property: type/,
      (on) => on.assertExchange('y', 'x-consistent-hash', { arguments: { 'hash-property': 'type' } }),
    ],
    [
      /inequivalent arg 'hash-header'/,
      (on) => on.assertExchange('x', 'x-consistent-hash', { arguments: { 'hash-header': 'a' } }),
    ],
  ];
  for (const [text, ask] of refused) {
    const on = await connection.createConfirmChannel();
    const { code, message } = await closedWith(on, () => ask(on));
    assert.equal(code, 406);
    assert.match(message, text);
  }
});
