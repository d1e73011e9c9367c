import { z } from 'zod';
import { RailheadError } from '../../../core/errors.ts';
import { lagOf } from '../../../core/lag.ts';
import { name, queryInt, route, type Route } from '../route.ts';

const MAX_PAGE = 1_000;

const place = z.object({
  topic: z.string(),
  partition: z.int(),
  offset: z.int().describe('The next one to read.'),
  end: z.int(),
  lag: z.int().describe('How many offsets lie between them.'),
});

/** Named positions of readers that count offsets, such as the consumer groups of Kafka. */
export const cursorRoutes: Route[] = [
  route({
    method: 'get',
    path: '/cursors',
    operationId: 'listCursors',
    summary: 'Cursors (consumer groups of Kafka) that have committed something. Send `next` as `after` for more.',
    tag: 'inspect',
    params: z.object({}),
    query: z.strictObject({
      prefix: z.string().max(255).optional(),
      after: name.optional(),
      limit: queryInt(MAX_PAGE).optional(),
    }),
    result: z.object({
      cursors: z.array(z.object({ cursor: z.string(), topics: z.array(z.string()) })),
      next: z.string().nullable(),
    }),
    handle: ({ session, query: { prefix, after, limit = MAX_PAGE } }) =>
      session.request('listCursors', {
        limit,
        ...(prefix !== undefined && { prefix }),
        ...(after !== undefined && { after }),
      }),
  }),
  route({
    method: 'get',
    path: '/cursors/{cursor}',
    operationId: 'cursorLag',
    summary: 'How far a cursor (a consumer group of Kafka) is in each partition, and what lies before it.',
    tag: 'inspect',
    params: z.object({ cursor: name }),
    result: z.object({ cursor: z.string(), lag: z.int(), partitions: z.array(place) }),
    handle: async ({ session, params: { cursor } }) => {
      const partitions = await lagOf(session, cursor);
      if (partitions.length === 0)
        throw new RailheadError('NOT_FOUND', `The cursor ${JSON.stringify(cursor)} has committed nothing.`);
      return { cursor, lag: partitions.reduce((sum, { lag }) => sum + lag, 0), partitions };
    },
  }),
];
