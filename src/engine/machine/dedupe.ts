import type { PublishEntry } from '../entries.ts';
import type { Topic } from './topic.ts';

export const DEFAULT_DEDUPE_WINDOW_MS = 300_000;

/** Where the first message with an id went, and when. */
export interface DedupeSeen {
  partition: number;
  offset: number;
  at: number;
}

/** Remembers the dedupe ids of a publish, and forgets those whose window is over. */
export function noteDedupe(topic: Topic, partition: number, offset: number, entry: PublishEntry): void {
  const ids = entry.transaction === undefined ? topic.dedupe : undecidedIds(topic, entry.transaction);
  entry.dedupeIds?.forEach((id, i) => {
    if (id !== undefined) ids.set(id, { partition, offset: offset + i, at: entry.publishedAt });
  });
  const window = topic.policy.dedupeWindowMs;
  // Ids are in the order of their times, so that forgetting stops at the first that is still inside the window.
  for (const [id, seen] of topic.dedupe) {
    if (seen.at > entry.publishedAt - (window ?? DEFAULT_DEDUPE_WINDOW_MS)) break;
    topic.dedupe.delete(id);
  }
}

/** Where the message with this id is, as one that publishes in `transaction` may know it. */
export function seenBefore(topic: Topic, id: string, transaction: number | undefined): DedupeSeen | undefined {
  const own = transaction === undefined ? undefined : topic.undecidedIds.get(transaction);
  return own?.get(id) ?? topic.dedupe.get(id);
}

/** A transaction has ended: its ids count from `at` on, or were never used. */
export function decideDedupe(topic: Topic, transaction: number, at: number | null): void {
  const ids = topic.undecidedIds.get(transaction);
  if (ids === undefined) return;
  topic.undecidedIds.delete(transaction);
  if (at === null) return;
  for (const [id, { partition, offset }] of ids) {
    topic.dedupe.delete(id);
    topic.dedupe.set(id, { partition, offset, at });
  }
}

function undecidedIds(topic: Topic, transaction: number): Map<string, DedupeSeen> {
  let ids = topic.undecidedIds.get(transaction);
  if (ids === undefined) topic.undecidedIds.set(transaction, (ids = new Map<string, DedupeSeen>()));
  return ids;
}
