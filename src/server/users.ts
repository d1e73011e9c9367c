import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { LOCAL_PRINCIPAL, type Authenticator, type Credentials, type Grant, type Principal } from '../core/auth.ts';
import { RailheadError } from '../core/errors.ts';
import type { ServerConfig, UserConfig } from './settings.ts';

const SCRYPT = { log2N: 15, r: 8, p: 1, bytes: 32 };
const MAX_SECRET_LENGTH = 1024;
/** One scrypt takes 32 MiB and some 60 ms of one of Node's four pool threads, which file syncs need as well. */
const MAX_CONCURRENT_LOGINS = 2;
const MAX_WAITING_LOGINS = 64;

interface PasswordHash {
  log2N: number;
  r: number;
  p: number;
  salt: Buffer;
  hash: Buffer;
}

interface User {
  principal: Principal;
  tokenDigest: Buffer | undefined;
  password: PasswordHash | undefined;
}

/** The users of a configuration. Holds digests only. */
export class UserStore implements Authenticator {
  readonly required: boolean;
  readonly #byName = new Map<string, User>();
  readonly #nobody: PasswordHash;
  readonly #logins = new LoginQueue();

  constructor(config: Pick<ServerConfig, 'token' | 'users'>) {
    if (config.token !== undefined) {
      const everything: Grant[] = [{ namespace: '*', resource: '*', actions: 'all' }];
      this.#byName.set('token', {
        principal: { name: 'token', grants: everything },
        tokenDigest: sha256(config.token),
        password: undefined,
      });
    }
    for (const user of config.users) this.#byName.set(user.name, userOf(user));
    this.required = this.#byName.size > 0;
    const first = [...this.#byName.values()].find((user) => user.password !== undefined)?.password;
    this.#nobody = { ...(first ?? SCRYPT), salt: randomBytes(16), hash: randomBytes(SCRYPT.bytes) };
  }

  async authenticate(credentials: Credentials | undefined): Promise<Principal> {
    if (!this.required) return LOCAL_PRINCIPAL;
    const principal = credentials === undefined ? undefined : await this.#find(credentials);
    if (principal !== undefined) return principal;
    throw new RailheadError(
      'UNAUTHENTICATED',
      credentials === undefined
        ? 'This broker wants a login. Send a token (Authorization: Bearer TOKEN, or railhead://TOKEN@HOST in a URL).'
        : 'The login was refused: no user has this token, or this name and password.',
    );
  }

  async #find(credentials: Credentials): Promise<Principal | undefined> {
    if ('token' in credentials) return this.#byToken(credentials.token);
    const user = this.#byName.get(credentials.user);
    // An unknown name costs the same scrypt as a known one, or the time would tell which names exist.
    const matches = await this.#logins.run(() => passwordMatches(credentials.password, user?.password ?? this.#nobody));
    return matches && user?.password !== undefined ? user.principal : undefined;
  }

  /** Looks at every user, also after a match. */
  #byToken(token: string): Principal | undefined {
    if (token.length > MAX_SECRET_LENGTH) return undefined;
    const digest = sha256(token);
    let found: Principal | undefined;
    for (const user of this.#byName.values()) {
      if (user.tokenDigest !== undefined && timingSafeEqual(user.tokenDigest, digest)) found = user.principal;
    }
    return found;
  }
}

/** At most a few scrypts side by side, a bounded number waiting. */
class LoginQueue {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= MAX_CONCURRENT_LOGINS) {
      if (this.#waiting.length >= MAX_WAITING_LOGINS) {
        throw new RailheadError(
          'RATE_LIMITED',
          `${MAX_WAITING_LOGINS} logins by password wait already. Try again later, or use a token.`,
        );
      }
      await new Promise<void>((start) => this.#waiting.push(start));
    } else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

function userOf(user: UserConfig): User {
  return {
    principal: { name: user.name, grants: user.grants },
    tokenDigest: user.tokenHash === undefined ? undefined : Buffer.from(user.tokenHash.slice('sha256:'.length), 'hex'),
    password: user.passwordHash === undefined ? undefined : parsePasswordHash(user.passwordHash),
  };
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}

/** The form of `tokenHash` in a config file. A token is random, so a quick hash without salt is enough. */
export function hashToken(token: string): string {
  return `sha256:${sha256(token).toString('hex')}`;
}

/** The form of `passwordHash` in a config file: `scrypt:LOG2_N:R:P:SALT:HASH`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, { ...SCRYPT, salt, hash: Buffer.alloc(SCRYPT.bytes) });
  return ['scrypt', SCRYPT.log2N, SCRYPT.r, SCRYPT.p, salt.toString('base64url'), hash.toString('base64url')].join(':');
}

function parsePasswordHash(text: string): PasswordHash {
  const [, log2N, r, p, salt, hash] = text.split(':');
  return {
    log2N: Number(log2N),
    r: Number(r),
    p: Number(p),
    salt: Buffer.from(salt ?? '', 'base64url'),
    hash: Buffer.from(hash ?? '', 'base64url'),
  };
}

async function passwordMatches(password: string, expected: PasswordHash): Promise<boolean> {
  if (password.length > MAX_SECRET_LENGTH) return false;
  return timingSafeEqual(await derive(password, expected), expected.hash);
}

function derive(password: string, { log2N, r, p, salt, hash }: PasswordHash): Promise<Buffer> {
  const N = 2 ** log2N;
  return new Promise((resolve, reject) => {
    scrypt(password, salt, hash.byteLength, { N, r, p, maxmem: 256 * N * r }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
