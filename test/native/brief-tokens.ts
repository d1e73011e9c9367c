import type { Authenticator, Principal } from '../../src/core/auth.ts';
import type { Clock } from '../../src/core/clock.ts';
import { RailheadError } from '../../src/core/errors.ts';

/** Lets in who shows `NAME:MS`, for so many milliseconds from the start of the test. */
export function briefTokens(clock: Clock): Authenticator {
  const from = clock.now();
  return {
    required: true,
    async authenticate(shown): Promise<Principal> {
      const [, name, ms] = /^(\w+):(\d+)$/.exec(shown !== undefined && 'token' in shown ? shown.token : '') ?? [];
      const expiresAt = from + Number(ms);
      if (name === undefined || clock.now() >= expiresAt) throw new RailheadError('UNAUTHENTICATED', 'Wrong.');
      return {
        name,
        expiresAt,
        grants: [{ namespace: '*', resource: `${name}*`, actions: 'all' }],
        get gone() {
          return clock.now() >= expiresAt;
        },
      };
    },
  };
}
