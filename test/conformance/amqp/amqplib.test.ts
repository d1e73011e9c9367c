import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Channel, type ChannelModel, connect, type ConsumeMessage, credentials, type Options } from 'amqplib';
import { defineQueue } from '../../../src/index.ts';
import { client, closedWith, consumed, got, texts } from './client.ts';

test('a message comes back with every property that it was published with', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q', { maxPriority: 10 });
  const properties = {
    contentType: 'text/plain',
    contentEncoding: 'identity',
    headers: {
      text: 'ключ',
      small: 1,
      large: 2 ** 40,
      negative: -5,
      half: 0.5,
      yes: true,
      nothing: null,
      list: [1, 'two', { three: 3 }],
      table: { nested: { deeper: 'x' } },
      bytes: Buffer.from([0, 255]),
      when: { '!': 'timestamp', value: 1_700_000_000_000 },
    },
    deliveryMode: 2,
    priority: 7,
    correlationId: 'correlation',
    replyTo: 'reply',
    expiration: '600000',
    messageId: 'id',
    timestamp: 1_700_000_000,
    type: 'type',
    appId: 'app',
  };
  channel.sendToQueue('q', Buffer.from('body'), properties);
  await channel.waitForConfirms();
  const message = await got(channel, 'q');
  assert.equal(message.content.toString(), 'body');
  const { clusterId: _, userId: __, ...back } = message.properties;
  assert.deepEqual({ ...back, headers: { ...back.headers } }, { ...properties, headers: { ...properties.headers } });
  assert.deepEqual(
    { exchange: message.fields.exchange, routingKey: message.fields.routingKey },
    { exchange: '', routingKey: 'q' },
  );
});

test('an empty body and one of a megabyte come back whole', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q');
  const large = Buffer.alloc(1 << 20, 'railhead');
  channel.sendToQueue('q', Buffer.alloc(0));
  channel.sendToQueue('q', large);
  await channel.waitForConfirms();
  assert.equal((await got(channel, 'q', { noAck: true })).content.byteLength, 0);
  assert.deepEqual((await got(channel, 'q', { noAck: true })).content, large);
});

test('a body of sixteen megabytes comes back whole, through a queue and a stream', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q');
  await channel.assertQueue('s', { arguments: { 'x-queue-type': 'stream' } });
  const large = Buffer.alloc(16 << 20, 'railhead');
  for (const queue of ['q', 's']) channel.sendToQueue(queue, large);
  await channel.waitForConfirms();
  assert.ok((await got(channel, 'q', { noAck: true })).content.equals(large));
  await channel.prefetch(1);
  const [message] = await consumed(channel, 's', 1, { arguments: { 'x-stream-offset': 'first' } });
  assert.ok(message?.content.equals(large));
});

test('a large message dies, is given back and comes from the SDK as a small one does', async (t) => {
  const { channel, broker } = await client(t);
  const large = Buffer.alloc(3 << 20, 'railhead');
  await channel.assertQueue('dead');
  const buried = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead', 'x-queue-type': 'quorum' };
  await channel.assertQueue('q', { arguments: buried });
  channel.sendToQueue('q', large, { headers: { kind: 'large' }, mandatory: true });
  channel.sendToQueue('q', large, { headers: { kind: 'large' } });
  channel.sendToQueue('q', Buffer.from('small'));
  await channel.waitForConfirms();
  channel.reject(await got(channel, 'q'), true);
  for (let i = 0; i < 2; i++) {
    const again = await got(channel, 'q');
    assert.ok(again.content.equals(large));
    assert.deepEqual(again.properties.headers, {
      kind: 'large',
      ...(i === 0 && { 'x-delivery-count': 1, 'x-acquired-count': 1 }),
    });
    channel.reject(again, false);
  }
  assert.equal((await got(channel, 'q')).content.toString(), 'small');
  await channel.prefetch(10);
  for (const dead of await consumed(channel, 'dead', 2)) {
    assert.ok(dead.content.equals(large));
    assert.equal(dead.properties.headers?.['x-death']?.[0]?.queue, 'q');
  }
  const text = large.toString();
  await broker.rail.queue(defineQueue<{ text: string }>('ours')).send({ text }, { headers: { from: 'sdk' } });
  const sent = await got(channel, 'ours');
  assert.equal((JSON.parse(sent.content.toString()) as { text: string }).text, text);
  assert.equal(sent.properties.headers?.['from'], 'sdk');
});

test('direct, fanout, topic and headers exchanges route as their bindings say', async (t) => {
  const { channel } = await client(t);
  for (const name of ['one', 'two']) await channel.assertQueue(name);
  await channel.assertExchange('direct', 'direct');
  await channel.bindQueue('one', 'direct', 'a');
  await channel.assertExchange('topic', 'topic');
  await channel.bindQueue('one', 'topic', 'a.*.c');
  await channel.bindQueue('two', 'topic', 'a.#');
  await channel.bindQueue('two', 'amq.fanout', '');
  await channel.assertExchange('headers', 'headers');
  await channel.bindQueue('one', 'headers', '', { 'x-match': 'all', kind: 'a', size: 3 });
  await channel.bindQueue('two', 'headers', '', { 'x-match': 'any', kind: 'a', there: undefined });
  const sent: [string, string, object?][] = [
    ['direct', 'a'],
    ['direct', 'b'],
    ['topic', 'a.b.c'],
    ['topic', 'a'],
    ['amq.fanout', 'whatever'],
    ['headers', '', { kind: 'a', size: 3 }],
    ['headers', '', { kind: 'b', size: 3 }],
  ];
  sent.forEach(([exchange, key, headers], i) =>
    channel.publish(exchange, key, Buffer.from(String(i)), { headers: { ...headers } }),
  );
  await channel.waitForConfirms();
  assert.deepEqual(await texts(channel, 'one'), ['0', '2', '5']);
  assert.deepEqual(await texts(channel, 'two'), ['2', '3', '4', '5']);
  await channel.unbindQueue('one', 'direct', 'a');
  channel.publish('direct', 'a', Buffer.from('gone'));
  await channel.waitForConfirms();
  assert.deepEqual(await texts(channel, 'one'), []);
});

test('an exchange bound to another passes on, and what no binding takes goes to the alternate exchange', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('inner');
  await channel.assertQueue('rest');
  await channel.assertExchange('rest', 'fanout');
  await channel.bindQueue('rest', 'rest', '');
  await channel.assertExchange('outer', 'direct', { alternateExchange: 'rest' });
  await channel.assertExchange('inner', 'topic', { internal: true });
  await channel.bindExchange('inner', 'outer', 'a.b');
  await channel.bindQueue('inner', 'inner', 'a.*');
  channel.publish('outer', 'a.b', Buffer.from('in'));
  channel.publish('outer', 'z', Buffer.from('out'));
  await channel.waitForConfirms();
  assert.deepEqual([await texts(channel, 'inner'), await texts(channel, 'rest')], [['in'], ['out']]);
  const { code, message } = await closedWith(channel, () => channel.publish('inner', 'a.b', Buffer.from('x')));
  assert.equal(code, 403);
  assert.match(message, /cannot publish to internal exchange 'inner' in vhost '\/'/);
});

test('mandatory messages that nobody takes come back before their confirm', async (t) => {
  const { channel } = await client(t);
  await channel.assertExchange('x', 'direct');
  const returned: string[] = [];
  channel.on('return', (message: ConsumeMessage) => returned.push(message.content.toString()));
  channel.publish('x', 'nowhere', Buffer.from('a'), { mandatory: true });
  channel.publish('', 'no-such-queue', Buffer.from('b'), { mandatory: true });
  channel.publish('x', 'nowhere', Buffer.from('c'));
  await channel.waitForConfirms();
  assert.deepEqual(returned, ['a', 'b']);
});

test('publishing to an exchange that does not exist closes the channel with 404', async (t) => {
  const { channel } = await client(t);
  const error = await closedWith(channel, () => channel.publish('none', 'k', Buffer.from('x')));
  assert.equal(error.code, 404);
  assert.match(error.message, /NOT_FOUND - no exchange 'none' in vhost '\/'/);
});

test('nacked messages come back to their place, marked as redelivered; rejected ones are gone', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q');
  for (const text of ['a', 'b', 'c']) channel.sendToQueue('q', Buffer.from(text));
  await channel.waitForConfirms();
  const [a, b, c] = [await got(channel, 'q'), await got(channel, 'q'), await got(channel, 'q')];
  channel.nack(b, false, true);
  channel.reject(a, true);
  channel.reject(c, false);
  await channel.waitForConfirms();
  const again = await consumed(channel, 'q', 2, { noAck: true });
  assert.deepEqual(
    again.map(({ content, fields }) => [content.toString(), fields.redelivered]),
    [
      ['a', true],
      ['b', true],
    ],
  );
  assert.equal(await channel.get('q'), false);
});

test('an ack with multiple settles all that came before it', async (t) => {
  const { channel, broker } = await client(t);
  await channel.assertQueue('q');
  for (let i = 0; i < 10; i++) channel.sendToQueue('q', Buffer.from(String(i)));
  await channel.waitForConfirms();
  const messages = await consumed(channel, 'q', 10);
  const fifth = messages[4];
  assert.ok(fifth !== undefined);
  channel.ack(fifth, true);
  await channel.recover();
  const left = await consumed(channel, 'q', 5, { noAck: true });
  assert.deepEqual(
    left.map(({ content }) => content.toString()),
    ['5', '6', '7', '8', '9'],
  );
  await broker.idle();
});

test('acking a tag that is not there closes the channel with 406', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q');
  const never = { fields: { deliveryTag: 99 } } as unknown as ConsumeMessage;
  const error = await closedWith(channel, () => channel.ack(never));
  assert.equal(error.code, 406);
  assert.match(error.message, /PRECONDITION_FAILED - unknown delivery tag 99/);
});

test('a consumer holds no more than its prefetch', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q');
  for (let i = 0; i < 30; i++) channel.sendToQueue('q', Buffer.from(String(i)));
  await channel.waitForConfirms();
  await channel.prefetch(7);
  const held: ConsumeMessage[] = [];
  let most = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  let acked = 0;
  await channel.consume('q', (message) => {
    if (message === null) return;
    held.push(message);
    most = Math.max(most, held.length);
    if (held.length < 7 && acked + held.length < 30) return;
    for (const each of held.splice(0)) channel.ack(each);
    acked = 30 - held.length;
    if (Number(message.content.toString()) === 29) resolve();
  });
  await promise;
  assert.ok(most <= 7, `${most} at once`);
});

test('what a closed channel or a broken connection held is delivered again', async (t) => {
  const { channel, connection, url } = await client(t);
  await channel.assertQueue('q');
  for (const text of ['a', 'b', 'c']) channel.sendToQueue('q', Buffer.from(text));
  await channel.waitForConfirms();
  const second = await connection.createChannel();
  const { promise, resolve } = Promise.withResolvers<void>();
  let came = 0;
  await second.consume('q', () => {
    if (++came === 3) resolve();
  });
  await promise;
  await second.close();
  // Its heartbeat timer would outlive the socket that is destroyed under it.
  const other = await connect(`${url}?heartbeat=0`);
  other.on('error', () => {});
  const third = await other.createChannel();
  third.on('error', () => {});
  const messages = await consumed(third, 'q', 3);
  assert.ok(messages.every(({ fields }) => fields.redelivered));
  (other as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  const again = await consumed(channel, 'q', 3, { noAck: true });
  assert.deepEqual(
    again.map(({ content }) => content.toString()),
    ['a', 'b', 'c'],
  );
});

test('an exclusive queue is locked for other connections and goes with its own', async (t) => {
  const { channel, url } = await client(t);
  const other = await connect(url);
  other.on('error', () => {});
  const theirs = await other.createChannel();
  const { queue } = await theirs.assertQueue('', { exclusive: true });
  assert.match(queue, /^amq\.gen-/);
  const error = await closedWith(channel, () => channel.checkQueue(queue));
  assert.equal(error.code, 405);
  assert.match(error.message, /RESOURCE_LOCKED - cannot obtain exclusive access to locked queue/);
  await other.close();
  const third = await connect(url);
  const again = await third.createChannel();
  again.on('error', () => {});
  assert.equal((await closedWith(again, () => again.checkQueue(queue))).code, 404);
  await third.close();
});

test('an auto-delete queue goes with its last consumer, an auto-delete exchange with its last binding', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('q', { autoDelete: true });
  await channel.assertExchange('x', 'fanout', { autoDelete: true });
  await channel.bindQueue('q', 'x', '');
  const first = await channel.consume('q', () => {});
  const second = await channel.consume('q', () => {});
  await channel.cancel(first.consumerTag);
  await channel.checkQueue('q');
  await channel.cancel(second.consumerTag);
  const probe = await connection.createChannel();
  probe.on('error', () => {});
  assert.equal((await closedWith(probe, () => probe.checkQueue('q'))).code, 404);
  const another = await connection.createChannel();
  another.on('error', () => {});
  assert.equal((await closedWith(another, () => another.checkExchange('x'))).code, 404);
});

test('with an auto-delete exchange go those whose last binding led to it, one after the other', async (t) => {
  const { channel, connection } = await client(t);
  const gone = async (name: string): Promise<boolean> => {
    const on = await connection.createChannel();
    on.on('error', () => {});
    return on.checkExchange(name).then(
      () => false,
      () => true,
    );
  };
  const declare = async (...names: string[]): Promise<void> => {
    for (const name of names) await channel.assertExchange(name, 'fanout', { autoDelete: true });
  };
  // A chain, of which the end is deleted; and a ring, of which one binding goes.
  await declare('a', 'b', 'c', 'd');
  for (const [to, from] of ['ba', 'cb', 'dc']) await channel.bindExchange(to ?? '', from ?? '', '');
  await channel.deleteExchange('d');
  for (const name of ['a', 'b', 'c']) assert.ok(await gone(name), name);
  await declare('e', 'f');
  await channel.bindExchange('e', 'f', '');
  await channel.bindExchange('f', 'e', '');
  await channel.unbindExchange('e', 'f', '');
  for (const name of ['e', 'f']) assert.ok(await gone(name), name);
});

test('an auto-delete exchange that nothing was ever bound to stays when other things go', async (t) => {
  const { channel } = await client(t);
  await channel.assertExchange('x', 'fanout', { autoDelete: true });
  await channel.assertExchange('other', 'fanout');
  await channel.assertQueue('q');
  await channel.bindQueue('q', 'other', '');
  await channel.unbindQueue('q', 'x', '');
  await channel.deleteQueue('q');
  await channel.deleteExchange('other');
  await channel.checkExchange('x');
});

test('another declare of a queue or exchange is refused with 406, naming what differs', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('q', { durable: true, messageTtl: 1000 });
  await channel.assertQueue('q', { durable: true, messageTtl: 1000 });
  await channel.assertExchange('x', 'direct');
  const cases: [string, (on: Channel) => unknown][] = [
    [
      "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'",
      (on) => on.assertQueue('q', { durable: false, messageTtl: 1000 }),
    ],
    [
      "inequivalent arg 'auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'",
      (on) => on.assertQueue('q', { autoDelete: true, messageTtl: 1000 }),
    ],
    [
      "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '1000' of type 'short'",
      (on) => on.assertQueue('q'),
    ],
    [
      "inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received the value '5' of type 'byte' but current is none",
      (on) => on.assertQueue('q', { messageTtl: 1000, maxLength: 5 }),
    ],
    [
      "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'",
      (on) => on.assertExchange('x', 'fanout'),
    ],
  ];
  for (const [text, declare] of cases) {
    const on = await connection.createChannel();
    on.on('error', () => {});
    const { code, message } = await closedWith(on, () => declare(on));
    assert.equal(code, 406);
    assert.ok(message.includes(`PRECONDITION_FAILED - ${text}`), message);
  }
});

test('reserved names, the default exchange and unknown types are refused as RabbitMQ does', async (t) => {
  const { connection } = await client(t);
  const cases: [number, RegExp, (on: Channel) => unknown][] = [
    [403, /queue name 'amq.mine' contains reserved prefix 'amq\.\*'/, (on) => on.assertQueue('amq.mine')],
    [
      403,
      /exchange name 'amq.mine' contains reserved prefix 'amq\.\*'/,
      (on) => on.assertExchange('amq.mine', 'direct'),
    ],
    [403, /deletion of system exchange 'amq.topic' in vhost '\/' not allowed/, (on) => on.deleteExchange('amq.topic')],
    [403, /operation not permitted on the default exchange/, (on) => on.bindQueue('q', '', 'k')],
    [404, /no queue 'q' in vhost '\/'/, (on) => on.consume('q', () => {})],
    [
      406,
      /invalid arg 'x-message-ttl' for queue 'q' in vhost '\/': \{value_negative,-1\}/,
      (on) => on.assertQueue('q', { messageTtl: -1 }),
    ],
  ];
  for (const [code, text, run] of cases) {
    const on = await connection.createChannel();
    on.on('error', () => {});
    const error = await closedWith(on, () => run(on));
    assert.equal(error.code, code);
    assert.match(error.message, text);
  }
});

test('messages expire by their own ttl and by that of their queue', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual' });
  await channel.assertQueue('own');
  await channel.assertQueue('all', { messageTtl: 5000 });
  channel.sendToQueue('own', Buffer.from('short'), { expiration: 1000 });
  channel.sendToQueue('own', Buffer.from('long'));
  channel.sendToQueue('all', Buffer.from('x'));
  await channel.waitForConfirms();
  await broker.clock.advance('2s');
  assert.equal((await channel.checkQueue('own')).messageCount, 1);
  assert.equal((await channel.checkQueue('all')).messageCount, 1);
  await broker.clock.advance('4s');
  assert.equal((await channel.checkQueue('all')).messageCount, 0);
});

test('an x-delayed-message exchange holds a message for its x-delay, to any date', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual' });
  await channel.assertQueue('q');
  await channel.assertExchange('later', 'x-delayed-message', { arguments: { 'x-delayed-type': 'direct' } });
  await channel.bindQueue('q', 'later', 'k');
  channel.publish('later', 'k', Buffer.from('year'), { headers: { 'x-delay': 365 * 86_400_000 } });
  channel.publish('later', 'k', Buffer.from('now'));
  await channel.waitForConfirms();
  assert.deepEqual(await texts(channel, 'q'), ['now']);
  await broker.clock.advance('364d');
  assert.deepEqual(await texts(channel, 'q'), []);
  await broker.clock.advance('2d');
  assert.deepEqual(await texts(channel, 'q'), ['year']);
});

test('higher priorities come first, and those above the maximum count as it', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q', { maxPriority: 5 });
  for (const [text, priority] of [
    ['low', 1],
    ['none', undefined],
    ['over', 9],
    ['top', 5],
  ] as const)
    channel.sendToQueue('q', Buffer.from(text), priority === undefined ? {} : { priority });
  await channel.waitForConfirms();
  assert.deepEqual(await texts(channel, 'q'), ['over', 'top', 'low', 'none']);
});

test('a full queue drops its oldest messages, or refuses new ones with a nack', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('drop', { maxLength: 2 });
  await channel.assertQueue('refuse', { maxLength: 2, arguments: { 'x-overflow': 'reject-publish' } });
  for (const text of ['a', 'b', 'c']) channel.sendToQueue('drop', Buffer.from(text));
  await channel.waitForConfirms();
  assert.deepEqual(await texts(channel, 'drop'), ['b', 'c']);
  const results = await Promise.allSettled(
    ['a', 'b', 'c'].map(
      (text) =>
        new Promise<void>((resolve, reject) => {
          channel.sendToQueue('refuse', Buffer.from(text), {}, (error: unknown) =>
            error === null ? resolve() : reject(new Error('nacked')),
          );
        }),
    ),
  );
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected'],
  );
  assert.deepEqual(await texts(channel, 'refuse'), ['a', 'b']);
});

test('rejected, expired and dropped messages go through the dead-letter exchange with their story', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual' });
  await channel.assertExchange('dlx', 'topic');
  await channel.assertQueue('dead');
  await channel.bindQueue('dead', 'dlx', '#');
  await channel.assertQueue('q', { deadLetterExchange: 'dlx', maxLength: 2 });
  await channel.assertExchange('in', 'direct');
  await channel.bindQueue('q', 'in', 'key');
  channel.publish('in', 'key', Buffer.from('rejected'));
  await channel.waitForConfirms();
  channel.reject(await got(channel, 'q'), false);
  channel.publish('in', 'key', Buffer.from('expired'), { expiration: 1000 });
  await channel.waitForConfirms();
  await broker.clock.advance('2s');
  for (const text of ['dropped', 'x', 'y']) channel.publish('in', 'key', Buffer.from(text));
  await channel.waitForConfirms();
  await broker.inspect('dead');
  const found = await consumed(channel, 'dead', 3, { noAck: true });
  assert.deepEqual(
    found.map(({ content, fields, properties }) => {
      const [death] = properties.headers?.['x-death'] ?? [];
      return [
        content.toString(),
        fields.exchange,
        fields.routingKey,
        death?.reason,
        death?.queue,
        death?.exchange,
        death?.['routing-keys'],
        death?.count,
      ];
    }),
    ['rejected', 'expired', 'maxlen'].map((reason, i) => [
      ['rejected', 'expired', 'dropped'][i],
      'dlx',
      'key',
      reason,
      'q',
      'in',
      ['key'],
      1,
    ]),
  );
  const expired = found[1]?.properties;
  assert.equal(expired?.expiration, undefined);
  assert.equal(expired?.headers?.['x-death']?.[0]?.['original-expiration'], '1000');
  assert.equal(expired.headers['x-first-death-reason'], 'expired');
});

test('a message that is retried through two queues counts its deaths', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual' });
  await channel.assertExchange('work', 'direct');
  await channel.assertExchange('retry', 'direct');
  await channel.assertQueue('jobs', { deadLetterExchange: 'retry' });
  await channel.assertQueue('wait', { deadLetterExchange: 'work', messageTtl: 1000 });
  await channel.bindQueue('jobs', 'work', 'job');
  await channel.bindQueue('wait', 'retry', 'job');
  channel.publish('work', 'job', Buffer.from('x'));
  await channel.waitForConfirms();
  for (let i = 0; i < 3; i++) {
    const [message] = await consumed(channel, 'jobs', 1);
    assert.ok(message !== undefined);
    const deaths = message.properties.headers?.['x-death'] ?? [];
    assert.deepEqual(
      deaths.map(({ queue, reason, count }) => [queue, reason, count]),
      i === 0
        ? []
        : [
            ['wait', 'expired', i],
            ['jobs', 'rejected', i],
          ],
    );
    channel.nack(message, false, false);
    await broker.inspect('wait');
    await broker.clock.advance('2s');
  }
});

test('a quorum queue gives a message up after its delivery limit, counts rejects and lost channels, and no nacks', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertExchange('dlx', 'fanout');
  await channel.assertQueue('dead');
  await channel.bindQueue('dead', 'dlx', '');
  await channel.assertQueue('q', {
    deadLetterExchange: 'dlx',
    arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 2 },
  });
  channel.sendToQueue('q', Buffer.from('poison'));
  await channel.waitForConfirms();
  const counts: unknown[] = [];
  for (const how of ['nack', 'nack', 'nack', 'reject', 'recover', 'close', 'nack', 'reject']) {
    const on = await connection.createChannel();
    const [message] = await consumed(on, 'q', 1);
    assert.ok(message !== undefined);
    const headers = message.properties.headers ?? {};
    counts.push([message.fields.redelivered, headers['x-acquired-count'], headers['x-delivery-count']]);
    if (how === 'nack') on.nack(message, false, true);
    else if (how === 'reject') on.reject(message, true);
    else if (how === 'recover') await on.recover();
    await on.close();
  }
  assert.deepEqual(counts, [
    [false, undefined, undefined],
    [true, 1, undefined],
    [true, 2, undefined],
    [true, 3, undefined],
    [true, 4, 1],
    [true, 5, 1],
    [true, 6, 2],
    [true, 7, 2],
  ]);
  const [dead] = await consumed(channel, 'dead', 1, { noAck: true });
  assert.equal(dead?.properties.headers?.['x-death']?.[0]?.reason, 'delivery_limit');
});

test('consumers are told when their queue is deleted, and an exclusive consumer keeps others out', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('q');
  const ended = new Promise<void>((resolve) => {
    void channel.consume('q', (message) => message === null && resolve(), { exclusive: true });
  });
  const second = await connection.createChannel();
  second.on('error', () => {});
  const error = await closedWith(second, () => second.consume('q', () => {}));
  assert.equal(error.code, 403);
  assert.match(error.message, /queue 'q' in vhost '\/' in exclusive use/);
  assert.equal((await channel.deleteQueue('q')).messageCount, 0);
  await ended;
});

test('basic.get takes beside an exclusive or single active consumer, but not from such a quorum queue', async (t) => {
  const { channel, connection } = await client(t);
  const single = { 'x-single-active-consumer': true };
  for (const [queue, args, exclusive] of [
    ['exclusive', {}, true],
    ['single', single, false],
  ] as const) {
    await channel.assertQueue(queue, { arguments: args });
    await channel.prefetch(1);
    await channel.consume(queue, () => {}, { exclusive });
    for (let i = 0; i < 2; i++) channel.sendToQueue(queue, Buffer.from('x'));
    await channel.waitForConfirms();
    const other = await connection.createChannel();
    assert.equal((await got(other, queue)).fields.messageCount, 0, queue);
    assert.equal(await other.get(queue), false, queue);
  }
  await channel.assertQueue('quorum', { arguments: { ...single, 'x-queue-type': 'quorum' } });
  const { code, message } = await closedWith(channel, () => channel.get('quorum'));
  assert.equal(code, 405);
  assert.match(message, /basic.get operations are not supported by quorum queues with single active consumer/);
});

test('of many gets for the last messages each is answered once, with a message or at once with none', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('q');
  const others = await Promise.all(Array.from({ length: 8 }, () => connection.createChannel()));
  for (let i = 0; i < 3; i++) channel.sendToQueue('q', Buffer.from(String(i)));
  await channel.waitForConfirms();
  const answers = await Promise.all(others.map((each) => each.get('q', { noAck: true })));
  const bodies = answers.map((answer) => answer !== false && answer.content.toString());
  assert.deepEqual(new Set(bodies), new Set(['0', '1', '2', false]));
  assert.equal(bodies.filter((body) => body === false).length, 5);
});

test('a consumer with a higher x-priority is served first; with single active consumer only one is', async (t) => {
  const { channel } = await client(t);
  for (const [queue, options] of [
    ['ranked', {}],
    ['single', { arguments: { 'x-single-active-consumer': true } }],
  ] as const) {
    await channel.assertQueue(queue, options);
    const served: string[] = [];
    await channel.consume(queue, (message) => message && served.push('low'), { noAck: true });
    await channel.consume(queue, (message) => message && served.push('high'), {
      noAck: true,
      priority: queue === 'ranked' ? 5 : 0,
    });
    for (let i = 0; i < 4; i++) {
      channel.sendToQueue(queue, Buffer.from('x'));
      await channel.waitForConfirms();
    }
    while (served.length < 4) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(new Set(served), new Set([queue === 'ranked' ? 'high' : 'low']));
  }
});

test('a consumer without a prefetch gets all that comes, and none of it one of lower priority', async (t) => {
  const { channel } = await client(t);
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const served: string[] = [];
  const consume = async (name: string, options: Options.Consume): Promise<string> => {
    const taken = (message: ConsumeMessage | null): void => void served.push(`${name} ${String(message?.content)}`);
    return (await channel.consume(queue, taken, { noAck: true, ...options })).consumerTag;
  };
  const high = await consume('high', { priority: 1 });
  const medium = await consume('medium', {});
  await consume('low', { priority: -1 });
  // More at once than a consumer is first asked for.
  for (const [name, gone] of [
    ['high', high],
    ['medium', medium],
    ['low', undefined],
  ] as const) {
    for (let i = 0; i < 10; i++) channel.sendToQueue(queue, Buffer.from(String(i)));
    while (served.length < 10) await channel.checkQueue(queue);
    assert.deepEqual(
      served.splice(0),
      Array.from({ length: 10 }, (_, i) => `${name} ${i}`),
    );
    if (gone !== undefined) await channel.cancel(gone);
  }
});

test('purge and delete say how many messages went; delete minds ifEmpty and ifUnused', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('q');
  for (let i = 0; i < 3; i++) channel.sendToQueue('q', Buffer.from('x'));
  await channel.waitForConfirms();
  const second = await connection.createChannel();
  second.on('error', () => {});
  const full = await closedWith(second, () => second.deleteQueue('q', { ifEmpty: true }));
  assert.equal(full.code, 406);
  assert.match(full.message, /queue 'q' in vhost '\/' not empty/);
  assert.equal((await channel.purgeQueue('q')).messageCount, 3);
  await channel.consume('q', () => {});
  const third = await connection.createChannel();
  third.on('error', () => {});
  assert.match((await closedWith(third, () => third.deleteQueue('q', { ifUnused: true }))).message, /in use/);
  assert.equal((await channel.deleteQueue('q')).messageCount, 0);
  assert.equal((await channel.deleteQueue('q')).messageCount, 0);
});

test('durable queues and their messages survive a restart of the broker, transient ones do not', async (t) => {
  const { channel, broker, url } = await client(t);
  await channel.assertQueue('kept');
  await channel.assertQueue('fleeting', { durable: false });
  channel.sendToQueue('kept', Buffer.from('a'), { persistent: true });
  channel.sendToQueue('kept', Buffer.from('b'), { persistent: false });
  await channel.waitForConfirms();
  await broker.faults.crashAndRecover({ powerCut: true });
  const connection = await connect(url);
  connection.on('error', () => {});
  const after = await connection.createChannel();
  after.on('error', () => {});
  assert.deepEqual(await texts(after, 'kept'), ['a', 'b']);
  assert.equal((await closedWith(after, () => after.checkQueue('fleeting'))).code, 404);
  await connection.close();
});

test('a queue of the SDK is consumed over AMQP, and a queue of AMQP by the SDK', async (t) => {
  const { channel, broker } = await client(t);
  const ours = broker.rail.queue(defineQueue<{ n: number }>('ours'));
  await ours.send({ n: 1 }, { key: 'k', headers: { colour: 'red' }, priority: 0 });
  const message = await got(channel, 'ours');
  assert.deepEqual(JSON.parse(message.content.toString()), { n: 1 });
  assert.equal(message.properties.contentType, 'application/json');
  assert.deepEqual({ ...message.properties.headers }, { colour: 'red', 'railhead-key': 'k' });
  assert.deepEqual(message.fields.routingKey, 'ours');
  channel.ack(message);

  await channel.assertQueue('theirs');
  channel.sendToQueue('theirs', Buffer.from('{"n":2}'), {
    contentType: 'application/json',
    correlationId: 'c',
    headers: { 'railhead-key': 'group', colour: 'blue' },
  });
  await channel.waitForConfirms();
  const [seen] = (await broker.inspect('theirs')).ready;
  assert.deepEqual(seen?.body, { n: 2 });
  assert.equal(seen.key, 'group');
  assert.deepEqual({ ...seen.headers }, { colour: 'blue', 'amqp-correlation-id': 'c' });
});

test('an answer by direct reply-to reaches the channel that asked, and no other', async (t) => {
  const { channel, connection, url } = await client(t);
  await channel.assertQueue('rpc');
  await channel.consume('rpc', (message) => {
    if (message === null) return;
    const { replyTo, correlationId } = message.properties as { replyTo: string; correlationId: string };
    assert.match(replyTo, /^amq\.rabbitmq\.reply-to\./);
    channel.sendToQueue(replyTo, Buffer.from(`${message.content.toString()}!`), { correlationId });
    channel.ack(message);
  });
  const asking = async (name: string): Promise<[ChannelModel, Promise<ConsumeMessage>]> => {
    const theirs = await connect(`${url}?heartbeat=0`);
    const asker = await theirs.createChannel();
    const { promise, resolve } = Promise.withResolvers<ConsumeMessage>();
    await asker.consume('amq.rabbitmq.reply-to', (message) => message !== null && resolve(message), { noAck: true });
    asker.sendToQueue('rpc', Buffer.from(name), { replyTo: 'amq.rabbitmq.reply-to', correlationId: name });
    return [theirs, promise];
  };
  const [[first, one], [second, two]] = [await asking('one'), await asking('two')];
  for (const [name, answer] of [
    ['one', await one],
    ['two', await two],
  ] as const) {
    assert.equal(answer.content.toString(), `${name}!`);
    assert.equal(answer.properties.correlationId, name);
  }
  await first.close();
  await second.close();
  const without = await connection.createChannel();
  without.on('error', () => {});
  const error = await closedWith(without, () =>
    without.sendToQueue('rpc', Buffer.from('x'), { replyTo: 'amq.rabbitmq.reply-to' }),
  );
  assert.equal(error.code, 406);
  assert.match(error.message, /fast reply consumer does not exist/);
});

test('consumers of a channel with a global prefetch hold no more than it together', async (t) => {
  const { channel } = await client(t);
  await channel.prefetch(3, true);
  const held: ConsumeMessage[] = [];
  for (const queue of ['idle', 'a', 'b']) {
    await channel.assertQueue(queue);
    await channel.consume(queue, (message) => message !== null && held.push(message));
  }
  for (let i = 0; i < 10; i++) for (const queue of ['a', 'b']) channel.sendToQueue(queue, Buffer.from(String(i)));
  await channel.waitForConfirms();
  let settled = 0;
  while (settled < 20) {
    while (held.length < Math.min(3, 20 - settled)) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(held.length <= 3, `${held.length} at once`);
    const next = held.shift();
    assert.ok(next !== undefined);
    channel.ack(next);
    settled++;
  }
});

test('a queue that nobody uses for x-expires is gone', async (t) => {
  const { channel, broker } = await client(t, { clock: 'manual' });
  await channel.assertQueue('q', { expires: 60_000 });
  await broker.clock.advance('50s');
  await channel.checkQueue('q');
  await broker.clock.advance('2m');
  assert.equal((await closedWith(channel, () => channel.checkQueue('q'))).code, 404);
});

test('a consumer of a classic queue may keep what it has as long as it likes', async (t) => {
  const { channel, connection, broker } = await client(t, { clock: 'manual' });
  await channel.assertQueue('q');
  channel.sendToQueue('q', Buffer.from('x'));
  await channel.waitForConfirms();
  const slow = await connection.createChannel();
  const arrived = Promise.withResolvers<ConsumeMessage | null>();
  await slow.consume('q', arrived.resolve);
  const message = await arrived.promise;
  assert.ok(message !== null);
  await broker.clock.advance('30d');
  assert.deepEqual(await texts(channel, 'q'), []);
  slow.ack(message);
  await slow.close();
  assert.deepEqual(await texts(channel, 'q'), []);
});

test('a consumer of a quorum queue that settles nothing in time is cancelled, and the others of its channel go on', async (t) => {
  const { channel, connection, broker } = await client(t, { clock: 'manual' });
  const args = { 'x-queue-type': 'quorum', 'x-consumer-timeout': 60_000 };
  await channel.assertQueue('q', { arguments: args });
  await channel.assertQueue('other');
  const slow = await connection.createChannel();
  await slow.prefetch(1);
  const closed: unknown[] = [];
  slow.on('error', (error) => closed.push(error));
  const [arrived, cancelled] = [Promise.withResolvers<ConsumeMessage>(), Promise.withResolvers<void>()];
  await slow.consume('q', (message) => (message === null ? cancelled.resolve() : arrived.resolve(message)));
  for (const text of ['a', 'b']) channel.sendToQueue('q', Buffer.from(text));
  await channel.waitForConfirms();
  const late = await arrived.promise;
  await broker.clock.advance('61s');
  await cancelled.promise;
  assert.deepEqual(
    [await got(channel, 'q'), await got(channel, 'q')].map(({ content, fields }) => [
      content.toString(),
      fields.redelivered,
    ]),
    [
      ['a', true],
      ['b', false],
    ],
  );
  // Too late, and no error.
  slow.ack(late);
  const next = Promise.withResolvers<string>();
  await slow.consume('other', (message) => next.resolve(String(message?.content)), { noAck: true });
  channel.sendToQueue('other', Buffer.from('goes on'));
  assert.equal(await next.promise, 'goes on');
  assert.deepEqual(closed, []);
});

test('no-local is ignored: a consumer gets what its own connection published', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q');
  channel.sendToQueue('q', Buffer.from('own'));
  const [message] = await consumed(channel, 'q', 1, { noLocal: true, noAck: true });
  assert.equal(message?.content.toString(), 'own');
});

test('a delivery that the consumer timeout took back counts as failed', async (t) => {
  const { channel, connection, broker } = await client(t, { clock: 'manual' });
  await channel.assertQueue('q', { arguments: { 'x-queue-type': 'quorum', 'x-consumer-timeout': 60_000 } });
  channel.sendToQueue('q', Buffer.from('x'));
  await channel.waitForConfirms();
  const slow = await connection.createChannel();
  const [arrived, cancelled] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await slow.consume('q', (message) => (message === null ? cancelled.resolve() : arrived.resolve()));
  await arrived.promise;
  await broker.clock.advance('61s');
  await cancelled.promise;
  const { headers } = (await got(channel, 'q')).properties;
  assert.deepEqual([headers?.['x-delivery-count'], headers?.['x-acquired-count']], [1, 1]);
});

test('x-consumer-timeout of a consumer counts, else that of its quorum queue; classic queues have none', async (t) => {
  const { connection, channel, broker } = await client(t, { clock: 'manual' });
  const quorum = { 'x-queue-type': 'quorum' };
  await channel.assertQueue('classic');
  for (const [refused, text] of [
    [{ ...quorum, 'x-consumer-timeout': 'soon' }, /invalid arg 'x-consumer-timeout' for queue 'r'/],
    [
      { 'x-consumer-timeout': 1000 },
      /'x-consumer-timeout' for queue 'r' in vhost '\/' of queue type rabbit_classic_queue/,
    ],
  ] as const) {
    const on = await connection.createChannel();
    const { code, message } = await closedWith(on, () => on.assertQueue('r', { arguments: refused }));
    assert.equal(code, 406);
    assert.match(message, text);
  }
  const wrong = await connection.createChannel();
  const { code, message } = await closedWith(wrong, () =>
    wrong.consume('classic', () => {}, { arguments: { 'x-consumer-timeout': 1000 } }),
  );
  assert.equal(code, 406);
  assert.match(message, /'x-consumer-timeout' for queue 'classic' in vhost '\/' of queue type rabbit_classic_queue/);
  await channel.assertQueue('q', { arguments: { ...quorum, 'x-consumer-timeout': 120_000 } });
  for (const [own, used] of [
    [{}, 120_000],
    [{ 'x-consumer-timeout': 60_000 }, 60_000],
  ] as const) {
    channel.sendToQueue('q', Buffer.from('x'));
    await channel.waitForConfirms();
    const slow = await connection.createChannel();
    const [arrived, cancelled] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let over = false;
    cancelled.promise.then(() => (over = true), assert.ifError);
    const settle = (each: unknown): void => (each === null ? cancelled : arrived).resolve();
    await slow.consume('q', settle, { arguments: own });
    await arrived.promise;
    await broker.clock.advance(`${used - 1000}ms`);
    await slow.checkQueue('q');
    assert.equal(over, false);
    await broker.clock.advance('2s');
    await cancelled.promise;
    await channel.purgeQueue('q');
  }
});

test('a user-id that is not the login is refused with 406', async (t) => {
  const { channel, connection } = await client(t);
  await channel.assertQueue('q');
  channel.sendToQueue('q', Buffer.from('mine'), { userId: 'guest' });
  await channel.waitForConfirms();
  const other = await connection.createConfirmChannel();
  other.on('error', () => {});
  const error = await closedWith(other, () => other.sendToQueue('q', Buffer.from('x'), { userId: 'somebody' }));
  assert.equal(error.code, 406);
  assert.match(error.message, /user_id property set to 'somebody' but authenticated user was 'guest'/);
});

test('virtual hosts do not see each other', async (t) => {
  const { channel, url } = await client(t);
  await channel.assertQueue('q');
  const other = await connect(`${url}/other`);
  const theirs = await other.createChannel();
  theirs.on('error', () => {});
  const error = await closedWith(theirs, () => theirs.checkQueue('q'));
  assert.match(error.message, /no queue 'q' in vhost 'other'/);
  await other.close();
});

test('a login by AMQPLAIN is understood, and one by another mechanism refused', async (t) => {
  const { url } = await client(t);
  const plain = await connect(url, { credentials: credentials.amqplain('guest', 'guest') });
  await plain.close();
  await assert.rejects(connect(url, { credentials: credentials.external() }));
});

test('the secret of a connection can be renewed', async (t) => {
  const { connection } = await client(t);
  await connection.updateSecret(Buffer.from('secret'), 'it is time');
});

test('a broken connection gives its messages back at once, also after a crash of the broker', async (t) => {
  // Of a clock that stands still: nothing waits.
  const { channel, broker, url } = await client(t, { clock: 'manual' });
  await channel.assertQueue('q');
  for (const text of ['a', 'b']) channel.sendToQueue('q', Buffer.from(text), { persistent: true });
  await channel.waitForConfirms();
  await consumed(channel, 'q', 2);
  await broker.faults.crashAndRecover();
  const connection = await connect(url);
  connection.on('error', () => {});
  const after = await connection.createChannel();
  const held: ConsumeMessage[] = [];
  const both = Promise.withResolvers<void>();
  await after.consume('q', (message) => {
    if (message === null) return;
    held.push(message);
    if (held.length === 2) both.resolve();
  });
  await both.promise;
  assert.deepEqual(
    held.map(({ content, fields }) => [content.toString(), fields.redelivered]),
    [
      ['a', true],
      ['b', true],
    ],
  );
  await connection.close();
});

test('two bindings that differ only in arguments are two, and each goes with its own', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q');
  await channel.assertExchange('x', 'direct');
  const routed = async (): Promise<string[]> => {
    channel.publish('x', 'k', Buffer.from('x'));
    await channel.waitForConfirms();
    return texts(channel, 'q');
  };
  for (const args of [{ one: 1, two: 2 }, { two: 2 }, {}]) await channel.bindQueue('q', 'x', 'k', args);
  assert.deepEqual(await routed(), ['x']);
  await channel.unbindQueue('q', 'x', 'k');
  await channel.unbindQueue('q', 'x', 'k', { two: 3 });
  await channel.unbindQueue('q', 'x', 'k', { two: 2 });
  assert.deepEqual(await routed(), ['x']);
  // Their order makes no difference.
  await channel.unbindQueue('q', 'x', 'k', { two: 2, one: 1 });
  assert.deepEqual(await routed(), []);
});

test('unbinding what is not there is no error', async (t) => {
  const { channel } = await client(t);
  await channel.assertQueue('q');
  await channel.unbindQueue('q', 'nowhere', 'key');
  await channel.unbindQueue('nowhere', 'amq.direct', 'key');
  await channel.unbindExchange('amq.direct', 'nowhere', 'key');
  await channel.unbindExchange('nowhere', 'amq.direct', 'key');
});
