import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { connect, defineQueue, defineTopic } from '../../src/index.ts';
import { Schemas } from '../../src/gateways/schemas.ts';
import { startServer } from '../../src/server/index.ts';

/** A broker in memory in which something happens, for pictures of the pages. */
export interface BusyBroker {
  url: string;
  close(): Promise<void>;
}

/** Bodies that say nothing without their schema, written by hand. */
const REPORT = {
  type: 'record',
  name: 'Report',
  namespace: 'shop',
  fields: [
    { name: 'month', type: 'string' },
    { name: 'orders', type: 'long' },
    { name: 'cents', type: 'long' },
  ],
};

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

function report(n: number): Buffer {
  const month = Buffer.from(`${1990 + Math.floor(n / 12)}-${String((n % 12) + 1).padStart(2, '0')}`);
  const numbers = [800 + 7 * n, 1_999_900 + 35_010 * n].flatMap((value) => varint(2 * value));
  return Buffer.from([...varint(2 * month.byteLength), ...month, ...numbers]);
}

const DOMAINS = ['example.com', 'example.org', 'example.net'];

export async function busyBroker(): Promise<BusyBroker> {
  const server = await startServer(
    {
      memory: true,
      journal: { segmentSize: '1MiB', segments: 24 },
      port: 0,
      host: ['127.0.0.1'],
      amqp: false,
      aws: false,
      kafka: false,
    },
    { log: pino({ level: 'silent' }) },
  );
  const rail = await connect(server.url);
  const over = new AbortController();
  let n = 0;

  const orders = rail.queue(
    defineQueue<{ order: number; customer: string; total: number }>('orders', { order: 'key' }),
  );
  const emails = rail.queue(defineQueue<{ to: string; template: string }>('emails', { maxAttempts: 1 }));
  const images = rail.queue(defineQueue<{ path: string; width: number }>('images.resize', { lease: '2m' }));
  const reports = rail.queue(defineQueue<Buffer>('reports.monthly', { maxMessages: 500, overflow: 'reject' }));
  const imports = rail.queue(defineQueue<{ file: string }>('imports', { singleActive: true }));
  const reminders = rail.queue(defineQueue<{ user: number }>('reminders'));
  const events = rail.topic(
    defineTopic<{ type: string; order: number }>('events', { partitions: 4, retain: { age: '7d' } }),
  );

  orders.work(() => sleep(12), { concurrency: 6 });
  images.work(() => sleep(400), { concurrency: 4 });
  imports.work(() => sleep(50), { concurrency: 1 });
  emails.work(
    async ({ body: { to } }) => {
      await sleep(5);
      if (to.endsWith('net')) throw new Error(`550 5.1.1 <${to}>: Recipient address rejected: User unknown`);
    },
    { concurrency: 4 },
  );
  for (const name of ['audit', 'search-index']) events.subscription(name).work(() => sleep(2), { concurrency: 8 });
  await events.subscription('webhooks').stats();
  await imports.stats();

  const unrouted = rail.router('unrouted', { type: 'fanout' });
  await unrouted.bind(reminders);
  const placed = rail.router('order-events', { type: 'topic', alternate: 'unrouted' });
  await placed.bind(orders, { routingKey: 'order.*.placed' });
  await placed.bind(reports, { routingKey: 'order.#' });
  await placed.bind(events, { routingKey: '#.refunded' });

  await new Schemas(rail).put({ topic: 'reports.monthly', avro: REPORT });
  for (let month = 0; month < 440; month++) await reports.send(report(month));
  for (let user = 0; user < 1_200; user++)
    if (user % 20 === 0)
      await reminders.sendMany(
        Array.from({ length: 20 }, (_, i) => ({ user: user + i })),
        { delay: '6h' },
      );

  const traffic = async (): Promise<void> => {
    while (!over.signal.aborted) {
      n++;
      const wave = 1 + Math.sin(n / 60) * 0.5 + (n % 97 < 12 ? 0.6 : 0);
      const many = Math.max(1, Math.round(10 * wave));
      const batch = Array.from({ length: many }, (_, i) => ({
        order: n * 100 + i,
        customer: `c-${(n * 7 + i) % 40}`,
        total: 1_000 + ((n * 37 + i * 11) % 9_000),
      }));
      await orders.sendMany(batch, (body) => ({ key: body.customer, headers: { tenant: 'acme' } }));
      await events.publishMany(batch.map(({ order }) => ({ type: 'order.placed', order })));
      if (n % 3 === 0)
        await emails.send({ to: `user-${n}@${DOMAINS[n % 30 === 0 ? 2 : n % 2] ?? ''}`, template: 'receipt' });
      if (n % 2 === 0) await images.send({ path: `uploads/${n}.jpg`, width: 800 }, { priority: 0 });
      await sleep(40, undefined, { signal: over.signal }).catch(() => undefined);
    }
  };
  const running = traffic();
  return {
    url: server.httpUrl,
    close: async () => {
      over.abort();
      await running;
      await rail.close();
      await server.close();
    },
  };
}
