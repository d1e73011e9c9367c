import { crc32 } from 'node:zlib';
import { Packr } from 'msgpackr';
import { RailheadError } from '../../core/errors.ts';
import type { ColdBlockRef } from '../entries.ts';
import type { Topic } from '../machine/topic.ts';
import { positionOf, type Position } from '../ports.ts';
import type { Checkpointer } from './checkpointer.ts';
import type { Shard } from './shard.ts';

const packr = new Packr({ useRecords: false });
/** The commit log is reclaimed when more than this part of it is used. */
const RECLAIM_SHARE = 0.5;
/** A reclaim that failed for want of disk space is tried again after this. */
const RETRY_MS = 1000;

/**
 * Keeps the commit log bounded. Of the oldest segment, what is still alive moves to a cold segment: blocks by topic and
 * partition, then the index of the blocks. Order: cold segment synced, then a `moved` entry, then, once a checkpoint
 * covers it, the segment is given back. Messages that were settled meanwhile are never written twice.
 */
export class Reclaimer {
  readonly #shard: Shard;
  readonly #checkpointer: Checkpointer;
  #busy = false;
  #checkpointedBytes = 0;
  #retryAt = 0;
  /** Why the last attempt failed, in words; null when all is well. */
  trouble: string | null = null;

  constructor(shard: Shard, checkpointer: Checkpointer) {
    this.#shard = shard;
    this.#checkpointer = checkpointer;
  }

  get idle(): boolean {
    return !this.#busy;
  }

  /** Called in each turn after the append. */
  work(): void {
    if (this.#busy || this.#shard.closing || this.#shard.clock.now() < this.#retryAt) return;
    const { usedBytes, capacityBytes } = this.#shard.journal.status();
    const due = this.#shard.counters.bytes - this.#checkpointedBytes >= this.#shard.limits.checkpointBytes;
    if (!due && usedBytes <= capacityBytes * RECLAIM_SHARE && this.#shard.state.emptyBlobs.length === 0) return;
    this.#busy = true;
    this.#work(due, usedBytes > capacityBytes * RECLAIM_SHARE)
      .then(
        () => (this.trouble = null),
        (error: unknown) => this.#failed(error),
      )
      .finally(() => {
        this.#busy = false;
      });
  }

  /** Writes a checkpoint now, such as before a close. */
  async checkpoint(): Promise<void> {
    this.#checkpointedBytes = this.#shard.counters.bytes;
    await this.#checkpointer.write();
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
    const empty = this.#shard.state.emptyBlobs.splice(0);
    if (empty.length === 0) return;
    await this.#shard.durable(null);
    for (const blob of empty) if (!this.#shard.state.liveBlocks.has(blob)) await this.#shard.blobs.remove(blob);
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
    const blocks = await this.#writeCold(blob, before);
    if (this.#shard.stopped()) return;
    this.#shard.record({ type: 'moved', before, blob, blocks });
    await this.#shard.durable(null);
  }

  async #writeCold(name: string, before: Position): Promise<ColdBlockRef[]> {
    const writer = await this.#shard.blobs.create(name);
    const blocks: ColdBlockRef[] = [];
    let at = 0;
    try {
      for (const topic of this.#shard.state.topics.values()) {
        for (let partition = 0; partition < topic.partitions.length; partition++) {
          for await (const block of this.#blocksOf(topic, partition, before)) {
            const { bytes, ...ref } = block;
            blocks.push({ ...ref, at, bytes: bytes.byteLength });
            await writer.write(bytes);
            at += bytes.byteLength;
          }
        }
      }
      const index = packr.pack(blocks);
      const footer = Buffer.alloc(8);
      footer.writeUInt32LE(index.byteLength, 0);
      footer.writeUInt32LE(crc32(index), 4);
      await writer.write(index);
      await writer.write(footer);
      await writer.seal();
      return blocks;
    } catch (error) {
      await writer.abort().catch(() => {});
      throw error;
    }
  }

  /** The entries that are alive, as they are, gathered into blocks. */
  async *#blocksOf(
    topic: Topic,
    partition: number,
    before: Position,
  ): AsyncGenerator<Omit<ColdBlockRef, 'at' | 'bytes'> & { bytes: Buffer }> {
    let parts: Buffer[] = [];
    let bytes = 0;
    let from = 0;
    let to = 0;
    let messages = 0;
    let newestAt = 0;
    const block = (): Omit<ColdBlockRef, 'at' | 'bytes'> & { bytes: Buffer } => {
      const body = Buffer.allocUnsafe(4 + bytes);
      let at = 4;
      for (const part of parts) at += part.copy(body, at);
      body.writeUInt32LE(crc32(body.subarray(4)), 0);
      return { topicId: topic.id, partition, from, to, messages, newestAt, bytes: body };
    };
    for (const entry of topic.partition(partition).hotBefore(before)) {
      if (!this.#isAlive(topic, partition, entry.base, entry.base + entry.count)) continue;
      const found =
        this.#shard.recent.get(entry.position, entry.bytes) ??
        (await this.#shard.journal.read(entry.position, entry.bytes));
      if (parts.length === 0) from = entry.base;
      parts.push(found);
      bytes += found.byteLength;
      to = entry.base + entry.count;
      messages += entry.count;
      newestAt = entry.publishedAt;
      if (bytes >= this.#shard.limits.coldBlockBytes) {
        yield block();
        parts = [];
        bytes = messages = 0;
      }
    }
    if (parts.length > 0) yield block();
  }

  #isAlive(topic: Topic, index: number, from: number, to: number): boolean {
    if (topic.partition(index).start >= to) return false;
    if (!topic.policy.retain.untilSettled || topic.policy.retain.ageMs !== null || topic.policy.retain.bytes !== null)
      return true;
    for (const subscription of topic.subscriptions.values()) {
      const backlog = subscription.backlogs[index];
      if (subscription.policy.retainSettledMs > 0 || (backlog?.fillFrom ?? Infinity) < to) return true;
      const next = backlog?.pending.next(from);
      if (next !== undefined && next < to) return true;
    }
    return false;
  }
}
