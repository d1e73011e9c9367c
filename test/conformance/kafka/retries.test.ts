/** Retries and dead letters of a group of kafkajs, as it is, with nothing but a policy at the broker. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Consumer, EachMessagePayload, Kafka, KafkaMessage } from 'kafkajs';
import { Retries } from '../../../src/core/retries.ts';
import type { TestBroker } from '../../../src/testing/index.ts';
import { eventually } from '../../eventually.ts';
import { place } from './broker.ts';

const GROUP = 'billing';
const RETRY = 'orders.billing.retry';
const WAITING = 'orders.billing.retry.waiting';
const DEAD = 'orders.billing.dead';

async function withPolicy(t: TestContext): Promise<{ broker: TestBroker; kafka: Kafka }> {
  const { broker, kafka } = await place(t);
  const admin = kafka.admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 2 }] });
  await new Retries(broker.rail).put({
    topic: 'orders',
    group: GROUP,
    attempts: 3,
    backoff: { type: 'exponential', minMs: 60, maxMs: 1_000, jitter: false },
  });
  return { broker, kafka };
}

type Handle = (message: KafkaMessage, topic: string) => void;

/** A program as its author writes it: what its handler cannot do is handed back, and it goes on. */
async function work(t: TestContext, kafka: Kafka, handle: Handle): Promise<Consumer> {
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  t.after(() => producer.disconnect());
  const consumer = kafka.consumer({ groupId: GROUP, maxWaitTimeInMs: 100, heartbeatInterval: 200 });
  await consumer.connect();
  await consumer.subscribe({ topics: ['orders', RETRY], fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ topic, partition, message }: EachMessagePayload) => {
      try {
        handle(message, topic);
      } catch (error) {
        const headers = {
          'railhead-failed-topic': topic,
          'railhead-failed-partition': String(partition),
          'railhead-failed-offset': message.offset,
          'railhead-failed-reason': error instanceof Error ? error.message : String(error),
        };
        await producer.send({ topic: RETRY, messages: [{ value: null, headers }] });
      }
    },
  });
  return consumer;
}

async function deadLetters(broker: TestBroker) {
  const { messages } = await broker.rail
    .request('peek', { topic: DEAD, subscription: DEAD, limit: 10 })
    .catch(() => ({ messages: [] }));
  return messages;
}

test('a record that a group hands back comes again after the backoff, and is a dead letter after the last attempt', async (t) => {
  const { broker, kafka } = await withPolicy(t);
  const seen: { value: string; topic: string; at: number; attempts: string }[] = [];
  let isMended = false;
  const consumer = await work(t, kafka, (message, topic) => {
    const attempts = String(message.headers?.['railhead-attempts'] ?? '');
    seen.push({ value: String(message.value), topic, at: Date.now(), attempts });
    if (String(message.value) === 'twice' && topic === 'orders') throw new Error('not yet');
    if (String(message.value) === 'bad' && !isMended) throw new Error('no such customer');
  });
  const producer = kafka.producer();
  await producer.connect();
  t.after(() => producer.disconnect());
  const key = Buffer.from([0, 255, 254]);
  const messages = ['good', 'bad', 'twice'].map((value) => ({ key, value, partition: 1, headers: { plan: 'pro' } }));
  await producer.send({ topic: 'orders', messages });
  await eventually('a dead letter', async () => (await deadLetters(broker)).length === 1);
  await eventually('a second success', () => seen.some(({ value, topic }) => value === 'twice' && topic === RETRY));
  const of = (value: string) => seen.filter((each) => each.value === value);
  assert.deepEqual(
    of('bad').map(({ topic, attempts }) => [topic, attempts]),
    [
      ['orders', ''],
      [RETRY, '1'],
      [RETRY, '2'],
    ],
  );
  const [first = 0, second = 0, third = 0] = of('bad').map(({ at }) => at);
  assert.ok(second - first >= 60 && third - second >= 120, `backoff: ${second - first} ms, ${third - second} ms`);
  assert.equal(of('good').length, 1);
  const [dead] = await deadLetters(broker);
  assert.equal(dead?.history?.reason, 'attempts');
  assert.equal(dead.history.error, 'failed 3 of 3 times, at last: no such customer');
  assert.equal(dead.history.topic, WAITING);
  assert.equal(Buffer.from(dead.envelope.body).toString(), 'bad');
  assert.deepEqual(dead.envelope.headers, {
    plan: 'pro',
    'railhead-origin-topic': 'orders',
    'railhead-origin-partition': '1',
    'railhead-origin-offset': '1',
    'railhead-attempts': '3',
    'railhead-error': 'no such customer',
  });
  isMended = true;
  const { moved } = await broker.rail.request('redrive', { topic: DEAD, subscription: DEAD });
  assert.equal(moved, 1);
  await eventually('the redriven one', () => of('bad').length === 4);
  assert.deepEqual([of('bad')[3]?.topic, of('bad')[3]?.attempts], [RETRY, '0']);
  // While the broker is there: a consumer of kafkajs that has lost it begins again, also after its end.
  await consumer.disconnect();
  const log = await readAll(kafka, RETRY);
  // Byte for byte, also a key that is no text.
  assert.ok(log.length === 4 && log.every((message) => message.key?.equals(key)));
});

async function readAll(kafka: Kafka, topic: string): Promise<KafkaMessage[]> {
  const consumer = kafka.consumer({ groupId: `reads ${topic}`, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const found: KafkaMessage[] = [];
  await consumer.run({ eachMessage: async ({ message }) => void found.push(message) });
  await eventually('all of the topic', () => found.length >= 4);
  await consumer.disconnect();
  return found;
}
