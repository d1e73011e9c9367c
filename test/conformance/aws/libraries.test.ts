/** Libraries that people put around Amazon's client, unmodified. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { CreateQueueCommand, GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { Consumer } from 'sqs-consumer';
import { Producer } from 'sqs-producer';
import { sqsBench } from './clients.ts';

async function createQueue(sqs: SQSClient, name: string): Promise<string> {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name }));
  assert.ok(QueueUrl);
  return QueueUrl;
}

test('sqs-producer sends batches and counts what waits', async () => {
  await using bench = await sqsBench();
  const queueUrl = await createQueue(bench.sqs, 'orders');
  const producer = Producer.create({ queueUrl, sqs: bench.sqs, region: 'eu-central-1' });
  const sent = await producer.send(Array.from({ length: 25 }, (_, i) => `order-${i}`));
  assert.equal(new Set(sent.map(({ MessageId }) => MessageId)).size, 25);
  assert.equal(await producer.queueSize(), 25);
});

test('sqs-consumer handles what comes and deletes it, and gives back what its handler refuses', async () => {
  await using bench = await sqsBench();
  const { sqs } = bench;
  const queueUrl = await createQueue(sqs, 'orders');
  const producer = Producer.create({ queueUrl, sqs, region: 'eu-central-1' });
  await producer.send(['good', 'refused-once', 'also-good']);
  const handled: string[] = [];
  let refusals = 0;
  const consumer = Consumer.create({
    queueUrl,
    sqs,
    batchSize: 10,
    waitTimeSeconds: 1,
    terminateVisibilityTimeout: true,
    handleMessage: (message) => {
      if (message.Body === 'refused-once' && refusals++ === 0) return Promise.reject(new Error('not now'));
      handled.push(message.Body ?? '');
      return Promise.resolve(message);
    },
  });
  consumer.on('processing_error', () => {});
  consumer.on('error', () => {});
  consumer.start();
  while (handled.length < 3) await once(consumer, 'response_processed');
  const stopped = once(consumer, 'stopped');
  consumer.stop();
  await stopped;
  assert.deepEqual(handled.toSorted(), ['also-good', 'good', 'refused-once']);
  assert.equal(refusals, 2);
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ['All'] }));
  assert.equal(Attributes?.ApproximateNumberOfMessages, '0');
});
