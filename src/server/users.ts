import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { StoredUser } from '../core/access.ts';
import type { Acls } from '../core/acl.ts';
import type { StoredUserView } from '../core/access-view.ts';
import {
  LOCAL_PRINCIPAL,
  type Authenticator,
  type Credentials,
  type Grant,
  type KeyPermission,
  type LoginOrigin,
  type Permission,
  type Principal,
  type UserLimits,
} from '../core/auth.ts';
import { RailheadError } from '../core/errors.ts';
import { LOGIN_LIMITS } from '../core/login-limits.ts';
import {
  MAX_SECRET_LENGTH,
  nobodysHash,
  parsePasswordHash,
  passwordMatches,
  type PasswordHash,
} from '../core/passwords.ts';
import { nobodysScramVerifier, parseScram, type ScramAlgorithm, type ScramVerifier } from '../core/scram.ts';
import { isOpen } from './config.ts';
import type { JwtLogins } from './jwt/logins.ts';
import { type ServerConfig, splitAccessKey, type UserConfig } from './settings.ts';

const MAX_REMEMBERED = 10_000;
/** Who calls itself so may show a token in place of a password; a user of that name may have a password all the same. */
const TOKEN_USER = 'token';

interface User {
  principal: Principal;
  tokenDigest: Buffer | undefined;
  /** As it is written down, and what it says. */
  password: { text: string; hash: PasswordHash } | undefined;
}

/**
 * The users of a configuration, and those that are stored with the broker. Holds digests only, but for the secrets of access
 * keys: a signature is checked with the secret itself.
 */
export class UserStore implements Authenticator {
  /** Where others than this machine can connect a login is required also when the last stored user is deleted. */
  readonly #always: boolean;
  readonly #anybody: Principal;
  /** One object for each stored user and what it showed: sessions over HTTP are kept by it. */
  readonly #principals = new Map<string, StoredPrincipal>();
  readonly #byName = new Map<string, User>();
  /** Of these, who has no entry in the configuration. */
  readonly #builtIn: ReadonlySet<string>;
  readonly #accessKeys = new Map<string, { secret: string; principal: Principal }>();
  /** Compared with what an unknown access key has signed. */
  readonly #nobodysSecret = randomBytes(30).toString('base64url');
  /** Makes up salts for names that nobody has. */
  readonly #nobodysKey = randomBytes(32);
  readonly #stored: StoredUserView | undefined;
  readonly #jwt: Pick<JwtLogins, 'find'> | undefined;
  readonly #nobody: PasswordHash;
  readonly #logins = new LoginQueue();
  readonly #remembered = new RememberedLogins();

  constructor(config: ServerConfig, stored?: StoredUserView, jwt?: Pick<JwtLogins, 'find'>) {
    const everything: Grant[] = [{ namespace: '*', resource: '*', actions: 'all' }];
    const { token, accessKey } = config;
    if (token !== undefined) {
      const principal = { name: TOKEN_USER, grants: everything };
      this.#byName.set(TOKEN_USER, { principal, tokenDigest: sha256(token), password: undefined });
    }
    if (accessKey !== undefined) {
      const { id, secret } = splitAccessKey(accessKey);
      const principal = { name: 'access-key', grants: everything };
      this.#byName.set('access-key', { principal, tokenDigest: undefined, password: undefined });
      this.#accessKeys.set(id, { secret, principal });
    }
    this.#builtIn = new Set(this.#byName.keys());
    for (const configured of config.users) {
      const user = userOf(configured);
      this.#byName.set(configured.name, user);
      for (const { id, secret } of configured.accessKeys)
        this.#accessKeys.set(id, { secret, principal: user.principal });
    }
    this.#always = this.#byName.size > 0 || jwt !== undefined || isOpen(config);
    this.#anybody = new Anybody(this);
    this.#stored = stored;
    this.#jwt = jwt;
    this.#nobody = nobodysHash([...this.#byName.values()].find((user) => user.password !== undefined)?.password?.hash);
  }

  get required(): boolean {
    return this.#always || this.#stored?.isEmpty === false;
  }

  async authenticate(credentials: Credentials | undefined, from?: LoginOrigin): Promise<Principal> {
    if (!this.required) return this.#anybody;
    const principal = credentials === undefined ? undefined : await this.#find(credentials, from);
    if (principal !== undefined) return principal;
    throw new RailheadError(
      'UNAUTHENTICATED',
      credentials === undefined
        ? 'This broker wants a login. Send a token (Authorization: Bearer TOKEN, or railhead://TOKEN@HOST in a URL).'
        : 'certificate' in credentials
          ? 'The certificate was refused: no user has its name.'
          : 'accessKey' in credentials
            ? 'The signature was refused: no user has this access key, or its secret made another signature.'
            : 'The login was refused: no user has this token, or this name and password.',
    );
  }

  /** One of the configuration hides a stored one of the same name. */
  #user(name: string): User | undefined {
    const configured = this.#byName.get(name);
    if (configured !== undefined) return configured;
    const stored = this.#stored?.find(name);
    if (stored === undefined) return undefined;
    const { password } = stored;
    return {
      principal: this.#principal(stored, { hash: password?.hash }),
      tokenDigest: undefined,
      password: password === null ? undefined : { text: password.hash, hash: parsePasswordHash(password.hash) },
    };
  }

  scramVerifier(name: string, algorithm: ScramAlgorithm): ScramVerifier {
    return this.#scramOf(name, algorithm) ?? nobodysScramVerifier(algorithm, name, this.#nobodysKey);
  }

  /** Of a stored user; of one of the configuration only a hash is known, which is of no use for SCRAM. */
  #scramOf(name: string, algorithm: ScramAlgorithm): ScramVerifier | undefined {
    const text = this.#byName.has(name) ? undefined : this.#stored?.find(name)?.password?.scram?.[algorithm];
    return text === undefined ? undefined : parseScram(text);
  }

  async #find(credentials: Credentials, from: LoginOrigin | undefined): Promise<Principal | undefined> {
    if ('token' in credentials) return (await this.#jwt?.find(credentials.token)) ?? this.#byToken(credentials.token);
    if ('certificate' in credentials) return this.#byCertificate(credentials.certificate);
    if ('accessKey' in credentials) return this.#byAccessKey(credentials);
    if ('scram' in credentials) return this.#byScram(credentials);
    const { user: name, password } = credentials;
    // For protocols that know passwords alone; whose token it is, it says itself.
    const bearer = await this.#jwt?.find(password);
    if (bearer !== undefined) return bearer;
    const byToken = name === TOKEN_USER ? this.#byToken(password) : undefined;
    if (byToken !== undefined) return byToken;
    const user = this.#user(name);
    if (user === undefined && this.#accessKey(name) !== undefined)
      return this.#byAccessKey({ accessKey: name, isSignedWith: (secret) => isSame(secret, password) });
    if (user?.password !== undefined && this.#remembered.has(name, user.password.text, password)) return user.principal;
    // An unknown name costs the same scrypt as a known one, or the time would tell which names exist.
    const matches = await this.#logins.run(from?.network ?? '', () =>
      passwordMatches(password, user?.password?.hash ?? this.#nobody),
    );
    if (!matches || user?.password === undefined) return undefined;
    this.#remembered.add(name, user.password.text, password);
    return user.principal;
  }

  /** The name of a user, not one of those that the smallest logins have. */
  #byCertificate(name: string): Principal | undefined {
    if (this.#builtIn.has(name)) return undefined;
    const configured = this.#byName.get(name);
    if (configured !== undefined) return configured.principal;
    const stored = this.#stored?.find(name);
    return stored === undefined ? undefined : this.#principal(stored, { certificate: name });
  }

  /** An unknown key costs the same work as a known one. */
  #byAccessKey({ accessKey, isSignedWith }: Extract<Credentials, { accessKey: string }>): Principal | undefined {
    const key = this.#accessKey(accessKey);
    const signed = isSignedWith(key?.secret ?? this.#nobodysSecret);
    return signed ? key?.principal : undefined;
  }

  /** One of the configuration hides a stored one of the same id. */
  #accessKey(id: string): { secret: string; principal: Principal } | undefined {
    const configured = this.#accessKeys.get(id);
    if (configured !== undefined) return configured;
    const key = this.#stored?.accessKey(id);
    const user = key === undefined ? undefined : this.#stored?.find(key.user);
    // A user of the configuration who took the name of a stored one has nothing to do with its keys.
    if (key === undefined || user === undefined || this.#byName.has(user.name)) return undefined;
    return { secret: key.secret, principal: this.#principal(user, { key: id }) };
  }

  #principal(user: StoredUser, shown: Shown): Principal {
    if (this.#stored === undefined) throw new Error('Railhead bug: a stored user where none are stored');
    const id = JSON.stringify([user.name, shown]);
    const known = this.#principals.get(id);
    if (known !== undefined) return known;
    if (this.#principals.size >= MAX_REMEMBERED) this.#principals.clear();
    const principal = new StoredPrincipal(user.name, this.#stored, shown);
    this.#principals.set(id, principal);
    return principal;
  }

  #byScram({ name, scram, isProvenBy }: Extract<Credentials, { scram: ScramAlgorithm }>): Principal | undefined {
    const proven = isProvenBy(this.scramVerifier(name, scram));
    return proven && this.#scramOf(name, scram) !== undefined ? this.#user(name)?.principal : undefined;
  }

  /** Looks at every user, also after a match. */
  #byToken(token: string): Principal | undefined {
    if (token.length > MAX_SECRET_LENGTH) return undefined;
    const digest = sha256(token);
    let found: Principal | undefined;
    for (const user of this.#byName.values()) {
      if (user.tokenDigest !== undefined && timingSafeEqual(user.tokenDigest, digest)) found = user.principal;
    }
    // An access key as a token, for who cannot sign: `ID.SECRET`.
    const dot = token.indexOf('.');
    const isSignedWith = (secret: string): boolean => isSame(secret, token.slice(dot + 1));
    return found ?? (dot > 0 ? this.#byAccessKey({ accessKey: token.slice(0, dot), isSignedWith }) : undefined);
  }
}

/** The password with this hash, the access key with this id, or a certificate. */
type Shown = { hash: string | undefined } | { key: string } | { certificate: string };

/** Who comes without a login, for as long as none is required: the first user that is stored takes its rights away. */
class Anybody implements Principal {
  readonly name = LOCAL_PRINCIPAL.name;
  readonly #logins: Pick<Authenticator, 'required'>;

  constructor(logins: Pick<Authenticator, 'required'>) {
    this.#logins = logins;
  }

  get grants(): readonly Grant[] {
    return this.#logins.required ? [] : LOCAL_PRINCIPAL.grants;
  }

  get gone(): boolean {
    return this.#logins.required;
  }
}

/** What it may do is looked up at each question: a change counts at once, also for who is logged in. */
class StoredPrincipal implements Principal {
  readonly name: string;
  readonly #stored: StoredUserView;
  readonly #shown: Shown;

  constructor(name: string, stored: StoredUserView, shown: Shown) {
    this.name = name;
    this.#stored = stored;
    this.#shown = shown;
  }

  get tags(): readonly string[] {
    return this.#stored.find(this.name)?.tags ?? [];
  }

  get limits(): UserLimits {
    return this.#stored.find(this.name)?.limits ?? {};
  }

  get gone(): boolean {
    if (this.#stored.find(this.name) === undefined) return true;
    return 'key' in this.#shown && !this.#stored.hasAccessKey(this.#shown.key);
  }

  get outdated(): boolean {
    return 'hash' in this.#shown && this.#stored.find(this.name)?.password?.hash !== this.#shown.hash;
  }

  get grants(): readonly Grant[] {
    return this.#stored.grantsOf(this.name);
  }

  get permissions(): readonly Permission[] {
    return this.#stored.permissionsOf(this.name);
  }

  get acls(): Acls {
    return this.#stored.aclsOf(this.name);
  }

  get keyPermissions(): readonly KeyPermission[] {
    return this.#stored.keyPermissionsOf(this.name);
  }
}

/**
 * Passwords that were right before, as digests with a key that only this process has: tools that log in with every
 * request do not cost a scrypt each. Forgotten with the hash that they belong to.
 */
class RememberedLogins {
  readonly #key = randomBytes(32);
  readonly #digests = new Map<string, Buffer>();

  has(name: string, hash: string, password: string): boolean {
    if (password.length > MAX_SECRET_LENGTH) return false;
    const digest = this.#digests.get(name);
    return digest !== undefined && timingSafeEqual(digest, this.#digest(name, hash, password));
  }

  add(name: string, hash: string, password: string): void {
    if (this.#digests.size >= MAX_REMEMBERED) this.#digests.clear();
    this.#digests.set(name, this.#digest(name, hash, password));
  }

  #digest(name: string, hash: string, password: string): Buffer {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([name, hash, password]))
      .digest();
  }
}

interface WaitingLogin {
  readonly from: string;
  readonly start: () => void;
  readonly refuse: (reason: RailheadError) => void;
}

/** At most a few scrypts side by side, a bounded number waiting, of which no network keeps the others out. */
class LoginQueue {
  #running = 0;
  /** In the order in which they came. */
  readonly #waiting: WaitingLogin[] = [];

  async run<T>(from: string, work: () => Promise<T>): Promise<T> {
    if (this.#running >= LOGIN_LIMITS.passwordsAtOnce) {
      if (this.#waiting.length >= LOGIN_LIMITS.passwordsWaiting) this.#makeRoom(from);
      await new Promise<void>((start, refuse) => this.#waiting.push({ from, start, refuse }));
    } else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next.start();
    }
  }

  /** The last one of the network that has most of the places goes. @throws RATE_LIMITED where that is this one */
  #makeRoom(from: string): void {
    const counts = new Map<string, number>();
    for (const waiting of this.#waiting) counts.set(waiting.from, (counts.get(waiting.from) ?? 0) + 1);
    const [crowd, most] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a), [from, 0]);
    const busy = new RailheadError(
      'RATE_LIMITED',
      `${LOGIN_LIMITS.passwordsWaiting} logins by password wait already. Try again later, or use a token.`,
    );
    if (most <= (counts.get(from) ?? 0) + 1) throw busy;
    const last = this.#waiting.findLastIndex((waiting) => waiting.from === crowd);
    for (const gone of this.#waiting.splice(last, 1)) gone.refuse(busy);
  }
}

function userOf({ name, grants, tokenHash, passwordHash }: UserConfig): User {
  return {
    principal: { name, grants },
    tokenDigest: tokenHash === undefined ? undefined : Buffer.from(tokenHash.slice('sha256:'.length), 'hex'),
    password: passwordHash === undefined ? undefined : { text: passwordHash, hash: parsePasswordHash(passwordHash) },
  };
}

function isSame(secret: string, shown: string): boolean {
  return timingSafeEqual(sha256(secret), sha256(shown));
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}

/** The form of `tokenHash` in a config file. A token is random, so a quick hash without salt is enough. */
export function hashToken(token: string): string {
  return `sha256:${sha256(token).toString('hex')}`;
}
