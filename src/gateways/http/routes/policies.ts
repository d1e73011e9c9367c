import { z } from 'zod';
import { RailheadError } from '../../../core/errors.ts';
import { APPLY_TO, OPERATOR_POLICY_DOCUMENT, Policies, POLICY_DOCUMENT } from '../../policies.ts';
import { KeptVhostFacts, QUEUE_TYPES } from '../../vhost-facts.ts';
import { VHOST_LIMITS, VhostLimits } from '../../vhost-limits.ts';
import { name, route, type Route } from '../route.ts';

const definition = z.record(z.string(), z.union([z.string(), z.number()]));
const shown = z.object({
  name: z.string(),
  pattern: z.string(),
  applyTo: z.enum(APPLY_TO),
  priority: z.int(),
  definition,
});

/** Of users and of the operator: what they differ in is what may be said, and which number counts. */
const KINDS = [
  {
    kind: POLICY_DOCUMENT,
    path: '/policies',
    one: 'Policy',
    all: 'Policies',
    summaries: {
      list: 'The policies for queues and exchanges of AMQP in the namespace.',
      put: 'Sets a policy and applies it. Replaces one of the same name.',
      delete: 'Clears a policy. Queues and exchanges are as if it had not been.',
    },
  },
  {
    kind: OPERATOR_POLICY_DOCUMENT,
    path: '/operator-policies',
    one: 'OperatorPolicy',
    all: 'OperatorPolicies',
    summaries: {
      list: 'The operator policies for queues of AMQP in the namespace.',
      put: 'Sets an operator policy and applies it: over policies, of two numbers the smaller one counts. Replaces one of the same name.',
      delete: 'Clears an operator policy. Queues are as if it had not been.',
    },
  },
] as const;

function routesOf({ kind, path, one, all, summaries }: (typeof KINDS)[number]): Route[] {
  return [
    route({
      method: 'get',
      path,
      operationId: `list${all}`,
      summary: summaries.list,
      tag: 'policies',
      params: z.object({}),
      result: z.object({ policies: z.array(shown) }),
      handle: async ({ session }) => ({ policies: await new Policies(session, kind).list() }),
    }),
    route({
      method: 'put',
      path: `${path}/{policy}`,
      operationId: `put${one}`,
      summary: summaries.put,
      tag: 'policies',
      params: z.object({ policy: name }),
      body: z.strictObject({
        pattern: z.string().max(1024).describe('Which names: characters, . * + ? [classes] (groups) | ^ $.'),
        applyTo: z.enum(APPLY_TO).default('all'),
        priority: z.int().default(0).describe('Of all policies that match one object the highest counts.'),
        definition: definition.describe("What they get, in RabbitMQ's words: message-ttl, max-length, …"),
      }),
      result: z.object({ created: z.boolean() }),
      handle: ({ session, params, body }) => new Policies(session, kind).put({ name: params.policy, ...body }),
    }),
    route({
      method: 'delete',
      path: `${path}/{policy}`,
      operationId: `delete${one}`,
      summary: summaries.delete,
      tag: 'policies',
      params: z.object({ policy: name }),
      result: z.object({ deleted: z.boolean() }),
      handle: ({ session, params }) => new Policies(session, kind).delete(params.policy),
    }),
  ];
}

const limit = z.enum(VHOST_LIMITS);

const limitRoutes: Route[] = [
  route({
    method: 'get',
    path: '/vhost-limits',
    operationId: 'listVhostLimits',
    summary: 'What AMQP clients may have of the namespace, where that is limited.',
    tag: 'policies',
    params: z.object({}),
    result: z.object({ limits: z.partialRecord(limit, z.int()) }),
    handle: async ({ session }) => ({ limits: await new VhostLimits(session).read() }),
  }),
  route({
    method: 'put',
    path: '/vhost-limits/{limit}',
    operationId: 'putVhostLimit',
    summary: 'Limits the connections or queues of AMQP in the namespace: `max-connections`, `max-queues`.',
    tag: 'policies',
    params: z.object({ limit }),
    body: z.strictObject({ value: z.int().min(-1).describe('-1: no limit.') }),
    result: z.object({ created: z.boolean() }),
    handle: ({ session, params, body }) => new VhostLimits(session).put(params.limit, body.value),
  }),
  route({
    method: 'delete',
    path: '/vhost-limits/{limit}',
    operationId: 'deleteVhostLimit',
    summary: 'Takes a limit away.',
    tag: 'policies',
    params: z.object({ limit }),
    result: z.object({ deleted: z.boolean() }),
    handle: async ({ session, params }) => {
      const result = await new VhostLimits(session).delete(params.limit);
      if (result.deleted) return result;
      throw new RailheadError('NOT_FOUND', `${params.limit} is not set in this namespace.`);
    },
  }),
];

const facts = {
  description: z.string().max(1024),
  tags: z.array(z.string().min(1).max(64)).max(16),
  defaultQueueType: z.enum(QUEUE_TYPES),
};

const factRoutes: Route[] = [
  route({
    method: 'get',
    path: '/vhost',
    operationId: 'showVhost',
    summary: 'What the namespace says of itself as a virtual host of AMQP, and of which type its queues are.',
    tag: 'policies',
    params: z.object({}),
    result: z.object(facts),
    handle: async ({ session }) => {
      const { tags, ...rest } = await new KeptVhostFacts(session).read();
      return { ...rest, tags: [...tags] };
    },
  }),
  route({
    method: 'patch',
    path: '/vhost',
    operationId: 'changeVhost',
    summary:
      'Changes what is given. Queues that AMQP clients declare without a type are of the default type from then on.',
    tag: 'policies',
    params: z.object({}),
    body: z.strictObject(facts).partial(),
    result: z.object(facts),
    handle: async ({ session, body }) => {
      const { tags, ...rest } = await new KeptVhostFacts(session).put(body);
      return { ...rest, tags: [...tags] };
    },
  }),
];

export const policyRoutes: Route[] = [...KINDS.flatMap(routesOf), ...limitRoutes, ...factRoutes];
