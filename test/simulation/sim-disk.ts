import type { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';
import type { Scheduler } from './scheduler.ts';

/**
 * A disk in memory whose answers come when the scheduler says so. A sync covers what was written before it was asked
 * for, however late it ends, so that it never makes more durable than a real one would.
 */
export class SimDisk implements Disk {
  readonly where = 'simulation';
  readonly #disk: MemoryDisk;
  readonly #scheduler: Scheduler;

  constructor(disk: MemoryDisk, scheduler: Scheduler) {
    this.#disk = disk;
    this.#scheduler = scheduler;
    disk.onSync = () => scheduler.pause('sync');
  }

  async open(name: string): Promise<DiskFile> {
    await this.#scheduler.pause('open');
    return this.#file(await this.#disk.open(name));
  }

  async create(name: string): Promise<DiskFile> {
    await this.#scheduler.pause('create');
    return this.#file(await this.#disk.create(name));
  }

  async list(): Promise<{ name: string; bytes: number }[]> {
    await this.#scheduler.pause('list');
    return this.#disk.list();
  }

  async remove(name: string): Promise<void> {
    await this.#scheduler.pause('remove');
    return this.#disk.remove(name);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#scheduler.pause('rename');
    return this.#disk.rename(from, to);
  }

  async syncDir(): Promise<void> {
    const done = this.#disk.syncDir();
    done.catch(() => {});
    await this.#scheduler.pause('syncDir');
    return done;
  }

  #file(file: DiskFile): DiskFile {
    return {
      size: () => file.size(),
      writev: (buffers, at) => file.writev(buffers, at),
      sync: () => file.sync(),
      read: async (at, length, into) => {
        await this.#scheduler.pause('read');
        return file.read(at, length, into);
      },
      allocate: async (bytes) => {
        await this.#scheduler.pause('allocate');
        return file.allocate(bytes);
      },
      close: () => file.close(),
    };
  }
}
