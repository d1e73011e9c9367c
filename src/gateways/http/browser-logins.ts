import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Authenticator, Credentials, LoginOrigin, Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { LOGIN_LIMITS } from '../../core/login-limits.ts';
import { networkOf } from '../by-address.ts';
import type { RefusedLogins } from '../refused-logins.ts';
import { RenewablePrincipal } from '../renewable-principal.ts';
import type { Vouched } from './federated-logins.ts';
import { LoginRenewal } from './login-renewal.ts';

const { browserIdleMs: IDLE_MS, browserMs: MAX_AGE_MS, browsers: MAX_LOGINS } = LOGIN_LIMITS;

/** Where a request came from, by its socket; never by what a header says. */
export interface Origin {
  readonly address: string;
  /** Over TLS. */
  readonly secure: boolean;
  /** Who it is by the certificate of the connection. */
  readonly certificate?: string;
  /** What it came on. Absent within the process. */
  readonly connection?: LoginOrigin;
}

/** What a request brings beside itself, for Hono. */
export interface HttpEnv {
  Bindings: { origin: Origin };
}

export interface BrowserLogin {
  readonly principal: Principal;
  /** To be sent in the header `Railhead-Csrf` with all that changes something: another site does not know it. */
  readonly csrf: string;
  readonly expiresAt: number;
}

interface Kept extends BrowserLogin {
  readonly digest: string;
  expiresAt: number;
  usedAt: number;
  renewal?: LoginRenewal;
}

/**
 * Logins of people who use a browser: a cookie that scripts cannot read and other sites cannot send, kept here by its
 * digest. Volatile: a restart of the broker asks everybody to log in again.
 */
export class BrowserLogins {
  readonly #authenticator: Authenticator;
  readonly #clock: Clock;
  /** By digest, in the order of last use. */
  readonly #logins = new Map<string, Kept>();
  /** Ended before their time, of which an answer may still go on. */
  readonly #over = new WeakSet<BrowserLogin>();
  readonly #refused: RefusedLogins;

  /** @param refused of every protocol; `authenticator` knows it, too */
  constructor(authenticator: Authenticator, clock: Clock, refused: RefusedLogins) {
    this.#authenticator = authenticator;
    this.#clock = clock;
    this.#refused = refused;
  }

  /** @throws UNAUTHENTICATED, RATE_LIMITED after too many of these from one address */
  async login(credentials: Credentials, origin: Origin): Promise<{ login: BrowserLogin; cookie: string }> {
    const principal = await this.#authenticator.authenticate(credentials, browserAt(origin));
    return this.#open({ principal }, origin);
  }

  /** The same for who is known in another way. @throws UNAUTHENTICATED, RATE_LIMITED */
  async loginAs(
    authenticate: () => Promise<Vouched>,
    origin: Origin,
  ): Promise<{ login: BrowserLogin; cookie: string }> {
    return this.#open(await this.#refused.attempt(browserAt(origin), authenticate), origin);
  }

  #open(vouched: Vouched, { secure }: Origin): { login: BrowserLogin; cookie: string } {
    const id = randomBytes(32).toString('base64url');
    const now = this.#clock.now();
    const csrf = randomBytes(24).toString('base64url');
    const overAt = now + MAX_AGE_MS;
    const { renew } = vouched;
    const principal = renew === undefined ? vouched.principal : new RenewablePrincipal(vouched.principal);
    const expiresAt = Math.min(overAt, principal.expiresAt ?? Number.POSITIVE_INFINITY);
    const login: Kept = { principal, csrf, expiresAt, digest: digestOf(id), usedAt: now };
    const [oldest] = this.#logins.values();
    if (this.#logins.size >= MAX_LOGINS && oldest !== undefined) this.#forget(oldest);
    this.#logins.set(login.digest, login);
    if (renew !== undefined && principal instanceof RenewablePrincipal)
      login.renewal = new LoginRenewal({
        clock: this.#clock,
        principal,
        renew,
        overAt,
        isUsed: () => this.#clock.now() < login.usedAt + IDLE_MS,
        onRenewed: () => (login.expiresAt = Math.min(overAt, principal.expiresAt)),
        onRefused: () => this.#forget(login),
      });
    // The cookie is good for as long as the login may become.
    const lastsMs = (renew === undefined ? expiresAt : overAt) - now;
    return { login, cookie: setCookie(secure, id, Math.ceil(lastsMs / 1000)) };
  }

  close(): void {
    for (const { renewal } of this.#logins.values()) renewal?.stop();
  }

  /** Whose cookie it is. Undefined without one, and for one that is over. */
  find(cookies: string | undefined, { secure }: Pick<Origin, 'secure'>): BrowserLogin | undefined {
    const login = this.#logins.get(digestOf(cookieOf(cookies, secure)));
    if (login === undefined) return undefined;
    const now = this.#clock.now();
    const { gone = false, outdated = false } = login.principal;
    if (gone || outdated || now >= login.expiresAt || now >= login.usedAt + IDLE_MS) {
      this.#forget(login);
      return undefined;
    }
    this.#logins.delete(login.digest);
    login.usedAt = now;
    this.#logins.set(login.digest, login);
    return login;
  }

  /** Whether an answer to it that goes on may go on: an hour without another request is no reason to end it. */
  isOpen(login: BrowserLogin): boolean {
    const { principal, expiresAt } = login;
    const { gone = false, outdated = false } = principal;
    return !this.#over.has(login) && !gone && !outdated && this.#clock.now() < expiresAt;
  }

  /** Gives the cookie that takes the cookie away. */
  logout(cookies: string | undefined, { secure }: Pick<Origin, 'secure'>): string {
    const login = this.#logins.get(digestOf(cookieOf(cookies, secure)));
    if (login !== undefined) this.#forget(login);
    return setCookie(secure, '', 0);
  }

  #forget(login: Kept): void {
    login.renewal?.stop();
    this.#logins.delete(login.digest);
    this.#over.add(login);
  }
}

/** Each login stands for itself. Those of this machine count, too: behind a proxy people have its address. */
function browserAt({ address }: Origin): LoginOrigin {
  return { network: networkOf(address), isCounted: true, isKnown: false };
}

/** @throws FORBIDDEN for a request that changes something and does not show the token of its login */
export function assertCsrf(login: BrowserLogin, method: string, shown: string | undefined): void {
  if (method === 'GET' || method === 'HEAD') return;
  if (timingSafeEqual(Buffer.from(digestOf(shown ?? '')), Buffer.from(digestOf(login.csrf)))) return;
  throw new RailheadError(
    'FORBIDDEN',
    'The header Railhead-Csrf does not have the token of this login. GET /api/v1/whoami tells it.',
  );
}

/** `__Host-`: no other host and no plain connection can have set it. Browsers take it over TLS alone. */
function cookieName(secure: boolean): string {
  return secure ? '__Host-railhead' : 'railhead';
}

function setCookie(secure: boolean, id: string, maxAgeSeconds: number): string {
  const flags = `Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`;
  return `${cookieName(secure)}=${id}; ${flags}`;
}

function cookieOf(cookies: string | undefined, secure: boolean): string {
  const start = `${cookieName(secure)}=`;
  for (const cookie of (cookies ?? '').split(';'))
    if (cookie.trim().startsWith(start)) return cookie.trim().slice(start.length);
  return '';
}

function digestOf(id: string): string {
  return createHash('sha256').update(id).digest('hex');
}
