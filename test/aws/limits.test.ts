/** What SQS lets a client ask for beyond Amazon's limits, and the port of those who come from ElasticMQ. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer } from '../../src/server/index.ts';
import { testBroker } from '../../src/testing/index.ts';
import { call, FORMS } from './call.ts';

interface Received {
  Messages?: { Body: string; ReceiptHandle: string }[];
}

test('with relaxed limits a message waits for a month, and a receive gets a hundred', async () => {
  await using broker = await testBroker({ clock: 'manual', awsLimits: 'relaxed' });
  const { url } = await broker.endpoint('aws');
  const QueueUrl = `${url}/000000000000/orders`;
  const good = async (action: string, input: object): Promise<Received> => {
    const { status, text } = await call(url, 'json', action, { QueueUrl, ...input });
    assert.equal(status, 200, text);
    return JSON.parse(text === '' ? '{}' : text) as Received;
  };
  await good('CreateQueue', { QueueName: 'orders', Attributes: { MessageRetentionPeriod: '31536000' } });
  await good('SendMessage', { MessageBody: 'later', DelaySeconds: 30 * 86_400 });
  const Entries = Array.from({ length: 100 }, (_, i) => ({ Id: `m${i}`, MessageBody: `m${i}` }));
  await good('SendMessageBatch', { Entries });
  const { Messages = [] } = await good('ReceiveMessage', { MaxNumberOfMessages: 100, VisibilityTimeout: 90_000 });
  assert.equal(Messages.length, 100);
  await good('DeleteMessageBatch', {
    Entries: Messages.map(({ ReceiptHandle }, i) => ({ Id: `m${i}`, ReceiptHandle })),
  });
  await broker.clock.advance('29d');
  assert.equal((await good('ReceiveMessage', {})).Messages, undefined);
  await broker.clock.advance('1d');
  assert.equal((await good('ReceiveMessage', {})).Messages?.[0]?.Body, 'later');
  for (let i = 0; i < 2; i++) await good('PurgeQueue', {});
});

for (const form of FORMS) {
  test(`what is as large as Amazon allows is kept as it was sent (${form})`, async () => {
    await using broker = await testBroker();
    const { url } = await broker.endpoint('aws');
    const QueueName = `${'q'.repeat(75)}.fifo`;
    const QueueUrl = `${url}/000000000000/${QueueName}`;
    const good = async (action: string, input: object, by = form): Promise<string> => {
      const { status, text } = await call(url, by, action, { QueueUrl, ...input });
      assert.equal(status, 200, text);
      return text;
    };
    await good('CreateQueue', { QueueName, Attributes: { FifoQueue: 'true' } });
    const names = [...Array.from({ length: 8 }, (_, i) => `a${i}`), 'n'.repeat(255), 'n'.repeat(256)];
    const MessageAttributes = Object.fromEntries(
      names.map((name) => [name, { DataType: `String.${'t'.repeat(248)}`, StringValue: name }]),
    );
    const attributeBytes = names.reduce((sum, name) => sum + 255 + 2 * name.length, 0);
    const MessageSystemAttributes = { AWSTraceHeader: { DataType: 'String', StringValue: 'x'.repeat(4096) } };
    const [MessageGroupId, MessageDeduplicationId] = ['g'.repeat(128), '~'.repeat(128)];
    const MessageBody = 'é'.repeat(1000).padEnd((1 << 20) - attributeBytes - 1000, 'x');
    const sent = { MessageBody, MessageAttributes, MessageSystemAttributes, MessageGroupId, MessageDeduplicationId };
    await good('SendMessage', sent);
    const more = await call(url, form, 'SendMessage', { QueueUrl, ...sent, MessageBody: `${MessageBody}x` });
    assert.equal(more.error, 'InvalidParameterValue', 'one byte more is too much');
    const wanted = { MessageSystemAttributeNames: ['All'], MessageAttributeNames: ['All'] };
    const got = JSON.parse(await good('ReceiveMessage', wanted, 'json')) as {
      Messages: (typeof sent & { Body: string; Attributes: object })[];
    };
    const [message] = got.Messages;
    assert.equal(message?.Body, MessageBody);
    assert.deepEqual(message.MessageAttributes, MessageAttributes);
    const { AWSTraceHeader } = MessageSystemAttributes;
    const expected = { MessageGroupId, MessageDeduplicationId, AWSTraceHeader: AWSTraceHeader.StringValue };
    assert.partialDeepStrictEqual(message.Attributes, expected);
  });
}

test('a second port answers as ElasticMQ does, also for the queue URLs of its older versions', async () => {
  const server = await startServer({
    memory: true,
    port: 0,
    aws: false,
    elasticmq: 0,
    amqp: false,
    kafka: false,
    log: { level: 'silent' },
  });
  try {
    assert.equal(server.awsUrl, null);
    const url = server.elasticmqUrl ?? '';
    const made = await call(url, 'json', 'CreateQueue', { QueueName: 'orders' });
    assert.deepEqual(JSON.parse(made.text), { QueueUrl: `${url}/000000000000/orders` });
    const sent = await call(url, 'query', 'SendMessage', { QueueUrl: `${url}/queue/orders`, MessageBody: 'a' });
    assert.equal(sent.status, 200, sent.text);
    const got = await call(url, 'json', 'ReceiveMessage', { QueueUrl: `${url}/000000000000/orders` });
    assert.equal((JSON.parse(got.text) as Received).Messages?.[0]?.Body, 'a');
  } finally {
    await server.close();
  }
});
