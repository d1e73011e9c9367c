import { Worker } from 'node:worker_threads';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';

/** Counts the syncs of a disk and adds to the time of each, as on a disk that is slower than this machine's. */
export class SlowDisk implements Disk {
  syncs = 0;
  readonly where: string;
  readonly #disk: Disk;
  readonly #syncMs: number;
  readonly #sleeper: Sleeper | null;

  constructor(disk: Disk, syncMs: number) {
    this.where = disk.where;
    this.#disk = disk;
    this.#syncMs = syncMs;
    this.#sleeper = syncMs > 0 ? new Sleeper() : null;
  }

  async open(name: string): Promise<DiskFile> {
    return this.#slow(await this.#disk.open(name));
  }

  async create(name: string): Promise<DiskFile> {
    return this.#slow(await this.#disk.create(name));
  }

  list(): ReturnType<Disk['list']> {
    return this.#disk.list();
  }

  remove(name: string): Promise<void> {
    return this.#disk.remove(name);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#disk.rename(from, to);
  }

  syncDir(): Promise<void> {
    return this.#disk.syncDir();
  }

  #slow(file: DiskFile): DiskFile {
    return {
      size: () => file.size(),
      writev: (buffers, at) => file.writev(buffers, at),
      read: (at, length, into) => file.read(at, length, into),
      allocate: (bytes) => file.allocate(bytes),
      close: () => file.close(),
      sync: async () => {
        this.syncs++;
        await file.sync();
        await this.#sleeper?.sleep(this.#syncMs);
      },
    };
  }
}

/** A thread that sleeps: `setTimeout` is exact to a millisecond only, and a loop that looks at the clock takes a core. */
class Sleeper {
  readonly #worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const cell = new Int32Array(new SharedArrayBuffer(4));
     parentPort.on('message', (ms) => { Atomics.wait(cell, 0, 0, ms); parentPort.postMessage(0); });`,
    { eval: true },
  );
  readonly #waiting: (() => void)[] = [];

  constructor() {
    this.#worker.on('message', () => this.#waiting.shift()?.());
    this.#worker.unref();
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#worker.postMessage(ms);
    });
  }
}
