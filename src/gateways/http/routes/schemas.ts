import { z } from 'zod';
import { Schemas } from '../../schemas.ts';
import { name, route, type Route } from '../route.ts';

export const schemaFields = {
  avro: z.unknown().optional().meta({ description: 'A schema of Avro.' }),
  protobuf: z.string().max(65_536).optional().describe('The text of a .proto file.'),
  descriptors: z.base64().max(65_536).optional().describe('What `protoc --descriptor_set_out` writes.'),
  message: z
    .string()
    .min(1)
    .max(1024)
    .optional()
    .describe('The message type of the bodies, with its package. Left out: the only one that there is.'),
};

/** Leaves out what is undefined. */
export function schemaText<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  // Without those that are undefined, which `exactOptionalPropertyTypes` tells from those that are not there.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

export const schemaRoutes: Route[] = [
  route({
    method: 'get',
    path: '/schemas',
    operationId: 'listSchemas',
    summary: 'How bodies are read for people who look at messages, by topic and queue.',
    tag: 'inspect',
    params: z.object({}),
    result: z.object({ schemas: z.array(z.object({ topic: z.string(), ...schemaFields })) }),
    handle: async ({ session }) => ({ schemas: await new Schemas(session).list() }),
  }),
  route({
    method: 'put',
    path: '/schemas/{topic}',
    operationId: 'putSchema',
    summary:
      'Says how the bodies of a topic or queue are read, also where they died: one of `avro`, `protobuf`, `descriptors`.',
    tag: 'inspect',
    params: z.object({ topic: name }),
    body: z.strictObject(schemaFields),
    result: z.object({ created: z.boolean() }),
    handle: ({ session, params, body }) => new Schemas(session).put({ ...params, ...schemaText(body) }),
  }),
  route({
    method: 'delete',
    path: '/schemas/{topic}',
    operationId: 'deleteSchema',
    summary: 'Forgets how the bodies of a topic or queue are read.',
    tag: 'inspect',
    params: z.object({ topic: name }),
    result: z.object({ deleted: z.boolean() }),
    handle: ({ session, params }) => new Schemas(session).delete(params.topic),
  }),
];
