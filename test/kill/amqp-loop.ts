import { AMQPSession } from '@cloudamqp/amqp-client';
import manager, { type ChannelWrapper } from 'amqp-connection-manager';
import { type ChannelModel, connect, type ConfirmChannel, type ConsumeMessage } from 'amqplib';
import { Connection } from 'rabbitmq-client';
import { SeededRandom } from '../../src/core/random.ts';
import { within } from '../eventually.ts';
import { after, Child, goOn, PATIENCE_MS, withDirectory } from './child.ts';
import type { LoopOptions } from './loops.ts';
import { TotalQueue, type TotalQueueReport } from './total-queue.ts';

const QUEUE = 'numbers';
const PREFETCH = 50;
/** Confirms of each client between two kills. Each library takes its time to reconnect. */
const BETWEEN_KILLS = 4;

/** Publishes one number; resolves when the broker confirmed it, and rejects when that is not known. */
type Publish = (n: number) => Promise<unknown>;

interface Client {
  name: string;
  publish: Publish;
  close(): Promise<void>;
}

/** A server of its own process, to be killed. */
export interface Server {
  child: Child;
  url: string;
  port: number;
}

export interface AmqpReport extends TotalQueueReport {
  /** Confirmed numbers, by the client that sent them: each of them has to come through the kills. */
  byClient: Record<string, number>;
}

/**
 * A server is killed under clients of four libraries, which reconnect as each of them does, publish with confirms, and
 * consume with acks. What was confirmed must be received.
 */
export function amqpLoop({ cycles, seed, onCycle = () => {} }: LoopOptions): Promise<AmqpReport> {
  return withDirectory(async (dir) => {
    const random = new SeededRandom(seed);
    const queue = new TotalQueue();
    const byClient: Record<string, number> = {};
    let server = await start(dir, 0);
    const { url } = server;
    const receive = (content: Buffer): void => queue.receive(Number(content.toString()));
    const clients = [
      plainClient(url),
      managedClient(url, receive),
      rabbitClient(url, receive),
      sessionClient(url, receive),
    ];
    const stop = { now: false };
    try {
      let next = 0;
      const line = async ({ name, publish }: Client): Promise<void> => {
        while (!stop.now) {
          const n = next++;
          queue.attempt(n);
          try {
            await publish(n);
            queue.confirm(n);
            byClient[name] = (byClient[name] ?? 0) + 1;
          } catch {
            // Not known: it may come or not. The next one waits for the broker to be back.
            await after(10);
          }
        }
      };
      const lines = clients.flatMap((client) => Array.from({ length: 4 }, () => line(client)));
      for (let cycle = 0; cycle < cycles; cycle++) {
        await goOn(() => ({ ...byClient }), Object.fromEntries(clients.map(({ name }) => [name, BETWEEN_KILLS])));
        await after(random.below(100));
        await server.child.kill();
        server = await start(dir, server.port);
        onCycle(cycle, queue);
      }
      stop.now = true;
      await Promise.all(lines);
      await within(PATIENCE_MS, () => queue.report().lost.length === 0, 50);
      return { ...queue.report(), byClient };
    } finally {
      stop.now = true;
      await Promise.allSettled(clients.map((client) => client.close()));
      await server.child.kill();
    }
  });
}

export async function start(dir: string, port: number): Promise<Server> {
  let told: (message: Record<string, unknown>) => void = () => {};
  const first = new Promise<Record<string, unknown>>((resolve) => (told = resolve));
  const child = new Child('server-child.ts', [dir, '0', 'amqp', String(port)], (message) => told(message));
  const message = await Promise.race([first, child.ended()]);
  if (message === undefined) throw new Error('the server ended by itself');
  const url = String(message['amqpUrl']);
  return { child, url, port: Number(new URL(url).port) };
}

/** amqplib by itself, with a reconnect of the program's own. */
function plainClient(url: string): Client {
  let connection: ChannelModel | undefined;
  let opening: Promise<ConfirmChannel> | undefined;
  let closed = false;
  const open = async (): Promise<ConfirmChannel> => {
    connection = await connect(url);
    connection.on('error', () => {});
    connection.on('close', () => (opening = undefined));
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => {});
    await channel.assertQueue(QUEUE, { durable: true });
    return channel;
  };
  return {
    name: 'amqplib',
    publish: async (n) => {
      if (closed) throw new Error('closed');
      opening ??= open().catch((error: unknown) => {
        opening = undefined;
        throw error;
      });
      const channel = await opening;
      await new Promise<void>((resolve, reject) => {
        channel.sendToQueue(QUEUE, Buffer.from(String(n)), { persistent: true }, (error: Error | null) =>
          error === null ? resolve() : reject(error),
        );
      });
    },
    close: async () => {
      closed = true;
      await connection?.close();
    },
  };
}

function managedClient(url: string, receive: (content: Buffer) => void): Client {
  const connection = manager.connect([url], { reconnectTimeInSeconds: 0.02, heartbeatIntervalInSeconds: 0 });
  // Told of every reconnect; it goes on by itself.
  connection.on('disconnect', () => {});
  const channel: ChannelWrapper = connection.createChannel({
    setup: async (each: ConfirmChannel) => {
      await each.assertQueue(QUEUE, { durable: true });
      await each.prefetch(PREFETCH);
      await each.consume(QUEUE, (message: ConsumeMessage | null) => {
        if (message === null) return;
        receive(message.content);
        each.ack(message);
      });
    },
  });
  channel.on('error', () => {});
  return {
    name: 'amqp-connection-manager',
    publish: (n) => channel.sendToQueue(QUEUE, Buffer.from(String(n)), { persistent: true }),
    close: async () => {
      await channel.close();
      await connection.close();
    },
  };
}

function rabbitClient(url: string, receive: (content: Buffer) => void): Client {
  const rabbit = new Connection({ url, retryLow: 10, retryHigh: 50 });
  rabbit.on('error', () => {});
  const publisher = rabbit.createPublisher({ confirm: true, queues: [{ queue: QUEUE, durable: true }] });
  const consumer = rabbit.createConsumer(
    { queue: QUEUE, queueOptions: { durable: true }, qos: { prefetchCount: PREFETCH } },
    async ({ body }: { body: unknown }) => receive(body as Buffer),
  );
  consumer.on('error', () => {});
  return {
    name: 'rabbitmq-client',
    publish: (n) => publisher.send({ routingKey: QUEUE, durable: true }, Buffer.from(String(n))),
    close: async () => {
      await publisher.close();
      await consumer.close();
      await rabbit.close();
    },
  };
}

/** @cloudamqp/amqp-client: a session reconnects by itself, and what was not confirmed is refused. */
function sessionClient(url: string, receive: (content: Buffer) => void): Client {
  const options = { reconnectInterval: 20, maxReconnectInterval: 50, logger: null, heartbeat: 0 };
  const opening = AMQPSession.connect(url, options).then(async (session) => {
    const queue = await session.queue(QUEUE, { durable: true });
    await queue.subscribe({ prefetch: PREFETCH, manualAck: true }, async (message) => {
      receive(Buffer.from(message.bodyString() ?? ''));
      // What cannot be acked any more comes again.
      await message.ack().catch(() => {});
    });
    return { session, queue };
  });
  opening.catch(() => {});
  return {
    name: '@cloudamqp/amqp-client',
    publish: async (n) => (await opening).queue.publish(String(n)),
    close: async () => (await opening).session.stop(),
  };
}
