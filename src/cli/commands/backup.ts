import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import { formatSize } from '../../core/units.ts';
import { hasJournal, makeBackup } from '../../storage/backup/backup.ts';
import { BackupRepository } from '../../storage/backup/repository.ts';
import { tryLock } from '../../storage/lock.ts';
import { withRail } from '../broker.ts';
import { count, note, print, printJson } from '../terminal.ts';
import { UsageError, wholeNumber } from '../usage.ts';

interface Options {
  dir: string;
  keep?: number;
  json?: boolean;
}

const KEY = 'railhead.key';

export function configure(command: Command): void {
  command
    .argument('<directory>', 'where backups are kept; each one copies only what the ones before do not have')
    .requiredOption('--dir <DIR>', 'the directory of the broker, on this machine; it may be at work')
    .option('--keep <COUNT>', 'remove all but so many of the newest afterwards', wholeNumber)
    .option('--json', 'print JSON')
    .action(backup);
}

async function backup(directory: string, { dir, keep, json }: Options): Promise<void> {
  if (!(await hasJournal(dir)))
    throw new UsageError(`There is no journal in ${dir}. Give the directory of a broker with --dir.`);
  if (keep === 0) throw new UsageError('--keep is 0; write 1 or more.');
  if (`${resolve(directory)}/`.startsWith(`${resolve(dir)}/`))
    throw new UsageError('The backups would be in the directory of the broker. Choose another place, on another disk.');
  const lock = tryLock(directory);
  if (lock === undefined)
    throw new RailheadError('JOURNAL_LOCKED', `Another backup writes to ${directory}. Wait until it is done.`);
  try {
    const repository = new BackupRepository(lock.directory);
    const made = await withRail({ dir }, (rail) =>
      makeBackup(dir, (operation, args) => rail.request(operation, args), repository),
    );
    const removed = keep === undefined ? [] : await repository.prune(keep);
    if (existsSync(join(dir, KEY)))
      note(`${KEY} is not in the backup, so that a stolen one opens no secret. Keep a copy of it in another place.`);
    if (json) printJson({ ...made, removed });
    else
      print(
        `${made.name}: everything up to entry ${count(made.sequence)}, ${formatSize(made.bytes)} in ${count(made.files)} files, ${formatSize(made.copiedBytes)} of it copied now${removed.length > 0 ? `; removed ${removed.join(', ')}` : ''}`,
      );
  } finally {
    lock.release();
  }
}
