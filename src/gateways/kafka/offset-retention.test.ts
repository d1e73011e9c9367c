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

async function create(peer: RawPeer): Promise<void> {
  const topic = { name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  await peer.ask('createTopics', 5, { topics: [topic] });
}

async function commit(peer: RawPeer, groupId: string, member?: { memberId: string; generation: number }) {
  const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: '' }];
  const answer = await peer.ask('offsetCommit', 9, {
    groupId,
    generationIdOrMemberEpoch: member?.generation ?? -1,
    memberId: member?.memberId ?? '',
    topics: [{ name: 't', partitions }],
  });
  assert.equal(answer?.topics[0]?.partitions[0]?.errorCode, ERROR.NONE);
}

async function committed(peer: RawPeer, groupId: string): Promise<number | undefined> {
  const topics = [{ name: 't', partitionIndexes: [0] }];
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

async function join(peer: RawPeer, groupId: string, sessionTimeoutMs: number) {
  const who = { groupId, sessionTimeoutMs, rebalanceTimeoutMs: 1000, groupInstanceId: null };
  const protocols = [{ name: 'range', metadata: Buffer.alloc(0) }];
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
