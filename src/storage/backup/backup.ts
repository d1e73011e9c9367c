import { readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RailheadError } from '../../core/errors.ts';
import type { Session } from '../../core/session.ts';
import type { StorageHold } from '../../core/storage-holds.ts';
import { VERSION } from '../../core/version.ts';
import { systemCode } from '../disk.ts';
import { generationInName, segmentName } from '../journal/segment.ts';
import { copyFile, syncPath } from './copy.ts';
import type { BackedUpFile, BackupRepository } from './repository.ts';

const BLOB = '.blob';
/** How long the broker keeps its files as they are, at most; what is copied then is some hundred megabytes. */
const HOLD_MS = 120_000;
/** What may still be missing when the broker is asked to keep still. */
const SMALL_BYTES = 64 << 20;
const MOST_PASSES = 8;

export interface BackupResult {
  name: string;
  sequence: number;
  files: number;
  bytes: number;
  /** Of these, copied this time. */
  copiedBytes: number;
}

/**
 * Copies the directory of a broker that may be at work, as it is at one moment. Most of it never changes once written and
 * is copied while the broker goes on; it has to keep still only while the commit log, which is bounded, is copied. What
 * an earlier backup has is not copied again.
 *
 * @param source the broker's own directory; `request` reaches that broker
 */
export async function makeBackup(
  source: string,
  request: Session['request'],
  repository: BackupRepository,
): Promise<BackupResult> {
  await repository.prepare();
  const copier = new BlobCopier(source, repository, (await repository.list()).at(-1)?.manifest.files ?? []);
  for (let pass = 0; pass < MOST_PASSES; pass++) if ((await copier.pass()) < SMALL_BYTES) break;
  const unfinished = await repository.begin();
  try {
    const { hold, segments } = await copyHeld(source, request, { copier, unfinished });
    for (const { stored } of segments) await syncPath(join(unfinished, stored));
    const files = [...segments, ...copier.files.values()];
    const { journalId, sequence } = hold;
    const at = new Date().toISOString();
    const name = await repository.publish(unfinished, { version: VERSION, journalId, sequence, at }, files);
    const copiedBytes = copier.copiedBytes + bytesOf(segments);
    return { name, sequence, files: files.length, bytes: bytesOf(files), copiedBytes };
  } catch (error) {
    await repository.abandon(unfinished);
    throw error;
  }
}

/** What has to be copied while nothing is moved or removed: the last blobs, and the commit log up to one moment. */
async function copyHeld(
  source: string,
  request: Session['request'],
  { copier, unfinished }: { copier: BlobCopier; unfinished: string },
): Promise<{ hold: StorageHold; segments: BackedUpFile[] }> {
  const hold = await request('holdStorage', { forMs: HOLD_MS });
  const segments: BackedUpFile[] = [];
  let held = false;
  try {
    await copier.pass();
    for (let generation = hold.oldestGeneration; generation <= hold.generation; generation++) {
      const name = segmentName(generation);
      const upTo = generation === hold.generation ? hold.byte : Infinity;
      const copied = await copyFile(join(source, name), join(unfinished, name), { upTo });
      segments.push({ name, stored: name, ...copied });
    }
  } finally {
    ({ held } = await request('releaseStorage', { hold: hold.hold }));
  }
  if (!held) throw tooSlow();
  return { hold, segments };
}

function bytesOf(files: readonly BackedUpFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Files that never change once they have their name. */
class BlobCopier {
  /** What is there now, and in the repository. */
  readonly files = new Map<string, BackedUpFile>();
  copiedBytes = 0;
  readonly #source: string;
  readonly #repository: BackupRepository;
  readonly #before: Map<string, BackedUpFile>;

  constructor(source: string, repository: BackupRepository, before: readonly BackedUpFile[]) {
    this.#source = source;
    this.#repository = repository;
    this.#before = new Map(before.map((file) => [file.name, file]));
  }

  /** Copies what is there and was not copied. Returns how much that was. */
  async pass(): Promise<number> {
    const copiedBefore = this.copiedBytes;
    const names = new Set((await readdir(this.#source)).filter((name) => name.endsWith(BLOB)));
    for (const name of this.files.keys()) if (!names.has(name)) this.files.delete(name);
    for (const name of names) {
      if (this.files.has(name)) continue;
      const file = await this.#copy(name);
      if (file !== undefined) this.files.set(name, file);
    }
    return this.copiedBytes - copiedBefore;
  }

  /** Undefined when it is gone: nobody needed it any more. */
  async #copy(name: string): Promise<BackedUpFile | undefined> {
    const path = join(this.#source, name);
    try {
      const { size, mtimeMs } = await stat(path);
      const before = this.#before.get(name);
      // Of one that is gone from the backups, or was cut short there, a new copy is made: this backup would need it too.
      if (before?.modified === mtimeMs && before.bytes === size && (await this.#repository.has(before))) return before;
      const partial = this.#repository.path(join('files', `${name}.unfinished`));
      const copied = await copyFile(path, partial, { sync: true });
      const stored = this.#repository.kept(name, copied.crc);
      await rename(partial, this.#repository.path(stored));
      this.copiedBytes += copied.bytes;
      return { name, stored, ...copied, modified: mtimeMs };
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }
}

/** Whether a directory looks like that of a broker. */
export async function hasJournal(directory: string): Promise<boolean> {
  const names = await readdir(directory).catch(() => []);
  return names.some((name) => generationInName(name) !== undefined);
}

function tooSlow(): RailheadError {
  return new RailheadError(
    'TIMEOUT',
    `Copying the commit log took longer than ${HOLD_MS / 1000} s, or the broker was started anew meanwhile, so that this backup is not whole and was given up. Make another one, in a faster place if need be.`,
  );
}
