// sqs-producer sends numbers to a queue, ten at a time, and sqs-consumer handles them as they come and deletes them.
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { Consumer } from 'sqs-consumer';
import { Producer } from 'sqs-producer';

const region = 'us-east-1';
const sqs = new SQSClient({
  endpoint: process.env.BROKER,
  region,
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
});
const Attributes = { VisibilityTimeout: '2' };
const { QueueUrl: queueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'numbers', Attributes }));
const consumer = Consumer.create({
  queueUrl,
  sqs,
  batchSize: 10,
  waitTimeSeconds: 1,
  pollingWaitTimeMs: 50,
  handleMessage: async (message) => {
    console.log(`receive ${message.Body}`);
    return message;
  },
});
// A poll failed, or a deletion: it goes on by itself, but an error that nobody listens for would end the process.
for (const event of ['error', 'processing_error', 'timeout_error']) consumer.on(event, () => {});
consumer.start();

const producer = Producer.create({ queueUrl, sqs, region });
const told = { toStop: false };
process.stdin.once('data', () => (told.toStop = true));
for (let n = 1; !told.toStop; n += 10) {
  const own = Array.from({ length: 10 }, (_, i) => String(n + i));
  for (const one of own) console.log(`try ${one}`);
  try {
    const sent = await producer.send(own);
    for (const { Id } of sent) console.log(`confirm ${Id}`);
    if (n === 1) console.log('job ten messages were sent by sqs-producer');
  } catch {
    // Not known.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
