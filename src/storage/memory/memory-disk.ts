import type { SeededRandom } from '../../core/random.ts';
import type { Disk, DiskFile } from '../disk.ts';
import { Image } from './image.ts';
import { survivors, type UnsyncedWrite } from './power-cut.ts';

/** A kind of call on a disk, for counting and for faults. */
export type DiskCall =
  | 'open'
  | 'create'
  | 'list'
  | 'remove'
  | 'rename'
  | 'syncDir'
  | 'write'
  | 'sync'
  | 'read'
  | 'allocate';

interface Inode {
  /** What a read sees: the page cache. */
  view: Image;
  /** What the disk itself holds. */
  durable: Image;
  /** Writes that no sync has covered, in order. */
  unsynced: UnsyncedWrite[];
}

/** A change of the directory that no `syncDir` has covered. */
type NameChange =
  | { readonly kind: 'create'; readonly name: string; readonly inode: Inode }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly inode: Inode }
  | { readonly kind: 'remove'; readonly name: string };

interface Fault {
  readonly call: DiskCall | 'any';
  remaining: number;
  readonly code: string;
}

export interface MemoryDiskOptions {
  /** All files together; a write beyond it is short, the next one ENOSPC. Default: no limit. */
  capacityBytes?: number;
}

/**
 * A disk in memory that can do what disks do to people.
 *
 * The fault model:
 * - a power cut (`crash`) keeps what was synced; of the rest any subset, in any order, each write torn at 512-byte
 *   sectors. A sector is written whole or not at all.
 * - creates, renames and removes are unsynced until `syncDir`; a power cut keeps a prefix or a subset of them.
 * - a failed sync loses the data it was to make durable, while reads still see it (ext4 does this).
 * - a disk that runs full writes what fits and says so only at the next write.
 * - a flipped bit is seen by every read.
 * Nothing happens by itself: faults come by exact count, chance from the seeded source that is handed in.
 */
export class MemoryDisk implements Disk {
  readonly where: string = 'memory';
  /** Called before each call takes effect; a simulation may clone or crash the disk here. */
  onCall: ((call: DiskCall, name: string) => void) | undefined;
  /** Awaited inside every sync of a file: a slow disk. */
  onSync: ((name: string) => Promise<void>) | undefined;
  capacityBytes: number;
  /** The most that one call to write takes: the rest is for the next one. */
  partialWrites = Infinity;
  /** How many calls of each kind there were. */
  readonly calls = new Map<DiskCall, number>();

  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  #changes: NameChange[] = [];
  #faults: Fault[] = [];
  #budget = Infinity;

  constructor(options: MemoryDiskOptions = {}) {
    this.capacityBytes = options.capacityBytes ?? Infinity;
  }

  /** How many writes and changes of names a power cut now would leave to chance. */
  get unsyncedChanges(): number {
    let changes = this.#changes.length;
    for (const inode of new Set([...this.#names.values(), ...this.#durableNames.values()]))
      changes += inode.unsynced.length;
    return changes;
  }

  /** What all files take together. Asking for it is no call of the disk, so that no fault can meet it. */
  get usedBytes(): number {
    let used = 0;
    for (const inode of this.#names.values()) used += inode.view.size;
    return used;
  }

  // Faults

  /** The `nth` such call from now (1 is the next) fails with that code, once. */
  failAt(call: DiskCall | 'any', nth: number, code = 'EIO'): void {
    this.#faults.push({ call, remaining: nth, code });
  }

  /** From now on the disk takes so many bytes more and then is full, also inside files that have their space already. */
  shortWrite(bytes: number): void {
    this.#budget = bytes;
  }

  /** Flips one bit, counted from the start of the file, on the disk and in its cache. */
  flip(name: string, bit: number): void {
    const inode = this.#names.get(name);
    if (inode === undefined || bit >= inode.view.size * 8) throw new Error(`no bit ${bit} in ${name}`);
    inode.view.flip(bit);
    inode.durable.flip(bit);
  }

  /** The disk as it is found after a power cut now. This disk goes on unharmed; options and hooks are not carried over. */
  crash(random: SeededRandom): MemoryDisk {
    const after = new MemoryDisk();
    const inodes = new Map<Inode, Inode>();
    for (const [name, inode] of this.#namesAfterCut(random)) {
      let found = inodes.get(inode);
      if (found === undefined) {
        const image = inode.durable.clone();
        if (inode.unsynced.length > 0) survivors(image, inode.unsynced, random);
        found = { view: image, durable: image.clone(), unsynced: [] };
        inodes.set(inode, found);
      }
      after.#names.set(name, found);
      after.#durableNames.set(name, found);
    }
    return after;
  }

  /** An equal disk with a life of its own: cache, unsynced writes and all. A crash of the process alone finds this. */
  clone(): MemoryDisk {
    const copy = new MemoryDisk({ capacityBytes: this.capacityBytes });
    const inodes = new Map<Inode, Inode>();
    const cloned = (inode: Inode): Inode => {
      let found = inodes.get(inode);
      if (found === undefined) {
        found = { view: inode.view.clone(), durable: inode.durable.clone(), unsynced: [...inode.unsynced] };
        inodes.set(inode, found);
      }
      return found;
    };
    for (const [name, inode] of this.#names) copy.#names.set(name, cloned(inode));
    for (const [name, inode] of this.#durableNames) copy.#durableNames.set(name, cloned(inode));
    copy.#changes = this.#changes.map((change) =>
      change.kind === 'remove' ? change : { ...change, inode: cloned(change.inode) },
    );
    return copy;
  }

  #namesAfterCut(random: SeededRandom): Map<string, Inode> {
    const names = new Map(this.#durableNames);
    const asPrefix = random.chance(0.5);
    const kept = random.below(this.#changes.length + 1);
    for (const [index, change] of this.#changes.entries()) {
      if (asPrefix ? index >= kept : random.chance(0.5)) continue;
      if (change.kind === 'create') names.set(change.name, change.inode);
      else if (change.kind === 'remove') names.delete(change.name);
      else if (names.get(change.from) === change.inode) {
        names.delete(change.from);
        names.set(change.to, change.inode);
      }
    }
    return names;
  }

  // The Disk port

  async open(name: string): Promise<DiskFile> {
    this.#call('open', name);
    const inode = this.#names.get(name);
    if (inode === undefined) throw systemError('ENOENT', name);
    return this.#file(name, inode);
  }

  async create(name: string): Promise<DiskFile> {
    this.#call('create', name);
    if (this.#names.has(name)) throw systemError('EEXIST', name);
    const inode: Inode = { view: new Image(), durable: new Image(), unsynced: [] };
    this.#names.set(name, inode);
    this.#changes.push({ kind: 'create', name, inode });
    return this.#file(name, inode);
  }

  async list(): Promise<{ name: string; bytes: number }[]> {
    this.#call('list', '');
    return [...this.#names].map(([name, inode]) => ({ name, bytes: inode.view.size }));
  }

  async remove(name: string): Promise<void> {
    this.#call('remove', name);
    if (this.#names.delete(name)) this.#changes.push({ kind: 'remove', name });
  }

  async rename(from: string, to: string): Promise<void> {
    this.#call('rename', from);
    const inode = this.#names.get(from);
    if (inode === undefined) throw systemError('ENOENT', from);
    this.#names.delete(from);
    this.#names.set(to, inode);
    this.#changes.push({ kind: 'rename', from, to, inode });
  }

  async syncDir(): Promise<void> {
    const names = new Map(this.#names);
    const covered = this.#changes.length;
    const lost = this.#fault('syncDir', '');
    this.#changes = this.#changes.slice(covered);
    if (lost !== undefined) throw lost;
    this.#durableNames = names;
  }

  #file(name: string, inode: Inode): DiskFile {
    return {
      size: () => inode.view.size,
      writev: (buffers, at) => {
        this.#call('write', name);
        return this.#write(inode, buffers, at);
      },
      sync: () => this.#sync(name, inode),
      read: async (at, length, into) => {
        this.#call('read', name);
        return inode.view.read(at, length, into);
      },
      allocate: async (bytes) => {
        this.#call('allocate', name);
        const size = Math.min(bytes, inode.view.size + this.#freeBytes());
        inode.view.size = Math.max(inode.view.size, size);
        if (size < bytes) throw systemError('ENOSPC', name);
        inode.durable.size = Math.max(inode.durable.size, bytes);
      },
      close: async () => {},
    };
  }

  #write(inode: Inode, buffers: readonly Uint8Array[], at: number): number {
    const space = Math.max(0, inode.view.size - at) + this.#freeBytes();
    let room = Math.min(space, this.partialWrites, this.#budget);
    let written = 0;
    for (const buffer of buffers) {
      if (room === 0) break;
      // A copy: the caller reuses its buffers, and `slice` of a Buffer is none.
      const bytes = new Uint8Array(buffer.subarray(0, room));
      inode.view.write(bytes, at + written);
      inode.unsynced.push({ bytes, at: at + written });
      written += bytes.length;
      room -= bytes.length;
    }
    this.#budget -= written;
    if (written === 0 && buffers.some((buffer) => buffer.length > 0)) throw systemError('ENOSPC', '');
    return written;
  }

  async #sync(name: string, inode: Inode): Promise<void> {
    const covered = inode.unsynced.length;
    const lost = this.#fault('sync', name);
    const writes = inode.unsynced.slice(0, covered);
    if (lost !== undefined) {
      inode.unsynced = inode.unsynced.slice(covered);
      throw lost;
    }
    if (this.onSync !== undefined) await this.onSync(name);
    for (const write of writes) inode.durable.write(write.bytes, write.at);
    if (inode.unsynced.length === covered) inode.unsynced = [];
    else {
      const done = new Set(writes);
      inode.unsynced = inode.unsynced.filter((write) => !done.has(write));
    }
  }

  #freeBytes(): number {
    return this.capacityBytes === Infinity ? Infinity : Math.max(0, this.capacityBytes - this.usedBytes);
  }

  #call(call: DiskCall, name: string): void {
    const fault = this.#fault(call, name);
    if (fault !== undefined) throw fault;
  }

  #fault(call: DiskCall, name: string): Error | undefined {
    this.onCall?.(call, name);
    this.calls.set(call, (this.calls.get(call) ?? 0) + 1);
    if (this.#faults.length === 0) return undefined;
    let due: Fault | undefined;
    for (const fault of this.#faults) {
      if (fault.call !== 'any' && fault.call !== call) continue;
      fault.remaining--;
      if (fault.remaining === 0) due = fault;
    }
    if (due === undefined) return undefined;
    this.#faults = this.#faults.filter((fault) => fault.remaining > 0);
    return systemError(due.code, name);
  }
}

function systemError(code: string, name: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${name}`), { code });
}
