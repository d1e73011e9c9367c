import { RailheadError } from '../core/errors.ts';
import type { BlobStore, Journal } from '../engine/ports.ts';
import { FileBlobs } from '../storage/blobs.ts';
import type { Disk } from '../storage/disk.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { tryLock } from '../storage/lock.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { NodeDisk } from '../storage/node-disk.ts';
import { ownLoop, SyncPace } from '../storage/sync-pace.ts';
import type { ServerConfig } from './settings.ts';

/** A journal and its blobs, owned. */
export interface Storage {
  journal: Journal;
  blobs: BlobStore;
  /** The real path of the directory, or null in memory. */
  directory: string | null;
  /** Ends the ownership, after the broker was closed. */
  release(): void;
}

export type StorageConfig = Pick<ServerConfig, 'dir' | 'memory' | 'journal'>;

/**
 * Locks the directory and opens what is in it, or makes both in memory.
 *
 * @param loop as `ServerOptions` has it
 * @throws JOURNAL_LOCKED when somebody else owns the directory, STORAGE_FAILED.
 */
export async function openStorage(config: StorageConfig, loop: 'own' | 'shared' = 'shared'): Promise<Storage> {
  if (config.memory) return { ...(await onDisk(new MemoryDisk(), config)), directory: null, release: () => undefined };
  const lock = tryLock(config.dir);
  if (lock === undefined) {
    throw new RailheadError(
      'JOURNAL_LOCKED',
      `A broker runs in ${config.dir} already. Use that one (railhead ls --dir ${config.dir}), stop it, or choose another directory with --dir.`,
    );
  }
  try {
    const pace = loop === 'own' ? new SyncPace(ownLoop()) : new SyncPace();
    return {
      ...(await onDisk(new NodeDisk(lock.directory, pace), config)),
      directory: lock.directory,
      release: () => lock.release(),
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function onDisk(disk: Disk, { journal }: StorageConfig): Promise<Pick<Storage, 'journal' | 'blobs'>> {
  return {
    journal: new FileJournal(disk, { segmentBytes: journal.segmentSize, segments: journal.segments }),
    blobs: await FileBlobs.open(disk),
  };
}
