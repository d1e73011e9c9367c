import { z } from 'zod';
import type { SnapshotDefinition } from '../../../core/session.ts';
import { isoTime } from '../messages.ts';
import { duration } from '../options.ts';
import { name, route, type Route } from '../route.ts';
import { SUBSCRIPTION_PATHS, TOPIC_PATHS, withParam } from './names.ts';

const shown = z.object({
  topic: z.string(),
  snapshot: z.string(),
  subscription: z.string(),
  depth: z.int().describe('Messages it had not settled, and those published since.'),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
});

function show({ createdAt, expiresAt, ...facts }: SnapshotDefinition): z.input<typeof shown> {
  return { ...facts, createdAt: isoTime(createdAt), expiresAt: isoTime(expiresAt) };
}

export const snapshotRoutes: Route[] = [
  ...SUBSCRIPTION_PATHS.map(({ path, kind, params }) =>
    route({
      method: 'put',
      path: `${path}/snapshots/{snapshot}`,
      operationId: `snapshot${kind}`,
      summary: 'Keeps what is not settled now under a name, to seek back to.',
      tag: 'manage',
      params: withParam(params, 'snapshot'),
      bodyOptional: true,
      body: z.strictObject({
        expires: duration.optional().describe('It keeps its messages so long. Default 7 days, at most 31.'),
      }),
      result: shown,
      handle: async ({ session, params: ref, body: { expires } }) =>
        show(
          await session.request('createSnapshot', {
            ...ref,
            ...(expires !== undefined && { expiresAfterMs: Math.round(expires) }),
          }),
        ),
    }),
  ),
  route({
    method: 'get',
    path: '/snapshots',
    operationId: 'listSnapshots',
    summary: 'The snapshots of all queues and subscriptions, or of one queue or topic.',
    tag: 'manage',
    params: z.object({}),
    query: z.strictObject({ topic: name.optional() }),
    result: z.object({ snapshots: z.array(shown) }),
    handle: async ({ session, query: { topic } }) => {
      const { snapshots } = await session.request('listSnapshots', topic === undefined ? {} : { topic });
      return { snapshots: snapshots.map(show) };
    },
  }),
  ...TOPIC_PATHS.map(({ path, kind, params }) =>
    route({
      method: 'delete',
      path: `${path}/snapshots/{snapshot}`,
      operationId: `deleteSnapshotOf${kind}`,
      summary: 'Forgets a snapshot. What only it needed may go.',
      tag: 'manage',
      params: withParam(params, 'snapshot'),
      result: z.object({ deleted: z.boolean() }),
      handle: ({ session, params: ref }) => session.request('deleteSnapshot', ref),
    }),
  ),
];
