/** A broker that is filled from another process with messages that nobody takes, or started with those that wait. */
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { defineQueue, Rail } from '../../src/index.ts';
import { fixYoungGeneration } from '../../src/server/young-generation.ts';
import { listen, openBroker } from '../harness/broker.ts';
import { bodyOf, inParallel, type Body } from '../harness/messages.ts';

export interface WaitingOptions {
  dir: string;
  syncMs?: number;
  /** A process that is nothing but a broker. */
  server?: boolean;
}

const IN_FLIGHT = 64;

export async function start(options: WaitingOptions) {
  // As `railhead serve` does.
  if (options.server === true) fixYoungGeneration();
  const begin = performance.now();
  const { broker } = await openBroker(options);
  const openMs = performance.now() - begin;
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  return {
    openMs: (): number => openMs,
    /** The native protocol over TCP, for a filler in another process. */
    url: (): Promise<string> => listen(broker),
    /** Takes one message: proof that it serves. Then all counts, as a check that nothing is missing. */
    check: async ({ topic }: { topic: string }): Promise<number> => {
      const rail = new Rail({ session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) });
      const { ready, delayed, leased } = await session.request('subscriptionStats', { topic, subscription: topic });
      if (ready > 0) {
        const [first] = await rail.queue(topic).fetch({ max: 1 });
        if (first === undefined) throw new Error(`${ready} messages are ready, and none is delivered.`);
        await first.release({ count: false });
      }
      await rail.close();
      return ready + delayed + leased;
    },
    settled: (): Promise<void> => broker.settled(),
    info: () => broker.info().counters,
    /** As a process that lives on: what is garbage is given back sooner or later. */
    collect: (): void => globalThis.gc?.(),
    /** `sendMany` through the SDK, in this process. */
    sendMany: async ({ queue, messages, batch }: { queue: string; messages: number; batch: number }) => {
      const rail = new Rail({ session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) });
      const q = rail.queue(defineQueue<Body>(queue));
      await q.ready();
      const start = performance.now();
      await inParallel(Math.ceil(messages / batch), IN_FLIGHT, (i) =>
        q.sendMany(Array.from({ length: batch }, (_, j) => bodyOf(i * batch + j))),
      );
      const ms = performance.now() - start;
      await rail.close();
      return ms;
    },
    remove: async (name: string): Promise<void> => {
      await session.request('deleteTopic', { name });
    },
    close: (): Promise<void> => broker.close(),
  };
}

export type WaitingRole = Awaited<ReturnType<typeof start>>;
