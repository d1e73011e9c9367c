import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Group, type JoinAnswer, type JoinRequest, type SyncAnswer } from './group.ts';

const SESSION_MS = 10_000;
const REBALANCE_MS = 30_000;

function newGroup(): Group {
  let next = 0;
  return new Group('g', (clientId) => `${clientId}-${next++}`);
}

function joining(more: Partial<JoinRequest> = {}): JoinRequest {
  return {
    memberId: '',
    instanceId: null,
    clientId: 'c',
    host: '/127.0.0.1',
    sessionTimeoutMs: SESSION_MS,
    rebalanceTimeoutMs: REBALANCE_MS,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.from('m') }],
    needsIdFirst: false,
    ...more,
  };
}

function join(group: Group, now: number, more: Partial<JoinRequest> = {}): JoinAnswer[] {
  const answers: JoinAnswer[] = [];
  group.join(joining(more), now, (answer) => answers.push(answer));
  return answers;
}

function sync(group: Group, now: number, member: JoinAnswer, assignments: Record<string, string> = {}): SyncAnswer[] {
  const answers: SyncAnswer[] = [];
  group.sync(
    {
      memberId: member.memberId,
      instanceId: null,
      generation: member.generation,
      protocolType: null,
      protocol: null,
      assignments: Object.entries(assignments).map(([memberId, text]) => ({ memberId, assignment: Buffer.from(text) })),
    },
    now,
    (answer) => answers.push(answer),
  );
  return answers;
}

/** A group with one member, stable. */
function alone(): { group: Group; member: JoinAnswer } {
  const group = newGroup();
  const [member] = join(group, 0);
  assert.ok(member);
  sync(group, 0, member, { [member.memberId]: 'all' });
  assert.equal(group.state, 'stable');
  return { group, member };
}

test('a new member is told its id first, and one that does not come back with it leaves nothing behind', () => {
  const group = newGroup();
  const [told] = join(group, 0, { needsIdFirst: true });
  assert.equal(told?.error, 'MEMBER_ID_REQUIRED');
  assert.equal(group.members.size, 0);
  group.tick(SESSION_MS);
  assert.ok(group.isIdle);
  assert.equal(join(group, SESSION_MS, { memberId: told.memberId })[0]?.error, 'UNKNOWN_MEMBER_ID');
});

test('a second member makes the first one come back; the leader says who gets what', () => {
  const { group, member } = alone();
  const second = join(group, 100);
  assert.equal(second.length, 0);
  assert.equal(group.heartbeat({ memberId: member.memberId, instanceId: null }, 1, 200), 'REBALANCE_IN_PROGRESS');
  const [again] = join(group, 300, { memberId: member.memberId });
  assert.deepEqual([again?.generation, again?.leader, again?.members.length], [2, member.memberId, 2]);
  assert.deepEqual([second[0]?.generation, second[0]?.members.length], [2, 0]);
  const [other] = second;
  assert.ok(other && again);
  const waiting = sync(group, 400, other);
  assert.equal(waiting.length, 0);
  const [own] = sync(group, 500, again, { [again.memberId]: 'a', [other.memberId]: 'b' });
  assert.deepEqual([own?.assignment.toString(), waiting[0]?.assignment.toString()], ['a', 'b']);
  assert.equal(group.state, 'stable');
});

test('a member that does not come back in time is out, and the others go on', () => {
  const { group, member } = alone();
  const second = join(group, 0, { sessionTimeoutMs: 60_000 });
  assert.equal(group.deadline, SESSION_MS);
  group.heartbeat({ memberId: member.memberId, instanceId: null }, 1, 9_000);
  group.heartbeat({ memberId: member.memberId, instanceId: null }, 1, 18_000);
  group.heartbeat({ memberId: member.memberId, instanceId: null }, 1, 27_000);
  group.tick(REBALANCE_MS);
  assert.deepEqual([second[0]?.error, second[0]?.leader === second[0]?.memberId], ['NONE', true]);
  assert.equal(group.heartbeat({ memberId: member.memberId, instanceId: null }, 1, REBALANCE_MS), 'UNKNOWN_MEMBER_ID');
});

test('a member that is silent for its session is out', () => {
  const { group, member } = alone();
  group.tick(SESSION_MS - 1);
  assert.equal(group.members.size, 1);
  group.tick(SESSION_MS);
  assert.deepEqual([group.members.size, group.state], [0, 'empty']);
  assert.equal(group.heartbeat({ memberId: member.memberId, instanceId: null }, 1, SESSION_MS), 'UNKNOWN_MEMBER_ID');
});

test('a leader that never says who gets what is out, and the others are asked to come again', () => {
  const group = newGroup();
  const [leader] = join(group, 0);
  assert.ok(leader);
  const second = join(group, 0);
  join(group, 0, { memberId: leader.memberId });
  const [other] = second;
  assert.ok(other);
  const waiting = sync(group, 1, other);
  for (let now = 5_000; now < REBALANCE_MS; now += 5_000)
    group.heartbeat({ memberId: leader.memberId, instanceId: null }, 2, now);
  group.tick(REBALANCE_MS);
  assert.equal(waiting[0]?.error, 'REBALANCE_IN_PROGRESS');
  assert.deepEqual([...group.members.keys()], [other.memberId]);
});

test('a leader that leaves before it has said who gets what keeps nobody waiting', () => {
  const group = newGroup();
  const [leader] = join(group, 0);
  const second = join(group, 0);
  assert.ok(leader);
  join(group, 0, { memberId: leader.memberId });
  const [other] = second;
  assert.ok(other);
  const waiting = sync(group, 1, other);
  assert.equal(group.leave({ memberId: leader.memberId, instanceId: null }, 2), 'NONE');
  assert.equal(waiting[0]?.error, 'REBALANCE_IN_PROGRESS');
  const [again] = join(group, 3, { memberId: other.memberId });
  assert.deepEqual([again?.error, again?.leader, again?.generation], ['NONE', other.memberId, other.generation + 1]);
});

test('who leaves, or is not heard of, makes the others come again at once', () => {
  for (const goes of ['leaves', 'falls silent'] as const) {
    const { group, member } = alone();
    const second = join(group, 0);
    const [again] = join(group, 0, { memberId: member.memberId });
    assert.ok(again);
    sync(group, 0, again, { [member.memberId]: 'a' });
    const [other] = second;
    assert.ok(other);
    sync(group, 0, other);
    const who = { memberId: member.memberId, instanceId: null };
    assert.equal(group.heartbeat(who, again.generation, 9_000), 'NONE');
    if (goes === 'leaves') group.leave({ memberId: other.memberId, instanceId: null }, 9_000);
    else group.tick(SESSION_MS);
    assert.equal(group.heartbeat(who, again.generation, SESSION_MS), 'REBALANCE_IN_PROGRESS', goes);
    assert.deepEqual([...group.members.keys()], [member.memberId]);
  }
});

test('offsets are committed by a member of the generation that is there, but not while it is shared out', () => {
  const { group, member } = alone();
  const who = { memberId: member.memberId, instanceId: null };
  assert.equal(group.checkCommit(who, member.generation - 1, 1), 'ILLEGAL_GENERATION');
  join(group, 1);
  // Who is asked to come again may say first how far it is.
  assert.equal(group.checkCommit(who, member.generation, 2), 'NONE');
  const [again] = join(group, 3, { memberId: member.memberId });
  assert.ok(again);
  assert.equal(group.checkCommit(who, member.generation, 4), 'ILLEGAL_GENERATION');
  assert.equal(group.checkCommit(who, again.generation, 4), 'REBALANCE_IN_PROGRESS');
  const [old] = sync(group, 5, { ...again, generation: member.generation });
  assert.equal(old?.error, 'ILLEGAL_GENERATION');
  sync(group, 5, again);
  assert.equal(group.checkCommit(who, again.generation, 6), 'NONE');
  assert.equal(group.checkCommit({ ...who, memberId: 'x' }, again.generation, 6), 'UNKNOWN_MEMBER_ID');
});

test('an older generation, an unknown member and another protocol are told so', () => {
  const { group, member } = alone();
  const who = { memberId: member.memberId, instanceId: null };
  assert.equal(group.heartbeat(who, 0, 1), 'ILLEGAL_GENERATION');
  assert.equal(group.heartbeat({ ...who, memberId: 'x' }, 1, 1), 'UNKNOWN_MEMBER_ID');
  assert.equal(group.checkCommit({ memberId: '', instanceId: null }, -1, 1), 'UNKNOWN_MEMBER_ID');
  assert.equal(group.checkCommit(who, 1, 1), 'NONE');
  const other = [{ name: 'sticky', metadata: Buffer.alloc(0) }];
  assert.equal(join(group, 1, { protocols: other })[0]?.error, 'INCONSISTENT_GROUP_PROTOCOL');
  assert.equal(join(group, 1, { protocolType: 'connect' })[0]?.error, 'INCONSISTENT_GROUP_PROTOCOL');
});

test('a static member that starts anew takes its old place without a rebalance, and the old process is fenced', () => {
  const group = newGroup();
  const [first] = join(group, 0, { instanceId: 'i' });
  assert.ok(first);
  group.sync(
    { ...syncOf(first), instanceId: 'i', assignments: [{ memberId: first.memberId, assignment: Buffer.from('all') }] },
    0,
    () => {},
  );
  const [again] = join(group, 1, { instanceId: 'i' });
  assert.deepEqual([again?.error, again?.generation, again?.skipAssignment], ['NONE', 1, true]);
  assert.notEqual(again?.memberId, first.memberId);
  assert.equal(group.heartbeat({ memberId: first.memberId, instanceId: 'i' }, 1, 2), 'FENCED_INSTANCE_ID');
  const assigned: SyncAnswer[] = [];
  assert.ok(again);
  group.sync({ ...syncOf(again), instanceId: 'i' }, 3, (answer) => assigned.push(answer));
  assert.equal(assigned[0]?.assignment.toString(), 'all');
});

function syncOf(member: JoinAnswer) {
  return {
    memberId: member.memberId,
    instanceId: null,
    generation: member.generation,
    protocolType: null,
    protocol: null,
    assignments: [],
  };
}

/** What a group must never do, whatever its members do: see the checks. */
test('a group of members that come, go and fall silent ends every wait, and has one leader and one generation', () => {
  const step = fc.record({
    what: fc.constantFrom('join', 'rejoin', 'sync', 'heartbeat', 'leave', 'time'),
    who: fc.nat(4),
    ms: fc.nat(12_000),
    needsIdFirst: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const group = newGroup();
      const seen: JoinAnswer[] = [];
      let waits = 0;
      let now = 0;
      const onJoin = (answer: JoinAnswer): void => {
        waits--;
        if (answer.error === 'MEMBER_ID_REQUIRED') seen.push({ ...answer, generation: -1 });
        if (answer.error === 'NONE') seen.push(answer);
      };
      let generation = 0;
      for (const { what, who, ms, needsIdFirst } of steps) {
        const member = seen[seen.length - 1 - who];
        const identity = { memberId: member?.memberId ?? 'nobody', instanceId: null };
        if (what === 'join' || what === 'rejoin') {
          waits++;
          const memberId = what === 'rejoin' && member !== undefined ? member.memberId : '';
          group.join(joining({ memberId, needsIdFirst }), now, onJoin);
        } else if (what === 'sync' && member !== undefined) {
          waits++;
          const assignments = [...group.members.keys()].map((id) => ({ memberId: id, assignment: Buffer.from(id) }));
          group.sync({ ...syncOf(member), assignments }, now, (answer) => {
            waits--;
            // Nobody is given the part of another, or of another generation.
            if (answer.error === 'NONE' && answer.assignment.byteLength > 0)
              assert.equal(answer.assignment.toString(), member.memberId);
          });
        } else if (what === 'heartbeat') group.heartbeat(identity, member?.generation ?? 0, now);
        else if (what === 'leave') group.leave(identity, now);
        else {
          now += ms;
          group.tick(now);
        }
        assert.ok(group.generation >= generation, 'a generation went back');
        ({ generation } = group);
        assert.equal(group.leader === null, group.members.size === 0);
        if (group.leader !== null) assert.ok(group.members.has(group.leader));
        if (group.state === 'empty') assert.equal(group.members.size, 0);
        for (const { join: joinWait } of group.members.values())
          if (joinWait !== null) assert.equal(group.state, 'preparing');
        for (const { sync: syncWait } of group.members.values())
          if (syncWait !== null) assert.equal(group.state, 'completing');
      }
      // With nobody saying anything more, every wait ends and everybody is gone.
      for (let i = 0; i < 100 && group.deadline < Infinity; i++) {
        now = Math.max(now + 1, group.deadline);
        group.tick(now);
      }
      assert.deepEqual([waits, group.members.size, group.isIdle], [0, 0, true]);
    }),
    { numRuns: 500 },
  );
});
