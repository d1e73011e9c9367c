/** Headers of every type, written byte by byte: what comes is what was sent, wherever the message was meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawPeer } from '../../amqp/raw-peer.ts';
import { content } from '../../amqp/wire.ts';
import { eventually } from '../../eventually.ts';
import { place } from './broker.ts';

/** A value: its type, and its bytes in hexadecimal. */
type Value = readonly [type: string, bytes: string];

/** Each type with its ends. */
const VALUES: Readonly<Record<string, Value>> = {
  yes: ['t', '01'],
  no: ['t', '00'],
  'signed 8 least': ['b', '80'],
  'signed 8 most': ['b', '7f'],
  'unsigned 8 most': ['B', 'ff'],
  'signed 16 least': ['s', '8000'],
  'signed 16 most': ['s', '7fff'],
  'unsigned 16 most': ['u', 'ffff'],
  'signed 32 least': ['I', '80000000'],
  'signed 32 most': ['I', '7fffffff'],
  'unsigned 32 most': ['i', 'ffffffff'],
  'signed 64 least': ['l', '8000000000000000'],
  'signed 64 most': ['l', '7fffffffffffffff'],
  'signed 64, more than a double holds': ['l', '0020000000000001'],
  'unsigned 64 most': ['L', 'ffffffffffffffff'],
  'float, a half': ['f', '3f000000'],
  'float, not a number, with a mark of its own': ['f', '7fa00001'],
  'double, a tenth': ['d', '3fb999999999999a'],
  'double, not a number, with a mark of its own': ['d', '7ff4000000000001'],
  'double, minus nothing': ['d', '8000000000000000'],
  'decimal, -12.345': ['D', '03ffffcfc7'],
  'decimal, many digits': ['D', 'ff7fffffff'],
  text: ['S', sized(Buffer.from('ключ').toString('hex'))],
  'text that is no UTF-8': ['S', sized('fffe00c0')],
  'no text': ['S', sized('')],
  bytes: ['x', sized('00ff80')],
  'no bytes': ['x', sized('')],
  'timestamp, now': ['T', '0000000065535100'],
  'timestamp, far': ['T', 'ffffffffffffffff'],
  nothing: ['V', ''],
};

/** With the size in front. */
function sized(bytes: string): string {
  return `${(bytes.length / 2).toString(16).padStart(8, '0')}${bytes}`;
}

function letter(type: string): string {
  return Buffer.from(type, 'latin1').toString('hex');
}

function table(entries: Readonly<Record<string, Value>>): string {
  const all = Object.entries(entries).map(([name, [type, bytes]]) => {
    const text = Buffer.from(name);
    return `${text.byteLength.toString(16).padStart(2, '0')}${text.toString('hex')}${letter(type)}${bytes}`;
  });
  return sized(all.join(''));
}

function array(values: readonly Value[]): string {
  return sized(values.map(([type, bytes]) => letter(type) + bytes).join(''));
}

const NESTED: Readonly<Record<string, Value>> = {
  array: ['A', array(Object.values(VALUES))],
  'empty array': ['A', sized('')],
  table: ['F', table(VALUES)],
  'empty table': ['F', sized('')],
  'arrays in tables in arrays': [
    'A',
    array([
      ['F', table({ deep: ['A', array([['F', table({ deeper: ['L', 'ffffffffffffffff'] })]])] })],
      ['A', array([['D', '0200000001']])],
    ]),
  ],
};

const ALL = table({ ...VALUES, ...NESTED });
/** Flags that say that there are headers, and nothing else. */
const PROPERTIES = Buffer.from(`2000${ALL}`, 'hex');

const QUEUE = { reserved1: 0, passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false };

class Peer {
  readonly raw: RawPeer;

  constructor(raw: RawPeer) {
    this.raw = raw;
  }

  async declare(queue: string, args: Readonly<Record<string, string>>): Promise<void> {
    const fields = Object.entries(args).map(([name, text]) => [name, { type: 'S', value: Buffer.from(text) }] as const);
    await this.raw.ask(1, 'queueDeclare', { ...QUEUE, queue, arguments: new Map(fields) }, 'queueDeclareOk');
  }

  publish(queue: string): void {
    const to = { reserved1: 0, exchange: '', routingKey: queue, mandatory: false, immediate: false };
    this.raw.out.method(1, 'basicPublish', to);
    for (const frame of content(1, PROPERTIES, Buffer.from('m'))) this.raw.out.bytes(frame);
    this.raw.out.flush();
  }

  /** Properties of the next message, as they came; and its tag. */
  async get(queue: string): Promise<{ properties: Buffer; deliveryTag: number }> {
    const before = this.raw.bodies.length;
    const { deliveryTag } = await this.raw.ask(1, 'basicGet', { reserved1: 0, queue, noAck: false }, 'basicGetOk');
    await eventually('its body', () => this.raw.bodies.length > before);
    return { properties: this.raw.properties.at(-1) ?? Buffer.alloc(0), deliveryTag: Number(deliveryTag) };
  }
}

test('headers of every type come back byte for byte, through queues, a stream and a crash', async (t) => {
  const { port, broker } = await place(t);
  const peer = new Peer(await RawPeer.open(port));
  const types = { classic: 'classic', quorum: 'quorum', stream: 'stream' };
  for (const [queue, type] of Object.entries(types)) await peer.declare(queue, { 'x-queue-type': type });
  await peer.raw.ask(1, 'confirmSelect', { noWait: false }, 'confirmSelectOk');
  for (const queue of Object.keys(types)) {
    peer.publish(queue);
    await peer.raw.wait('basicAck');
  }
  await broker.faults.crashAndRecover({ powerCut: true });
  const after = new Peer(await RawPeer.open(port));
  t.after(() => after.raw.socket.destroy());
  for (const queue of ['classic', 'quorum']) {
    const { properties, deliveryTag } = await after.get(queue);
    assert.equal(properties.toString('hex'), PROPERTIES.toString('hex'), queue);
    // Once more: what was given back is not written anew either.
    after.raw.out.method(1, 'basicNack', { deliveryTag, multiple: false, requeue: true });
    if (queue === 'classic') assert.deepEqual((await after.get(queue)).properties, PROPERTIES);
  }
  const qos = { prefetchSize: 0, prefetchCount: 1, global: false };
  await after.raw.ask(1, 'basicQos', qos, 'basicQosOk');
  const first = new Map([['x-stream-offset', { type: 'S', value: Buffer.from('first') } as const]]);
  const flags = { reserved1: 0, noLocal: false, noAck: false, exclusive: false, noWait: false };
  const consume = { ...flags, queue: 'stream', consumerTag: 'c', arguments: first };
  await after.raw.ask(1, 'basicConsume', consume, 'basicConsumeOk');
  await after.raw.wait('basicDeliver');
  await eventually('its body', () => after.raw.bodies.length === 4);
  assertHolds(after.raw.properties.at(-1));
});

test('headers of every type stay as they were beside the story of a dead letter', async (t) => {
  const { port } = await place(t);
  const peer = new Peer(await RawPeer.open(port));
  t.after(() => peer.raw.socket.destroy());
  await peer.declare('dead', {});
  await peer.declare('q', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' });
  await peer.raw.ask(1, 'confirmSelect', { noWait: false }, 'confirmSelectOk');
  peer.publish('q');
  await peer.raw.wait('basicAck');
  const { deliveryTag } = await peer.get('q');
  // The dead letter is waited for: a reject has no answer.
  const flags = { reserved1: 0, noLocal: false, noAck: true, exclusive: false, noWait: false };
  const consume = { ...flags, queue: 'dead', consumerTag: 'c', arguments: new Map() };
  await peer.raw.ask(1, 'basicConsume', consume, 'basicConsumeOk');
  peer.raw.out.method(1, 'basicReject', { deliveryTag, requeue: false });
  await peer.raw.wait('basicDeliver');
  await eventually('its body', () => peer.raw.bodies.length === 2);
  assertHolds(peer.raw.properties.at(-1));
});

/** More headers than were sent, which stand behind them. */
function assertHolds(properties: Buffer | undefined): void {
  assert.ok(properties !== undefined);
  const sent = PROPERTIES.subarray(6);
  assert.equal(properties.readUInt16BE(0), 0x2000);
  assert.ok(properties.readUInt32BE(2) > sent.byteLength);
  assert.ok(properties.subarray(6, 6 + sent.byteLength).equals(sent), properties.toString('hex'));
}
