import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { assert, RailheadError } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import {
  byteOf,
  generationOf,
  MAX_SEGMENT_BYTES,
  positionOf,
  type BatchMemory,
  type Journal,
  type JournalStatus,
  type Position,
  type RecoveredBatch,
  type RecoveryReport,
} from '../../engine/ports.ts';
import { isSystemError, storageError, writeFully, type Disk } from '../disk.ts';
import { BatchCache } from './batch-cache.ts';
import { decodeHeader, bodyIsWhole, encodeHeader, HEADER_BYTES, KIND_ENTRIES, lastSequence } from './header.ts';
import { corrupt, settleTail } from './recovery.ts';
import { SegmentRing } from './ring.ts';
import { scanJournal, type JournalScan } from './scan.ts';
import { segmentName, type Segment } from './segment.ts';

export interface FileJournalOptions {
  /**
   * Size of a segment file. Default 32 MiB, at most 256 MiB. A change takes hold as segments are recycled. The first one of
   * a new journal has 4 MiB at most.
   */
  segmentBytes?: number;
  /** How many of them; together the bound of the journal. All are allocated in the first seconds. Default 8. */
  segments?: number;
  /** The largest body of a batch. Default 10 MiB, or half a segment where that is less. */
  maxBatchBytes?: number;
  /** Memory for batches read back. Default 16 MiB. */
  readCacheBytes?: number;
  /** Chance for the journal's id; a test hands in a seeded one. Default: the system's. */
  random?: Random;
}

const MiB = 2 ** 20;
/** Of the very first segment: somebody waits for it. It is made anew in full size when it is recycled. */
const FIRST_BYTES = 4 * MiB;
/** Of each segment, kept for the empty batches that close, idle and give back: they must fit when all else is full. */
const RESERVE_BYTES = 4096;

/**
 * The journal on files: a ring of segments, written by `writev` on the loop thread and synced in the thread pool.
 *
 * States: made (only `recover` may follow) → open → failed (every call throws what failed first) or closed.
 */
export class FileJournal implements Journal {
  readonly #disk: Disk;
  readonly #ring: SegmentRing;
  readonly #maxBatchBytes: number;
  readonly #reserveBytes: number;
  readonly #capacityBytes: number;
  readonly #segmentBytes: number;
  readonly #random: Random | undefined;
  readonly #cache: BatchCache;
  readonly #header = Buffer.alloc(HEADER_BYTES);

  #state: 'made' | 'open' | 'closed' = 'made';
  #failure: RailheadError | undefined;
  #journalId: Buffer = Buffer.alloc(0);
  #epoch = 0;
  /** The last sequence appended; the highest known as synced; and what the newest header on disk says of that. */
  #last = 0;
  #synced = 0;
  #recorded = 0;
  #oldest = 1;
  #previous = 0;
  /** Syncs and upkeep (making and recycling segments), each one at a time. */
  #syncing: Promise<void> = Promise.resolve();
  #upkeep: Promise<void> = Promise.resolve();

  constructor(disk: Disk, options: FileJournalOptions = {}) {
    const segmentBytes = options.segmentBytes ?? 32 * MiB;
    const segments = options.segments ?? 8;
    if (!Number.isSafeInteger(segmentBytes) || segmentBytes < 4096 || segmentBytes > MAX_SEGMENT_BYTES) {
      throw new RailheadError(
        'CONFIG',
        `The segment size is ${segmentBytes} bytes; choose 4096 to ${MAX_SEGMENT_BYTES}.`,
      );
    }
    if (!Number.isSafeInteger(segments) || segments < 2 || segments > 65536) {
      throw new RailheadError('CONFIG', `The journal is told to have ${segments} segments; choose 2 to 65536.`);
    }
    this.#disk = disk;
    this.#segmentBytes = segmentBytes;
    this.#capacityBytes = segmentBytes * segments;
    this.#reserveBytes = Math.min(RESERVE_BYTES, Math.floor(segmentBytes / 8));
    const largest = segmentBytes - this.#reserveBytes - HEADER_BYTES;
    this.#maxBatchBytes = Math.min(options.maxBatchBytes ?? Math.min(10 * MiB, Math.floor(segmentBytes / 2)), largest);
    this.#random = options.random;
    this.#cache = new BatchCache(options.readCacheBytes ?? 16 * MiB);
    this.#ring = new SegmentRing(disk, segmentBytes, segments);
  }

  async recover(after: number, onBatch: (batch: RecoveredBatch) => void): Promise<RecoveryReport> {
    assert(this.#state === 'made', 'a journal is recovered once');
    try {
      return await this.#recover(after, onBatch);
    } catch (error) {
      // What the caller's `onBatch` throws, or a bug, is passed on as it is.
      const failure = storageError(error, `reading the journal in ${this.#disk.where}`);
      this.#fail(failure);
      throw isSystemError(error) ? failure : error;
    }
  }

  async #recover(after: number, onBatch: (batch: RecoveredBatch) => void): Promise<RecoveryReport> {
    // Batches that do not follow what the engine has are not for it: the check below says why.
    let follows: boolean | undefined;
    const scan = await scanJournal(this.#disk, ({ header, segment, body }) => {
      follows ??= header.firstSequence <= after + 1;
      if (!follows || header.kind !== KIND_ENTRIES || header.count === 0 || lastSequence(header) <= after) return;
      const position = positionOf(segment.generation, header.byte + HEADER_BYTES);
      // A copy, so that a slice which the engine keeps pins one batch and not a segment.
      onBatch({ firstSequence: header.firstSequence, count: header.count, body: Buffer.from(body), position });
    });
    try {
      if (scan.damage !== null) throw corrupt(this.#disk.where, scan.damage);
      if (follows === false || scan.firstSequence > after + 1 || scan.lastSequence < after)
        throw outOfReach(this.#disk.where, scan, after);
      await this.#take(scan);
    } catch (error) {
      for (const segment of [...scan.segments, ...scan.spares]) await segment.file.close();
      throw error;
    }
    return this.#report(scan);
  }

  /** Makes what was found durable, and begins an epoch right after it. */
  async #take(scan: JournalScan): Promise<void> {
    await settleTail(scan);
    const end = scan.segments.at(-1)?.generation ?? 0;
    const earlier = scan.spares.filter((spare) => spare.generation < end);
    await this.#ring.open(
      scan.segments,
      scan.spares.filter((spare) => spare.generation > end),
      earlier,
    );
    this.#journalId = scan.journalId === null ? this.#newId() : scan.journalId;
    this.#epoch = scan.highestEpoch + 1;
    this.#last = this.#synced = scan.lastSequence;
    this.#previous = scan.previous;
    if (this.#ring.live.length === 0) {
      if (this.#ring.spares.length === 0) await this.#ring.prepare(Math.min(this.#segmentBytes, FIRST_BYTES));
      this.#ring.roll();
    }
    this.#oldest = this.#ring.live[0]?.generation ?? 1;
    this.#state = 'open';
    await this.#room();
    this.#appendEmpty();
    await this.sync();
    // Only now: the header that gave them back may have been in the torn end.
    await this.#ring.recycle(earlier);
    this.#tidy();
  }

  #report(scan: JournalScan): RecoveryReport {
    const notices = scan.lost.map(({ first, last }) => `Sequences ${first} to ${last} were given up by a repair.`);
    if (scan.cut !== null) {
      notices.push(
        `The torn end of the journal was cut: ${scan.cut.bytes} bytes at byte ${scan.cut.byte} of ${segmentName(scan.cut.generation)}. Nothing of it was known to be synced.`,
      );
    }
    return {
      journalId: this.#journalId.toString('hex'),
      epoch: this.#epoch,
      lastSequence: this.#last,
      cut: scan.cut,
      lost: scan.lost,
      notices,
    };
  }

  append(body: readonly Uint8Array[], bytes: number, firstSequence: number, count: number): Position {
    this.#assertOpen();
    assert(
      firstSequence === this.#last + 1 && count > 0,
      `batch of ${count} from ${firstSequence} after ${this.#last}`,
    );
    if (bytes > this.#maxBatchBytes) {
      throw new RailheadError(
        'TOO_LARGE',
        `The batch has ${bytes} bytes; the journal takes up to ${this.#maxBatchBytes}. Send less at once.`,
      );
    }
    const taken = bytes + HEADER_BYTES;
    let segment = this.#ring.current;
    if (segment.used + taken > segment.bytes - this.#reserveBytes) {
      segment.lastSequence = this.#last;
      if (!this.#ring.roll()) {
        throw this.#fail(
          new RailheadError(
            'OUT_OF_SPACE',
            `The journal in ${this.#disk.where} is full: ${this.#capacityBytes} bytes hold what is still needed. Start again with a larger one.`,
          ),
        );
      }
      segment = this.#ring.current;
    }
    return this.#write(segment, body, bytes, firstSequence, count);
  }

  #appendEmpty(): void {
    const segment = this.#ring.current;
    if (segment.used + HEADER_BYTES > segment.bytes) {
      segment.lastSequence = this.#last;
      if (!this.#ring.roll()) return;
    }
    this.#write(this.#ring.current, [], 0, this.#last + 1, 0);
  }

  #write(segment: Segment, body: readonly Uint8Array[], bytes: number, firstSequence: number, count: number): Position {
    let bodyCrc = 0;
    for (const part of body) bodyCrc = crc32(part, bodyCrc);
    const byte = segment.used;
    const crc = encodeHeader(this.#header, this.#journalId, {
      epoch: this.#epoch,
      generation: segment.generation,
      byte,
      bodyBytes: bytes,
      firstSequence,
      syncedTo: this.#synced,
      count,
      oldest: this.#oldest,
      kind: KIND_ENTRIES,
      resume: 0,
      previous: this.#previous,
      bodyCrc,
    });
    segment.dirty = true;
    try {
      writeFully(segment.file, [this.#header, ...body], HEADER_BYTES + bytes, byte);
    } catch (error) {
      throw this.#fail(storageError(error, `writing ${segmentName(segment.generation)} in ${this.#disk.where}`));
    }
    segment.batches.push(byte);
    segment.used = byte + HEADER_BYTES + bytes;
    this.#last += count;
    segment.lastSequence = this.#last;
    this.#recorded = this.#synced;
    this.#previous = crc;
    return positionOf(segment.generation, byte + HEADER_BYTES);
  }

  sync(): Promise<void> {
    const syncing = this.#syncing.then(() => this.#sync());
    this.#syncing = syncing.catch(() => {});
    return syncing;
  }

  async #sync(): Promise<void> {
    this.#assertOpen();
    const covered = this.#last;
    try {
      await this.#syncDirty();
    } catch (error) {
      throw this.#fail(storageError(error, `syncing the journal in ${this.#disk.where}`));
    }
    if (this.#failure !== undefined) throw this.#failure;
    this.#synced = covered;
  }

  /** Nearly always one segment; a second one right after a roll. */
  #syncDirty(): Promise<unknown> {
    let first: Promise<void> | undefined;
    let others: Promise<void>[] | undefined;
    const { live } = this.#ring;
    for (let i = 0; i < live.length; i++) {
      const segment = live[i];
      if (!segment?.dirty) continue;
      segment.dirty = false;
      const syncing = segment.file.sync();
      if (first === undefined) first = syncing;
      else (others ??= [first]).push(syncing);
    }
    return others === undefined ? (first ?? Promise.resolve()) : allDone(others);
  }

  async idle(): Promise<void> {
    this.#assertOpen();
    if (this.#synced !== this.#last || this.#recorded === this.#synced) return;
    this.#appendEmpty();
    await this.sync();
  }

  async read(position: Position, length: number, memory: BatchMemory = this.#cache): Promise<Buffer> {
    this.#assertOpen();
    const byte = byteOf(position);
    const segment = this.#ring.find(generationOf(position));
    const batch = segment?.batches.around(byte, segment.used);
    if (segment === undefined || batch === undefined) {
      throw new RailheadError(
        'NOT_FOUND',
        `The journal holds nothing at position ${position}: its segment was given back.`,
      );
    }
    const [from, to] = batch;
    const offset = byte - from;
    assert(
      offset >= HEADER_BYTES && length >= 0 && byte + length <= to,
      `a read of ${length} bytes at ${position} leaves its batch`,
    );
    const bytes = await memory.get(positionOf(segment.generation, from), to - from, (into) =>
      this.#load(segment, from, to, into),
    );
    return bytes.subarray(offset, offset + length);
  }

  /** A whole batch, checked: place, generation and both CRCs. */
  async #load(segment: Segment, from: number, to: number, into: Buffer | undefined): Promise<Buffer> {
    let bytes: Buffer;
    try {
      bytes = await segment.file.read(from, to - from, into);
    } catch (error) {
      throw storageError(error, `reading ${segmentName(segment.generation)} in ${this.#disk.where}`);
    }
    if (this.#ring.find(segment.generation) !== segment) {
      throw new RailheadError(
        'NOT_FOUND',
        `Segment ${segment.generation} of the journal was given back while it was read.`,
      );
    }
    const header = decodeHeader(bytes, 0);
    const ours = header !== undefined && header.generation === segment.generation && header.byte === from;
    if (!ours || !bodyIsWhole(bytes, header, 0)) {
      throw corrupt(this.#disk.where, {
        kind: 'batch',
        generation: segment.generation,
        file: segmentName(segment.generation),
        byte: from,
        sequence: undefined,
        syncedTo: this.#synced,
      });
    }
    return bytes;
  }

  async free(sequence: number, generation: number): Promise<void> {
    this.#assertOpen();
    const needed = this.#firstNeeded(Math.min(sequence, this.#synced), generation);
    if (needed <= this.#oldest) return;
    this.#oldest = needed;
    const dropped = this.#ring.drop(needed);
    try {
      await this.#do(async () => {
        // Only when a synced header says that these are not needed may a crash find them gone.
        await this.#room();
        this.#assertOpen();
        this.#appendEmpty();
        await this.sync();
        await this.#ring.recycle(dropped);
      });
    } catch (error) {
      for (const segment of dropped) await segment.file.close();
      throw error;
    }
    this.#tidy();
  }

  #firstNeeded(sequence: number, generation: number): number {
    const current = this.#ring.current;
    for (const segment of this.#ring.live) {
      if (segment === current || segment.generation >= generation || segment.lastSequence > sequence)
        return segment.generation;
    }
    return current.generation;
  }

  /** Makes sure that an empty batch fits, with a segment above the bound if need be. */
  async #room(): Promise<void> {
    const current = this.#ring.current;
    if (current.used + HEADER_BYTES > current.bytes && this.#ring.spares.length === 0) await this.#ring.prepare();
  }

  /** Makes the segments that are still missing, in the background. A full disk only means that there are fewer. */
  #tidy(): void {
    void this.#do(async () => {
      while (this.#state === 'open' && this.#failure === undefined && this.#ring.wantsMore) await this.#ring.prepare();
    }).catch(() => {});
  }

  #do(work: () => Promise<void>): Promise<void> {
    const done = this.#upkeep.then(work).catch((error: unknown) => {
      const failure = storageError(error, `keeping the journal in ${this.#disk.where}`);
      throw failure.code === 'OUT_OF_SPACE' ? failure : this.#fail(failure);
    });
    this.#upkeep = done.catch(() => {});
    return done;
  }

  /** Resolves when the segments that are being made or recycled in the background are there. */
  async prepared(): Promise<void> {
    await this.#upkeep;
  }

  status(): JournalStatus {
    const { current, live, spares } = this.#ring;
    // Asked for with every command: without an iterator.
    let usedBytes = current.used;
    for (let i = 0; i < live.length - 1; i++) usedBytes += live[i]?.bytes ?? 0;
    // At each border between segments less than one batch is left empty.
    let freeBytes = Math.max(0, current.bytes - this.#reserveBytes - current.used);
    for (let i = 0; i < spares.length; i++)
      freeBytes += (spares[i]?.bytes ?? 0) - this.#reserveBytes - this.#maxBatchBytes - HEADER_BYTES;
    return {
      oldestGeneration: this.#oldest,
      currentGeneration: current.generation,
      segmentBytes: this.#segmentBytes,
      usedBytes,
      freeBytes: this.#failure === undefined ? Math.max(0, freeBytes) : 0,
      capacityBytes: this.#capacityBytes,
      maxBatchBytes: this.#maxBatchBytes,
      batchOverheadBytes: HEADER_BYTES,
    };
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    const wasOpen = this.#state === 'open';
    try {
      if (wasOpen && this.#failure === undefined) {
        await this.sync();
        if (this.#recorded !== this.#synced) {
          this.#appendEmpty();
          await this.sync();
        }
      }
    } finally {
      this.#state = 'closed';
      await this.#upkeep;
      this.#cache.clear();
      await this.#ring.close();
    }
  }

  #newId(): Buffer {
    const random = this.#random;
    if (random === undefined) return randomBytes(16);
    return Buffer.from(Array.from({ length: 16 }, () => Math.floor(random.next() * 256)));
  }

  #assertOpen(): void {
    if (this.#failure !== undefined) {
      throw new RailheadError('STORAGE_FAILED', `The journal stopped before: ${this.#failure.message}`, {
        cause: this.#failure,
      });
    }
    if (this.#state !== 'open')
      throw new RailheadError(
        'CLOSED',
        `The journal in ${this.#disk.where} is ${this.#state === 'made' ? 'not recovered yet' : 'closed'}.`,
      );
  }

  /** The first failure is final: what the disk holds is known again only after a recovery. */
  #fail(error: RailheadError): RailheadError {
    this.#failure ??= error;
    return error;
  }
}

/** Rejects with the first failure, but not before all are over: none may run on in a journal that has failed. */
async function allDone(syncs: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(syncs)) if (result.status === 'rejected') throw result.reason;
}

/** The journal must continue what the engine's checkpoint holds. */
function outOfReach(where: string, scan: JournalScan, after: number): RailheadError {
  return new RailheadError(
    'JOURNAL_CORRUPT',
    `The journal in ${where} holds sequences ${scan.firstSequence} to ${scan.lastSequence}, but the broker's checkpoint ends at ${after}: journal and checkpoint do not belong together. Restore both from one backup, or look with: railhead journal inspect --dir ${where}`,
  );
}
