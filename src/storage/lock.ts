import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type * as Sqlite from 'node:sqlite';
import { RailheadError } from '../core/errors.ts';

/*
 * Who owns a directory is decided by the kernel: an exclusive SQLite transaction holds a POSIX lock on the lock file,
 * which ends with the process however it ends, and which holds between containers that share the volume, where PIDs
 * mean nothing and abstract sockets are not shared. A process that hangs keeps it: nobody is robbed.
 *
 * The trap of POSIX locks: any other open and close of the file in the same process drops the lock. So nothing else may
 * open it (not a backup, not a copy), and a second lock of the same directory is refused here, before the file is
 * touched, also for a second copy of this code in the process.
 */

export const LOCK_NAME = 'railhead.lock';

export interface DirectoryLock {
  /** The real path of the directory. */
  readonly directory: string;
  release(): void;
}

/**
 * Locks a directory (and makes it when it is not there), or gives undefined when somebody holds it: another process, or
 * this one. The lock ends with `release` or with the process.
 *
 * @throws STORAGE_FAILED when the file system cannot lock or the directory cannot be written
 */
export function tryLock(directory: string): DirectoryLock | undefined {
  const locks = locksOfThisProcess();
  let path: string;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    path = realpathSync(directory);
  } catch (error) {
    throw cannotLock(directory, error);
  }
  if (locks.has(path)) return undefined;
  const { DatabaseSync } = sqlite();
  let database: Sqlite.DatabaseSync | undefined;
  try {
    database = new DatabaseSync(join(path, LOCK_NAME), { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (isBusy(error)) return undefined;
    throw cannotLock(path, error);
  }
  const held = database;
  locks.set(path, held);
  let released = false;
  return {
    directory: path,
    release() {
      if (released) return;
      released = true;
      held.close();
      locks.delete(path);
    },
  };
}

const LOCKS = Symbol.for('railhead.directory-locks');

/**
 * The databases by real path. They must be reachable from here: one that is collected as garbage is closed, and its
 * lock gone without a word.
 */
function locksOfThisProcess(): Map<string, Sqlite.DatabaseSync> {
  // `as`: a symbol that only this file knows has no place in the type of globalThis.
  const holder = globalThis as { [LOCKS]?: Map<string, Sqlite.DatabaseSync> };
  return (holder[LOCKS] ??= new Map());
}

/** SQLITE_BUSY: another process has it. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === 5;
}

function cannotLock(directory: string, error: unknown): RailheadError {
  const reason = error instanceof Error ? error.message : String(error);
  return new RailheadError(
    'STORAGE_FAILED',
    `The directory ${directory} cannot be locked (${reason}); it must be writable and on a file system with POSIX locks.`,
    { cause: error },
  );
}

/** Loaded at the first lock, and without its warning of being experimental: it is ours to bear, not the user's. */
function sqlite(): typeof Sqlite {
  const before = Object.getOwnPropertyDescriptor(process, 'emitWarning');
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = (warning: string | Error, ...rest: unknown[]): void => {
    if (String(warning).includes('SQLite is an experimental feature')) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  };
  try {
    return process.getBuiltinModule('node:sqlite');
  } finally {
    if (before === undefined) Reflect.deleteProperty(process, 'emitWarning');
    else Object.defineProperty(process, 'emitWarning', before);
  }
}
