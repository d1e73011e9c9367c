import { gunzipSync, gzipSync } from 'node:zlib';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { writeFully } from '../../src/storage/disk.ts';

/**
 * A directory in one file: gzip of `u32 length, JSON [name, bytes] …` and the bytes of all files, one after the other.
 * Nothing of it belongs to the journal's format.
 */
export async function pack(disk: MemoryDisk): Promise<Buffer> {
  const files = (await disk.list()).sort((a, b) => (a.name < b.name ? -1 : 1));
  const index = Buffer.from(JSON.stringify(files.map(({ name, bytes }) => [name, bytes])));
  const head = Buffer.alloc(4);
  head.writeUInt32LE(index.length);
  const parts: Uint8Array[] = [head, index];
  for (const { name, bytes } of files) parts.push(await (await disk.open(name)).read(0, bytes));
  return gzipSync(Buffer.concat(parts), { level: 9 });
}

export async function unpack(archive: Uint8Array<ArrayBuffer>): Promise<MemoryDisk> {
  const bytes = gunzipSync(archive);
  const indexEnd = 4 + bytes.readUInt32LE(0);
  const files = JSON.parse(bytes.subarray(4, indexEnd).toString()) as [string, number][];
  const disk = new MemoryDisk();
  let at = indexEnd;
  for (const [name, length] of files) {
    const file = await disk.create(name);
    if (length > 0) writeFully(file, [bytes.subarray(at, at + length)], length, 0);
    await file.sync();
    at += length;
  }
  await disk.syncDir();
  return disk;
}
