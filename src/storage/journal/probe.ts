import { RailheadError } from '../../core/errors.ts';
import { MAX_SEGMENT_BYTES } from '../../engine/ports.ts';
import type { Disk } from '../disk.ts';
import { decodeHeader, FORMAT_VERSION, HEADER_BYTES, journalIdAt, MAX_HEADER_BYTES, newerFormat } from './header.ts';
import { generationInName, Segment, segmentName } from './segment.ts';

/** What the start of a segment file says. */
export interface Probe {
  readonly segment: Segment;
  /** `live`: begins with a batch of its own generation. `blank`: zeros, or batches of a former life. */
  readonly state: 'live' | 'blank' | 'damaged';
  readonly journalId: Buffer | undefined;
}

/** All segment files of a directory, oldest first. @throws JOURNAL_CORRUPT for one that is too large */
export async function openSegments(disk: Disk): Promise<Segment[]> {
  const segments: Segment[] = [];
  for (const { name, bytes } of await disk.list()) {
    const generation = generationInName(name);
    if (generation === undefined) continue;
    if (bytes > MAX_SEGMENT_BYTES) {
      throw new RailheadError(
        'JOURNAL_CORRUPT',
        `${name} in ${disk.where} has ${bytes} bytes; a journal segment has at most ${MAX_SEGMENT_BYTES}. Move the file away if it is not one.`,
      );
    }
    segments.push(new Segment(generation, await disk.open(name)));
  }
  return segments.sort((a, b) => a.generation - b.generation);
}

/** @throws FORMAT_TOO_NEW, JOURNAL_CORRUPT for a renamed file */
export async function probeSegment(segment: Segment, where: string): Promise<Probe> {
  const head = await segment.file.read(0, MAX_HEADER_BYTES);
  const version = newerFormat(head, 0);
  if (version !== undefined) {
    throw new RailheadError(
      'FORMAT_TOO_NEW',
      `${segmentName(segment.generation)} in ${where} has journal format ${version}; this version of Railhead reads up to ${FORMAT_VERSION}. Start the newer version again.`,
      { details: { format: version } },
    );
  }
  const header = decodeHeader(head, 0);
  if (header !== undefined) {
    if (header.generation > segment.generation) {
      throw new RailheadError(
        'JOURNAL_CORRUPT',
        `${segmentName(segment.generation)} in ${where} holds what belongs into ${segmentName(header.generation)}: a file was renamed. Give it its name back.`,
      );
    }
    const live = header.generation === segment.generation && header.byte === 0;
    return { segment, state: live ? 'live' : 'blank', journalId: journalIdAt(head, 0) };
  }
  const state = head.subarray(0, HEADER_BYTES).every((byte) => byte === 0) ? 'blank' : 'damaged';
  return { segment, state, journalId: undefined };
}

/** The id that all of them have, if any has one. @throws JOURNAL_CORRUPT for files of different journals */
export function journalOf(probes: readonly Probe[], where: string): Buffer | undefined {
  let first: Probe | undefined;
  for (const probe of probes) {
    if (probe.journalId === undefined) continue;
    first ??= probe;
    if (first.journalId !== undefined && !first.journalId.equals(probe.journalId)) {
      throw new RailheadError(
        'JOURNAL_CORRUPT',
        `In ${where}, ${segmentName(first.segment.generation)} belongs to journal ${first.journalId.toString('hex')} and ${segmentName(probe.segment.generation)} to journal ${probe.journalId.toString('hex')}; a directory holds one journal. Move the file that does not belong here away.`,
      );
    }
  }
  // Batches of a former life alone are no journal: their segment was given back and nothing followed.
  return first?.journalId;
}
