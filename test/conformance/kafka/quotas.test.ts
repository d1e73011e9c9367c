/** Quotas, as kafkajs keeps to them: it sends nothing before the time is over that an answer tells. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Kafka } from 'kafkajs';
import { startServer } from '../../../src/server/index.ts';
import { RawPeer } from '../../kafka/raw-peer.ts';
import { kafkaAt } from './broker.ts';

const RATE = 40_000;
/** What may come at once: ten seconds' worth. */
const WINDOW = 10 * RATE;
const BEYOND_MS = 1_000;
const VALUE = Buffer.alloc(WINDOW + (RATE * BEYOND_MS) / 1000, 'x');

async function start(t: TestContext, key: string): Promise<Kafka> {
  const server = await startServer({ memory: true, port: 0, drainTimeout: '1s', log: { level: 'silent' } });
  t.after(() => server.close());
  const address = server.kafkaAddress ?? '';
  const admin = await RawPeer.dial(Number(address.split(':')[1]));
  const entity = [{ entityType: 'client-id', entityName: 'test' }];
  const entries = [{ entity, ops: [{ key, value: RATE, remove: false }] }];
  const told = await admin.ask('alterClientQuotas', 1, { entries, validateOnly: false });
  assert.equal(told?.entries[0]?.errorCode, 0);
  admin.socket.destroy();
  return kafkaAt(address);
}

test('kafkajs above its quota as a producer waits as long as it is told, and goes on', async (t) => {
  const kafka = await start(t, 'producer_byte_rate');
  const producer = kafka.producer();
  await producer.connect();
  t.after(() => producer.disconnect());
  const queued: number[] = [];
  producer.on(producer.events.REQUEST_QUEUE_SIZE, ({ payload }) => queued.push(payload.queueSize));
  const send = (value: Buffer) => producer.send({ topic: 'letters', messages: [{ value }] });
  await send(Buffer.from('first'));
  await send(VALUE);
  const isHeld = (): boolean => queued.some((size) => size > 0);
  assert.ok(!isHeld());
  const began = performance.now();
  const [told] = await send(Buffer.from('last'));
  const tookMs = performance.now() - began;
  assert.deepEqual([told?.errorCode, told?.baseOffset], [0, '2']);
  assert.ok(isHeld(), 'nothing was held back');
  assert.ok(tookMs >= 0.8 * BEYOND_MS, `it waited for ${tookMs} ms`);
});

test('kafkajs above its quota as a consumer gets the rest when it has waited', async (t) => {
  const kafka = await start(t, 'consumer_byte_rate');
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic: 'letters', messages: [{ value: VALUE }] });
  const consumer = kafka.consumer({ groupId: 'readers', maxWaitTimeInMs: 50 });
  t.after(() => Promise.all([consumer.disconnect(), producer.disconnect()]));
  await consumer.connect();
  await consumer.subscribe({ topic: 'letters', fromBeginning: true });
  const got: { bytes: number; at: number }[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await consumer.run({
    eachMessage: async ({ message }) => {
      got.push({ bytes: message.value?.byteLength ?? 0, at: performance.now() });
      if (got.length === 1) await producer.send({ topic: 'letters', messages: [{ value: 'last' }] });
      else resolve();
    },
  });
  await promise;
  const [first, last] = got;
  assert.deepEqual([first?.bytes, last?.bytes], [VALUE.byteLength, 4]);
  const tookMs = (last?.at ?? 0) - (first?.at ?? 0);
  assert.ok(tookMs >= 0.8 * BEYOND_MS, `the rest came after ${tookMs} ms`);
});
