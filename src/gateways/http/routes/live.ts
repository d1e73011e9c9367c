import { z } from 'zod';
import { route, type Route } from '../route.ts';

/** Each event is `event: NAME` and `data: JSON`. */
const events = z.object({
  begin: z
    .object({ intervalMs: z.int(), history: z.array(z.record(z.string(), z.unknown())) })
    .describe('First, and again when everything begins anew: the looks of the last ten minutes.'),
  rows: z
    .object({ rows: z.array(z.record(z.string(), z.unknown())) })
    .describe(
      'Topics and queues that changed since the look before, at first all. What is 0, false or null is left out.',
    ),
  look: z
    .object({
      health: z.record(z.string(), z.unknown()),
      info: z.record(z.string(), z.unknown()),
      sample: z.record(z.string(), z.unknown()),
      gone: z.array(z.string()).describe('Names that are no more.'),
    })
    .describe('The end of a look: the rows before it belong together.'),
});

export const liveRoutes: Route[] = [
  route({
    method: 'get',
    path: '/events',
    operationId: 'liveStats',
    summary: 'Counts of the namespace as server-sent events, once a second: at first everything, then what changed.',
    tag: 'inspect',
    params: z.object({}),
    streams: 'text/event-stream',
    result: events,
    handle: ({ session, live, namespace, signal }) => live.open(namespace, session, signal),
  }),
];
