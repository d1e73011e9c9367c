import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { eventually } from '../../../test/eventually.ts';
import { RawPeer } from '../../../test/kafka/raw-peer.ts';
import { testBroker } from '../../testing/index.ts';
import { ERROR } from './errors.ts';

const TIMES = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000 };

async function start(t: TestContext): Promise<() => Promise<RawPeer>> {
  const broker = await testBroker();
  t.after(() => broker.close());
  const { port } = await broker.endpoint('kafka');
  return async () => {
    const peer = await RawPeer.dial(port);
    t.after(() => peer.socket.destroy());
    return peer;
  };
}

/** Joins, with a name of its own. Resolves when the group is complete. */
async function join(peer: RawPeer, groupInstanceId: string) {
  const protocols = [{ name: 'range', metadata: Buffer.alloc(0) }];
  const joining = { groupId: 'g', memberId: '', groupInstanceId, protocolType: 'consumer', protocols };
  const answer = await peer.ask('joinGroup', 5, { ...joining, ...TIMES });
  assert.equal(answer?.errorCode, ERROR.NONE);
  return answer;
}

test('several members leave with one request, by their id or the name that they gave themselves', async (t) => {
  const dial = await start(t);
  const peers = [await dial(), await dial(), await dial()];
  const [a, b, c] = peers;
  assert.ok(a && b && c);
  const first = await join(a, 'a');
  const joining = Promise.all([join(b, 'b'), join(c, 'c')]);
  const members = async (): Promise<string[]> => {
    const described = await a.ask('describeGroups', 5, { groups: ['g'], includeAuthorizedOperations: false });
    return described?.groups[0]?.members.map(({ memberId }) => memberId) ?? [];
  };
  await eventually('three members', async () => (await members()).length === 3);
  // Its place is taken by its next process, which completes the group.
  const beat = async (memberId: string, groupInstanceId: string, generationId: number) =>
    (await a.ask('heartbeat', 4, { groupId: 'g', memberId, groupInstanceId, generationId }))?.errorCode;
  assert.equal(await beat(first.memberId, 'a', first.generationId), ERROR.REBALANCE_IN_PROGRESS);
  const again = await join(a, 'a');
  const [second, third] = await joining;
  assert.equal(await beat(first.memberId, 'a', again.generationId), ERROR.FENCED_INSTANCE_ID);
  const left = await a.ask('leaveGroup', 3, {
    groupId: 'g',
    memberId: '',
    members: [
      { memberId: second.memberId, groupInstanceId: 'b' },
      { memberId: '', groupInstanceId: 'c' },
      { memberId: first.memberId, groupInstanceId: 'a' },
      { memberId: 'nobody', groupInstanceId: null },
    ],
  });
  assert.equal(left?.errorCode, ERROR.NONE);
  const { NONE, FENCED_INSTANCE_ID, UNKNOWN_MEMBER_ID } = ERROR;
  assert.deepEqual(
    left.members.map(({ errorCode }) => errorCode),
    [NONE, NONE, FENCED_INSTANCE_ID, UNKNOWN_MEMBER_ID],
  );
  assert.deepEqual(await members(), [again.memberId]);
  assert.equal(await beat(third.memberId, 'c', third.generationId), UNKNOWN_MEMBER_ID);
});

test('a static leader that comes again follows the one whose place it takes, or rests, if its version knows that', async (t) => {
  const dial = await start(t);
  const peer = await dial();
  const first = await join(peer, 'a');
  const assignments = [{ memberId: first.memberId, assignment: Buffer.from('all') }];
  await peer.ask('syncGroup', 3, { groupId: 'g', ...first, groupInstanceId: 'a', assignments });
  const again = await join(peer, 'a');
  assert.notEqual(again.memberId, first.memberId);
  // One that took itself for the leader would share out among nobody.
  assert.deepEqual([again.leader, again.members, again.generationId], [first.memberId, [], first.generationId]);
  const protocols = [{ name: 'range', metadata: Buffer.alloc(0) }];
  const joining = { groupId: 'g', memberId: '', groupInstanceId: 'a', protocolType: 'consumer', protocols, ...TIMES };
  const rests = await peer.ask('joinGroup', 9, joining);
  assert.deepEqual([rests?.skipAssignment, rests?.leader, rests?.members.length], [true, rests?.memberId, 1]);
});
