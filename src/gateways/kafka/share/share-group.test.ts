import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShareGroup, type ShareHeartbeatAnswer } from './share-group.ts';

const SESSION_MS = 45_000;

function topics(sizes: Record<string, number>): Map<string, { id: string; partitions: number }> {
  return new Map(Object.entries(sizes).map(([name, partitions]) => [name, { id: name, partitions }]));
}

function beat(
  group: ShareGroup,
  memberId: string,
  epoch: number,
  more: { names?: string[]; now?: number; sizes?: Record<string, number> } = {},
): ShareHeartbeatAnswer {
  const { names = null, now = 0, sizes = { t: 2 } } = more;
  return group.heartbeat({ memberId, epoch, rackId: null, clientId: 'c', host: '/h', names }, topics(sizes), now);
}

test('a member of a share group that is not heard of is out after its session, and the others learn of it', () => {
  const group = new ShareGroup('g', SESSION_MS);
  assert.equal(beat(group, 'a', 0, { names: ['t'] }).epoch, 1);
  assert.equal(beat(group, 'b', 0, { names: ['t'], now: 10_000 }).epoch, 2);
  assert.equal(group.deadline, SESSION_MS);
  group.tick(SESSION_MS);
  assert.deepEqual([[...group.members.keys()], group.epoch], [['b'], 3]);
  assert.equal(beat(group, 'a', 1, { now: SESSION_MS }).error, 'UNKNOWN_MEMBER_ID');
  assert.equal(beat(group, 'b', 2, { now: SESSION_MS }).epoch, 3);
  group.tick(2 * SESSION_MS);
  assert.equal(group.isIdle, true);
});

test('every member of a share group is assigned every partition of its topics, also of those that grow', () => {
  const group = new ShareGroup('g', SESSION_MS);
  const sizes = { t: 1, u: 1 };
  beat(group, 'a', 0, { names: ['t', 'missing'], sizes });
  const b = beat(group, 'b', 0, { names: ['t', 'u'], sizes });
  assert.deepEqual([...(b.assigned ?? [])], [...topics({ t: 1, u: 1 })]);
  const grown = beat(group, 'a', 1, { sizes: { t: 3, u: 1 } });
  assert.deepEqual([grown.epoch, [...(grown.assigned ?? [])]], [3, [...topics({ t: 3 })]]);
  // Its last answer was lost: it is where it was, and is told again.
  assert.deepEqual(beat(group, 'a', 1, { sizes: { t: 3, u: 1 } }), grown);
  assert.equal(beat(group, 'a', 3, { sizes: { t: 3, u: 1 } }).assigned, null);
  assert.equal(beat(group, 'a', 2).error, 'FENCED_MEMBER_EPOCH');
});
