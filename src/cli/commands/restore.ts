import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import { formatSize } from '../../core/units.ts';
import { type Backup, BackupRepository } from '../../storage/backup/repository.ts';
import { restoreBackup } from '../../storage/backup/restore.ts';
import { count, note, print, printJson } from '../terminal.ts';
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
  const names = await repository.names();
  if (options.list === true) {
    for (const name of names) await list(repository, name, options);
    return;
  }
  const backup = await repository.read(choose(names, directory, options.backup));
  if (options.verify === true) {
    await repository.verify(backup);
    show(backup, 'Good: ', options);
    return;
  }
  if (options.dir === undefined) throw new UsageError('Say where to with --dir, or ask for --list or --verify.');
  await restoreBackup(repository, backup, options.dir);
  show(backup, 'Restored: ', options);
}

/** One that is damaged does not hide the others. */
async function list(repository: BackupRepository, name: string, options: Options): Promise<void> {
  let backup: Backup;
  try {
    backup = await repository.read(name);
  } catch (error) {
    if (!(error instanceof RailheadError)) throw error;
    note(`${name}: ${error.message}`);
    process.exitCode = 1;
    return;
  }
  show(backup, '', options);
}

/** The newest, also where it is damaged: an older one is restored by somebody who says so. */
function choose(names: readonly string[], directory: string, name: string | undefined): string {
  const found = name === undefined ? names.at(-1) : names.find((each) => each === name);
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
