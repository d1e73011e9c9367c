import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Authority } from '../../../test/certificates.ts';
import { EngineBench } from '../../../test/engine/bench.ts';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../core/access.ts';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import type { Listener } from '../../gateways/listener.ts';
import { checkConfig } from '../config.ts';
import type { ServerConfigInput } from '../settings.ts';
import { hashToken } from '../users.ts';
import type { DoctorFacts } from './checks.ts';
import { type DoctorParts, lookAround } from './facts.ts';

async function place(t: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-facts-'));
  const bench = await new EngineBench().start();
  t.after(async () => {
    await bench.broker.close();
    await rm(dir, { recursive: true });
  });
  const { broker } = bench;
  const users = new StoredUsers(broker.connect({ principal: LOCAL_PRINCIPAL, namespace: SYSTEM_NAMESPACE }));
  const look = (config: ServerConfigInput, more: Partial<DoctorParts> = {}): Promise<DoctorFacts> =>
    lookAround({
      config: checkConfig({ dir, ...config }),
      broker,
      listeners: new Map(),
      off: [],
      loginRequired: true,
      alertRules: 0,
      scraped: false,
      ...more,
    });
  return { dir, users, look };
}

const names = ({ readable }: DoctorFacts): string[] => readable.map(({ file }) => file.split('/').at(-1) ?? '').sort();

test('each file with a secret is found that its group or others can read, and none that its owner alone can', async (t) => {
  const { dir, look } = await place(t);
  const files = ['tls.key', 'access.key', 'alert.secret'].map((name) => join(dir, name));
  const [key, accessKeyFile, alertSecretFile] = files;
  assert.ok(key !== undefined && accessKeyFile !== undefined && alertSecretFile !== undefined);
  for (const file of files) await writeFile(file, 'a secret', { mode: 0o600 });
  const { file: cert } = await Authority.make(t);
  const config = { tls: { cert, key }, accessKeyFile, alertSecretFile };
  assert.deepEqual(names(await look(config)), []);
  for (const mode of [0o640, 0o604]) {
    for (const file of files) await chmod(file, mode);
    assert.deepEqual(names(await look(config)), ['access.key', 'alert.secret', 'tls.key'], mode.toString(8));
  }
  // Without a setting the key of access keys lies in the directory.
  await writeFile(join(dir, 'railhead.key'), 'a secret', { mode: 0o644 });
  await chmod(dir, 0o750);
  const [at = ''] = dir.split('/').slice(-1);
  assert.deepEqual(names(await look({})), ['railhead.key', at].sort());
  await chmod(dir, 0o700);
});

test('the end of the certificate is that of the file, also when it was renewed since the start', async (t) => {
  const { dir, look } = await place(t);
  const { file: cert } = await Authority.make(t);
  const key = join(dir, 'tls.key');
  const facts = await look({ tls: { cert, key } });
  const leftMs = (facts.certificateEnds ?? 0) - facts.now;
  assert.ok(facts.tls && leftMs > 86_400_000 && leftMs <= 2 * 86_400_000, String(leftMs));
  const plain = await look({});
  assert.deepEqual([plain.tls, plain.certificateEnds], [false, null]);
});

test('who may do everything is told apart from who has rules or another role, in the configuration and among the stored', async (t) => {
  const { users, look } = await place(t);
  await users.put({ name: 'root', role: 'admin' });
  await users.put({ name: 'watcher', role: 'viewer' });
  await users.put({ name: 'nobody' });
  const config: ServerConfigInput = {
    users: [
      { name: 'boss', tokenHash: hashToken('x'), grants: [{ namespace: '*', resource: '*', actions: 'all' }] },
      { name: 'shop', tokenHash: hashToken('y'), grants: [{ resource: '*', actions: 'all' }] },
    ],
  };
  const facts = await look({ ...config, token: 'a-token-that-nobody-guesses' });
  assert.deepEqual([[...facts.mayEverything].sort(), facts.users, facts.onlyLogin], [['boss', 'root'], 5, null]);
});

test('a token that is the only login is told, and so is an access key', async (t) => {
  const { look } = await place(t);
  assert.equal((await look({ token: 'a-token-that-nobody-guesses' })).onlyLogin, 'token');
  assert.equal((await look({ accessKey: 'AKID:a-secret-that-nobody-guesses' })).onlyLogin, 'accessKey');
  assert.equal((await look({})).onlyLogin, null);
});

test('ports that nobody has connected to are named, but for the main one', async (t) => {
  const { look } = await place(t);
  // Nothing else of it is asked for.
  const port = (accepted: number): Listener => ({ figures: () => ({ accepted }) }) as Listener;
  const listeners = new Map([
    ['railhead', port(0)],
    ['amqp', port(0)],
    ['kafka', port(3)],
  ]);
  const { unused, ports } = await look({}, { listeners });
  assert.deepEqual([unused, ports], [['amqp'], 3]);
});
