import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { RailheadError } from '../../core/errors.ts';
import { systemCode } from '../disk.ts';
import { inspectJournal } from '../journal/inspect.ts';
import { NodeDisk } from '../node-disk.ts';
import { copyFile, syncPath } from './copy.ts';
import type { Backup, BackupRepository } from './repository.ts';

/**
 * Makes a directory for a broker out of a backup. It appears under its name when every byte was checked and is on disk.
 *
 * @throws ALREADY_EXISTS when something is in the directory, JOURNAL_CORRUPT when the backup is not as it was written
 */
export async function restoreBackup(repository: BackupRepository, backup: Backup, directory: string): Promise<void> {
  const target = resolve(directory);
  await assertFree(target);
  const unfinished = join(dirname(target), `.${basename(target)}.unfinished`);
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true, mode: 0o700 });
  try {
    for (const file of backup.manifest.files) {
      const { name, stored, bytes, crc } = file;
      if (!(await repository.has(file))) throw damaged(backup, stored, 'is missing, or not as long as it was');
      const copied = await copyFile(repository.path(stored), join(unfinished, name), { sync: true });
      if (copied.bytes !== bytes || copied.crc !== crc) throw damaged(backup, stored);
    }
    const { ok, lastSequence } = await inspectJournal(new NodeDisk(unfinished));
    if (!ok || lastSequence !== backup.manifest.sequence) throw damaged(backup, 'the journal');
    await syncPath(unfinished);
    await rmdir(target).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error;
    });
    await rename(unfinished, target);
    await syncPath(dirname(target));
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
}

async function assertFree(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  });
  if (names.length === 0) return;
  throw new RailheadError(
    'ALREADY_EXISTS',
    `${directory} is not empty. Restore into a directory that is empty or not there, and start the broker with that one.`,
  );
}

function damaged({ name }: Backup, what: string, how = 'is not as it was written'): RailheadError {
  return new RailheadError(
    'JOURNAL_CORRUPT',
    `Backup ${name} is damaged: ${what} ${how}. Choose another one with --backup.`,
  );
}
