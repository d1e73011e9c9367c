/** What a test can do with SQS: ask for disorder, and look at what was sent and what became of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testBroker } from '../../src/testing/index.ts';
import { call } from './call.ts';

interface Received {
  Messages?: { Body: string; ReceiptHandle: string; Attributes: Record<string, string> }[];
}

/** All of 30 messages as a consumer gets them, three at a time. */
async function consumed(kind: 'standard' | 'fifo', seed: number): Promise<number[]> {
  await using broker = await testBroker({ clock: 'manual', seed });
  const { url } = await broker.endpoint('aws');
  const QueueName = kind === 'fifo' ? 'orders.fifo' : 'orders';
  const QueueUrl = `${url}/000000000000/${QueueName}`;
  const ask = async (action: string, input: object): Promise<Received> => {
    const { status, text } = await call(url, 'json', action, { QueueUrl, ...input });
    assert.equal(status, 200, text);
    return JSON.parse(text === '' ? '{}' : text) as Received;
  };
  await ask('CreateQueue', { QueueName, Attributes: kind === 'fifo' ? { FifoQueue: 'true' } : {} });
  for (let i = 0; i < 30; i++) {
    const fifo = kind === 'fifo' ? { MessageGroupId: 'g', MessageDeduplicationId: String(i) } : {};
    await ask('SendMessage', { MessageBody: String(i), ...fifo });
  }
  broker.faults.reorder(0.4);
  const seen: number[] = [];
  for (let receives = 0; seen.length < 30; receives++) {
    assert.ok(receives < 200, `seed ${seed}: ${seen.join()}`);
    const { Messages = [] } = await ask('ReceiveMessage', {
      MaxNumberOfMessages: 3,
      MessageSystemAttributeNames: ['All'],
    });
    for (const { Body, ReceiptHandle, Attributes } of Messages) {
      seen.push(Number(Body));
      assert.equal(Attributes['ApproximateReceiveCount'], '1');
      await ask('DeleteMessage', { ReceiptHandle });
    }
  }
  return seen;
}

const inOrder = Array.from({ length: 30 }, (_, i) => i);

test('messages of a standard queue overtake each other, each comes once, and the same seed brings the same order', async () => {
  const seen = await consumed('standard', 7);
  assert.notDeepEqual(seen, inOrder);
  assert.deepEqual(
    seen.toSorted((a, b) => a - b),
    inOrder,
  );
  assert.deepEqual(await consumed('standard', 7), seen);
});

test('messages of a FIFO queue keep their order', async () => {
  assert.deepEqual(await consumed('fifo', 7), inOrder);
});

test('what is sent over SQS is seen as it waits, when it is out, and when it is gone', async () => {
  await using broker = await testBroker({ clock: 'manual' });
  const { url } = await broker.endpoint('aws');
  const QueueUrl = `${url}/000000000000/orders`;
  const ask = async (action: string, input: object): Promise<Received> => {
    const { status, text } = await call(url, 'json', action, { QueueUrl, ...input });
    assert.equal(status, 200, text);
    return JSON.parse(text === '' ? '{}' : text) as Received;
  };
  const states = async (): Promise<number[]> => {
    const { ready, delayed, leased } = await broker.inspect('orders');
    return [ready.length, delayed.length, leased.length];
  };
  await ask('CreateQueue', { QueueName: 'orders' });
  const later = broker.waitFor('orders', ({ body }) => body === 'second');
  const color = { color: { DataType: 'String', StringValue: 'red' } };
  await ask('SendMessage', { MessageBody: 'first', MessageAttributes: color });
  await ask('SendMessage', { MessageBody: 'second', DelaySeconds: 60 });
  assert.equal((await later).body, 'second');
  assert.deepEqual(await states(), [1, 1, 0]);
  const { Messages: [first] = [] } = await ask('ReceiveMessage', {});
  assert.deepEqual(await states(), [0, 1, 1]);
  await ask('DeleteMessage', { ReceiptHandle: first?.ReceiptHandle });
  assert.deepEqual(await states(), [0, 1, 0]);
  const seen = await broker.waitFor('orders', ({ headers }) => headers['color'] === 'red');
  assert.equal(seen.body, 'first');
});
