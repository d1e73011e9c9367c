import { z } from 'zod';
import { RailheadError } from '../../../core/errors.ts';
import type { SettleAction, StartAt } from '../../../core/session.ts';
import { deliveryId, groupDeliveries, parseDeliveryId } from '../delivery-id.ts';
import { JsonText, readSchema, receivedSchema, showRead, showReceived } from '../messages.ts';
import { duration } from '../options.ts';
import { receive } from '../receive.ts';
import { queryInt, route, type Route } from '../route.ts';
import { SUBSCRIPTION_PATHS, TOPIC_PATHS } from './names.ts';

const MAX_WAIT_MS = 60_000;
const MAX_RECEIVE = 1_000;
const MAX_LEASE_MS = 12 * 3_600_000;

const wait = duration.pipe(z.number().max(MAX_WAIT_MS, 'is longer than 60s'));
const lease = duration.pipe(z.number().min(1, 'is 0').max(MAX_LEASE_MS, 'is longer than 12h'));

const deliveries = z
  .array(z.string().min(1).max(2048))
  .min(1)
  .max(10_000)
  .describe('The `delivery` of each message, as it came.');

const settlement = z.discriminatedUnion('action', [
  z.strictObject({ deliveries, action: z.literal('ack') }),
  z.strictObject({
    deliveries,
    action: z.literal('release'),
    delay: duration.optional().describe("Default: the queue's backoff if the attempt counts, else none."),
    countAttempt: z.boolean().default(true),
    error: z.string().max(4096).optional().describe('Why, for whoever looks at the message later.'),
  }),
  z.strictObject({ deliveries, action: z.literal('reject'), reason: z.string().min(1).max(4096) }),
  z.strictObject({ deliveries, action: z.literal('extend'), lease }),
]);

function settleAction(body: z.output<typeof settlement>): SettleAction {
  switch (body.action) {
    case 'ack':
      return { action: 'ack' };
    case 'reject':
      return { action: 'reject', reason: body.reason };
    case 'extend':
      return { action: 'extend', leaseMs: body.lease };
    case 'release': {
      const { delay, countAttempt, error } = body;
      return {
        action: 'release',
        countAttempt,
        ...(delay !== undefined && { delayMs: delay }),
        ...(error !== undefined && { error }),
      };
    }
  }
}

/** Where a reader or a subscription starts. */
export const startAt = z
  .string()
  .transform((text, context): StartAt => {
    if (text === 'start' || text === 'end') return text;
    if (/^\d{1,15}$/.test(text)) return { offset: Number(text) };
    if (z.iso.datetime({ offset: true }).safeParse(text).success) return { time: Date.parse(text) };
    context.addIssue({
      code: 'custom',
      message: "write 'start', 'end', an offset, or a time such as 2026-11-01T00:00:00Z",
    });
    return z.NEVER;
  })
  .meta({ examples: ['start', 'end', '120', '2026-11-01T00:00:00Z'] });

export const consumeRoutes: Route[] = [
  ...SUBSCRIPTION_PATHS.map(({ path, kind, params }) =>
    route({
      method: 'post',
      path: `${path}/receive`,
      operationId: `receiveFrom${kind}`,
      summary: 'Leases messages. Waits for the first one up to `wait`, and answers with an empty list when none came.',
      tag: 'consume',
      params,
      bodyOptional: true,
      body: z.strictObject({
        max: z
          .int()
          .min(1)
          .max(MAX_RECEIVE)
          .default(1)
          .describe('Fewer may come: it does not wait to fill up, and stops after 4 MiB.'),
        wait: wait.prefault('0s'),
        lease: lease.optional().describe("How long you have to settle. Default: the queue's."),
        autoAck: z
          .boolean()
          .default(false)
          .describe('Settled as it is delivered: lost if this answer does not arrive.'),
      }),
      result: z.object({ messages: z.array(receivedSchema) }),
      handle: async ({ session, params: ref, body, signal, clock }) => {
        const options = {
          max: body.max,
          waitMs: body.wait,
          autoAck: body.autoAck,
          ...(body.lease !== undefined && { leaseMs: body.lease }),
        };
        return messages(showReceived(await receive(session, ref, options, signal, clock), ref));
      },
    }),
  ),
  route({
    method: 'post',
    path: '/settle',
    operationId: 'settle',
    summary:
      'Settles deliveries: ack (done), release (give back), reject (to the dead-letter queue), extend (more time). LEASE_LOST lists those whose lease was over; the others were settled.',
    tag: 'consume',
    params: z.object({}),
    body: settlement,
    result: z.object({ settled: z.int() }),
    handle: async ({ session, body }) => {
      const unique = [...new Set(body.deliveries)];
      const action = settleAction(body);
      const groups = groupDeliveries(unique.map(parseDeliveryId));
      const { lost } = await session.settle(groups.map(({ ref, ranges }) => ({ ...ref, ranges, ...action })));
      const lostIds = lost.flatMap(({ topic, subscription, partition, offset, count, token }) =>
        Array.from({ length: count }, (_, index) =>
          deliveryId({ ref: { topic, subscription }, partition, offset: offset + index, token }),
        ),
      );
      if (lostIds.length === 0) return { settled: unique.length };
      throw new RailheadError(
        'LEASE_LOST',
        `${lostIds.length} of ${unique.length} leases were already over, and nothing was done for these; the others were settled. The messages come again to whoever receives next: make the work idempotent, or ask for a longer lease.`,
        { details: { lost: lostIds, settled: unique.length - lostIds.length } },
      );
    },
  }),
  ...TOPIC_PATHS.map(({ path, kind, params }) =>
    route({
      method: 'get',
      path: `${path}/records`,
      operationId: `read${kind}`,
      summary: 'Reads by offset. Nothing is leased or settled; send `next` as `from` to go on.',
      tag: 'consume',
      params,
      query: z.strictObject({
        partition: queryInt(1_023).optional(),
        from: startAt.prefault('start'),
        max: queryInt(MAX_RECEIVE).optional(),
        wait: wait.optional(),
      }),
      result: z.object({ messages: z.array(readSchema), next: z.int(), end: z.int() }),
      handle: async ({ session, params: { topic }, query }) => {
        const { runs, next, stableEnd } = await session.request('read', {
          topic,
          from: query.from,
          maxMessages: query.max ?? 100,
          maxBytes: 4 * 1024 * 1024,
          ...(query.partition !== undefined && { partition: query.partition }),
          ...(query.wait !== undefined && { waitMs: query.wait }),
        });
        return messages(showRead(runs), `,"next":${next},"end":${stableEnd}`);
      },
    }),
  ),
];

function messages(shown: string[], more = ''): JsonText {
  return new JsonText(`{"messages":[${shown.join(',')}]${more}}`);
}
