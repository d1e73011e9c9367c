import { z } from 'zod';
import { SYSTEM_NAMESPACE } from '../../../core/access.ts';
import { authorize, mayUse, type Principal, type Resource, isAuthorized } from '../../../core/auth.ts';
import { RailheadError } from '../../../core/errors.ts';
import { isoTime } from '../messages.ts';
import { queryInt, route, type Route } from '../route.ts';
import type { ServerFacts } from '../server-facts.ts';

const SERVER: Resource = { namespace: SYSTEM_NAMESPACE, kind: 'broker', name: '' };

/** Whether somebody may do everything, in every namespace. */
export function mayKnowServer(principal: Principal): boolean {
  return isAuthorized(principal, 'admin', SERVER);
}

/** @throws FORBIDDEN for whoever may not do everything */
export function known(facts: ServerFacts | undefined, principal: Principal): ServerFacts {
  authorize(principal, 'admin', SERVER);
  return there(facts);
}

/** @throws NOT_SUPPORTED */
export function there(facts: ServerFacts | undefined): ServerFacts {
  if (facts !== undefined) return facts;
  throw new RailheadError('NOT_SUPPORTED', 'This broker is part of a test and has no configuration.');
}

const segment = z.object({ name: z.string(), bytes: z.int(), aliveBytes: z.int() });

/** Of the server and not of a namespace. All but the first take the right `admin` in every namespace. */
export const serverRoutes: Route[] = [
  route({
    method: 'get',
    path: '/namespaces',
    operationId: 'listNamespaces',
    summary: 'The namespaces in which there is anything and in which you may do anything, and `default`.',
    tag: 'server',
    params: z.object({}),
    result: z.object({ namespaces: z.array(z.string()) }),
    handle: ({ facts, principal }) => {
      const all = new Set(['default', ...there(facts).namespaces()]);
      all.delete(SYSTEM_NAMESPACE);
      const namespaces = [...all].filter((namespace) => mayUse(principal, namespace)).sort();
      return Promise.resolve({ namespaces });
    },
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/config',
    operationId: 'showConfig',
    summary: 'The configuration in force, with where each value comes from. Secrets are not shown.',
    tag: 'server',
    params: z.object({}),
    result: z.object({
      settings: z.array(
        z.object({
          path: z.string(),
          value: z.string(),
          from: z.string().describe('default, set, a file, an environment variable, a flag.'),
          summary: z.string(),
        }),
      ),
    }),
    handle: async ({ facts, principal }) => ({ settings: known(facts, principal).settings() }),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/doctor',
    operationId: 'doctor',
    summary: 'What should be changed about the broker and its configuration, the worst first.',
    tag: 'server',
    params: z.object({}),
    result: z.object({
      findings: z.array(
        z.object({
          check: z.string(),
          level: z.enum(['error', 'warning', 'hint']),
          says: z.string(),
          fix: z.string(),
        }),
      ),
    }),
    handle: async ({ facts, principal }) => ({ findings: await known(facts, principal).doctor() }),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/journal',
    operationId: 'showJournal',
    summary: 'Where messages lie: each segment, and how much of it somebody still needs.',
    tag: 'server',
    params: z.object({}),
    result: z.object({
      log: z
        .array(segment)
        .describe('The commit log, the oldest first. What is alive of it moves before it is reused.'),
      cold: z.array(segment).describe('What outlived it. One that is mostly dead is written anew.'),
    }),
    handle: ({ facts, principal }) => known(facts, principal).segments(),
  }),
  route({
    namespace: SYSTEM_NAMESPACE,
    method: 'get',
    path: '/connections',
    operationId: 'listConnections',
    summary: 'Who is connected, over every protocol. At most `limit`, the oldest first.',
    tag: 'server',
    params: z.object({}),
    query: z.strictObject({ limit: queryInt(10_000).optional() }),
    result: z.object({
      total: z.int(),
      connections: z.array(
        z.object({
          protocol: z.string(),
          address: z.string(),
          user: z.string().nullable().describe('Null where each request logs in for itself.'),
          since: z.iso.datetime(),
          secure: z.boolean(),
          receivedBytes: z.int(),
          sentBytes: z.int(),
        }),
      ),
    }),
    handle: async ({ facts, principal, query: { limit } }) => {
      const all = known(facts, principal).connections();
      const connections = all
        .slice(0, limit ?? 1_000)
        .map(({ since, user, ...rest }) => ({ ...rest, user: user ?? null, since: isoTime(since) }));
      return { total: all.length, connections };
    },
  }),
];
