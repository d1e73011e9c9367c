import type { Authenticator, Credentials } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import type { Logger } from './log.ts';

const QUIET_MS = 1_000;

/** Logs refused logins, at most one line a second: a flood of them must not become a flood of lines. Never what was shown. */
export function loggedLogins(authenticator: Required<Authenticator>, log: Logger, clock: Clock): Authenticator {
  let refused = 0;
  let quietUntil = 0;
  return {
    get required() {
      return authenticator.required;
    },
    scramVerifier: (user, algorithm) => authenticator.scramVerifier(user, algorithm),
    async authenticate(credentials, from) {
      try {
        return await authenticator.authenticate(credentials, from);
      } catch (error) {
        refused++;
        if (clock.now() >= quietUntil) {
          quietUntil = clock.now() + QUIET_MS;
          const code = RailheadError.is(error) ? error.code : 'INTERNAL';
          const method = methodOf(credentials);
          log.warn({ method, code, from: from?.network, refused }, 'a login was refused');
          refused = 0;
        }
        throw error;
      }
    },
  };
}

function methodOf(
  credentials: Credentials | undefined,
): 'none' | 'token' | 'password' | 'certificate' | 'scram' | 'signature' {
  if (credentials === undefined) return 'none';
  if ('token' in credentials) return 'token';
  if ('certificate' in credentials) return 'certificate';
  if ('scram' in credentials) return 'scram';
  return 'user' in credentials ? 'password' : 'signature';
}
