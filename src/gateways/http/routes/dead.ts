import { z } from 'zod';
import { orNone } from '../../../core/errors.ts';
import { deadLetterQueue } from '../../../core/policy.ts';
import type { MessageId, Session, SubscriptionRef } from '../../../core/session.ts';
import { undoRedrive } from '../../../core/redrive-undo.ts';
import { isoTime, JsonText, messageSchema, peekedSchema, recordOf, showPeeked } from '../messages.ts';
import { filterSchema } from '../options.ts';
import { name, queryInt, route, type Route } from '../route.ts';
import { SUBSCRIPTION_PATHS } from './names.ts';

const ids = z
  .array(
    z
      .string()
      .min(1)
      .max(64)
      .transform((id) => id as MessageId),
  )
  .min(1)
  .max(10_000);
const progress = z.object({
  id: z.string().describe('For /redrives/{id}.'),
  state: z.enum(['running', 'done', 'cancelled', 'failed']),
  moved: z.int(),
  matched: z.int(),
  error: z.string().optional(),
});
const choice = { ids: ids.optional(), filter: filterSchema.optional(), limit: z.int().min(1).optional() };

/** The queue that the dead letters of a subscription go to. It is made with the first one. */
async function deadLetters(session: Session, ref: SubscriptionRef): Promise<SubscriptionRef> {
  const topic = await session.request('describeTopic', { name: ref.topic });
  const own =
    topic.subscriptions.find(({ subscription }) => subscription === ref.subscription)?.policy ?? topic.subscription;
  const queue = deadLetterQueue(own?.deadLetter ?? null, topic.kind, ref.topic, ref.subscription);
  return { topic: queue, subscription: queue };
}

export const deadRoutes: Route[] = [
  ...SUBSCRIPTION_PATHS.flatMap(({ path, kind, params }) => [
    route({
      method: 'get',
      path: `${path}/dead`,
      operationId: `listDeadOf${kind}`,
      summary: 'Looks at the dead letters, with what happened to each.',
      tag: 'dead letters',
      params,
      query: z.strictObject({ after: z.string().max(64).optional(), limit: queryInt(1_000).optional() }),
      result: z.object({ queue: z.string(), messages: z.array(peekedSchema) }),
      handle: async ({ session, params: ref, query: { after, limit } }) => {
        const dead = await deadLetters(session, ref);
        const page = { ...dead, limit: limit ?? 10, ...(after !== undefined && { after }) };
        const { messages } = await orNone(session.request('peek', page), { messages: [] });
        return new JsonText(
          `{"queue":${JSON.stringify(dead.topic)},"messages":[${messages.map((message) => showPeeked(message)).join(',')}]}`,
        );
      },
    }),
    route({
      method: 'post',
      path: `${path}/dead/redrive`,
      operationId: `redriveDeadOf${kind}`,
      summary:
        'Moves dead letters back to where they came from, or to `to`. Goes on after the answer; see /redrives/{id}.',
      tag: 'dead letters',
      params,
      bodyOptional: true,
      body: z.strictObject({
        ...choice,
        to: name.optional(),
        ratePerSecond: z.number().positive().optional(),
        edits: z
          .array(messageSchema.extend({ id: z.string().min(1).max(64) }))
          .max(1_000)
          .optional()
          .describe('The message that goes instead of the dead letter with this id.'),
      }),
      result: progress.extend({ startedAt: z.iso.datetime().describe('`since` of an undo.') }),
      handle: async ({
        session,
        params: ref,
        body: { ids: chosen, filter, limit, to, ratePerSecond, edits },
        clock,
      }) => {
        const startedAt = isoTime(clock.now());
        const started = await session.request('redrive', {
          ...(await deadLetters(session, ref)),
          ...(chosen && { ids: chosen }),
          ...(filter && { filter }),
          ...(limit !== undefined && { limit }),
          ...(to !== undefined && { to }),
          ...(ratePerSecond !== undefined && { ratePerSecond }),
          ...(edits && {
            edits: edits.map(({ id, ...message }) => ({ id: id as MessageId, record: recordOf(message) })),
          }),
        });
        return { ...started, startedAt };
      },
    }),
    route({
      method: 'post',
      path: `${path}/dead/undo`,
      operationId: `undoRedriveOf${kind}`,
      summary: 'Puts back what was redriven since a moment and nobody has taken yet. `to`: if it went elsewhere.',
      tag: 'dead letters',
      params,
      body: z.strictObject({ since: z.iso.datetime(), to: name.optional() }),
      result: z.object({ moved: z.int() }),
      handle: async ({ session, params: ref, body: { since, to } }) =>
        undoRedrive(session, {
          queue: (await deadLetters(session, ref)).topic,
          since: Date.parse(since),
          ...(to !== undefined && { to }),
        }),
    }),
    route({
      method: 'post',
      path: `${path}/dead/drop`,
      operationId: `dropDeadOf${kind}`,
      summary: 'Settles dead letters for good. Without `ids` and `filter`: all.',
      tag: 'dead letters',
      params,
      bodyOptional: true,
      body: z.strictObject(choice),
      result: z.object({ dropped: z.int() }),
      handle: async ({ session, params: ref, body: { ids: chosen, filter, limit } }) =>
        session.request('drop', {
          ...(await deadLetters(session, ref)),
          ...(chosen && { ids: chosen }),
          ...(filter && { filter }),
          ...(limit !== undefined && { limit }),
        }),
    }),
  ]),
  route({
    method: 'get',
    path: '/redrives/{id}',
    operationId: 'redriveProgress',
    summary: 'How far a redrive is.',
    tag: 'dead letters',
    params: z.object({ id: name }),
    result: progress,
    handle: ({ session, params: { id } }) => session.request('redriveProgress', { id }),
  }),
  route({
    method: 'delete',
    path: '/redrives/{id}',
    operationId: 'cancelRedrive',
    summary: 'Stops a redrive. What was moved stays moved; an undo puts it back.',
    tag: 'dead letters',
    params: z.object({ id: name }),
    result: progress,
    handle: ({ session, params: { id } }) => session.request('redriveProgress', { id, cancel: true }),
  }),
];
