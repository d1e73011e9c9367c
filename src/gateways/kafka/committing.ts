import { RailheadError } from '../../core/errors.ts';
import type { CursorCommit } from '../../core/session.ts';
import { allowed, maySee } from './access.ts';
import type { Client, Handlers } from './client.ts';
import { ofCursor, toCursor } from './committed-offset.ts';
import { asCommitError, asKafkaError, ERROR, type ErrorName } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import { refusalFor } from './grouping.ts';
import type { offsetCommit, offsetFetch } from './messages/groups.ts';

const MAX_METADATA_BYTES = 4096;
/** What is wrong with a topic is told before what is wrong with who commits. */
const OF_TOPICS: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'TOPIC_AUTHORIZATION_FAILED',
  'UNKNOWN_TOPIC_OR_PARTITION',
]);
const NOTHING = { offset: -1, metadata: '' };

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
    const refusal = refusalFor(client, cursor);
    if (refusal !== null) return { topics: answers(topics, () => refusal) };
    // At once: who leaves the group with the next request is still in it.
    const stranger = checkMember(client, cursor, { memberId, instanceId }, generation);
    const { cursors, errorOf } = await planCommit(client, cursor, topics);
    if (stranger !== 'NONE')
      return {
        topics: answers(topics, (...place) => (OF_TOPICS.has(errorOf(...place)) ? errorOf(...place) : stranger)),
      };
    try {
      const committed = topics.map(({ name }) => name);
      client.shared.offsetRetention.used(cursor, committed);
      const refused = await commitAll(client, cursors);
      const tooMany = new Set(refused.map(placeOf));
      return {
        topics: answers(topics, (topic, partition) =>
          tooMany.has(placeOf({ topic, partition })) ? 'INVALID_COMMIT_OFFSET_SIZE' : errorOf(topic, partition),
        ),
      };
    } catch (error) {
      const { error: name } = asCommitError(asKafkaError(error));
      return { topics: answers(topics, () => name) };
    }
  },

  async offsetFetch(client, request, version) {
    const commits = request.requireStable ? 'decided' : 'known';
    if (version >= 8)
      return {
        topics: [],
        groups: await client.shared.turns.each(request.groups, (group) => fetchGroup(client, group, commits)),
      };
    const { groupId, topics } = request;
    const { errorCode = 0, topics: found } = await fetchGroup(client, { groupId, topics }, commits);
    // Before version 2 there is no place for an error but with each partition.
    const withError = found.map((topic) => ({
      ...topic,
      partitions: topic.partitions.map((each) => ({ ...each, errorCode: each.errorCode || errorCode })),
    }));
    return { errorCode, topics: withError };
  },
};

/** Where there is no room for new ones, those that are there move all the same. Answers which are not committed. */
async function commitAll({ session, shared }: Client, cursors: CursorCommit[]): Promise<CursorCommit[]> {
  const commit = async (some: CursorCommit[]): Promise<void> => {
    if (some.length > 0) await session.commit({ publishes: [], settlements: [], cursors: some });
  };
  try {
    await commit(cursors);
    return [];
  } catch (error) {
    const [first] = cursors;
    if (!RailheadError.is(error, 'TOO_LARGE') || first === undefined) throw error;
    const { partitions } = await (await shared.own()).request('fetchCursors', { cursor: first.cursor });
    const there = new Set(partitions.map(placeOf));
    await commit(cursors.filter((each) => there.has(placeOf(each))));
    return cursors.filter((each) => !there.has(placeOf(each)));
  }
}

/** Offsets of a group are committed by its members, or by anybody while it has none. */
export function checkMember(
  { shared }: Client,
  groupId: string,
  who: { memberId: string; instanceId: string | null },
  generation: number,
): ErrorName {
  const modern = shared.consumerGroups.find(groupId);
  if (modern !== undefined) return modern.check(who.memberId, generation);
  // Whoever says no generation commits by itself, under whatever name.
  if (shared.groups.find(groupId) === undefined) return generation < 0 ? 'NONE' : 'UNKNOWN_MEMBER_ID';
  return shared.groups.with(groupId, (group, now) => group.checkCommit(who, generation, now));
}

/** Which of the offsets can be committed. */
export async function planCommit(client: Client, cursor: string, topics: Topics): Promise<CommitPlan> {
  const cursors: CursorCommit[] = [];
  const errors = new Map<string, ErrorName>();
  for (const { name, partitions } of topics) {
    await client.shared.turns.begin();
    const mayRead = allowed(client, 'read', 'topic', name);
    const topic = await client.shared.topics.find(name);
    for (const { partitionIndex: partition, committedOffset, committedMetadata } of partitions) {
      const { offset, metadata } = toCursor({ offset: committedOffset, metadata: committedMetadata ?? '' });
      const error: ErrorName = !mayRead
        ? 'TOPIC_AUTHORIZATION_FAILED'
        : topic === undefined || partition < 0 || partition >= topic.partitions
          ? 'UNKNOWN_TOPIC_OR_PARTITION'
          : Buffer.byteLength(metadata) > MAX_METADATA_BYTES
            ? 'OFFSET_METADATA_TOO_LARGE'
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

/** With `decided`, a partition that an open transaction commits is one to ask for again. */
async function fetchGroup(
  client: Client,
  { groupId, topics, memberId, memberEpoch = -1 }: Pick<Asked, 'groupId' | 'topics'> & Partial<Asked>,
  commits: 'decided' | 'known',
): Promise<Fetched> {
  const refusal = refusedGroup(client, groupId) ?? refusedReader(client, groupId, memberId ?? '', memberEpoch);
  if (refusal !== null) return { groupId, errorCode: ERROR[refusal], topics: [] };
  try {
    const session = await client.shared.own();
    const { partitions, pending = [] } = await session.request('fetchCursors', { cursor: groupId });
    const unstable = new Set(commits === 'decided' ? pending.map(placeOf) : []);
    const committed = new Map(partitions.map((each) => [placeOf(each), each]));
    const asked = topics ?? allOf(partitions.filter(({ topic }) => maySee(client, topic)));
    return {
      groupId,
      topics: asked.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partition) => {
          const place = placeOf({ topic: name, partition });
          if (!maySee(client, name)) return answerOf(partition, undefined, 'TOPIC_AUTHORIZATION_FAILED');
          return answerOf(partition, committed.get(place), unstable.has(place) ? 'UNSTABLE_OFFSET_COMMIT' : 'NONE');
        }),
      })),
    };
  } catch (error) {
    return { groupId, errorCode: asKafkaError(error, 'group').code, topics: [] };
  }
}

function refusedGroup(client: Client, groupId: string): ErrorName | null {
  if (groupId === '') return 'INVALID_GROUP_ID';
  return allowed(client, 'describe', 'group', groupId) ? null : 'GROUP_AUTHORIZATION_FAILED';
}

/** Of a group of the newer protocol, who says to be a member has to be one. */
function refusedReader({ shared }: Client, groupId: string, memberId: string, epoch: number): ErrorName | null {
  if (memberId === '' && epoch < 0) return null;
  const error = shared.consumerGroups.find(groupId)?.check(memberId, epoch) ?? 'NONE';
  return error === 'NONE' ? null : error;
}

function placeOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${partition} ${topic}`;
}

function allOf(places: readonly { topic: string; partition: number }[]): NonNullable<Asked['topics']> {
  const byTopic = new Map<string, Set<number>>();
  for (const { topic, partition } of places)
    byTopic.set(topic, (byTopic.get(topic) ?? new Set<number>()).add(partition));
  return [...byTopic].map(([name, partitions]) => ({ name, partitionIndexes: [...partitions] }));
}

/** Where nothing was committed, that is the answer. */
function answerOf(
  partitionIndex: number,
  committed: { offset: number; metadata: string } | undefined,
  error: ErrorName,
): FetchedTopic['partitions'][number] {
  const { offset, metadata } = error === 'NONE' && committed !== undefined ? ofCursor(committed) : NOTHING;
  return { partitionIndex, committedOffset: offset, metadata, errorCode: ERROR[error] };
}
