/** What one connection of AMQP may take of the broker: as much as is allowed, and one more. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import type { AmqpLimits } from '../../src/gateways/amqp/limits.ts';
import { eventually } from '../eventually.ts';
import { handshake, inProcess, type InProcess, type Wire } from './in-process.ts';
import { content, cut, written } from './wire.ts';

async function place(t: TestContext, limits: Partial<AmqpLimits> = {}): Promise<InProcess> {
  const at = await inProcess(limits);
  const wires: Wire[] = [];
  t.after(async () => {
    for (const wire of wires) wire.destroy();
    await at.close();
    assert.deepEqual(at.bugs, []);
  });
  const connect = (): Wire => {
    const wire = at.connect();
    wires.push(wire);
    return wire;
  };
  return { ...at, connect };
}

const DECLARE = { reserved1: 0, passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false };
const CONSUME = { reserved1: 0, noLocal: false, noAck: true, exclusive: false, noWait: true, arguments: new Map() };
/** Class and method of connection.close and channel.close. */
const CONNECTION_CLOSE = '000a0032';
const CHANNEL_OPEN_OK = '0014000b';
const CHANNEL_CLOSE = '00140028';

/** The reply code of a close that came, if one did. */
function closedWith({ sent }: Wire, what: string): number | undefined {
  for (const frame of cut([Buffer.concat(sent)]))
    if (frame.subarray(7, 11).toString('hex') === what) return frame.readUInt16BE(11);
  return undefined;
}

/** Its first channel. */
function isOpen({ sent }: Wire): boolean {
  return cut([Buffer.concat(sent)]).some((frame) => frame.subarray(7, 11).toString('hex') === CHANNEL_OPEN_OK);
}

const consume = (tag: string): Buffer =>
  written((out) => out.method(1, 'basicConsume', { ...CONSUME, queue: 'q', consumerTag: tag }));
const declare = (queue: string): Buffer =>
  written((out) => out.method(1, 'queueDeclare', { ...DECLARE, queue, arguments: new Map() }));
const publish = (bytes: number): Buffer =>
  Buffer.concat([
    written((out) =>
      out.method(1, 'basicPublish', {
        reserved1: 0,
        exchange: '',
        routingKey: 'q',
        mandatory: false,
        immediate: false,
      }),
    ),
    ...content(1, Buffer.alloc(2), Buffer.alloc(bytes)),
  ]);

test('a channel has at most maxConsumers', async (t) => {
  const at = await place(t, { maxConsumers: 3 });
  const wire = at.connect();
  wire.push(Buffer.concat([handshake(), declare('q'), ...['a', 'b', 'c'].map(consume)]));
  const consumers = async (): Promise<number> => {
    const session = at.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
    const found = await session.request('listConsumers', { topic: 'q', subscription: 'q' }).catch(() => undefined);
    await session.close();
    return found?.consumers.length ?? 0;
  };
  await eventually('three consume', async () => (await consumers()) === 3);
  assert.equal(closedWith(wire, CONNECTION_CLOSE), undefined);
  wire.push(consume('d'));
  // RabbitMQ's code for it, which ends the connection.
  await eventually('the fourth is refused', () => closedWith(wire, CONNECTION_CLOSE) === 530);
  await wire.leave();
});

test('a connection opens no more channels than was agreed, of which channelMax is the most', async (t) => {
  const at = await place(t, { channelMax: 2_047 });
  const wire = at.connect();
  wire.push(handshake(2_047));
  const opened = (): number =>
    cut([Buffer.concat(wire.sent)]).filter((frame) => frame.subarray(7, 11).toString('hex') === CHANNEL_OPEN_OK).length;
  await eventually('all are open', () => opened() === 2_047);
  wire.push(written((out) => out.method(2_048, 'channelOpen', { reserved1: '' })));
  await eventually('one more ends the connection', () => closedWith(wire, CONNECTION_CLOSE) !== undefined);
  await wire.leave();
});

test('while more than maxHeldBytes wait for the engine nothing more of the connection is read', async (t) => {
  const at = await place(t, { maxHeldBytes: 100_000 });
  const session = at.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const policy = { maxMessages: 1, overflow: 'block' } as const;
  await session.request('declareTopic', { name: 'q', kind: 'queue', policy });
  const wire = at.connect();
  wire.push(handshake());
  await eventually('it is logged in', () => isOpen(wire));
  for (let i = 0; i < 100; i++) wire.push(publish(10_000));
  await eventually('it is not read any more', () => wire.isPaused());
  assert.ok(wire.readableLength > 500_000, `${wire.readableLength} of a million bytes were not taken`);
  const other = at.connect();
  other.push(handshake());
  await eventually('another one is read', () => isOpen(other));
  assert.equal(closedWith(wire, CHANNEL_CLOSE), undefined);
  wire.destroy();
  await other.leave();
  await session.close();
});

test('a client that lets more than maxOutputBytes of answers wait is cut off', async (t) => {
  const at = await place(t, { highWaterBytes: 10_000, maxOutputBytes: 50_000 });
  const wire = at.connect();
  wire.push(handshake());
  await eventually('it is logged in', () => isOpen(wire));
  wire.stall();
  let asked = 0;
  await eventually('it is cut off', () => {
    for (let i = 0; i < 20 && !wire.destroyed; i++, asked++) wire.push(declare(`queue-${'x'.repeat(100)}`));
    return wire.destroyed || wire.writableEnded;
  });
  assert.ok(asked * 120 > 50_000 / 2, `${asked} answers`);
  wire.readOn();
  wire.destroy();
});
