/** Messages cross between SQS, AMQP, Kafka and the SDK. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  type Message,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { connect, type ConfirmChannel, type GetMessage } from 'amqplib';
import { defineQueue, type Message as SdkMessage } from '../../../src/index.ts';
import { kafkaAt } from '../kafka/broker.ts';
import { type Form, FORMS, sqsBench, type SqsBench } from './clients.ts';

/** A broker and Amazon's client of it. What is opened later with `stack` is closed earlier. */
async function benchIn(stack: AsyncDisposableStack, form: Form = 'json'): Promise<SqsBench> {
  return stack.use(await sqsBench({ form }));
}

async function channelOf({ broker }: SqsBench, stack: AsyncDisposableStack): Promise<ConfirmChannel> {
  const connection = await connect((await broker.endpoint('amqp')).url);
  stack.defer(() => connection.close());
  return connection.createConfirmChannel();
}

async function createQueue(sqs: SQSClient, QueueName: string): Promise<string> {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName }));
  assert.ok(QueueUrl);
  return QueueUrl;
}

async function receive(sqs: SQSClient, QueueUrl: string): Promise<Message> {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl, MessageSystemAttributeNames: ['All'], MessageAttributeNames: ['All'] }),
  );
  const [message] = Messages;
  assert.ok(message);
  return message;
}

async function got(channel: ConfirmChannel, queue: string): Promise<GetMessage> {
  const message = await channel.get(queue, { noAck: true });
  assert.ok(message);
  return message;
}

const FROM_SQS = {
  MessageBody: 'Grüße',
  MessageGroupId: 'ann',
  MessageAttributes: {
    color: { DataType: 'String', StringValue: 'red' },
    size: { DataType: 'Number.int', StringValue: '42' },
    huge: { DataType: 'Number', StringValue: '12345678901234567890' },
    raw: { DataType: 'Binary', BinaryValue: Buffer.from([0, 255]) },
  },
};

test('a message of SQS is consumed over AMQP with its attributes as headers', async () => {
  await using stack = new AsyncDisposableStack();
  const bench = await benchIn(stack);
  const { sqs } = bench;
  const QueueUrl = await createQueue(sqs, 'orders');
  await sqs.send(new SendMessageCommand({ QueueUrl, ...FROM_SQS }));
  const { content, properties } = await got(await channelOf(bench, stack), 'orders');
  assert.equal(content.toString(), 'Grüße');
  assert.equal(properties.contentType, 'text/plain');
  assert.deepEqual(
    { ...properties.headers },
    {
      color: 'red',
      size: 42,
      huge: '12345678901234567890',
      raw: Buffer.from([0, 255]),
      'railhead-key': 'ann',
    },
  );
});

test('a message of SQS is consumed by the SDK with its attributes as headers', async () => {
  await using stack = new AsyncDisposableStack();
  const bench = await benchIn(stack);
  const { sqs, broker } = bench;
  const QueueUrl = await createQueue(sqs, 'orders');
  await sqs.send(new SendMessageCommand({ QueueUrl, ...FROM_SQS }));
  const message = await new Promise<SdkMessage<unknown>>((resolve) => {
    broker.rail.queue(defineQueue('orders')).work(async (job) => resolve(job));
  });
  const { color, size, huge } = message.headers;
  assert.deepEqual([message.body, message.key, color, size, huge], ['Grüße', 'ann', 'red', 42, '12345678901234567890']);
});

test('what SQS says of repetition and delay holds for whoever consumes, and what only SQS knows does not cross', async () => {
  await using stack = new AsyncDisposableStack();
  const bench = stack.use(await sqsBench({ clock: 'manual' }));
  const { sqs, broker } = bench;
  const QueueUrl = await createQueue(sqs, 'orders');
  const AWSTraceHeader = { DataType: 'String', StringValue: 'Root=1-5759e988-bd862e3fe1be46a994272793' };
  const MessageSystemAttributes = { AWSTraceHeader };
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'later', DelaySeconds: 60, MessageSystemAttributes }));
  const channel = await channelOf(bench, stack);
  assert.equal(await channel.get('orders', { noAck: true }), false);
  await broker.clock.advance('60s');
  const { content, properties } = await got(channel, 'orders');
  assert.deepEqual([content.toString(), { ...properties.headers }], ['later', {}]);
  const Attributes = { FifoQueue: 'true' };
  const fifo = await sqs.send(new CreateQueueCommand({ QueueName: 'orders.fifo', Attributes }));
  const ids = { MessageGroupId: 'ann', MessageDeduplicationId: 'once' };
  await sqs.send(new SendMessageCommand({ QueueUrl: fifo.QueueUrl, MessageBody: 'first', ...ids }));
  const { properties: ordered } = await got(channel, 'orders.fifo');
  assert.deepEqual({ ...ordered.headers }, { 'railhead-key': 'ann', 'railhead-dedupe-id': 'once' });
});

test('a message of SQS is read by a consumer of Kafka, and stays for SQS', async () => {
  await using stack = new AsyncDisposableStack();
  const bench = await benchIn(stack);
  const { sqs, broker } = bench;
  const QueueUrl = await createQueue(sqs, 'orders');
  await sqs.send(new SendMessageCommand({ QueueUrl, ...FROM_SQS }));
  const consumer = kafkaAt((await broker.endpoint('kafka')).url).consumer({ groupId: 'readers', maxWaitTimeInMs: 50 });
  await consumer.connect();
  stack.defer(() => consumer.disconnect());
  await consumer.subscribe({ topic: 'orders', fromBeginning: true });
  const message = await new Promise<{ key: unknown; value: unknown; color: unknown }>((resolve, reject) => {
    consumer
      .run({
        eachMessage: async ({ message: { key, value, headers } }) =>
          resolve({ key: key?.toString(), value: value?.toString(), color: headers?.['color']?.toString() }),
      })
      .catch(reject);
  });
  assert.deepEqual(message, { key: 'ann', value: 'Grüße', color: 'red' });
  assert.equal((await receive(sqs, QueueUrl)).Body, 'Grüße');
});

for (const form of FORMS)
  test(`a message of AMQP is received over SQS with its headers as attributes (${form})`, async () => {
    await using stack = new AsyncDisposableStack();
    const bench = await benchIn(stack, form);
    const { sqs } = bench;
    const channel = await channelOf(bench, stack);
    await channel.assertQueue('orders', { durable: true });
    const QueueUrl = `${bench.url}/000000000000/orders`;
    const headers = {
      color: 'red',
      size: 42,
      'not a name': true,
      bell: '\u0007',
      empty: '',
      'x-list': ['a', 1],
      'railhead-key': 'ann',
    };
    channel.sendToQueue('orders', Buffer.from('Grüße'), { headers, correlationId: 'c-1' });
    await channel.waitForConfirms();
    const message = await receive(sqs, QueueUrl);
    assert.equal(message.Body, 'Grüße');
    assert.equal(message.Attributes?.MessageGroupId, 'ann');
    assert.deepEqual(
      Object.fromEntries(
        Object.entries(message.MessageAttributes ?? {}).map(([name, { DataType, StringValue, BinaryValue }]) => [
          name,
          [DataType, StringValue ?? Buffer.from(BinaryValue ?? []).toString()],
        ]),
      ),
      {
        color: ['String', 'red'],
        size: ['Number', '42'],
        not_a_name: ['String', 'true'],
        bell: ['Binary', '\u0007'],
        'x-list': ['String', '["a",1]'],
        'amqp-correlation-id': ['String', 'c-1'],
      },
    );
    await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message.ReceiptHandle }));
    assert.equal(await channel.get('orders'), false);
    // Neither is text that XML can carry.
    for (const bytes of [Buffer.from([0xff, 0xfe]), Buffer.from('a\u0000b')]) {
      channel.sendToQueue('orders', bytes);
      await channel.waitForConfirms();
      const { Body, ReceiptHandle } = await receive(sqs, QueueUrl);
      assert.equal(Body, bytes.toString('base64'));
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    }
  });

test('a record of Kafka is received over SQS from a queue', async () => {
  await using stack = new AsyncDisposableStack();
  const bench = await benchIn(stack);
  const { sqs, broker } = bench;
  const QueueUrl = await createQueue(sqs, 'orders');
  const producer = kafkaAt((await broker.endpoint('kafka')).url).producer();
  await producer.connect();
  stack.defer(() => producer.disconnect());
  await producer.send({ topic: 'orders', messages: [{ key: 'ann', value: 'hello', headers: { color: 'red' } }] });
  const message = await receive(sqs, QueueUrl);
  assert.deepEqual(
    [message.Body, message.Attributes?.MessageGroupId, message.MessageAttributes?.['color']?.StringValue],
    ['hello', 'ann', 'red'],
  );
});
