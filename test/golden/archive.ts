import { gunzipSync, gzipSync } from 'node:zlib';
import type { RecoveredBatch } from '../../src/engine/ports.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { writeFully } from '../../src/storage/disk.ts';

/**
 * Named pieces of bytes in one file: gzip of `u32 length, JSON [name, bytes] …` and the pieces, one after the other.
 * Nothing of it belongs to the journal's format.
 */
function join(pieces: readonly { name: string; bytes: Uint8Array }[]): Buffer {
  const index = Buffer.from(JSON.stringify(pieces.map(({ name, bytes }) => [name, bytes.byteLength])));
  const head = Buffer.alloc(4);
  head.writeUInt32LE(index.length);
  return gzipSync(Buffer.concat([head, index, ...pieces.map(({ bytes }) => bytes)]), { level: 9 });
}

function split(archive: Uint8Array<ArrayBuffer>): { name: string; bytes: Buffer }[] {
  const bytes = gunzipSync(archive);
  const indexEnd = 4 + bytes.readUInt32LE(0);
  const index = JSON.parse(bytes.subarray(4, indexEnd).toString()) as [string, number][];
  let at = indexEnd;
  return index.map(([name, length]) => ({ name, bytes: bytes.subarray(at, (at += length)) }));
}

/** A directory, as its files. */
export async function pack(disk: MemoryDisk): Promise<Buffer> {
  const files = (await disk.list()).sort((a, b) => (a.name < b.name ? -1 : 1));
  const pieces: { name: string; bytes: Buffer }[] = [];
  for (const { name, bytes } of files) pieces.push({ name, bytes: await (await disk.open(name)).read(0, bytes) });
  return join(pieces);
}

export async function unpack(archive: Uint8Array<ArrayBuffer>): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  for (const { name, bytes } of split(archive)) {
    const file = await disk.create(name);
    if (bytes.length > 0) writeFully(file, [bytes], bytes.length, 0);
    await file.sync();
  }
  await disk.syncDir();
  return disk;
}

/** Everything that was ever appended to a journal: a directory keeps only what its checkpoints do not cover. */
export function packBatches(batches: readonly RecoveredBatch[]): Buffer {
  return join(
    batches.map(({ firstSequence, count, position, body }) => ({
      name: [firstSequence, count, position].join(' '),
      bytes: body,
    })),
  );
}

export function unpackBatches(archive: Uint8Array<ArrayBuffer>): RecoveredBatch[] {
  return split(archive).map(({ name, bytes }) => {
    const [firstSequence = 0, count = 0, position = 0] = name.split(' ').map(Number);
    return { firstSequence, count, position, body: bytes };
  });
}
