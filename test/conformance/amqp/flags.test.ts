/** Flags of methods that few clients set, written by a peer that knows no better. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawPeer } from '../../amqp/raw-peer.ts';
import { place } from './broker.ts';

const TABLE = new Map();
const QUEUE = { reserved1: 0, passive: false, durable: true, exclusive: false, autoDelete: false };
const EXCHANGE = { reserved1: 0, passive: false, durable: true, autoDelete: false, internal: false };
const BINDING = { reserved1: 0, routingKey: 'k', arguments: TABLE };
const CONSUME = { reserved1: 0, noLocal: false, noAck: true, exclusive: false, arguments: TABLE };
const PUBLISH = { reserved1: 0, mandatory: false, immediate: false };
/** A content header and a body of one byte. */
const CONTENT = Buffer.from(
  '0200010000000e003c0000000000000000000100 00ce 03000100000001 78ce'.replaceAll(' ', ''),
  'hex',
);

test('methods with no-wait are obeyed and not answered, and their errors are told', async (t) => {
  const { port } = await place(t);
  const peer = await RawPeer.open(port);
  t.after(() => peer.socket.destroy());
  const noWait = true;
  peer.out.method(1, 'confirmSelect', { noWait });
  peer.out.method(1, 'exchangeDeclare', { ...EXCHANGE, exchange: 'x', type: 'direct', noWait, arguments: TABLE });
  peer.out.method(1, 'exchangeDeclare', { ...EXCHANGE, exchange: 'y', type: 'direct', noWait, arguments: TABLE });
  peer.out.method(1, 'exchangeBind', { ...BINDING, destination: 'y', source: 'x', noWait });
  for (const queue of ['q', 'r']) peer.out.method(1, 'queueDeclare', { ...QUEUE, queue, noWait, arguments: TABLE });
  peer.out.method(1, 'queueBind', { ...BINDING, queue: 'q', exchange: 'y', noWait });
  peer.out.method(1, 'basicConsume', { ...CONSUME, queue: 'q', consumerTag: 'c', noWait });
  peer.out.method(1, 'basicPublish', { ...PUBLISH, exchange: 'x', routingKey: 'k' });
  peer.out.bytes(CONTENT);
  peer.out.flush();
  // What was obeyed shows in what comes: a confirm, and the message by two exchanges.
  await peer.wait('basicDeliver');
  peer.out.method(1, 'basicCancel', { consumerTag: 'c', noWait });
  peer.out.method(1, 'exchangeUnbind', { ...BINDING, destination: 'y', source: 'x', noWait });
  peer.out.method(1, 'exchangeDelete', { reserved1: 0, exchange: 'y', ifUnused: false, noWait });
  peer.out.method(1, 'queuePurge', { reserved1: 0, queue: 'q', noWait });
  peer.out.method(1, 'queueDelete', { reserved1: 0, queue: 'r', ifUnused: false, ifEmpty: false, noWait });
  const declared = { ...QUEUE, queue: 'q', noWait: false, arguments: TABLE };
  const { consumerCount } = await peer.ask(1, 'queueDeclare', declared, 'queueDeclareOk');
  assert.equal(consumerCount, 0);
  assert.deepEqual(
    new Set(peer.came.filter(({ channel }) => channel === 1).map(({ method }) => method.name)),
    new Set(['channelOpenOk', 'basicAck', 'basicDeliver', 'queueDeclareOk']),
  );
  peer.out.method(1, 'queuePurge', { reserved1: 0, queue: 'r', noWait });
  assert.equal((await peer.wait('channelClose')).replyCode, 404);
});

test('an exchange that something is bound to is not deleted if-unused, and a method without a name means the last queue', async (t) => {
  const { port } = await place(t);
  const peer = await RawPeer.open(port);
  t.after(() => peer.socket.destroy());
  const exchange = { ...EXCHANGE, exchange: 'x', type: 'direct', noWait: false, arguments: TABLE };
  await peer.ask(1, 'exchangeDeclare', exchange, 'exchangeDeclareOk');
  const named = { ...QUEUE, queue: '', noWait: false, arguments: TABLE };
  const { queue } = await peer.ask(1, 'queueDeclare', named, 'queueDeclareOk');
  assert.match(queue, /^amq\.gen-/);
  // Queue and key of a binding, and the queue of a purge, of a get and of a consume.
  const bind = { ...BINDING, queue: '', exchange: 'x', routingKey: '', noWait: false };
  await peer.ask(1, 'queueBind', bind, 'queueBindOk');
  peer.out.method(1, 'basicPublish', { ...PUBLISH, exchange: 'x', routingKey: queue });
  peer.out.bytes(CONTENT);
  await peer.ask(1, 'basicGet', { reserved1: 0, queue: '', noAck: true }, 'basicGetOk');
  await peer.ask(1, 'queuePurge', { reserved1: 0, queue: '', noWait: false }, 'queuePurgeOk');
  await peer.ask(1, 'basicConsume', { ...CONSUME, queue: '', consumerTag: '', noWait: false }, 'basicConsumeOk');
  const remove = { reserved1: 0, exchange: 'x', ifUnused: true, noWait: false };
  const { replyCode, replyText } = await peer.ask(1, 'exchangeDelete', remove, 'channelClose');
  assert.deepEqual([replyCode, replyText], [406, "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use"]);
});
