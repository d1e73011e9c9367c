import { z } from 'zod';
import { drainSeconds, suggestConsumers } from '../../../core/scaling.ts';
import { RailheadError } from '../../../core/errors.ts';
import type { SubscriptionRef } from '../../../core/session.ts';
import { duration } from '../options.ts';
import { name, queryInt, route, type Route } from '../route.ts';

const MAX_CONSUMERS = 10_000;
const DEFAULT_MAX = 100;
const DEFAULT_DRAIN_MS = 60_000;

const rate = z.number().nullable().describe('Messages a second; null until this was asked for twice.');

const scale = z.object({
  backlog: z.int().describe('Ready for a consumer.'),
  delayed: z.int(),
  leased: z.int(),
  consumers: z.int(),
  arrivalRate: rate,
  serviceRate: rate,
  consumerRate: z.number().nullable().describe('What one consumer does with enough to do; null until that was seen.'),
  drainSeconds: z.number().nullable().describe('When the backlog is gone as things are; null: never.'),
  suggestedConsumers: z.int(),
});

const PLACES: readonly { path: string; kind: string; params: z.ZodType<SubscriptionRef> }[] = [
  {
    path: '/scale/{queue}',
    kind: 'Queue',
    params: z.object({ queue: name }).transform(({ queue }) => ({ topic: queue, subscription: queue })),
  },
  {
    path: '/scale/{topic}/{subscription}',
    kind: 'Subscription',
    params: z.object({ topic: name, subscription: name }),
  },
];

export const scaleRoutes: Route[] = PLACES.map(({ path, kind, params }) =>
  route({
    method: 'get',
    path,
    operationId: `scale${kind}`,
    summary:
      'What it has to do, how quickly that is done, and how many consumers there should be: for autoscalers, such as the metrics-api scaler of KEDA (`valueLocation: suggestedConsumers`, `targetValue: "1"`). Rates are those since it was asked for at least five seconds before.',
    tag: 'inspect',
    params,
    query: z.strictObject({
      drain: duration.optional().describe('How soon a backlog should be gone. Default 1m.'),
      min: queryInt(MAX_CONSUMERS).optional(),
      max: queryInt(MAX_CONSUMERS).optional(),
    }),
    result: scale,
    handle: async ({ session, params: { topic, subscription }, query, loads, namespace }) => {
      const stats = await session.request('topicStats', { name: topic });
      const own = stats.subscriptions.find((each) => each.subscription === subscription);
      if (own === undefined)
        throw new RailheadError(
          'NOT_FOUND',
          `${JSON.stringify(topic)} has no subscription ${JSON.stringify(subscription)}.`,
        );
      const load = loads.look(JSON.stringify([namespace, topic, subscription]), stats, own);
      const { min = 0, max = DEFAULT_MAX, drain: drainMs = DEFAULT_DRAIN_MS } = query;
      if (drainMs < 1000) throw new RailheadError('INVALID', 'drain is less than a second. Give a backlog more time.');
      if (min > max)
        throw new RailheadError('INVALID', `min is ${min} and max is ${max}. Write a max that is not less.`);
      return {
        ...load,
        drainSeconds: drainSeconds(load),
        suggestedConsumers: suggestConsumers(load, { drainMs, min, max }),
      };
    },
  }),
);
