import { asBuffer } from '../../core/records.ts';
import type { DeliveryRun } from '../../core/session.ts';
import { onceAllowed } from './access.ts';
import { boundsOf, checkLeaderEpoch, type Source } from './bounds.ts';
import type { Client, Handlers } from './client.ts';
import { onlyCompacts } from './configs.ts';
import { FORMAT_KAFKA } from './content.ts';
import { asKafkaError, ERROR, KafkaError } from './errors.ts';
import type { ResponseOf } from './fields.ts';
import type { deleteRecords, listOffsets, offsetForLeaderEpoch } from './messages/log.ts';
import { LEADER_EPOCH, readRecords } from './record-batch.ts';

type Listed = ResponseOf<typeof listOffsets>['topics'][number]['partitions'][number];
type Trimmed = ResponseOf<typeof deleteRecords>['topics'][number]['partitions'][number];
type EpochEnd = ResponseOf<typeof offsetForLeaderEpoch>['topics'][number]['partitions'][number];

/** In place of a time. */
const AT = { latest: -1, earliest: -2, maxTimestamp: -3, earliestLocal: -4, latestTiered: -5 } as const;
const READ_COMMITTED = 1;
/** In place of an offset where there is none, and of its epoch. */
const NOWHERE = -1;
const UNDEFINED_EPOCH = -1;
const NONE_FOUND = { offset: NOWHERE, timestamp: -1 };
/** So many offsets before the end are looked at for one with a record. */
const MOST_BACK = 1024;
/** Of records to delete: all that there are. */
const AT_END = -1;

export const offsets: Handlers<'listOffsets' | 'offsetForLeaderEpoch' | 'deleteRecords'> = {
  async listOffsets(client, { isolationLevel, topics }) {
    const isolation = isolationLevel === READ_COMMITTED ? 'committed' : 'uncommitted';
    return {
      topics: await client.shared.turns.each(topics, async ({ name, partitions }) => ({
        name,
        partitions: await client.shared.turns.each(
          partitions,
          async ({ partitionIndex, timestamp, currentLeaderEpoch }): Promise<Listed> => {
            try {
              const session = await onceAllowed(client, 'describe', 'topic', name);
              const from = { session, shared: client.shared };
              const found = await offsetAt(from, name, partitionIndex, timestamp, isolation);
              checkLeaderEpoch(currentLeaderEpoch);
              const leaderEpoch = found.offset === NOWHERE ? UNDEFINED_EPOCH : LEADER_EPOCH;
              return { partitionIndex, errorCode: ERROR.NONE, leaderEpoch, ...found };
            } catch (error) {
              return { partitionIndex, errorCode: asKafkaError(error).code };
            }
          },
        ),
      })),
    };
  },

  async offsetForLeaderEpoch(client, { topics }) {
    return {
      topics: await client.shared.turns.each(topics, async ({ topic, partitions }) => ({
        topic,
        partitions: await client.shared.turns.each(
          partitions,
          async ({ partition, leaderEpoch, currentLeaderEpoch }): Promise<EpochEnd> => {
            try {
              const session = await onceAllowed(client, 'describe', 'topic', topic);
              const { end } = await boundsOf({ session, shared: client.shared }, topic, partition);
              checkLeaderEpoch(currentLeaderEpoch);
              const isKnown = leaderEpoch === LEADER_EPOCH;
              return { errorCode: ERROR.NONE, partition, ...(isKnown && { leaderEpoch, endOffset: end }) };
            } catch (error) {
              return { errorCode: asKafkaError(error).code, partition };
            }
          },
        ),
      })),
    };
  },

  async deleteRecords(client, { topics }) {
    return {
      topics: await client.shared.turns.each(topics, async ({ name, partitions }) => ({
        name,
        partitions: await client.shared.turns.each(partitions, async ({ partitionIndex, offset }): Promise<Trimmed> => {
          try {
            const session = await onceAllowed(client, 'delete', 'topic', name, ['manage']);
            const { end } = await boundsOf({ session, shared: client.shared }, name, partitionIndex);
            await demandDeletion(client, name);
            const place = { topic: name, partition: partitionIndex, before: offset === AT_END ? end : offset };
            const { start } = await session.request('trimTopic', place);
            // Producers are told of the new start at once.
            client.shared.topics.forget(name);
            return { partitionIndex, errorCode: ERROR.NONE, lowWatermark: start };
          } catch (error) {
            return { partitionIndex, errorCode: asKafkaError(error).code, lowWatermark: -1 };
          }
        }),
      })),
    };
  },
};

/** @throws KafkaError: what is the newest of its key stays */
async function demandDeletion({ shared }: Client, name: string): Promise<void> {
  const topic = await shared.topics.find(name);
  if (topic !== undefined && onlyCompacts(topic.policy.retain))
    throw new KafkaError(
      'POLICY_VIOLATION',
      `${JSON.stringify(name)} is compacted alone: nothing else deletes records.`,
    );
}

async function offsetAt(
  client: Source,
  name: string,
  partition: number,
  timestamp: number,
  isolation: 'committed' | 'uncommitted',
): Promise<Pick<Listed, 'offset' | 'timestamp'>> {
  const { start, end, stableEnd } = await boundsOf(client, name, partition);
  const last = isolation === 'committed' ? stableEnd : end;
  switch (timestamp) {
    case AT.latest:
      return { offset: last };
    case AT.earliest:
    case AT.earliestLocal:
      return { offset: start };
    case AT.latestTiered:
      return { offset: NOWHERE };
    case AT.maxTimestamp:
      return newest(client, name, partition, { start, end: last });
    default:
      return firstSince(client, name, partition, timestamp, isolation);
  }
}

/** The newest time is looked for among the last records; what is last may be the ends of transactions. */
async function newest(
  { session }: Source,
  topic: string,
  partition: number,
  { start, end }: { start: number; end: number },
): Promise<Pick<Listed, 'offset' | 'timestamp'>> {
  let found = NONE_FOUND;
  for (let back = 1, to = end; to > start && back <= MOST_BACK && found.offset === NOWHERE; back *= 2) {
    const from = Math.max(start, end - back);
    const args = { topic, partition, from: { offset: from }, maxMessages: to - from, formats: [FORMAT_KAFKA] };
    const { runs } = await session.request('read', { ...args, isolation: 'uncommitted', verbatim: true });
    for (const each of runs.flatMap(timesOf)) if (each.timestamp > found.timestamp) found = each;
    to = from;
  }
  return found;
}

/** From when the broker took the records on, the first whose own time is not before it. */
async function firstSince(
  { session }: Source,
  topic: string,
  partition: number,
  timestamp: number,
  isolation: 'committed' | 'uncommitted',
): Promise<Pick<Listed, 'offset' | 'timestamp'>> {
  let result = await session.request('read', {
    topic,
    partition,
    from: { time: timestamp },
    isolation,
    formats: [FORMAT_KAFKA],
  });
  for (;;) {
    for (const each of result.runs.flatMap(timesOf)) if (each.timestamp >= timestamp) return each;
    const { next } = result;
    if (next >= (isolation === 'committed' ? result.stableEnd : result.end)) return NONE_FOUND;
    result = await session.request('read', {
      topic,
      partition,
      from: { offset: next },
      isolation,
      formats: [FORMAT_KAFKA],
    });
  }
}

function timesOf({
  format,
  records,
  offset,
  count,
  skip = 0,
  publishedAt,
}: DeliveryRun): { offset: number; timestamp: number }[] {
  if (format !== FORMAT_KAFKA)
    return Array.from({ length: count }, (_, i) => ({ offset: offset + i, timestamp: publishedAt }));
  const batch = readRecords(asBuffer(records)).slice(skip, skip + count);
  return batch.map(({ timestamp }, i) => ({ offset: offset + i, timestamp }));
}
