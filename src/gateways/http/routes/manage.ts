import { z } from 'zod';
import { RailheadError } from '../../../core/errors.ts';
import { isoTime } from '../messages.ts';
import { duration } from '../options.ts';
import { name, route, type Route } from '../route.ts';
import { startAt } from './consume.ts';
import { SUBSCRIPTION_PATHS, withParam } from './names.ts';

export const manageRoutes: Route[] = SUBSCRIPTION_PATHS.flatMap(({ path, kind, params }) => {
  const messageParams = withParam(params, 'id');
  return [
    route({
      method: 'post',
      path: `${path}/purge`,
      operationId: `purge${kind}`,
      summary: 'Settles all waiting messages unseen.',
      tag: 'manage',
      params,
      result: z.object({ purged: z.int() }),
      handle: ({ session, params: ref }) => session.request('purge', ref),
    }),
    route({
      method: 'post',
      path: `${path}/pause`,
      operationId: `pause${kind}`,
      summary: 'Stops delivery. Publishing goes on.',
      tag: 'manage',
      params,
      result: z.object({ paused: z.boolean() }),
      handle: ({ session, params: ref }) => session.request('pause', ref),
    }),
    route({
      method: 'post',
      path: `${path}/resume`,
      operationId: `resume${kind}`,
      summary: 'Delivers again.',
      tag: 'manage',
      params,
      result: z.object({ paused: z.boolean() }),
      handle: ({ session, params: ref }) => session.request('resume', ref),
    }),
    route({
      method: 'post',
      path: `${path}/seek`,
      operationId: `seek${kind}`,
      summary:
        'Moves the subscription: what lies before counts as settled, what lies after comes again. To a snapshot: what that had not settled comes again, and all that was published since.',
      tag: 'manage',
      params,
      body: z.strictObject({ to: startAt.optional(), snapshot: name.optional() }),
      result: z.object({ ready: z.int() }),
      handle: async ({ session, params: ref, body: { to, snapshot } }) => {
        const target = snapshot === undefined ? to : { snapshot };
        if (target === undefined || (to !== undefined && snapshot !== undefined))
          throw new RailheadError('INVALID', 'Say where to: either `to` or `snapshot`.');
        return session.request('seek', { ...ref, to: target });
      },
    }),
    route({
      method: 'delete',
      path: `${path}/messages/{id}`,
      operationId: `cancelIn${kind}`,
      summary: 'Settles one waiting message unseen. One that is leased is refused (IN_USE).',
      tag: 'manage',
      params: messageParams,
      result: z.object({ cancelled: z.boolean() }),
      handle: ({ session, params: { id, ...ref } }) => session.request('cancel', { ...ref, id }),
    }),
    route({
      method: 'post',
      path: `${path}/messages/{id}/reschedule`,
      operationId: `rescheduleIn${kind}`,
      summary: 'Changes when a waiting message becomes ready.',
      tag: 'manage',
      params: messageParams,
      body: z.strictObject({ delay: duration.optional(), at: z.iso.datetime({ offset: true }).optional() }),
      result: z.object({ dueAt: z.iso.datetime() }),
      handle: async ({ session, params: { id, ...ref }, body: { delay, at } }) => {
        if ((delay === undefined) === (at === undefined))
          throw new RailheadError('INVALID', 'Say when: either `delay` or `at`.');
        const when = delay === undefined ? { at: Date.parse(at ?? '') } : { delayMs: delay };
        const { dueAt } = await session.request('reschedule', { ...ref, id, ...when });
        return { dueAt: isoTime(dueAt) };
      },
    }),
  ];
});
