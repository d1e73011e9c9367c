// @ssut/nestjs-sqs: one module sends numbers to a queue and handles them as they come.
import 'reflect-metadata';
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import nestSqs from '@ssut/nestjs-sqs';

const { SqsConsumerEventHandler, SqsMessageHandler, SqsModule, SqsService } = nestSqs;
const region = 'us-east-1';
const sqs = new SQSClient({
  endpoint: process.env.BROKER,
  region,
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
});
const Attributes = { VisibilityTimeout: '2' };
const { QueueUrl: queueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'numbers', Attributes }));

class Numbers {
  handleMessage(message) {
    console.log(`receive ${JSON.parse(message.Body)}`);
  }

  // A poll failed: the consumer goes on by itself, but an error that nobody listens for would end the process. The
  // decorator keeps one event for each method.
  onError() {}
  onProcessingError() {}
}
// Decorators, applied as a compiler would: this file runs as it is.
const decorate = (decorator, name) =>
  decorator(Numbers.prototype, name, Object.getOwnPropertyDescriptor(Numbers.prototype, name));
decorate(SqsMessageHandler('numbers', false), 'handleMessage');
decorate(SqsConsumerEventHandler('numbers', 'error'), 'onError');
decorate(SqsConsumerEventHandler('numbers', 'processing_error'), 'onProcessingError');
class Application {}
Module({
  imports: [
    SqsModule.register({
      consumers: [{ name: 'numbers', queueUrl, region, sqs, waitTimeSeconds: 1, batchSize: 10 }],
      producers: [{ name: 'numbers', queueUrl, region, sqs }],
    }),
  ],
  providers: [Numbers],
})(Application);

const application = await NestFactory.createApplicationContext(Application, { logger: false });
const service = application.get(SqsService);
const told = { toStop: false };
process.stdin.once('data', () => (told.toStop = true));
for (let n = 1; !told.toStop; n++) {
  console.log(`try ${n}`);
  try {
    await service.send('numbers', { id: String(n), body: n });
    console.log(`confirm ${n}`);
    if (n === 1) console.log('job a message was sent by the producer of a module');
  } catch {
    // Not known.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
