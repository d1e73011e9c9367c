/**
 * Rights as Kafka has them: each allows or denies one operation on resources of one kind, by name or prefix. A denial
 * beats whatever else allows the same.
 */
export const ACL_KINDS = ['topic', 'group', 'cluster', 'transactionalId'] as const;
export type AclKind = (typeof ACL_KINDS)[number];

export const ACL_OPERATIONS = [
  'read',
  'write',
  'create',
  'delete',
  'alter',
  'describe',
  'clusterAction',
  'describeConfigs',
  'alterConfigs',
  'idempotentWrite',
] as const;
export type AclOperation = (typeof ACL_OPERATIONS)[number];

export interface Acl {
  /** `*` for every stored user. */
  readonly user: string;
  readonly kind: AclKind;
  readonly pattern: 'literal' | 'prefixed';
  /** A literal `*` is every name. */
  readonly name: string;
  readonly operation: AclOperation | 'all';
  readonly permission: 'allow' | 'deny';
}

export const EVERYBODY = '*';
/** The one resource of the kind `cluster`. */
export const CLUSTER_NAME = 'kafka-cluster';
const EVERY_NAME = '*';

export type Verdict = 'allow' | 'deny' | 'none';

/** What these allow, allows the other as well (Kafka's rule; a denial implies nothing). */
const IMPLIED_BY: { readonly [O in AclOperation]?: readonly AclOperation[] } = {
  describe: ['read', 'write', 'delete', 'alter'],
  describeConfigs: ['alterConfigs'],
};

/** What the ACLs of one user say, without looking at all of them. */
export class Acls {
  readonly #literal = new Map<string, Acl[]>();
  readonly #prefixed = new Map<AclKind, Acl[]>();

  constructor(acls: Iterable<Acl>) {
    for (const acl of acls) {
      if (acl.pattern === 'prefixed') push(this.#prefixed, acl.kind, acl);
      else push(this.#literal, `${acl.kind} ${acl.name}`, acl);
    }
  }

  say(operation: AclOperation, kind: AclKind, name: string): Verdict {
    let verdict: Verdict = 'none';
    for (const acl of this.#about(kind, name)) {
      const isMeant = acl.operation === operation || acl.operation === 'all';
      if (acl.permission === 'deny') {
        if (isMeant) return 'deny';
      } else if (isMeant || IMPLIED_BY[operation]?.some((other) => other === acl.operation)) verdict = 'allow';
    }
    return verdict;
  }

  /** Whether there is a name of that kind with which it is allowed: one that is not denied for all, at least. */
  sayOfAny(operation: AclOperation, kind: AclKind): Verdict {
    const own = [...this.#literal.values(), ...this.#prefixed.values()].flat().filter((acl) => acl.kind === kind);
    const meant = own.filter((acl) => acl.operation === operation || acl.operation === 'all');
    if (meant.some((acl) => acl.permission === 'deny' && acl.pattern === 'literal' && acl.name === EVERY_NAME))
      return 'deny';
    return meant.some((acl) => acl.permission === 'allow' && this.say(operation, kind, acl.name) === 'allow')
      ? 'allow'
      : 'none';
  }

  *#about(kind: AclKind, name: string): Generator<Acl> {
    yield* this.#literal.get(`${kind} ${name}`) ?? [];
    if (name !== EVERY_NAME) yield* this.#literal.get(`${kind} ${EVERY_NAME}`) ?? [];
    for (const acl of this.#prefixed.get(kind) ?? []) if (name.startsWith(acl.name)) yield acl;
  }
}

export const NO_ACLS = new Acls([]);

function push<K>(map: Map<K, Acl[]>, key: K, acl: Acl): void {
  const own = map.get(key);
  if (own === undefined) map.set(key, [acl]);
  else own.push(acl);
}

/** The name under which one is kept: all that it says. */
export function aclToText({ user, kind, pattern, name, operation, permission }: Acl): string {
  return JSON.stringify([user, kind, pattern, name, operation, permission]);
}

/** What `aclToText` wrote. */
export function readAcl(text: string): Acl {
  const parts = JSON.parse(text) as [string, AclKind, Acl['pattern'], string, Acl['operation'], Acl['permission']];
  const [user, kind, pattern, name, operation, permission] = parts;
  return { user, kind, pattern, name, operation, permission };
}
