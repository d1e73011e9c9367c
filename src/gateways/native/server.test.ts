import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL, type Authenticator } from '../../core/auth.ts';
import { ManualClock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { SeededRandom } from '../../core/random.ts';
import { SendBuffers } from '../../core/send-buffers.ts';
import type { PublishReceipt } from '../../core/session.ts';
import { packData, readData, writeFrameData, writeId, writeIdData } from '../../wire/data.ts';
import { readDeliver } from '../../wire/deliver.ts';
import { fromWireError, writeGoodbye } from '../../wire/errors.ts';
import { FRAME } from '../../wire/frames.ts';
import { writePublish } from '../../wire/publish.ts';
import { writeSettle } from '../../wire/settle.ts';
import { HELLO, RawClient } from '../../../test/native/raw-client.ts';
import { receipt, run, ScriptedSession } from '../../../test/native/scripted-session.ts';
import type { NativeLimits } from './limits.ts';
import { NativeGateway } from './server.ts';

const token: Authenticator = {
  required: true,
  authenticate: async (credentials) => {
    if (credentials !== undefined && 'token' in credentials && credentials.token === 'right') return LOCAL_PRINCIPAL;
    throw new RailheadError('UNAUTHENTICATED', 'Wrong.');
  },
};
const open: Authenticator = { required: false, authenticate: async () => LOCAL_PRINCIPAL };

function broker(
  options: { authenticator?: Authenticator; limits?: Partial<NativeLimits>; sendBuffers?: SendBuffers } = {},
) {
  const clock = new ManualClock();
  const sessions: ScriptedSession[] = [];
  const reported: unknown[] = [];
  const gateway = new NativeGateway({
    authenticator: options.authenticator ?? open,
    connect: () => {
      const session = new ScriptedSession();
      sessions.push(session);
      return session;
    },
    broker: { version: '9.9.9', journalId: 'journal' },
    clock,
    limits: options.limits ?? {},
    ...(options.sendBuffers !== undefined && { sendBuffers: options.sendBuffers }),
    report: (error) => reported.push(error),
  });
  return { clock, gateway, sessions, reported };
}

/** A client that is logged in, and its session at the broker. */
async function joined(
  from: ReturnType<typeof broker>,
  hello: object = {},
): Promise<{ client: RawClient; session: ScriptedSession }> {
  const client = new RawClient(from.gateway.loopback());
  await client.hello(hello);
  const session = from.sessions.at(-1);
  assert.ok(session !== undefined);
  return { client, session };
}

const publish = { to: { topic: 'q' }, format: 1, records: Buffer.from('abc'), count: 1 };

test('the broker names version, journal, session and limits when it lets a client in', async () => {
  const { gateway } = broker({ authenticator: token });
  const welcome = await new RawClient(gateway.loopback()).hello({ token: 'right', protocol: { min: 1, max: 7 } });
  assert.equal(welcome.protocol, 2);
  assert.equal(welcome.loginEndsInMs, undefined);
  assert.equal(welcome.broker.version, '9.9.9');
  assert.equal(welcome.journalId, 'journal');
  assert.equal(welcome.limits.heartbeatMs, 10_000);
  assert.ok(welcome.sessionId.length >= 32);
});

test('a wrong token, a version that is too new and a frame before HELLO are told why and closed', async () => {
  const { gateway, sessions } = broker({ authenticator: token });
  await assert.rejects(new RawClient(gateway.loopback()).hello({ token: 'wrong' }), { code: 'UNAUTHENTICATED' });
  await assert.rejects(new RawClient(gateway.loopback()).hello(), { code: 'UNAUTHENTICATED' });
  await assert.rejects(new RawClient(gateway.loopback()).hello({ token: 'right', protocol: { min: 3, max: 4 } }), {
    code: 'PROTOCOL',
  });
  const early = new RawClient(gateway.loopback());
  writePublish(early.out, 1, publish);
  assert.equal((await early.goodbye())?.code, 'PROTOCOL');
  await early.closed;
  const large = new RawClient(gateway.loopback());
  await assert.rejects(large.hello({ token: 'x'.repeat(9000) }), { code: 'PROTOCOL' });
  assert.equal(sessions.length, 0);
});

test('a client that does not log in is closed after 10 s', async () => {
  const { gateway, clock } = broker();
  const client = new RawClient(gateway.loopback());
  clock.advance(9_999);
  clock.advance(1);
  assert.equal((await client.goodbye())?.code, 'TIMEOUT');
  await client.closed;
});

test('frames in one chunk with HELLO are refused, because the login is not decided yet', async () => {
  const { gateway, sessions } = broker();
  const client = new RawClient(gateway.loopback());
  client.socket.write(
    await sent((each) => {
      writeFrameData(each.out, FRAME.HELLO, HELLO);
      writePublish(each.out, 1, publish);
    }),
  );
  assert.equal((await client.goodbye())?.code, 'PROTOCOL');
  await client.closed;
  assert.equal(sessions[0]?.published.length ?? 0, 0);
});

test('random bytes before the login are refused, keep nothing and log nobody in', async () => {
  const { gateway, sessions, reported } = broker();
  const random = new SeededRandom(11);
  for (let round = 0; round < 300; round++) {
    const client = new RawClient(gateway.loopback());
    client.socket.write(Buffer.from(Array.from({ length: 1 + random.below(200) }, () => random.below(256))));
    client.socket.end();
    const reason = await client.goodbye();
    assert.ok(reason === undefined || reason.code === 'PROTOCOL');
    client.socket.destroy();
  }
  assert.deepEqual([sessions.length, reported.length], [0, 0]);
});

test('an HTTP connection is upgraded, also when the first frame comes with the request', async () => {
  const { gateway } = broker();
  const http = createServer((_request, response) => response.end('http'));
  http.on('upgrade', (request, socket, head) => {
    if (!gateway.upgrade(request, socket, head)) socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const ask = (path: string, body = Buffer.alloc(0)): Promise<Buffer> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.write(
        Buffer.concat([
          Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: railhead/1\r\n\r\n`),
          body,
        ]),
      );
      socket.once('data', (data: Buffer) => {
        socket.destroy();
        resolve(data);
      });
    });
  assert.match((await ask('/railhead')).toString(), /^HTTP\/1\.1 101 [^]*Upgrade: railhead\/1\r\n\r\n/);
  assert.match((await ask('/other')).toString(), /^HTTP\/1\.1 404/);
  const socket = connect(port, '127.0.0.1');
  const [near, far] = duplexPair();
  const hello = new RawClient(near).hello();
  far.once('data', (frame: Buffer) => {
    socket.write(
      Buffer.concat([
        Buffer.from('GET /railhead HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: railhead/1\r\n\r\n'),
        frame,
      ]),
    );
  });
  let head = Buffer.alloc(0);
  let upgraded = false;
  socket.on('data', (data: Buffer) => {
    if (upgraded) {
      far.write(data);
      return;
    }
    head = Buffer.concat([head, data]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    upgraded = true;
    if (head.byteLength > end + 4) far.write(head.subarray(end + 4));
  });
  assert.equal((await hello).journalId, 'journal');
  socket.destroy();
  await gateway.close();
  await new Promise((resolve) => http.close(resolve));
});

test('requests are pipelined, and answers come in the order in which they are ready', async () => {
  const from = broker();
  const { client, session } = await joined(from);
  const waiting: ((receipt: PublishReceipt) => void)[] = [];
  session.answers.publish = () => new Promise((resolve) => waiting.push(resolve));
  for (let id = 1; id <= 3; id++) writePublish(client.out, id, publish);
  await session.until(() => session.published.length === 3);
  waiting[2]?.(receipt(2, 1));
  waiting[0]?.(receipt(0, 1));
  waiting[1]?.(receipt(1, 1));
  const order = [await client.next(), await client.next(), await client.next()].map((frame) => frame?.fields.u32());
  assert.deepEqual(order, [3, 1, 2]);
});

test('a session at the broker is the same wherever the stream of the client is cut', async () => {
  const script = await sent((client) => {
    writePublish(client.out, 1, { ...publish, producer: { id: 'p', sequence: 3 } });
    writePublish(client.out, 2, { ...publish, records: Buffer.alloc(700, 5) });
    writeSettle(
      client.out,
      3,
      [{ topic: 'q', subscription: 'q', ranges: [{ partition: 0, offset: 1, count: 1, token: 2 }], action: 'ack' }],
      'durable',
    );
    client.out.begin(FRAME.CREDIT, 8);
    client.out.u32(9);
    client.out.u32(10);
    client.out.end();
  });
  for (let cut = 0; cut <= script.byteLength; cut++) {
    const from = broker();
    const { client, session } = await joined(from);
    client.socket.write(script.subarray(0, cut));
    client.socket.write(script.subarray(cut));
    const answers = [await client.next(), await client.next(), await client.next()];
    assert.deepEqual(
      answers.map((frame) => [frame?.type, frame?.fields.u32()]),
      [
        [FRAME.PUBLISHED, 1],
        [FRAME.PUBLISHED, 2],
        [FRAME.SETTLED, 3],
      ],
      `cut at ${cut}`,
    );
    assert.deepEqual(session.published[0]?.producer, { id: 'p', sequence: 3 });
    assert.deepEqual(session.published[1]?.records, Buffer.alloc(700, 5));
    client.socket.destroy();
  }
});

/** The bytes that a client would send. */
async function sent(write: (client: RawClient) => void): Promise<Buffer> {
  const [near, far] = duplexPair();
  const client = new RawClient(near);
  const chunks: Buffer[] = [];
  far.on('data', (chunk: Buffer) => chunks.push(chunk));
  write(client);
  client.out.flush();
  near.end();
  await new Promise((resolve) => far.once('end', resolve));
  return Buffer.concat(chunks);
}

test('a refused request fails alone, a broken frame ends the connection with its reason', async () => {
  const from = broker();
  const { client, session } = await joined(from);
  session.answers.publish = () => Promise.reject(new RailheadError('QUEUE_FULL', 'Full.', { outcome: 'not-stored' }));
  writePublish(client.out, 1, publish);
  const failed = await client.next();
  assert.equal(failed?.type, FRAME.FAILED);
  assert.equal(failed.fields.u32(), 1);
  assert.equal(fromWireError(readData(failed.fields)).outcome, 'not-stored');

  writeIdData(client.out, FRAME.COMMIT, 2, { publishes: [], settlements: 5, cursors: [] });
  const invalid = await client.next();
  assert.deepEqual([invalid?.type, invalid?.fields.u32()], [FRAME.FAILED, 2]);
  assert.equal(invalid === undefined ? '' : fromWireError(readData(invalid.fields)).code, 'INVALID');

  writeId(client.out, FRAME.WELCOME, 7);
  assert.equal((await client.goodbye())?.code, 'PROTOCOL');
  await client.closed;
  assert.equal(session.closed, true);
});

test('an operation that the broker does not know is refused, not the connection', async () => {
  const { client } = await joined(broker());
  client.out.begin(FRAME.REQUEST, 20);
  client.out.u32(5);
  client.out.text('teleport');
  client.out.u8(0x80);
  client.out.end();
  const failed = await client.next();
  assert.ok(failed !== undefined);
  assert.equal(failed.fields.u32(), 5);
  assert.equal(fromWireError(readData(failed.fields)).code, 'NOT_SUPPORTED');
});

test('an error of our own is reported to the operator and hides its words from the client', async () => {
  const from = broker();
  const { client, session } = await joined(from);
  session.answers.publish = () => {
    throw new TypeError('secret inside');
  };
  writePublish(client.out, 1, publish);
  const failed = await client.next();
  failed?.fields.u32();
  assert.doesNotMatch(failed === undefined ? 'secret' : fromWireError(readData(failed.fields)).message, /secret/);
  assert.equal(from.reported.length, 1);
});

test('an answer larger than a frame is refused with TOO_LARGE', async () => {
  const from = broker({ limits: { maxFrameBytes: 20_000 } });
  const { client, session } = await joined(from);
  session.answers.request = () => ({ records: Buffer.alloc(30_000) });
  client.out.begin(FRAME.REQUEST, 20);
  client.out.u32(5);
  client.out.text('info');
  client.out.u8(0x80);
  client.out.end();
  const failed = await client.next();
  failed?.fields.u32();
  assert.equal(failed === undefined ? '' : fromWireError(readData(failed.fields)).code, 'TOO_LARGE');
});

function consume(client: RawClient, id: number, consumer: number, messages: number): void {
  const request = Buffer.from('83a5746f706963a171ac737562736372697074696f6ea171a56c65617365a773657373696f6e', 'hex');
  client.out.begin(FRAME.CONSUME, 8);
  client.out.u32(id);
  client.out.u32(consumer);
  client.out.end(request.byteLength);
  client.out.bytes(request);
  client.out.begin(FRAME.CREDIT, 8);
  client.out.u32(consumer);
  client.out.u32(messages);
  client.out.end();
}

test('credit that came before the consumer had started is not lost, and reaches the engine in windows', async () => {
  const from = broker();
  const { client, session } = await joined(from);
  consume(client, 1, 33, 1_000_000);
  await session.until(() => (session.consumers[0]?.credit ?? 0) > 0);
  const consumer = session.consumers[0];
  assert.ok(consumer !== undefined && consumer.credit <= 4);
  assert.equal((await client.next())?.type, FRAME.DONE);
  // Small messages: the window grows with the first delivery.
  consumer.sink.deliver([run(1, { count: 4 })]);
  await session.until(() => consumer.credit > 1000);
  assert.ok(consumer.credit <= 8_192 + 4);
  const deliver = await client.next();
  assert.equal(deliver?.fields.u32(), 33);
  assert.equal(readDeliver(deliver.fields)[0]?.offset, 1);
});

test('a client that does not read gets no more credit, keeps what was delivered, and goes on when it reads', async () => {
  const from = broker({ limits: { highWaterBytes: 256 * 1024 } });
  const { client, session } = await joined(from);
  consume(client, 1, 1, 1_000_000);
  await session.until(() => (session.consumers[0]?.credit ?? 0) > 0);
  const consumer = session.consumers[0];
  assert.ok(consumer !== undefined);
  client.socket.pause();
  let delivered = 0;
  // The engine delivers whatever it may, until it may no more.
  for (let idle = 0; idle < 20;) {
    if (consumer.credit > 0) {
      idle = 0;
      consumer.credit--;
      consumer.sink.deliver([run(delivered++, { records: Buffer.alloc(32 * 1024, 1) })]);
    } else {
      idle++;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  assert.ok(delivered >= 8 && delivered <= 32, `${delivered} of 32 KiB with a high-water mark of 256 KiB`);
  client.socket.resume();
  await session.until(() => consumer.credit > 0);
  let expected = 0;
  for (let frame = await client.next(); expected < delivered; frame = await client.next()) {
    if (frame?.type === FRAME.DONE) continue;
    frame?.fields.u32();
    for (const each of frame === undefined ? [] : readDeliver(frame.fields)) assert.equal(each.offset, expected++);
    if (expected === delivered) break;
  }
  assert.equal(expected, delivered);
});

test('clients that do not read hold one share of the memory together, however many they are, and give it back', async () => {
  const share = 4 * 1024 * 1024;
  const heldBy = async (clients: number): Promise<number> => {
    const sendBuffers = new SendBuffers(share);
    const from = broker({ sendBuffers });
    const consumers = [];
    for (let i = 0; i < clients; i++) {
      const { client, session } = await joined(from);
      consume(client, 1, 1, 1_000_000);
      await session.until(() => (session.consumers[0]?.credit ?? 0) > 0);
      client.socket.pause();
      consumers.push({ client, consumer: session.consumers[0] });
    }
    let delivered = 0;
    for (let idle = 0; idle < 20; idle++) {
      for (const { consumer } of consumers) {
        if (consumer === undefined || consumer.credit === 0) continue;
        idle = 0;
        consumer.credit--;
        consumer.sink.deliver([run(delivered++, { records: Buffer.alloc(32 * 1024, 1) })]);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    const held = sendBuffers.bytes;
    for (const { client } of consumers) client.socket.destroy();
    while (from.gateway.connections > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([sendBuffers.bytes, sendBuffers.each], [0, share / 2]);
    return held;
  };
  const few = await heldBy(2);
  assert.ok(few > share / 2 && few < 1.5 * share, `${few} bytes`);
  const many = await heldBy(40);
  // Each gets one message at least.
  assert.ok(many > share / 2 && many < share + 40 * 33 * 1024, `${many} bytes`);
});

test('a client that lets more than the output limit pile up is closed as SLOW_CONSUMER', async () => {
  const from = broker({ limits: { maxOutputBytes: 512 * 1024 } });
  const { client, session } = await joined(from);
  session.answers.request = () => ({ records: Buffer.alloc(100_000) });
  client.socket.pause();
  for (let id = 1; id <= 20; id++) {
    client.out.begin(FRAME.REQUEST, 20);
    client.out.u32(id);
    client.out.text('info');
    client.out.u8(0x80);
    client.out.end();
  }
  await session.until(() => session.closed);
  client.socket.resume();
  assert.equal((await client.goodbye())?.code, 'SLOW_CONSUMER');
});

test('too many unanswered requests pause the reading of that socket only, and an answer resumes it', async () => {
  const from = broker({ limits: { maxRequests: 10 } });
  const { client, session } = await joined(from);
  const waiting: ((receipt: PublishReceipt) => void)[] = [];
  session.answers.publish = () => new Promise((resolve) => waiting.push(resolve));
  for (let id = 1; id <= 40; id++) {
    writePublish(client.out, id, { ...publish, records: Buffer.alloc(20_000) });
    client.out.flush();
  }
  const other = await joined(from);
  writePublish(other.client.out, 1, publish);
  assert.equal((await other.client.next())?.type, FRAME.PUBLISHED);
  assert.ok(session.published.length >= 10 && session.published.length < 40, `${session.published.length}`);
  // The silence of a client that is not read is not held against it.
  from.clock.advance(60_000);
  for (let answered = 0; answered < 40; answered++) {
    await session.until(() => session.published.length > answered);
    waiting[answered]?.(receipt(answered, 1));
  }
  await session.until(() => session.published.length === 40);
});

test('bytes that unanswered requests hold are counted by chunk, so that a small publish cannot pin large ones', async () => {
  const from = broker({ limits: { maxHeldBytes: 300_000 } });
  const { client, session } = await joined(from);
  const waiting: ((receipt: PublishReceipt) => void)[] = [];
  session.answers.publish = () => new Promise((resolve) => waiting.push(resolve));
  for (let id = 1; id <= 40; id++) {
    // A chunk of one tiny publish among 60 kB of heartbeats.
    const chunk = Buffer.concat([
      await sent((each) => writePublish(each.out, id, publish)),
      Buffer.alloc(60_000, Buffer.from([1, 0, 0, 0, 3])),
    ]);
    client.socket.write(chunk);
  }
  const other = await joined(from);
  writePublish(other.client.out, 1, publish);
  await other.client.next();
  assert.ok(session.published.length <= 8, `${session.published.length} chunks of 60 kB are held`);
  for (let answered = 0; answered < 40; answered++) {
    await session.until(() => session.published.length > answered);
    waiting[answered]?.(receipt(answered, 1));
  }
});

test('a client that is silent for three heartbeats is closed and its session ended; one that beats is not', async () => {
  const from = broker();
  const quiet = await joined(from);
  const alive = await joined(from);
  for (let i = 0; i < 5; i++) {
    from.clock.advance(10_000);
    alive.client.out.begin(FRAME.HEARTBEAT, 0);
    alive.client.out.end();
    alive.client.out.flush();
    await alive.client.next();
  }
  assert.equal((await quiet.client.goodbye())?.code, 'CONNECTION_LOST');
  assert.equal(quiet.session.closed, true);
  assert.equal(alive.session.closed, false);
});

test('GOODBYE answers what was asked before, ends the session, and is answered', async () => {
  const from = broker();
  const { client, session } = await joined(from);
  let confirm: (receipt: PublishReceipt) => void = () => {};
  session.answers.publish = () => new Promise((resolve) => (confirm = resolve));
  writePublish(client.out, 1, publish);
  writeGoodbye(client.out, new RailheadError('CLOSED', 'Done.'));
  await session.until(() => session.closed);
  confirm(receipt(0, 1));
  assert.equal((await client.next())?.type, FRAME.PUBLISHED);
  assert.equal((await client.next())?.type, FRAME.GOODBYE);
  await client.closed;
});

test('GOODBYE does not wait for a read that waits for messages', async () => {
  const { client, session } = await joined(broker());
  session.answers.request = () => new Promise(() => {});
  const args = packData({ topic: 'q', from: 'end', waitMs: 20_000 });
  client.out.begin(FRAME.REQUEST, 10 + args.byteLength);
  client.out.u32(1);
  client.out.text('read');
  client.out.end(args.byteLength);
  client.out.bytes(args);
  writeGoodbye(client.out, new RailheadError('CLOSED', 'Done.'));
  assert.equal((await client.next())?.type, FRAME.GOODBYE);
  await client.closed;
});

test('closing the gateway drains every connection and resolves when their sessions are closed', async () => {
  const from = broker();
  const first = await joined(from);
  const second = await joined(from);
  await from.gateway.close();
  assert.deepEqual([first.session.closed, second.session.closed], [true, true]);
  assert.equal((await first.client.goodbye())?.code, 'CLOSED');
  assert.equal(from.gateway.connections, 0);
});

test('closing does not wait longer than the grace for what the engine does not answer', async () => {
  const from = broker();
  const { client, session } = await joined(from);
  session.answers.publish = () => new Promise(() => {});
  writePublish(client.out, 1, publish);
  await session.until(() => session.published.length === 1);
  const closing = from.gateway.close(2_000);
  from.clock.advance(2_000);
  assert.equal((await client.goodbye())?.code, 'CLOSED');
  await closing;
});

test('a client that comes back ends its former connection before it is let in; nobody else can', async () => {
  const from = broker();
  const former = new RawClient(from.gateway.loopback());
  const { sessionId } = await former.hello();
  const guess = new RawClient(from.gateway.loopback());
  await guess.hello({ resume: 'someone-elses' });
  const session = from.sessions[0];
  const closed = (): boolean | undefined => session?.closed;
  assert.equal(closed(), false);
  await new RawClient(from.gateway.loopback()).hello({ resume: sessionId });
  assert.equal(closed(), true);
  assert.equal((await former.goodbye())?.code, 'CLOSED');
});

test('mutated frames never crash the broker, never harm another client, and end only their own connection', async () => {
  const from = broker();
  const bystander = await joined(from);
  const script = await sent((client) => {
    writePublish(client.out, 1, { ...publish, producer: { id: 'p', sequence: 3 }, waitMs: 5, partition: 1 });
    writeSettle(
      client.out,
      3,
      [
        {
          topic: 'q',
          subscription: 'q',
          ranges: [{ partition: 0, offset: 1, count: 1, token: 2 }],
          action: 'reject',
          reason: 'x',
        },
      ],
      'durable',
    );
    consume(client, 4, 5, 10);
    writeIdData(client.out, FRAME.COMMIT, 6, { publishes: [publish], settlements: [], cursors: [] });
    client.out.begin(FRAME.REQUEST, 60);
    client.out.u32(7);
    client.out.text('declareTopic');
    client.out.end(30);
    client.out.bytes(
      Buffer.from('82a46e616d65a171a46b696e64a57175657565c0c0c0c0c0c0c0c0c0c0c0c0', 'hex').subarray(0, 30),
    );
    client.out.begin(FRAME.CLOSE_CONSUMER, 9);
    client.out.u32(8);
    client.out.u32(5);
    client.out.u8(1);
    client.out.end();
  });
  const random = new SeededRandom(20_26);
  const before = process.memoryUsage().arrayBuffers;
  let ended = 0;
  const rounds = 1_500;
  for (let round = 0; round < rounds; round++) {
    const bytes = Buffer.from(script);
    for (let flips = 1 + random.below(4); flips > 0; flips--) {
      const at = random.below(bytes.byteLength);
      if (random.chance(0.5)) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
      else bytes[at] = random.pick([0, 1, 0x7f, 0x80, 0xdf, 0xfe, 0xff]);
    }
    const { client } = await joined(from);
    for (let at = 0; at < bytes.byteLength;) {
      const size = 1 + random.below(bytes.byteLength);
      client.socket.write(bytes.subarray(at, at + size));
      at += size;
    }
    client.socket.end();
    const reason = await client.goodbye();
    if (reason !== undefined) {
      ended++;
      assert.equal(reason.code, 'PROTOCOL', `seed 2026, round ${round}: ${reason.message}`);
    }
    client.socket.destroy();
  }
  assert.ok(ended > rounds / 10, `only ${ended} of ${rounds} mutations were noticed`);
  assert.deepEqual(from.reported, []);
  writePublish(bystander.client.out, 1, publish);
  assert.equal((await bystander.client.next())?.type, FRAME.PUBLISHED);
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 << 20);
});
