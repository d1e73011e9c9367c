import type { Grant, Permission, Principal } from '../../core/auth.ts';
import { RailheadError } from '../../core/errors.ts';
import { AmqpError } from './errors.ts';

/**
 * Who a connection is that showed a token: as that token says, until the client shows a newer one
 * (`connection.update-secret`). Each connection has its own, so that nobody else's lasts longer by that.
 */
export class RenewablePrincipal implements Principal {
  readonly name: string;
  #shown: Principal;

  constructor(shown: Principal) {
    this.name = shown.name;
    this.#shown = shown;
  }

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
}

/**
 * What a new secret does: of who came with a token, it counts from now on. Other rights are asked for each time: as in
 * RabbitMQ there is nothing to check.
 *
 * @throws NOT_ALLOWED for one that is no good, or of another user
 */
export async function renewSecret(principal: Principal, login: () => Promise<Principal>): Promise<void> {
  if (!(principal instanceof RenewablePrincipal)) return;
  try {
    const shown = await login();
    if (shown.name !== principal.name) throw new AmqpError('NOT_ALLOWED', 'the new secret is of another user');
    principal.renew(shown);
  } catch (error) {
    throw RailheadError.is(error, 'UNAUTHENTICATED')
      ? new AmqpError('NOT_ALLOWED', 'the new secret was refused')
      : error;
  }
}
