import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Credentials, LoginOrigin } from '../core/auth.ts';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { RefusedLogins } from './refused-logins.ts';

const GOOD: Credentials = { token: 'good' };
const BAD: Credentials = { token: 'bad' };

function from(network = '192.0.2.1'): LoginOrigin {
  return { network, isCounted: true, isKnown: false };
}

function rig(most?: number) {
  const clock = new ManualClock(0);
  const asked: (Credentials | undefined)[] = [];
  const logins = new RefusedLogins(clock, most).limited({
    required: true,
    scramVerifier: () => assert.fail('nobody logs in so'),
    async authenticate(shown) {
      asked.push(shown);
      if (shown === GOOD || (shown !== undefined && 'certificate' in shown && shown.certificate === 'ann'))
        return LOCAL_PRINCIPAL;
      throw new RailheadError(
        shown === undefined || 'certificate' in shown || shown === BAD ? 'UNAUTHENTICATED' : 'RATE_LIMITED',
        'No.',
      );
    },
  });
  const login = (shown: Credentials | undefined, origin: LoginOrigin | undefined): Promise<string> =>
    logins.authenticate(shown, origin).then(
      ({ name }) => name,
      (error: unknown) => (RailheadError.is(error) ? error.code : String(error)),
    );
  return { clock, asked, login };
}

test('who waits is not asked for its secret, and one that waits does not make it wait longer', async () => {
  const { asked, clock, login } = rig(2);
  for (let i = 0; i < 2; i++) assert.equal(await login(BAD, from()), 'UNAUTHENTICATED');
  clock.advance(59_000);
  for (const shown of [GOOD, BAD]) assert.equal(await login(shown, from()), 'RATE_LIMITED');
  assert.equal(asked.length, 2);
  clock.advance(1_000);
  assert.equal(await login(GOOD, from()), LOCAL_PRINCIPAL.name);
});

test('who shows nothing, or a certificate, guesses at nothing: neither is counted nor waits', async () => {
  const { login } = rig(2);
  const nobody = { certificate: 'nobody' };
  for (let i = 0; i < 5; i++)
    for (const shown of [undefined, nobody]) assert.equal(await login(shown, from()), 'UNAUTHENTICATED');
  for (let i = 0; i < 2; i++) assert.equal(await login(BAD, from()), 'UNAUTHENTICATED');
  assert.equal(await login(BAD, from()), 'RATE_LIMITED');
  assert.equal(await login({ certificate: 'ann' }, from()), LOCAL_PRINCIPAL.name);
  assert.equal(await login(undefined, from()), 'UNAUTHENTICATED');
});

test('a login that was not looked at, for too many wait, is not counted', async () => {
  const { login } = rig(2);
  for (let i = 0; i < 5; i++) assert.equal(await login({ user: 'ann', password: 'x' }, from()), 'RATE_LIMITED');
  assert.equal(await login(GOOD, from()), LOCAL_PRINCIPAL.name);
});

test('this machine, and what comes on no connection, is not counted', async () => {
  const { login } = rig(2);
  for (const origin of [undefined, { ...from(), isCounted: false }])
    for (let i = 0; i < 5; i++) assert.equal(await login(BAD, origin), 'UNAUTHENTICATED');
  assert.equal(await login(GOOD, from()), LOCAL_PRINCIPAL.name);
});
