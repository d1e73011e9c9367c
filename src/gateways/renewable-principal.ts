import type { Grant, Permission, Principal } from '../core/auth.ts';

/**
 * Who a connection is that showed a token which ends: as that token says, until the client shows a newer one. Each
 * connection has its own, so that nobody else's lasts longer by that.
 */
export class RenewablePrincipal implements Principal {
  readonly name: string;
  #shown: Principal;

  constructor(shown: Principal) {
    this.name = shown.name;
    this.#shown = shown;
  }

  /** With one of the same name. */
  renew(shown: Principal): void {
    this.#shown = shown;
  }

  get grants(): readonly Grant[] {
    return this.#shown.grants;
  }

  get permissions(): readonly Permission[] {
    return this.#shown.permissions ?? [];
  }

  get gone(): boolean {
    return this.#shown.gone === true;
  }

  // Of a token, and of what may come in its place.
  get expiresAt(): number {
    return this.#shown.expiresAt ?? Infinity;
  }
}
