import { z } from 'zod';
import { RailheadError, ERRORS, type ErrorCode } from '../../../core/errors.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../../../core/records.ts';
import { messageId, type PublishReceipt, type PublishRequest, type Session } from '../../../core/session.ts';
import { type TraceContext, withTrace } from '../../../core/trace-context.ts';
import { appendMessage, MAX_BATCH, messageFields, messageSchema, type MessageInput } from '../messages.ts';
import { duration } from '../options.ts';
import { name, route, type Route } from '../route.ts';
import { TOPIC_PATHS } from './names.ts';

const producerFields = {
  producer: z
    .strictObject({ id: z.string().min(1).max(255), sequence: z.int().min(0) })
    .optional()
    .describe('Idempotence: `sequence` numbers the first message; one that was stored already is not stored again.'),
  wait: duration.optional().describe("How long overflow 'block' may hold this request. Default 30s."),
};
const batchFields = {
  messages: z.array(messageSchema).min(1).max(MAX_BATCH),
  atomic: z
    .boolean()
    .default(true)
    .describe('All or none. With false each message stands alone and the answer says which were refused.'),
  ...producerFields,
};

const stored = z.object({
  id: z.string().optional().describe('Absent when a router found no target, or sent copies to several.'),
  ids: z.array(z.string()).optional().describe('One for each target of a router.'),
  duplicate: z.boolean().describe('True when it was stored before and not again; id is that of the first.'),
});
const refused = z.object({ error: z.object({ code: z.string(), message: z.string(), retryable: z.boolean() }) });

type Target = PublishRequest['to'];
type PublishBody = { producer?: { id: string; sequence: number } | undefined; wait?: number | undefined };

async function publish(
  session: Session,
  to: Target,
  messages: readonly MessageInput[],
  body: PublishBody,
  { atomic, trace }: { atomic: boolean; trace: TraceContext | undefined },
): Promise<PublishReceipt> {
  const batch = new RecordBatchWriter();
  for (const message of messages) appendMessage(batch, { ...message, headers: withTrace(message.headers, trace) });
  const { bytes, count } = batch.take();
  return session.publish({
    to,
    format: FORMAT_NATIVE,
    records: bytes,
    count,
    atomic,
    ...(body.producer !== undefined && { producer: body.producer }),
    ...(body.wait !== undefined && { waitMs: body.wait }),
  });
}

type Outcome = z.input<typeof stored> | z.input<typeof refused>;

/** Ids in the order of the messages. A refused record has no place in the runs. */
function outcomes(receipt: PublishReceipt, count: number): Outcome[] {
  const results: (Outcome | undefined)[] = Array.from({ length: count });
  for (const { index, count: many, code, message } of receipt.refused ?? []) {
    const retryable = Object.hasOwn(ERRORS, code) && ERRORS[code as ErrorCode].retryable;
    results.fill({ error: { code, message, retryable } }, index, Math.min(count, index + many));
  }
  const accepted = results.flatMap((result, index) => (result === undefined ? [index] : []));
  const ids = receipt.runs.flatMap((run) =>
    Array.from({ length: run.count }, (_, index) => ({
      id: messageId(run.topicId, run.partition, run.offset + index),
      duplicate: run.duplicate ?? false,
    })),
  );
  for (const [place, index] of accepted.entries()) {
    const one = ids.length === accepted.length ? ids[place] : undefined;
    results[index] = one ?? { duplicate: false, ...(accepted.length === 1 && { ids: ids.map(({ id }) => id) }) };
  }
  return results.flatMap((result) => result ?? []);
}

function only(receipt: PublishReceipt): z.input<typeof stored> {
  const [outcome] = outcomes(receipt, 1);
  if (outcome === undefined) return { duplicate: false };
  if (!('error' in outcome)) return outcome;
  const { code, message } = outcome.error;
  throw new RailheadError(Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'INVALID', message);
}

const SENT = 'The answer comes when it is as durable as the policy says.';

export const publishRoutes: Route[] = [
  ...TOPIC_PATHS.flatMap(({ path, kind, params }) => [
    route({
      method: 'post',
      path: `${path}/messages`,
      operationId: `publishTo${kind}`,
      summary: `Publishes one message. ${SENT}`,
      tag: 'publish',
      params,
      body: z.strictObject({ ...messageFields, ...producerFields }),
      result: stored,
      handle: async ({ session, trace, params: { topic }, body: { producer, wait, ...message } }) =>
        only(await publish(session, { topic }, [message], { producer, wait }, { atomic: true, trace })),
    }),
    route({
      method: 'post',
      path: `${path}/messages/batch`,
      operationId: `publishBatchTo${kind}`,
      summary: `Publishes up to ${MAX_BATCH} messages, by default all or none. ${SENT}`,
      tag: 'publish',
      params,
      body: z.strictObject(batchFields),
      result: z.object({ messages: z.array(z.union([stored, refused])) }),
      handle: async ({ session, trace, params: { topic }, body }) => ({
        messages: outcomes(
          await publish(session, { topic }, body.messages, body, { atomic: body.atomic, trace }),
          body.messages.length,
        ),
      }),
    }),
  ]),
  route({
    method: 'post',
    path: '/routers/{router}/messages',
    operationId: 'publishToRouter',
    summary: `Publishes one message through a router. ${SENT}`,
    tag: 'publish',
    params: z.object({ router: name }),
    body: z.strictObject({ ...messageFields, ...producerFields, routingKey: z.string().max(1024).default('') }),
    result: stored,
    handle: async ({ session, trace, params: { router }, body: { producer, wait, routingKey, ...message } }) =>
      only(await publish(session, { router, key: routingKey }, [message], { producer, wait }, { atomic: true, trace })),
  }),
];
