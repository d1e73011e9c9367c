import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RawPeer } from '../../../test/kafka/raw-peer.ts';
import { type MovedClock, withMovedClock } from '../../../test/kafka/moved-clock.ts';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { ERROR } from './errors.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** A broker looks as often as this, and knows no better when a group was used. */
const STEP = HOUR;

async function create(peer: RawPeer, ...names: string[]): Promise<void> {
  const shape = { numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  await peer.ask('createTopics', 5, { topics: ['t', ...names].map((name) => ({ name, ...shape })) });
}

async function commit(peer: RawPeer, groupId: string, member?: { memberId: string; generation: number }, name = 't') {
  const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: '' }];
  const answer = await peer.ask('offsetCommit', 9, {
    groupId,
    generationIdOrMemberEpoch: member?.generation ?? -1,
    memberId: member?.memberId ?? '',
    topics: [{ name, partitions }],
  });
  assert.equal(answer?.topics[0]?.partitions[0]?.errorCode, ERROR.NONE);
}

async function committed(peer: RawPeer, groupId: string, name = 't'): Promise<number | undefined> {
  const topics = [{ name, partitionIndexes: [0] }];
  const answer = await peer.ask('offsetFetch', 7, { groupId, topics, requireStable: false });
  return answer?.topics[0]?.partitions[0]?.committedOffset;
}

/** Time goes by in steps, each of which the broker gets to see to the end. */
async function pass({ clock }: MovedClock, ms: number, each?: () => Promise<unknown>): Promise<void> {
  for (const until = clock.now() + ms; clock.now() < until;) {
    clock.moveTo(Math.min(until, clock.now() + STEP));
    await each?.();
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What a member of the classic protocol says that it reads. */
function subscription(...topics: string[]): Buffer {
  const names = topics.flatMap((topic) => [Buffer.of(0, topic.length), Buffer.from(topic)]);
  return Buffer.concat([Buffer.of(0, 1, 0, 0, 0, topics.length), ...names, Buffer.of(255, 255, 255, 255)]);
}

async function join(peer: RawPeer, groupId: string, sessionTimeoutMs: number, metadata: Buffer = Buffer.alloc(0)) {
  const who = { groupId, sessionTimeoutMs, rebalanceTimeoutMs: 1000, groupInstanceId: null };
  const protocols = [{ name: 'range', metadata }];
  const asked = { ...who, memberId: '', protocolType: 'consumer', protocols };
  const { memberId = '' } = (await peer.ask('joinGroup', 5, asked)) ?? {};
  const joined = await peer.ask('joinGroup', 5, { ...asked, memberId });
  assert.equal(joined?.errorCode, ERROR.NONE);
  const generation = joined.generationId;
  const assignments = [{ memberId, assignment: Buffer.alloc(1) }];
  const synced = await peer.ask('syncGroup', 3, { groupId, generationId: generation, memberId, assignments });
  assert.equal(synced?.errorCode, ERROR.NONE);
  return { memberId, generation };
}

test('what a group has committed is kept as long as it is used, and a week after it', async (t) => {
  const broker = await withMovedClock(t);
  const peer = await broker.dial();
  await create(peer);
  const member = await join(peer, 'living', HOUR / 2);
  await commit(peer, 'living', member);
  await commit(peer, 'alone', undefined);
  const beat = async (): Promise<void> => {
    const generationId = member.generation;
    const answer = await peer.ask('heartbeat', 3, { groupId: 'living', generationId, memberId: member.memberId });
    assert.equal(answer?.errorCode, ERROR.NONE);
  };
  const slowly = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += HOUR / 4) await pass(broker, HOUR / 4, beat);
  };
  await slowly(3 * DAY);
  // Whoever commits by itself, without members, uses the group too.
  await commit(peer, 'alone');
  await slowly(6 * DAY);
  assert.equal(await committed(peer, 'alone'), 7, 'six days after the last commit');
  assert.equal(await committed(peer, 'living'), 7, 'a member alone keeps it');
  await slowly(DAY + 2 * STEP);
  assert.equal(await committed(peer, 'alone'), -1, 'more than a week after it');
  assert.equal(await committed(peer, 'living'), 7);
  const left = [{ memberId: member.memberId, groupInstanceId: null }];
  await peer.ask('leaveGroup', 4, { groupId: 'living', memberId: '', members: left });
  await pass(broker, 7 * DAY - STEP);
  assert.equal(await committed(peer, 'living'), 7, 'a week is not over');
  await pass(broker, 3 * STEP);
  assert.equal(await committed(peer, 'living'), -1);
  const listed = await peer.ask('listGroups', 4, { statesFilter: [] });
  assert.deepEqual(listed?.groups, []);
});

test('when a group was used is known after a restart, and whoever was away with the broker may come back', async (t) => {
  const broker = await withMovedClock(t, { offsetsRetentionMs: 4 * DAY });
  await create(await broker.dial());
  await commit(await broker.dial(), 'g');
  await pass(broker, 3 * DAY);
  await broker.restart();
  assert.equal(await committed(await broker.dial(), 'g'), 7);
  await pass(broker, DAY + 2 * STEP);
  assert.equal(await committed(await broker.dial(), 'g'), -1, 'four days, in two lives');
  await commit(await broker.dial(), 'g');
  await broker.restart();
  broker.clock.moveTo(broker.clock.now() + 30 * DAY);
  await broker.restart();
  assert.equal(await committed(await broker.dial(), 'g'), 7, 'a month in which nobody could come');
  await pass(broker, STEP / 2);
  await commit(await broker.dial(), 'g');
  await pass(broker, 4 * DAY - STEP);
  assert.equal(await committed(await broker.dial(), 'g'), 7);
  await pass(broker, 3 * STEP);
  assert.equal(await committed(await broker.dial(), 'g'), -1);
});

test('a group that had members before a restart was used until then, although it had committed long ago', async (t) => {
  const broker = await withMovedClock(t, { offsetsRetentionMs: 4 * DAY });
  const peer = await broker.dial();
  await create(peer);
  const { memberId, generation: generationId } = await join(peer, 'g', HOUR / 2);
  await commit(peer, 'g', { memberId, generation: generationId });
  for (let passed = 0; passed < 3 * DAY; passed += HOUR / 4)
    await pass(broker, HOUR / 4, () => peer.ask('heartbeat', 3, { groupId: 'g', generationId, memberId }));
  await broker.restart();
  await pass(broker, 3 * DAY);
  assert.equal(await committed(await broker.dial(), 'g'), 7, 'six days after it committed, three after its member');
  await pass(broker, DAY + 2 * STEP);
  assert.equal(await committed(await broker.dial(), 'g'), -1);
});

test('a cursor that no client of Kafka has committed does not expire', async (t) => {
  const broker = await withMovedClock(t);
  const peer = await broker.dial();
  await create(peer);
  const session = broker.server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  t.after(() => session.close());
  const cursors = [{ cursor: 'reader', topic: 't', partition: 0, offset: 5 }];
  await session.commit({ publishes: [], settlements: [], cursors });
  await pass(broker, 20 * DAY);
  assert.equal(await committed(peer, 'reader'), 5);
});

test('what a group with members has committed in topics that none of them reads is kept for a week more', async (t) => {
  const broker = await withMovedClock(t);
  const peer = await broker.dial();
  await create(peer, 'u', 'v');
  const member = await join(peer, 'g', HOUR / 2, subscription('t', 'v'));
  const stranger = await join(peer, 'words of its own', HOUR / 2);
  for (const topic of ['t', 'u', 'v']) await commit(peer, 'g', member, topic);
  await commit(peer, 'words of its own', stranger, 'u');
  const live = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += HOUR / 4)
      await pass(broker, HOUR / 4, async () => {
        for (const [groupId, { memberId, generation: generationId }] of [
          ['g', member],
          ['words of its own', stranger],
        ] as const)
          assert.equal((await peer.ask('heartbeat', 3, { groupId, generationId, memberId }))?.errorCode, ERROR.NONE);
      });
  };
  await live(6 * DAY);
  assert.equal(await committed(peer, 'g', 'u'), 7, 'a week is not over');
  await commit(peer, 'g', member, 'u');
  await live(6 * DAY);
  assert.equal(await committed(peer, 'g', 'u'), 7, 'it was committed for meanwhile');
  await live(DAY + 3 * STEP);
  assert.equal(await committed(peer, 'g', 'u'), -1);
  assert.deepEqual([await committed(peer, 'g', 't'), await committed(peer, 'g', 'v')], [7, 7]);
  assert.equal(await committed(peer, 'words of its own', 'u'), 7, 'who reads what is not known');
});

test('since when a topic is not read any more is known after a restart, in groups of the newer protocol too', async (t) => {
  const broker = await withMovedClock(t, { offsetsRetentionMs: 4 * DAY, consumerSessionTimeoutMs: HOUR });
  await create(await broker.dial(), 'u');
  let peer = await broker.dial();
  let memberEpoch = 0;
  const beat = async (more: object = {}): Promise<void> => {
    const answer = await peer.ask('consumerGroupHeartbeat', 1, {
      groupId: 'g',
      memberId: 'm',
      memberEpoch,
      rebalanceTimeoutMs: -1,
      ...more,
    });
    assert.equal(answer?.errorCode, ERROR.NONE);
    memberEpoch = answer.memberEpoch;
  };
  const begin = async (...subscribedTopicNames: string[]): Promise<void> => {
    peer = await broker.dial();
    memberEpoch = 0;
    await beat({ rebalanceTimeoutMs: 60_000, subscribedTopicNames, topicPartitions: [] });
  };
  const live = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += HOUR / 4) await pass(broker, HOUR / 4, () => beat());
  };
  await begin('t', 'u');
  for (const topic of ['t', 'u']) await commit(peer, 'g', { memberId: 'm', generation: memberEpoch }, topic);
  await live(5 * DAY);
  assert.equal(await committed(peer, 'g', 'u'), 7, 'it is read, without a commit');
  await beat({ subscribedTopicNames: ['t'], topicPartitions: [] });
  // It has heard that the partition of `u` is not its own any more, which it might have taken until then.
  await beat();
  await live(2 * DAY);
  await broker.restart();
  await begin('t');
  await live(DAY);
  assert.equal(await committed(peer, 'g', 'u'), 7, 'three days');
  await live(DAY + 3 * STEP);
  assert.deepEqual(
    [await committed(peer, 'g', 't'), await committed(peer, 'g', 'u')],
    [7, -1],
    'four days, in two lives',
  );
});

test('a group that its members have left is described and listed for ten minutes, or until it is deleted', async (t) => {
  const broker = await withMovedClock(t);
  const peer = await broker.dial();
  await create(peer);
  const stateOf = async (groupId: string): Promise<string | undefined> => {
    const answer = await peer.ask('describeGroups', 4, { groups: [groupId], includeAuthorizedOperations: false });
    return answer?.groups[0]?.groupState;
  };
  const modern = async (groupId: string): Promise<number | undefined> => {
    const answer = await peer.ask('consumerGroupDescribe', 0, {
      groupIds: [groupId],
      includeAuthorizedOperations: false,
    });
    return answer?.groups[0]?.errorCode;
  };
  for (const groupId of ['stays', 'goes']) {
    const { memberId } = await join(peer, groupId, 60_000);
    await peer.ask('leaveGroup', 4, { groupId, memberId: '', members: [{ memberId, groupInstanceId: null }] });
    assert.equal(await stateOf(groupId), 'Empty');
  }
  const joining = { memberEpoch: 0, rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['t'], topicPartitions: [] };
  await peer.ask('consumerGroupHeartbeat', 1, { groupId: 'new', memberId: 'm', ...joining });
  await peer.ask('consumerGroupHeartbeat', 1, {
    groupId: 'new',
    memberId: 'm',
    memberEpoch: -1,
    rebalanceTimeoutMs: -1,
  });
  assert.equal(await modern('new'), ERROR.NONE);
  const listed = await peer.ask('listGroups', 5, { statesFilter: ['Empty'], typesFilter: [] });
  assert.deepEqual(listed?.groups.map(({ groupId }) => groupId).sort(), ['goes', 'new', 'stays']);
  const deleted = async (groupId: string): Promise<number | undefined> =>
    (await peer.ask('deleteGroups', 2, { groupsNames: [groupId] }))?.results[0]?.errorCode;
  assert.deepEqual([await deleted('goes'), await deleted('goes')], [ERROR.NONE, ERROR.GROUP_ID_NOT_FOUND]);
  assert.equal(await stateOf('goes'), 'Dead');
  // One of the other protocol may have its name now.
  await peer.ask('consumerGroupHeartbeat', 1, { groupId: 'stays', memberId: 'm', ...joining });
  assert.deepEqual([await stateOf('stays'), await modern('stays')], ['Dead', ERROR.NONE]);
  broker.clock.moveTo(broker.clock.now() + 11 * 60_000);
  assert.equal(await modern('new'), ERROR.GROUP_ID_NOT_FOUND);
});
