import { RailheadError } from '../../core/errors.ts';
import { writeFully } from '../disk.ts';
import { endOf, HEADER_BYTES } from './header.ts';
import type { Damage, JournalScan } from './scan.ts';
import type { Segment } from './segment.ts';

const COPY_BYTES = 2 ** 20;

/**
 * Makes durable what a scan found at the end and nobody knows to be so.
 *
 * After a failed sync in this boot, reads show bytes that the disk never got, and the next sync says OK without writing
 * them: so the tail is written again, byte for byte in its place, and only then synced. A power cut in the middle finds
 * sectors that are old or new, both of which are the same or a torn tail again.
 *
 * Batches that a torn end left in later segments are wiped: their place will be used by others.
 */
export async function settleTail(scan: JournalScan): Promise<void> {
  const touched = new Set<Segment>();
  for (const segment of scan.segments) {
    const first = scan.tail.find((one) => one.segment === segment);
    if (first === undefined) continue;
    let end = first.header.byte;
    for (const one of scan.tail) if (one.segment === segment) end = endOf(one.header);
    for (let at = first.header.byte; at < end; at += COPY_BYTES) {
      const bytes = await segment.file.read(at, Math.min(COPY_BYTES, end - at));
      writeFully(segment.file, [bytes], bytes.length, at);
    }
    touched.add(segment);
  }
  const zeros = Buffer.alloc(HEADER_BYTES);
  for (const segment of scan.leftovers) {
    writeFully(segment.file, [zeros], zeros.length, 0);
    touched.add(segment);
  }
  for (const segment of touched) await segment.file.sync();
}

/** The error for damage at or below what is known to be synced. */
export function corrupt(
  where: string,
  damage: Omit<Damage, 'sequence'> & { sequence: number | undefined },
): RailheadError {
  const what =
    damage.kind === 'missing'
      ? `The journal segment ${damage.file} in ${where} is missing`
      : `The journal in ${where} is damaged in ${damage.file} at byte ${damage.byte}`;
  const known =
    damage.sequence === undefined
      ? ''
      : `, at sequence ${damage.sequence}, while all up to ${damage.syncedTo} was synced`;
  return new RailheadError(
    'JOURNAL_CORRUPT',
    `${what}${known}. Nothing was changed. Look with: railhead journal inspect --dir ${where}; give up what is lost with: railhead journal repair --dir ${where} --accept-loss`,
    { details: { ...damage, directory: where } },
  );
}
