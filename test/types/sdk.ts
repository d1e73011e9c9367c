/**
 * What the compiler must infer and refuse. Nothing here runs: `npm run check` compiles it, and a line below
 * `@ts-expect-error` that compiles is an error.
 */
import { z } from 'zod';
import { connect, defineQueue, defineTopic, protobuf, text } from '../../src/index.ts';
import type { Message, Queue, QueueDefinition, Rail, Sent, StandardSchemaV1, Subscription } from '../../src/index.ts';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<T extends true>(): T | undefined {
  return undefined;
}

const emails = defineQueue('emails', {
  schema: z.object({
    to: z.email(),
    at: z.string().transform((value) => new Date(value)),
    copies: z.number().default(1),
  }),
  maxAttempts: 5,
  lease: '30s',
});
interface EmailIn {
  to: string;
  at: string;
  copies?: number | undefined;
}
interface EmailOut {
  to: string;
  at: Date;
  copies: number;
}
const signups = defineTopic('user.signed-up', { schema: z.object({ userId: z.string() }), retain: { age: '7d' } });

export async function inference(rail: Rail): Promise<void> {
  const q = rail.queue(emails);
  // The input type on send, the output type in the handler.
  holds<Equal<Parameters<typeof q.send>[0], EmailIn>>();
  const sent: Sent = await q.send({ to: 'a@example.com', at: '2026-11-01' }, { delay: '10m', key: 'user-7' });
  q.work((message, context) => {
    holds<Equal<typeof message.body, EmailOut>>();
    holds<Equal<typeof context.signal, AbortSignal>>();
    context.send(emails, { to: 'b@example.com', at: '' });
    // @ts-expect-error: the body of another queue
    context.send(emails, { userId: 'x' });
    context.publish(signups, { userId: 'x' });
    // @ts-expect-error: a queue is not a topic
    context.publish(emails, { to: '', at: '' });
  });
  for await (const message of q.messages({ prefetch: 50 })) message satisfies Message<EmailOut>;
  (await q.fetch({ max: 100, wait: '20s' })) satisfies Message<EmailOut>[];
  rail.topic(signups).subscription('analytics', { from: 'start' }) satisfies Subscription<{ userId: string }>;
  for await (const event of rail.topic(signups).read({ from: new Date() })) event.body.userId satisfies string;
  await rail.transaction((tx) => {
    tx.send(q, { to: '', at: '' });
    // @ts-expect-error: at is a text on the way in
    tx.send(q, { to: '', at: new Date() });
    tx.publish(signups, { userId: '' });
  });
  await rail.schedule('nightly', { cron: '0 3 * * *' }, emails, { to: '', at: '' });
  // @ts-expect-error: not the body of that queue
  await rail.schedule('nightly', { cron: '0 3 * * *' }, emails, { userId: '' });
  sent.id satisfies string;
  const router = rail.router('orders', { type: 'topic' });
  await router.bind(q, { routingKey: 'order.*' });
  await router.bind(emails);
  await router.bind(rail.topic(signups));
  await router.bind(rail.router('all'));

  // @ts-expect-error: `to` must be there
  await q.send({ at: '' });
  // @ts-expect-error: bare numbers have no unit
  await q.send({ to: '', at: '' }, { delay: 600 });
  // @ts-expect-error: a subscription does not send
  await rail.topic(signups).subscription('a').send({ userId: '' });
  // @ts-expect-error: a topic is published to
  await rail.topic(signups).send({ userId: '' });
}

export async function withoutSchema(rail: Rail): Promise<void> {
  rail.queue('by-name') satisfies Queue<unknown, unknown>;
  rail.queue(defineQueue<{ n: number }>('typed')) satisfies Queue<{ n: number }, { n: number }>;
  rail.queue(defineQueue('notes', { codec: text })) satisfies Queue<string, string>;
  const Point = {
    encode: (point: { x: number }) => ({ finish: () => new Uint8Array([point.x]) }),
    decode: () => ({ x: 1 }),
  };
  rail.queue(defineQueue('points', { codec: protobuf(Point) })) satisfies Queue<{ x: number }>;
  rail.queue('by-name').work((message) => {
    // @ts-expect-error: without a schema the body is unknown
    return message.body.to;
  });
}

/** Any validator that follows the specification will do. */
export function anyValidator(schema: StandardSchemaV1<string, number>): QueueDefinition<string, number> {
  return defineQueue('numbers', { schema });
}

export function options(): void {
  // @ts-expect-error: no such option
  defineQueue('q', { maxAttemps: 5 });
  // @ts-expect-error: a duration has a unit
  defineQueue('q', { lease: 30 });
  // @ts-expect-error: not a unit
  defineQueue('q', { ttl: '7 fortnights' });
  // @ts-expect-error: a rate is per s, m or h
  defineQueue('q', { publishRate: '2000' });
  // @ts-expect-error: a size, not a duration
  defineTopic('t', { retain: { bytes: '7d' } });
  // @ts-expect-error: a codec of another type than the schema
  defineQueue('q', { schema: z.object({ n: z.number() }), codec: text });
  // @ts-expect-error: only error or update
  void connect('railhead://localhost', { definitions: 'keep' });
}
