import { lstat, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { RailheadError } from '../../core/errors.ts';
import { systemCode } from '../disk.ts';
import { checkFile, syncPath } from './copy.ts';

/**
 * A directory of backups:
 *
 * ```
 * 2026-11-22T08-46-42Z-15023/   one backup: it is there as a whole or not at all
 *   backup.json                 what belongs to it, with lengths and checksums
 *   0000000007.journal …        the commit log, up to the moment of the backup
 * files/                        what never changes once written, once for all backups that need it
 *   cold-15000-7.blob.9f2c11d4
 * unfinished-…/                 what a backup that was killed has left; the next one removes it
 * ```
 */
export const MANIFEST = 'backup.json';
const FILES = 'files';
const UNFINISHED = 'unfinished-';
const NAME = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?Z-\d+$/;
const FORMAT = 1;

export interface BackedUpFile {
  /** In the broker's directory. */
  name: string;
  bytes: number;
  crc: number;
  /** Where it lies, from the directory of backups. */
  stored: string;
  /** Of the original: the same name, length and time mean the same content. Only of files that never change. */
  modified?: number;
}

export interface Manifest {
  format: number;
  version: string;
  journalId: string;
  /** Everything up to this entry of the journal is in it. */
  sequence: number;
  at: string;
  files: BackedUpFile[];
}

export interface Backup {
  name: string;
  manifest: Manifest;
}

/** What a manifest names lies in its backup or among the files of all, and goes to one directory. @throws */
function assertInside(backup: string, { name, stored }: BackedUpFile): void {
  const [directory, file = '', ...more] = stored.split(/[/\\]/);
  const isPlain = [name, file].every((each) => each !== '' && !each.startsWith('.') && basename(each) === each);
  if (!isPlain || more.length > 0 || (directory !== FILES && directory !== backup))
    throw new Error(`${JSON.stringify(stored)} is no file of it`);
}

export class BackupRepository {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Of all that are whole, oldest first. @throws NOT_FOUND when there is no such directory */
  async names(): Promise<string[]> {
    try {
      return (await readdir(this.directory)).filter((each) => NAME.test(each)).sort();
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
      throw new RailheadError('NOT_FOUND', `There is no directory of backups ${this.directory}.`);
    }
  }

  /** @throws JOURNAL_CORRUPT for one that cannot be read, FORMAT_TOO_NEW */
  async read(name: string): Promise<Backup> {
    return { name, manifest: await this.#manifest(name) };
  }

  /** All that can be read, oldest first. One that is damaged keeps nobody from the others. @throws NOT_FOUND */
  async list(): Promise<Backup[]> {
    return (await this.#survey()).backups;
  }

  /** `isWhole`: there is no other. */
  async #survey(): Promise<{ backups: Backup[]; isWhole: boolean }> {
    const backups: Backup[] = [];
    let isWhole = true;
    for (const name of await this.names()) {
      try {
        backups.push(await this.read(name));
      } catch (error) {
        if (!RailheadError.is(error, 'JOURNAL_CORRUPT') && !RailheadError.is(error, 'FORMAT_TOO_NEW')) throw error;
        isWhole = false;
      }
    }
    return { backups, isWhole };
  }

  async #manifest(name: string): Promise<Manifest> {
    const path = join(this.directory, name, MANIFEST);
    try {
      // Written by `publish` alone; what is not of this form is told apart below.
      const manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest;
      if (manifest.format === FORMAT && Array.isArray(manifest.files)) {
        for (const file of manifest.files) assertInside(name, file);
        return manifest;
      }
    } catch (cause) {
      throw new RailheadError('JOURNAL_CORRUPT', `${path} cannot be read. Choose another backup with --backup.`, {
        cause,
      });
    }
    throw new RailheadError('FORMAT_TOO_NEW', `${path} was written by a newer version of Railhead. Use that one.`);
  }

  /** Makes the directory, and removes what others did not finish. Nobody else may work on it meanwhile. */
  async prepare(): Promise<void> {
    await mkdir(join(this.directory, FILES), { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.directory)) if (name.startsWith(UNFINISHED)) await this.#remove(name);
    await this.#sweep();
  }

  /** An empty directory for a backup that is being made. */
  async begin(): Promise<string> {
    const directory = join(this.directory, `${UNFINISHED}${process.pid}`);
    await mkdir(directory, { mode: 0o700 });
    return directory;
  }

  /** Where a file that never changes is kept: under its checksum too, since a restored broker may make its name anew. */
  kept(name: string, crc: number): string {
    return join(FILES, `${name}.${crc.toString(16).padStart(8, '0')}`);
  }

  /** Whether a file that an earlier backup copied is still there, for one more to name it. */
  async has({ stored, bytes }: BackedUpFile): Promise<boolean> {
    try {
      const found = await lstat(this.path(stored));
      return found.isFile() && found.size === bytes;
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return false;
      throw error;
    }
  }

  path(stored: string): string {
    return join(this.directory, stored);
  }

  /** From here on the backup is there. All that it names must be durable. */
  async publish(
    unfinished: string,
    manifest: Omit<Manifest, 'format' | 'files'>,
    files: BackedUpFile[],
  ): Promise<string> {
    const name = `${manifest.at.replaceAll(':', '-')}-${manifest.sequence}`;
    const own = files.map((file) => (file.stored.includes('/') ? file : { ...file, stored: join(name, file.stored) }));
    const path = join(unfinished, MANIFEST);
    await writeFile(path, `${JSON.stringify({ format: FORMAT, ...manifest, files: own }, null, 2)}\n`, { mode: 0o600 });
    await syncPath(path);
    await syncPath(unfinished);
    await syncPath(this.path(FILES));
    await rename(unfinished, join(this.directory, name));
    await syncPath(this.directory);
    return name;
  }

  async abandon(unfinished: string): Promise<void> {
    await rm(unfinished, { recursive: true, force: true });
  }

  /** Removes all but the newest `keep` that can be read, and what only they needed. */
  async prune(keep: number): Promise<string[]> {
    const backups = await this.list();
    const old = backups.slice(0, Math.max(0, backups.length - keep)).map(({ name }) => name);
    for (const name of old) {
      // Not to be seen any more before the first file of it goes.
      const gone = `${UNFINISHED}${name}`;
      await rename(join(this.directory, name), join(this.directory, gone));
      await this.#remove(gone);
    }
    if (old.length > 0) await this.#sweep();
    return old;
  }

  /** Reads every byte of a backup. @throws JOURNAL_CORRUPT naming the first file that is not as it was */
  async verify({ name, manifest }: Backup): Promise<void> {
    for (const { stored, bytes, crc } of manifest.files) {
      const found = await checkFile(this.path(stored)).catch((error: unknown) => {
        if (systemCode(error) === 'ENOENT') return undefined;
        throw error;
      });
      if (found?.bytes === bytes && found.crc === crc) continue;
      throw new RailheadError(
        'JOURNAL_CORRUPT',
        `Backup ${name} is damaged: ${stored} ${found === undefined ? 'is missing' : 'is not as it was written'}. Choose another one with --backup.`,
      );
    }
  }

  /** Files that no backup names. Where one cannot be read nobody knows which those are. */
  async #sweep(): Promise<void> {
    const { backups, isWhole } = await this.#survey();
    if (!isWhole) return;
    const needed = new Set(backups.flatMap(({ manifest }) => manifest.files.map(({ stored }) => stored)));
    for (const name of await readdir(this.path(FILES))) {
      const stored = join(FILES, name);
      if (!needed.has(stored)) await this.#remove(stored);
    }
  }

  async #remove(stored: string): Promise<void> {
    await rm(this.path(stored), { recursive: true, force: true });
  }
}
