// NestJS microservices over RMQ: a request with an answer, then events that are confirmed, handled and acked by hand.
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxyFactory, Ctx, EventPattern, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { firstValueFrom } from 'rxjs';

const [url] = process.argv.slice(2);
const rmq = {
  urls: [url],
  queue: 'numbers',
  queueOptions: { durable: true },
  persistent: true,
  prefetchCount: 5,
  socketOptions: { reconnectTimeInSeconds: 0.1, heartbeatIntervalInSeconds: 5 },
};

class Numbers {
  sum(numbers, context) {
    context.getChannelRef().ack(context.getMessage());
    return numbers.reduce((a, b) => a + b, 0);
  }

  async number(n, context) {
    console.log(`receive ${n}`);
    // Slower than the publisher: at a kill there are messages that only the broker has.
    await new Promise((resolve) => setTimeout(resolve, 25));
    context.getChannelRef().ack(context.getMessage());
  }
}
// Decorators, applied as a compiler would: this file runs as it is.
function decorate(method, pattern) {
  const descriptor = Object.getOwnPropertyDescriptor(Numbers.prototype, method);
  pattern(Numbers.prototype, method, descriptor);
  Payload()(Numbers.prototype, method, 0);
  Ctx()(Numbers.prototype, method, 1);
}
decorate('sum', MessagePattern('sum'));
decorate('number', EventPattern('number'));
Controller()(Numbers);
class Application {}
Module({ controllers: [Numbers] })(Application);

// Told of every reconnect; nothing else is done about it.
process.on('unhandledRejection', () => {});
const service = await NestFactory.createMicroservice(Application, {
  transport: Transport.RMQ,
  options: { ...rmq, noAck: false },
  logger: false,
});
await service.listen();
const client = ClientProxyFactory.create({ transport: Transport.RMQ, options: rmq });
await client.connect();
const sum = await firstValueFrom(client.send('sum', [2, 3]));
if (sum !== 5) throw new Error(`the sum is ${sum}`);
console.log('job a request was answered by direct reply-to');

const told = { toStop: false };
process.stdin.once('data', () => (told.toStop = true));
for (let n = 1; !told.toStop; n++) {
  console.log(`try ${n}`);
  try {
    await firstValueFrom(client.emit('number', n), { defaultValue: null });
    console.log(`confirm ${n}`);
  } catch {
    // Not known.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
