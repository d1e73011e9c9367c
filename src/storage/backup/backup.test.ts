/** Backups of a broker at work, on real files. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { defineQueue } from '../../sdk/define.ts';
import type { Rail } from '../../sdk/rail.ts';
import { open } from '../../server/open.ts';
import { makeBackup } from './backup.ts';
import { BackupRepository } from './repository.ts';
import { restoreBackup } from './restore.ts';

const MAIN = resolve(import.meta.dirname, '../../cli/main.ts');
/** Small, so that much is moved to cold files while the backup goes on. */
const SMALL = { segmentSize: '1MiB', segments: 6 } as const;
const ORDERS = defineQueue<string>('orders');

async function place(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'railhead-backup-'));
  const rails: Rail[] = [];
  t.after(async () => {
    await Promise.all(rails.map((rail) => rail.close()));
    await rm(directory, { recursive: true, force: true });
  });
  const data = join(directory, 'data');
  const repository = new BackupRepository(join(directory, 'backups'));
  const start = async (dir = data): Promise<Rail> => {
    const rail = await open({ dir, journal: SMALL });
    rails.push(rail);
    return rail;
  };
  const backup = (rail: Rail) => makeBackup(data, (operation, args) => rail.request(operation, args), repository);
  const restoreTo = async (name: string): Promise<string> => {
    const newest = (await repository.list()).at(-1);
    assert.ok(newest);
    const target = join(directory, name);
    await restoreBackup(repository, newest, target);
    return target;
  };
  return { directory, data, repository, start, backup, restoreTo };
}

/** Bodies of everything in a queue, which is then empty. */
async function drain(rail: Rail): Promise<Set<string>> {
  const found = new Set<string>();
  for (;;) {
    const messages = await rail.queue(ORDERS).fetch({ max: 1_000, wait: '500ms' });
    if (messages.length === 0) return found;
    for (const message of messages) found.add(message.body);
    await Promise.all(messages.map((message) => message.ack()));
  }
}

test(
  'what was confirmed before a backup began is in it, whatever went on meanwhile',
  { timeout: 120_000 },
  async (t) => {
    const { start, backup, restoreTo } = await place(t);
    const rail = await start();
    const queue = rail.queue(ORDERS);
    const filler = 'x'.repeat(20_000);
    const confirmed = new Set<string>();
    let sent = 0;
    const over = new AbortController();
    const publisher = (async () => {
      while (!over.signal.aborted) {
        const bodies = Array.from({ length: 10 }, () => `${sent++} ${filler}`);
        await queue.sendMany(bodies);
        for (const body of bodies) confirmed.add(body);
      }
    })();
    const settled: string[] = [];
    for (let round = 0; round < 3; round++) {
      while (confirmed.size < (round + 1) * 300) await sleep(5);
      for (const message of await queue.fetch({ max: 20 })) {
        await message.ack();
        settled.push(message.body);
      }
      const before = [...confirmed].filter((body) => !settled.includes(body));
      await backup(rail);
      const restored = await open({ dir: await restoreTo(`restored-${round}`), journal: SMALL });
      const found = await drain(restored);
      await restored.close();
      for (const body of before) assert.ok(found.has(body), `message ${body.slice(0, 10)} is missing`);
      for (const body of settled) assert.ok(!found.has(body), `message ${body.slice(0, 10)} is back`);
    }
    over.abort();
    await publisher;
  },
);

test('a large body is in the backup', async (t) => {
  const { start, backup, restoreTo } = await place(t);
  const rail = await start();
  const body = 'large '.repeat(400_000);
  await rail.queue(ORDERS).send(body);
  await backup(rail);
  const restored = await start(await restoreTo('restored'));
  assert.ok((await drain(restored)).has(body));
});

test('a second backup copies only what is new, and both can be restored', async (t) => {
  const { start, backup, repository, restoreTo } = await place(t);
  const rail = await start();
  const large = (mark: string): string => mark.repeat(2_000_000);
  await rail.queue(ORDERS).send(large('a'));
  const first = await backup(rail);
  await rail.queue(ORDERS).send(large('b'));
  const second = await backup(rail);
  assert.ok(first.copiedBytes >= 2_000_000);
  assert.ok(second.bytes >= 4_000_000);
  assert.ok(second.copiedBytes < second.bytes - 1_500_000, `${second.copiedBytes} of ${second.bytes}`);
  const names = (await repository.list()).map(({ name }) => name);
  assert.deepEqual(names, [first.name, second.name]);
  for (const each of await repository.list()) await repository.verify(each);
  assert.deepEqual(await repository.prune(1), [first.name]);
  const restored = await start(await restoreTo('restored'));
  assert.ok((await drain(restored)).size === 2);
});

test('what no backup needs any more is removed', async (t) => {
  const { data, start, backup, repository } = await place(t);
  const rail = await start();
  await rail.queue(ORDERS).send('z'.repeat(2_000_000));
  await backup(rail);
  await drain(rail);
  // Removed by the broker with its next turns; then the newest backup does not have it.
  await rail.queue(ORDERS).send('small');
  const hasBody = async (): Promise<boolean> =>
    (await readdir(data, { recursive: true })).some((name) => name.includes('body-'));
  while (await hasBody()) await sleep(5);
  await backup(rail);
  assert.ok((await readdir(repository.path('files'))).some((name) => name.startsWith('body-')));
  await repository.prune(1);
  assert.ok(!(await readdir(repository.path('files'))).some((name) => name.startsWith('body-')));
});

test('a bit that flipped in a backup is found, and nothing is restored from it', async (t) => {
  const { directory, start, backup, repository } = await place(t);
  const rail = await start();
  await rail.queue(ORDERS).send('one');
  await backup(rail);
  const [newest] = await repository.list();
  assert.ok(newest);
  await repository.verify(newest);
  const path = repository.path(newest.manifest.files[0]?.stored ?? '');
  const bytes = await readFile(path);
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  await writeFile(path, bytes);
  await assert.rejects(repository.verify(newest), { code: 'JOURNAL_CORRUPT' });
  const target = join(directory, 'restored');
  await assert.rejects(restoreBackup(repository, newest, target), { code: 'JOURNAL_CORRUPT' });
  assert.ok(!existsSync(target));
  assert.ok(!(await readdir(directory)).some((name) => name.includes('unfinished')));
});

test('nothing is restored over a directory that holds something', async (t) => {
  const { data, start, backup, repository } = await place(t);
  await backup(await start());
  const [newest] = await repository.list();
  assert.ok(newest);
  await assert.rejects(restoreBackup(repository, newest, data), { code: 'ALREADY_EXISTS' });
});

test(
  'a backup that is killed leaves none that is half, and the next one removes what it left',
  { timeout: 120_000 },
  async (t) => {
    const { data, directory, start, repository, restoreTo } = await place(t);
    const rail = await start();
    for (let i = 0; i < 12; i++) await rail.queue(ORDERS).send(String(i).padEnd(2_000_000, '.'));
    const railhead = (): ReturnType<typeof spawn> =>
      spawn(process.execPath, [MAIN, 'backup', repository.directory, '--dir', data], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
    let killed = 0;
    for (let wait = 150; wait < 900; wait += 75) {
      const child = railhead();
      // It may be done before it is killed.
      const closed = once(child, 'close');
      await sleep(wait);
      if (child.kill('SIGKILL')) killed++;
      await closed;
      const backups = existsSync(repository.directory) ? await repository.list() : [];
      for (const each of backups) await repository.verify(each);
    }
    assert.ok(killed > 0);
    const child = railhead();
    const [code] = (await once(child, 'close')) as [number | null];
    assert.equal(code, 0);
    assert.ok(!(await readdir(repository.directory)).some((name) => name.startsWith('unfinished-')));
    assert.ok(!(await readdir(repository.path('files'))).some((name) => name.endsWith('.unfinished')));
    const restored = await start(await restoreTo('restored'));
    assert.equal((await drain(restored)).size, 12);
    assert.ok(!existsSync(join(directory, 'restored', 'railhead.key')));
  },
);
