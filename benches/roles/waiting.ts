/** A broker in the process of its user, filled with messages that nobody takes, or started with those that wait. */
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../../src/core/records.ts';
import type { DeliveryRun, DeliverySink, LeaseRange, Session } from '../../src/core/session.ts';
import { Rail } from '../../src/index.ts';
import { openBroker } from '../harness/broker.ts';
import { bodyOf, inParallel } from '../harness/messages.ts';

export type Shape =
  | 'empty'
  | 'one queue'
  | '1,000 queues'
  | 'every second settled'
  | '10 priorities'
  | 'delayed'
  | 'keys'
  | 'declared';

export interface WaitingOptions {
  dir: string;
  syncMs?: number;
}

/** Messages of one publish. The interleaved queues get theirs one by one: nothing lies beside its neighbour then. */
const BATCH = 100;
const IN_FLIGHT = 64;
/** Published, then half of it acked. */
const STRETCH = 50_000;
const HOUR_MS = 3_600_000;

export async function start(options: WaitingOptions) {
  const begin = performance.now();
  const { broker } = await openBroker(options);
  const openMs = performance.now() - begin;
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  return {
    openMs: (): number => openMs,
    fill: ({ shape, messages }: { shape: Shape; messages: number }): Promise<void> => fill(session, shape, messages),
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
      await declare(session, queue);
      const q = rail.queue(queue);
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

function declare(
  session: Session,
  name: string,
  subscription: { priorities?: number; order?: 'key' } = {},
): Promise<unknown> {
  return session.request('declareTopic', { name, kind: 'queue', subscription });
}

async function fill(session: Session, shape: Shape, messages: number): Promise<void> {
  switch (shape) {
    case 'empty':
      return;
    case 'one queue':
      await declare(session, 'q');
      return publish(
        session,
        messages,
        () => 'q',
        () => ({}),
      );
    case '1,000 queues':
      await inParallel(1000, IN_FLIGHT, (i) => declare(session, `q${i}`));
      return publishSingly(session, messages, (i) => `q${i % 1000}`);
    case 'every second settled':
      return settleEverySecond(session, messages * 2);
    case '10 priorities':
      await declare(session, 'q', { priorities: 10 });
      return publish(
        session,
        messages,
        () => 'q',
        (i) => ({ priority: i % 10 }),
      );
    case 'delayed':
      await declare(session, 'q');
      return publish(
        session,
        messages,
        () => 'q',
        (i) => ({ delayMs: HOUR_MS + (i % 86_400) * 1000 }),
      );
    case 'keys':
      await declare(session, 'q', { order: 'key' });
      return publish(
        session,
        messages,
        () => 'q',
        (i) => ({ key: `user-${i % 1_000_000}` }),
      );
    case 'declared':
      await inParallel(messages, 256, (i) => declare(session, `queue-${i}`));
      return;
  }
}

const writer = new RecordBatchWriter();

function records(from: number, count: number, envelope: (i: number) => object): { records: Buffer; count: number } {
  for (let i = from; i < from + count; i++) writer.append(envelope(i), JSON.stringify(bodyOf(i)));
  return { records: writer.take().bytes, count };
}

function publish(
  session: Session,
  messages: number,
  topic: (batch: number) => string,
  envelope: (i: number) => object,
): Promise<void> {
  return inParallel(Math.ceil(messages / BATCH), IN_FLIGHT, (batch) =>
    session.publish({ to: { topic: topic(batch) }, format: FORMAT_NATIVE, ...records(batch * BATCH, BATCH, envelope) }),
  );
}

function publishSingly(session: Session, messages: number, topic: (i: number) => string): Promise<void> {
  const one = records(0, 1, () => ({}));
  return inParallel(messages, 4096, (i) => session.publish({ to: { topic: topic(i) }, format: FORMAT_NATIVE, ...one }));
}

/**
 * The odd messages have the higher priority, so they are delivered and acked while the even ones between them wait:
 * the way to a queue with a hole beside every message.
 */
async function settleEverySecond(session: Session, messages: number): Promise<void> {
  await declare(session, 'q', { priorities: 2 });
  const acker = new Acker();
  const consumer = await session.consume({ topic: 'q', subscription: 'q', lease: 'session' }, acker);
  for (let done = 0; done < messages; done += STRETCH) {
    await publish(
      session,
      STRETCH,
      () => 'q',
      (i) => ({ priority: i % 2 }),
    );
    // Credit only now: before, it would get some of those that are to stay.
    const got = acker.expect(STRETCH / 2);
    consumer.credit(STRETCH / 2);
    await session.settle([{ topic: 'q', subscription: 'q', action: 'ack', ranges: await got }]);
  }
  await consumer.close();
}

class Acker implements DeliverySink {
  #left = 0;
  #ranges: LeaseRange[] = [];
  #resolve: (ranges: LeaseRange[]) => void = () => {};

  expect(count: number): Promise<LeaseRange[]> {
    this.#left = count;
    this.#ranges = [];
    return new Promise((resolve) => (this.#resolve = resolve));
  }

  deliver(runs: DeliveryRun[]): void {
    for (const { partition, offset, count, token } of runs) {
      this.#ranges.push({ partition, offset, count, token });
      this.#left -= count;
    }
    if (this.#left === 0) this.#resolve(this.#ranges);
  }

  ended(reason: string): void {
    throw new Error(reason);
  }
}
