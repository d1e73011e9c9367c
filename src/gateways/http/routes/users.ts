import { z } from 'zod';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../../core/access.ts';
import { RailheadError } from '../../../core/errors.ts';
import { storedPassword } from '../../../core/passwords.ts';
import { name, route, type Route } from '../route.ts';

const user = z.string().min(1).max(128);
const pattern = z.string().max(1024).describe('A pattern of names: characters, . * + ? [classes] (groups) | ^ $.');
const patterns = {
  configure: pattern.describe('Names of what the user may declare and delete.'),
  write: pattern.describe('Names of what it may publish to and bind to; amq.default for queues by their name.'),
  read: pattern.describe('Names of what it may consume and bind from.'),
};

/** All of them take the right `admin` in every namespace. */
export const userRoutes: Route[] = [
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/users',
    operationId: 'listUsers',
    summary: 'The users that are stored with the broker. Those of the config file are not among them.',
    tag: 'users',
    params: z.object({}),
    result: z.object({ users: z.array(z.object({ name: z.string(), tags: z.array(z.string()) })) }),
    handle: async ({ session }) => {
      const users = await new StoredUsers(session).list();
      return { users: users.map(({ name: id, tags }) => ({ name: id, tags: [...tags] })) };
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'put',
    path: '/users/{user}',
    operationId: 'putUser',
    summary: 'Adds a user, or changes its password and tags.',
    tag: 'users',
    params: z.object({ user }),
    body: z.strictObject({
      password: z.string().min(8).max(1024),
      tags: z
        .array(z.string().min(1).max(64))
        .max(16)
        .default([])
        .describe('administrator, monitoring, policymaker, management.'),
    }),
    result: z.object({ created: z.boolean() }),
    handle: async ({ session, params, body: { password, tags } }) =>
      new StoredUsers(session).put({ name: params.user, password: await storedPassword(password), tags }),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'delete',
    path: '/users/{user}',
    operationId: 'deleteUser',
    summary: 'Deletes a stored user and what it was permitted.',
    tag: 'users',
    params: z.object({ user }),
    result: z.object({ deleted: z.boolean() }),
    handle: ({ session, params }) => new StoredUsers(session).delete(params.user),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/permissions',
    operationId: 'listPermissions',
    summary: 'What stored users may do, in all namespaces.',
    tag: 'users',
    params: z.object({}),
    result: z.object({
      permissions: z.array(
        z.object({
          user: z.string(),
          namespace: z.string(),
          configure: z.string(),
          write: z.string(),
          read: z.string(),
        }),
      ),
    }),
    handle: async ({ session }) => ({ permissions: await new StoredUsers(session).permissions() }),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'put',
    path: '/permissions/{user}/{namespace}',
    operationId: 'putPermission',
    summary: 'Says what a stored user may do in a namespace, in place of what was said before.',
    tag: 'users',
    params: z.object({ user, namespace: name }),
    body: z.strictObject(patterns),
    result: z.object({ created: z.boolean() }),
    handle: ({ session, params, body }) => new StoredUsers(session).setPermission(params.user, params.namespace, body),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'delete',
    path: '/permissions/{user}/{namespace}',
    operationId: 'deletePermission',
    summary: 'Takes away what a stored user may do in a namespace.',
    tag: 'users',
    params: z.object({ user, namespace: name }),
    result: z.object({ deleted: z.boolean() }),
    handle: async ({ session, params }) => {
      const result = await new StoredUsers(session).clearPermission(params.user, params.namespace);
      if (result.deleted) return result;
      throw new RailheadError('NOT_FOUND', `${JSON.stringify(params.user)} has no permission there.`);
    },
  }),
];
