/** What a backup does with the files of a broker, one step at a time: the broker is a stub that keeps still when it is asked. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { railhead } from '../../test/command-line.ts';
import type { Session } from '../core/session.ts';
import { defineQueue } from '../sdk/define.ts';
import { open } from '../server/open.ts';
import { segmentName } from '../storage/journal/segment.ts';
import { makeBackup } from '../storage/backup/backup.ts';
import { BackupRepository, MANIFEST } from '../storage/backup/repository.ts';
import { restoreBackup } from '../storage/backup/restore.ts';

const LOG = 'the commit log, up to here|and what came later';
const HELD_BYTES = LOG.indexOf('|');

async function place(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'railhead-backup-steps-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const source = join(directory, 'data');
  await mkdir(source);
  await writeFile(join(source, segmentName(1)), LOG);
  const repository = new BackupRepository(join(directory, 'backups'));
  const broker = { held: true, whenAsked: async (): Promise<unknown> => undefined };
  let sequence = 0;
  const answer = async (operation: string): Promise<object> => {
    if (operation === 'releaseStorage') return { held: broker.held };
    assert.equal(operation, 'holdStorage');
    await broker.whenAsked();
    sequence++;
    return { hold: 1, journalId: 'journal', sequence, oldestGeneration: 1, generation: 1, byte: HELD_BYTES };
  };
  // The two operations that a backup asks for.
  const backup = () => makeBackup(source, answer as Session['request'], repository);
  const blob = async (name: string, content: string, at: number): Promise<void> => {
    const path = join(source, `${name}.blob`);
    await writeFile(path, content);
    await utimes(path, at, at);
  };
  const named = async (): Promise<Map<string, string>> => {
    const files = (await repository.list()).at(-1)?.manifest.files ?? [];
    const read = files.map(
      async ({ name, stored }) => [name, await readFile(repository.path(stored), 'utf8')] as const,
    );
    return new Map(await Promise.all(read));
  };
  return { source, repository, broker, backup, blob, named };
}

test('the commit log is copied up to the moment at which the broker kept still, and no byte further', async (t) => {
  const { backup, named } = await place(t);
  await backup();
  assert.deepEqual([...(await named())], [[segmentName(1), LOG.slice(0, HELD_BYTES)]]);
});

test('a file that was made anew under its name is copied again, one that was not is not, and each backup has its own', async (t) => {
  const { repository, backup, blob, named } = await place(t);
  await blob('cold-1', 'the first', 1_000);
  await blob('cold-2', 'as it was', 1_000);
  await backup();
  await blob('cold-1', 'a newer 1', 2_000);
  const { copiedBytes } = await backup();
  assert.equal(copiedBytes, HELD_BYTES + 'a newer 1'.length);
  assert.equal((await named()).get('cold-1.blob'), 'a newer 1');
  const both = await repository.list();
  assert.equal(both.length, 2);
  for (const each of both) await repository.verify(each);
  const again = await backup();
  assert.equal(again.copiedBytes, HELD_BYTES);
});

test('what appeared just before the broker kept still is in the backup, and what went is not', async (t) => {
  const { source, broker, backup, blob, named } = await place(t);
  await blob('cold-1', 'goes', 1_000);
  broker.whenAsked = async () => {
    await rm(join(source, 'cold-1.blob'));
    await blob('cold-2', 'comes', 1_000);
  };
  await backup();
  assert.deepEqual([...(await named()).keys()].sort(), [segmentName(1), 'cold-2.blob'].sort());
});

test('when the broker could not keep still long enough the backup is given up, and nothing of it stays', async (t) => {
  const { repository, broker, backup } = await place(t);
  broker.held = false;
  await assert.rejects(backup(), { code: 'TIMEOUT' });
  assert.deepEqual(await repository.list(), []);
  assert.deepEqual(await readdir(repository.directory), ['files']);
  broker.held = true;
  await backup();
  assert.equal((await repository.list()).length, 1);
});

test('what a backup that was killed has left is removed by the next one, which is whole', async (t) => {
  const { repository, backup, blob } = await place(t);
  await blob('cold-1', 'content', 1_000);
  const left = repository.path('unfinished-4711');
  await mkdir(join(repository.directory, 'files'), { recursive: true });
  await mkdir(left);
  await writeFile(join(left, segmentName(1)), 'half');
  const partial = repository.path(join('files', 'cold-1.blob.unfinished'));
  await writeFile(partial, 'ha');
  await backup();
  assert.deepEqual([existsSync(left), existsSync(partial)], [false, false]);
  for (const each of await repository.list()) await repository.verify(each);
});

test('all but so many of the newest are removed, with what only they needed', async (t) => {
  const { source, repository, backup, blob } = await place(t);
  await blob('cold-1', 'of the first', 1_000);
  await blob('cold-2', 'of all', 1_000);
  const names: string[] = [];
  for (let i = 0; i < 3; i++) {
    names.push((await backup()).name);
    await rm(join(source, 'cold-1.blob'), { force: true });
  }
  assert.deepEqual(await repository.prune(2), names.slice(0, 1));
  const left = await repository.list();
  assert.deepEqual(
    left.map(({ name }) => name),
    names.slice(1),
  );
  for (const each of left) await repository.verify(each);
  assert.deepEqual(
    (await readdir(repository.path('files'))).map((name) => name.split('.')[0]),
    ['cold-2'],
  );
  assert.deepEqual(await repository.prune(2), []);
});

test('a file that is gone from the backups, or was cut short there, is copied again by the next one', async (t) => {
  const { repository, backup, blob } = await place(t);
  await blob('cold-1', 'content', 1_000);
  await backup();
  const [first] = await repository.list();
  const stored = first?.manifest.files.find(({ name }) => name === 'cold-1.blob')?.stored ?? '';
  for (const spoil of [() => rm(repository.path(stored)), () => writeFile(repository.path(stored), 'cont')]) {
    await spoil();
    await backup();
    for (const each of await repository.list()) await repository.verify(each);
  }
  assert.equal((await repository.list()).length, 3);
});

test('a backup that cannot be read hides no other, keeps nobody from the next, and nothing is removed that it may need', async (t) => {
  const { source, repository, backup, blob } = await place(t);
  await blob('cold-1', 'of the first', 1_000);
  const { name } = await backup();
  await rm(join(source, 'cold-1.blob'));
  await writeFile(join(repository.directory, name, MANIFEST), '{');
  const second = await backup();
  const third = await backup();
  assert.deepEqual(await repository.names(), [name, second.name, third.name]);
  assert.deepEqual(
    (await repository.list()).map((each) => each.name),
    [second.name, third.name],
  );
  await assert.rejects(repository.read(name), { code: 'JOURNAL_CORRUPT' });
  assert.deepEqual(await repository.prune(1), [second.name]);
  assert.equal((await readdir(repository.path('files'))).length, 1);
  const restored = await railhead(['restore', repository.directory, '--list']);
  assert.deepEqual([restored.code, restored.out.includes(third.name)], [1, true]);
  assert.match(restored.err, new RegExp(`^${name}: .*cannot be read`));
  // Without it the files that only it needed go with the next one.
  await rm(join(repository.directory, name), { recursive: true });
  await backup();
  assert.deepEqual(await readdir(repository.path('files')), []);
});

test('nothing is restored from a backup of which any file, or what it says of itself, is not as it was', async (t) => {
  const { source, repository } = await place(t);
  await rm(source, { recursive: true });
  const rail = await open({ dir: source });
  await rail.queue(defineQueue<string>('orders')).send('a large body '.repeat(200_000));
  const { name } = await makeBackup(source, (operation, args) => rail.request(operation, args), repository);
  await rail.close();
  const target = join(source, '..', 'restored');
  const manifestPath = join(repository.directory, name, MANIFEST);
  const restore = async (): Promise<void> => restoreBackup(repository, await repository.read(name), target);
  const refused = async (path: string, spoil: (bytes: Buffer) => Buffer | string): Promise<void> => {
    const good = await readFile(path);
    await writeFile(path, spoil(Buffer.from(good)));
    await assert.rejects(restore(), { code: 'JOURNAL_CORRUPT', message: /Choose another/ }, path);
    assert.ok(!existsSync(target));
    await writeFile(path, good);
  };
  const [backup] = await repository.list();
  const files = backup?.manifest.files ?? [];
  assert.ok(files.some((file) => file.name.startsWith('body-')));
  for (const { stored } of files) {
    await refused(repository.path(stored), (bytes) => {
      // Of the last byte, which is of no header.
      bytes[bytes.byteLength - 1] = (bytes.at(-1) ?? 0) ^ 1;
      return bytes;
    });
    await refused(repository.path(stored), (bytes) => bytes.subarray(0, -1));
    const [path, away] = [repository.path(stored), join(source, '..', 'away')];
    await rename(path, away);
    const words = new RegExp(`Backup ${name} is damaged: ${stored} is missing`);
    await assert.rejects(restore(), { code: 'JOURNAL_CORRUPT', message: words });
    await assert.rejects(repository.verify(await repository.read(name)), { code: 'JOURNAL_CORRUPT', message: words });
    // A link to what was there is no copy of it.
    await symlink(away, path);
    await assert.rejects(restore(), { code: 'JOURNAL_CORRUPT' });
    await rename(away, path);
  }
  const sequence = backup?.manifest.sequence ?? 0;
  await refused(manifestPath, (bytes) =>
    bytes.toString().replace(`"sequence": ${sequence}`, `"sequence": ${sequence + 1}`),
  );
  const [first] = files;
  await refused(manifestPath, (bytes) =>
    bytes.toString().replace(`"name": "${first?.name}"`, `"name": "../${first?.name}"`),
  );
  assert.ok(!existsSync(join(target, '..', first?.name ?? '')), 'a file outside of the directory');
  for (const elsewhere of ['/etc/hostname', '../data/x', `${name}/../../data/x`, `${name}/..`, `files/${MANIFEST}/x`])
    await refused(manifestPath, (bytes) =>
      bytes.toString().replace(`"stored": "${first?.stored}"`, `"stored": "${elsewhere}"`),
    );
  await restore();
  assert.ok(existsSync(target));
});
