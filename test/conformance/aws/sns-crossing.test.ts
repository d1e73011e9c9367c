/** What is published to a topic of SNS reaches queues of AMQP and of the SDK. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CreateTopicCommand, PublishCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { connect, type ConfirmChannel, type ConsumeMessage } from 'amqplib';
import { defineQueue, type Message } from '../../../src/index.ts';
import { CREDENTIALS, REGION, sqsBench, type SqsBench } from './clients.ts';

const MESSAGE = {
  Message: 'Grüße',
  Subject: 'Hello',
  MessageAttributes: {
    color: { DataType: 'String', StringValue: 'red' },
    size: { DataType: 'Number', StringValue: '42' },
    raw: { DataType: 'Binary', BinaryValue: Buffer.from([0, 255]) },
  },
};

interface Rig {
  bench: SqsBench;
  sns: SNSClient;
  /** With what is subscribed: a queue, and whether it gets the message alone. */
  topic(this: void, queue: string, delivery: 'raw' | 'envelope', fifo?: 'fifo'): Promise<string>;
}

async function rigIn(stack: AsyncDisposableStack): Promise<Rig> {
  const bench = stack.use(await sqsBench());
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  stack.defer(() => sns.destroy());
  return {
    bench,
    sns,
    topic: async (queue, delivery, fifo) => {
      const Name = fifo === undefined ? 'news' : 'news.fifo';
      const Attributes = fifo === undefined ? undefined : { FifoTopic: 'true', ContentBasedDeduplication: 'true' };
      const { TopicArn = '' } = await sns.send(new CreateTopicCommand({ Name, Attributes }));
      const Endpoint = `arn:aws:sqs:${REGION}:000000000000:${queue}`;
      const RawMessageDelivery = String(delivery === 'raw');
      await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint, Attributes: { RawMessageDelivery } }));
      return TopicArn;
    },
  };
}

async function channelOf({ broker }: SqsBench, stack: AsyncDisposableStack): Promise<ConfirmChannel> {
  const connection = await connect((await broker.endpoint('amqp')).url);
  stack.defer(() => connection.close());
  return connection.createConfirmChannel();
}

/** The next one that a consumer of the queue is given. */
function consumed(channel: ConfirmChannel, queue: string): Promise<ConsumeMessage> {
  return new Promise((resolve, reject) => {
    channel
      .consume(queue, (message) => {
        if (message === null) return;
        channel.ack(message);
        resolve(message);
      })
      .catch(reject);
  });
}

test('raw delivery gives a consumer of AMQP the message, its attributes as headers', async () => {
  await using stack = new AsyncDisposableStack();
  const { bench, sns, topic } = await rigIn(stack);
  const channel = await channelOf(bench, stack);
  await channel.assertQueue('orders', { durable: true });
  const message = consumed(channel, 'orders');
  await sns.send(new PublishCommand({ TopicArn: await topic('orders', 'raw'), ...MESSAGE }));
  const { content, properties } = await message;
  assert.equal(content.toString(), 'Grüße');
  assert.equal(properties.contentType, 'text/plain');
  assert.deepEqual({ ...properties.headers }, { color: 'red', size: 42, raw: Buffer.from([0, 255]) });
});

test('a consumer of AMQP gets the notification of SNS as JSON', async () => {
  await using stack = new AsyncDisposableStack();
  const { bench, sns, topic } = await rigIn(stack);
  const channel = await channelOf(bench, stack);
  await channel.assertQueue('orders', { durable: true });
  const message = consumed(channel, 'orders');
  const TopicArn = await topic('orders', 'envelope');
  const { MessageId } = await sns.send(new PublishCommand({ TopicArn, ...MESSAGE }));
  const { content, properties } = await message;
  const notification = JSON.parse(content.toString()) as Record<string, unknown>;
  const { Type, Message, Subject, TopicArn: from, MessageId: id, MessageAttributes } = notification;
  assert.deepEqual([Type, Message, Subject, from, id], ['Notification', 'Grüße', 'Hello', TopicArn, MessageId]);
  assert.deepEqual(MessageAttributes, {
    color: { Type: 'String', Value: 'red' },
    size: { Type: 'Number', Value: '42' },
    raw: { Type: 'Binary', Value: 'AP8=' },
  });
  assert.deepEqual({ ...properties.headers }, {});
});

test('a worker of the SDK gets what a FIFO topic publishes, its group as the key', async () => {
  await using stack = new AsyncDisposableStack();
  const { bench, sns, topic } = await rigIn(stack);
  const queue = bench.broker.rail.queue(defineQueue<string>('orders'));
  await queue.ready();
  const TopicArn = await topic('orders', 'raw', 'fifo');
  await sns.send(new PublishCommand({ TopicArn, ...MESSAGE, MessageGroupId: 'ann' }));
  const message = await new Promise<Message<unknown>>((resolve) => {
    bench.broker.rail.queue(defineQueue('orders')).work(async (job) => resolve(job));
  });
  const { color, size } = message.headers;
  assert.deepEqual([message.body, message.key, color, size], ['Grüße', 'ann', 'red', 42]);
});
