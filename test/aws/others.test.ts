/** What clients of SQS notice of others: of those that make queues anew, go away, or spell their forms as they like. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'node:test';
import { defineQueue } from '../../src/index.ts';
import { testBroker } from '../../src/testing/index.ts';
import { eventually } from '../eventually.ts';
import { call, send } from './call.ts';

interface Received {
  Messages?: { MessageId: string; Body: string; ReceiptHandle: string }[];
}

test('a queue that another protocol deleted and made again is the new one for who knew the old', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const QueueUrl = `${url}/000000000000/orders`;
  const good = async (action: string, input: object): Promise<Received> => {
    const { status, text } = await call(url, 'json', action, { QueueUrl, ...input });
    assert.equal(status, 200, text);
    return JSON.parse(text === '' ? '{}' : text) as Received;
  };
  const anew = async (): Promise<void> => {
    await broker.rail.request('deleteTopic', { name: 'orders' });
    await broker.rail.queue(defineQueue('orders')).ready();
  };
  await good('CreateQueue', { QueueName: 'orders' });
  await good('SendMessage', { MessageBody: 'of the old' });
  // Each of these is the first that notices.
  await anew();
  await good('SendMessage', { MessageBody: 'a' });
  const { Messages: [first] = [] } = await good('ReceiveMessage', {});
  assert.equal(first?.Body, 'a');
  await good('DeleteMessage', { ReceiptHandle: first.ReceiptHandle });
  await anew();
  await broker.rail.queue(defineQueue('orders')).send('b');
  const { Messages: [second] = [] } = await good('ReceiveMessage', {});
  assert.ok(second);
  await good('DeleteMessage', { ReceiptHandle: second.ReceiptHandle });
  const { ready, leased } = await broker.inspect('orders');
  assert.deepEqual([ready.length, leased.length], [0, 0]);
});

test('a message does not go to a poll whose client went away', async () => {
  await using broker = await testBroker({ clock: 'manual' });
  const { url } = await broker.endpoint('aws');
  const { hostname, port, host } = new URL(url);
  const QueueUrl = `${url}/000000000000/orders`;
  await call(url, 'json', 'CreateQueue', { QueueName: 'orders' });
  const ref = { topic: 'orders', subscription: 'orders' };
  const consumersAre = (wanted: number): Promise<void> =>
    eventually(
      `there are ${wanted} polls`,
      async () => (await broker.rail.request('subscriptionStats', ref)).consumers === wanted,
    );
  for (const pieces of ['one', 'two'] as const) {
    const body = JSON.stringify({ QueueUrl, WaitTimeSeconds: 20 });
    const head = `POST / HTTP/1.1\r\nHost: ${host}\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: ${body.length}\r\n\r\n`;
    const socket = connect(Number(port), hostname);
    // In two pieces it goes through Node's parser.
    socket.write(pieces === 'one' ? head + body : head);
    if (pieces === 'two') {
      // An answer to somebody who came later: the first piece has been read.
      await call(url, 'json', 'ListQueues', {});
      socket.write(body);
    }
    await consumersAre(1);
    socket.destroy();
    await consumersAre(0);
    await call(url, 'json', 'SendMessage', { QueueUrl, MessageBody: pieces });
    const { text } = await call(url, 'json', 'ReceiveMessage', { QueueUrl });
    assert.equal((JSON.parse(text) as Received).Messages?.[0]?.Body, pieces);
  }
});

test('the entries of a form are in the order of their numbers, whichever came first', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  await call(url, 'json', 'CreateQueue', { QueueName: 'orders' });
  const form = new URLSearchParams({ Action: 'SendMessageBatch', QueueUrl: `${url}/000000000000/orders` });
  for (const n of [10, 2, 1, 9]) {
    form.set(`SendMessageBatchRequestEntry.${n}.MessageBody`, `m${n}`);
    form.set(`SendMessageBatchRequestEntry.${n}.Id`, String(n));
  }
  const { status, text } = await send(url, 'query', form.toString());
  assert.equal(status, 200, text);
  const { ready } = await broker.inspect('orders');
  assert.deepEqual(
    ready.map(({ body }) => body),
    ['m1', 'm2', 'm9', 'm10'],
  );
});

test('a message that is received with no visibility timeout is there at once for the next, and counted', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const QueueUrl = `${url}/000000000000/orders`;
  await call(url, 'json', 'CreateQueue', { QueueName: 'orders' });
  await call(url, 'json', 'SendMessage', { QueueUrl, MessageBody: 'a' });
  for (const count of ['1', '2', '3']) {
    const input = { QueueUrl, VisibilityTimeout: 0, MessageSystemAttributeNames: ['ApproximateReceiveCount'] };
    const { text } = await call(url, 'json', 'ReceiveMessage', input);
    const [message] = (JSON.parse(text) as { Messages: { Attributes: object }[] }).Messages;
    assert.deepEqual(message?.Attributes, { ApproximateReceiveCount: count });
  }
});

test('the MD5 of attributes is that of their names in order, whichever was sent first', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const QueueUrl = `${url}/000000000000/orders`;
  await call(url, 'json', 'CreateQueue', { QueueName: 'orders' });
  const [b, a] = [
    ['b', { DataType: 'String', StringValue: '1' }],
    ['a', { DataType: 'String', StringValue: '2' }],
  ] as const;
  const md5s = new Set<string>();
  for (const attributes of [
    [a, b],
    [b, a],
  ]) {
    const MessageAttributes = Object.fromEntries(attributes);
    const { text } = await call(url, 'json', 'SendMessage', { QueueUrl, MessageBody: 'x', MessageAttributes });
    md5s.add((JSON.parse(text) as { MD5OfMessageAttributes: string }).MD5OfMessageAttributes);
  }
  const part = (value: string): Buffer => Buffer.concat([Buffer.from([0, 0, 0, value.length]), Buffer.from(value)]);
  const one = Buffer.from([1]);
  const bytes = [part('a'), part('String'), one, part('2'), part('b'), part('String'), one, part('1')];
  assert.deepEqual([...md5s], [hash('md5', Buffer.concat(bytes))]);
});
