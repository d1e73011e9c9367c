import { type AclKind, type AclOperation, type Acls, NO_ACLS, type Verdict } from './acl.ts';
import { RailheadError } from './errors.ts';
import type { NamePattern } from './name-pattern.ts';
import type { ScramAlgorithm, ScramVerifier } from './scram.ts';

/** What may be asked of a resource. Every operation of a session maps to exactly one. */
export type Action =
  /** create, change and delete topics, queues, subscriptions, routers, bindings, schedules */
  | 'configure'
  /** publish, also through a router, also by redrive; claim a producer and its transactions */
  | 'publish'
  /** consume, settle, peek, read by offset, commit cursors */
  | 'consume'
  /** definitions, counts */
  | 'inspect'
  /** purge, trim, pause, cancel, reschedule, drop, seek, snapshots */
  | 'manage'
  /** broker-wide facts and acts */
  | 'admin';

/** As RabbitMQ calls the exchange that leads to every queue by its name. */
export const DEFAULT_ROUTER = 'amq.default';

export interface Resource {
  namespace: string;
  /** `binding`: a queue or router, as what the bindings of a router may lead to. */
  kind: 'topic' | 'router' | 'binding' | 'schedule' | 'cursor' | 'producer' | 'document' | 'broker';
  name: string;
}

export interface Grant {
  namespace: string;
  /** A name, or a prefix followed by `*`. */
  resource: string;
  actions: readonly Action[] | 'all';
}

/**
 * What somebody may do in one namespace, by patterns of names, as RabbitMQ has it: `configure` makes and deletes,
 * `write` publishes and binds to, `read` consumes and binds from.
 */
export interface Permission {
  readonly namespace: string;
  readonly configure: NamePattern;
  readonly write: NamePattern;
  readonly read: NamePattern;
}

/**
 * What somebody may do with the routing keys of one router, as RabbitMQ's topic permissions have it: `write` publishes
 * with them, `read` binds by them. A router without one leaves every key to everybody who may use it.
 */
export interface KeyPermission {
  readonly namespace: string;
  readonly router: string;
  readonly write: NamePattern;
  readonly read: NamePattern;
}

/** How much of AMQP somebody may have at one time, in RabbitMQ's words. */
export const USER_LIMITS = ['max-connections', 'max-channels'] as const;
export type UserLimit = (typeof USER_LIMITS)[number];
/** Absent: no limit. */
export type UserLimits = Readonly<Partial<Record<UserLimit, number>>>;

/** Somebody who logged in. */
export interface Principal {
  readonly name: string;
  readonly grants: readonly Grant[];
  /** Beside the grants. Read anew at each question, so that it may change while somebody is logged in. */
  readonly permissions?: readonly Permission[];
  /** Before both, as Kafka has them. Absent: none, and none can be. */
  readonly acls?: Acls;
  /** What is taken away again, of routers that these name. */
  readonly keyPermissions?: readonly KeyPermission[];
  /** Words of RabbitMQ for what somebody may do in its management: `administrator`, `monitoring`, … */
  readonly tags?: readonly string[];
  /** Heeded by AMQP. Absent: none. */
  readonly limits?: UserLimits;
  /** Its user was deleted since it logged in, or the access key that it showed: it may do nothing any more. */
  readonly gone?: boolean;
  /** Its login ends by itself then, ms: it showed a token that is good until then. Absent: it does not. */
  readonly expiresAt?: number;
  /** The password that it showed is not the user's any more. Connections that are open stay; a browser logs in again. */
  readonly outdated?: boolean;
}

/** What somebody shows to be let in. */
export type Credentials =
  | { readonly token: string }
  | { readonly user: string; readonly password: string }
  /** The name in a certificate that was verified. */
  | { readonly certificate: string }
  /** A request that was signed with a secret that only the two ends know. */
  | { readonly accessKey: string; isSignedWith(this: void, secret: string): boolean }
  /** The end of a login by SCRAM: whether the client's proof fits what is known of the user's password. */
  | { readonly name: string; readonly scram: ScramAlgorithm; isProvenBy(this: void, verifier: ScramVerifier): boolean };

/** Where a login comes from: a connection, or a request of a browser. */
export interface LoginOrigin {
  /** An address; of who could have many (a /64 of IPv6), what they have in common. */
  readonly network: string;
  /** Whether its refused logins keep others of the network waiting. Not those of this machine, where many share one address. */
  readonly isCounted: boolean;
  /** Somebody was let in by it, and nobody was refused since: it does not wait for what others of its network did. */
  isKnown: boolean;
}

/** What every door of a server asks. */
export interface Authenticator {
  /** False, until the first user is stored: nobody needs to log in, and everybody may do everything. */
  readonly required: boolean;
  /**
   * @param from where too many passwords wait to be checked, one of the network with most of them gives its place to
   * another's; after too many refused logins a network waits
   * @throws UNAUTHENTICATED, in the same words and after the same work whatever was wrong; RATE_LIMITED.
   */
  authenticate(credentials: Credentials | undefined, from?: LoginOrigin): Promise<Principal>;
  /**
   * What a login by SCRAM begins with: the salt and the iterations that the client is told. Of a name that nobody has, or
   * whose password is not known in this form, too. Absent where nobody can log in so.
   */
  scramVerifier?(user: string, algorithm: ScramAlgorithm): ScramVerifier;
}

/** Who talks to a broker embedded in the own process, or to one without a login on loopback. */
export const LOCAL_PRINCIPAL: Principal = {
  name: 'local',
  grants: [{ namespace: '*', resource: '*', actions: 'all' }],
};

/** A name, or the beginning of names and `*`. */
export function covers(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}

/** Whether there is anything in a namespace that somebody may do. */
export function mayUse(principal: Principal, namespace: string): boolean {
  return (
    principal.grants.some((grant) => covers(grant.namespace, namespace)) ||
    (principal.permissions ?? []).some((permission) => permission.namespace === namespace)
  );
}

/**
 * The one place that says yes or no, for every protocol. Where somebody may publish with some keys only, the answer is no
 * to who does not say the key: see `askingForKeys`.
 */
export function isAuthorized(principal: Principal, action: Action, resource: Resource): boolean {
  if (principal.gone === true) return false;
  if (action === 'publish' && resource.kind === 'router' && keyPermission(principal, resource) !== undefined)
    return false;
  const verdict = principal.acls === undefined ? 'none' : aclVerdict(principal.acls, action, resource);
  return verdict === 'none' ? isGranted(principal, action, resource) : verdict === 'allow';
}

/** Tenants have no ACLs: Kafka's names are those of this namespace. */
export const ACL_NAMESPACE = 'default';

const ACL_KIND: { readonly [K in Resource['kind']]?: AclKind } = {
  topic: 'topic',
  cursor: 'group',
  producer: 'transactionalId',
};

/** An action is more than one operation of Kafka: it is allowed by ACLs that allow all of them, denied by one that denies one. */
const ACL_OPERATIONS_OF: Record<Action, readonly AclOperation[]> = {
  configure: ['create', 'delete', 'alter', 'alterConfigs'],
  publish: ['write'],
  consume: ['read'],
  inspect: ['describe'],
  manage: ['read', 'delete', 'alter'],
  admin: [],
};

function aclVerdict(acls: Acls, action: Action, { namespace, kind, name }: Resource): Verdict {
  const aclKind = ACL_KIND[kind];
  const operations = ACL_OPERATIONS_OF[action];
  // Without a name something is asked of all of them.
  if (namespace !== ACL_NAMESPACE || aclKind === undefined || operations.length === 0 || name === '') return 'none';
  let allAllowed = true;
  for (const operation of operations) {
    const verdict = acls.say(operation, aclKind, name);
    if (verdict === 'deny') return 'deny';
    allAllowed &&= verdict === 'allow';
  }
  return allAllowed ? 'allow' : 'none';
}

/** Of who may use the router, whether this routing key is among those that it may publish with, or bind by. */
export function isKeyAuthorized(
  principal: Principal,
  action: 'publish' | 'consume',
  router: Pick<Resource, 'namespace' | 'name'>,
  key: string,
): boolean {
  const permission = keyPermission(principal, router);
  return permission === undefined || (action === 'publish' ? permission.write : permission.read).matches(key);
}

function keyPermission(
  { keyPermissions = [] }: Principal,
  { namespace, name }: Pick<Resource, 'namespace' | 'name'>,
): KeyPermission | undefined {
  return keyPermissions.find((each) => each.namespace === namespace && each.router === name);
}

/** The same principal, for a gateway that asks `isKeyAuthorized` about every routing key. */
export function askingForKeys(principal: Principal): Principal {
  return principal.keyPermissions === undefined ? principal : new WithoutKeyPermissions(principal);
}

class WithoutKeyPermissions implements Principal {
  readonly name: string;
  readonly #of: Principal;

  constructor(of: Principal) {
    this.name = of.name;
    this.#of = of;
  }

  get grants(): readonly Grant[] {
    return this.#of.grants;
  }

  get permissions(): readonly Permission[] {
    return this.#of.permissions ?? [];
  }

  get acls(): Acls {
    return this.#of.acls ?? NO_ACLS;
  }

  get tags(): readonly string[] {
    return this.#of.tags ?? [];
  }

  get gone(): boolean {
    return this.#of.gone === true;
  }

  get outdated(): boolean {
    return this.#of.outdated === true;
  }
}

/** What ACLs do not decide: by grants and permissions. */
export function isGranted(principal: Principal, action: Action, resource: Resource): boolean {
  for (const grant of principal.grants) {
    if (!covers(grant.namespace, resource.namespace) || !covers(grant.resource, resource.name)) continue;
    if (grant.actions === 'all' || grant.actions.includes(action)) return true;
  }
  for (const permission of principal.permissions ?? [])
    if (permission.namespace === resource.namespace && permits(permission, action, resource)) return true;
  return false;
}

function permits({ configure, write, read }: Permission, action: Action, { kind, name }: Resource): boolean {
  switch (action) {
    case 'configure':
      return configure.matches(name);
    case 'publish':
      // Whoever publishes to a queue by its name goes through the default router, and needs the right on that.
      return write.matches(kind === 'topic' ? DEFAULT_ROUTER : name);
    case 'consume':
    case 'inspect':
      return read.matches(name);
    case 'manage':
      return configure.matches(name) && read.matches(name);
    default:
      return false;
  }
}

/** @throws FORBIDDEN naming who, what and on which resource. */
export function authorize(principal: Principal, action: Action, resource: Resource): void {
  if (isAuthorized(principal, action, resource)) return;
  throw new RailheadError(
    'FORBIDDEN',
    `${JSON.stringify(principal.name)} may not ${action} ${resource.kind} ${JSON.stringify(resource.name)} in namespace ${JSON.stringify(resource.namespace)}. Ask for a grant of ${action}.`,
  );
}
