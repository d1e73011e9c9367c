import { Ref } from './drafts.ts';
import { join, LEARNT } from './group-moves.ts';
import type { Move } from './script.ts';

const SAID = { protocolType: 'consumer', protocolName: 'range' };

/** A member that has a name of its own, and comes again as a new process (KIP-345). */
export const staticClassic: Move = (m) => {
  const { random } = m;
  const groupId = m.name(`s${m.steps.length}`);
  const instance = { groupInstanceId: 'i' };
  m.ask('joinGroup', join(m, groupId, '', instance), { from: 5, learn: LEARNT('first') });
  const first = { groupId, memberId: new Ref('member:first'), generationId: new Ref('generation:first'), ...instance };
  m.ask(
    'syncGroup',
    { ...first, ...SAID, assignments: [{ memberId: first.memberId, assignment: Buffer.from('all') }] },
    { from: 3 },
  );
  m.ask('heartbeat', first, { from: 3 });
  // Asks whether something has changed, or says something else than before.
  const more = random.chance(0.3) ? { protocols: [{ name: 'range', metadata: Buffer.from([0, 0]) }] } : {};
  m.ask('joinGroup', join(m, groupId, '', { ...instance, ...more }), { from: 5, learn: LEARNT('again') });
  const again = { ...first, memberId: new Ref('member:again'), generationId: new Ref('generation:again') };
  m.ask('heartbeat', first, { from: 3 });
  m.ask('syncGroup', { ...again, ...SAID, assignments: [] }, { from: 3 });
  m.ask('heartbeat', again, { from: 3 });
  for (let left = random.below(3); left > 0; left--)
    random.pick([
      () => m.ask('describeGroups', { groups: [groupId], includeAuthorizedOperations: false }),
      () => m.ask('heartbeat', { ...again, groupInstanceId: 'other' }, { from: 3 }),
      () =>
        m.ask(
          'offsetCommit',
          {
            groupId,
            memberId: random.pick([first.memberId, again.memberId]),
            generationIdOrMemberEpoch: again.generationId,
            ...instance,
            topics: [{ name: m.b, partitions: [{ partitionIndex: 0, committedOffset: 2, committedMetadata: '' }] }],
          },
          { from: 7 },
        ),
    ])();
  const leaving = random.pick([
    { memberId: '', groupInstanceId: 'i' },
    { memberId: '', groupInstanceId: 'other' },
    { memberId: again.memberId, groupInstanceId: 'i' },
    { memberId: first.memberId, groupInstanceId: 'i' },
  ]);
  m.ask('leaveGroup', { groupId, memberId: '', members: [leaving] }, { from: 3 });
  m.ask('describeGroups', { groups: [groupId], includeAuthorizedOperations: false });
};

/** By the newer protocol: one that goes for a moment, and comes again under another id. */
export const staticConsumer: Move = (m) => {
  const groupId = m.name(`k${m.steps.length}`);
  const beat = (who: string, memberEpoch: Ref | number, more: object = {}): void =>
    m.ask(
      'consumerGroupHeartbeat',
      { groupId, memberId: `${groupId}-${who}`, instanceId: 'i', memberEpoch, rebalanceTimeoutMs: -1, ...more },
      { learn: { [`epoch:${groupId}-${who}`]: 'memberEpoch' } },
    );
  const joining = { rebalanceTimeoutMs: 10_000, subscribedTopicNames: [m.b], topicPartitions: [] };
  const epochOf = (who: string): Ref => new Ref(`epoch:${groupId}-${who}`);
  beat('one', 0, joining);
  if (m.random.chance(0.5)) beat('two', 0, joining);
  beat('one', -2);
  if (m.random.chance(0.3)) beat('one', epochOf('one'));
  beat('two', 0, joining);
  beat('two', epochOf('two'));
  beat('one', epochOf('one'));
  m.ask('consumerGroupDescribe', { groupIds: [groupId], includeAuthorizedOperations: false });
  beat('two', -1);
  m.ask('consumerGroupDescribe', { groupIds: [groupId], includeAuthorizedOperations: false });
  m.ask('deleteGroups', { groupsNames: [groupId] });
};

/** Two members, of which one gives up what the other gets. */
export const consumerPair: Move = (m) => {
  const groupId = m.name(`k${m.steps.length}`);
  const beat = (who: string, memberEpoch: Ref | number, more: object = {}): void =>
    m.ask(
      'consumerGroupHeartbeat',
      { groupId, memberId: `${groupId}-${who}`, memberEpoch, rebalanceTimeoutMs: -1, serverAssignor: 'range', ...more },
      { learn: { [`epoch:${groupId}-${who}`]: 'memberEpoch' } },
    );
  const joining = { rebalanceTimeoutMs: 10_000, subscribedTopicNames: [m.b], topicPartitions: [] };
  const epochOf = (who: string): Ref => new Ref(`epoch:${groupId}-${who}`);
  beat('a', 0, joining);
  beat('b', 0, joining);
  beat('a', epochOf('a'));
  m.ask('consumerGroupDescribe', { groupIds: [groupId], includeAuthorizedOperations: false });
  beat('b', epochOf('b'));
  beat('a', epochOf('a'), { topicPartitions: [{ topicId: m.id(m.b), partitions: [0] }] });
  beat('b', epochOf('b'));
  if (m.random.chance(0.5)) beat('b', epochOf('b'), { subscribedTopicNames: [m.a, m.b] });
  if (m.random.chance(0.3)) beat('a', 77);
  beat('b', -1);
  beat('a', epochOf('a'));
  m.ask('listGroups', { statesFilter: [], typesFilter: ['consumer'] }, { from: 5 });
  beat('a', -1);
  m.ask('consumerGroupDescribe', { groupIds: [groupId], includeAuthorizedOperations: false });
};
