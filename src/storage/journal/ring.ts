import { assert } from '../../core/errors.ts';
import { storageError, systemCode, type Disk } from '../disk.ts';
import { PREPARE_NAME, Segment, segmentName } from './segment.ts';

/**
 * The files of a journal: the live segments (oldest first, the last one is written to) and the spares that come next.
 *
 * A spare has the name of the generation it will hold, its space on disk and its name in the directory, all synced, so
 * that going on to it is nothing but writing. A segment given back is renamed to become the last spare; what it held
 * stays in it and is told apart by its lower generation.
 */
export class SegmentRing {
  readonly #disk: Disk;
  readonly #segmentBytes: number;
  readonly #segments: number;
  #live: Segment[] = [];
  #spares: Segment[] = [];
  /** How many segments were dropped and are not recycled yet. */
  #dropped = 0;

  constructor(disk: Disk, segmentBytes: number, segments: number) {
    this.#disk = disk;
    this.#segmentBytes = segmentBytes;
    this.#segments = segments;
  }

  get live(): readonly Segment[] {
    return this.#live;
  }

  get spares(): readonly Segment[] {
    return this.#spares;
  }

  get current(): Segment {
    const current = this.#live.at(-1);
    assert(current !== undefined, 'the journal has no segment');
    return current;
  }

  find(generation: number): Segment | undefined {
    return this.#live[generation - (this.#live[0]?.generation ?? 0)];
  }

  /** Takes what a scan found, and names the later files as the generations that come next. `recycle` follows for the earlier. */
  async open(live: Segment[], later: Segment[], earlier: Segment[]): Promise<void> {
    this.#live = live;
    this.#dropped = earlier.length;
    await this.#disk.remove(PREPARE_NAME);
    await this.#adopt(later);
  }

  /** Makes the next spare the current segment. */
  roll(): boolean {
    const next = this.#spares.shift();
    if (next === undefined) return false;
    this.#live.push(next);
    return true;
  }

  /** Makes one more spare. @throws what the disk throws */
  async prepare(bytes = this.#segmentBytes): Promise<void> {
    try {
      const file = await this.#disk.create(PREPARE_NAME);
      try {
        await file.allocate(bytes);
      } catch (error) {
        await file.close();
        throw error;
      }
      const generation = this.#nextGeneration();
      await this.#disk.rename(PREPARE_NAME, segmentName(generation));
      await this.#disk.syncDir();
      this.#spares.push(new Segment(generation, file));
    } catch (error) {
      if (systemCode(error) === 'ENOSPC') await this.#disk.remove(PREPARE_NAME);
      throw storageError(error, `making a journal segment in ${this.#disk.where}`);
    }
  }

  /** True until all segments that the journal may have exist. */
  get wantsMore(): boolean {
    return this.#live.length + this.#spares.length + this.#dropped < this.#segments;
  }

  /** Takes the oldest live segments out: no read finds them any more. */
  drop(generation: number): Segment[] {
    const from = this.#live.findIndex((segment) => segment.generation >= generation);
    const dropped = this.#live.splice(0, from === -1 ? 0 : from);
    this.#dropped += dropped.length;
    return dropped;
  }

  /**
   * Turns segments that were dropped into spares. A synced header of the chain must say before that they are not
   * needed: a crash right after finds them under their new names, and would miss them.
   */
  async recycle(dropped: Segment[]): Promise<void> {
    try {
      await this.#adopt(dropped);
      this.#dropped -= dropped.length;
    } catch (error) {
      throw storageError(error, `recycling journal segments in ${this.#disk.where}`);
    }
  }

  /** Gives files the names of the generations that come next, or removes them when there are enough. */
  async #adopt(segments: Segment[]): Promise<void> {
    const spares: Segment[] = [];
    for (const segment of segments) {
      const name = segmentName(segment.generation);
      const isSurplus = this.#live.length + this.#spares.length + spares.length >= this.#segments;
      if (isSurplus || segment.bytes !== this.#segmentBytes) {
        await this.#disk.remove(name);
        await segment.file.close();
        continue;
      }
      const generation = this.#nextGeneration() + spares.length;
      if (generation !== segment.generation) await this.#disk.rename(name, segmentName(generation));
      spares.push(new Segment(generation, segment.file));
    }
    await this.#disk.syncDir();
    this.#spares.push(...spares);
  }

  async close(): Promise<void> {
    for (const segment of [...this.#live, ...this.#spares]) await segment.file.close();
  }

  #nextGeneration(): number {
    return ((this.#spares.at(-1) ?? this.#live.at(-1))?.generation ?? 0) + 1;
  }
}
