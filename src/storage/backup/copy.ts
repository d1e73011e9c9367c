import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

const PIECE_BYTES = 1 << 20;

export interface Copied {
  bytes: number;
  crc: number;
}

/** Copies a file, or as many bytes of it as `upTo` says. The copy must not exist; `sync` makes its content durable. */
export async function copyFile(
  from: string,
  to: string,
  { upTo = Infinity, sync = false }: { upTo?: number; sync?: boolean } = {},
): Promise<Copied> {
  const source = await open(from, 'r');
  try {
    const target = await open(to, 'wx', 0o600);
    try {
      const copied = await readThrough(source, upTo, (piece) => target.writeFile(piece));
      if (sync) await target.sync();
      return copied;
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** The length and the CRC of a file as it lies there. */
export async function checkFile(path: string): Promise<Copied> {
  const source = await open(path, 'r');
  try {
    return await readThrough(source, Infinity, async () => {});
  } finally {
    await source.close();
  }
}

type Source = Awaited<ReturnType<typeof open>>;

async function readThrough(source: Source, upTo: number, take: (piece: Buffer) => Promise<void>): Promise<Copied> {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  let bytes = 0;
  let crc = 0;
  while (bytes < upTo) {
    const { bytesRead } = await source.read(buffer, 0, Math.min(PIECE_BYTES, upTo - bytes), bytes);
    if (bytesRead === 0) break;
    const piece = buffer.subarray(0, bytesRead);
    crc = crc32(piece, crc);
    bytes += bytesRead;
    await take(piece);
  }
  return { bytes, crc };
}

/** Makes the content of a file, or the names in a directory, durable. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
