import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHash } from 'node:crypto';
import { ACCESS_KEY, accessKeyPurpose, USER_DOCUMENT } from '../core/access.ts';
import { StoredUserView } from '../core/access-view.ts';
import { type Credentials, isAuthorized, LOCAL_PRINCIPAL } from '../core/auth.ts';
import { RailheadError } from '../core/errors.ts';
import { hashPassword, storedPassword } from '../core/passwords.ts';
import { scramToText } from '../core/scram.ts';
import { Vault } from '../core/vault.ts';
import { checkConfig } from './config.ts';
import { hashToken, UserStore } from './users.ts';

const TOKEN = 'a-token-that-nobody-guesses';

test('without users everybody is the local principal, whatever they show', async () => {
  const users = new UserStore(checkConfig({}));
  assert.equal(users.required, false);
  for (const shown of [undefined, { token: 'anything' }]) {
    const { name, grants } = await users.authenticate(shown);
    assert.deepEqual({ name, grants }, LOCAL_PRINCIPAL);
  }
});

test('the one token of RAILHEAD_TOKEN logs in as the user "token" with every grant', async () => {
  const users = new UserStore(checkConfig({ token: TOKEN }));
  const principal = await users.authenticate({ token: TOKEN });
  assert.equal(principal.name, 'token');
  assert.deepEqual(principal.grants, [{ namespace: '*', resource: '*', actions: 'all' }]);
});

test('a wrong token, an unknown name and a wrong password are refused in the same words', async () => {
  const users = new UserStore(
    checkConfig({ users: [{ name: 'ann', passwordHash: await hashPassword('right password') }] }),
  );
  const messages = new Set<string>();
  for (const credentials of [
    { token: 'wrong' },
    { token: 'x'.repeat(100_000) },
    { user: 'nobody', password: 'right password' },
    { user: 'ann', password: 'wrong password' },
    { user: 'ann', password: 'x'.repeat(100_000) },
    { user: '__proto__', password: '' },
  ]) {
    await assert.rejects(users.authenticate(credentials), (error) => {
      assert.ok(RailheadError.is(error, 'UNAUTHENTICATED'));
      messages.add(error.message);
      return true;
    });
  }
  assert.equal(messages.size, 1);
  assert.equal((await users.authenticate({ user: 'ann', password: 'right password' })).name, 'ann');
});

test('a user logs in by the hash of a token and has exactly the grants of the config', async () => {
  const grants = [{ namespace: 'shop', resource: 'orders*', actions: ['publish' as const] }];
  const users = new UserStore(checkConfig({ users: [{ name: 'web', tokenHash: hashToken(TOKEN), grants }] }));
  assert.deepEqual(await users.authenticate({ token: TOKEN }), { name: 'web', grants });
  await assert.rejects(users.authenticate(undefined), /wants a login/);
});

test('a user who only has a token cannot log in with a password', async () => {
  const users = new UserStore(checkConfig({ users: [{ name: 'web', tokenHash: hashToken(TOKEN) }] }));
  await assert.rejects(users.authenticate({ user: 'web', password: TOKEN }), /refused/);
  assert.equal((await users.authenticate({ user: 'token', password: TOKEN })).name, 'web');
  await assert.rejects(users.authenticate({ user: 'token', password: `${TOKEN}x` }), /refused/);
  await assert.rejects(users.authenticate({ user: 'web', password: '' }), /refused/);
});

test('an access key logs in who signed with its secret, as its user, and nobody else', async () => {
  const secret = 'a-secret-that-nobody-guesses';
  const users = new UserStore(
    checkConfig({
      accessKey: `AKIDALL:${secret}:with-a-colon`,
      users: [{ name: 'web', accessKeys: [{ id: 'AKIDWEB', secret }], grants: [{ resource: 'orders' }] }],
    }),
  );
  const signed = (accessKey: string, by: string) =>
    users.authenticate({ accessKey, isSignedWith: (candidate) => candidate === by });
  assert.equal((await signed('AKIDWEB', secret)).name, 'web');
  assert.equal((await signed('AKIDALL', `${secret}:with-a-colon`)).name, 'access-key');
  for (const [id, by] of [
    ['AKIDWEB', 'another'],
    ['AKIDALL', secret],
    ['AKIDNOBODY', secret],
    ['__proto__', ''],
  ] as const)
    await assert.rejects(signed(id, by), { code: 'UNAUTHENTICATED' });
});

test('an access key that is there twice, or is none, is refused at the start', () => {
  const key = { id: 'AKIDWEB', secret: 'a-secret-that-nobody-guesses' };
  assert.throws(() => checkConfig({ users: [{ name: 'a', accessKeys: [key, key] }] }), /"AKIDWEB" is there twice/);
  assert.throws(() => checkConfig({ accessKey: 'AKIDWEB' }), /accessKey is not acceptable/);
  assert.throws(() => checkConfig({ accessKey: 'AKIDWEB:short' }), /accessKey is not acceptable/);
});

test('more than 66 logins by password at once are refused instead of queued without end', async () => {
  const users = new UserStore(
    checkConfig({
      users: [
        {
          name: 'ann',
          passwordHash: 'scrypt:10:1:1:AAAAAAAAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
        },
      ],
    }),
  );
  const results = await Promise.allSettled(
    Array.from({ length: 70 }, () => users.authenticate({ user: 'ann', password: 'wrong' })),
  );
  const codes = results.map((result) =>
    result.status === 'rejected' && RailheadError.is(result.reason) ? result.reason.code : 'in',
  );
  assert.equal(codes.filter((code) => code === 'RATE_LIMITED').length, 4);
  assert.equal(codes.filter((code) => code === 'UNAUTHENTICATED').length, 66);
});

test('a flood of logins by password from one network leaves the others their places', async () => {
  const passwordHash = await hashPassword('right password');
  const users = new UserStore(checkConfig({ token: TOKEN }), stored({ ann: { passwordHash } }));
  const login = (from: string, password = 'wrong'): Promise<string> =>
    users.authenticate({ user: 'ann', password }, { network: from, isCounted: true, isKnown: false }).then(
      ({ name }) => name,
      (error: unknown) => (RailheadError.is(error) ? error.code : String(error)),
    );
  const flood = Array.from({ length: 70 }, () => login('203.0.113.7'));
  const others = [login('192.0.2.1', 'right password'), login('192.0.2.2', 'right password')];
  assert.deepEqual(await Promise.all(others), ['ann', 'ann']);
  const answers = await Promise.all(flood);
  // Four came too late, and two gave their places.
  assert.equal(answers.filter((code) => code === 'RATE_LIMITED').length, 6);
  assert.equal(answers.filter((code) => code === 'UNAUTHENTICATED').length, 64);
});

/** Stored users as the broker would hand them in. */
function stored(users: Record<string, { passwordHash: string; tags?: string[] }>): StoredUserView {
  const documents = new Map(
    Object.entries(users).map(([name, { passwordHash: hash, tags = [] }]) => [
      name,
      { value: JSON.stringify({ tags, password: { hash, scram: null } }) },
    ]),
  );
  return new StoredUserView({ version: 1, of: (kind) => (kind === 'user' ? documents : new Map()) }, new Vault());
}

test('a user that was exported from RabbitMQ logs in with its old password', async () => {
  // What RabbitMQ 3.10 stored for the password of its guest.
  const passwordHash = `rabbit-sha256:${rabbitHash('guest')}`;
  const users = new UserStore(checkConfig({ token: TOKEN }), stored({ guest: { passwordHash } }));
  assert.equal((await users.authenticate({ user: 'guest', password: 'guest' })).name, 'guest');
  assert.equal((await users.authenticate({ user: 'guest', password: 'guest' })).name, 'guest');
  await assert.rejects(users.authenticate({ user: 'guest', password: 'Guest' }), /refused/);
});

function rabbitHash(password: string): string {
  const salt = Buffer.from([1, 2, 3, 4]);
  return Buffer.concat([salt, createHash('sha256').update(salt).update(password).digest()]).toString('base64');
}

test('the first stored user makes an end of access without a login; one of the configuration hides a stored one', async () => {
  const passwordHash = await hashPassword('right password');
  const open = new UserStore(checkConfig({}), stored({ ann: { passwordHash } }));
  assert.equal(open.required, true);
  for (const shown of [undefined, { token: 'x' }, { user: 'bob', password: 'x' }, { user: 'ann', password: 'x' }])
    await assert.rejects(open.authenticate(shown), { code: 'UNAUTHENTICATED' });
  assert.equal((await open.authenticate({ user: 'ann', password: 'right password' })).name, 'ann');
  const guarded = new UserStore(checkConfig({ token: TOKEN }), stored({ token: { passwordHash } }));
  await assert.rejects(guarded.authenticate({ user: 'token', password: 'right password' }), /refused/);
});

test('an administrator that is stored may change users and use nothing', async () => {
  const passwordHash = await hashPassword('right password');
  const users = new UserStore(checkConfig({}), stored({ ann: { passwordHash, tags: ['administrator'] } }));
  const ann = await users.authenticate({ user: 'ann', password: 'right password' });
  const resource = { namespace: 'default', kind: 'topic' as const, name: 'q' };
  assert.equal(isAuthorized(ann, 'admin', resource), true);
  assert.equal(isAuthorized(ann, 'consume', resource), false);
});

test('who has the name of a stored user in the configuration has nothing of it: no password, no SCRAM, no access key', async () => {
  const password = await storedPassword('right password');
  const vault = new Vault();
  const [id, secret] = ['RKAAAAAAAAAAAAAAAAAA', 'a-secret-that-nobody-guesses'];
  const sealed = vault.seal(accessKeyPurpose(id, 'ann'), secret);
  const documents: Record<string, Map<string, { value: string }>> = {
    [USER_DOCUMENT]: new Map([['ann', { value: JSON.stringify({ password }) }]]),
    [ACCESS_KEY]: new Map([[id, { value: JSON.stringify({ user: 'ann', sealed, createdAt: 1 }) }]]),
  };
  const view = new StoredUserView({ version: 1, of: (kind) => documents[kind] ?? new Map() }, vault);
  const proof = password.scram?.sha256;
  const shown: Credentials[] = [
    { user: 'ann', password: 'right password' },
    { name: 'ann', scram: 'sha256', isProvenBy: (verifier) => scramToText(verifier) === proof },
    { token: `${id}.${secret}` },
    { user: id, password: secret },
    { accessKey: id, isSignedWith: (known) => known === secret },
  ];
  const free = new UserStore(checkConfig({}), view);
  for (const each of shown) assert.equal((await free.authenticate(each)).name, 'ann');
  const users = [{ name: 'ann', tokenHash: hashToken(TOKEN), grants: [] }];
  const hidden = new UserStore(checkConfig({ users }), view);
  for (const each of shown) await assert.rejects(hidden.authenticate(each), { code: 'UNAUTHENTICATED' });
  assert.notEqual(scramToText(hidden.scramVerifier('ann', 'sha256')), proof);
});

test('a password that was right before is refused once there is another one', async () => {
  const documents = new Map<string, { value: string }>();
  const source = { version: 0, of: (kind: string) => (kind === USER_DOCUMENT ? documents : new Map()) };
  const users = new UserStore(checkConfig({}), new StoredUserView(source, new Vault()));
  const set = async (password: string): Promise<void> => {
    documents.set('ann', { value: JSON.stringify({ password: { hash: await hashPassword(password), scram: null } }) });
    source.version++;
  };
  await set('the first one');
  // The second time it is remembered.
  for (let i = 0; i < 2; i++) await users.authenticate({ user: 'ann', password: 'the first one' });
  await set('another one');
  await assert.rejects(users.authenticate({ user: 'ann', password: 'the first one' }), { code: 'UNAUTHENTICATED' });
  assert.equal((await users.authenticate({ user: 'ann', password: 'another one' })).name, 'ann');
});

test('a certificate is that of a user by name, and never of the one token or access key', async () => {
  const users = [{ name: 'shop', tokenHash: hashToken('x'), grants: [] }];
  const config = checkConfig({ token: TOKEN, accessKey: 'AKID:a-secret-that-nobody-guesses', users });
  const store = new UserStore(config);
  assert.equal((await store.authenticate({ certificate: 'shop' })).name, 'shop');
  for (const certificate of ['token', 'access-key', 'local', ''])
    await assert.rejects(store.authenticate({ certificate }), { code: 'UNAUTHENTICATED' });
});
