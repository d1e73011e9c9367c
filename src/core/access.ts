import type { Grant, Permission } from './auth.ts';
import { RailheadError } from './errors.ts';
import { NamePattern } from './name-pattern.ts';
import { parsePasswordHash } from './passwords.ts';
import type { Session } from './session.ts';

/**
 * Users and what they may do, as they are kept with the broker: as documents of a namespace of their own, where only
 * those have a right who have it everywhere. Users of the config file are not among them.
 */
export const SYSTEM_NAMESPACE = '$system';

export const USER_DOCUMENT = 'user';
const PERMISSION = 'permission';

export interface StoredUser {
  readonly name: string;
  /** In a form of `passwords.ts`; null: nobody logs in with a password. */
  readonly passwordHash: string | null;
  readonly tags: readonly string[];
}

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

const MAX_TAGS = 16;

/** Reads and changes the stored users through a session of the system's namespace. */
export class StoredUsers {
  readonly #session: Pick<Session, 'request'>;

  constructor(session: Pick<Session, 'request'>) {
    this.#session = session;
  }

  async list(): Promise<StoredUser[]> {
    const { documents } = await this.#session.request('listDocuments', { kind: USER_DOCUMENT });
    return documents.map(({ name, value }) => readUser(name, value));
  }

  /** @throws INVALID */
  async put({ name, passwordHash, tags }: StoredUser): Promise<{ created: boolean }> {
    if (passwordHash !== null) parsePasswordHash(passwordHash);
    if (name.length === 0 || name.length > 128)
      throw new RailheadError('INVALID', 'The name of a user has 1 to 128 characters.');
    if (tags.length > MAX_TAGS || tags.some((tag) => tag.length > 64))
      throw new RailheadError('INVALID', `A user has at most ${MAX_TAGS} tags of 64 characters.`);
    return this.#session.request('putDocument', {
      kind: USER_DOCUMENT,
      name,
      value: JSON.stringify({ passwordHash, tags }),
    });
  }

  /** With what it was permitted. */
  async delete(name: string): Promise<{ deleted: boolean }> {
    for (const { user, namespace } of await this.permissions())
      if (user === name) await this.clearPermission(user, namespace);
    return this.#session.request('deleteDocument', { kind: USER_DOCUMENT, name });
  }

  async permissions(): Promise<StoredPermission[]> {
    const { documents } = await this.#session.request('listDocuments', { kind: PERMISSION });
    return documents.map(({ name, value }) => readPermission(name, value));
  }

  /** @throws INVALID for a pattern that is not understood, NOT_FOUND for a user that is not stored */
  async setPermission(user: string, namespace: string, patterns: PermissionPatterns): Promise<{ created: boolean }> {
    const { configure, write, read } = patterns;
    for (const pattern of [configure, write, read]) void new NamePattern(pattern);
    if (!(await this.list()).some(({ name }) => name === user))
      throw new RailheadError('NOT_FOUND', `There is no stored user ${JSON.stringify(user)}. Add it first.`);
    const value = JSON.stringify({ configure, write, read });
    return this.#session.request('putDocument', { kind: PERMISSION, name: permissionName(user, namespace), value });
  }

  clearPermission(user: string, namespace: string): Promise<{ deleted: boolean }> {
    return this.#session.request('deleteDocument', { kind: PERMISSION, name: permissionName(user, namespace) });
  }
}

function permissionName(user: string, namespace: string): string {
  return JSON.stringify([user, namespace]);
}

function readUser(name: string, value: string): StoredUser {
  // Written by `put`.
  return { name, ...(JSON.parse(value) as Omit<StoredUser, 'name'>) };
}

function readPermission(name: string, value: string): StoredPermission {
  // Written by `setPermission`.
  const [user, namespace] = JSON.parse(name) as [string, string];
  return { user, namespace, ...(JSON.parse(value) as PermissionPatterns) };
}

/** The documents of the system's namespace, as they are now. */
export interface SystemDocuments {
  /** Grows with each change. */
  readonly version: number;
  /** By name. */
  of(kind: string): ReadonlyMap<string, { readonly value: string }>;
}

/** What logins and `authorize` ask, without waiting. Made of the documents anew when they change. */
export class StoredUserView {
  readonly #documents: SystemDocuments;
  #version = -1;
  readonly #users = new Map<string, StoredUser>();
  readonly #permissions = new Map<string, Permission[]>();

  constructor(documents: SystemDocuments) {
    this.#documents = documents;
  }

  find(name: string): StoredUser | undefined {
    this.#renew();
    return this.#users.get(name);
  }

  /** What a user may do now; nothing once it is deleted. */
  permissionsOf(user: string): readonly Permission[] {
    this.#renew();
    return this.#permissions.get(user) ?? [];
  }

  #renew(): void {
    const { version } = this.#documents;
    if (version === this.#version) return;
    this.#version = version;
    this.#users.clear();
    this.#permissions.clear();
    for (const [name, { value }] of this.#documents.of(USER_DOCUMENT)) this.#users.set(name, readUser(name, value));
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
  }
}

/** Who has this tag may change everything about the broker, and use nothing of it without a permission. */
export const ADMINISTRATOR = 'administrator';

const ADMINISTRATORS_GRANTS: readonly Grant[] = [{ namespace: '*', resource: '*', actions: ['admin'] }];

export function grantsOfTags(tags: readonly string[]): readonly Grant[] {
  return tags.includes(ADMINISTRATOR) ? ADMINISTRATORS_GRANTS : [];
}
