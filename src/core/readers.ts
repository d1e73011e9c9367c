import type { Session } from './session.ts';

/** A reader that counts offsets, such as a consumer group of Kafka, and how far it is behind in one topic. */
export interface ReaderLag {
  cursor: string;
  /** Messages between what it has committed and what may be read, over all partitions. */
  lag: number;
  partitions: { partition: number; offset: number; end: number; lag: number }[];
}

const PAGE = 1_000;
/** Of those that there may be; whoever has more looks at them by name. */
const MAX_READERS = 1_000;

/** The readers that have committed something of a topic, in order of their names. */
export async function readersOf(session: Pick<Session, 'request'>, topic: string): Promise<ReaderLag[]> {
  const { partitions } = await session.request('topicStats', { name: topic });
  const readers: ReaderLag[] = [];
  let after: string | null = '';
  while (after !== null && readers.length < MAX_READERS) {
    const page: { limit: number; after?: string } = { limit: PAGE, ...(after !== '' && { after }) };
    const { cursors, next } = await session.request('listCursors', page);
    for (const { cursor, topics } of cursors)
      if (topics.includes(topic)) readers.push(await lagOf(session, cursor, topic, partitions));
    after = next;
  }
  return readers;
}

async function lagOf(
  session: Pick<Session, 'request'>,
  cursor: string,
  topic: string,
  ends: readonly { stableEnd: number }[],
): Promise<ReaderLag> {
  const { partitions: committed } = await session.request('fetchCursors', { cursor, topic });
  const partitions = committed.map(({ partition, offset }) => {
    const end = ends[partition]?.stableEnd ?? offset;
    return { partition, offset, end, lag: Math.max(0, end - offset) };
  });
  return { cursor, lag: partitions.reduce((sum, { lag }) => sum + lag, 0), partitions };
}
