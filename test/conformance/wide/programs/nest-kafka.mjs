// NestJS microservices over Kafka: a request with an answer, then events that are confirmed, in a group whose third member comes and goes.
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxyFactory, EventPattern, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { Kafka, logLevel } from 'kafkajs';
import { firstValueFrom } from 'rxjs';

const [bootstrap] = process.argv.slice(2);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const retry = { initialRetryTime: 50, maxRetryTime: 300, retries: 1000, restartOnFailure: () => Promise.resolve(true) };
const client = { clientId: 'nest', brokers: [bootstrap], logLevel: logLevel.NOTHING, connectionTimeout: 1000, retry };
const consumer = { sessionTimeout: 6000, heartbeatInterval: 300, maxWaitTimeInMs: 100, retry };
const options = (groupId) => ({
  client,
  consumer: { ...consumer, groupId },
  subscribe: { fromBeginning: true },
  run: { autoCommitInterval: 100 },
});

class Numbers {
  sum(numbers) {
    return numbers.reduce((a, b) => a + b, 0);
  }

  number(n) {
    console.log(`receive ${n}`);
  }
}
// Decorators, applied as a compiler would: this file runs as it is.
function decorate(method, pattern) {
  const descriptor = Object.getOwnPropertyDescriptor(Numbers.prototype, method);
  pattern(Numbers.prototype, method, descriptor);
  Payload()(Numbers.prototype, method, 0);
}
decorate('sum', MessagePattern('sum'));
decorate('number', EventPattern('number'));
Controller()(Numbers);
class Application {}
Module({ controllers: [Numbers] })(Application);

// Told of every connection that is lost; nothing else is done about it.
process.on('unhandledRejection', () => {});
const admin = new Kafka(client).admin();
await admin.connect();
await admin.createTopics({ topics: ['sum', 'sum.reply', 'number'].map((topic) => ({ topic, numPartitions: 3 })) });
await admin.disconnect();
async function service() {
  const one = await NestFactory.createMicroservice(Application, {
    transport: Transport.KAFKA,
    options: options('service'),
    logger: false,
  });
  await one.listen();
  return one;
}
await service();
await service();
const proxy = ClientProxyFactory.create({
  transport: Transport.KAFKA,
  options: { ...options('client'), producer: { retry }, send: { acks: -1 } },
});
proxy.subscribeToResponseOf('sum');
await proxy.connect();
const sum = await firstValueFrom(proxy.send('sum', [2, 3]));
if (Number(sum) !== 5) throw new Error(`the sum is ${sum}`);
console.log('job a request was answered over its reply topic');

const told = { toStop: false };
process.stdin.once('data', () => (told.toStop = true));
(async () => {
  while (!told.toStop) {
    await pause(1500);
    const third = await service();
    await pause(1500);
    await Promise.race([third.close(), pause(5000)]);
  }
})().catch(() => {});
for (let n = 1; !told.toStop; n++) {
  console.log(`try ${n}`);
  try {
    await firstValueFrom(proxy.emit('number', n), { defaultValue: null });
    console.log(`confirm ${n}`);
  } catch {
    // Not known.
    await pause(50);
  }
}
setInterval(() => {}, 1000);
