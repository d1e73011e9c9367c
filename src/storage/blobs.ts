import { assert, RailheadError } from '../core/errors.ts';
import type { BlobStore, BlobWriter } from '../engine/ports.ts';
import { OpenFiles } from './open-files.ts';
import { storageError, SYNC_EVERY_BYTES, systemCode, writeFully, type Disk, type DiskFile } from './disk.ts';

const SEALED = '.blob';
const UNSEALED = '.blob.tmp';
const NAME = /^[a-z0-9-]{1,64}$/;
const OPEN_FILES = 64;

/**
 * Named immutable objects as files: written under a temporary name, synced, renamed, and the directory synced.
 * May share a directory with a `FileJournal`.
 */
export class FileBlobs implements BlobStore {
  readonly #disk: Disk;
  /** Sealed blobs with their sizes. */
  readonly #sealed: Map<string, number>;
  readonly #writing = new Set<string>();
  readonly #open: OpenFiles;

  private constructor(disk: Disk, sealed: Map<string, number>) {
    this.#disk = disk;
    this.#sealed = sealed;
    this.#open = new OpenFiles(disk, OPEN_FILES);
  }

  /** Finds what is there and removes what a crash left unsealed. @throws STORAGE_FAILED */
  static async open(disk: Disk): Promise<FileBlobs> {
    try {
      const sealed = new Map<string, number>();
      for (const { name, bytes } of await disk.list()) {
        if (name.endsWith(UNSEALED)) await disk.remove(name);
        else if (name.endsWith(SEALED)) sealed.set(name.slice(0, -SEALED.length), bytes);
      }
      return new FileBlobs(disk, sealed);
    } catch (error) {
      throw storageError(error, `listing ${disk.where}`);
    }
  }

  async create(name: string): Promise<BlobWriter> {
    assert(NAME.test(name), `blob name ${JSON.stringify(name)}`);
    if (this.#sealed.has(name) || this.#writing.has(name)) {
      throw new RailheadError(
        'ALREADY_EXISTS',
        `A blob ${name} is there already in ${this.#disk.where}; blobs are never overwritten.`,
      );
    }
    this.#writing.add(name);
    try {
      await this.#disk.remove(name + UNSEALED);
      const file = await this.#disk.create(name + UNSEALED);
      return new FileBlobWriter(this.#disk, name, file, (bytes) => {
        this.#writing.delete(name);
        if (bytes !== undefined) this.#sealed.set(name, bytes);
      });
    } catch (error) {
      this.#writing.delete(name);
      throw storageError(error, `making blob ${name} in ${this.#disk.where}`);
    }
  }

  async read(name: string, offset: number, length: number): Promise<Buffer> {
    if (!this.#sealed.has(name))
      throw new RailheadError('NOT_FOUND', `There is no blob ${name} in ${this.#disk.where}.`);
    try {
      return await this.#open.read(name + SEALED, offset, length);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') {
        throw new RailheadError('NOT_FOUND', `The blob ${name} is gone from ${this.#disk.where}.`, { cause: error });
      }
      throw storageError(error, `reading blob ${name} in ${this.#disk.where}`);
    }
  }

  async list(): Promise<{ name: string; bytes: number }[]> {
    return [...this.#sealed].map(([name, bytes]) => ({ name, bytes }));
  }

  async remove(name: string): Promise<void> {
    if (!this.#sealed.delete(name)) return;
    try {
      this.#open.forget(name + SEALED);
      await this.#disk.remove(name + SEALED);
    } catch (error) {
      throw storageError(error, `removing blob ${name} in ${this.#disk.where}`);
    }
  }

  async close(): Promise<void> {
    this.#open.close();
  }
}

class FileBlobWriter implements BlobWriter {
  readonly #disk: Disk;
  readonly #name: string;
  readonly #file: DiskFile;
  readonly #done: (bytes: number | undefined) => void;
  #bytes = 0;
  #unsynced = 0;
  #state: 'open' | 'failed' | 'done' = 'open';

  constructor(disk: Disk, name: string, file: DiskFile, done: (bytes: number | undefined) => void) {
    this.#disk = disk;
    this.#name = name;
    this.#file = file;
    this.#done = done;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    try {
      writeFully(this.#file, [bytes], bytes.length, this.#bytes);
      this.#bytes += bytes.length;
      this.#unsynced += bytes.length;
      if (this.#unsynced < SYNC_EVERY_BYTES) return;
      this.#unsynced = 0;
      await this.#file.sync();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  async seal(): Promise<void> {
    this.#assertOpen();
    try {
      await this.#file.sync();
      await this.#file.close();
      await this.#disk.rename(this.#name + UNSEALED, this.#name + SEALED);
      await this.#disk.syncDir();
    } catch (error) {
      throw this.#failed(error);
    }
    this.#state = 'done';
    this.#done(this.#bytes);
  }

  async abort(): Promise<void> {
    if (this.#state === 'done') return;
    const failed = this.#state === 'failed';
    this.#state = 'done';
    await this.#file.close();
    await this.#disk.remove(this.#name + UNSEALED);
    // A seal that failed late may have renamed it already.
    if (failed) await this.#disk.remove(this.#name + SEALED);
    this.#done(undefined);
  }

  #assertOpen(): void {
    assert(this.#state === 'open', `blob ${this.#name} is ${this.#state}`);
  }

  #failed(error: unknown): RailheadError {
    this.#state = 'failed';
    return storageError(error, `writing blob ${this.#name} in ${this.#disk.where}`);
  }
}
