import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { blobAcceptance } from './blobs.ts';
import { journalAcceptance } from './journal.ts';

const SMALL = { segmentBytes: 64 * 1024, segments: 5 };

function tempDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'railhead-storage-'));
}

journalAcceptance({
  name: 'files',
  async place() {
    const directory = await tempDir();
    let newest: FileJournal | undefined;
    return {
      journal: () => (newest = new FileJournal(new NodeDisk(directory), SMALL)),
      prepared: async () => newest?.prepared(),
      kill: async () => {},
      remove: () => rm(directory, { recursive: true }),
    };
  },
});

journalAcceptance({
  name: 'memory',
  async place() {
    let disk = new MemoryDisk();
    let newest: FileJournal | undefined;
    return {
      journal: () => (newest = new FileJournal(disk, SMALL)),
      prepared: async () => newest?.prepared(),
      kill: async () => {
        disk = disk.clone();
      },
      remove: async () => {},
    };
  },
});

blobAcceptance({
  name: 'files',
  async place() {
    const directory = await tempDir();
    return { open: () => FileBlobs.open(new NodeDisk(directory)), remove: () => rm(directory, { recursive: true }) };
  },
});

blobAcceptance({
  name: 'memory',
  async place() {
    const disk = new MemoryDisk();
    return { open: () => FileBlobs.open(disk), remove: async () => {} };
  },
});
