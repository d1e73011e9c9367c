import type { Disk, DiskFile } from './disk.ts';

interface OpenFile {
  readonly file: Promise<DiskFile>;
  users: number;
  /** Put out of the set: closed when the last user is done. */
  leaving: boolean;
}

/**
 * The files read last, kept open so that a read costs one call and not three. A file is closed only when nobody reads
 * from it: its number could name another file in the middle of the read.
 */
export class OpenFiles {
  readonly #disk: Disk;
  readonly #limit: number;
  readonly #files = new Map<string, OpenFile>();

  constructor(disk: Disk, limit: number) {
    this.#disk = disk;
    this.#limit = limit;
  }

  async read(name: string, at: number, length: number): Promise<Buffer> {
    const open = this.#files.get(name) ?? { file: this.#disk.open(name), users: 0, leaving: false };
    this.#files.delete(name);
    this.#files.set(name, open);
    open.users++;
    for (const oldest of this.#files.keys()) {
      if (this.#files.size <= this.#limit) break;
      this.forget(oldest);
    }
    try {
      const file = await open.file;
      return await file.read(at, length);
    } catch (error) {
      this.forget(name);
      throw error;
    } finally {
      open.users--;
      this.#closeUnused(open);
    }
  }

  /** Closes a file once nobody reads from it. */
  forget(name: string): void {
    const open = this.#files.get(name);
    if (open === undefined) return;
    this.#files.delete(name);
    open.leaving = true;
    this.#closeUnused(open);
  }

  close(): void {
    for (const name of this.#files.keys()) this.forget(name);
  }

  #closeUnused(open: OpenFile): void {
    // One that could not be opened needs no close, and a failed close of a file that was only read loses nothing.
    if (open.leaving && open.users === 0) open.file.then((file) => file.close()).catch(() => {});
  }
}
