import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { attach, gatewayOf, type Wire } from '../../../test/amqp/in-process.ts';
import { content, written } from '../../../test/amqp/wire.ts';
import { AmqpPeer } from '../../../test/simulation/amqp-peer.ts';
import { SystemClock } from '../../core/clock.ts';
import type { PublishRequest, Session } from '../../core/session.ts';
import { Broker } from '../../engine/broker.ts';
import { FileBlobs } from '../../storage/blobs.ts';
import { FileJournal } from '../../storage/journal/file-journal.ts';
import { MemoryDisk } from '../../storage/memory/memory-disk.ts';
import { amqpFormat } from './content.ts';
import { AMQP_LIMITS } from './limits.ts';
import { encodeProperties } from './properties.ts';

const MIB = 1024 * 1024;
/** Of pieces of 256 KiB that wait for a client, and those under way. */
const MOST_PIECES = 8;
const CHANNELS = 6;

interface Heard {
  channel: number;
  name: string;
  body: Buffer;
}

interface Bench {
  peer: AmqpPeer;
  wire: Wire;
  heard: Heard[];
  /** The code with which the broker ended the connection. */
  ended: number[];
  published: PublishRequest[];
  /** Pieces of bodies that were read. */
  readonly pieces: () => number;
  /** Waits until so much was heard. */
  readonly until: (what: () => boolean) => Promise<void>;
  /** The disk takes nothing until it is let go on. */
  readonly stallDisk: () => () => void;
}

async function bench(t: TestContext): Promise<Bench> {
  const disk = new MemoryDisk();
  const blobs = await FileBlobs.open(disk);
  const broker = await Broker.open({ journal: new FileJournal(disk), blobs, formats: [amqpFormat] });
  const published: PublishRequest[] = [];
  let pieces = 0;
  let disks = Promise.resolve();
  const wrap = (session: Session): Session => ({
    publish: (request) => {
      published.push(request);
      return session.publish(request);
    },
    body: async (to, bytes) => {
      const writer = await session.body(to, bytes);
      const write = async (piece: Uint8Array): Promise<void> => {
        await disks;
        await writer.write(piece);
      };
      return { id: writer.id, write, end: () => writer.end(), abort: () => writer.abort() };
    },
    consume: (request, sink) => session.consume(request, sink),
    settle: (settlements) => session.settle(settlements),
    commit: (transaction) => session.commit(transaction),
    request: (operation, args) => {
      if (operation === 'readBody') pieces++;
      return session.request(operation, args);
    },
    close: (how) => session.close(how),
  });
  const bugs: unknown[] = [];
  const clock = new SystemClock();
  const gateway = gatewayOf({ connect: (options) => wrap(broker.connect(options)) }, clock, bugs);
  const heard: Heard[] = [];
  const ended: number[] = [];
  const peer = new AmqpPeer(attach(gateway, clock), CHANNELS, (channel, { name, args }, body) => {
    heard.push({ channel, name, body });
    if (name === 'connectionClose') ended.push(args.replyCode);
  });
  t.after(async () => {
    peer.cut();
    await gateway.close();
    await broker.close();
    assert.deepEqual(bugs, []);
  });
  const flags = { passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false };
  peer.say(1, 'queueDeclare', { reserved1: 0, queue: 'q', ...flags, arguments: new Map() });
  peer.say(1, 'confirmSelect', { noWait: false });
  return {
    peer,
    wire: peer.wire,
    heard,
    ended,
    published,
    pieces: () => pieces,
    until: async (what) => {
      while (!what()) await new Promise((resolve) => setImmediate(resolve));
    },
    stallDisk: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      disks = promise;
      return resolve;
    },
  };
}

const names = (heard: readonly Heard[], channel: number): string[] =>
  heard.filter((one) => one.channel === channel).map(({ name }) => name);

/** Time for whatever would happen to happen. */
async function quiet(): Promise<void> {
  for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('a large body is handed on as it comes, and no more is read while the disk does not take it', async (t) => {
  const { peer, wire, heard, published, until, stallDisk } = await bench(t);
  await until(() => names(heard, 1).includes('confirmSelectOk'));
  const goOn = stallDisk();
  const large = Buffer.alloc(AMQP_LIMITS.maxMessageBytes, 'large');
  for (let i = 0; i < 3; i++) peer.publish(1, '', 'q', large);
  peer.publish(1, '', 'q', Buffer.from('small'));
  await quiet();
  assert.ok(wire.isPaused(), 'the connection is not read while much waits');
  assert.equal(published.length, 0);
  goOn();
  await until(() => names(heard, 1).includes('basicAck') && published.length === 4);
  assert.ok(published.every(({ records }) => records.byteLength < 100));
  assert.deepEqual(
    published.map(({ body }) => body !== undefined),
    [true, true, true, false],
    'in their order',
  );
});

test('a large message is read as the client takes it; its channel hears nothing else meanwhile, others do', async (t) => {
  const { peer, wire, heard, pieces, until } = await bench(t);
  const large = Buffer.alloc(8 * MIB, 'railhead');
  peer.publish(1, '', 'q', large);
  peer.publish(1, '', 'q', Buffer.from('small'));
  await until(() => names(heard, 1).includes('basicAck'));
  const consume = { noLocal: false, noAck: false, exclusive: false, noWait: false, arguments: new Map() };
  wire.stall();
  peer.say(2, 'basicConsume', { reserved1: 0, queue: 'q', consumerTag: 'c', ...consume });
  await quiet();
  peer.say(2, 'basicQos', { prefetchSize: 0, prefetchCount: 9, global: false });
  peer.say(1, 'basicQos', { prefetchSize: 0, prefetchCount: 9, global: false });
  await quiet();
  assert.ok(pieces() > 0 && pieces() <= MOST_PIECES, `${pieces()} pieces of 32 were read`);
  wire.readOn();
  let asked = 0;
  await until(() => {
    wire.readOn();
    asked++;
    return names(heard, 2).filter((name) => name === 'basicDeliver').length === 2;
  });
  assert.ok(asked > 0);
  const [first, second] = heard.filter(({ name }) => name === 'basicDeliver');
  assert.ok(first?.body.equals(large));
  assert.equal(second?.body.toString(), 'small');
  // `AmqpPeer` throws at a method in the middle of a content. On the other channel it came before its end.
  const at = (channel: number, name: string): number =>
    heard.findIndex((one) => one.channel === channel && one.name === name);
  assert.ok(at(1, 'basicQosOk') < at(2, 'basicDeliver'), names(heard, 2).join());
  assert.ok(at(2, 'basicQosOk') > at(2, 'basicDeliver'));
});

test('a channel that is closed in the middle of a large message is told so after it, and gives the rest back', async (t) => {
  const { peer, wire, heard, until } = await bench(t);
  for (let i = 0; i < 3; i++) peer.publish(1, '', 'q', Buffer.alloc(4 * MIB, String(i)));
  await until(() => names(heard, 1).filter((name) => name === 'basicAck').length > 0);
  const consume = { noLocal: false, noAck: false, exclusive: false, noWait: false, arguments: new Map() };
  wire.stall();
  peer.say(2, 'basicConsume', { reserved1: 0, queue: 'q', consumerTag: 'c', ...consume });
  await quiet();
  peer.say(2, 'channelClose', { replyCode: 200, replyText: '', classId: 0, methodId: 0 });
  await until(() => {
    wire.readOn();
    return names(heard, 2).includes('channelCloseOk');
  });
  assert.deepEqual(names(heard, 2), ['channelOpenOk', 'basicConsumeOk', 'basicDeliver', 'channelCloseOk']);
  const flags = { passive: true, durable: true, exclusive: false, autoDelete: false, noWait: false };
  peer.say(1, 'queueDeclare', { reserved1: 0, queue: 'q', ...flags, arguments: new Map() });
  peer.say(1, 'basicGet', { reserved1: 0, queue: 'q', noAck: false });
  await until(() => names(heard, 1).includes('basicGetOk'));
  assert.equal(heard.findLast(({ name }) => name === 'basicGetOk')?.body.toString('utf8', 0, 1), '0');
});

test('a large message whose queue is deleted while it is half sent ends the connection with 541', async (t) => {
  const { peer, wire, heard, ended, until } = await bench(t);
  peer.publish(1, '', 'q', Buffer.alloc(8 * MIB, 'railhead'));
  await until(() => names(heard, 1).includes('basicAck'));
  const consume = { noLocal: false, noAck: false, exclusive: false, noWait: false, arguments: new Map() };
  wire.stall();
  peer.say(2, 'basicConsume', { reserved1: 0, queue: 'q', consumerTag: 'c', ...consume });
  await quiet();
  peer.say(1, 'queueDelete', { reserved1: 0, queue: 'q', ifUnused: false, ifEmpty: false, noWait: false });
  await quiet();
  await until(() => {
    wire.readOn();
    return ended.length > 0;
  });
  assert.deepEqual(ended, [541]);
  assert.ok(!names(heard, 2).includes('basicDeliver'), 'nobody takes a part for the whole');
});

test('a transaction takes a bounded part of memory, which comes back when it ends; above it the connection ends with 506', async (t) => {
  const { peer, heard, ended, published, until } = await bench(t);
  const large = Buffer.alloc(AMQP_LIMITS.maxMessageBytes, 'large');
  peer.say(2, 'txSelect', {});
  const gather = (): void => {
    for (let i = 0; i < 3; i++) peer.publish(2, '', 'q', large);
  };
  const count = (name: string): number => names(heard, 2).filter((each) => each === name).length;
  gather();
  peer.say(2, 'txRollback', {});
  gather();
  peer.say(2, 'txRollback', {});
  await until(() => count('txRollbackOk') === 2);
  assert.deepEqual(ended, []);
  gather();
  peer.publish(2, '', 'q', large);
  await until(() => ended.length > 0);
  assert.deepEqual([ended, published.length], [[506], 0]);
});

test('messages that have to be whole take a bounded part of memory while they come, over all channels together', async (t) => {
  const begin = (bench: Bench, mandatory: boolean): void => {
    for (let channel = 2; channel <= CHANNELS; channel++) {
      const args = { reserved1: 0, exchange: '', routingKey: 'q', mandatory, immediate: false };
      const frames = content(channel, encodeProperties({}), Buffer.alloc(AMQP_LIMITS.maxMessageBytes));
      const method = written((out) => out.method(channel, 'basicPublish', args));
      // All but their ends.
      bench.peer.wire.push(Buffer.concat([method, ...frames.slice(0, -1)]));
    }
  };
  const pieces = await bench(t);
  begin(pieces, false);
  await quiet();
  assert.deepEqual(pieces.ended, [], 'what may go in pieces does not count');
  const whole = await bench(t);
  begin(whole, true);
  await whole.until(() => whole.ended.length > 0);
  assert.deepEqual(whole.ended, [506]);
});
