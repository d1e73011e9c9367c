import { z } from 'zod';
import { readersOf } from '../../../core/readers.ts';
import type { SubscriptionStats, TopicStats } from '../../../core/stats.ts';
import { isoTime, JsonText, peekedSchema, showPeeked } from '../messages.ts';
import { Slices } from '../../metrics/slices.ts';
import { BodyReader } from '../../schemas.ts';
import { name, queryFlag, queryInt, route, type Route } from '../route.ts';
import { SUBSCRIPTION_PATHS, TOPIC_PATHS } from './names.ts';

const subscriptionStats = z.object({
  topic: z.string(),
  subscription: z.string(),
  ready: z.int(),
  delayed: z.int(),
  leased: z.int(),
  depth: z.int().describe('Not settled: ready + delayed + leased.'),
  consumers: z.int(),
  paused: z.boolean(),
  deadLetterQueue: z.string().describe('Where its dead letters lie. Made with the first one.'),
  oldestAt: z.iso.datetime().nullable().describe('When the oldest unsettled message was published.'),
  delivered: z.int().describe('Since the broker started, like the counts that follow.'),
  redelivered: z.int(),
  acked: z.int(),
  released: z.int(),
  deadLettered: z.int(),
  expired: z.int(),
});

const topicStats = z.object({
  name: z.string(),
  kind: z.enum(['queue', 'topic']),
  messages: z.int(),
  bytes: z.int(),
  partitions: z.array(z.object({ start: z.int(), end: z.int() })),
  published: z.int().describe('Since the broker started, like the counts that follow.'),
  duplicates: z.int(),
  refused: z.int(),
  maxMessages: z.int().nullable(),
  maxBytes: z.int().nullable(),
  subscriptions: z.array(subscriptionStats),
});

function showSubscriptionStats(stats: SubscriptionStats): z.input<typeof subscriptionStats> {
  return { ...stats, oldestAt: stats.oldestAt === null ? null : isoTime(stats.oldestAt) };
}

function showTopicStats(stats: TopicStats): z.input<typeof topicStats> {
  return { ...stats, subscriptions: stats.subscriptions.map(showSubscriptionStats) };
}

export const inspectRoutes: Route[] = [
  route({
    method: 'get',
    path: '/stats',
    operationId: 'allStats',
    summary: 'Counts of all topics and queues. Send `next` as `after` for more.',
    tag: 'inspect',
    params: z.object({}),
    query: z.strictObject({
      prefix: z.string().max(255).optional(),
      after: queryInt(Number.MAX_SAFE_INTEGER).optional(),
      limit: queryInt(10_000).optional(),
    }),
    result: z.object({ topics: z.array(topicStats), next: z.int().nullable() }),
    handle: async ({ session, query: { prefix, after, limit } }) => {
      const { topics, next } = await session.request('allStats', {
        limit: limit ?? 1_000,
        ...(prefix !== undefined && { prefix }),
        ...(after !== undefined && { after }),
      });
      return { topics: topics.map(showTopicStats), next };
    },
  }),
  ...TOPIC_PATHS.map(({ path, kind, params }) =>
    route({
      method: 'get',
      path: `${path}/stats`,
      operationId: `stats${kind}`,
      summary: 'Counts of it and its subscriptions.',
      tag: 'inspect',
      params,
      result: topicStats,
      handle: async ({ session, params: { topic } }) =>
        showTopicStats(await session.request('topicStats', { name: topic })),
    }),
  ),
  route({
    method: 'get',
    path: '/topics/{topic}/subscriptions/{subscription}/stats',
    operationId: 'statsSubscription',
    summary: 'Counts of a subscription.',
    tag: 'inspect',
    params: z.object({ topic: name, subscription: name }),
    result: subscriptionStats,
    handle: async ({ session, params }) => showSubscriptionStats(await session.request('subscriptionStats', params)),
  }),
  ...SUBSCRIPTION_PATHS.map(({ path, kind, params }) =>
    route({
      method: 'get',
      path: `${path}/consumers`,
      operationId: `consumersOf${kind}`,
      summary: 'Who consumes now. A receive over HTTP is one as long as it waits.',
      tag: 'inspect',
      params,
      result: z.object({
        consumers: z.array(
          z.object({
            id: z.int(),
            name: z.string(),
            user: z.string(),
            client: z.string().describe("Of its session: as a rule the client's name."),
            inFlight: z.int(),
            credit: z.int().describe('As many more it may have.'),
            priority: z.int(),
            exclusive: z.boolean(),
            since: z.iso.datetime(),
          }),
        ),
      }),
      handle: async ({ session, params: ref }) => {
        const { consumers } = await session.request('listConsumers', ref);
        return { consumers: consumers.map(({ since, ...rest }) => ({ ...rest, since: isoTime(since) })) };
      },
    }),
  ),
  ...SUBSCRIPTION_PATHS.map(({ path, kind, params }) =>
    route({
      method: 'get',
      path: `${path}/messages`,
      operationId: `peek${kind}`,
      summary: 'Looks at messages without leasing them. Send the last id as `after` for more.',
      tag: 'inspect',
      params,
      query: z.strictObject({
        state: z.enum(['ready', 'delayed', 'leased', 'settled']).optional(),
        after: z.string().max(64).optional(),
        limit: queryInt(1_000).optional(),
        decode: queryFlag.optional(),
      }),
      result: z.object({ messages: z.array(peekedSchema) }),
      handle: async ({ session, params: ref, query: { state, after, limit, decode } }) => {
        const { messages, schemas } = await session.request('peek', {
          ...ref,
          limit: limit ?? 10,
          ...(state !== undefined && { state }),
          ...(after !== undefined && { after }),
          ...(decode === true && { schemas: true }),
        });
        const reader = decode === true ? new BodyReader(schemas) : undefined;
        const slices = new Slices();
        const shown: string[] = [];
        for (const message of messages) {
          shown.push(showPeeked(message, reader?.read(ref.topic, message)));
          if (slices.due()) await slices.rest();
        }
        return new JsonText(`{"messages":[${shown.join(',')}]}`);
      },
    }),
  ),
  route({
    method: 'get',
    path: '/topics/{topic}/readers',
    operationId: 'readersOfTopic',
    summary: 'Readers that count offsets, such as consumer groups of Kafka, and how far each is behind.',
    tag: 'inspect',
    params: z.object({ topic: name }),
    result: z.object({
      readers: z.array(
        z.object({
          cursor: z.string(),
          lag: z.int(),
          partitions: z.array(z.object({ partition: z.int(), offset: z.int(), end: z.int(), lag: z.int() })),
        }),
      ),
    }),
    handle: async ({ session, params: { topic } }) => ({ readers: await readersOf(session, topic) }),
  }),
  route({
    method: 'get',
    path: '/info',
    operationId: 'info',
    summary: 'Version, start, notices of the last recovery, counters.',
    tag: 'inspect',
    params: z.object({}),
    result: z.object({
      version: z.string(),
      journalId: z.string(),
      startedAt: z.iso.datetime(),
      now: z.iso.datetime(),
      notices: z.array(z.string()),
      counters: z.record(z.string(), z.number()),
    }),
    handle: async ({ session }) => {
      const info = await session.request('info', {});
      return { ...info, startedAt: isoTime(info.startedAt), now: isoTime(info.now) };
    },
  }),
];
