import { z } from 'zod';
import { APPLY_TO, Policies } from '../../policies.ts';
import { name, route, type Route } from '../route.ts';

const definition = z.record(z.string(), z.union([z.string(), z.number()]));
const shown = z.object({
  name: z.string(),
  pattern: z.string(),
  applyTo: z.enum(APPLY_TO),
  priority: z.int(),
  definition,
});

export const policyRoutes: Route[] = [
  route({
    method: 'get',
    path: '/policies',
    operationId: 'listPolicies',
    summary: 'The policies for queues and exchanges of AMQP in the namespace.',
    tag: 'policies',
    params: z.object({}),
    result: z.object({ policies: z.array(shown) }),
    handle: async ({ session }) => ({ policies: await new Policies(session).list() }),
  }),
  route({
    method: 'put',
    path: '/policies/{policy}',
    operationId: 'putPolicy',
    summary: 'Sets a policy and applies it. Replaces one of the same name.',
    tag: 'policies',
    params: z.object({ policy: name }),
    body: z.strictObject({
      pattern: z.string().max(1024).describe('Which names: characters, . * + ? [classes] (groups) | ^ $.'),
      applyTo: z.enum(APPLY_TO).default('all'),
      priority: z.int().default(0).describe('Of all policies that match one object the highest counts.'),
      definition: definition.describe("What they get, in RabbitMQ's words: message-ttl, max-length, …"),
    }),
    result: z.object({ created: z.boolean() }),
    handle: ({ session, params, body }) => new Policies(session).put({ name: params.policy, ...body }),
  }),
  route({
    method: 'delete',
    path: '/policies/{policy}',
    operationId: 'deletePolicy',
    summary: 'Clears a policy. Queues and exchanges are as if it had not been.',
    tag: 'policies',
    params: z.object({ policy: name }),
    result: z.object({ deleted: z.boolean() }),
    handle: ({ session, params }) => new Policies(session).delete(params.policy),
  }),
];
