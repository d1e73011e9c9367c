import type { Disk } from '../disk.ts';
import { HEADER_BYTES, KIND_LOST, lastSequence } from './header.ts';
import { scanJournal, type Damage, type JournalScan } from './scan.ts';
import { segmentName } from './segment.ts';

/** One batch as it lies on disk. */
export interface InspectedBatch {
  file: string;
  byte: number;
  /** With its header. */
  bytes: number;
  /** `empty` batches hold no entries: an epoch's first, and those of close, idle and free. `lost` is a repair's mark. */
  kind: 'entries' | 'empty' | 'lost';
  firstSequence: number;
  lastSequence: number;
  epoch: number;
  syncedTo: number;
}

export interface Inspection {
  /** True when the broker would start from this. A torn end is no fault. */
  ok: boolean;
  /** Null when there is no journal. */
  journalId: string | null;
  epoch: number;
  firstSequence: number;
  lastSequence: number;
  /** The highest sequence that some header knows as synced. */
  syncedTo: number;
  batches: number;
  entries: number;
  segments: { file: string; generation: number; bytes: number; usedBytes: number }[];
  spares: string[];
  damage: Damage | null;
  /** A torn end: it would be cut at the next start. */
  cut: { file: string; byte: number; bytes: number } | null;
  lost: { first: number; last: number }[];
}

/**
 * Checks every batch of every segment, and lists them to `onBatch`. Changes nothing. Nobody may write to the directory
 * meanwhile: hold its lock.
 *
 * @throws JOURNAL_CORRUPT for files of different journals, FORMAT_TOO_NEW, STORAGE_FAILED
 */
export async function inspectJournal(disk: Disk, onBatch?: (batch: InspectedBatch) => void): Promise<Inspection> {
  let batches = 0;
  let entries = 0;
  const scan = await scanJournal(disk, ({ header, segment, body }) => {
    batches++;
    if (header.kind !== KIND_LOST) entries += header.count;
    onBatch?.({
      file: segmentName(segment.generation),
      byte: header.byte,
      bytes: HEADER_BYTES + body.length,
      kind: header.kind === KIND_LOST ? 'lost' : header.count === 0 ? 'empty' : 'entries',
      firstSequence: header.firstSequence,
      lastSequence: lastSequence(header),
      epoch: header.epoch,
      syncedTo: header.syncedTo,
    });
  });
  await closeScan(scan);
  return {
    ok: scan.damage === null,
    journalId: scan.journalId === null ? null : scan.journalId.toString('hex'),
    epoch: scan.highestEpoch,
    firstSequence: scan.firstSequence,
    lastSequence: scan.lastSequence,
    syncedTo: scan.syncedTo,
    batches,
    entries,
    segments: scan.segments.map((segment) => ({
      file: segmentName(segment.generation),
      generation: segment.generation,
      bytes: segment.bytes,
      usedBytes: segment.used,
    })),
    spares: scan.spares.map((segment) => segmentName(segment.generation)),
    damage: scan.damage,
    cut:
      scan.cut === null ? null : { file: segmentName(scan.cut.generation), byte: scan.cut.byte, bytes: scan.cut.bytes },
    lost: scan.lost,
  };
}

export async function closeScan(scan: JournalScan): Promise<void> {
  for (const segment of [...scan.segments, ...scan.spares]) await segment.file.close();
}
