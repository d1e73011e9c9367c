import { type Acl, CLUSTER_NAME } from '../../core/acl.ts';
import { RailheadError } from '../../core/errors.ts';
import { allowed } from './access.ts';
import type { Handlers } from './client.ts';
import { asKafkaError, ERROR, KafkaError } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { createAcls, deleteAcls, describeAcls } from './messages/acls.ts';

type Creation = RequestOf<typeof createAcls>['creations'][number];
type Filter = RequestOf<typeof describeAcls>;
type Matching = ResponseOf<typeof deleteAcls>['filterResults'][number];
type Described = ResponseOf<typeof describeAcls>['resources'];

const ANY = 1;
const MATCH = 2;
const NUMBER = {
  kind: { topic: 2, group: 3, cluster: 4, transactionalId: 5 },
  pattern: { literal: 3, prefixed: 4 },
  operation: {
    all: 2,
    read: 3,
    write: 4,
    create: 5,
    delete: 6,
    alter: 7,
    describe: 8,
    clusterAction: 9,
    describeConfigs: 10,
    alterConfigs: 11,
    idempotentWrite: 12,
  },
  permission: { deny: 2, allow: 3 },
} as const satisfies { readonly [P in 'kind' | 'pattern' | 'operation' | 'permission']: Record<Acl[P], number> };

const USER = 'User:';
const EVERY_HOST = '*';
const NOT_ALLOWED = { errorCode: ERROR.CLUSTER_AUTHORIZATION_FAILED, errorMessage: 'Not allowed.' };

/** ACLs are kept with the stored users, and count wherever these log in. */
export const aclAdmin: Handlers<'describeAcls' | 'createAcls' | 'deleteAcls'> = {
  async describeAcls(client, request) {
    if (!allowed(client, 'describe', 'cluster', undefined, ['admin'])) return { ...NOT_ALLOWED, resources: [] };
    try {
      const matches = matcherOf(request);
      const found = (await (await client.shared.users()).acls()).filter(matches);
      return { errorCode: ERROR.NONE, errorMessage: null, resources: byResource(found) };
    } catch (error) {
      const { code: errorCode, message: errorMessage } = asKafkaError(error, 'cluster');
      return { errorCode, errorMessage, resources: [] };
    }
  },

  async createAcls(client, { creations }) {
    if (!allowed(client, 'alter', 'cluster')) return { results: creations.map(() => NOT_ALLOWED) };
    const users = await client.shared.users();
    const results: { errorCode: number; errorMessage: string | null }[] = [];
    for (const creation of creations) {
      await client.shared.turns.begin();
      try {
        await users.addAcl(aclOf(creation));
        results.push({ errorCode: ERROR.NONE, errorMessage: null });
      } catch (error) {
        const { code: errorCode, message: errorMessage } = known(error);
        results.push({ errorCode, errorMessage });
      }
    }
    return { results };
  },

  async deleteAcls(client, { filters }) {
    if (!allowed(client, 'alter', 'cluster'))
      return { filterResults: filters.map(() => ({ ...NOT_ALLOWED, matchingAcls: [] })) };
    const users = await client.shared.users();
    const filterResults: Matching[] = [];
    // As in Kafka: what two filters match is told for both.
    const before = await users.acls();
    const removed = new Set<Acl>();
    for (const filter of filters) {
      await client.shared.turns.begin();
      try {
        const found = before.filter(matcherOf(filter));
        for (const acl of found) {
          if (!removed.has(acl)) await users.removeAcl(acl);
          removed.add(acl);
        }
        const matchingAcls = found.map((acl) => ({
          errorCode: ERROR.NONE,
          errorMessage: null,
          ...numbered(acl),
          ...resourceOf(acl),
        }));
        filterResults.push({ errorCode: ERROR.NONE, errorMessage: null, matchingAcls });
      } catch (error) {
        const { code: errorCode, message: errorMessage } = known(error);
        filterResults.push({ errorCode, errorMessage, matchingAcls: [] });
      }
    }
    return { filterResults };
  },
};

function known(error: unknown): KafkaError {
  // A user that is not stored, too many: what was asked for cannot be.
  return RailheadError.is(error, 'NOT_FOUND') || RailheadError.is(error, 'TOO_LARGE')
    ? new KafkaError('INVALID_REQUEST', error.message)
    : asKafkaError(error, 'cluster');
}

function numbered({ user, operation, permission }: Acl) {
  return {
    principal: `${USER}${user}`,
    host: EVERY_HOST,
    operation: NUMBER.operation[operation],
    permissionType: NUMBER.permission[permission],
  };
}

function resourceOf({ kind, name, pattern }: Acl) {
  return { resourceType: NUMBER.kind[kind], resourceName: name, patternType: NUMBER.pattern[pattern] };
}

function byResource(acls: readonly Acl[]): Described {
  const groups = Map.groupBy(acls, ({ kind, name, pattern }) => JSON.stringify([kind, name, pattern]));
  return [...groups.values()].flatMap((own) => {
    const [first] = own;
    return first === undefined ? [] : [{ ...resourceOf(first), acls: own.map(numbered) }];
  });
}

/** @throws KafkaError for what cannot be kept here, or means nothing */
function aclOf(asked: Creation): Acl {
  const { resourceName: name, principal, host } = asked;
  const kind = named(NUMBER.kind, asked.resourceType, 'kind of resource');
  if (!principal.startsWith(USER)) throw refusal(`The principal is ${JSON.stringify(principal)}; write User:NAME.`);
  if (host !== EVERY_HOST) throw refusal('An ACL is for every host (*): where somebody comes from counts for nothing.');
  if (kind === 'cluster' && name !== CLUSTER_NAME) throw refusal(`The cluster is named ${CLUSTER_NAME}.`);
  return {
    user: principal.slice(USER.length),
    kind,
    pattern: named(NUMBER.pattern, asked.resourcePatternType, 'pattern type'),
    name,
    operation: named(NUMBER.operation, asked.operation, 'operation'),
    permission: named(NUMBER.permission, asked.permissionType, 'permission'),
  };
}

function refusal(why: string): KafkaError {
  return new KafkaError('INVALID_REQUEST', why);
}

/** @throws KafkaError */
function named<N extends string>(numbers: Readonly<Record<N, number>>, number: number, what: string): N {
  for (const name in numbers) if (numbers[name] === number) return name;
  throw refusal(`The ${what} ${number} is not known here.`);
}

/** @throws KafkaError */
function matcherOf(filter: Filter): (acl: Acl) => boolean {
  const { resourceNameFilter: name, patternTypeFilter: pattern, principalFilter, hostFilter } = filter;
  const kind = filter.resourceTypeFilter === ANY ? null : anyOf(NUMBER.kind, filter.resourceTypeFilter);
  const operation = filter.operation === ANY ? null : named(NUMBER.operation, filter.operation, 'operation');
  const permission = filter.permissionType === ANY ? null : named(NUMBER.permission, filter.permissionType, 'type');
  const patternName = pattern === ANY || pattern === MATCH ? null : named(NUMBER.pattern, pattern, 'pattern type');
  const hasName = (acl: Acl): boolean => name === null || (pattern === MATCH ? isAbout(acl, name) : acl.name === name);
  return (acl) =>
    (kind === null || acl.kind === kind) &&
    hasName(acl) &&
    (patternName === null || acl.pattern === patternName) &&
    (principalFilter === null || principalFilter === `${USER}${acl.user}`) &&
    (hostFilter === null || hostFilter === EVERY_HOST) &&
    (operation === null || acl.operation === operation) &&
    (permission === null || acl.permission === permission);
}

/** A kind that is not known here has no ACLs: delegation tokens, users. */
function anyOf<N extends string>(numbers: Readonly<Record<N, number>>, number: number): N | undefined {
  for (const name in numbers) if (numbers[name] === number) return name;
  if (number < ANY) throw refusal(`The kind of resource ${number} is not known here.`);
  return undefined;
}

function isAbout({ pattern, name }: Acl, resource: string): boolean {
  return pattern === 'prefixed' ? resource.startsWith(name) : name === resource || name === '*';
}
