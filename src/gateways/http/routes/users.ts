import { z } from 'zod';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../../core/access.ts';
import { USER_LIMITS } from '../../../core/auth.ts';
import { RailheadError } from '../../../core/errors.ts';
import { storedPassword } from '../../../core/passwords.ts';
import { ROLES, RULE_VERBS } from '../../../core/roles.ts';
import { isoTime } from '../messages.ts';
import { name, route, type Route } from '../route.ts';

const user = z.string().min(1).max(128);
const pattern = z.string().max(1024).describe('A pattern of names: characters, . * + ? [classes] (groups) | ^ $.');
const keys = z.string().max(1024);
const role = z.enum(ROLES);
const verb = z.enum(RULE_VERBS);
const limits = z.partialRecord(z.enum(USER_LIMITS), z.int().min(-1));
const SCRAM = ['sha256', 'sha512'] as const;
const scram = z.enum(SCRAM);
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
    result: z.object({
      users: z.array(
        z.object({
          name: z.string(),
          role: role.nullable(),
          tags: z.array(z.string()),
          password: z.boolean(),
          scram: z.array(scram).describe('With which of them the user can log in by SCRAM.'),
          limits,
        }),
      ),
    }),
    handle: async ({ session }) => {
      const users = await new StoredUsers(session).list();
      return {
        users: users.map((each) => ({
          name: each.name,
          role: each.role,
          tags: [...each.tags],
          password: each.password !== null,
          scram: SCRAM.filter((algorithm) => each.password?.scram?.[algorithm] !== undefined),
          limits: { ...each.limits },
        })),
      };
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'put',
    path: '/users/{user}',
    operationId: 'putUser',
    summary: 'Adds a user, or changes what is given: its password, role, tags, limits.',
    tag: 'users',
    params: z.object({ user }),
    body: z.strictObject({
      password: z.string().min(8).max(1024).optional(),
      role: role.nullable().optional().describe('In all namespaces; null takes it away.'),
      tags: z
        .array(z.string().min(1).max(64))
        .max(16)
        .optional()
        .describe('administrator, monitoring, policymaker, management.'),
      limits: limits.optional().describe('Of AMQP, each by itself; -1 takes one away.'),
    }),
    result: z.object({ created: z.boolean() }),
    handle: async ({ session, params, body: { password, role: is, tags, limits: most } }) =>
      new StoredUsers(session).put({
        name: params.user,
        ...(password !== undefined && { password: await storedPassword(password) }),
        ...(is !== undefined && { role: is }),
        ...(tags !== undefined && { tags }),
        ...(most !== undefined && { limits: most }),
      }),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'delete',
    path: '/users/{user}/scram/{algorithm}',
    operationId: 'removeScramCredential',
    summary:
      'Takes what SCRAM needs of the password away. With the last one nobody logs in with the password any more; another password makes both anew.',
    tag: 'users',
    params: z.object({ user, algorithm: scram }),
    result: z.object({ deleted: z.boolean() }),
    handle: async ({ session, params }) => {
      await new StoredUsers(session).removeScram(params.user, params.algorithm);
      return { deleted: true };
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/users/{user}/keys',
    operationId: 'listAccessKeys',
    summary: 'The access keys of a user, without their secrets.',
    tag: 'users',
    params: z.object({ user }),
    result: z.object({ keys: z.array(z.object({ id: z.string(), createdAt: z.iso.datetime() })) }),
    handle: async ({ session, params }) => {
      const keys = (await new StoredUsers(session).accessKeys()).filter((key) => key.user === params.user);
      return { keys: keys.map(({ id, createdAt }) => ({ id, createdAt: isoTime(createdAt) })) };
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'post',
    path: '/users/{user}/keys',
    operationId: 'addAccessKey',
    summary: 'Makes an access key. Its secret is shown this once; `token` is both as a bearer token.',
    tag: 'users',
    params: z.object({ user }),
    result: z.object({ id: z.string(), secret: z.string(), token: z.string() }),
    handle: async ({ session, params, clock }) => {
      const { id, secret } = await new StoredUsers(session).addAccessKey(params.user, clock.now());
      return { id, secret, token: `${id}.${secret}` };
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'delete',
    path: '/users/{user}/keys/{key}',
    operationId: 'removeAccessKey',
    summary: 'Removes an access key, and ends the connections that showed it.',
    tag: 'users',
    params: z.object({ user, key: z.string().min(1).max(128) }),
    result: z.object({ deleted: z.boolean() }),
    handle: async ({ session, params }) => {
      const users = new StoredUsers(session);
      const own = (await users.accessKeys()).some(({ id, user: of }) => id === params.key && of === params.user);
      if (own) return users.removeAccessKey(params.key);
      throw new RailheadError('NOT_FOUND', `${JSON.stringify(params.user)} has no such access key.`);
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/rules',
    operationId: 'listRules',
    summary: 'What stored users are allowed by rules, in all namespaces.',
    tag: 'users',
    params: z.object({}),
    result: z.object({
      rules: z.array(z.object({ user: z.string(), namespace: z.string(), pattern: z.string(), verbs: z.array(verb) })),
    }),
    handle: async ({ session }) => {
      const rules = await new StoredUsers(session).rules();
      return { rules: rules.map((rule) => ({ ...rule, verbs: [...rule.verbs] })) };
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'put',
    path: '/rules/{user}/{namespace}/{pattern}',
    operationId: 'putRule',
    summary: 'Allows a stored user something with a name, or with all that begin so: `orders*`.',
    tag: 'users',
    params: z.object({ user, namespace: name, pattern: name }),
    body: z.strictObject({ verbs: z.array(verb).min(1) }),
    result: z.object({ created: z.boolean() }),
    handle: ({ session, params, body }) => new StoredUsers(session).allow({ ...params, ...body }),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'delete',
    path: '/rules/{user}/{namespace}/{pattern}',
    operationId: 'deleteRule',
    summary: 'Takes a rule away.',
    tag: 'users',
    params: z.object({ user, namespace: name, pattern: name }),
    result: z.object({ deleted: z.boolean() }),
    handle: async ({ session, params }) => {
      const result = await new StoredUsers(session).disallow(params);
      if (result.deleted) return result;
      throw new RailheadError('NOT_FOUND', `${JSON.stringify(params.user)} has no such rule.`);
    },
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
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/topic-permissions',
    operationId: 'listTopicPermissions',
    summary: 'By which routing keys stored users may publish to exchanges of type topic, and bind to them.',
    tag: 'users',
    params: z.object({}),
    result: z.object({
      permissions: z.array(
        z.object({
          user: z.string(),
          namespace: z.string(),
          exchange: z.string(),
          write: z.string(),
          read: z.string(),
        }),
      ),
    }),
    handle: async ({ session }) => {
      const permissions = await new StoredUsers(session).keyPermissions();
      return { permissions: permissions.map(({ router, ...rest }) => ({ ...rest, exchange: router })) };
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'put',
    path: '/topic-permissions/{user}/{namespace}/{exchange}',
    operationId: 'putTopicPermission',
    summary: 'Says by which routing keys a stored user may publish to an exchange of type topic, and bind to it.',
    tag: 'users',
    params: z.object({ user, namespace: name, exchange: name }),
    body: z.strictObject({
      write: keys.describe('Routing keys to publish with; {username} and {vhost} stand for these.'),
      read: keys.describe('Routing keys to bind by.'),
    }),
    result: z.object({ created: z.boolean() }),
    handle: ({ session, params: { exchange, ...of }, body }) =>
      new StoredUsers(session).setKeyPermission({ ...of, router: exchange, ...body }),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'delete',
    path: '/topic-permissions/{user}/{namespace}/{exchange}',
    operationId: 'deleteTopicPermission',
    summary: 'Takes a topic permission away: any routing key goes, where the user may publish or bind.',
    tag: 'users',
    params: z.object({ user, namespace: name, exchange: name }),
    result: z.object({ deleted: z.boolean() }),
    handle: async ({ session, params: { exchange, ...of } }) => {
      const result = await new StoredUsers(session).clearKeyPermission({ ...of, router: exchange });
      if (result.deleted) return result;
      throw new RailheadError('NOT_FOUND', `${JSON.stringify(of.user)} has no topic permission there.`);
    },
  }),
];
