import type { Principal } from '../../core/auth.ts';
import { RailheadError } from '../../core/errors.ts';
import { RenewablePrincipal } from '../renewable-principal.ts';
import { AmqpError } from './errors.ts';

/**
 * What a new secret (`connection.update-secret`) does: of who came with a token, it counts from now on. Other rights are
 * asked for each time: as in RabbitMQ there is nothing to check.
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
