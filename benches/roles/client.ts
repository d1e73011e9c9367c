/** A client process: everything through the SDK, over TCP. */
import { connect, defineQueue } from '../../src/index.ts';
import { atRate } from '../harness/metronome.ts';
import { bodyOf, inParallel, now } from '../harness/messages.ts';

export interface ClientOptions {
  url: string;
  /** With OpenTelemetry set up, and that share of the traces recorded. */
  traced?: number;
}

export interface PublishOptions {
  queue: string;
  messages: number;
  /** Messages of one `sendMany`; 1 for `send`. */
  batch: number;
  /** Calls that are not confirmed yet. */
  inFlight: number;
}

export async function start({ url, traced }: ClientOptions) {
  if (traced !== undefined) (await import('../harness/tracing.ts')).setUpTracing(traced);
  const rail = await connect(url);
  return {
    /** Resolves when all are confirmed. */
    publish: async ({ queue, messages, batch, inFlight }: PublishOptions): Promise<{ start: number; end: number }> => {
      const q = rail.queue(defineQueue<Record<string, unknown>>(queue));
      await q.ready();
      const begin = now();
      if (batch === 1) await inParallel(messages, inFlight, (i) => q.send({ ...bodyOf(i) }));
      else {
        await inParallel(Math.ceil(messages / batch), inFlight, (i) =>
          q.sendMany(Array.from({ length: batch }, (_, j) => ({ ...bodyOf(i * batch + j) }))),
        );
      }
      return { start: begin, end: now() };
    },
    /** Receives and acks that many one by one. Resolves when the last ack is confirmed. */
    work: async ({ queue, messages, concurrency }: { queue: string; messages: number; concurrency: number }) => {
      const q = rail.queue(defineQueue<Record<string, unknown>>(queue));
      await q.ready();
      let handled = 0;
      const all = Promise.withResolvers<void>();
      const begin = now();
      const worker = q.work(
        () => {
          if (++handled === messages) all.resolve();
        },
        { concurrency },
      );
      await all.promise;
      await worker.close();
      return { start: begin, end: now() };
    },
    /** The same with `for await (const message of q.messages())` and `message.ack()`. */
    stream: async ({ queue, messages, prefetch }: { queue: string; messages: number; prefetch: number }) => {
      const q = rail.queue(defineQueue<Record<string, unknown>>(queue));
      await q.ready();
      const acks: Promise<void>[] = [];
      const begin = now();
      for await (const message of q.messages({ prefetch })) {
        acks.push(message.ack());
        if (acks.length === messages) break;
      }
      await Promise.all(acks);
      return { start: begin, end: now() };
    },
    /** Sends at a fixed rate, whether answers come or not, so that a stall is seen by all that it would have delayed. */
    publishAtRate: async ({ queues, perSecond, seconds }: { queues: string[]; perSecond: number; seconds: number }) => {
      const all = queues.map((queue) => rail.queue(defineQueue<Record<string, unknown>>(queue)));
      await inParallel(all.length, 64, (i) => all[i]?.ready() ?? Promise.resolve());
      const total = Math.round(perSecond * seconds);
      const confirmed = new Float64Array(total);
      const done = Promise.withResolvers<void>();
      let answered = 0;
      await atRate(perSecond, total, (i, at) => {
        // Nothing of a send is kept, for what is kept grows old and is collected while others are measured.
        all[i % all.length]?.send({ ...bodyOf(i), at }).then(() => {
          confirmed[i] = now() - at;
          if (++answered === total) done.resolve();
        }, done.reject);
      });
      await done.promise;
      return { confirmed };
    },
    /** Time from when each message was due to be sent to its handler. */
    receiveLatencies: async ({ queue, messages }: { queue: string; messages: number }) => {
      const q = rail.queue(defineQueue<Record<string, unknown>>(queue));
      await q.ready();
      const latencies = new Float64Array(messages);
      let received = 0;
      const all = Promise.withResolvers<void>();
      const worker = q.work(
        (message) => {
          const { at } = message.body;
          if (typeof at === 'number' && received < messages) latencies[received++] = now() - at;
          if (received === messages) all.resolve();
        },
        { concurrency: 100 },
      );
      await all.promise;
      await worker.close();
      return latencies;
    },
    declare: async ({ queues }: { queues: string[] }): Promise<void> => {
      await inParallel(queues.length, 64, (i) => rail.queue(defineQueue(queues[i] ?? '')).ready());
    },
    remove: async (name: string): Promise<void> => {
      await rail.request('deleteTopic', { name });
    },
    close: (): Promise<void> => rail.close(),
  };
}

export type ClientRole = Awaited<ReturnType<typeof start>>;
