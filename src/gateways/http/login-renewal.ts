import type { Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { RenewablePrincipal } from '../renewable-principal.ts';

/** It is renewed after such a part of the time that is left, and where nobody could be asked, again after so long. */
const AFTER = 0.8;
const AGAIN_MS = 10_000;

export interface LoginRenewalOptions {
  readonly clock: Clock;
  /** Of the login; it becomes who it is from then on. */
  readonly principal: RenewablePrincipal;
  /** See `Vouched`. */
  readonly renew: () => Promise<Principal>;
  /** The login ends then in any case, ms. */
  readonly overAt: number;
  /** Nobody is asked about a login that nobody uses: it ends with what was said of it the last time. */
  readonly isUsed: () => boolean;
  readonly onRenewed: () => void;
  /** Nobody vouches for it any more. What it has begun, such as a stream of events, has ended. */
  readonly onRefused: () => void;
}

/** Keeps a login going for as long as somebody vouches for it, without the person noticing. */
export class LoginRenewal {
  readonly #options: LoginRenewalOptions;
  #cancel = (): void => {};
  #stopped = false;

  constructor(options: LoginRenewalOptions) {
    this.#options = options;
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #arm(waitMs = AFTER * (this.#options.principal.expiresAt - this.#options.clock.now())): void {
    const { clock, principal, overAt } = this.#options;
    const at = clock.now() + waitMs;
    if (at < Math.min(principal.expiresAt, overAt)) this.#cancel = clock.timer(at, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const { principal, renew, isUsed, onRenewed, onRefused } = this.#options;
    if (!isUsed()) return;
    try {
      const shown = await renew();
      if (this.#stopped) return;
      principal.renew(shown);
      onRenewed();
      this.#arm();
    } catch (error) {
      if (this.#stopped) return;
      if (!RailheadError.is(error, 'UNAUTHENTICATED')) {
        this.#arm(AGAIN_MS);
        return;
      }
      principal.renew({ name: principal.name, grants: [], gone: true, expiresAt: 0 });
      onRefused();
    }
  }
}
