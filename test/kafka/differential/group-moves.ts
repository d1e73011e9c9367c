import { Ref } from './drafts.ts';
import type { Maker, Move } from './script.ts';

const SUBSCRIPTION = (topic: string): Buffer => {
  const name = Buffer.from(topic);
  const head = Buffer.from([0, 0, 0, 0, 0, 1, 0, name.byteLength]);
  return Buffer.concat([head, name, Buffer.from([255, 255, 255, 255])]);
};

const GROUPS = ['g', 'h'];

export const commits: Move = (m) => {
  const group = m.name(m.random.pick(GROUPS));
  const topic = m.topic();
  const partitionIndex = m.partition(topic);
  const roll = m.random.next();
  if (roll < 0.5) {
    const partitions = [
      {
        partitionIndex,
        committedOffset: m.random.pick([0, 3, 10, -1]),
        committedMetadata: m.random.pick(['', 'm', null, 'x'.repeat(5000)]),
      },
    ];
    const memberId = m.random.chance(0.1) ? 'somebody' : '';
    m.ask('offsetCommit', {
      groupId: m.random.chance(0.05) ? '' : group,
      memberId,
      generationIdOrMemberEpoch: m.random.chance(0.1) ? 3 : -1,
      topics: [{ name: topic, partitions }],
    });
  } else if (roll < 0.6)
    m.ask('offsetDelete', { groupId: group, topics: [{ name: topic, partitions: [{ partitionIndex }] }] });
  const topics = m.random.chance(0.3) ? null : [{ name: topic, partitionIndexes: [partitionIndex] }];
  m.ask('offsetFetch', { groupId: group, topics: topics ?? [], requireStable: m.random.chance(0.5) }, { to: 7 });
  const groups = [
    { groupId: group, topics },
    ...(m.random.chance(0.3) ? [{ groupId: m.name('t'), topics: null }] : []),
  ];
  m.ask('offsetFetch', { groups, requireStable: m.random.chance(0.5) }, { from: 8 });
};

export const groupsAdmin: Move = (m) => {
  const group = m.name(m.random.pick([...GROUPS, 'c', 'k', 'nobody']));
  m.random.pick([
    () =>
      m.ask('describeGroups', { groups: [group, m.name('nobody')], includeAuthorizedOperations: m.random.chance(0.3) }),
    () => m.ask('deleteGroups', { groupsNames: [group] }),
    () =>
      m.ask('offsetDelete', {
        groupId: group,
        topics: [{ name: m.topic(), partitions: [{ partitionIndex: m.random.pick([0, 7]) }] }],
      }),
    () => m.ask('consumerGroupDescribe', { groupIds: [group], includeAuthorizedOperations: false }),
    () => m.ask('findCoordinator', { key: group, keyType: m.random.pick([0, 0, 1, 7]), coordinatorKeys: [group] }),
    () => m.ask('describeCluster', { includeClusterAuthorizedOperations: false, endpointType: 1 }),
    () =>
      m.ask('listGroups', {
        statesFilter: m.random.pick([[], ['Stable'], ['Empty']]),
        typesFilter: m.random.pick([[], ['consumer'], ['classic']]),
      }),
    () => m.ask('listTransactions', { stateFilters: m.random.pick([[], ['Ongoing'], ['odd']]), producerIdFilters: [] }),
    () => m.ask('describeLogDirs', { topics: [{ topic: m.b, partitions: [0, 1] }] }),
    () =>
      m.ask('listPartitionReassignments', {
        timeoutMs: 1000,
        topics: m.random.pick([null, [{ name: m.b, partitionIndexes: [0] }]]),
      }),
    () =>
      m.ask('alterPartitionReassignments', {
        timeoutMs: 1000,
        topics: [
          {
            name: m.topic(),
            partitions: [{ partitionIndex: m.random.pick([0, 7]), replicas: m.random.pick([[1], null]) }],
          },
        ],
      }),
    () =>
      m.ask('electLeaders', {
        electionType: m.random.below(2),
        topicPartitions: [{ topic: m.topic(), partitions: [m.random.pick([0, 7])] }],
      }),
  ])();
};

export const join = (m: Maker, groupId: string, memberId: Ref | string, more: object = {}): object => ({
  groupId,
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  memberId,
  groupInstanceId: null,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: SUBSCRIPTION(m.b) }],
  ...more,
});

export const LEARNT = (who: string): Record<string, string> => ({
  [`member:${who}`]: 'memberId',
  [`generation:${who}`]: 'generationId',
});

/** One member comes, another one later, and what they say right and wrong meanwhile. */
export const classic: Move = (m) => {
  const { random } = m;
  const groupId = m.name(`c${m.steps.length}`);
  if (random.chance(0.2))
    m.ask(
      'joinGroup',
      join(
        m,
        random.pick(['', groupId]),
        '',
        random.pick([{ sessionTimeoutMs: 1 }, { protocols: [] }, { protocolType: '' }, { memberId: 'unknown' }]),
      ),
      { from: 1 },
    );
  m.ask('joinGroup', join(m, groupId, ''), { from: 4, learn: LEARNT('one') });
  m.ask('joinGroup', join(m, groupId, new Ref('member:one')), { from: 4, learn: LEARNT('one') });
  const one = {
    groupId,
    memberId: new Ref('member:one'),
    generationId: new Ref('generation:one'),
    groupInstanceId: null,
  };
  const said = { protocolType: 'consumer', protocolName: 'range' };
  if (random.chance(0.3)) m.ask('heartbeat', one);
  if (random.chance(0.3)) m.ask('syncGroup', { ...one, ...said, protocolName: 'other', assignments: [] }, { from: 5 });
  m.ask('syncGroup', { ...one, ...said, assignments: [{ memberId: one.memberId, assignment: Buffer.from('one') }] });
  for (let more = random.below(4); more > 0; more--)
    random.pick([
      () => m.ask('heartbeat', { ...one, generationId: random.pick([one.generationId, 99]) }),
      () => m.ask('heartbeat', { ...one, memberId: 'nobody' }),
      () => m.ask('heartbeat', { ...one, groupInstanceId: 'static' }, { from: 3 }),
      () => m.ask('syncGroup', { ...one, ...said, assignments: [] }),
      () => m.ask('syncGroup', { ...one, ...said, generationId: 99, assignments: [] }),
      () => m.ask('describeGroups', { groups: [groupId], includeAuthorizedOperations: false }),
      () => m.ask('deleteGroups', { groupsNames: [groupId] }),
      () => m.ask('offsetDelete', { groupId, topics: [{ name: m.b, partitions: [{ partitionIndex: 0 }] }] }),
      () =>
        m.ask('offsetCommit', {
          groupId,
          memberId: one.memberId,
          generationIdOrMemberEpoch: random.pick([one.generationId, 99, -1]),
          topics: [{ name: m.b, partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }],
        }),
      () =>
        m.ask('offsetCommit', {
          groupId,
          memberId: '',
          generationIdOrMemberEpoch: -1,
          topics: [{ name: m.b, partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }],
        }),
      () => m.ask('joinGroup', join(m, groupId, '', { protocolType: 'other' }), { from: 4 }),
      () =>
        m.ask('joinGroup', join(m, groupId, '', { protocols: [{ name: 'odd', metadata: Buffer.alloc(0) }] }), {
          from: 4,
        }),
    ])();
  if (random.chance(0.6)) {
    m.ask('joinGroup', join(m, groupId, ''), { from: 4, learn: LEARNT('two') });
    m.ask('joinGroup', join(m, groupId, new Ref('member:two')), {
      from: 4,
      learn: LEARNT('two'),
      later: `two ${groupId}`,
    });
    m.ask('heartbeat', one);
    if (random.chance(0.4)) m.ask('describeGroups', { groups: [groupId], includeAuthorizedOperations: false });
    m.ask('joinGroup', join(m, groupId, new Ref('member:one')), { from: 4, learn: LEARNT('one') });
    m.steps.push({ collect: `two ${groupId}` });
    const two = {
      groupId,
      memberId: new Ref('member:two'),
      generationId: new Ref('generation:two'),
      groupInstanceId: null,
    };
    m.ask('syncGroup', { ...two, ...said, assignments: [] }, { later: `sync ${groupId}` });
    if (random.chance(0.3)) m.ask('describeGroups', { groups: [groupId], includeAuthorizedOperations: false });
    m.ask('syncGroup', {
      ...one,
      ...said,
      assignments: [
        { memberId: one.memberId, assignment: Buffer.from('1') },
        { memberId: two.memberId, assignment: Buffer.from('2') },
      ],
    });
    m.steps.push({ collect: `sync ${groupId}` });
    m.ask('leaveGroup', {
      groupId,
      memberId: two.memberId,
      members: [{ memberId: two.memberId, groupInstanceId: null }],
    });
    m.ask('heartbeat', one);
  }
  m.ask('leaveGroup', {
    groupId,
    memberId: one.memberId,
    members: [{ memberId: random.chance(0.2) ? 'nobody' : one.memberId, groupInstanceId: null }],
  });
  m.ask('describeGroups', { groups: [groupId], includeAuthorizedOperations: false });
  if (random.chance(0.5)) m.ask('deleteGroups', { groupsNames: [groupId] });
};

/** In versions in which a member is let in before it is told its id. */
export const oldClassic: Move = (m) => {
  const groupId = m.name(`o${m.steps.length}`);
  m.ask('joinGroup', join(m, groupId, ''), { to: 3, learn: LEARNT('old') });
  const old = { groupId, memberId: new Ref('member:old'), generationId: new Ref('generation:old') };
  const assignments = [{ memberId: old.memberId, assignment: Buffer.from('all') }];
  m.ask('syncGroup', { ...old, assignments }, { to: 2 });
  m.ask('heartbeat', old, { to: 2 });
  m.ask('leaveGroup', old, { to: 2 });
};

/** The newer protocol: one member, then two. */
export const consumer: Move = (m) => {
  const { random } = m;
  const groupId = m.name(`k${m.steps.length}`);
  const beat = (who: string, epoch: Ref | number, more: object = {}): void =>
    m.ask(
      'consumerGroupHeartbeat',
      { groupId, memberId: `${groupId}-${who}`, memberEpoch: epoch, rebalanceTimeoutMs: -1, ...more },
      { learn: { [`epoch:${groupId}-${who}`]: 'memberEpoch' } },
    );
  const joining = { rebalanceTimeoutMs: 10_000, subscribedTopicNames: [m.b], topicPartitions: [] };
  const epochOf = (who: string): Ref => new Ref(`epoch:${groupId}-${who}`);
  const all = (count: number): object[] => [
    { topicId: m.id(m.b), partitions: Array.from({ length: count }, (_, i) => i) },
  ];
  if (random.chance(0.2))
    beat(
      'one',
      0,
      random.pick([
        { ...joining, serverAssignor: 'odd' },
        { ...joining, subscribedTopicNames: null },
        { ...joining, rebalanceTimeoutMs: -1 },
        { ...joining, topicPartitions: all(1) },
      ]),
    );
  beat('one', 0, joining);
  beat('one', epochOf('one'), { topicPartitions: all(m.partitions.get(m.b) ?? 2) });
  for (let more = random.below(4); more > 0; more--)
    random.pick([
      () => beat('one', epochOf('one')),
      () => beat('nobody', 5),
      () => m.ask('consumerGroupDescribe', { groupIds: [groupId], includeAuthorizedOperations: false }),
      () => m.ask('describeGroups', { groups: [groupId], includeAuthorizedOperations: false }),
      () => m.ask('deleteGroups', { groupsNames: [groupId] }),
      () =>
        m.ask(
          'offsetCommit',
          {
            groupId,
            memberId: `${groupId}-one`,
            generationIdOrMemberEpoch: random.pick([epochOf('one'), 99]),
            topics: [{ name: m.b, partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }],
          },
          { from: 9 },
        ),
      () =>
        m.ask(
          'offsetFetch',
          {
            groups: [
              { groupId, memberId: `${groupId}-one`, memberEpoch: random.pick([epochOf('one'), 99]), topics: null },
            ],
          },
          { from: 9 },
        ),
      () => m.ask('joinGroup', join(m, groupId, ''), { from: 4 }),
      () =>
        m.ask('leaveGroup', { groupId, memberId: 'nobody', members: [{ memberId: 'nobody', groupInstanceId: null }] }),
    ])();
  if (random.chance(0.3)) beat('one', random.pick([88, -2]));
  else {
    if (random.chance(0.5)) beat('one', epochOf('one'), { subscribedTopicNames: [m.a, m.b] });
    beat('one', -1);
    m.ask('consumerGroupDescribe', { groupIds: [groupId], includeAuthorizedOperations: false });
  }
};
