/** The same program against any broker that speaks AMQP: amqplib, in a process of its own. */
import { type ChannelModel, connect } from 'amqplib';
import { atRate } from '../harness/metronome.ts';
import { inParallel, now } from '../harness/messages.ts';

export interface AmqpClientOptions {
  url: string;
}

export type QueueType = 'classic' | 'quorum';

const BODY = Buffer.alloc(100, 'x');
const CONNECTING = 50;

export async function start({ url }: AmqpClientOptions) {
  const connection = await connect(url);
  const idle: ChannelModel[] = [];
  return {
    declare: async ({ queues, type }: { queues: string[]; type: QueueType }): Promise<void> => {
      const channel = await connection.createChannel();
      const options = { durable: true, arguments: { 'x-queue-type': type } };
      await inParallel(queues.length, 64, (i) => channel.assertQueue(queues[i] ?? '', options));
      await channel.close();
    },
    remove: async (queue: string): Promise<void> => {
      const channel = await connection.createChannel();
      await channel.deleteQueue(queue);
      await channel.close();
    },
    waiting: async (queue: string): Promise<number> => {
      const channel = await connection.createChannel();
      const { messageCount } = await channel.checkQueue(queue);
      await channel.close();
      return messageCount;
    },
    /** Persistent messages with confirms; resolves when all are confirmed. */
    publish: async ({ queue, messages, inFlight }: { queue: string; messages: number; inFlight: number }) => {
      const channel = await connection.createConfirmChannel();
      const begin = now();
      await new Promise<void>((resolve, reject) => {
        let sent = 0;
        let confirmed = 0;
        const confirm = (error: Error | null): void => {
          if (error !== null) reject(error);
          else if (++confirmed === messages) resolve();
          else if (sent < messages && sent - confirmed <= inFlight / 2) fill();
        };
        const fill = (): void => {
          for (; sent < messages && sent - confirmed < inFlight; sent++)
            channel.sendToQueue(queue, BODY, { persistent: true }, confirm);
        };
        fill();
      });
      const end = now();
      await channel.close();
      return { start: begin, end };
    },
    /** Takes and acks one by one. */
    consume: async ({ queue, messages, prefetch }: { queue: string; messages: number; prefetch: number }) => {
      const channel = await connection.createChannel();
      await channel.prefetch(prefetch);
      const begin = now();
      await new Promise<void>((resolve, reject) => {
        let taken = 0;
        channel
          .consume(queue, (message) => {
            if (message === null) return;
            channel.ack(message);
            if (++taken === messages) resolve();
          })
          .catch(reject);
      });
      // Answered when the acks before it were taken.
      await channel.checkQueue(queue);
      const end = now();
      await channel.close();
      return { start: begin, end };
    },
    /** From when each message was due to be sent to its confirm, ms. */
    confirmLatencies: async (options: { queue: string; perSecond: number; seconds: number }) => {
      const { queue, perSecond, seconds } = options;
      const channel = await connection.createConfirmChannel();
      const total = Math.round(perSecond * seconds);
      const latencies = new Float64Array(total);
      const done = Promise.withResolvers<void>();
      let answered = 0;
      await atRate(perSecond, total, (i, dueAt) => {
        // Nothing of a publish is kept, for what is kept grows old and is collected while others are measured.
        channel.sendToQueue(queue, BODY, { persistent: true }, (error: Error | null) => {
          latencies[i] = now() - dueAt;
          if (error !== null) done.reject(error);
          else if (++answered === total) done.resolve();
        });
      });
      await done.promise;
      await channel.close();
      return latencies;
    },
    /** Connections that do nothing, with a channel each. */
    stayIdle: async (connections: number): Promise<void> => {
      await inParallel(connections, CONNECTING, async () => {
        const each = await connect(`${url}?heartbeat=0`);
        await each.createChannel();
        idle.push(each);
      });
    },
  };
}

export type AmqpClientRole = Awaited<ReturnType<typeof start>>;
