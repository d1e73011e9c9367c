import type { Partition } from '../machine/partition.ts';
import type { Topic } from '../machine/topic.ts';
import { generationOf, positionOf } from '../ports.ts';
import type { Shard } from './shard.ts';

/** A segment, and how much of it somebody still needs: what a reclaim would have to move. */
export interface SegmentShare {
  /** The number of a segment of the commit log, the name of a cold one. */
  name: string;
  bytes: number;
  aliveBytes: number;
}

export interface Segments {
  /** Of the commit log, the oldest first. */
  log: SegmentShare[];
  cold: SegmentShare[];
}

/** Looked at without letting anybody else run: less than a millisecond. */
const UNBROKEN = 1_000;

/** Walks over all that is stored, with turns between. Large bodies lie in neither. */
export async function segmentsOf(shard: Shard): Promise<Segments> {
  const files = await shard.blobs.list();
  const { oldestGeneration, currentGeneration, segmentBytes, usedBytes } = shard.journal.status();
  const hot = new Map<number, number>();
  const cold = new Map<string, number>();
  const before = positionOf(currentGeneration + 1, 0);
  let looked = 0;
  const due = (): boolean => ++looked % UNBROKEN === 0;
  for (const topic of shard.state.topics.values())
    for (const [index, partition] of topic.partitions.entries()) {
      if (due()) await shard.breathe();
      for (let from = positionOf(oldestGeneration, 0); from < before;) {
        const places = partition.hotBetween(from, before, UNBROKEN);
        for (const { base, count, position, bytes } of places) {
          if (due()) await shard.breathe();
          if (isAlive(topic, index, base, base + count)) add(hot, generationOf(position), bytes);
        }
        from = places.length < UNBROKEN ? before : (places.at(-1)?.position ?? before) + 1;
      }
      const share = coldShare(topic, index);
      // A copy: a reclaim may put others in their place meanwhile.
      for (const block of partition.cold.slice()) {
        if (due()) await shard.breathe();
        add(cold, block.blob, aliveBytes(topic, index, block, share));
      }
    }
  const older = (currentGeneration - oldestGeneration) * segmentBytes;
  return {
    log: Array.from({ length: currentGeneration - oldestGeneration + 1 }, (_, i) => {
      const generation = oldestGeneration + i;
      const bytes = generation === currentGeneration ? Math.max(0, usedBytes - older) : segmentBytes;
      return { name: String(generation), bytes, aliveBytes: Math.min(bytes, hot.get(generation) ?? 0) };
    }),
    cold: files
      .filter(({ name }) => name.startsWith('cold-'))
      .map(({ name, bytes }) => ({ name, bytes, aliveBytes: Math.min(bytes, Math.round(cold.get(name) ?? 0)) })),
  };
}

function add<K>(sums: Map<K, number>, key: K, bytes: number): void {
  sums.set(key, (sums.get(key) ?? 0) + bytes);
}

/** Of segments that hold no dead entries, only dead blocks by and by; what looks sparse there are batches. */
export const REWRITTEN = '-r';

/** Of the blocks of a partition, the part that somebody still needs: messages that wait, of all that are there. */
export function coldShare(topic: Topic, index: number): number {
  return topic.policy.retain.untilSettled ? topic.pendingShare(index) : 1;
}

/** @param share of its partition (`coldShare`) */
export function aliveBytes(topic: Topic, index: number, block: Partition['cold'][number], share: number): number {
  if (!isAlive(topic, index, block.from, block.to)) return 0;
  return block.bytes * (block.blob.endsWith(REWRITTEN) ? 1 : share);
}

/** Whether somebody still needs one of the messages [from, to). */
export function isAlive(topic: Topic, index: number, from: number, to: number): boolean {
  const kept = topic.partition(index).keptRun(Math.max(from, topic.partition(index).start), to);
  if (kept.from >= kept.to) return false;
  return !topic.forgetsSettled || topic.needs(index, from, to);
}
