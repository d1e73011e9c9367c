import { randomBytes } from 'node:crypto';
import { type Acl, aclToText, CLUSTER_NAME, EVERYBODY, readAcl } from './acl.ts';
import { RailheadError } from './errors.ts';
import { LOGIN_LIMITS } from './login-limits.ts';
import { NamePattern } from './name-pattern.ts';
import { checkStoredPassword, type StoredPassword, withScram } from './passwords.ts';
import { type Role, ROLES, type Rule, RULE_VERBS } from './roles.ts';
import { USER_LIMITS, type UserLimits } from './auth.ts';
import type { ScramAlgorithm } from './scram.ts';
import type { Session } from './session.ts';
import { toVhost } from './vhosts.ts';

/**
 * Users and what they may do, as they are kept with the broker: as documents of a namespace of their own, where only
 * those have a right who have it everywhere. Users of the config file are not among them.
 *
 * | kind | name | value |
 * | --- | --- | --- |
 * | `user` | NAME | password, tags, role, limits |
 * | `permission` | [USER, NAMESPACE] | RabbitMQ's patterns |
 * | `keyPermission` | [USER, NAMESPACE, ROUTER] | RabbitMQ's patterns of routing keys |
 * | `rule` | [USER, NAMESPACE, PATTERN] | verbs |
 * | `acl` | all that it says | nothing |
 * | `accessKey` | ID | user, secret (sealed), createdAt |
 */
export const SYSTEM_NAMESPACE = '$system';

export const USER_DOCUMENT = 'user';
export const PERMISSION = 'permission';
export const KEY_PERMISSION = 'keyPermission';
export const RULE = 'rule';
export const ACL = 'acl';
export const ACCESS_KEY = 'accessKey';

export interface StoredUser {
  readonly name: string;
  /** Null: nobody logs in with a password. */
  readonly password: StoredPassword | null;
  /** Words of RabbitMQ. */
  readonly tags: readonly string[];
  /** Null: only what rules and permissions say. */
  readonly role: Role | null;
  /** Absent ones: no limit. */
  readonly limits: UserLimits;
}

/** What `put` leaves as it was where it says nothing; of limits each by itself, and below 0 is none. */
export type UserChange = Pick<StoredUser, 'name'> & Partial<StoredUser>;

/** What RabbitMQ's `set_permissions` says. */
export interface PermissionPatterns {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

export interface StoredPermission extends PermissionPatterns {
  readonly user: string;
  readonly namespace: string;
}

/** What RabbitMQ's `set_topic_permissions` says: patterns of routing keys, in which `{username}` and `{vhost}` stand for these. */
export interface StoredKeyPermission extends Pick<PermissionPatterns, 'write' | 'read'> {
  readonly user: string;
  readonly namespace: string;
  readonly router: string;
}

export interface StoredRule extends Rule {
  readonly user: string;
}

/** A key with which programs sign (Amazon's), or which they show as the token `ID.SECRET`. */
export interface StoredAccessKey {
  readonly id: string;
  readonly user: string;
  /** By the vault of the broker, for `accessKeyPurpose`. */
  readonly sealed: string;
  readonly createdAt: number;
}

const MAX_USER_LIMIT = 2 ** 31 - 1;
/** As long as Amazon's, which tools of others check. */
const KEY_ID_LENGTH = 20;
const SECRET_BYTES = 30;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

type Requests = Pick<Session, 'request'>;

/** Reads and changes the stored users through a session of the system's namespace. */
export class StoredUsers {
  readonly #session: Requests;

  constructor(session: Requests) {
    this.#session = session;
  }

  async list(): Promise<StoredUser[]> {
    return (await this.#documents(USER_DOCUMENT)).map(({ name, value }) => readUser(name, value));
  }

  async find(name: string): Promise<StoredUser | undefined> {
    return (await this.list()).find((user) => user.name === name);
  }

  /** Adds a user, or changes what is said of it. @throws INVALID */
  async put(change: UserChange): Promise<{ created: boolean }> {
    const { name } = change;
    const before = (await this.find(name)) ?? NEW_USER;
    const { password, tags, role } = { ...before, ...change };
    const limits = changedLimits(before.limits, change.limits);
    if (password !== null) checkStoredPassword(password);
    if (name.length === 0 || name.length > 128)
      throw new RailheadError('INVALID', 'The name of a user has 1 to 128 characters.');
    if (tags.length > LOGIN_LIMITS.tagsOfUser || tags.some((tag) => tag.length > 64))
      throw new RailheadError('INVALID', `A user has at most ${LOGIN_LIMITS.tagsOfUser} tags of 64 characters.`);
    if (role !== null && !ROLES.includes(role))
      throw new RailheadError('INVALID', `The role is ${JSON.stringify(role)}. Write ${ROLES.join(', ')}.`);
    return this.#put(USER_DOCUMENT, name, { password, tags, role, limits });
  }

  /** @throws NOT_FOUND for a user that is not stored, or has none such */
  async removeScram(name: string, algorithm: ScramAlgorithm): Promise<void> {
    const password = (await this.find(name))?.password;
    if (password?.scram?.[algorithm] === undefined)
      throw new RailheadError('NOT_FOUND', `${JSON.stringify(name)} has no such credential.`);
    await this.put({ name, password: withScram(password, { gone: [algorithm] }) });
  }

  /** With all that it may do and its access keys. */
  async delete(name: string): Promise<{ deleted: boolean }> {
    const [permissions, rules, keys] = [await this.permissions(), await this.rules(), await this.accessKeys()];
    for (const { user, namespace } of permissions) if (user === name) await this.clearPermission(user, namespace);
    for (const permission of await this.keyPermissions())
      if (permission.user === name) await this.clearKeyPermission(permission);
    for (const rule of rules) if (rule.user === name) await this.disallow(rule);
    for (const { id, user } of keys) if (user === name) await this.removeAccessKey(id);
    for (const acl of await this.acls()) if (acl.user === name) await this.removeAcl(acl);
    return this.#delete(USER_DOCUMENT, name);
  }

  async permissions(): Promise<StoredPermission[]> {
    return (await this.#documents(PERMISSION)).map(({ name, value }) => readPermission(name, value));
  }

  /** @throws INVALID for a pattern that is not understood, NOT_FOUND for a user that is not stored */
  async setPermission(user: string, namespace: string, patterns: PermissionPatterns): Promise<{ created: boolean }> {
    const { configure, write, read } = patterns;
    for (const pattern of [configure, write, read]) void new NamePattern(pattern);
    await this.#assertUser(user);
    return this.#put(PERMISSION, nameOf(user, namespace), { configure, write, read });
  }

  clearPermission(user: string, namespace: string): Promise<{ deleted: boolean }> {
    return this.#delete(PERMISSION, nameOf(user, namespace));
  }

  async keyPermissions(): Promise<StoredKeyPermission[]> {
    return (await this.#documents(KEY_PERMISSION)).map(({ name, value }) => readKeyPermission(name, value));
  }

  /** @throws INVALID for a pattern that is not understood, NOT_FOUND for a user that is not stored */
  async setKeyPermission(permission: StoredKeyPermission): Promise<{ created: boolean }> {
    const { user, namespace, router, write, read } = permission;
    for (const pattern of [write, read]) void new NamePattern(keyPattern(pattern, permission));
    await this.#assertUser(user);
    return this.#put(KEY_PERMISSION, nameOf(user, namespace, router), { write, read });
  }

  clearKeyPermission(of: Pick<StoredKeyPermission, 'user' | 'namespace' | 'router'>): Promise<{ deleted: boolean }> {
    return this.#delete(KEY_PERMISSION, nameOf(of.user, of.namespace, of.router));
  }

  async rules(): Promise<StoredRule[]> {
    return (await this.#documents(RULE)).map(({ name, value }) => readRule(name, value));
  }

  /** In place of what was allowed with this pattern before. @throws INVALID, NOT_FOUND for a user that is not stored */
  async allow({ user, namespace, pattern, verbs }: StoredRule): Promise<{ created: boolean }> {
    if (verbs.length === 0 || verbs.some((verb) => !RULE_VERBS.includes(verb)))
      throw new RailheadError('INVALID', `A rule allows ${RULE_VERBS.join(', ')}, or some of these.`);
    for (const name of [namespace, pattern])
      if (name.length === 0 || name.length > 255 || name.slice(0, -1).includes('*'))
        throw new RailheadError(
          'INVALID',
          `${JSON.stringify(name.slice(0, 100))} is neither a name nor the beginning of one followed by *.`,
        );
    await this.#assertUser(user);
    return this.#put(RULE, nameOf(user, namespace, pattern), { verbs });
  }

  disallow({ user, namespace, pattern }: Omit<StoredRule, 'verbs'>): Promise<{ deleted: boolean }> {
    return this.#delete(RULE, nameOf(user, namespace, pattern));
  }

  async acls(): Promise<Acl[]> {
    return (await this.#documents(ACL)).map(({ name }) => readAcl(name));
  }

  /** @throws INVALID, NOT_FOUND for a user that is not stored, TOO_LARGE */
  async addAcl(acl: Acl): Promise<{ created: boolean }> {
    if (acl.name.length === 0 || acl.name.length > 255)
      throw new RailheadError('INVALID', 'The name of a resource has 1 to 255 characters.');
    if (acl.kind === 'cluster' && acl.name !== CLUSTER_NAME)
      throw new RailheadError('INVALID', `The cluster is named ${CLUSTER_NAME}.`);
    if (acl.user !== EVERYBODY) await this.#assertUser(acl.user);
    if ((await this.acls()).length >= LOGIN_LIMITS.acls)
      throw new RailheadError(
        'TOO_LARGE',
        `There are ${LOGIN_LIMITS.acls} ACLs already. Use prefixes, or remove some.`,
      );
    return this.#put(ACL, aclToText(acl), {});
  }

  removeAcl(acl: Acl): Promise<{ deleted: boolean }> {
    return this.#delete(ACL, aclToText(acl));
  }

  async accessKeys(): Promise<StoredAccessKey[]> {
    return (await this.#documents(ACCESS_KEY)).map(({ name, value }) => readAccessKey(name, value));
  }

  /** The only time that anybody is told the secret. @throws NOT_FOUND for a user that is not stored, TOO_LARGE */
  async addAccessKey(user: string, createdAt: number): Promise<{ id: string; secret: string }> {
    await this.#assertUser(user);
    if ((await this.accessKeys()).filter((key) => key.user === user).length >= LOGIN_LIMITS.accessKeysOfUser)
      throw new RailheadError(
        'TOO_LARGE',
        `A user has at most ${LOGIN_LIMITS.accessKeysOfUser} access keys. Remove an old one.`,
      );
    const id = `RK${Array.from(randomBytes(KEY_ID_LENGTH - 2), (byte) => BASE32[byte % 32]).join('')}`;
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    const { sealed } = await this.#session.request('seal', { purpose: accessKeyPurpose(id, user), text: secret });
    await this.#put(ACCESS_KEY, id, { user, sealed, createdAt });
    return { id, secret };
  }

  removeAccessKey(id: string): Promise<{ deleted: boolean }> {
    return this.#delete(ACCESS_KEY, id);
  }

  async #assertUser(name: string): Promise<void> {
    if ((await this.find(name)) !== undefined) return;
    throw new RailheadError('NOT_FOUND', `There is no stored user ${JSON.stringify(name)}. Add it first.`);
  }

  async #documents(kind: string): Promise<readonly { name: string; value: string }[]> {
    return (await this.#session.request('listDocuments', { kind })).documents;
  }

  #put(kind: string, name: string, value: object): Promise<{ created: boolean }> {
    return this.#session.request('putDocument', { kind, name, value: JSON.stringify(value) });
  }

  #delete(kind: string, name: string): Promise<{ deleted: boolean }> {
    return this.#session.request('deleteDocument', { kind, name });
  }
}

const NEW_USER: Omit<StoredUser, 'name'> = { password: null, tags: [], role: null, limits: {} };

/** @throws INVALID */
function changedLimits(before: UserLimits, change: UserLimits = {}): UserLimits {
  const limits = new Map(Object.entries(before));
  for (const [name, value] of Object.entries(change)) {
    if (!USER_LIMITS.some((each) => each === name))
      throw new RailheadError(
        'INVALID',
        `${JSON.stringify(name)} is no limit of a user; there are ${USER_LIMITS.join(', ')}.`,
      );
    if (!Number.isInteger(value) || value > MAX_USER_LIMIT)
      throw new RailheadError(
        'INVALID',
        `${name} is ${String(JSON.stringify(value)).slice(0, 100)}; write a whole number up to ${MAX_USER_LIMIT}, or -1 for no limit.`,
      );
    if (value < 0) limits.delete(name);
    else limits.set(name, value);
  }
  return Object.fromEntries(limits);
}

/** A secret that was sealed for one key opens for no other, and for no other user. */
export function accessKeyPurpose(id: string, user: string): string {
  return `access key ${JSON.stringify([id, user])}`;
}

/** With the names in the place of the variables. A name is no pattern: what is a sign of patterns in it means itself. */
export function keyPattern(
  source: string,
  { user, namespace }: Pick<StoredKeyPermission, 'user' | 'namespace'>,
): string {
  return source
    .replaceAll('{username}', () => literally(user))
    .replaceAll('{vhost}', () => literally(toVhost(namespace)));
}

function literally(name: string): string {
  return name.replaceAll(/[\\^$.*+?()[\]{}|]/g, (sign) => `\\${sign}`);
}

function nameOf(...parts: string[]): string {
  return JSON.stringify(parts);
}

// What is read below was written by `StoredUsers`.

export function readUser(name: string, value: string): StoredUser {
  return { name, ...NEW_USER, ...(JSON.parse(value) as Omit<StoredUser, 'name'>) };
}

export function readPermission(name: string, value: string): StoredPermission {
  const [user, namespace] = JSON.parse(name) as [string, string];
  return { user, namespace, ...(JSON.parse(value) as PermissionPatterns) };
}

export function readKeyPermission(name: string, value: string): StoredKeyPermission {
  const [user, namespace, router] = JSON.parse(name) as [string, string, string];
  return { user, namespace, router, ...(JSON.parse(value) as Pick<PermissionPatterns, 'write' | 'read'>) };
}

export function readRule(name: string, value: string): StoredRule {
  const [user, namespace, pattern] = JSON.parse(name) as [string, string, string];
  return { user, namespace, pattern, ...(JSON.parse(value) as Pick<Rule, 'verbs'>) };
}

export function readAccessKey(id: string, value: string): StoredAccessKey {
  return { id, ...(JSON.parse(value) as Omit<StoredAccessKey, 'id'>) };
}

/** Who has this tag may change everything about the broker, and use nothing of it without a permission. */
export const ADMINISTRATOR = 'administrator';

/** Who has this tag may publish over AMQP in the names of others. */
export const IMPERSONATOR = 'impersonator';
