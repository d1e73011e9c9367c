import type { DiskFile } from '../disk.ts';
import { BatchIndex } from './batch-index.ts';

/** A file of batches. Its name is its generation, which rises by one with each segment that is begun. */
export class Segment {
  readonly generation: number;
  readonly file: DiskFile;
  readonly batches = new BatchIndex();
  /** Bytes from the start that hold batches. */
  used = 0;
  /** The last sequence at its end, whether or not it holds an entry itself. */
  lastSequence = 0;
  /** Written to since its last sync began. */
  dirty = false;

  constructor(generation: number, file: DiskFile) {
    this.generation = generation;
    this.file = file;
  }

  get bytes(): number {
    return this.file.size();
  }
}

export const PREPARE_NAME = 'prepare.tmp';
const SUFFIX = '.journal';

/** `0000000007.journal`: sorted by name is sorted by age. */
export function segmentName(generation: number): string {
  return String(generation).padStart(10, '0') + SUFFIX;
}

/** The generation in a segment's name, or undefined for any other file. */
export function generationInName(name: string): number | undefined {
  if (name.length !== 10 + SUFFIX.length || !name.endsWith(SUFFIX)) return undefined;
  const generation = Number(name.slice(0, 10));
  return Number.isSafeInteger(generation) && generation > 0 && segmentName(generation) === name
    ? generation
    : undefined;
}
