import { RailheadError } from './errors.ts';
import type { Session } from './session.ts';

/** How far one cursor is in one partition. */
export interface CursorLag {
  topic: string;
  partition: number;
  /** The next offset to read. */
  offset: number;
  /** The first offset that nothing was published at yet. */
  end: number;
  /** Offsets that are before it: messages, and the ends of transactions. */
  lag: number;
}

/** How far a cursor (Kafka: a consumer group) is in each partition where it has committed something. */
export async function lagOf(session: Pick<Session, 'request'>, cursor: string): Promise<CursorLag[]> {
  const { partitions } = await session.request('fetchCursors', { cursor });
  const ends = new Map<string, number[]>();
  for (const name of new Set(partitions.map(({ topic }) => topic))) ends.set(name, await endsOf(session, name));
  return partitions.flatMap(({ topic, partition, offset }) => {
    const end = ends.get(topic)?.[partition];
    return end === undefined ? [] : [{ topic, partition, offset, end, lag: Math.max(0, end - offset) }];
  });
}

/** Of a topic that was deleted meanwhile nothing is said. */
async function endsOf(session: Pick<Session, 'request'>, name: string): Promise<number[]> {
  try {
    return (await session.request('topicStats', { name })).partitions.map(({ end }) => end);
  } catch (error) {
    if (RailheadError.is(error, 'NOT_FOUND')) return [];
    throw error;
  }
}
