import { z } from 'zod';
import { RailheadError } from '../../../core/errors.ts';
import type { SubscriptionDefinition, TopicDefinition } from '../../../core/definitions.ts';
import { isoTime } from '../messages.ts';
import {
  queueSchema,
  showSubscriptionPolicy,
  showTopicPolicy,
  subscriptionPolicy,
  subscriptionSchema,
  topicPolicy,
  topicSchema,
} from '../options.ts';
import { name, queryFlag, queryInt, route, type Route } from '../route.ts';
import { startAt } from './consume.ts';
import { TOPIC_PATHS } from './names.ts';

const ifDifferent = z
  .enum(['error', 'update', 'keep'])
  .default('error')
  .describe('When it exists with another policy. Structural differences are always an error.');
const policy = z.record(z.string(), z.unknown()).describe('As in the request that declares it.');
const topicShown = z.object({
  name: z.string(),
  kind: z.enum(['queue', 'topic']),
  policy,
  createdAt: z.iso.datetime(),
});
const subscriptionShown = z.object({
  topic: z.string(),
  subscription: z.string(),
  policy,
  paused: z.boolean(),
  createdAt: z.iso.datetime(),
});
const declared = z.object({ created: z.boolean(), updated: z.boolean(), definition: topicShown });

export function showTopic(definition: TopicDefinition): z.input<typeof topicShown> {
  const { name: topic, kind, createdAt } = definition;
  const { retain, ...limits } = showTopicPolicy(definition.policy);
  const own = definition.subscription === undefined ? { retain } : showSubscriptionPolicy(definition.subscription);
  return { name: topic, kind, policy: { ...limits, ...own }, createdAt: isoTime(createdAt) };
}

function showSubscription(definition: SubscriptionDefinition): z.input<typeof subscriptionShown> {
  const { topic, subscription, paused, createdAt } = definition;
  return {
    topic,
    subscription,
    policy: showSubscriptionPolicy(definition.policy),
    paused,
    createdAt: isoTime(createdAt),
  };
}

export const definitionRoutes: Route[] = [
  route({
    method: 'put',
    path: '/queues/{queue}',
    operationId: 'declareQueue',
    summary: 'Declares a queue. What is left out has its default, or stays as it is.',
    tag: 'definitions',
    params: z.object({ queue: name }),
    bodyOptional: true,
    query: z.strictObject({ ifDifferent }),
    body: queueSchema,
    result: declared,
    handle: async ({ session, params, query, body }) => {
      const { retain: _, ...limits } = body;
      const args = {
        name: params.queue,
        kind: 'queue',
        policy: topicPolicy(limits),
        subscription: subscriptionPolicy(body),
        ...query,
      } as const;
      const result = await session.request('declareTopic', args);
      return { ...result, definition: showTopic(result.definition) };
    },
  }),
  route({
    method: 'put',
    path: '/topics/{topic}',
    operationId: 'declareTopic',
    summary: 'Declares a topic. What is left out has its default, or stays as it is.',
    tag: 'definitions',
    params: z.object({ topic: name }),
    bodyOptional: true,
    query: z.strictObject({ ifDifferent }),
    body: topicSchema,
    result: declared,
    handle: async ({ session, params, query, body }) => {
      const result = await session.request('declareTopic', {
        name: params.topic,
        kind: 'topic',
        policy: topicPolicy(body),
        ...query,
      });
      return { ...result, definition: showTopic(result.definition) };
    },
  }),
  ...TOPIC_PATHS.flatMap(({ path, kind, params }) => [
    route({
      method: 'get',
      path,
      operationId: `describe${kind}`,
      summary: 'The definition, with the subscriptions.',
      tag: 'definitions',
      params,
      result: topicShown.extend({ subscriptions: z.array(subscriptionShown) }),
      handle: async ({ session, params: { topic } }) => {
        const found = await session.request('describeTopic', { name: topic });
        return { ...showTopic(found), subscriptions: found.subscriptions.map(showSubscription) };
      },
    }),
    route({
      method: 'delete',
      path,
      operationId: `delete${kind}`,
      summary: 'Deletes it with its messages and subscriptions.',
      tag: 'definitions',
      params,
      query: z.strictObject({ ifEmpty: queryFlag.optional(), ifUnused: queryFlag.optional() }),
      result: z.object({ deleted: z.boolean(), messages: z.int() }),
      handle: ({ session, params: { topic }, query: { ifEmpty, ifUnused } }) =>
        session.request('deleteTopic', { name: topic, ...(ifEmpty && { ifEmpty }), ...(ifUnused && { ifUnused }) }),
    }),
  ]),
  route({
    method: 'patch',
    path: '/queues/{queue}',
    operationId: 'updateQueue',
    summary: 'Changes the policy of a queue that exists.',
    tag: 'definitions',
    params: z.object({ queue: name }),
    body: queueSchema,
    result: declared,
    handle: async ({ session, params, body }) => {
      const found = await session.request('describeTopic', { name: params.queue });
      if (found.kind !== 'queue')
        throw new RailheadError('INVALID', `${JSON.stringify(params.queue)} is a topic. Change it under /topics.`);
      const { retain: _, ...limits } = body;
      const args = {
        name: params.queue,
        kind: 'queue',
        policy: topicPolicy(limits),
        subscription: subscriptionPolicy(body),
        ifDifferent: 'update',
      } as const;
      const result = await session.request('declareTopic', args);
      return { ...result, definition: showTopic(result.definition) };
    },
  }),
  route({
    method: 'patch',
    path: '/topics/{topic}',
    operationId: 'updateTopic',
    summary: 'Changes the policy of a topic that exists.',
    tag: 'definitions',
    params: z.object({ topic: name }),
    body: topicSchema,
    result: declared,
    handle: async ({ session, params, body }) => {
      const found = await session.request('describeTopic', { name: params.topic });
      if (found.kind !== 'topic')
        throw new RailheadError('INVALID', `${JSON.stringify(params.topic)} is a queue. Change it under /queues.`);
      const args = { name: params.topic, kind: 'topic', policy: topicPolicy(body), ifDifferent: 'update' } as const;
      const result = await session.request('declareTopic', args);
      return { ...result, definition: showTopic(result.definition) };
    },
  }),
  route({
    method: 'get',
    path: '/topics',
    operationId: 'listTopics',
    summary: 'Topics and queues by name. Send `next` as `after` for more.',
    tag: 'definitions',
    params: z.object({}),
    query: z.strictObject({
      prefix: z.string().max(255).optional(),
      after: z.string().max(255).optional(),
      limit: queryInt(1_000).optional(),
    }),
    result: z.object({ topics: z.array(topicShown), next: z.string().nullable() }),
    handle: async ({ session, query: { prefix, after, limit } }) => {
      const { topics, next } = await session.request('listTopics', {
        limit: limit ?? 100,
        ...(prefix !== undefined && { prefix }),
        ...(after !== undefined && { after }),
      });
      return { topics: topics.map(showTopic), next };
    },
  }),
  route({
    method: 'put',
    path: '/topics/{topic}/subscriptions/{subscription}',
    operationId: 'declareSubscription',
    summary: 'Declares a subscription. `from` says where a new one starts; default: the end.',
    tag: 'definitions',
    params: z.object({ topic: name, subscription: name }),
    bodyOptional: true,
    query: z.strictObject({ ifDifferent, from: startAt.prefault('end') }),
    body: subscriptionSchema,
    result: z.object({ created: z.boolean(), updated: z.boolean(), definition: subscriptionShown }),
    handle: async ({ session, params, query, body }) => {
      const result = await session.request('declareSubscription', {
        ...params,
        policy: subscriptionPolicy(body),
        ...query,
      });
      return { ...result, definition: showSubscription(result.definition) };
    },
  }),
  route({
    method: 'delete',
    path: '/topics/{topic}/subscriptions/{subscription}',
    operationId: 'deleteSubscription',
    summary: 'Deletes a subscription. The messages stay as long as the topic keeps them.',
    tag: 'definitions',
    params: z.object({ topic: name, subscription: name }),
    result: z.object({ deleted: z.boolean() }),
    handle: ({ session, params }) => session.request('deleteSubscription', params),
  }),
];
