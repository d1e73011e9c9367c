import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { test, type TestContext } from 'node:test';
import { RawPeer } from '../../../test/amqp/raw-peer.ts';
import { written } from '../../../test/amqp/wire.ts';
import { type Authenticator, LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { ManualClock, SystemClock } from '../../core/clock.ts';
import { SeededRandom } from '../../core/random.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Shortage } from '../../core/broker-info.ts';
import type { Session } from '../../core/session.ts';
import { Broker } from '../../engine/broker.ts';
import { FileBlobs } from '../../storage/blobs.ts';
import { FileJournal } from '../../storage/journal/file-journal.ts';
import { MemoryDisk } from '../../storage/memory/memory-disk.ts';
import { Listener } from '../listener.ts';
import { PROTOCOL_HEADER } from './codec.ts';
import { flagField } from './fields.ts';
import { amqpFormat } from './content.ts';
import type { AmqpLimits } from './limits.ts';
import { type Arguments, METHODS } from './methods.ts';
import { AmqpGateway } from './server.ts';

const OPEN: Authenticator = { required: false, authenticate: () => Promise.resolve(LOCAL_PRINCIPAL) };
/** Only `guest` with the password `secret`. */
const GUARDED: Authenticator = {
  required: true,
  authenticate: (shown) =>
    shown !== undefined && 'user' in shown && shown.password === 'secret'
      ? Promise.resolve(LOCAL_PRINCIPAL)
      : Promise.reject(new RailheadError('UNAUTHENTICATED', 'The login was refused.')),
};

interface Started {
  port: number;
  gateway: AmqpGateway;
  broker: Broker;
  clock: ManualClock;
}

async function start(
  t: TestContext,
  options: {
    authenticator?: Authenticator;
    limits?: Partial<AmqpLimits>;
    beats?: boolean;
    wrap?: (session: Session) => Session;
  } = {},
): Promise<Started> {
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    formats: [amqpFormat],
    clock,
  });
  const bugs: unknown[] = [];
  const gateway = new AmqpGateway({
    authenticator: options.authenticator ?? OPEN,
    connect: (principal, namespace, name) => {
      const session = broker.connect({ principal, namespace, name });
      return options.wrap?.(session) ?? session;
    },
    broker: { version: '0.0.0' },
    clock: options.beats === true ? clock : new SystemClock(),
    ...(options.limits !== undefined && { limits: options.limits }),
    report: (error) => bugs.push(error),
  });
  const listener = new Listener({ gateway, clock: new SystemClock() });
  const bound = await listener.listen({ host: '127.0.0.1', port: 0 });
  assert.ok('port' in bound);
  t.after(async () => {
    await listener.close(100);
    await gateway.close();
    await broker.close();
    assert.deepEqual(bugs, []);
  });
  return { port: bound.port, gateway, broker, clock };
}

const CONSUME = {
  reserved1: 0,
  noLocal: false,
  noAck: false,
  exclusive: false,
  noWait: false,
  arguments: new Map(),
};
const QUEUE = { reserved1: 0, passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false };

async function refusal(peer: RawPeer): Promise<{ code: number; text: string; method: string }> {
  const { replyCode, replyText, classId, methodId } = await peer.wait('connectionClose');
  return { code: replyCode, text: replyText, method: `${classId}.${methodId}` };
}

test('another protocol header is answered with the one that is spoken here, and the socket closes', async (t) => {
  const { port } = await start(t);
  for (const greeting of ['AMQP\0\0\x08\0', 'GET / HTTP/1.1\r\n', 'AMQP\x03\x01\0\0']) {
    const socket = createConnection({ port, host: '127.0.0.1' });
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.write(Buffer.from(greeting, 'latin1'));
    await once(socket, 'close');
    assert.deepEqual(Buffer.concat(chunks), PROTOCOL_HEADER);
  }
});

test('the protocol header of 0-9 is taken for 0-9-1', async (t) => {
  const { port } = await start(t);
  const peer = await RawPeer.dial(port);
  peer.raw(Buffer.from('AMQP\x01\x01\0\x09', 'latin1'));
  assert.equal((await peer.wait('connectionStart')).versionMinor, 9);
  peer.socket.destroy();
});

test('the broker announces what RabbitMQ announces, and tunes', async (t) => {
  const { port } = await start(t);
  const peer = await RawPeer.dial(port);
  peer.raw(PROTOCOL_HEADER);
  const { serverProperties, mechanisms } = await peer.wait('connectionStart');
  assert.equal(mechanisms.toString(), 'PLAIN AMQPLAIN');
  const capabilities = serverProperties.get('capabilities');
  assert.ok(capabilities?.type === 'F');
  assert.deepEqual(
    capabilities.value,
    new Map(
      [
        'publisher_confirms',
        'exchange_exchange_bindings',
        'basic.nack',
        'consumer_cancel_notify',
        'connection.blocked',
        'consumer_priorities',
        'authentication_failure_close',
        'per_consumer_qos',
        'direct_reply_to',
      ].map((name) => [name, { type: 't', value: true }]),
    ),
  );
  peer.socket.destroy();
});

test('a refused login is told with 403 to a client that knows it, and with a closed socket to others', async (t) => {
  const { port } = await start(t, { authenticator: GUARDED });
  const knowing = await RawPeer.dial(port);
  await knowing.greet();
  assert.deepEqual(await refusal(knowing), {
    code: 403,
    text: 'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.',
    method: '0.0',
  });
  knowing.socket.destroy();
  const other = await RawPeer.dial(port);
  await other.greet(new Map());
  await other.closed();
  assert.deepEqual(
    other.came.map(({ method }) => method.name),
    ['connectionStart'],
  );
});

test('a frame of more than 8 KiB before the login ends the connection', async (t) => {
  const { port } = await start(t);
  const peer = await RawPeer.dial(port);
  peer.raw(PROTOCOL_HEADER);
  await peer.wait('connectionStart');
  peer.raw(1, 0, 0, Buffer.from([0, 0, 0x20, 0, 0]));
  assert.equal((await refusal(peer)).code, 501);
  peer.socket.destroy();
});

test('a client may not ask for more than was offered', async (t) => {
  const { port } = await start(t);
  for (const tuned of [
    { channelMax: 0, frameMax: 131_072 },
    { channelMax: 2048, frameMax: 131_072 },
    { channelMax: 10, frameMax: 131_073 },
    { channelMax: 10, frameMax: 100 },
  ]) {
    const peer = await RawPeer.dial(port);
    await peer.login();
    peer.out.method(0, 'connectionTuneOk', { ...tuned, heartbeat: 0 });
    const { code, text } = await refusal(peer);
    assert.equal(code, 530);
    assert.match(text, /^NOT_ALLOWED - negotiated/);
    peer.socket.destroy();
  }
});

test('a frame without its end, of an unknown type, or at the wrong moment ends the connection with its code', async (t) => {
  const { port } = await start(t);
  const cases: [string, number, (peer: RawPeer) => void][] = [
    ['no end', 501, (peer) => peer.raw(1, Buffer.from([0, 1, 0, 0, 0, 4, 0, 20, 0, 40, 0]))],
    ['content without publish', 505, (peer) => peer.raw(2, Buffer.from([0, 1, 0, 0, 0, 1, 0, 0xce]))],
    ['unknown type', 501, (peer) => peer.raw(0, Buffer.from([0, 1, 0, 0, 0, 4, 0, 99, 0, 99, 0xce]))],
    ['unknown method', 540, (peer) => peer.raw(1, Buffer.from([0, 1, 0, 0, 0, 4, 0, 99, 0, 99, 0xce]))],
    [
      'method of the connection',
      504,
      (peer) => peer.out.method(0, 'connectionOpen', { virtualHost: '/', reserved1: '', reserved2: false }),
    ],
    ['method too short', 502, (peer) => peer.raw(1, Buffer.from([0, 1, 0, 0, 0, 4, 0, 50, 0, 10, 0xce]))],
    [
      'channel not open',
      504,
      (peer) => peer.out.method(5, 'basicQos', { prefetchSize: 0, prefetchCount: 1, global: false }),
    ],
    ['channel opened twice', 504, (peer) => peer.out.method(1, 'channelOpen', { reserved1: '' })],
    [
      'immediate',
      540,
      (peer) =>
        peer.out.method(1, 'basicPublish', {
          reserved1: 0,
          exchange: '',
          routingKey: 'q',
          mandatory: false,
          immediate: true,
        }),
    ],
    ['flow off', 540, (peer) => peer.out.method(1, 'channelFlow', { active: false })],
    [
      'prefetch size',
      540,
      (peer) => peer.out.method(1, 'basicQos', { prefetchSize: 1, prefetchCount: 1, global: false }),
    ],
  ];
  for (const [what, code, send] of cases) {
    const peer = await RawPeer.open(port);
    send(peer);
    assert.equal((await refusal(peer)).code, code, what);
    peer.out.method(0, 'connectionCloseOk', {});
    await peer.closed();
  }
});

/** A message whose header says `bytes`, in one frame on channel 1. */
function publish(peer: RawPeer, bytes: number, body: Buffer): void {
  const route = { reserved1: 0, exchange: '', routingKey: 'q', mandatory: false, immediate: false };
  peer.out.method(1, 'basicPublish', route);
  const header = Buffer.alloc(14);
  header.writeUInt16BE(60, 0);
  header.writeBigUInt64BE(BigInt(bytes), 4);
  for (const [type, payload] of [
    [2, header],
    [3, body],
  ] as const) {
    const start = Buffer.from([type, 0, 1, 0, 0, 0, 0]);
    start.writeUInt32BE(payload.byteLength, 3);
    peer.out.bytes(Buffer.concat([start, payload, Buffer.of(0xce)]));
  }
}

test('a frame may be eight bytes larger than agreed, and no more', async (t) => {
  const { port } = await start(t);
  for (const over of [8, 9]) {
    const peer = await RawPeer.open(port);
    const agreed = 131_072 - 8;
    publish(peer, agreed + over, Buffer.alloc(agreed + over));
    if (over > 8) assert.equal((await refusal(peer)).code, 501);
    else await peer.ask(1, 'channelFlow', { active: true }, 'channelFlowOk');
  }
});

test('a body that is longer than its header said ends the connection with 501', async (t) => {
  const { port } = await start(t);
  const peer = await RawPeer.open(port);
  publish(peer, 3, Buffer.from('four'));
  const { code, text } = await refusal(peer);
  assert.deepEqual([code, text], [501, 'FRAME_ERROR - content body frame exceeds remaining content size']);
});

test('after an exception a channel ignores everything but close-ok, and its number can be used again', async (t) => {
  const { port } = await start(t);
  const peer = await RawPeer.open(port);
  const closed = await peer.ask(1, 'queuePurge', { reserved1: 0, queue: 'none', noWait: false }, 'channelClose');
  assert.deepEqual(closed, {
    replyCode: 404,
    replyText: "NOT_FOUND - no queue 'none' in vhost '/'",
    classId: METHODS.queuePurge.id >>> 16,
    methodId: METHODS.queuePurge.id & 0xffff,
  });
  peer.out.method(1, 'queueDeclare', { ...QUEUE, queue: 'ignored', arguments: new Map() });
  peer.out.method(1, 'channelCloseOk', {});
  await peer.ask(1, 'channelOpen', { reserved1: '' }, 'channelOpenOk');
  const missing = await peer.ask(
    1,
    'queueDeclare',
    { ...QUEUE, passive: true, queue: 'ignored', arguments: new Map() },
    'channelClose',
  );
  assert.equal(missing.replyCode, 404);
  peer.socket.destroy();
});

test('a body over the limit closes its channel before its bytes are taken', async (t) => {
  const { port } = await start(t, { limits: { maxMessageBytes: 1000 } });
  const peer = await RawPeer.open(port);
  peer.out.method(1, 'basicPublish', {
    reserved1: 0,
    exchange: '',
    routingKey: 'q',
    mandatory: false,
    immediate: false,
  });
  peer.out.flush();
  peer.raw(2, Buffer.from([0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0xe9, 0, 0, 0xce]));
  const { replyCode, replyText } = await peer.wait('channelClose');
  assert.equal(replyCode, 406);
  assert.equal(replyText, 'PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000');
  peer.socket.destroy();
});

test('heartbeats are sent, and a client that is silent for two of its own is cut off', async (t) => {
  const { port, clock } = await start(t, { beats: true });
  const peer = await RawPeer.open(port, 10);
  clock.advance(5_000);
  clock.advance(5_000);
  while (peer.heartbeats < 2) await once(peer.socket, 'data');
  clock.advance(15_000);
  await peer.closed();
});

test('what is published in one chunk of the socket is confirmed with one multiple', async (t) => {
  const { port } = await start(t);
  const peer = await RawPeer.open(port);
  await peer.ask(1, 'queueDeclare', { ...QUEUE, queue: 'q', arguments: new Map() }, 'queueDeclareOk');
  await peer.ask(1, 'confirmSelect', { noWait: false }, 'confirmSelectOk');
  for (let i = 0; i < 50; i++) {
    peer.out.method(1, 'basicPublish', {
      reserved1: 0,
      exchange: '',
      routingKey: 'q',
      mandatory: false,
      immediate: false,
    });
    peer.out.bytes(
      Buffer.from([
        2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xce, 3, 0, 1, 0, 0, 0, 1, 65, 0xce,
      ]),
    );
  }
  peer.out.schedule();
  const { deliveryTag, multiple } = await peer.wait('basicAck');
  assert.deepEqual({ deliveryTag, multiple }, { deliveryTag: 50, multiple: true });
  peer.socket.destroy();
});

test('frames that a client sends after its connection.close are dropped', async (t) => {
  const { port, gateway } = await start(t);
  const peer = await RawPeer.open(port);
  peer.out.method(0, 'connectionClose', { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 });
  peer.out.method(1, 'basicQos', { prefetchSize: 0, prefetchCount: 1, global: false });
  await peer.wait('connectionCloseOk');
  peer.socket.end();
  await peer.closed();
  assert.deepEqual(
    peer.came.slice(-2).map(({ method }) => method.name),
    ['channelOpenOk', 'connectionCloseOk'],
  );
  while (gateway.connections > 0) await new Promise((resolve) => setImmediate(resolve));
});

test('access.request is answered, as RabbitMQ does for old clients', async (t) => {
  const { port } = await start(t);
  const peer = await RawPeer.open(port);
  const flags = { exclusive: false, passive: false, active: true, write: true, read: true };
  assert.deepEqual(await peer.ask(1, 'accessRequest', { realm: '/', ...flags }, 'accessRequestOk'), { reserved1: 1 });
  peer.socket.destroy();
});

test('whatever bytes a client sends, the broker goes on for others', async (t) => {
  const seed = Date.now() % 2 ** 31;
  t.diagnostic(`seed ${seed}`);
  const random = new SeededRandom(seed);
  const { port } = await start(t);
  const publish = { reserved1: 0, exchange: '', routingKey: 'q', mandatory: true, immediate: false };
  const session = written((out) => {
    out.bytes(PROTOCOL_HEADER);
    out.method(0, 'connectionStartOk', {
      clientProperties: new Map(),
      mechanism: 'PLAIN',
      response: Buffer.from('\0guest\0guest'),
      locale: 'en_US',
    });
    out.method(0, 'connectionTuneOk', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
    out.method(0, 'connectionOpen', { virtualHost: '/', reserved1: '', reserved2: false });
    out.method(1, 'channelOpen', { reserved1: '' });
    out.method(1, 'queueDeclare', {
      ...QUEUE,
      queue: 'q',
      arguments: new Map([['x-max-priority', { type: 'I', value: 5 }]]),
    });
    out.method(1, 'confirmSelect', { noWait: false });
    out.method(1, 'basicPublish', publish);
    out.bytes(Buffer.from([2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xce]));
    out.bytes(Buffer.from([3, 0, 1, 0, 0, 0, 1, 65, 0xce]));
    out.method(1, 'basicConsume', {
      reserved1: 0,
      queue: 'q',
      consumerTag: 'c',
      noLocal: false,
      noAck: false,
      exclusive: false,
      noWait: false,
      arguments: new Map(),
    });
    out.method(1, 'basicAck', { deliveryTag: 1, multiple: true });
    out.method(1, 'exchangeBind', {
      reserved1: 0,
      destination: 'amq.topic',
      source: 'amq.fanout',
      routingKey: '',
      noWait: false,
      arguments: new Map(),
    });
    out.method(1, 'txSelect', {});
  });
  const until = performance.now() + 2_000;
  for (let i = 0; performance.now() < until; i++) {
    const bytes = Buffer.from(session);
    // Past the handshake mostly, where more can go wrong.
    for (let flips = 1 + random.below(6); flips > 0; flips--)
      bytes[8 + random.below(bytes.byteLength - 8)] = random.below(256);
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    socket.resume();
    const at = random.below(bytes.byteLength);
    socket.write(bytes.subarray(0, at));
    const gone = new Promise((resolve) => socket.once('close', resolve));
    // Half of them go rudely, as soon as the bytes are out.
    if (random.below(2) === 0) socket.write(bytes.subarray(at), () => socket.destroy());
    else socket.end(bytes.subarray(at));
    await gone;
  }
  const peer = await RawPeer.open(port);
  await peer.ask(1, 'queueDeclare', { ...QUEUE, queue: 'after', arguments: new Map() }, 'queueDeclareOk');
  peer.socket.destroy();
});

test('after connection.close-ok it is the client that closes the socket', async (t) => {
  const { port, gateway } = await start(t);
  const peer = await RawPeer.open(port);
  let ended = false;
  peer.socket.on('end', () => (ended = true));
  await peer.ask(
    0,
    'connectionClose',
    { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 },
    'connectionCloseOk',
  );
  // What the broker answers to another connection comes later than an end of this one would.
  const other = await RawPeer.open(port);
  assert.equal(ended, false);
  peer.socket.end();
  await peer.closed();
  other.socket.destroy();
  await other.closed();
  while (gateway.connections > 0) await new Promise((resolve) => setImmediate(resolve));
});

test('who deletes the queue of its own consumer is told so before the consumer is cancelled', async (t) => {
  const { port } = await start(t);
  const peer = await RawPeer.dial(port);
  await peer.greet(new Map([['consumer_cancel_notify', flagField(true)]]));
  await peer.wait('connectionTune');
  peer.out.method(0, 'connectionTuneOk', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
  peer.out.method(0, 'connectionOpen', { virtualHost: '/', reserved1: '', reserved2: false });
  await peer.ask(1, 'channelOpen', { reserved1: '' }, 'channelOpenOk');
  await peer.ask(1, 'queueDeclare', { ...QUEUE, queue: 'q', arguments: new Map() }, 'queueDeclareOk');
  const consume = { ...CONSUME, queue: 'q', consumerTag: 'c' };
  await peer.ask(1, 'basicConsume', consume, 'basicConsumeOk');
  peer.out.method(1, 'queueDelete', { reserved1: 0, queue: 'q', ifUnused: false, ifEmpty: false, noWait: false });
  await peer.wait('basicCancel');
  const names = peer.came.map(({ method }) => method.name);
  assert.deepEqual(names.slice(-2), ['queueDeleteOk', 'basicCancel']);
  peer.socket.destroy();
});

test('a client that does not wait for the answers of the handshake is understood', async (t) => {
  const { port } = await start(t);
  const peer = await RawPeer.dial(port);
  peer.raw(
    PROTOCOL_HEADER,
    written((out) => {
      out.method(0, 'connectionStartOk', {
        clientProperties: new Map(),
        mechanism: 'PLAIN',
        response: Buffer.from('\0guest\0guest'),
        locale: 'en_US',
      });
      out.method(0, 'connectionTuneOk', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
      out.method(0, 'connectionOpen', { virtualHost: '/', reserved1: '', reserved2: false });
      out.method(1, 'channelOpen', { reserved1: '' });
      out.method(1, 'queueDeclare', { ...QUEUE, queue: 'q', arguments: new Map() });
    }),
  );
  assert.equal((await peer.wait('queueDeclareOk')).queue, 'q');
  peer.socket.destroy();
});

/** Sessions of a broker that says what it lacks when the test says so. */
function shortages(): { wrap: (session: Session) => Session; set: (of: Shortage | null) => void } {
  let now: Shortage | null = null;
  let wake = (): void => {};
  const wrap = (session: Session): Session => ({
    publish: (request) => session.publish(request),
    body: (to, bytes) => session.body(to, bytes),
    consume: (request, sink) => session.consume(request, sink),
    settle: (settlements) => session.settle(settlements),
    commit: (transaction) => session.commit(transaction),
    close: (how) => {
      wake();
      return session.close(how);
    },
    async request(operation, args) {
      if (operation !== 'shortage') return session.request(operation, args);
      if ('was' in args && args.was === now) await new Promise<void>((resolve) => (wake = resolve));
      await session.request('info', {});
      // The result of this operation.
      return { of: now } as Awaited<ReturnType<typeof session.request<typeof operation>>>;
    },
  });
  return {
    wrap,
    set: (of) => {
      now = of;
      wake();
    },
  };
}

async function withCapability(port: number, name: string): Promise<RawPeer> {
  const peer = await RawPeer.dial(port);
  await peer.greet(new Map([[name, flagField(true)]]));
  await peer.wait('connectionTune');
  peer.out.method(0, 'connectionTuneOk', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
  peer.out.method(0, 'connectionOpen', { virtualHost: '/', reserved1: '', reserved2: false });
  await peer.wait('connectionOpenOk');
  await peer.ask(1, 'channelOpen', { reserved1: '' }, 'channelOpenOk');
  return peer;
}

test('who publishes and understands it is told when the broker cannot take publishes, and when it can again', async (t) => {
  const { wrap, set } = shortages();
  const { port } = await start(t, { wrap });
  const publish = (peer: RawPeer): void => {
    const to = { reserved1: 0, exchange: '', routingKey: 'q', mandatory: false, immediate: false };
    peer.out.method(1, 'basicPublish', to);
    peer.out.flush();
    // The header of an empty body without properties.
    peer.raw(Buffer.from('02 0001 0000000e 003c 0000 0000000000000000 0000 ce'.replaceAll(' ', ''), 'hex'));
  };
  const publisher = await withCapability(port, 'connection.blocked');
  const idle = await withCapability(port, 'connection.blocked');
  const deaf = await withCapability(port, 'basic.nack');
  for (const peer of [publisher, deaf]) {
    publish(peer);
    await peer.ask(1, 'channelFlow', { active: true }, 'channelFlowOk');
  }
  set('memory');
  assert.deepEqual(await publisher.wait('connectionBlocked'), { reason: 'low on memory' });
  await idle.ask(1, 'channelFlow', { active: true }, 'channelFlowOk');
  publish(idle);
  assert.deepEqual(await idle.wait('connectionBlocked'), { reason: 'low on memory' });
  set(null);
  for (const peer of [publisher, idle]) await peer.wait('connectionUnblocked');
  publish(idle);
  for (const peer of [publisher, idle, deaf]) await peer.ask(1, 'channelFlow', { active: true }, 'channelFlowOk');
  const told = (peer: RawPeer): number => peer.came.filter(({ method }) => method.name === 'connectionBlocked').length;
  assert.deepEqual([publisher, idle, deaf].map(told), [1, 1, 0]);
  for (const peer of [publisher, idle, deaf]) peer.socket.destroy();
});

test('a new secret is answered and not looked at: the rights of a connection are those of its user', async (t) => {
  const { port } = await start(t, { authenticator: GUARDED });
  const login = async (): Promise<RawPeer> => {
    const peer = await RawPeer.dial(port);
    await peer.greet(new Map(), 'secret');
    await peer.wait('connectionTune');
    peer.out.method(0, 'connectionTuneOk', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
    peer.out.method(0, 'connectionOpen', { virtualHost: '/', reserved1: '', reserved2: false });
    await peer.wait('connectionOpenOk');
    return peer;
  };
  const good = await login();
  const update = (secret: string): Arguments<'connectionUpdateSecret'> => ({
    newSecret: Buffer.from(secret),
    reason: '',
  });
  await good.ask(0, 'connectionUpdateSecret', update('secret'), 'connectionUpdateSecretOk');
  await good.ask(0, 'connectionUpdateSecret', update('another'), 'connectionUpdateSecretOk');
  good.socket.destroy();
});
