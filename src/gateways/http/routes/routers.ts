import { z } from 'zod';
import { ROUTER_TYPES } from '../../../core/policy.ts';
import type { Headers } from '../../../core/records.ts';
import type { BindingDefinition } from '../../../core/definitions.ts';
import { messageFields } from '../messages.ts';
import { filterSchema } from '../options.ts';
import { name, queryFlag, route, type Route } from '../route.ts';

export const bindingSchema = z
  .strictObject({
    to: z.union([z.strictObject({ topic: name }), z.strictObject({ router: name })]),
    key: z
      .string()
      .max(1024)
      .default('')
      .describe('Routing key (direct), or a pattern with * and # between dots (topic).'),
    match: z
      .strictObject({
        headers: messageFields.headers.unwrap().default({}).describe('Headers that must be equal.'),
        present: z.array(z.string().min(1)).optional().describe('Names of headers that must be there.'),
        mode: z.enum(['all', 'any']).default('all'),
      })
      .transform(({ present, ...match }) => (present === undefined ? match : { ...match, present }))
      .nullable()
      .default(null)
      .describe('For headers routers.'),
    filter: filterSchema.nullable().default(null).describe("Checked after the router's own match."),
    attributes: z.record(z.string(), z.string()).optional().describe('Part of what tells two bindings apart.'),
  })
  .transform(({ attributes, ...binding }) => (attributes === undefined ? binding : { ...binding, attributes }));
const type = z.enum(ROUTER_TYPES);
const hashHeader = name.nullable();
const shown = z.object({
  name: z.string(),
  type,
  alternate: z.string().nullable(),
  hashHeader: hashHeader.optional(),
  bindings: z.array(z.record(z.string(), z.unknown())),
});

const params = z.object({ router: name });

function showBinding(binding: BindingDefinition): Record<string, unknown> & { match: { headers: Headers } | null } {
  return { ...binding };
}

export const routerRoutes: Route[] = [
  route({
    method: 'get',
    path: '/routers',
    operationId: 'listRouters',
    summary: 'All routers with their bindings.',
    tag: 'routers',
    params: z.object({}),
    result: z.object({ routers: z.array(shown) }),
    handle: async ({ session }) => {
      const { routers } = await session.request('listRouters', {});
      return { routers: routers.map((router) => ({ ...router, bindings: router.bindings.map(showBinding) })) };
    },
  }),
  route({
    method: 'get',
    path: '/routers/{router}',
    operationId: 'describeRouter',
    summary: 'A router with its bindings.',
    tag: 'routers',
    params,
    result: shown,
    handle: async ({ session, params: { router } }) => {
      const found = await session.request('describeRouter', { name: router });
      return { ...found, bindings: found.bindings.map(showBinding) };
    },
  }),
  route({
    method: 'post',
    path: '/routers/{router}/trace',
    operationId: 'traceRoute',
    summary: 'Where a message would go that is published to the router now. Nothing is published.',
    tag: 'routers',
    params,
    bodyOptional: true,
    body: z.strictObject({
      routingKey: z.string().max(1024).default(''),
      headers: messageFields.headers,
      key: messageFields.key,
      contentType: messageFields.contentType,
    }),
    result: z.object({
      topics: z.array(z.string()).describe('The topics and queues that it would reach.'),
      missing: z.array(z.string()).describe('Named by a binding, and not there.'),
      routers: z.array(z.string()).describe('The routers that it would go through.'),
    }),
    handle: ({ session, params: { router }, body: { routingKey, headers, key, contentType } }) =>
      session.request('traceRoute', {
        router,
        key: routingKey,
        ...(headers !== undefined && { headers }),
        ...(key !== undefined && { messageKey: key }),
        ...(contentType !== undefined && { contentType }),
      }),
  }),
  route({
    method: 'put',
    path: '/routers/{router}',
    operationId: 'declareRouter',
    summary: 'Declares a router.',
    tag: 'routers',
    params,
    body: z.strictObject({
      type,
      alternate: name.nullable().default(null).describe('Where a publish goes that no binding takes.'),
      hashHeader: hashHeader
        .default(null)
        .describe('Of a hash router: the header whose value decides, not the routing key.'),
    }),
    result: z.object({ created: z.boolean() }),
    handle: ({ session, params: { router }, body }) => session.request('declareRouter', { name: router, ...body }),
  }),
  route({
    method: 'delete',
    path: '/routers/{router}',
    operationId: 'deleteRouter',
    summary: 'Deletes a router with its bindings.',
    tag: 'routers',
    params,
    query: z.strictObject({ ifUnused: queryFlag.optional() }),
    result: z.object({ deleted: z.boolean() }),
    handle: ({ session, params: { router }, query: { ifUnused } }) =>
      session.request('deleteRouter', { name: router, ...(ifUnused && { ifUnused }) }),
  }),
  route({
    method: 'post',
    path: '/routers/{router}/bind',
    operationId: 'bind',
    summary: 'Adds a binding. One that exists is not added again.',
    tag: 'routers',
    params,
    body: bindingSchema,
    result: z.object({ created: z.boolean() }),
    handle: ({ session, params: { router }, body }) => session.request('bind', { router, binding: body }),
  }),
  route({
    method: 'post',
    path: '/routers/{router}/unbind',
    operationId: 'unbind',
    summary: 'Removes the binding that is exactly like this.',
    tag: 'routers',
    params,
    body: bindingSchema,
    result: z.object({ removed: z.boolean() }),
    handle: ({ session, params: { router }, body }) => session.request('unbind', { router, binding: body }),
  }),
];
