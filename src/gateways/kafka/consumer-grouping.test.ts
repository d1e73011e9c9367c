import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { RawPeer } from '../../../test/kafka/raw-peer.ts';
import { testBroker } from '../../testing/index.ts';
import { ERROR } from './errors.ts';

async function start(t: TestContext): Promise<RawPeer> {
  const broker = await testBroker();
  t.after(() => broker.close());
  const peer = await RawPeer.dial((await broker.endpoint('kafka')).port);
  const topic = { numPartitions: 3, replicationFactor: 1, assignments: [], configs: [] };
  await peer.ask('createTopics', 5, { topics: ['logs.a', 'logs.b', 'other'].map((name) => ({ ...topic, name })) });
  return peer;
}

type Beat = Partial<Parameters<typeof beat>[1]>;

async function beat(
  peer: RawPeer,
  request: {
    groupId?: string;
    memberId: string;
    memberEpoch: number;
    subscribedTopicNames?: string[];
    subscribedTopicRegex?: string;
    serverAssignor?: string;
    topicPartitions?: { topicId: string; partitions: number[] }[];
    rebalanceTimeoutMs?: number;
  },
  version = 1,
) {
  const answer = await peer.ask('consumerGroupHeartbeat', version, { groupId: 'g', ...request });
  assert.ok(answer);
  return answer;
}

const joining = (more: Beat = {}) => ({
  memberId: 'm',
  memberEpoch: 0,
  rebalanceTimeoutMs: 10_000,
  subscribedTopicNames: ['logs.a'],
  topicPartitions: [],
  ...more,
});

const partitionsOf = (answer: Awaited<ReturnType<typeof beat>>): number[][] | undefined =>
  answer.assignment?.topicPartitions.map(({ partitions }) => partitions);

async function describe(peer: RawPeer, groupId: string) {
  const answer = await peer.ask('consumerGroupDescribe', 1, { groupIds: [groupId], includeAuthorizedOperations: true });
  return answer?.groups[0];
}

test('a group of the newer protocol is described with what each member has and is to have, and listed as such', async (t) => {
  const peer = await start(t);
  const first = await beat(peer, joining({ memberId: '' }), 0);
  assert.ok(first.memberId);
  assert.deepEqual([first.errorCode, first.memberEpoch, partitionsOf(first)], [ERROR.NONE, 1, [[0, 1, 2]]]);
  await beat(peer, joining({ memberId: 'second', serverAssignor: 'range' }));
  const described = await describe(peer, 'g');
  assert.deepEqual(
    [described?.errorCode, described?.groupState, described?.groupEpoch, described?.assignorName],
    [ERROR.NONE, 'Reconciling', 2, 'range'],
  );
  const of = (assignment: { topicPartitions: { topicName: string; partitions: number[] }[] }) =>
    assignment.topicPartitions.map(({ topicName, partitions }) => [topicName, partitions]);
  assert.deepEqual(
    described?.members.map((one) => [one.memberId, one.memberEpoch, of(one.assignment), of(one.targetAssignment)]),
    [
      [first.memberId, 1, [['logs.a', [0, 1, 2]]], [['logs.a', [0, 1]]]],
      ['second', 2, [], [['logs.a', [2]]]],
    ],
  );
  assert.ok(described.authorizedOperations > 0);
  assert.equal((await describe(peer, 'nowhere'))?.errorCode, ERROR.GROUP_ID_NOT_FOUND);
  const listed = await peer.ask('listGroups', 5, { statesFilter: [], typesFilter: ['consumer'] });
  assert.deepEqual(
    listed?.groups.map(({ groupId, groupState, groupType }) => [groupId, groupState, groupType]),
    [['g', 'Reconciling', 'consumer']],
  );
  const classic = await peer.ask('describeGroups', 5, { groups: ['g'], includeAuthorizedOperations: false });
  assert.equal(classic?.groups[0]?.groupState, 'Dead');
  const refused = await peer.ask('deleteGroups', 2, { groupsNames: ['g'] });
  assert.equal(refused?.results[0]?.errorCode, ERROR.NON_EMPTY_GROUP);
});

test('offsets are committed and asked for by members of the newer protocol at their epoch alone', async (t) => {
  const peer = await start(t);
  const { memberEpoch } = await beat(peer, joining());
  const commit = async (memberId: string, epoch: number) => {
    const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: null }];
    const request = {
      groupId: 'g',
      memberId,
      generationIdOrMemberEpoch: epoch,
      topics: [{ name: 'logs.a', partitions }],
    };
    return (await peer.ask('offsetCommit', 9, request))?.topics[0]?.partitions[0]?.errorCode;
  };
  const fetch = async (memberId: string | null, epoch: number) => {
    const groups = [
      { groupId: 'g', memberId, memberEpoch: epoch, topics: [{ name: 'logs.a', partitionIndexes: [0] }] },
    ];
    const answer = await peer.ask('offsetFetch', 9, { groupId: 'g', groups, topics: null });
    return answer?.groups[0]?.errorCode || answer?.groups[0]?.topics[0]?.partitions[0]?.committedOffset;
  };
  assert.equal(await commit('m', memberEpoch + 1), ERROR.STALE_MEMBER_EPOCH);
  assert.equal(await commit('another', memberEpoch), ERROR.UNKNOWN_MEMBER_ID);
  assert.equal(await commit('', -1), ERROR.UNKNOWN_MEMBER_ID);
  assert.equal(await commit('m', memberEpoch), ERROR.NONE);
  assert.equal(await fetch('m', memberEpoch), 7);
  assert.equal(await fetch(null, -1), 7);
  assert.equal(await fetch('m', memberEpoch + 1), ERROR.STALE_MEMBER_EPOCH);
  const topics = [{ name: 'logs.a', partitions: [{ partitionIndex: 0 }] }];
  const kept = await peer.ask('offsetDelete', 0, { groupId: 'g', topics });
  assert.equal(kept?.topics[0]?.partitions[0]?.errorCode, ERROR.GROUP_SUBSCRIBED_TO_TOPIC);
  assert.equal((await beat(peer, { memberId: 'm', memberEpoch: -1 })).memberEpoch, -1);
  assert.equal(await commit('', -1), ERROR.NONE);
});

test('a pattern of topics is matched with the whole name, and one that is not understood is refused', async (t) => {
  const peer = await start(t);
  const byPattern = (subscribedTopicRegex: string) =>
    beat(peer, { ...joining({ subscribedTopicRegex }), subscribedTopicNames: [] });
  assert.deepEqual(partitionsOf(await byPattern('logs\\..')), [
    [0, 1, 2],
    [0, 1, 2],
  ]);
  assert.deepEqual(partitionsOf(await byPattern('ogs')), []);
  assert.equal((await byPattern('(a)\\1')).errorCode, ERROR.INVALID_REGULAR_EXPRESSION);
});

test('a group is of one protocol at a time', async (t) => {
  const peer = await start(t);
  const join = async (groupId: string) => {
    const protocols = [{ name: 'range', metadata: Buffer.alloc(0) }];
    const times = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000 };
    const answer = await peer.ask('joinGroup', 3, {
      groupId,
      memberId: '',
      protocolType: 'consumer',
      protocols,
      ...times,
    });
    return answer?.errorCode;
  };
  assert.equal(await join('classic'), ERROR.NONE);
  assert.equal((await beat(peer, joining({ groupId: 'classic' }))).errorCode, ERROR.GROUP_ID_NOT_FOUND);
  assert.equal((await beat(peer, joining())).errorCode, ERROR.NONE);
  assert.equal(await join('g'), ERROR.INCONSISTENT_GROUP_PROTOCOL);
  assert.equal((await beat(peer, joining({ memberId: '' }))).errorCode, ERROR.INVALID_REQUEST);
  assert.equal((await beat(peer, joining({ groupId: '' }))).errorCode, ERROR.INVALID_REQUEST);
  assert.equal((await beat(peer, joining({ memberEpoch: -3 }))).errorCode, ERROR.INVALID_REQUEST);
  assert.equal((await beat(peer, joining({ serverAssignor: 'odd' }))).errorCode, ERROR.UNSUPPORTED_ASSIGNOR);
  const left = await peer.ask('leaveGroup', 3, { groupId: 'g', memberId: '', members: [{ memberId: 'm' }] });
  assert.equal(left?.members[0]?.errorCode, ERROR.NONE);
  assert.equal(await join('g'), ERROR.NONE);
});
