import { RailheadError } from '../../core/errors.ts';
import type { ColdBlockRef } from '../entries.ts';
import { entryBytes, readEntry } from '../entry-reader.ts';
import type { Partition } from '../machine/partition.ts';
import type { Topic } from '../machine/topic.ts';
import { positionOf } from '../ports.ts';
import { indexBlock } from './bodies.ts';
import type { Checkpointer } from './checkpointer.ts';
import { checkBlock, ColdSegmentWriter } from './cold-segment.ts';
import { aliveBytes, coldShare, isAlive, REWRITTEN } from './live-share.ts';
import { ReadPass } from './read-pass.ts';
import type { Shard } from './shard.ts';

/** The commit log is reclaimed when more than this part of it is used. */
const RECLAIM_SHARE = 0.5;
/** A cold segment is written anew when less than this part of it is alive. */
const SPARSE_SHARE = 0.4;
/** What one rewrite may copy. */
const REWRITE_BYTES = 32 << 20;
/** What is moved together, and held in memory meanwhile. */
const STRETCH_BYTES = 12 << 20;
/** Moved without letting anybody else run: some milliseconds. */
const UNBROKEN_BYTES = 512 << 10;
/** A reclaim that failed for want of disk space is tried again after this. */
const RETRY_MS = 1000;
/** The memory for what is moved is kept for the next time, if that comes soon. */
const KEEP_MEMORY_MS = 1000;

/**
 * Keeps the commit log bounded. Of the oldest segment, what is still alive moves to a cold segment: blocks by topic and
 * partition, then the index of the blocks. Order: cold segment synced, then a `moved` entry, then, once a checkpoint
 * covers it, the segment is given back. Messages that were settled meanwhile are never written twice.
 */
export class Reclaimer {
  readonly #shard: Shard;
  readonly #checkpointer: Checkpointer;
  readonly #pass = new ReadPass();
  #busy = false;
  #working: Promise<unknown> = Promise.resolve();
  /** Somebody copies the files: nothing is moved or removed. */
  held = false;
  #checkpointedBytes = 0;
  #retryAt = 0;
  #unbroken = 0;
  /** Why the last attempt failed, in words; null when all is well. */
  trouble: string | null = null;

  constructor(shard: Shard, checkpointer: Checkpointer) {
    this.#shard = shard;
    this.#checkpointer = checkpointer;
  }

  get idle(): boolean {
    return !this.#busy;
  }

  /** Resolves when what is under way is done. */
  async rested(): Promise<void> {
    await this.#working;
  }

  /** Called in each turn after the append. */
  work(): void {
    if (this.#busy || this.held || this.#shard.closing || this.#shard.clock.now() < this.#retryAt) return;
    const { usedBytes, capacityBytes } = this.#shard.journal.status();
    const due = this.#shard.counters.bytes - this.#checkpointedBytes >= this.#shard.limits.checkpointBytes;
    if (!due && usedBytes <= capacityBytes * RECLAIM_SHARE && this.#shard.state.blobs.empty.length === 0) return;
    this.#busy = true;
    this.#working = this.#work(due, usedBytes > capacityBytes * RECLAIM_SHARE)
      .then(
        () => (this.trouble = null),
        (error: unknown) => this.#failed(error),
      )
      .finally(() => {
        this.#busy = false;
        this.#shard.agenda.set('reclaimed', this.#shard.clock.now() + KEEP_MEMORY_MS, () => {
          if (!this.#busy) this.#pass.release();
        });
        this.#shard.wake();
      });
  }

  /** Writes a checkpoint now, such as before a close. */
  async checkpoint(): Promise<void> {
    this.#checkpointedBytes = this.#shard.counters.bytes;
    await this.#checkpointer.write();
    this.#shard.counters.checkpoints++;
  }

  /** A full disk is not the end: consumers go on, publishers wait, and it is tried again. Anything else is. */
  #failed(error: unknown): void {
    this.trouble = error instanceof Error ? error.message : String(error);
    if (!RailheadError.is(error, 'OUT_OF_SPACE')) {
      this.#shard.fail(error);
      return;
    }
    this.#retryAt = this.#shard.clock.now() + RETRY_MS;
    this.#shard.agenda.set('reclaim', this.#retryAt, () => {});
  }

  async #work(checkpointDue: boolean, spaceDue: boolean): Promise<void> {
    if (spaceDue) await this.#moveOldest();
    if (checkpointDue || spaceDue) await this.checkpoint();
    if (checkpointDue || spaceDue) await this.#rewriteSparse();
    // Two checkpoints must cover a segment before it goes: an idle second one is small.
    if (spaceDue && this.#checkpointer.covered < this.#shard.sequence) await this.checkpoint();
    await this.#removeEmptyBlobs();
    await this.#free();
  }

  /** Segments below the oldest hot message and covered by two checkpoints. */
  async #free(): Promise<void> {
    let oldest = this.#shard.journal.status().currentGeneration;
    for (const topic of this.#shard.state.topics.values()) {
      for (const partition of topic.partitions) {
        const position = partition.oldestPosition();
        if (position !== undefined) oldest = Math.min(oldest, Math.floor(position / positionOf(1, 0)));
      }
    }
    await this.#shard.journal.free(this.#checkpointer.covered, oldest);
  }

  async #removeEmptyBlobs(): Promise<void> {
    const empty = this.#shard.state.blobs.empty.splice(0);
    if (empty.length === 0) return;
    await this.#shard.durable(null);
    for (const blob of empty) if (!this.#shard.state.blobs.counts.has(blob)) await this.#shard.blobs.remove(blob);
  }

  async #moveOldest(): Promise<void> {
    const { oldestGeneration, currentGeneration, segmentBytes, usedBytes, capacityBytes } =
      this.#shard.journal.status();
    // As many segments at once as bring it well below the mark.
    const excess = Math.ceil((usedBytes - capacityBytes * (RECLAIM_SHARE - 1 / 8)) / segmentBytes);
    const upTo = Math.min(currentGeneration, oldestGeneration + Math.max(1, excess));
    if (upTo <= oldestGeneration) return;
    const before = positionOf(upTo, 0);
    const blob = `cold-${this.#shard.sequence}-${upTo}`;
    const { revivals } = this.#shard.state;
    const blocks = await this.#writeHot(blob, oldestGeneration, upTo);
    if (await this.#isOutdated(blob, revivals)) return;
    this.#shard.record({ type: 'moved', before, blob, blocks });
    this.#shard.counters.reclaims++;
    await this.#shard.durable(null);
  }

  /**
   * True when what was just written must not replace its source: a seek or a new subscription wants messages that were
   * left out, for nobody wanted them when they were looked at. It is thrown away and done again with the next turn.
   */
  async #isOutdated(blob: string, revivals: number): Promise<boolean> {
    if (this.#shard.stopped()) return true;
    if (this.#shard.state.revivals === revivals) return false;
    await this.#shard.blobs.remove(blob);
    return true;
  }

  /**
   * A stretch of the commit log at a time, each for all partitions: its batches are held and so read once, however many
   * queues lie in them.
   */
  #writeHot(name: string, from: number, to: number): Promise<ColdBlockRef[]> {
    const { blobs, limits, state, journal } = this.#shard;
    const { segmentBytes } = journal.status();
    return ColdSegmentWriter.write(blobs, name, limits.coldBlockBytes, async (segment) => {
      for (let generation = from; generation < to; generation++) {
        for (let byte = 0; byte < segmentBytes; byte += STRETCH_BYTES) {
          this.#pass.next();
          const start = positionOf(generation, byte);
          // A segment may be longer than those that are made now.
          const last = byte + STRETCH_BYTES >= segmentBytes;
          const end = last ? positionOf(generation + 1, 0) : positionOf(generation, byte + STRETCH_BYTES);
          for (const topic of state.topics.values()) {
            for (const [index, partition] of topic.partitions.entries())
              await this.#writeStretch(segment, topic, index, partition.hotBetween(start, end));
          }
        }
      }
    });
  }

  async #writeStretch(
    segment: ColdSegmentWriter,
    topic: Topic,
    index: number,
    places: ReturnType<Partition['hotBetween']>,
  ): Promise<void> {
    const { recent, journal } = this.#shard;
    for (const { base, count, publishedAt, position, bytes } of places) {
      if (!isAlive(topic, index, base, base + count)) continue;
      const entry = recent.get(position, bytes) ?? (await journal.read(position, bytes, this.#pass));
      const written = segment.add(topic.id, index, { base, count, publishedAt, bytes: entry });
      if (written !== undefined) await written;
      this.#unbroken += bytes;
      if (this.#unbroken < UNBROKEN_BYTES) continue;
      this.#unbroken = 0;
      await this.#shard.breathe();
    }
  }

  // ---- Cold segments that are mostly dead -------------------------------------------------------------------------

  /** What is alive of segments that are mostly dead is written together into a new one. */
  async #rewriteSparse(): Promise<void> {
    const sizes = new Map<string, { bytes: number; alive: number }>();
    for (const topic of this.#shard.state.topics.values()) {
      for (const [index, partition] of topic.partitions.entries()) {
        const share = coldShare(topic, index);
        for (const block of partition.cold) {
          const size = sizes.get(block.blob) ?? { bytes: 0, alive: 0 };
          sizes.set(block.blob, size);
          size.bytes += block.bytes;
          size.alive += aliveBytes(topic, index, block, share);
        }
      }
    }
    const sparse: string[] = [];
    let gathered = 0;
    for (const [blob, { bytes, alive }] of sizes) {
      if (alive / bytes >= SPARSE_SHARE || gathered + alive > REWRITE_BYTES) continue;
      sparse.push(blob);
      gathered += alive;
    }
    if (sparse.length === 0) return;
    const name = `cold-${this.#shard.sequence}${REWRITTEN}`;
    const { revivals } = this.#shard.state;
    const blocks = await this.#writeAlive(name, sparse);
    if (await this.#isOutdated(name, revivals)) return;
    this.#shard.record({ type: 'rewritten', old: sparse, blob: name, blocks });
    this.#shard.counters.rewrites++;
    await this.#shard.durable(null);
  }

  #writeAlive(name: string, old: readonly string[]): Promise<ColdBlockRef[]> {
    const { blobs, limits, state } = this.#shard;
    return ColdSegmentWriter.write(blobs, name, limits.coldBlockBytes, async (segment) => {
      for (const topic of state.topics.values()) {
        for (const [index, partition] of topic.partitions.entries()) {
          for (const block of partition.cold.filter((one) => old.includes(one.blob))) {
            if (!isAlive(topic, index, block.from, block.to)) continue;
            const bytes = await blobs.read(block.blob, block.at, block.bytes);
            checkBlock(bytes, block.blob, block.at);
            const { bases, starts } = indexBlock(bytes, block);
            for (const [i, base] of bases.entries()) {
              const start = starts[i] ?? 0;
              const entry = readEntry(bytes, start);
              if (entry.type !== 'publish' || !isAlive(topic, index, base, base + entry.count)) continue;
              const { count, publishedAt } = entry;
              await segment.add(topic.id, index, {
                base,
                count,
                publishedAt,
                bytes: bytes.subarray(start, start + entryBytes(bytes, start)),
              });
            }
          }
        }
      }
    });
  }
}
