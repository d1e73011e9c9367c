import { createHash } from 'node:crypto';
import type * as Jose from 'jose';
import type { Grant, Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { grantOfRule, grantsOfRole } from '../../core/roles.ts';
import { claimHas, claimText } from './claims.ts';
import { CodeFlow, type ExpectedToken } from './code-flow.ts';
import { FileKeys, type Keys, RemoteKeys } from './keys.ts';
import type { IssuerConfig } from './settings.ts';

/** All that comes before a login has to fit into 8 KiB with what is around it. */
const MAX_TOKEN_LENGTH = 8192;
/** Header, claims and signature. */
const TOKEN = /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/;
const MAX_NAME_LENGTH = 200;
/** Tokens that were found good are not verified again with each request over HTTP, but now and then: keys are withdrawn. */
const MAX_REMEMBERED = 10_000;
const REMEMBERED_MS = 10 * 60_000;

export interface JwtLoginsOptions {
  clock: Clock;
  /** A login is over, since its token is. */
  onExpired: () => void;
  /** A token was refused, or keys could not be fetched: why, without the token. */
  onRefused: (issuer: string, why: string) => void;
  onKeysFailure: (issuer: string, why: string) => void;
  /** Somebody came back from the issuer and was not let in, or could not be led there. */
  onLoginFailure: (issuer: string, why: string) => void;
}

interface Issuer {
  readonly config: IssuerConfig;
  readonly keys: Keys;
}

type ExpectedLogin = ExpectedToken & { readonly config: IssuerConfig };

interface Remembered {
  readonly principal: TokenPrincipal;
  readonly until: number;
}

/** Logins with tokens that somebody else has signed. */
export class JwtLogins {
  readonly #options: JwtLoginsOptions;
  readonly #jose: typeof Jose;
  /** By what tokens call them. */
  readonly #issuers: ReadonlyMap<string, Issuer>;
  readonly #closing: AbortController;
  /** By digest, the oldest first. */
  readonly #remembered = new Map<string, Remembered>();
  /** By the time at which they fire. */
  readonly #timers = new Map<number, () => void>();

  private constructor(
    options: JwtLoginsOptions,
    jose: typeof Jose,
    issuers: ReadonlyMap<string, Issuer>,
    closing: AbortController,
  ) {
    this.#options = options;
    this.#jose = jose;
    this.#issuers = issuers;
    this.#closing = closing;
  }

  /**
   * Reads the keys that are in files, and begins to fetch the others: until it has them, nobody is let in by them.
   *
   * @throws CONFIG
   */
  static async open(configs: readonly IssuerConfig[], options: JwtLoginsOptions): Promise<JwtLogins> {
    // Brokers without issuers start without it.
    const jose = await import('jose');
    const closing = new AbortController();
    const issuers = new Map<string, Issuer>();
    for (const config of configs) {
      const onFailure = (why: string): void => options.onKeysFailure(config.name, why);
      const { signal } = closing;
      const keys =
        config.jwksFile === undefined
          ? new RemoteKeys({ jose, issuer: config, clock: options.clock, signal, onFailure })
          : new FileKeys(jose, config.jwksFile);
      const read = keys.renew();
      if (keys instanceof FileKeys) await read;
      issuers.set(config.issuer, { config, keys });
    }
    return new JwtLogins(options, jose, issuers, closing);
  }

  /** Whose it is. Undefined for one that is no good, for whatever reason, and for what is none. */
  async find(token: string): Promise<Principal | undefined> {
    if (token.length > MAX_TOKEN_LENGTH || !TOKEN.test(token)) return undefined;
    const { clock } = this.#options;
    const digest = createHash('sha256').update(token).digest('base64');
    const known = this.#remembered.get(digest);
    if (known !== undefined && known.until > clock.now()) return known.principal;
    this.#remembered.delete(digest);
    const principal = await this.#verify(token);
    if (principal === undefined) return undefined;
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size >= MAX_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest);
    const until = Math.min(principal.expiresAt, clock.now() + REMEMBERED_MS);
    this.#remembered.set(digest, { principal, until });
    this.#watch(principal.expiresAt);
    return principal;
  }

  /** Where people may log in with a browser. */
  codeFlows(): CodeFlow[] {
    const { clock, onLoginFailure } = this.#options;
    return [...this.#issuers.values()].flatMap(({ config }) => {
      const { login } = config;
      if (login === undefined) return [];
      return new CodeFlow({
        issuer: { ...config, login },
        clock,
        signal: this.#closing.signal,
        verify: (token, expected) => this.#findLogin(token, { config, ...expected }),
        onFailure: (why) => onLoginFailure(config.name, why),
      });
    });
  }

  /** Of an ID token, which is for the dashboard itself and for this login alone. */
  async #findLogin(token: string, expected: ExpectedLogin): Promise<Principal | undefined> {
    if (token.length > 4 * MAX_TOKEN_LENGTH || !TOKEN.test(token)) return undefined;
    const principal = await this.#verify(token, expected);
    if (principal !== undefined) this.#watch(principal.expiresAt);
    return principal;
  }

  /** Reads keys again: those in files, and those that may be asked for again. @throws CONFIG */
  async renewKeys(): Promise<void> {
    for (const { keys } of this.#issuers.values()) await keys.renew();
    this.#remembered.clear();
  }

  close(): void {
    this.#closing.abort();
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  /** @param login what an ID token has to be for; others are for the audience that is configured */
  async #verify(token: string, login?: ExpectedLogin): Promise<TokenPrincipal | undefined> {
    const { clock, onRefused } = this.#options;
    const { decodeJwt, jwtVerify } = this.#jose;
    let name = 'unknown';
    try {
      const issuer = this.#issuers.get(decodeJwt(token).iss ?? '');
      if (issuer === undefined) throw new Error('its issuer is not configured');
      const { config, keys } = issuer;
      name = config.name;
      if (login !== undefined && login.config !== config) throw new Error('it is of another issuer');
      const { payload } = await jwtVerify(token, (header, jws) => keys.find(header, jws), {
        issuer: config.issuer,
        audience: login?.clientId ?? config.audience,
        algorithms: config.algorithms,
        clockTolerance: config.clockSkew / 1000,
        currentDate: new Date(clock.now()),
        requiredClaims: ['exp'],
      });
      const { nonce } = payload;
      if (login !== undefined && nonce !== login.nonce && !(login.of === 'renewal' && nonce === undefined))
        throw new Error('it is for another login');
      if (login !== undefined && (payload['azp'] ?? login.clientId) !== login.clientId)
        throw new Error('it is for another client');
      return this.#principalOf(config, payload);
    } catch (error) {
      // Whatever is wrong with it, or with the keys that it names: it is refused.
      onRefused(name, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #principalOf(config: IssuerConfig, payload: Jose.JWTPayload): TokenPrincipal {
    const { exp, nbf, iat } = payload;
    for (const time of [exp, nbf ?? 0, iat ?? 0])
      if (!Number.isSafeInteger(time)) throw new Error('a time in it is no whole number');
    const subject = claimText(payload, config.subject);
    if (subject === undefined || subject.length > MAX_NAME_LENGTH) throw new Error('it names nobody');
    const grants = config.allow
      .filter(({ claim, has }) => claimHas(payload, claim, has))
      .flatMap(({ role, rules }) => [...grantsOfRole(role ?? null), ...rules.map(grantOfRule)]);
    const expiresAt = (exp ?? 0) * 1000 + config.clockSkew;
    return new TokenPrincipal(`${config.name}:${subject}`, grants, expiresAt, this.#options.clock);
  }

  /** Connections are told when their token is over; those that end in the same second, together. */
  #watch(expiresAt: number): void {
    const { clock, onExpired } = this.#options;
    const at = Math.ceil(expiresAt / 1000) * 1000;
    if (this.#timers.has(at) || this.#closing.signal.aborted) return;
    const cancel = clock.timer(at, () => {
      this.#timers.delete(at);
      for (const [digest, { principal }] of this.#remembered) if (principal.gone) this.#remembered.delete(digest);
      onExpired();
    });
    this.#timers.set(at, cancel);
  }
}

/** What its token allows, for as long as that is good. */
class TokenPrincipal implements Principal {
  readonly name: string;
  readonly expiresAt: number;
  readonly #grants: readonly Grant[];
  readonly #clock: Clock;

  constructor(name: string, grants: readonly Grant[], expiresAt: number, clock: Clock) {
    this.name = name;
    this.expiresAt = expiresAt;
    this.#grants = grants;
    this.#clock = clock;
  }

  get grants(): readonly Grant[] {
    return this.gone ? [] : this.#grants;
  }

  get gone(): boolean {
    return this.#clock.now() >= this.expiresAt;
  }
}
