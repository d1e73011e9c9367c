/** What RabbitMQ 4.3 refuses, in its words: its sources are where codes and texts are from. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Channel } from 'amqplib';
import { RawPeer } from '../../amqp/raw-peer.ts';
import { place } from './broker.ts';
import { client, closedWith } from './client.ts';

type Refusal = [code: number, text: string, act: (on: Channel) => Promise<unknown>];

/** Each on a channel of its own, which it closes. */
async function refusedAll(t: TestContext, setUp: (channel: Channel) => Promise<unknown>, refusals: Refusal[]) {
  const { channel, connection } = await client(t);
  await setUp(channel);
  for (const [code, text, act] of refusals) {
    const on = await connection.createChannel();
    on.on('error', () => {});
    const error = await closedWith(on, () => act(on));
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(text), `${error.message}\ninstead of\n${text}`);
  }
}

const QUORUM = { 'x-queue-type': 'quorum' };
const STREAM = { 'x-queue-type': 'stream' };

test('a queue that names no type is classic to another declare, and is told so', async (t) => {
  const differs = (queue: string, received: string, current: string): string =>
    `inequivalent arg 'x-queue-type' for queue '${queue}' in vhost '/': received '${received}' but current is '${current}'`;
  await refusedAll(
    t,
    async (channel) => {
      await channel.assertQueue('none');
      await channel.assertQueue('none', { arguments: { 'x-queue-type': 'classic' } });
      await channel.assertQueue('classic', { arguments: { 'x-queue-type': 'classic' } });
      await channel.assertQueue('classic');
      await channel.assertQueue('quorum', { arguments: QUORUM });
    },
    [
      [406, differs('none', 'quorum', 'classic'), (on) => on.assertQueue('none', { arguments: QUORUM })],
      [406, differs('classic', 'stream', 'classic'), (on) => on.assertQueue('classic', { arguments: STREAM })],
      [406, differs('quorum', 'classic', 'quorum'), (on) => on.assertQueue('quorum')],
    ],
  );
});

test('two declares that do not agree on whether a queue is exclusive are refused with 405', async (t) => {
  const locked = (queue: string): string =>
    `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}'`;
  await refusedAll(
    t,
    async (channel) => {
      await channel.assertQueue('open');
      await channel.assertQueue('own', { exclusive: true });
      await channel.assertQueue('own', { exclusive: true, durable: false });
    },
    [
      [405, locked('open'), (on) => on.assertQueue('open', { exclusive: true })],
      [405, locked('own'), (on) => on.assertQueue('own')],
    ],
  );
});

test('a whole number, a broken one and a text of its digits are different arguments', async (t) => {
  const others = ['1000', { '!': 'double', value: 1000 }];
  await refusedAll(
    t,
    (channel) => channel.assertQueue('q', { messageTtl: 1000 }),
    others.map((messageTtl): Refusal => [
      406,
      "inequivalent arg 'x-message-ttl' for queue 'q'",
      (on) => on.assertQueue('q', { arguments: { 'x-message-ttl': messageTtl } }),
    ]),
  );
});

test('arguments of other types of queues are refused, and so is what only classic queues can be', async (t) => {
  const ofType = (name: string, type: string): string =>
    `invalid arg '${name}' for queue 'q' in vhost '/' of queue type rabbit_${type}_queue`;
  const declare =
    (args: object, options: object = {}) =>
    (on: Channel) =>
      on.assertQueue('q', { ...options, arguments: args });
  await refusedAll(t, async () => {}, [
    ...['x-delivery-limit', 'x-max-age', 'x-quorum-initial-group-size', 'x-consumer-timeout'].map((name): Refusal => [
      406,
      ofType(name, 'classic'),
      declare({ [name]: 5 }),
    ]),
    ...['x-queue-mode', 'x-max-priority', 'x-initial-cluster-size'].map((name): Refusal => [
      406,
      ofType(name, 'quorum'),
      declare({ ...QUORUM, [name]: 5 }),
    ]),
    ...['x-single-active-consumer', 'x-consumer-timeout', 'x-dead-letter-strategy'].map((name): Refusal => [
      406,
      ofType(name, 'stream'),
      declare({ ...STREAM, [name]: 5 }),
    ]),
    [406, `"unsupported queue type 'lazy'"`, declare({ 'x-queue-type': 'lazy' })],
    [406, 'invalid_dlx_strategy', declare({ ...QUORUM, 'x-dead-letter-strategy': 'twice' })],
    [406, 'invalid_queue_locator_arg', declare({ 'x-queue-leader-locator': 'here' })],
    [406, '{value_zero,0}', declare({ ...QUORUM, 'x-quorum-initial-group-size': 0 })],
    [406, '{value_too_large,315360000001}', declare({ 'x-message-ttl': 315_360_000_001 })],
    [406, '{value_too_large,315360000001}', declare({ 'x-expires': 315_360_000_001 })],
    ...[QUORUM, STREAM].flatMap((type): Refusal[] => [
      [406, "invalid property 'auto-delete' for queue 'q' in vhost '/'", declare(type, { autoDelete: true })],
      [406, "invalid property 'exclusive-owner' for queue 'q' in vhost '/'", declare(type, { exclusive: true })],
      [406, "invalid property 'non-durable' for queue 'q' in vhost '/'", declare(type, { durable: false })],
      [
        406,
        `Cannot declare a server-named queue for type rabbit_${type['x-queue-type']}_queue`,
        (on) => on.assertQueue('', { arguments: type }),
      ],
    ]),
  ]);
});

test('arguments that say where RabbitMQ stores must be the same in another declare', async (t) => {
  const { channel } = await client(t);
  const where = { 'x-queue-mode': 'lazy', 'x-queue-version': 2, 'x-queue-leader-locator': 'balanced' };
  await channel.assertQueue('q', { arguments: where });
  await channel.assertQueue('q', { arguments: where });
  const { code, message } = await closedWith(channel, () => channel.assertQueue('q'));
  assert.equal(code, 406);
  assert.match(message, /inequivalent arg 'x-queue-mode' for queue 'q' in vhost '\/': received none/);
});

test('arguments of consumers of streams are refused by other queues', async (t) => {
  await refusedAll(
    t,
    async (channel) => {
      await channel.assertQueue('q');
      await channel.assertQueue('quorum', { arguments: QUORUM });
    },
    [
      [
        406,
        "invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue type rabbit_classic_queue",
        (on) => on.consume('q', () => {}, { arguments: { 'x-stream-offset': 'first' } }),
      ],
      [
        406,
        `invalid arg 'x-priority' for queue 'q' in vhost '/': "expected integer, got longstr"`,
        (on) => on.consume('q', () => {}, { arguments: { 'x-priority': 'high' } }),
      ],
      [
        406,
        "invalid arg 'x-stream-filter' for queue 'quorum' in vhost '/' of queue type rabbit_quorum_queue",
        (on) => on.consume('quorum', () => {}, { arguments: { 'x-stream-filter': 'a' } }),
      ],
    ],
  );
});

test('an unknown type of exchange is 406, and so is an expiration that makes no sense', async (t) => {
  const expire = (expiration: string) => async (on: Channel) => on.sendToQueue('q', Buffer.from('x'), { expiration });
  await refusedAll(
    t,
    async (channel) => {
      await channel.assertQueue('q');
      channel.sendToQueue('q', Buffer.from('x'), { expiration: '+315360000000' });
    },
    [
      [406, "unknown exchange type 'x-random'", (on) => on.assertExchange('x', 'x-random')],
      [406, "invalid expiration 'soon': no_integer", expire('soon')],
      [406, `invalid expiration '5s': {leftover_string,"s"}`, expire('5s')],
      [406, "invalid expiration '-1': {value_negative,-1}", expire('-1')],
      [406, "invalid expiration '315360000001': {value_too_large,315360000001}", expire('315360000001')],
    ],
  );
});

test('the default exchange cannot be asked for, and nothing is bound to who waits for a direct reply', async (t) => {
  await refusedAll(t, async () => {}, [
    [403, 'operation not permitted on the default exchange', (on) => on.checkExchange('')],
    [
      403,
      'cannot bind or unbind to a volatile (direct reply-to) queue',
      (on) => on.bindQueue('amq.rabbitmq.reply-to', 'amq.direct', 'k'),
    ],
  ]);
});

/** Logged in, and asked to tune. */
async function tuning(port: number): Promise<RawPeer> {
  const peer = await RawPeer.dial(port);
  await peer.login();
  return peer;
}

test('an answer to a challenge that was not sent ends the connection with 504', async (t) => {
  const { port } = await place(t);
  for (const [state, dial] of [
    ['tuning', () => tuning(port)],
    ['running', () => RawPeer.open(port)],
  ] as const) {
    const peer = await dial();
    peer.out.method(0, 'connectionSecureOk', { response: Buffer.from('x') });
    const { replyCode, replyText } = await peer.wait('connectionClose');
    assert.deepEqual([replyCode, replyText], [504, `CHANNEL_ERROR - unexpected method in connection state ${state}`]);
    peer.socket.destroy();
  }
});

test('a stream has no single active consumer, and an exchange no type for super streams', async (t) => {
  const { connection } = await client(t);
  const args = { 'x-queue-type': 'stream', 'x-single-active-consumer': true };
  for (const [text, ask] of [
    [
      /invalid arg 'x-single-active-consumer' for queue 's' in vhost '\/' of queue type rabbit_stream_queue/,
      (on: Channel) => on.assertQueue('s', { arguments: args }),
    ],
    [/unknown exchange type 'x-super-stream'/, (on: Channel) => on.assertExchange('x', 'x-super-stream')],
  ] as const) {
    const on = await connection.createChannel();
    const { code, message } = await closedWith(on, () => ask(on));
    assert.equal(code, 406);
    assert.match(message, text);
  }
});
