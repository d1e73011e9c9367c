import type { CursorCommit } from '../../core/session.ts';
import type { Client, Handlers } from './client.ts';
import { asKafkaError, ERROR, type ErrorName } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import { refusalFor } from './grouping.ts';
import type { offsetCommit, offsetFetch } from './messages/groups.ts';

const MAX_METADATA_BYTES = 4096;
const NO_OFFSET = -1;

type Asked = RequestOf<typeof offsetFetch>['groups'][number];
type Fetched = NonNullable<ResponseOf<typeof offsetFetch>['groups']>[number];
type FetchedTopic = Fetched['topics'][number];
type Topics = RequestOf<typeof offsetCommit>['topics'];
/** What becomes of each partition of a commit. */
export interface CommitPlan {
  cursors: CursorCommit[];
  errorOf: (topic: string, partition: number) => ErrorName;
}

export const committing: Handlers<'offsetCommit' | 'offsetFetch'> = {
  async offsetCommit(client, request) {
    const { groupId: cursor, topics, memberId, groupInstanceId: instanceId } = request;
    const generation = request.generationIdOrMemberEpoch;
    const refusal = refusalFor(client, cursor) ?? checkMember(client, cursor, { memberId, instanceId }, generation);
    if (refusal !== 'NONE') return { topics: answers(topics, () => refusal) };
    const { cursors, errorOf } = await planCommit(client, cursor, topics);
    try {
      if (cursors.length > 0) await client.session.commit({ publishes: [], settlements: [], cursors });
      return { topics: answers(topics, errorOf) };
    } catch (error) {
      const { error: name } = asKafkaError(error);
      return { topics: answers(topics, () => name) };
    }
  },

  async offsetFetch(client, request, version) {
    if (version >= 8)
      return { topics: [], groups: await Promise.all(request.groups.map((group) => fetchGroup(client, group))) };
    const { groupId, topics } = request;
    const { errorCode = 0, topics: found } = await fetchGroup(client, { groupId, topics });
    // Before version 2 there is no place for an error but with each partition.
    const withError = found.map((topic) => ({
      ...topic,
      partitions: topic.partitions.map((each) => ({ ...each, errorCode: each.errorCode || errorCode })),
    }));
    return { errorCode, topics: withError };
  },
};

/** Offsets of a group are committed by its members, or by anybody while it has none. */
export function checkMember(
  { shared }: Client,
  groupId: string,
  who: { memberId: string; instanceId: string | null },
  generation: number,
): ErrorName {
  if (shared.groups.find(groupId) === undefined)
    return generation < 0 && who.memberId === '' ? 'NONE' : 'UNKNOWN_MEMBER_ID';
  return shared.groups.with(groupId, (group, now) => group.checkCommit(who, generation, now));
}

/** Which of the offsets can be committed. */
export async function planCommit({ shared }: Client, cursor: string, topics: Topics): Promise<CommitPlan> {
  const cursors: CursorCommit[] = [];
  const errors = new Map<string, ErrorName>();
  for (const { name, partitions } of topics) {
    const topic = await shared.topics.find(name);
    for (const { partitionIndex: partition, committedOffset: offset, committedMetadata } of partitions) {
      const metadata = committedMetadata ?? '';
      const error: ErrorName =
        topic === undefined || partition < 0 || partition >= topic.partitions
          ? 'UNKNOWN_TOPIC_OR_PARTITION'
          : Buffer.byteLength(metadata) > MAX_METADATA_BYTES
            ? 'OFFSET_METADATA_TOO_LARGE'
            : offset < 0
              ? 'OFFSET_OUT_OF_RANGE'
              : 'NONE';
      errors.set(`${partition} ${name}`, error);
      if (error === 'NONE') cursors.push({ cursor, topic: name, partition, offset, metadata });
    }
  }
  return { cursors, errorOf: (topic, partition) => errors.get(`${partition} ${topic}`) ?? 'NONE' };
}

export function answers(
  topics: Topics,
  errorOf: (topic: string, partition: number) => ErrorName,
): ResponseOf<typeof offsetCommit>['topics'] {
  return topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex }) => ({
      partitionIndex,
      errorCode: ERROR[errorOf(name, partitionIndex)],
    })),
  }));
}

async function fetchGroup(client: Client, { groupId, topics }: Pick<Asked, 'groupId' | 'topics'>): Promise<Fetched> {
  const refusal = refusalFor(client, groupId);
  if (refusal !== null) return { groupId, errorCode: ERROR[refusal], topics: [] };
  try {
    const { partitions } = await client.session.request('fetchCursors', { cursor: groupId });
    return { groupId, topics: topics === null ? allOf(partitions) : someOf(partitions, topics) };
  } catch (error) {
    return { groupId, errorCode: asKafkaError(error, 'group').code, topics: [] };
  }
}

interface Committed {
  topic: string;
  partition: number;
  offset: number;
  metadata: string;
}

function allOf(committed: readonly Committed[]): FetchedTopic[] {
  const byTopic = new Map<string, FetchedTopic['partitions'][number][]>();
  for (const each of committed) {
    const partitions = byTopic.get(each.topic) ?? [];
    byTopic.set(each.topic, [...partitions, answerOf(each)]);
  }
  return [...byTopic].map(([name, partitions]) => ({ name, partitions }));
}

/** Where nothing was committed, that is the answer. */
function someOf(committed: readonly Committed[], topics: NonNullable<Asked['topics']>): FetchedTopic[] {
  const known = new Map(committed.map((each) => [`${each.partition} ${each.topic}`, each]));
  return topics.map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partition) =>
      answerOf(known.get(`${partition} ${name}`) ?? { topic: name, partition, offset: NO_OFFSET, metadata: '' }),
    ),
  }));
}

function answerOf({ partition, offset, metadata }: Committed): FetchedTopic['partitions'][number] {
  return { partitionIndex: partition, committedOffset: offset, metadata, errorCode: ERROR.NONE };
}
