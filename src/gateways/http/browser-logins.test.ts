import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Authenticator, Principal } from '../../core/auth.ts';
import { ManualClock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { LOGIN_LIMITS } from '../../core/login-limits.ts';
import { FakeSession } from '../../../test/fake-session.ts';
import { RefusedLogins } from '../refused-logins.ts';
import { BrowserLogins } from './browser-logins.ts';
import { HttpGateway } from './gateway.ts';

const ANN = { user: 'ann', password: 'correct horse' };
const PLAIN = { address: '192.0.2.1', secure: false };
const HOUR_MS = 3_600_000;

function authenticatorOf(principal: Principal): Required<Authenticator> {
  return {
    required: true,
    scramVerifier: () => assert.fail('nobody logs in so'),
    authenticate: async (shown) => {
      if (shown !== undefined && 'password' in shown && shown.password === ANN.password) return principal;
      throw new RailheadError('UNAUTHENTICATED', 'No.');
    },
  };
}

const ANN_PRINCIPAL: Principal = { name: 'ann', grants: [{ namespace: '*', resource: '*', actions: ['inspect'] }] };

function rig(principal: Principal = ANN_PRINCIPAL) {
  const clock = new ManualClock(0);
  const refused = new RefusedLogins(clock);
  const authenticator = refused.limited(authenticatorOf(principal));
  return { clock, logins: new BrowserLogins(authenticator, clock, refused) };
}

/** What a browser sends back of a cookie that was set. */
function kept(cookie: string): string {
  return cookie.split(';', 1)[0] ?? '';
}

test('the cookie can be read by no script, sent by no other site, and is bound to TLS where there is TLS', async () => {
  const { logins } = rig();
  const { cookie } = await logins.login(ANN, PLAIN);
  assert.match(cookie, /^railhead=[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/);
  const secure = await logins.login(ANN, { ...PLAIN, secure: true });
  assert.match(secure.cookie, /^__Host-railhead=[\w-]{43}; .*; SameSite=Strict; Secure$/);
  assert.equal(logins.find(`other=1; ${kept(cookie)}; x=2`, PLAIN)?.principal.name, 'ann');
  assert.equal(logins.find(kept(cookie), { secure: true }), undefined);
  for (const none of [undefined, '', 'railhead=', 'railhead=x', `Xrailhead=${kept(cookie)}`])
    assert.equal(logins.find(none, PLAIN), undefined);
});

test('a login ends after an hour without a request, after twelve hours, and with a logout', async () => {
  const { clock, logins } = rig();
  const first = kept((await logins.login(ANN, PLAIN)).cookie);
  clock.advance(HOUR_MS - 1);
  assert.ok(logins.find(first, PLAIN));
  clock.advance(HOUR_MS);
  assert.equal(logins.find(first, PLAIN), undefined);
  const second = kept((await logins.login(ANN, PLAIN)).cookie);
  for (let minutes = 0; minutes < 12 * 60 - 30; minutes += 30) {
    clock.advance(HOUR_MS / 2);
    assert.ok(logins.find(second, PLAIN), `${minutes}`);
  }
  clock.advance(HOUR_MS / 2);
  assert.equal(logins.find(second, PLAIN), undefined);
  const third = kept((await logins.login(ANN, PLAIN)).cookie);
  assert.match(logins.logout(third, PLAIN), /^railhead=; .*Max-Age=0/);
  assert.equal(logins.find(third, PLAIN), undefined);
});

test('a login ends when its user is deleted, and when the password is another one', async () => {
  for (const over of ['gone', 'outdated'] as const) {
    const principal = { ...ANN_PRINCIPAL, [over]: false };
    const { logins } = rig(principal);
    const cookie = kept((await logins.login(ANN, PLAIN)).cookie);
    assert.ok(logins.find(cookie, PLAIN));
    principal[over] = true;
    assert.equal(logins.find(cookie, PLAIN), undefined);
  }
});

test('after ten refused logins in a minute an address waits, with the right password too, and no other does', async () => {
  const { clock, logins } = rig();
  const from = (address: string, password: string) => logins.login({ user: 'ann', password }, { ...PLAIN, address });
  for (let i = 0; i < 10; i++) await assert.rejects(from('2001:db8::1', `x${i}`), { code: 'UNAUTHENTICATED' });
  await assert.rejects(from('2001:db8::1', ANN.password), { code: 'RATE_LIMITED', message: /60 s/ });
  await assert.rejects(from('2001:db8::ffff', ANN.password), { code: 'RATE_LIMITED' });
  assert.ok(await from('2001:db8:0:1::1', ANN.password));
  assert.ok(await from('192.0.2.1', ANN.password));
  clock.advance(60_000);
  assert.ok(await from('2001:db8::1', ANN.password));
  for (let i = 0; i < 20; i++) assert.ok(await from('2001:db8::1', ANN.password), 'who is let in is not counted');
});

test('over HTTP: a cookie reads, and changes only with the token that other sites do not know', async () => {
  const session = new FakeSession();
  const gateway = new HttpGateway({
    connect: () => session,
    authenticator: authenticatorOf(ANN_PRINCIPAL),
    health: () => ({ state: 'open', reason: null }),
    clock: new ManualClock(0),
    maxBodyBytes: 1 << 20,
    maxMemoryBytes: 1 << 20,
    allowedHosts: [],
    onBug: (error) => assert.fail(String(error)),
  });
  const call = async (method: string, path: string, headers: Record<string, string> = {}, body?: object) => {
    const response = await gateway.fetch(
      new Request(`http://localhost/api/v1${path}`, {
        method,
        headers: { host: 'localhost', ...(body && { 'content-type': 'application/json' }), ...headers },
        ...(body && { body: JSON.stringify(body) }),
      }),
      PLAIN,
    );
    // Looked at without a check, since it is what is tested.
    const answer = (await response.json()) as { csrf: string; name: string; may: Record<string, boolean> };
    return { status: response.status, answer, cookie: kept(response.headers.get('set-cookie') ?? '') };
  };
  assert.equal((await call('GET', '/whoami')).status, 401);
  assert.equal((await call('POST', '/login', {}, { ...ANN, password: 'wrong' })).status, 401);
  assert.equal((await call('POST', '/login', {}, { user: 'ann' })).status, 400);
  assert.equal((await call('POST', '/login', { origin: 'http://evil.example' }, ANN)).status, 403);
  assert.equal((await call('POST', '/login', {}, { user: 'ann', password: 'x'.repeat(20_000) })).status, 413);
  const { status, answer, cookie } = await call('POST', '/login', {}, ANN);
  assert.equal(status, 200);
  assert.deepEqual([answer.name, answer.may['inspect'], answer.may['publish']], ['ann', true, false]);
  assert.equal((await call('GET', '/whoami', { cookie })).answer.csrf, answer.csrf);
  assert.notEqual((await call('GET', '/queues', { cookie })).status, 401);
  assert.equal((await call('DELETE', '/queues/q', { cookie })).status, 403);
  assert.equal((await call('DELETE', '/queues/q', { cookie, 'railhead-csrf': 'x' })).status, 403);
  assert.equal((await call('POST', '/logout', { cookie })).status, 403);
  assert.notEqual((await call('DELETE', '/queues/q', { cookie, 'railhead-csrf': answer.csrf })).status, 403);
  assert.equal((await call('POST', '/logout', { cookie, 'railhead-csrf': answer.csrf })).status, 200);
  assert.equal((await call('GET', '/whoami', { cookie })).status, 401);
});

test('the oldest of too many logins, and of too many addresses with refused ones, is forgotten', async () => {
  const { logins } = rig();
  const cookies: string[] = [];
  for (let i = 0; i <= LOGIN_LIMITS.browsers; i++) cookies.push(kept((await logins.login(ANN, PLAIN)).cookie));
  assert.equal(logins.find(cookies[0], PLAIN), undefined);
  for (const one of [1, LOGIN_LIMITS.browsers]) assert.ok(logins.find(cookies[one], PLAIN), `${one}`);
  const from = (i: number) => ({ ...PLAIN, address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}` });
  const fail = async (i: number): Promise<void> => {
    await assert.rejects(logins.login({ ...ANN, password: 'wrong' }, from(i)), { code: 'UNAUTHENTICATED' });
  };
  for (const one of [0, 1]) for (let i = 0; i < LOGIN_LIMITS.refusedOfAddress; i++) await fail(one);
  await assert.rejects(logins.login(ANN, from(0)), { code: 'RATE_LIMITED' });
  for (let i = 2; i <= LOGIN_LIMITS.refusedAddresses; i++) await fail(i);
  await logins.login(ANN, from(0));
  await assert.rejects(logins.login(ANN, from(1)), { code: 'RATE_LIMITED' });
});
