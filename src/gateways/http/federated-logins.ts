import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Principal } from '../../core/auth.ts';
import { RailheadError } from '../../core/errors.ts';

/**
 * Logins of people with somebody who knows them already (OIDC): the browser is led there, comes back with a code, and the
 * broker fetches with it the token that says who it is. What comes back is bound to the browser that went: `state` and the
 * proof (PKCE) are in a cookie of its own for these minutes, so that the broker keeps nothing for who never comes back.
 */
export interface FederatedIssuer {
  readonly name: string;
  /** Where the pages are, as people open them: ends with a slash. */
  readonly home: string;
  /** Where to lead the browser. @throws when the issuer cannot be asked */
  authorizationUrl(asked: { state: string; nonce: string; challenge: string; redirectUri: string }): Promise<string>;
  /** Who it is. @throws UNAUTHENTICATED; CONNECTION_LOST when the issuer cannot be asked */
  enter(shown: { code: string; verifier: string; nonce: string; redirectUri: string }): Promise<Vouched>;
}

/** Somebody for whom an issuer, or the broker itself, vouches. */
export interface Vouched {
  readonly principal: Principal;
  /**
   * Who it is from now on, before what says so ends. Absent: nobody can be asked.
   *
   * @throws UNAUTHENTICATED: nobody vouches for them any more. Anything else: it could not be asked now.
   */
  readonly renew?: () => Promise<Principal>;
}

/** What a browser keeps between leaving and coming back. */
interface Trip {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

const TRIP_SECONDS = 600;
const RANDOM_BYTES = 32;

export class FederatedLogins {
  readonly #issuers: ReadonlyMap<string, FederatedIssuer>;

  constructor(issuers: readonly FederatedIssuer[]) {
    this.#issuers = new Map(issuers.map((issuer) => [issuer.name, issuer]));
  }

  names(): string[] {
    return [...this.#issuers.keys()];
  }

  /** Where the browser is to go, and what it is to keep. @throws NOT_FOUND */
  async begin(name: string, secure: boolean): Promise<{ location: string; cookie: string }> {
    const issuer = this.#issuer(name);
    const random = (): string => randomBytes(RANDOM_BYTES).toString('base64url');
    const trip: Trip = { state: random(), nonce: random(), verifier: random() };
    const challenge = createHash('sha256').update(trip.verifier).digest('base64url');
    const { state, nonce } = trip;
    const location = await issuer.authorizationUrl({ state, nonce, challenge, redirectUri: redirectUri(issuer) });
    return { location, cookie: tripCookie(secure, `${state}.${nonce}.${trip.verifier}`, TRIP_SECONDS) };
  }

  /** Who has come back. @throws UNAUTHENTICATED, NOT_FOUND */
  async finish(
    name: string,
    came: { code: string | undefined; state: string | undefined; cookies: string | undefined; secure: boolean },
  ): Promise<Vouched> {
    const issuer = this.#issuer(name);
    const trip = tripOf(came.cookies, came.secure);
    const { code, state } = came;
    // Another browser's answer, or one that nobody has asked for: it would log this one in as somebody else.
    if (trip === undefined || code === undefined || state === undefined || !isSame(state, trip.state))
      throw new RailheadError('UNAUTHENTICATED', 'This answer is not to a login that this browser has begun.');
    const { nonce, verifier } = trip;
    return issuer.enter({ code, verifier, nonce, redirectUri: redirectUri(issuer) });
  }

  homeOf(name: string): string {
    return this.#issuer(name).home;
  }

  #issuer(name: string): FederatedIssuer {
    const issuer = this.#issuers.get(name);
    if (issuer === undefined) throw new RailheadError('NOT_FOUND', 'Nobody logs in with an issuer of this name.');
    return issuer;
  }
}

/** Takes it away again: it is good for one answer. */
export function forgetTrip(secure: boolean): string {
  return tripCookie(secure, '', 0);
}

/** To be registered with the issuer. */
function redirectUri({ home, name }: FederatedIssuer): string {
  return `${home}api/v1/login/${name}/done`;
}

function cookieName(secure: boolean): string {
  return secure ? '__Host-railhead-login' : 'railhead-login';
}

/** `Lax`: the browser comes back from another site, and has to bring it. */
function tripCookie(secure: boolean, value: string, seconds: number): string {
  const flags = `Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;
  return `${cookieName(secure)}=${value}; ${flags}`;
}

function tripOf(cookies: string | undefined, secure: boolean): Trip | undefined {
  const start = `${cookieName(secure)}=`;
  const found = (cookies ?? '').split(';').find((cookie) => cookie.trim().startsWith(start));
  const [state, nonce, verifier, more] = found?.trim().slice(start.length).split('.') ?? [];
  if (!state || !nonce || !verifier || more !== undefined) return undefined;
  return { state, nonce, verifier };
}

function isSame(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
