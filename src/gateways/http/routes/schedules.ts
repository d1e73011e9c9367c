import { z } from 'zod';
import { isoTime, JsonText, messageFields, recordOf, showRecord } from '../messages.ts';
import { name, route, type Route } from '../route.ts';

const shown = z.object({
  name: z.string(),
  cron: z.string(),
  timezone: z.string(),
  to: z.string(),
  message: z.record(z.string(), z.unknown()),
  nextAt: z.iso.datetime().nullable(),
  lastAt: z.iso.datetime().nullable(),
});

export const scheduleRoutes: Route[] = [
  route({
    method: 'get',
    path: '/schedules',
    operationId: 'listSchedules',
    summary: 'All schedules of the namespace.',
    tag: 'schedules',
    params: z.object({}),
    result: z.object({ schedules: z.array(shown) }),
    handle: async ({ session }) => {
      const { schedules } = await session.request('listSchedules', {});
      const texts = schedules.map(({ name: id, cron, timezone, topic, record, nextAt, lastAt }) => {
        const facts = {
          name: id,
          cron,
          timezone,
          to: topic,
          nextAt: nextAt === null ? null : isoTime(nextAt),
          lastAt: lastAt === null ? null : isoTime(lastAt),
        };
        return `${JSON.stringify(facts).slice(0, -1)},"message":${showRecord(record)}}`;
      });
      return new JsonText(`{"schedules":[${texts.join(',')}]}`);
    },
  }),
  route({
    method: 'put',
    path: '/schedules/{schedule}',
    operationId: 'putSchedule',
    summary: 'Publishes a message again and again. Replaces a schedule of the same name.',
    tag: 'schedules',
    params: z.object({ schedule: name }),
    body: z.strictObject({
      ...messageFields,
      to: name.describe('The queue or topic.'),
      cron: z.string().min(1).max(255).describe('Five or six fields, or @hourly, @daily and the like.'),
      timezone: z.string().min(1).max(64).default('UTC').describe('An IANA name, such as Europe/Berlin.'),
    }),
    result: z.object({ created: z.boolean(), nextAt: z.iso.datetime().nullable() }),
    handle: async ({ session, params: { schedule }, body: { to, cron, timezone, ...message } }) => {
      const args = { name: schedule, cron, timezone, topic: to, record: recordOf(message) };
      const { created, nextAt } = await session.request('putSchedule', args);
      return { created, nextAt: nextAt === null ? null : isoTime(nextAt) };
    },
  }),
  route({
    method: 'delete',
    path: '/schedules/{schedule}',
    operationId: 'deleteSchedule',
    summary: 'Ends a schedule. What it published stays.',
    tag: 'schedules',
    params: z.object({ schedule: name }),
    result: z.object({ deleted: z.boolean() }),
    handle: ({ session, params: { schedule } }) => session.request('deleteSchedule', { name: schedule }),
  }),
];
