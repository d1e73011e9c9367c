import type { DeliveryRun } from '../../../core/session.ts';
import type { Client, Handlers } from '../client.ts';
import { asKafkaError, ERROR, type ErrorName, KafkaError } from '../errors.ts';
import type { RequestOf, ResponseOf } from '../fields.ts';
import { refusalFor } from '../grouping.ts';
import type { shareAcknowledge, shareFetch } from '../messages/share-groups.ts';
import { LEADER_EPOCH } from '../record-batch.ts';
import { acquire, type Acquired } from './acquiring.ts';
import { acknowledge, type Acknowledged, type Acknowledgement, releaseAll } from './settling.ts';
import { SESSION_EPOCH, type ShareSession } from './share-session.ts';

type Fetch = RequestOf<typeof shareFetch>;
type Acknowledge = RequestOf<typeof shareAcknowledge>;
type Fetched = ResponseOf<typeof shareFetch>['responses'][number]['partitions'][number];

/** More are not handed out at once, however many are asked for. */
const MAX_RECORDS = 2_000;
const MAX_BYTES = 8 << 20;

/** It is told to those alone who have come to another broker; to others Kafka says this. */
const LEADER = { leaderId: 0, leaderEpoch: LEADER_EPOCH };

export const shareFetching: Handlers<'shareFetch' | 'shareAcknowledge'> = {
  async shareFetch(client, request) {
    const { limits } = client.shared;
    try {
      const session = await sessionOf(client, request, 'opens');
      const acknowledgements = acknowledgementsOf(request);
      const isFirst = request.shareSessionEpoch === SESSION_EPOCH.first;
      if (isFirst && acknowledgements.length > 0)
        throw new KafkaError('INVALID_REQUEST', 'The first request of a share session has nothing to acknowledge yet.');
      session.follow(request.topics.map(followed), limits.maxSessionPartitions);
      session.forget(request.forgottenTopicsData);
      session.forgetExpired(client.shared.clock.now());
      const acknowledged = await acknowledge(client, session, acknowledgements, renewalOf(request));
      const acquired = await next(client, session, request);
      return {
        errorCode: ERROR.NONE,
        acquisitionLockTimeoutMs: await client.shared.shareSubscriptions.lockMs(session.groupId),
        responses: fetchAnswers(acknowledged, acquired),
      };
    } catch (error) {
      return { ...refusal(client, error), acquisitionLockTimeoutMs: 0, responses: [] };
    }
  },

  async shareAcknowledge(client, request) {
    try {
      const session = await sessionOf(client, request, 'goes on');
      const acknowledged = await acknowledge(client, session, acknowledgementsOf(request), renewalOf(request));
      if (session.isOver) await releaseAll(client, session, 'closed');
      return {
        errorCode: ERROR.NONE,
        acquisitionLockTimeoutMs: await client.shared.shareSubscriptions.lockMs(session.groupId),
        responses: byTopic(acknowledged, ({ partition, error }) => ({
          partitionIndex: partition,
          errorCode: ERROR[error],
          currentLeader: LEADER,
        })),
      };
    } catch (error) {
      return { ...refusal(client, error), responses: [] };
    }
  },
};

/** The session of a connection is over: what it had is there for others. */
export async function leaveShareSessions(client: Client): Promise<void> {
  for (const session of client.shareSessions.takeAll()) await releaseAll(client, session, 'lost');
}

function refusal(client: Client, error: unknown): { errorCode: number; errorMessage: string } {
  const known = asKafkaError(error, 'group');
  if (known.error === 'UNKNOWN_SERVER_ERROR') client.shared.report(error);
  return { errorCode: known.code, errorMessage: known.message };
}

/** @throws KafkaError */
async function sessionOf(
  client: Client,
  request: Pick<Fetch, 'groupId' | 'memberId' | 'shareSessionEpoch'>,
  how: 'opens' | 'goes on',
): Promise<ShareSession> {
  const { groupId, memberId, shareSessionEpoch: epoch } = request;
  if (groupId === null || groupId === '' || memberId === null || memberId === '')
    throw new KafkaError('INVALID_REQUEST', 'A share session has a group and a member.');
  const refused = refusalFor(client, groupId);
  if (refused !== null) throw new KafkaError(refused, `Not allowed to use the group ${JSON.stringify(groupId)}.`);
  if (epoch !== SESSION_EPOCH.first) return client.shareSessions.at(groupId, memberId, epoch);
  if (how === 'goes on') throw new KafkaError('INVALID_SHARE_SESSION_EPOCH', 'A share session begins with a fetch.');
  const { session, before } = client.shareSessions.open(groupId, memberId);
  if (before !== undefined) await releaseAll(client, before, 'closed');
  return session;
}

function followed({ topicId, partitions }: Fetch['topics'][number]): { topicId: string; partitions: number[] } {
  return { topicId, partitions: partitions.map(({ partitionIndex }) => partitionIndex) };
}

function acknowledgementsOf({ topics }: Pick<Acknowledge, 'topics'>): Acknowledgement[] {
  return topics.flatMap(({ topicId, partitions }) =>
    partitions
      .filter(({ acknowledgementBatches }) => acknowledgementBatches.length > 0)
      .map(({ partitionIndex: partition, acknowledgementBatches: batches }) => ({ topicId, partition, batches })),
  );
}

function renewalOf({ isRenewAck }: Pick<Fetch, 'isRenewAck'>): 'allowed' | 'refused' {
  return isRenewAck ? 'allowed' : 'refused';
}

/** The last request of a session gets nothing, and gives back what was not acknowledged. */
async function next(client: Client, session: ShareSession, request: Fetch): Promise<Acquired[]> {
  if (session.isOver) {
    await releaseAll(client, session, 'closed');
    return [];
  }
  const { maxWaitMs, maxBytes, maxRecords } = request;
  if (request.isRenewAck || maxBytes <= 0 || maxRecords <= 0) return [];
  return acquire(client, session, {
    waitMs: Math.min(Math.max(0, maxWaitMs), client.shared.limits.maxFetchWaitMs),
    maxBytes: Math.min(maxBytes, MAX_BYTES),
    maxRecords: Math.min(maxRecords, MAX_RECORDS),
  });
}

/** Of a partition for which there is nothing new nothing is said. */
function fetchAnswers(
  acknowledged: readonly Acknowledged[],
  acquired: readonly Acquired[],
): ResponseOf<typeof shareFetch>['responses'] {
  const places = new Map<string, { topicId: string; acknowledged?: Acknowledged; acquired?: Acquired }>();
  for (const one of acknowledged)
    places.set(`${one.topicId}/${one.partition}`, { topicId: one.topicId, acknowledged: one });
  for (const one of acquired) {
    const key = `${one.topicId}/${one.partition}`;
    places.set(key, { ...places.get(key), topicId: one.topicId, acquired: one });
  }
  return byTopic([...places.values()], ({ acknowledged: settled, acquired: got }): Fetched => ({
    partitionIndex: settled?.partition ?? got?.partition ?? 0,
    errorCode: codeOf(got),
    acknowledgeErrorCode: codeOf(settled),
    currentLeader: LEADER,
    records: got?.records ?? [],
    acquiredRecords: acquiredRanges(got?.runs ?? []),
  }));
}

function codeOf(outcome: { error: ErrorName } | undefined): number {
  return ERROR[outcome?.error ?? 'NONE'];
}

function acquiredRanges(runs: readonly DeliveryRun[]): Fetched['acquiredRecords'] {
  const ranges: { firstOffset: number; lastOffset: number; deliveryCount: number }[] = [];
  for (const { offset: firstOffset, count, attempt: deliveryCount } of runs) {
    const last = ranges.at(-1);
    const lastOffset = firstOffset + count - 1;
    if (last?.deliveryCount === deliveryCount && last.lastOffset === firstOffset - 1) last.lastOffset = lastOffset;
    else ranges.push({ firstOffset, lastOffset, deliveryCount });
  }
  return ranges;
}

function byTopic<T extends { topicId: string }, P>(
  places: readonly T[],
  answerOf: (place: T) => P,
): { topicId: string; partitions: P[] }[] {
  const topics = new Map<string, P[]>();
  for (const place of places) {
    const partitions = topics.get(place.topicId) ?? [];
    topics.set(place.topicId, partitions);
    partitions.push(answerOf(place));
  }
  return [...topics].map(([topicId, partitions]) => ({ topicId, partitions }));
}
