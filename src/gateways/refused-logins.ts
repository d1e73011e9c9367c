import type { Authenticator, LoginOrigin } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { LOGIN_LIMITS } from '../core/login-limits.ts';

const WINDOW_MS = 60_000;

/**
 * Refused logins by the network that they came from, over every protocol: after too many in a minute it waits until the
 * minute is over, with the right secret too. A connection that was let in goes on, until something is refused on it.
 */
export class RefusedLogins {
  readonly #clock: Clock;
  readonly #most: number;
  /** In the order of their first one. */
  readonly #byNetwork = new Map<string, { count: number; until: number }>();

  /** @param most of one network in a minute; 0: any number */
  constructor(clock: Clock, most = LOGIN_LIMITS.refusedOfAddress) {
    this.#clock = clock;
    this.#most = most === 0 ? Infinity : most;
  }

  /** @throws RATE_LIMITED after too many, else what the login says */
  async attempt<T>(from: LoginOrigin, login: () => Promise<T>): Promise<T> {
    if (!from.isKnown) this.#assertFew(from);
    try {
      const entered = await login();
      from.isKnown = true;
      return entered;
    } catch (error) {
      // Also where an issuer could not be asked: strangers must not make us ask it all the time.
      if (RailheadError.is(error, 'UNAUTHENTICATED') || RailheadError.is(error, 'CONNECTION_LOST')) this.#add(from);
      throw error;
    }
  }

  /** The same logins, each an attempt. Nobody guesses who shows nothing, or a certificate. */
  limited(authenticator: Required<Authenticator>): Required<Authenticator> {
    return {
      get required() {
        return authenticator.required;
      },
      scramVerifier: (user, algorithm) => authenticator.scramVerifier(user, algorithm),
      authenticate: (credentials, from) => {
        const isGuess = credentials !== undefined && !('certificate' in credentials) && from?.isCounted === true;
        const login = (): ReturnType<Authenticator['authenticate']> => authenticator.authenticate(credentials, from);
        return isGuess ? this.attempt(from, login) : login();
      },
    };
  }

  /** @throws RATE_LIMITED */
  #assertFew(from: LoginOrigin): void {
    if (this.#byNetwork.size === 0) return;
    const refused = this.#of(from.network);
    if (refused === undefined || refused.count < this.#most) return;
    const seconds = Math.ceil((refused.until - this.#clock.now()) / 1000);
    throw new RailheadError('RATE_LIMITED', `Too many logins were refused. Try again in ${seconds} s.`);
  }

  #add(from: LoginOrigin): void {
    from.isKnown = false;
    const { network } = from;
    const refused = this.#of(network);
    if (refused !== undefined) {
      refused.count++;
      return;
    }
    const [oldest] = this.#byNetwork.keys();
    if (this.#byNetwork.size >= LOGIN_LIMITS.refusedAddresses && oldest !== undefined) this.#byNetwork.delete(oldest);
    this.#byNetwork.set(network, { count: 1, until: this.#clock.now() + WINDOW_MS });
  }

  #of(network: string): { count: number; until: number } | undefined {
    const refused = this.#byNetwork.get(network);
    if (refused === undefined || refused.until > this.#clock.now()) return refused;
    this.#byNetwork.delete(network);
    return undefined;
  }
}
