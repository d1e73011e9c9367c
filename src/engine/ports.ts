/**
 * What the engine asks of storage. Two small ports; every backend passes the acceptance suite in
 * `test/acceptance/`. What a crash may lose is written beside each method.
 */

/** A place in the journal. Only storage and the read path know its inside: `generation * 2^28 + byte offset`. */
export type Position = number & { readonly __brand?: 'Position' };

export const MAX_SEGMENT_BYTES = 2 ** 28;

export function positionOf(generation: number, byte: number): Position {
  return generation * MAX_SEGMENT_BYTES + byte;
}
export function generationOf(position: Position): number {
  return Math.floor(position / MAX_SEGMENT_BYTES);
}
export function byteOf(position: Position): number {
  return position % MAX_SEGMENT_BYTES;
}

/** A batch that was found at start, in order. `body` holds its entries back to back and lies at `position`. */
export interface RecoveredBatch {
  firstSequence: number;
  count: number;
  body: Buffer;
  position: Position;
}

export interface RecoveryReport {
  journalId: string;
  /** Epoch of this owner; higher than any before. */
  epoch: number;
  lastSequence: number;
  /** Bytes of a torn end that were cut, and where; null when the end was clean. */
  cut: { generation: number; byte: number; bytes: number } | null;
  /** Ranges of sequences that a repair gave up, within what was handed over or before it. */
  lost: { first: number; last: number }[];
  notices: string[];
}

/**
 * The commit log: one writer, bounded. Entries have consecutive sequence numbers, from 1.
 *
 * - Order is kept: if a batch survives a crash, all before it do.
 * - A batch is atomic: after a crash all of it is there or nothing.
 * - `append` makes it survive a crash of the process (level `write`), `sync` a power cut (level `fsync`).
 */
export interface Journal {
  /**
   * Finds the end, cuts a torn tail, and hands over every batch that holds an entry with a sequence above `after`,
   * oldest first. Takes ownership with a new epoch. What it handed over is durable when it returns.
   *
   * @throws JOURNAL_CORRUPT for damage at or below what is known to be synced, FORMAT_TOO_NEW, STORAGE_FAILED.
   */
  recover(after: number, onBatch: (batch: RecoveredBatch) => void): Promise<RecoveryReport>;
  /**
   * Writes one batch: the header and `body` (entries back to back). Synchronous; survives a crash of the process when
   * it returns. The position is that of the first byte of `body`, which is the caller's again.
   *
   * @throws STORAGE_FAILED, OUT_OF_SPACE. After either the journal accepts nothing more and must be opened anew.
   * @throws TOO_LARGE for more than `status().maxBatchBytes`; nothing was written and the journal goes on.
   */
  append(body: readonly Uint8Array[], bytes: number, firstSequence: number, count: number): Position;
  /** Makes all that was appended before the call durable. Never called twice at once. A failure is final. */
  sync(): Promise<void>;
  /**
   * Call when nothing was appended for a while: records that the end is synced (an empty batch and a sync, once), so
   * that later damage there is told from a torn end. Does nothing when that is known already.
   */
  idle(): Promise<void>;
  /**
   * Bytes of entries. They must lie within one batch's body. The result is a slice of a larger buffer: copy what is kept.
   *
   * @param memory for the batch, instead of a cache of the journal's own
   * @throws NOT_FOUND after `free`, JOURNAL_CORRUPT, STORAGE_FAILED.
   */
  read(position: Position, length: number, memory?: BatchMemory): Promise<Buffer>;
  /** Gives segments back that hold nothing above `sequence` and are of a generation below `generation`. Idempotent. */
  free(sequence: number, generation: number): Promise<void>;
  /** Where room stands. `freeBytes` is on disk already: appends of so many bytes cannot fail for want of space. */
  status(): JournalStatus;
  /** Appends an empty batch so that the end is known as synced, and closes. Without it, a close is like a crash. */
  close(): Promise<void>;
}

/** Has the batches that are read back. */
export interface BatchMemory {
  /** The batch at `position`; what is not there is loaded, into the memory that is given for it, if any. */
  get(position: Position, bytes: number, load: (into?: Buffer) => Promise<Buffer>): Promise<Buffer>;
}

export interface JournalStatus {
  /** The oldest segment still held, and the one being written. */
  oldestGeneration: number;
  currentGeneration: number;
  segmentBytes: number;
  usedBytes: number;
  freeBytes: number;
  capacityBytes: number;
  /** The largest body that `append` takes, and what each append takes beside its body. */
  maxBatchBytes: number;
  batchOverheadBytes: number;
}

/** Immutable named objects: cold segments and checkpoints. Names are made by the engine: `[a-z0-9-]{1,64}`. */
export interface BlobStore {
  /** Not visible in `list` before `seal`; an unsealed one is gone after a crash. Overwrites nothing: a taken name throws. */
  create(name: string): Promise<BlobWriter>;
  /** @throws NOT_FOUND, STORAGE_FAILED. The caller checks the CRC. */
  read(name: string, offset: number, length: number): Promise<Buffer>;
  list(): Promise<{ name: string; bytes: number }[]>;
  /** Removing what is not there is not an error. May come back after a crash. */
  remove(name: string): Promise<void>;
  close(): Promise<void>;
}

export interface BlobWriter {
  /** The bytes are the caller's again when it resolves. @throws OUT_OF_SPACE, STORAGE_FAILED; then only `abort` may follow. */
  write(bytes: Uint8Array): Promise<void>;
  /** Durable and visible when it resolves. */
  seal(): Promise<void>;
  abort(): Promise<void>;
}
