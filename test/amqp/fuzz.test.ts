import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { answersWhereverSplit } from './answers.ts';
import { fuzz, LONGEST_CHUNK_MS } from './fuzz.ts';
import { handshake, inProcess } from './in-process.ts';
import { randomBytes, written } from './wire.ts';

/** Always the same frames; others are made by `npm run soak -- amqp-fuzz -- --seed NUMBER`. */
const SEED = 20_261_122;

test('of 100,000 frames, right and broken, none makes the broker fail or stall or leaves a connection behind', async (t) => {
  const { bugs, left, ...report } = await fuzz(SEED, 100_000);
  t.diagnostic(JSON.stringify(report));
  assert.deepEqual(bugs, []);
  assert.equal(left, 0);
  assert.ok(report.longestChunkMs <= LONGEST_CHUNK_MS, `${report.longestChunkMs} ms`);
  assert.ok(report.ended > 0 && report.ended < report.sessions, 'some sessions were ended by the broker, not all');
});

/** Declares, publishes with confirms, gets, settles, deletes, and leaves. */
function recorded(random: SeededRandom): Buffer {
  const queue = { reserved1: 0, queue: 'q' };
  const body = randomBytes(random, 40);
  const content = Buffer.alloc(22);
  content[0] = 2;
  content.writeUInt16BE(1, 1);
  content.writeUInt32BE(14, 3);
  content.writeUInt16BE(60, 7);
  content.writeBigUInt64BE(BigInt(body.byteLength), 11);
  content[21] = 0xce;
  return written((out) => {
    const declared = { passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false };
    out.method(1, 'queueDeclare', { ...queue, ...declared, arguments: new Map() });
    out.method(1, 'confirmSelect', { noWait: false });
    const route = { exchange: '', routingKey: 'q', mandatory: true, immediate: false };
    for (let i = 0; i < 2; i++) {
      out.method(1, 'basicPublish', { reserved1: 0, ...route });
      out.bytes(content);
      out.bytes(Buffer.concat([Buffer.of(3, 0, 1, 0, 0, 0, body.byteLength), body, Buffer.of(0xce)]));
    }
    out.method(1, 'basicGet', { ...queue, noAck: false });
    out.method(1, 'basicReject', { deliveryTag: 1, requeue: true });
    out.method(1, 'basicGet', { ...queue, noAck: true });
    out.method(1, 'queueDelete', { ...queue, ifUnused: false, ifEmpty: false, noWait: false });
    out.method(1, 'queueDeclare', { ...queue, ...declared, passive: true, arguments: new Map() });
    out.method(0, 'connectionClose', { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 });
  });
}

test('a session is answered alike wherever its bytes are split', async () => {
  const at = await inProcess();
  const session = Buffer.concat([handshake(), recorded(new SeededRandom(1))]);
  const whole = await answersWhereverSplit(at, session);
  assert.ok(whole.length > 12, `${whole.length} frames`);
  await at.close();
});

test('for a client that reads nothing the broker holds no more than a few megabytes', async () => {
  const at = await inProcess();
  const wire = at.connect();
  wire.onSent = () => {};
  const random = new SeededRandom(1);
  const body = Buffer.concat([Buffer.of(3, 0, 1, 0, 1, 0, 0), randomBytes(random, 65_536), Buffer.of(0xce)]);
  const content = Buffer.alloc(22);
  content[0] = 2;
  content.writeUInt16BE(1, 1);
  content.writeUInt32BE(14, 3);
  content.writeUInt16BE(60, 7);
  content.writeBigUInt64BE(65_536n, 11);
  content[21] = 0xce;
  const publish = written((out) => {
    const route = { exchange: '', routingKey: 'q', mandatory: false, immediate: false };
    out.method(1, 'basicPublish', { reserved1: 0, ...route });
    out.bytes(content);
    out.bytes(body);
  });
  wire.push(handshake());
  wire.push(
    written((out) => {
      const flags = { passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false };
      out.method(1, 'queueDeclare', { reserved1: 0, queue: 'q', ...flags, arguments: new Map() });
      const consume = { noLocal: false, noAck: true, exclusive: false, noWait: true };
      out.method(1, 'basicConsume', { reserved1: 0, queue: 'q', consumerTag: 'c', ...consume, arguments: new Map() });
    }),
  );
  wire.stall();
  let most = 0;
  for (let i = 0; i < 1000; i++) {
    wire.push(publish);
    for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, wire.writableLength);
  }
  assert.ok(most > 1 << 20 && most < 16 << 20, `${most} bytes of 64 MiB wait for the client`);
  wire.readOn();
  wire.destroy();
  await wire.leave();
  await at.close();
});
