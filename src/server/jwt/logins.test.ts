import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { exportSPKI, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { isAuthorized, type Principal } from '../../core/auth.ts';
import { ManualClock } from '../../core/clock.ts';
import { eventually } from '../../../test/eventually.ts';
import { Issuer } from '../../../test/issuer.ts';
import { checkConfig } from '../config.ts';
import type { ServerConfigInput } from '../settings.ts';
import { JwtLogins } from './logins.ts';

type IssuerInput = NonNullable<ServerConfigInput['jwt']>[number];

/** The logins of one issuer, which is fetched from over HTTP unless `config` says otherwise. */
async function place(t: TestContext, config: Partial<IssuerInput> = {}, alg = 'ES256') {
  const clock = new ManualClock();
  const issuer = await Issuer.start(t, alg);
  const why: string[] = [];
  let expired = 0;
  const checked = checkConfig({
    jwt: [{ name: 'sso', issuer: issuer.url, audience: 'railhead', addresses: 'any', ...config }],
  });
  const logins = await JwtLogins.open(checked.jwt, {
    clock,
    onExpired: () => expired++,
    onRefused: (_issuer, reason) => why.push(reason),
    onKeysFailure: (_issuer, reason) => why.push(reason),
    onLoginFailure: (_issuer, reason) => why.push(reason),
  });
  t.after(() => logins.close());
  const sign = (claims?: JWTPayload, header?: { alg?: string; kid?: string }): Promise<string> =>
    issuer.sign(clock.now(), claims, header);
  return { clock, issuer, logins, why, sign, expired: () => expired };
}

/** The claim is left out of what is signed. */
function without(claim: string): JWTPayload {
  return { [claim]: undefined };
}

const seconds = (clock: ManualClock): number => Math.floor(clock.now() / 1000);

for (const alg of ['ES256', 'RS256', 'PS256', 'EdDSA'])
  test(`a token that the issuer signed by ${alg} logs in its subject, under the name of the issuer`, async (t) => {
    const { logins, sign } = await place(t, {}, alg);
    assert.equal((await logins.find(await sign()))?.name, 'sso:ann');
  });

test('a token of another issuer, for somebody else, of no known key, without or with the wrong signature is refused', async (t) => {
  const { logins, sign, issuer, clock, why } = await place(t);
  const good = await sign();
  const [head = '', body = '', signature = ''] = good.split('.');
  const stranger = await Issuer.start(t);
  stranger.url = issuer.url;
  const forged = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(body, 'base64url').toString()), sub: 'root' }));
  const refused = {
    issuer: await sign({ iss: 'https://another.example' }),
    'no issuer': await sign(without('iss')),
    audience: await sign({ aud: 'another' }),
    'no audience': await sign(without('aud')),
    key: await stranger.sign(clock.now()),
    'unknown key': await sign({}, { kid: 'none' }),
    claims: `${head}.${forged.toString('base64url')}.${signature}`,
    signature: `${head}.${body}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`,
    'no subject': await sign(without('sub')),
    'a subject that is no text': await sign({ sub: 7 as never }),
    'a long subject': await sign({ sub: 'x'.repeat(201) }),
    'not yet': await sign({ nbf: seconds(clock) + 60 }),
    'not any more': await sign({ exp: seconds(clock) - 60 }),
    'for ever': await sign(without('exp')),
    'a time with a fraction': await sign({ exp: seconds(clock) + 100.5 }),
  };
  for (const [name, token] of Object.entries(refused)) assert.equal(await logins.find(token), undefined, name);
  assert.equal(why.length, Object.keys(refused).length);
  assert.ok(!why.some((reason) => reason.includes(signature)));
  assert.equal((await logins.find(good))?.name, 'sso:ann');
});

test('a token without a signature, and one that is signed with our public key as a shared secret, are refused', async (t) => {
  const { logins, issuer, clock } = await place(t, {}, 'RS256');
  const claims = { iss: issuer.url, aud: 'railhead', sub: 'root', exp: seconds(clock) + 60 };
  const none = new UnsecuredJWT(claims).encode();
  assert.equal(await logins.find(none), undefined);
  const [key] = issuer.keys;
  assert.ok(key);
  const pem = await exportSPKI(key.publicKey);
  const der = createPublicKey(pem).export({ type: 'spki', format: 'der' });
  for (const secret of [Buffer.from(pem), Buffer.from(pem.trim()), der]) {
    const signed = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'first' }).sign(secret);
    assert.equal(await logins.find(signed), undefined);
  }
});

test('an algorithm that is not on the list is refused, and none with a shared secret can be on it', async (t) => {
  const { logins, sign } = await place(t, { algorithms: ['RS256'] }, 'ES256');
  assert.equal(await logins.find(await sign()), undefined);
  for (const alg of ['none', 'HS256'])
    assert.throws(
      () => checkConfig({ jwt: [{ name: 'a', issuer: 'https://a', audience: 'b', algorithms: [alg as never] }] }),
      /jwt\.0\.algorithms\.0 is not acceptable/,
    );
});

test('keys in the token itself, or at an address that it names, are not looked at', async (t) => {
  const { logins, clock, issuer } = await place(t);
  const stranger = await Issuer.start(t);
  const [jwk] = (await stranger.jwks()).keys;
  const [key] = stranger.keys;
  assert.ok(key && jwk);
  const claims = { iss: issuer.url, aud: 'railhead', sub: 'root', exp: seconds(clock) + 60 };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', kid: 'evil', jwk, jku: `${stranger.url}/keys` })
    .sign(key.privateKey);
  assert.equal(await logins.find(token), undefined);
  assert.equal(stranger.fetched, 0);
});

test('clocks may be apart by the skew, and rights end when the token does', async (t) => {
  const { clock, logins, sign, expired } = await place(t, {
    clockSkew: '10s',
    allow: [{ claim: 'sub', has: 'ann', role: 'operator' }],
  });
  assert.ok(await logins.find(await sign({ nbf: seconds(clock) + 9 })));
  assert.equal(await logins.find(await sign({ nbf: seconds(clock) + 11 })), undefined);
  const token = await sign({ exp: seconds(clock) + 100 });
  const principal = await logins.find(token);
  assert.ok(principal);
  assert.equal(may(principal, 'publish'), true);
  clock.advance(109_999);
  assert.deepEqual([may(principal, 'publish'), principal.gone, expired()], [true, false, 0]);
  clock.advance(1);
  assert.deepEqual([may(principal, 'publish'), principal.gone, expired()], [false, true, 1]);
  assert.equal(await logins.find(token), undefined);
});

function may(principal: Principal, action: 'publish' | 'consume' | 'admin', name = 'orders'): boolean {
  return isAuthorized(principal, action, { namespace: 'shop', kind: 'topic', name });
}

test('claims give roles and rules: texts, lists, words of a scope and what is nested', async (t) => {
  const rules = (verb: 'publish' | 'consume') => [{ verbs: [verb], pattern: 'orders*', namespace: 'shop' }];
  const { logins, sign } = await place(t, {
    allow: [
      { claim: 'groups', has: 'admins', role: 'admin' },
      { claim: 'scope', has: 'orders:write', rules: rules('publish') },
      { claim: 'realm_access.roles', has: 'worker', rules: rules('consume') },
      { claim: 'https://example.com/role', has: 'boss', role: 'admin' },
    ],
  });
  const rights = async (claims: JWTPayload) => {
    const principal = await logins.find(await sign(claims));
    assert.ok(principal);
    return [
      may(principal, 'publish'),
      may(principal, 'consume'),
      may(principal, 'admin'),
      may(principal, 'publish', 'x'),
    ];
  };
  assert.deepEqual(await rights({}), [false, false, false, false]);
  assert.deepEqual(await rights({ groups: ['users', 'admins'] }), [true, true, true, true]);
  assert.deepEqual(await rights({ groups: ['admins2'] }), [false, false, false, false]);
  assert.deepEqual(await rights({ scope: 'openid orders:write' }), [true, false, false, false]);
  assert.deepEqual(await rights({ scope: 'orders:writer' }), [false, false, false, false]);
  assert.deepEqual(await rights({ realm_access: { roles: ['worker'] } }), [false, true, false, false]);
  assert.deepEqual(await rights({ 'https://example.com/role': 'boss' }), [true, true, true, true]);
  assert.deepEqual(await rights({ __proto__: { groups: ['admins'] } }), [false, false, false, false]);
});

test('a new key of the issuer is fetched when a token names it, and strangers cannot make us ask all the time', async (t) => {
  const { clock, logins, sign, issuer } = await place(t);
  assert.ok(await logins.find(await sign()));
  assert.equal(issuer.fetched, 1);
  await issuer.addKey('second');
  clock.advance(30_000);
  assert.ok(await logins.find(await sign()));
  assert.equal(issuer.fetched, 2);
  for (let i = 0; i < 20; i++) assert.equal(await logins.find(await sign({ i }, { kid: `unknown-${i}` })), undefined);
  assert.equal(issuer.fetched, 2);
});

test('keys are fetched anew once they are ten minutes old, by whoever comes then', async (t) => {
  const { clock, logins, sign, issuer } = await place(t);
  const come = async (jti: string) => assert.ok(await logins.find(await sign({ jti, exp: seconds(clock) + 60 })));
  await come('first');
  clock.advance(10 * 60_000);
  await come('second');
  assert.equal(issuer.fetched, 1);
  clock.advance(1);
  await come('third');
  await eventually('the keys were fetched', () => issuer.fetched === 2);
});

test('a withdrawn key lets nobody in after ten minutes, and old keys are believed for an hour without the issuer', async (t) => {
  const { clock, logins, sign, issuer } = await place(t);
  const long = { exp: seconds(clock) + 86_400 };
  const token = await sign(long);
  const principal = await logins.find(token);
  assert.ok(principal);
  assert.equal(await logins.find(token), principal);
  const { answer } = issuer;
  issuer.answer = (_request, response) => response.writeHead(503).end();
  clock.advance(59 * 60_000);
  assert.ok(await logins.find(token));
  clock.advance(2 * 60_000);
  assert.equal(await logins.find(await sign({ ...long, jti: 'another' })), undefined);
  issuer.answer = answer;
  clock.advance(60_000);
  assert.ok(await logins.find(token));
  await issuer.addKey('second');
  issuer.keys.shift();
  clock.advance(11 * 60_000);
  // Fetched meanwhile, or for the second one.
  await logins.find(token);
  clock.advance(30_000);
  await logins.renewKeys();
  assert.equal(await logins.find(token), undefined);
});

test('keys are fetched by https from the open internet, from where the configuration says, and no redirect is followed', async (t) => {
  const config = (more: Partial<IssuerInput>) => () =>
    checkConfig({ jwt: [{ name: 'a', issuer: 'http://a', audience: 'b', ...more }] });
  assert.throws(config({}), /jwt\.0 is not acceptable/);
  assert.throws(config({ jwksUrl: 'http://a/keys' }), /not acceptable/);
  assert.throws(config({ jwksUrl: 'file:///etc/passwd', addresses: 'any' }), /not acceptable/);
  assert.ok(config({ jwksUrl: 'https://a/keys' })());
  const closed = await place(t, { addresses: 'public', jwksUrl: 'https://127.0.0.1:1/keys' });
  assert.equal(await closed.logins.find(await closed.sign()), undefined);
  assert.match(closed.why.join(), /not public/);
  const open = await place(t);
  const other = await Issuer.start(t);
  const bad: [RegExp, string, number, Record<string, string>][] = [
    [/status 302/, '', 302, { location: `${other.url}/keys` }],
    [/more than 65536 bytes/, 'x'.repeat(70_000), 200, {}],
    [/another issuer/, JSON.stringify({ issuer: other.url, jwks_uri: `${other.url}/keys` }), 200, {}],
    [/is not https/, JSON.stringify({ issuer: open.issuer.url, jwks_uri: 'file:///etc/passwd' }), 200, {}],
    [/JSON/, 'nonsense', 200, {}],
  ];
  // What was asked for at the start is not what this is about.
  await open.logins.find(await open.sign());
  for (const [reason, body, status, headers] of bad) {
    open.issuer.answer = (_request, response) => response.writeHead(status, headers).end(body);
    open.clock.advance(3_700_000);
    open.why.length = 0;
    assert.equal(await open.logins.find(await open.sign()), undefined);
    assert.match(open.why.join(), reason);
  }
  assert.equal(other.fetched, 0);
});

test('keys may be in a file, which is read again when asked to, and one that is missing or has no public key is refused', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-jwt-'));
  t.after(() => rm(dir, { recursive: true }));
  const file = join(dir, 'keys.json');
  const issuer = await Issuer.start(t);
  await assert.rejects(place(t, { jwksFile: file }), { code: 'CONFIG', message: /jwksFile is .* cannot be used/ });
  await writeFile(file, JSON.stringify({ keys: [{ kty: 'oct', k: 'AAAA' }] }));
  await assert.rejects(place(t, { jwksFile: file }), { code: 'CONFIG', message: /no public key/ });
  await writeFile(file, JSON.stringify(await issuer.jwks()));
  const { logins, clock } = await place(t, { jwksFile: file, issuer: issuer.url });
  assert.ok(await logins.find(await issuer.sign(clock.now())));
  await issuer.addKey('second');
  const token = await issuer.sign(clock.now());
  assert.equal(await logins.find(token), undefined);
  await writeFile(file, JSON.stringify(await issuer.jwks()));
  await logins.renewKeys();
  assert.ok(await logins.find(token));
  assert.equal(issuer.fetched, 0);
  await writeFile(file, 'nonsense');
  await assert.rejects(logins.renewKeys(), { code: 'CONFIG' });
  assert.ok(await logins.find(token));
});
