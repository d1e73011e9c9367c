import { type Acl, Acls, EVERYBODY, NO_ACLS, readAcl } from './acl.ts';
import {
  ACCESS_KEY,
  accessKeyPurpose,
  ACL,
  ADMINISTRATOR,
  KEY_PERMISSION,
  keyPattern,
  PERMISSION,
  readAccessKey,
  readKeyPermission,
  readPermission,
  readRule,
  readUser,
  RULE,
  type StoredAccessKey,
  type StoredUser,
  USER_DOCUMENT,
} from './access.ts';
import type { Grant, KeyPermission, Permission } from './auth.ts';
import { NamePattern } from './name-pattern.ts';
import { grantOfRule, grantsOfRole } from './roles.ts';
import type { Vault } from './vault.ts';

/** The documents of the system's namespace, as they are now. */
export interface SystemDocuments {
  /** Grows with each change. */
  readonly version: number;
  /** By name. */
  of(kind: string): ReadonlyMap<string, { readonly value: string }>;
}

const NO_GRANTS: readonly Grant[] = [];
const ADMINISTRATORS_GRANT: Grant = { namespace: '*', resource: '*', actions: ['admin'] };

/** What logins and `authorize` ask, without waiting. Made of the documents anew when they change. */
export class StoredUserView {
  readonly #documents: SystemDocuments;
  readonly #vault: Vault;
  #version = -1;
  readonly #users = new Map<string, StoredUser>();
  readonly #grants = new Map<string, Grant[]>();
  readonly #permissions = new Map<string, Permission[]>();
  readonly #acls = new Map<string, Acls>();
  readonly #keyPermissions = new Map<string, KeyPermission[]>();
  readonly #accessKeys = new Map<string, StoredAccessKey>();

  constructor(documents: SystemDocuments, vault: Vault) {
    this.#documents = documents;
    this.#vault = vault;
  }

  /** Nobody is stored. */
  get isEmpty(): boolean {
    this.#renew();
    return this.#users.size === 0;
  }

  find(name: string): StoredUser | undefined {
    this.#renew();
    return this.#users.get(name);
  }

  /** By role, rules and tags; nothing once the user is deleted. */
  grantsOf(user: string): readonly Grant[] {
    this.#renew();
    return this.#grants.get(user) ?? NO_GRANTS;
  }

  /** By RabbitMQ's patterns; nothing once the user is deleted. */
  permissionsOf(user: string): readonly Permission[] {
    this.#renew();
    return this.#permissions.get(user) ?? [];
  }

  /** As Kafka has them; none for who has the role admin, as for Kafka's super users. */
  aclsOf(user: string): Acls {
    this.#renew();
    return this.#acls.get(user) ?? NO_ACLS;
  }

  /** By routing keys; nothing once the user is deleted. */
  keyPermissionsOf(user: string): readonly KeyPermission[] {
    this.#renew();
    return this.#keyPermissions.get(user) ?? [];
  }

  hasAccessKey(id: string): boolean {
    this.#renew();
    return this.#accessKeys.has(id);
  }

  /** Undefined also for one whose secret was sealed with another key file. */
  accessKey(id: string): { user: string; secret: string } | undefined {
    this.#renew();
    const key = this.#accessKeys.get(id);
    if (key === undefined || !this.#users.has(key.user)) return undefined;
    const secret = this.#vault.open(accessKeyPurpose(id, key.user), key.sealed);
    return secret === undefined ? undefined : { user: key.user, secret };
  }

  #renew(): void {
    const { version } = this.#documents;
    if (version === this.#version) return;
    this.#version = version;
    const permissions = [this.#permissions, this.#keyPermissions, this.#acls];
    for (const map of [this.#users, this.#grants, ...permissions, this.#accessKeys]) map.clear();
    for (const [name, { value }] of this.#documents.of(USER_DOCUMENT)) {
      const user = readUser(name, value);
      const administrator = user.tags.includes(ADMINISTRATOR) ? [ADMINISTRATORS_GRANT] : [];
      this.#users.set(name, user);
      this.#grants.set(name, [...grantsOfRole(user.role), ...administrator]);
    }
    for (const [name, { value }] of this.#documents.of(RULE)) {
      const rule = readRule(name, value);
      this.#grants.get(rule.user)?.push(grantOfRule(rule));
    }
    for (const [id, { value }] of this.#documents.of(ACCESS_KEY)) this.#accessKeys.set(id, readAccessKey(id, value));
    this.#renewPermissions();
    this.#renewAcls();
  }

  #renewAcls(): void {
    const all = [...this.#documents.of(ACL).keys()].map(readAcl);
    if (all.length === 0) return;
    const byUser = Map.groupBy(all, ({ user }) => user);
    const everybodys: Acl[] = byUser.get(EVERYBODY) ?? [];
    for (const { name, role } of this.#users.values()) {
      const own = [...(byUser.get(name) ?? []), ...everybodys];
      if (role !== 'admin' && own.length > 0) this.#acls.set(name, new Acls(own));
    }
  }

  #renewPermissions(): void {
    const patterns = new Map<string, NamePattern>();
    const compile = (source: string): NamePattern => {
      const pattern = patterns.get(source) ?? new NamePattern(source);
      patterns.set(source, pattern);
      return pattern;
    };
    for (const [name, { value }] of this.#documents.of(PERMISSION)) {
      const { user, namespace, configure, write, read } = readPermission(name, value);
      const own = this.#permissions.get(user) ?? [];
      this.#permissions.set(user, own);
      own.push({ namespace, configure: compile(configure), write: compile(write), read: compile(read) });
    }
    for (const [name, { value }] of this.#documents.of(KEY_PERMISSION)) {
      const permission = readKeyPermission(name, value);
      const { user, namespace, router } = permission;
      const own = this.#keyPermissions.get(user) ?? [];
      this.#keyPermissions.set(user, own);
      const [write, read] = [keyPattern(permission.write, permission), keyPattern(permission.read, permission)];
      own.push({ namespace, router, write: compile(write), read: compile(read) });
    }
  }
}
