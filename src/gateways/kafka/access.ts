import { type AclKind, type AclOperation, CLUSTER_NAME } from '../../core/acl.ts';
import { ACL_NAMESPACE, type Action, isGranted, type Resource } from '../../core/auth.ts';
import type { Session } from '../../core/session.ts';
import type { Client } from './client.ts';
import { type ErrorName, KafkaError } from './errors.ts';

/** Kafka's topics, groups and transactional ids have names without a tenant. */
export const NAMESPACE = ACL_NAMESPACE;

const CLUSTER = '';

const RESOURCE: Record<AclKind, Resource['kind']> = {
  topic: 'topic',
  group: 'cursor',
  transactionalId: 'producer',
  cluster: 'broker',
};

/** For each operation the rights of users by rules, roles and permissions of which one is enough; who has an ACL needs none. */
const ACTIONS: Record<AclKind, { readonly [O in AclOperation]?: readonly Action[] }> = {
  topic: {
    read: ['consume'],
    write: ['publish'],
    create: ['configure'],
    delete: ['configure'],
    alter: ['configure'],
    describe: ['inspect', 'publish', 'consume', 'configure'],
    describeConfigs: ['inspect'],
    alterConfigs: ['configure'],
  },
  group: {
    read: ['consume'],
    delete: ['consume'],
    describe: ['inspect', 'consume'],
    describeConfigs: ['inspect'],
    alterConfigs: ['configure'],
  },
  transactionalId: { write: ['publish'], describe: ['inspect', 'publish'] },
  // A topic is created with the right on its name; with an ACL for the cluster it may have any.
  cluster: { describe: ['inspect'], alter: ['admin'], describeConfigs: ['inspect'], alterConfigs: ['admin'] },
};

const REFUSED: Record<AclKind, ErrorName> = {
  topic: 'TOPIC_AUTHORIZATION_FAILED',
  group: 'GROUP_AUTHORIZATION_FAILED',
  transactionalId: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  cluster: 'CLUSTER_AUTHORIZATION_FAILED',
};

/** Whether a client may do this, by an ACL or, where none says anything, by what else it has. */
export function allowed(
  { principal }: Pick<Client, 'principal'>,
  operation: AclOperation,
  kind: AclKind,
  name: string = CLUSTER,
  actions: readonly Action[] = ACTIONS[kind][operation] ?? [],
): boolean {
  const verdict = principal.acls?.say(operation, kind, kind === 'cluster' ? CLUSTER_NAME : name) ?? 'none';
  if (verdict !== 'none') return verdict === 'allow';
  const resource = { namespace: NAMESPACE, kind: RESOURCE[kind], name };
  return actions.some((action) => isGranted(principal, action, resource));
}

/** @throws KafkaError */
export function demand(
  client: Pick<Client, 'principal'>,
  operation: AclOperation,
  kind: AclKind,
  name?: string,
  actions?: readonly Action[],
): void {
  if (allowed(client, operation, kind, name, actions)) return;
  const what = name === undefined ? 'the cluster' : `the ${kind} ${JSON.stringify(name)}`;
  throw new KafkaError(REFUSED[kind], `Not allowed to ${operation} ${what}.`);
}

/**
 * The session in which it is done, once it is allowed here: the engine knows fewer operations than Kafka, and would ask
 * for more. @throws KafkaError
 */
export function onceAllowed(
  client: Client,
  operation: AclOperation,
  kind: AclKind,
  name?: string,
  actions?: readonly Action[],
): Promise<Session> {
  demand(client, operation, kind, name, actions);
  return client.shared.own();
}

/** Who may use a topic in any way may know that it is there. */
export function maySee(client: Pick<Client, 'principal'>, topic: string): boolean {
  return allowed(client, 'describe', 'topic', topic);
}

/** A right on the name, or by an ACL on any. */
export function mayCreate(client: Pick<Client, 'principal'>, topic: string): boolean {
  const byName = client.principal.acls?.say('create', 'topic', topic);
  if (byName === 'deny') return false;
  return allowed(client, 'create', 'cluster') || allowed(client, 'create', 'topic', topic);
}

/** A producer without a name has to be one that may publish to something. */
export function mayPublishAnywhere({ principal }: Pick<Client, 'principal'>): boolean {
  const { acls, grants, permissions = [] } = principal;
  if (acls?.say('idempotentWrite', 'cluster', CLUSTER_NAME) === 'allow') return true;
  const verdict = acls?.sayOfAny('write', 'topic') ?? 'none';
  if (verdict !== 'none') return verdict === 'allow';
  const isHere = (namespace: string): boolean =>
    namespace === NAMESPACE || (namespace.endsWith('*') && NAMESPACE.startsWith(namespace.slice(0, -1)));
  return (
    grants.some(({ namespace, actions }) => isHere(namespace) && (actions === 'all' || actions.includes('publish'))) ||
    permissions.some(({ namespace }) => isHere(namespace))
  );
}

/** Bits of what a client may do with a resource, as Kafka numbers operations (KIP-430). */
const OPERATIONS: readonly [bit: number, operation: AclOperation][] = [
  [3, 'read'],
  [4, 'write'],
  [5, 'create'],
  [6, 'delete'],
  [7, 'alter'],
  [8, 'describe'],
  [9, 'clusterAction'],
  [10, 'describeConfigs'],
  [11, 'alterConfigs'],
  [12, 'idempotentWrite'],
];

/** Which of them there are for a kind of resource. */
const OPERATIONS_OF: Record<AclKind, readonly AclOperation[]> = {
  topic: ['read', 'write', 'create', 'delete', 'alter', 'describe', 'describeConfigs', 'alterConfigs'],
  group: ['read', 'delete', 'describe', 'describeConfigs', 'alterConfigs'],
  transactionalId: ['write', 'describe'],
  cluster: ['create', 'alter', 'describe', 'clusterAction', 'describeConfigs', 'alterConfigs', 'idempotentWrite'],
};

export function authorizedOperations(client: Client, kind: AclKind, name?: string): number {
  let bits = 0;
  for (const [bit, operation] of OPERATIONS)
    if (OPERATIONS_OF[kind].includes(operation) && allowed(client, operation, kind, name)) bits |= 1 << bit;
  return bits;
}
