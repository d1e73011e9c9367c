/** People who log in to the dashboard with an issuer: the authorization code flow with PKCE, over HTTP as a browser does it. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ManualClock } from '../../core/clock.ts';
import { nextTurn } from '../../core/real-time.ts';
import { Issuer } from '../../../test/issuer.ts';
import { startServer } from '../index.ts';

const LIFE_MS = 300_000;
const ALLOW = [
  { claim: 'groups', has: 'ops', role: 'operator' as const },
  { claim: 'groups', has: 'looking', role: 'viewer' as const },
];

/** A browser's cookies, and nothing else of it. */
class Visitor {
  readonly cookies = new Map<string, string>();

  async get(url: string): Promise<{ status: number; location: string; body: string; cookies: string[] }> {
    const cookie = Array.from(this.cookies, ([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { redirect: 'manual', headers: { ...(cookie !== '' && { cookie }) } });
    const set = response.headers.getSetCookie();
    for (const each of set) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(each) ?? [];
      if (value === '') this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    const location = response.headers.get('location') ?? '';
    return { status: response.status, location, body: await response.text(), cookies: set };
  }
}

async function place(t: TestContext, secret?: string, scope?: string) {
  const clock = new ManualClock();
  const issuer = await Issuer.start(t);
  issuer.now = () => clock.now();
  issuer.clientSecret = secret;
  issuer.visitor = { sub: 'ann', groups: ['ops'] };
  const login = {
    clientId: 'dashboard',
    url: 'http://rail.localhost/ops',
    ...(secret !== undefined && { clientSecret: secret }),
    ...(scope !== undefined && { scope }),
  };
  const sso = { name: 'sso', issuer: issuer.url, audience: 'railhead', addresses: 'any' as const, clockSkew: 0 };
  const server = await startServer(
    { memory: true, port: 0, log: { level: 'silent' }, jwt: [{ ...sso, allow: ALLOW, login }] },
    { clock },
  );
  t.after(() => server.close());
  const api = `${server.httpUrl}/api/v1`;
  /** What a proxy does with the address that people know. */
  const here = (url: string): string => url.replace('http://rail.localhost/ops', server.httpUrl);
  /** Up to the answer of the issuer. */
  const leave = async (visitor: Visitor): Promise<string> => {
    const { location } = await visitor.get(`${api}/login/sso`);
    return here((await new Visitor().get(location)).location);
  };
  const whoami = async (
    visitor: Visitor,
  ): Promise<{ status: number; name?: string; expiresAt?: string; may?: object }> => {
    const { status, body } = await visitor.get(`${api}/whoami`);
    return { status, ...(status === 200 && (JSON.parse(body) as { name: string; expiresAt: string; may: object })) };
  };
  return { clock, issuer, server, api, here, leave, whoami };
}

test('a browser is led to the issuer and comes back logged in, with the rights of its claims, until the token ends', async (t) => {
  const { clock, issuer, api, here, whoami } = await place(t);
  const visitor = new Visitor();
  assert.deepEqual(JSON.parse((await visitor.get(`${api}/login`)).body), { issuers: ['sso'] });
  const begun = await visitor.get(`${api}/login/sso`);
  assert.equal(begun.status, 302);
  const asked = new URL(begun.location);
  assert.equal(`${asked.origin}${asked.pathname}`, `${issuer.url}/authorize`);
  const { state, nonce, code_challenge, ...rest } = Object.fromEntries(asked.searchParams);
  assert.deepEqual(rest, {
    tenant: '1',
    response_type: 'code',
    client_id: 'dashboard',
    redirect_uri: 'http://rail.localhost/ops/api/v1/login/sso/done',
    scope: 'openid profile email',
    code_challenge_method: 'S256',
  });
  for (const chance of [state, nonce, code_challenge]) assert.match(chance ?? '', /^[\w-]{43}$/);
  assert.equal(new Set([state, nonce, code_challenge]).size, 3);
  assert.match(begun.cookies[0] ?? '', /; Max-Age=600; HttpOnly; SameSite=Lax$/);
  assert.ok(
    !begun.location.includes(visitor.cookies.get('railhead-login')?.split('.')[2] ?? ''),
    'the proof was shown',
  );

  const back = await new Visitor().get(begun.location);
  const done = await visitor.get(here(back.location));
  assert.deepEqual([done.status, done.location], [302, 'http://rail.localhost/ops/']);
  assert.match(done.cookies[0] ?? '', /^railhead=[\w-]{43}; .*HttpOnly; SameSite=Strict$/);
  assert.deepEqual([...visitor.cookies.keys()], ['railhead'], 'the cookie of the way there is gone');
  const me = await whoami(visitor);
  assert.deepEqual([me.status, me.name, me.expiresAt], [200, 'sso:ann', new Date(clock.now() + LIFE_MS).toISOString()]);
  assert.deepEqual(me.may, {
    inspect: true,
    publish: true,
    consume: true,
    configure: true,
    manage: true,
    admin: false,
  });

  assert.match((await visitor.get(here(back.location))).location, /login=refused$/, 'an answer is good once');
  clock.advance(LIFE_MS);
  assert.equal((await whoami(visitor)).status, 401);
});

test('an answer of another browser, of another login, or without one logs nobody in', async (t) => {
  const { leave, whoami } = await place(t);
  const isLetIn = async (visitor: Visitor, answer: string): Promise<boolean> => {
    const { location } = await visitor.get(answer);
    assert.equal(location.endsWith('#/?login=refused'), (await whoami(visitor)).status === 401, location);
    return (await whoami(visitor)).status === 200;
  };
  const eve = await leave(new Visitor());
  const ann = new Visitor();
  await leave(ann);
  assert.equal(await isLetIn(ann, eve), false, 'what eve was given, in the browser of ann');
  assert.equal(await isLetIn(new Visitor(), eve), false, 'in one that has begun nothing');
  // The state is of this browser, and the code was given for another proof.
  const bob = new Visitor();
  const mixed = new URL(await leave(bob));
  mixed.searchParams.set('code', new URL(eve).searchParams.get('code') ?? '');
  assert.equal(await isLetIn(bob, mixed.href), false, 'a code that was stolen on its way');
  const carol = new Visitor();
  assert.equal(await isLetIn(carol, await leave(carol)), true);
});

test('who is refused by the issuer, has no right here or a token for something else is not let in', async (t) => {
  const { issuer, leave, whoami, clock } = await place(t);
  const tried = async (): Promise<string | number> => {
    const visitor = new Visitor();
    const { location } = await visitor.get(await leave(visitor));
    return location.endsWith('login=refused') ? 'refused' : (await whoami(visitor)).status;
  };
  issuer.visitor = undefined;
  assert.equal(await tried(), 'refused');
  for (const claims of [
    { aud: 'another-client' },
    { nonce: 'of another login' },
    { azp: 'another-client' },
    { iss: 'https://another.example' },
    { exp: Math.floor(clock.now() / 1000) - 1 },
  ]) {
    issuer.visitor = { sub: 'ann', groups: ['ops'], ...claims };
    assert.equal(await tried(), 'refused', JSON.stringify(claims));
  }
  issuer.visitor = { sub: 'ann', groups: ['ops'] };
  assert.equal(await tried(), 200);
});

test('a client with a secret shows it, and one with a wrong secret logs nobody in', async (t) => {
  const { issuer, leave, whoami } = await place(t, 'a-secret-of-the-client');
  const visitor = new Visitor();
  await visitor.get(await leave(visitor));
  assert.equal((await whoami(visitor)).status, 200);
  issuer.clientSecret = 'another';
  const other = new Visitor();
  assert.match((await other.get(await leave(other))).location, /login=refused$/);
});

test('an issuer that cannot be asked, or that nobody knows, is an error and leads to nobody else', async (t) => {
  const { issuer, api } = await place(t);
  issuer.answer = (_request, response) => void response.writeHead(500).end();
  const { status, location } = await new Visitor().get(`${api}/login/sso`);
  assert.deepEqual([status, location], [302, 'http://rail.localhost/ops/#/?login=unreachable']);
  assert.equal((await new Visitor().get(`${api}/login/nobody`)).status, 404);
  assert.equal((await new Visitor().get(`${api}/login/nobody/done?code=1&state=2`)).status, 404);
});

test('more than ten refused answers from one address in a minute are told to wait', async (t) => {
  const { api } = await place(t);
  const locations: string[] = [];
  for (let i = 0; i < 12; i++)
    locations.push((await new Visitor().get(`${api}/login/sso/done?code=${i}&state=${i}`)).location);
  assert.match(locations[9] ?? '', /login=refused$/);
  assert.match(locations[10] ?? '', /login=later$/);
});

const OFFLINE = 'openid offline_access';

/** Somebody who is logged in with a token that can be renewed. */
async function renewable(t: TestContext, secret?: string) {
  const at = await place(t, secret, OFFLINE);
  const visitor = new Visitor();
  await visitor.get(await at.leave(visitor));
  const me = (): ReturnType<typeof at.whoami> => at.whoami(visitor);
  assert.equal((await me()).status, 200);
  /** To where a login is renewed, and until it was so `times` times. */
  const renewals = async (times: number): Promise<void> => {
    at.clock.advance(0.8 * LIFE_MS);
    while (at.issuer.renewals < times) await nextTurn();
    while ((await me()).expiresAt !== new Date(at.clock.now() + LIFE_MS).toISOString()) await nextTurn();
  };
  /** A look at the issuer, and until it has answered. */
  const refused = async (): Promise<number> => {
    at.clock.advance(0.8 * LIFE_MS);
    while ((await me()).status === 200) await nextTurn();
    return (await me()).status;
  };
  return { ...at, visitor, me, renewals, refused };
}

for (const secret of [undefined, 'a-secret-of-the-client'])
  test(`a login whose issuer gives a refresh token is renewed before its token ends, ${secret === undefined ? 'without' : 'with'} a secret of the client`, async (t) => {
    const { me, renewals, visitor } = await renewable(t, secret);
    const cookie = visitor.cookies.get('railhead');
    for (let life = 1; life <= 4; life++) await renewals(life);
    const { status, name } = await me();
    assert.deepEqual([status, name, visitor.cookies.get('railhead')], [200, 'sso:ann', cookie]);
  });

test('rights that the issuer changes count from the next renewal on', async (t) => {
  const { issuer, me, renewals } = await renewable(t);
  assert.deepEqual((await me()).may, {
    inspect: true,
    publish: true,
    consume: true,
    configure: true,
    manage: true,
    admin: false,
  });
  issuer.renewed = { groups: ['looking'] };
  await renewals(1);
  assert.equal((await me()).status, 200);
  assert.deepEqual(Object.values((await me()).may ?? {}), [true, false, false, false, false, false]);
});

test('a login ends with its next renewal when the issuer refuses it, or it is of somebody else or without rights', async (t) => {
  const changes: ((issuer: Issuer) => void)[] = [
    (issuer) => (issuer.visitor = undefined),
    (issuer) => (issuer.renewed = { groups: [] }),
    (issuer) => (issuer.renewed = { sub: 'bob' }),
    (issuer) => (issuer.renewed = { nonce: 'of another login' }),
    (issuer) => (issuer.renewed = { aud: 'another-client' }),
    (issuer) => (issuer.clientSecret = 'changed'),
  ];
  for (const change of changes) {
    const { issuer, refused } = await renewable(t, 'a-secret-of-the-client');
    change(issuer);
    assert.equal(await refused(), 401, String(change));
  }
});

test('while the issuer cannot be asked a login goes on until its token ends, and is renewed when it can', async (t) => {
  const { clock, issuer, me } = await renewable(t);
  let asked = 0;
  issuer.answer = (_request, response) => {
    asked++;
    response.writeHead(502).end('<html>');
  };
  clock.advance(0.8 * LIFE_MS);
  while (asked === 0) await nextTurn();
  assert.equal((await me()).status, 200);
  issuer.answer = undefined;
  while (issuer.renewals === 0) {
    clock.advance(10_000);
    for (let turn = 0; turn < 50; turn++) await nextTurn();
    assert.equal((await me()).status, 200);
  }
});

test('nobody is asked about a login that was not used for an hour', async (t) => {
  const { clock, issuer, leave, whoami } = await place(t, undefined, OFFLINE);
  issuer.visitor = { sub: 'ann', groups: ['ops'], exp: Math.floor(clock.now() / 1000) + 7_200 };
  const [ann, bob] = [new Visitor(), new Visitor()];
  for (const visitor of [ann, bob]) await visitor.get(await leave(visitor));
  clock.advance(3_000_000);
  assert.equal((await whoami(bob)).status, 200);
  clock.advance(3_000_000);
  while (issuer.renewals === 0) await nextTurn();
  for (let turn = 0; turn < 50; turn++) await nextTurn();
  assert.equal(issuer.renewals, 1);
  assert.deepEqual([(await whoami(ann)).status, (await whoami(bob)).status], [401, 200]);
});

test('nobody is asked about a login that has been ended', async (t) => {
  const { api, clock, issuer, me, visitor } = await renewable(t);
  const csrf = (JSON.parse((await visitor.get(`${api}/whoami`)).body) as { csrf: string }).csrf;
  const cookie = `railhead=${visitor.cookies.get('railhead') ?? ''}`;
  await fetch(`${api}/logout`, { method: 'POST', headers: { cookie, 'railhead-csrf': csrf } });
  clock.advance(LIFE_MS);
  for (let turn = 0; turn < 50; turn++) await nextTurn();
  assert.deepEqual([issuer.renewals, (await me()).status], [0, 401]);
});
