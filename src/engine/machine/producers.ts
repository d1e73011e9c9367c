import type { PublishEntry } from '../entries.ts';
import type { Topic } from './topic.ts';

/** How many batches of a producer are remembered, to answer a repeated one. */
const PRODUCER_RECENT = 64;
/** How many producers a topic remembers. The least recently used is forgotten first. */
const MAX_PRODUCERS = 1000;

/** Remembers where a batch of a producer went, so that sent again it is answered and not stored again. */
export function noteProducer(
  topic: Topic,
  partition: number,
  offset: number,
  producer: NonNullable<PublishEntry['producer']>,
  count: number,
): void {
  const seen = topic.producers.get(producer.id) ?? { next: 0, recent: [] };
  topic.producers.delete(producer.id);
  topic.producers.set(producer.id, seen);
  const { id: _, sequence, indexes } = producer;
  seen.next = Math.max(seen.next, sequence + (indexes === undefined ? count : (indexes.at(-1) ?? 0) + 1));
  seen.recent.push({ sequence, count, partition, offset, ...(indexes && { indexes }) });
  // A batch that was split over partitions has one part for each: they are remembered or forgotten together.
  if (seen.recent.length > PRODUCER_RECENT && batchesOf(seen.recent) > PRODUCER_RECENT) {
    const oldest = seen.recent[0]?.sequence;
    while (seen.recent[0]?.sequence === oldest) seen.recent.shift();
  }
  if (topic.producers.size > MAX_PRODUCERS) {
    for (const id of topic.producers.keys()) {
      topic.producers.delete(id);
      break;
    }
  }
}

/** Parts of one batch lie side by side. Counted for each publish of a producer, so without a set. */
function batchesOf(parts: readonly { sequence: number }[]): number {
  let batches = 0;
  let last = -1;
  for (const { sequence } of parts) {
    if (sequence !== last) batches++;
    last = sequence;
  }
  return batches;
}
