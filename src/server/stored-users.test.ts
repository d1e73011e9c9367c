import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { StoredUsers, SYSTEM_NAMESPACE } from '../core/access.ts';
import { StoredUserView } from '../core/access-view.ts';
import { isAuthorized, LOCAL_PRINCIPAL } from '../core/auth.ts';
import { storedPassword } from '../core/passwords.ts';
import { checkConfig } from './config.ts';
import { Owner } from './owner.ts';
import { openStorage } from './storage.ts';
import { UserStore } from './users.ts';
import { vaultOf } from './vault.ts';

const PASSWORD = 'correct horse';
const TOKEN = 'a-token-that-nobody-guesses';

/** The broker of each directory, which ends before that goes: hooks run in the order in which they were made. */
const running = new Map<string, () => Promise<unknown>>();

async function directory(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-users-'));
  t.after(async () => {
    await running.get(dir)?.();
    await rm(dir, { recursive: true, force: true });
  });
  return dir;
}

/** A broker in a directory, with the users that are stored in it. */
async function place(dir: string, keyFile?: string) {
  const config = checkConfig({ dir, token: TOKEN, journal: { segmentSize: '1MiB', segments: 3 } });
  const vault = vaultOf(dir, keyFile);
  const owner = await Owner.open(await openStorage(config), { vault });
  const session = owner.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: SYSTEM_NAMESPACE });
  const view = new StoredUserView(owner.broker.documents(SYSTEM_NAMESPACE), vault);
  const close = async (): Promise<void> => {
    running.delete(dir);
    await owner.close();
  };
  running.set(dir, close);
  return { close, stored: new StoredUsers(session), session, logins: new UserStore(config, view) };
}

test('an access key signs, is a token, and is a name with a password, also after a restart', async (t) => {
  const dir = await directory(t);
  const first = await place(dir);
  await first.stored.put({ name: 'ann' });
  assert.ok(!(await readdir(dir)).includes('railhead.key'), 'a key file is made when it is needed');
  const { id, secret } = await first.stored.addAccessKey('ann', 1);
  const other = await first.stored.addAccessKey('ann', 2);
  await first.stored.removeAccessKey(other.id);
  await first.close();
  assert.equal((await stat(join(dir, 'railhead.key'))).mode & 0o777, 0o600);

  const { stored, logins } = await place(dir);
  assert.deepEqual(
    (await stored.accessKeys()).map((key) => ({ id: key.id, user: key.user, createdAt: key.createdAt })),
    [{ id, user: 'ann', createdAt: 1 }],
  );
  const signed = (accessKey: string, by: string) =>
    logins.authenticate({ accessKey, isSignedWith: (known) => known === by });
  assert.equal((await signed(id, secret)).name, 'ann');
  assert.equal((await logins.authenticate({ token: `${id}.${secret}` })).name, 'ann');
  assert.equal((await logins.authenticate({ user: id, password: secret })).name, 'ann');
  for (const refused of [
    signed(id, 'another'),
    signed(other.id, other.secret),
    logins.authenticate({ token: `${id}.${other.secret}` }),
    logins.authenticate({ token: id }),
    logins.authenticate({ token: `${other.id}.${other.secret}` }),
    logins.authenticate({ user: id, password: 'x' }),
  ])
    await assert.rejects(refused, { code: 'UNAUTHENTICATED' });
  await stored.delete('ann');
  await assert.rejects(signed(id, secret), { code: 'UNAUTHENTICATED' });
  assert.deepEqual(await stored.accessKeys(), []);
});

test('the secret of an access key is nowhere in the journal, and opens with no other key file', async (t) => {
  const dir = await directory(t);
  const first = await place(dir);
  await first.stored.put({ name: 'ann' });
  const { id, secret } = await first.stored.addAccessKey('ann', 1);
  await first.close();
  for (const file of await readdir(dir)) {
    const content = await readFile(join(dir, file));
    assert.ok(!content.includes(secret), file);
  }
  const otherKey = join(dir, 'other.key');
  await writeFile(otherKey, 'ab'.repeat(32));
  const { logins } = await place(dir, otherKey);
  await assert.rejects(logins.authenticate({ token: `${id}.${secret}` }), { code: 'UNAUTHENTICATED' });
});

test('the sealed secret of one user opens for no other', async (t) => {
  const { stored, session, logins } = await place(await directory(t));
  for (const name of ['ann', 'bob']) await stored.put({ name });
  const { id, secret } = await stored.addAccessKey('ann', 1);
  const [key] = await stored.accessKeys();
  const value = JSON.stringify({ user: 'bob', sealed: key?.sealed, createdAt: 1 });
  await session.request('putDocument', { kind: 'accessKey', name: id, value });
  await assert.rejects(logins.authenticate({ token: `${id}.${secret}` }), { code: 'UNAUTHENTICATED' });
});

test('a key file that is not there, or holds no key, is refused with the command that makes one', async (t) => {
  const dir = await directory(t);
  assert.throws(() => vaultOf(dir, join(dir, 'none')), { code: 'CONFIG', message: /openssl rand -hex 32/ });
  await writeFile(join(dir, 'short'), 'abc');
  assert.throws(() => vaultOf(dir, join(dir, 'short')), { code: 'CONFIG', message: /64 hexadecimal digits/ });
});

test('a password that is set can be proven by SCRAM; a change of the role leaves it as it is', async (t) => {
  const { stored, logins } = await place(await directory(t));
  await stored.put({ name: 'ann', password: await storedPassword(PASSWORD) });
  await stored.put({ name: 'ann', role: 'viewer' });
  assert.equal((await logins.authenticate({ user: 'ann', password: PASSWORD })).name, 'ann');
  for (const scram of ['sha256', 'sha512'] as const) {
    const { salt } = logins.scramVerifier('ann', scram);
    const proven = { name: 'ann', scram, isProvenBy: (verifier: { salt: Buffer }) => verifier.salt.equals(salt) };
    assert.equal((await logins.authenticate(proven)).name, 'ann');
    await assert.rejects(logins.authenticate({ ...proven, isProvenBy: () => false }), { code: 'UNAUTHENTICATED' });
  }
});

test('a name that nobody has is shown a salt that stays the same, and no proof fits it', async (t) => {
  const { logins } = await place(await directory(t));
  const shown = [1, 2].map(() => logins.scramVerifier('nobody', 'sha256').salt.toString('hex'));
  assert.equal(shown[0], shown[1]);
  assert.notEqual(shown[0], logins.scramVerifier('somebody', 'sha256').salt.toString('hex'));
  await assert.rejects(logins.authenticate({ name: 'nobody', scram: 'sha256', isProvenBy: () => true }), {
    code: 'UNAUTHENTICATED',
  });
});

test('roles and rules say what a user may do, at once and for who is logged in', async (t) => {
  const { stored, logins } = await place(await directory(t));
  await stored.put({ name: 'ann', password: await storedPassword(PASSWORD) });
  const ann = await logins.authenticate({ user: 'ann', password: PASSWORD });
  const may = (action: Parameters<typeof isAuthorized>[1], name: string, namespace = 'shop'): boolean =>
    isAuthorized(ann, action, { namespace, kind: 'topic', name });
  assert.equal(may('inspect', 'orders'), false);
  await stored.allow({ user: 'ann', namespace: 'shop', pattern: 'orders*', verbs: ['publish'] });
  assert.deepEqual(
    [may('publish', 'orders-eu'), may('inspect', 'orders'), may('publish', 'other'), may('publish', 'orders', 'b')],
    [true, true, false, false],
  );
  assert.deepEqual([may('consume', 'orders'), may('configure', 'orders')], [false, false]);
  await stored.allow({ user: 'ann', namespace: 'shop', pattern: 'orders*', verbs: ['consume', 'manage'] });
  assert.deepEqual(
    [may('publish', 'orders'), may('consume', 'orders'), may('configure', 'orders'), may('admin', 'orders')],
    [false, true, true, false],
  );
  await stored.disallow({ user: 'ann', namespace: 'shop', pattern: 'orders*' });
  assert.equal(may('consume', 'orders'), false);
  for (const [role, inspect, consume, admin] of [
    ['viewer', true, false, false],
    ['operator', true, true, false],
    ['admin', true, true, true],
    [null, false, false, false],
  ] as const) {
    await stored.put({ name: 'ann', role });
    assert.deepEqual(
      [may('inspect', 'q'), may('consume', 'q'), may('admin', 'q')],
      [inspect, consume, admin],
      `${role}`,
    );
  }
  await assert.rejects(stored.allow({ user: 'ann', namespace: 'shop', pattern: 'a*b', verbs: ['publish'] }), {
    code: 'INVALID',
  });
  await assert.rejects(stored.allow({ user: 'bob', namespace: 'shop', pattern: 'a', verbs: ['publish'] }), {
    code: 'NOT_FOUND',
  });
});
