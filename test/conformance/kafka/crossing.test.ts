/** Clients of Kafka on one side, of AMQP, SQS and the SDK on the other. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { promisify } from 'node:util';
import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { connect, type ConfirmChannel } from 'amqplib';
import kafkajs, { type Kafka } from 'kafkajs';
import { defineQueue } from '../../../src/index.ts';
import type { TestBroker } from '../../../src/testing/index.ts';
import { sqsClient } from '../aws/clients.ts';
import { place } from './broker.ts';

const { CompressionCodecs, CompressionTypes } = kafkajs;

/** kafkajs takes what others bring for every codec but gzip. */
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: ({ buffer }: { buffer: Buffer }) => promisify(zstdCompress)(buffer),
  decompress: (buffer: Buffer) => promisify(zstdDecompress)(buffer),
});

const CODECS = { gzip: CompressionTypes.GZIP, zstd: CompressionTypes.ZSTD } as const;
const KEYS = ['a', 'b', 'c', 'd'];
/** The one that is given back once. */
const AGAIN = 'c';
const EXPECTED = ['a 1', 'b 1', 'c 1', 'c 2', 'd 1'];

/** All in one batch. */
async function produce(t: TestContext, kafka: Kafka, codec: keyof typeof CODECS): Promise<void> {
  const producer = kafka.producer();
  await producer.connect();
  t.after(() => producer.disconnect());
  const messages = KEYS.map((key) => ({ key, value: `value of ${key}`, headers: { color: `red ${key}` } }));
  const [sent] = await producer.send({ topic: 'orders', messages, compression: CODECS[codec] });
  assert.deepEqual([sent?.errorCode, sent?.baseOffset], [0, '0']);
}

/** Over a connection that ends with its broker. */
async function channelOf(broker: TestBroker): Promise<ConfirmChannel> {
  const connection = await connect((await broker.endpoint('amqp')).url);
  connection.on('error', () => {});
  return connection.createConfirmChannel();
}

async function sqsOf(t: TestContext, broker: TestBroker): Promise<{ sqs: SQSClient; QueueUrl: string }> {
  const sqs = sqsClient((await broker.endpoint('aws')).url, 'json');
  t.after(() => sqs.destroy());
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'orders' }));
  assert.ok(QueueUrl);
  return { sqs, QueueUrl };
}

for (const codec of Object.keys(CODECS) as (keyof typeof CODECS)[]) {
  test(`records of a batch with ${codec} are consumed over AMQP one by one, and again when they are given back`, async (t) => {
    const { kafka, broker } = await place(t);
    const channel = await channelOf(broker);
    await channel.assertQueue('orders', { durable: true });
    await produce(t, kafka, codec);
    await channel.prefetch(1);
    const seen: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    await channel.consume('orders', (message) => {
      if (message === null) return;
      const { content, fields, properties } = message;
      const { 'railhead-key': key, color } = properties.headers ?? {};
      assert.deepEqual([content.toString(), color], [`value of ${key}`, `red ${key}`]);
      seen.push(`${key} ${fields.redelivered ? 2 : 1}`);
      if (key === AGAIN && !fields.redelivered) channel.nack(message, false, true);
      else channel.ack(message);
      if (seen.length === EXPECTED.length) resolve();
    });
    await promise;
    assert.deepEqual(seen.toSorted(), EXPECTED);
    await channel.close();
    const { ready, leased } = await broker.inspect('orders');
    assert.deepEqual([ready, leased], [[], []]);
  });

  test(`records of a batch with ${codec} are received over SQS one by one, and again when they are given back`, async (t) => {
    const { kafka, broker } = await place(t);
    const { sqs, QueueUrl } = await sqsOf(t, broker);
    await produce(t, kafka, codec);
    const seen: string[] = [];
    while (seen.length < EXPECTED.length) {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({
          QueueUrl,
          MaxNumberOfMessages: 1,
          MessageSystemAttributeNames: ['All'],
          MessageAttributeNames: ['All'],
        }),
      );
      const [message] = Messages;
      assert.ok(message);
      const { Body, Attributes, MessageAttributes, ReceiptHandle } = message;
      const { MessageGroupId: key, ApproximateReceiveCount: attempt } = Attributes ?? {};
      assert.deepEqual([Body, MessageAttributes?.['color']?.StringValue], [`value of ${key}`, `red ${key}`]);
      seen.push(`${key} ${attempt}`);
      if (key === AGAIN && attempt === '1')
        await sqs.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 0 }));
      else await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    }
    assert.deepEqual(seen.toSorted(), EXPECTED);
    assert.equal((await sqs.send(new ReceiveMessageCommand({ QueueUrl }))).Messages, undefined);
  });
}

test('what the SDK, AMQP and SQS publish is consumed by kafkajs in its order, again where that failed, and stays for others', async (t) => {
  const { kafka, broker } = await place(t);
  const { sqs, QueueUrl } = await sqsOf(t, broker);
  const queue = broker.rail.queue(defineQueue<{ n: number }>('orders'));
  await queue.sendMany([{ n: 1 }, { n: 2 }], ({ n }) => ({ key: `sdk ${n}`, headers: { color: 'red' } }));
  const channel = await channelOf(broker);
  channel.sendToQueue('orders', Buffer.from('by AMQP'), { headers: { color: 'green', 'railhead-key': 'amqp' } });
  await channel.waitForConfirms();
  const MessageAttributes = { color: { DataType: 'String', StringValue: 'blue' } };
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'by SQS', MessageGroupId: 'sqs', MessageAttributes }));
  const consumed = async (groupId: string, failsAt: string, count: number): Promise<string[][]> => {
    const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 50, retry: { initialRetryTime: 10 } });
    t.after(() => consumer.disconnect());
    await consumer.connect();
    await consumer.subscribe({ topic: 'orders', fromBeginning: true });
    const seen: string[][] = [];
    let fails = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    await consumer.run({
      eachMessage: async ({ message: { offset, key, value, headers } }) => {
        seen.push([offset, String(key), String(value), String(headers?.['color'])]);
        if (fails && String(key) === failsAt) {
          fails = false;
          throw new Error('once more');
        }
        if (seen.length === count) resolve();
      },
    });
    await promise;
    await consumer.disconnect();
    return seen;
  };
  const amqp = ['2', 'amqp', 'by AMQP', 'green'];
  assert.deepEqual(await consumed('readers', 'amqp', 5), [
    ['0', 'sdk 1', '{"n":1}', 'red'],
    ['1', 'sdk 2', '{"n":2}', 'red'],
    amqp,
    amqp,
    ['3', 'sqs', 'by SQS', 'blue'],
  ]);
  await queue.send({ n: 3 }, { key: 'sdk 3', headers: { color: 'red' } });
  // What was committed is not read again.
  assert.deepEqual(await consumed('readers', 'nobody', 1), [['4', 'sdk 3', '{"n":3}', 'red']]);
  const { ready } = await broker.inspect('orders');
  assert.equal(ready.length, 5);
});
