import { RailheadError } from '../core/errors.ts';

/**
 * What Railhead asks of a disk: one flat directory of files. `NodeDisk` is the real one, `MemoryDisk` loses, tears,
 * delays and refuses on command. Errors are those of the system, with its `code` (`ENOSPC`, `EIO`, `ENOENT`, …).
 */
export interface Disk {
  /** Where this is, for messages: the path of the directory. */
  readonly where: string;
  /** Opens an existing file. @throws ENOENT */
  open(name: string): Promise<DiskFile>;
  /** Makes an empty file. Its name survives a power cut only after `syncDir`. @throws EEXIST */
  create(name: string): Promise<DiskFile>;
  list(): Promise<{ name: string; bytes: number }[]>;
  /** Removing what is not there is not an error. May come back after a power cut until `syncDir`. */
  remove(name: string): Promise<void>;
  /** Replaces what is called `to`. Open files stay open. After a power cut either name may hold until `syncDir`. */
  rename(from: string, to: string): Promise<void>;
  /** Makes the creates, removes and renames before the call durable. */
  syncDir(): Promise<void>;
}

export interface DiskFile {
  size(): number;
  /**
   * Writes at a byte offset, synchronously, and returns how much was written: less than asked for is possible (a disk
   * that runs full writes what fits and only says ENOSPC at the next call). Use `writeFully`.
   */
  writev(buffers: readonly Uint8Array[], at: number): number;
  /**
   * Makes all writes before the call durable, with the size. A failure is final: Linux then marks the pages as clean,
   * says OK to the next call, and still reads back from its cache what the disk never got.
   */
  sync(): Promise<void>;
  /** Reads `length` bytes, or fewer at the end of the file; into the start of `into` when that is given and large enough. */
  read(at: number, length: number, into?: Buffer): Promise<Buffer>;
  /** Fills with zeros up to that size, piece by piece, and syncs: writes below it need no new space. @throws ENOSPC */
  allocate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * What is long and urgent to nobody is synced whenever so much of it was written. The disk does one thing after the
 * other: a batch of the journal that comes meanwhile waits for 1 MiB, and not for the whole of it.
 */
export const SYNC_EVERY_BYTES = 2 ** 20;

/** Writes everything at `at`, however often the disk takes only a part. @throws what the disk throws */
export function writeFully(file: DiskFile, buffers: readonly Uint8Array[], bytes: number, at: number): void {
  let written = file.writev(buffers, at);
  let rest = buffers;
  let restBytes = bytes;
  while (written < restBytes) {
    if (written <= 0) throw Object.assign(new Error(`the disk took none of ${restBytes} bytes`), { code: 'EIO' });
    at += written;
    restBytes -= written;
    rest = afterFirst(rest, written);
    written = file.writev(rest, at);
  }
}

function afterFirst(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  for (const buffer of buffers) {
    if (bytes >= buffer.length) {
      bytes -= buffer.length;
      continue;
    }
    rest.push(bytes > 0 ? buffer.subarray(bytes) : buffer);
    bytes = 0;
  }
  return rest;
}

/** The `code` of an error of the system. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** True for an error of the system (`EIO`, `ENOSPC`, …), false for a bug. */
export function isSystemError(error: unknown): boolean {
  return /^E[A-Z0-9]+$/.test(systemCode(error) ?? '');
}

/** An error of the disk in the words of the engine: OUT_OF_SPACE or STORAGE_FAILED. */
export function storageError(error: unknown, doing: string): RailheadError {
  if (RailheadError.is(error)) return error;
  const code = systemCode(error);
  const reason = error instanceof Error ? error.message : String(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new RailheadError(
      'OUT_OF_SPACE',
      `No space is left while ${doing} (${reason}); free space and start again.`,
      {
        cause: error,
      },
    );
  }
  return new RailheadError(
    'STORAGE_FAILED',
    `The disk failed while ${doing} (${reason}); nothing that was not confirmed can be trusted. Check the disk, then start again.`,
    { cause: error },
  );
}
