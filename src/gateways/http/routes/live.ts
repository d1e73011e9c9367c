import { z } from 'zod';
import { isAuthorized } from '../../../core/auth.ts';
import { RailheadError } from '../../../core/errors.ts';
import type { LiveStats } from '../live/stats.ts';
import { isoTime } from '../messages.ts';
import { route, type Route } from '../route.ts';
import { SUBSCRIPTION_PATHS } from './names.ts';

/** Each event is `event: NAME` and `data: JSON`. */
const events = z.object({
  begin: z
    .object({ intervalMs: z.int(), history: z.array(z.record(z.string(), z.unknown())) })
    .describe('First, and again when everything begins anew: the looks of the last hour.'),
  rows: z
    .object({ rows: z.array(z.union([z.string(), z.record(z.string(), z.unknown())])) })
    .describe(
      'Topics and queues that changed since the look before, at first all. What is 0, false or null is left out, and so are the usual names; a queue that was never used is its name alone.',
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

const rates = {
  in: z.number().describe('Published in a second.'),
  out: z.number().describe('Acked in a second.'),
  ready: z.int(),
  delayed: z.int(),
  leased: z.int(),
};

function counted(live: LiveStats | undefined): LiveStats {
  if (live === undefined) throw new RailheadError('NOT_SUPPORTED', 'This broker is part of a test and counts nothing.');
  return live;
}

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
    handle: ({ session, live, namespace, principal, isIn, signal }) => {
      const all = { namespace, kind: 'topic', name: '' } as const;
      const mayLook = (): boolean => isIn() && isAuthorized(principal, 'inspect', all);
      return counted(live).open({ namespace, session, mayLook, signal });
    },
  }),
  route({
    method: 'get',
    path: '/history',
    operationId: 'history',
    summary:
      'Rates, depths, memory and disk of the last hour, from the start of the broker on: a point in ten seconds.',
    tag: 'inspect',
    params: z.object({}),
    result: z.object({
      points: z.array(
        z.object({
          at: z.iso.datetime(),
          ...rates,
          deadLetters: z.int(),
          consumers: z.int(),
          oldestAt: z.iso.datetime().nullable(),
          memoryBytes: z.int().describe('Resident memory of the process.'),
          heldBytes: z.int().describe('Of messages, in memory.'),
          journalBytes: z.int(),
          syncMs: z.number().nullable().describe('What a sync took, on average; null when there was none.'),
        }),
      ),
    }),
    handle: async ({ session, live, namespace }) => {
      const samples = await counted(live).samples(namespace, session);
      return {
        points: samples.map(({ at, oldestAt, queues: _queues, topics: _topics, subscriptions: _own, ...rest }) => ({
          at: isoTime(at),
          ...rest,
          oldestAt: oldestAt === null ? null : isoTime(oldestAt),
        })),
      };
    },
  }),
  ...SUBSCRIPTION_PATHS.map(({ path, kind, params }) =>
    route({
      method: 'get',
      path: `${path}/history`,
      operationId: `historyOf${kind}`,
      summary: 'Rates and depths of the last hour: a point in ten seconds. None of one in which nothing happened.',
      tag: 'inspect',
      params,
      result: z.object({
        points: z.array(
          z.object({ at: z.iso.datetime(), ...rates, oldestMs: z.number().describe('Age of the oldest.') }),
        ),
      }),
      handle: async ({ session, live, namespace, params: ref }) => {
        const points = await counted(live).points(namespace, session, ref);
        return { points: points.map(({ at, ...rest }) => ({ at: isoTime(at), ...rest })) };
      },
    }),
  ),
];
