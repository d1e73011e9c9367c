/** What SQS lets a client ask for beyond Amazon's limits, and the port of those who come from ElasticMQ. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer } from '../../src/server/index.ts';
import { testBroker } from '../../src/testing/index.ts';
import { call } from './call.ts';

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
