import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import { formatSize } from '../../core/units.ts';
import { type Backup, BackupRepository } from '../../storage/backup/repository.ts';
import { restoreBackup } from '../../storage/backup/restore.ts';
import { count, print, printJson } from '../terminal.ts';
import { UsageError } from '../usage.ts';

interface Options {
  dir?: string;
  backup?: string;
  list?: boolean;
  verify?: boolean;
  json?: boolean;
}

export function configure(command: Command): void {
  command
    .argument('<directory>', 'where the backups are')
    .option('--dir <DIR>', 'the directory to make, for a broker to start from')
    .option('--backup <NAME>', 'which one (default: the newest)')
    .option('--list', 'show which there are, and nothing more')
    .option('--verify', 'read every byte of it, and nothing more')
    .option('--json', 'print JSON')
    .action(restore);
}

async function restore(directory: string, options: Options): Promise<void> {
  const repository = new BackupRepository(directory);
  const backups = await repository.list();
  if (options.list === true) {
    for (const backup of backups) show(backup, '', options);
    return;
  }
  const backup = choose(backups, directory, options.backup);
  if (options.verify === true) {
    await repository.verify(backup);
    show(backup, 'Good: ', options);
    return;
  }
  if (options.dir === undefined) throw new UsageError('Say where to with --dir, or ask for --list or --verify.');
  await restoreBackup(repository, backup, options.dir);
  show(backup, 'Restored: ', options);
}

function choose(backups: readonly Backup[], directory: string, name: string | undefined): Backup {
  const found = name === undefined ? backups.at(-1) : backups.find((backup) => backup.name === name);
  if (found !== undefined) return found;
  throw new RailheadError(
    'NOT_FOUND',
    name === undefined
      ? `There is no backup in ${directory}.`
      : `There is no backup ${JSON.stringify(name)} in ${directory}; --list shows them.`,
  );
}

function show({ name, manifest }: Backup, verdict: string, { json }: Options): void {
  const { at, sequence, journalId, version, files } = manifest;
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (json) printJson({ name, at, sequence, journalId, version, files: files.length, bytes });
  else
    print(
      `${verdict}${name}  ${at}  up to entry ${count(sequence)}  ${formatSize(bytes)} in ${count(files.length)} files`,
    );
}
