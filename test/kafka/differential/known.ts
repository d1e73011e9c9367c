import { bytesOf, DraftBatch, Ref } from './drafts.ts';
import { join, LEARNT } from './group-moves.ts';
import type { Difference } from './normal.ts';
import { resealed, sending } from './record-moves.ts';
import type { Maker } from './script.ts';
import { joined, READY_MS, sharing } from './share-moves.ts';
import type { Ask } from './side.ts';

/** A difference that is meant. `docs/protocols/kafka.md` has each as a row, by its words. */
export interface Known {
  readonly what: string;
  readonly why: string;
  readonly is: (difference: Difference, ask: Ask) => boolean;
  /** What follows in a script is about something else then. */
  readonly ends?: true;
  /** A script in which it is seen. */
  readonly proof: (maker: Maker) => void;
}

/** Some of what is acknowledged is released. */
const GIVES_BACK = /"acknowledgeTypes":\[[\d,]*2/;
const PLAIN = { producerId: -1, epoch: -1, sequence: -1, transactional: false };

function codes({ path, theirs, ours }: Difference, kafka: unknown, here: unknown): boolean {
  return /errorCode$/i.test(path) && theirs === kafka && ours === here;
}

function text({ request }: Ask): string {
  return JSON.stringify(request);
}

/** From then on its producer has the numbers `pid:x` and `epoch:x`. */
function claim(m: Maker, transactionalId: string): void {
  m.ask(
    'initProducerId',
    { transactionalId, transactionTimeoutMs: 60_000 },
    { learn: { 'pid:x': 'producerId', 'epoch:x': 'producerEpoch' }, settle: { transaction: transactionalId } },
  );
}

function addToTransaction(m: Maker, transactionalId: string, name: string): void {
  m.ask('addPartitionsToTxn', {
    v3AndBelowTransactionalId: transactionalId,
    v3AndBelowProducerId: new Ref('pid:x'),
    v3AndBelowProducerEpoch: new Ref('epoch:x'),
    v3AndBelowTopics: [{ name, partitions: [0] }],
  });
}

export const KNOWN: readonly Known[] = [
  {
    what: 'a SASL handshake where nobody has to log in',
    why: 'answered, so that a client that is set up with a login gets in; Kafka says ILLEGAL_SASL_STATE',
    is: (_, { api }) => api === 'saslHandshake',
    ends: true,
    proof: (m) => m.ask('saslHandshake', { mechanism: 'PLAIN' }),
  },
  {
    what: 'CreateAcls with an operation or a type that is not known',
    why: 'INVALID_REQUEST for that ACL, and the others are made; Kafka ends the connection',
    is: ({ path, theirs }, { api }) => api === 'createAcls' && path === '' && theirs === null,
    ends: true,
    proof: (m) =>
      m.ask('createAcls', {
        creations: [
          {
            resourceType: 2,
            resourceName: m.a,
            resourcePatternType: 3,
            principal: 'User:alice',
            host: '*',
            operation: 0,
            permissionType: 3,
          },
        ],
      }),
  },
  {
    what: 'a member of the classic protocol that comes to a group of the newer one which has members',
    why: 'INCONSISTENT_GROUP_PROTOCOL until they have left, since a group does not change over while it is in use',
    is: ({ path, theirs }, ask) =>
      ask.api === 'joinGroup' && /\.k\d/.test(text(ask)) && (path === 'memberId' || theirs === 79),
    proof: (m) => {
      const groupId = m.name('k1');
      m.ask('consumerGroupHeartbeat', {
        groupId,
        memberId: 'one',
        memberEpoch: 0,
        rebalanceTimeoutMs: 10_000,
        subscribedTopicNames: [m.b],
        topicPartitions: [],
      });
      const protocols = [{ name: 'range', metadata: Buffer.from([0, 0, 0, 0, 0, 0, 255, 255, 255, 255]) }];
      m.ask(
        'joinGroup',
        {
          groupId,
          sessionTimeoutMs: 10_000,
          rebalanceTimeoutMs: 10_000,
          memberId: '',
          protocolType: 'consumer',
          protocols,
        },
        { from: 4 },
      );
    },
  },
  {
    what: 'a partition that a member was told to have, and that goes to another before it said that it took it',
    why: 'the other gets it when the first has come at the epoch of the answer that says so, which may be lost or late; Kafka gives it away at once, and both may use it for a while',
    is: ({ path }, { api, note }) => api === 'consumerGroupHeartbeat' && note === 'untaken' && path === 'assignment',
    ends: true,
    proof: (m) => {
      const groupId = m.name('k1');
      const beat = (memberId: string, memberEpoch: Ref | number, topicPartitions: object[] | null, note = ''): void => {
        const joining = { rebalanceTimeoutMs: 10_000, subscribedTopicNames: [m.b], serverAssignor: 'range' };
        const asked = { groupId, memberId, memberEpoch, rebalanceTimeoutMs: -1, ...(memberEpoch === 0 && joining) };
        const learn = { [`epoch:${memberId}`]: 'memberEpoch' };
        m.ask('consumerGroupHeartbeat', { ...asked, topicPartitions }, { learn, note });
      };
      beat('a', 0, []);
      beat('b', 0, []);
      beat('a', new Ref('epoch:a'), [{ topicId: m.id(m.b), partitions: [0] }]);
      beat('b', new Ref('epoch:b'), null, 'untaken');
    },
  },
  {
    what: 'a heartbeat of the newer protocol for a group that is not there',
    why: 'UNKNOWN_MEMBER_ID, after which a client joins anew: groups are in memory, and a restart must not end members, as GROUP_ID_NOT_FOUND would',
    is: (difference, { api }) => api === 'consumerGroupHeartbeat' && codes(difference, 69, 25),
    proof: (m) =>
      m.ask('consumerGroupHeartbeat', {
        groupId: m.name('k9'),
        memberId: 'one',
        memberEpoch: 3,
        rebalanceTimeoutMs: -1,
      }),
  },
  {
    what: 'the group without a name',
    why: 'INVALID_GROUP_ID for offsets too, where Kafka keeps them for clients of before 0.10',
    is: ({ ours }, { api }) => api === 'offsetCommit' && ours === 24,
    ends: true,
    proof: (m) =>
      m.ask('offsetCommit', {
        groupId: '',
        memberId: '',
        generationIdOrMemberEpoch: -1,
        topics: [{ name: m.a, partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }],
      }),
  },
  {
    what: 'the protocol type of a group for which somebody commits who is no member',
    why: '`consumer`, as of every group without members: whether it once had some is not kept',
    is: ({ path, theirs, ours }) => path.endsWith('protocolType') && theirs === '' && ours === 'consumer',
    proof: (m) => {
      m.ask('offsetCommit', {
        groupId: m.name('g'),
        memberId: '',
        generationIdOrMemberEpoch: -1,
        topics: [{ name: m.a, partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }],
      });
      m.ask('describeGroups', { groups: [m.name('g')], includeAuthorizedOperations: false });
    },
  },
  {
    what: 'the partitions of an open transaction',
    why: 'those in which it has records, not those that were only added to it',
    is: ({ path }, { api }) => api === 'describeTransactions' && /topics/.test(path),
    proof: (m) => {
      const transactionalId = m.name('x');
      claim(m, transactionalId);
      addToTransaction(m, transactionalId, m.a);
      m.ask('describeTransactions', { transactionalIds: [transactionalId] });
    },
  },
  {
    what: 'the producers of a partition',
    why: 'those with a transaction open in it, without sequence and time: the others are not listed',
    is: ({ path }, { api }) => api === 'describeProducers' && /activeProducers/.test(path),
    proof: (m) => {
      m.ask(
        'initProducerId',
        { transactionalId: null, transactionTimeoutMs: 60_000 },
        { learn: { 'pid:i': 'producerId', 'epoch:i': 'producerEpoch' } },
      );
      const numbers = { producerId: new Ref('pid:i'), epoch: new Ref('epoch:i'), sequence: 0 };
      m.ask('produce', sending(m.a, 0, [new DraftBatch(['v'], numbers)]), {
        from: 3,
      });
      m.ask('describeProducers', { topics: [{ name: m.a, partitionIndexes: [0] }] });
    },
  },
  {
    what: 'the id of a topic that CreateTopics only checks',
    why: 'none, since there is none; Kafka makes one up',
    is: ({ path }, { api, request }) =>
      api === 'createTopics' && path.endsWith('topicId') && 'validateOnly' in request && request.validateOnly === true,
    proof: (m) => {
      const topic = { name: m.name('c'), numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
      m.ask('createTopics', { topics: [topic], timeoutMs: 10_000, validateOnly: true }, { from: 7 });
    },
  },
  {
    what: 'a topic whose name differs from that of another in `.` and `_` alone',
    why: 'made: Kafka refuses it with INVALID_TOPIC_EXCEPTION, since it names its metrics after topics with `_` for `.`; here a metric has the whole name beside it, and queues of other protocols have such names',
    is: (difference, { api, note }) => api === 'createTopics' && note === 'collides' && difference.path !== '',
    ends: true,
    proof: (m) => {
      const shape = { numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
      const [name, other] = [m.name('x_y'), m.name('x.y')];
      m.partitions.set(name, 1);
      m.ask('createTopics', { topics: [{ name, ...shape }], timeoutMs: 10_000 }, { settle: 'topics' });
      m.ask('createTopics', { topics: [{ name: other, ...shape }], timeoutMs: 10_000 }, { note: 'collides' });
    },
  },
  {
    what: 'the offset of the newest time (`max timestamp`)',
    why: 'the newest among the last batch, where Kafka looks through all, and takes the end of a transaction for a record',
    is: (_, ask) => ask.api === 'listOffsets' && text(ask).includes('"timestamp":-3'),
    proof: (m) => {
      for (const values of [['a', 'b', 'c'], ['d']])
        m.ask('produce', sending(m.a, 0, [bytesOf(values, PLAIN)]), { from: 3 });
      const partitions = [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -3 }];
      m.ask('listOffsets', { replicaId: -1, isolationLevel: 0, topics: [{ name: m.a, partitions }] }, { from: 7 });
    },
  },
  {
    what: '`min.insync.replicas` above 1, a `min.cleanable.dirty.ratio` other than 0.5, a `compression.type` other than `producer`, an empty `cleanup.policy`',
    why: 'INVALID_CONFIG, since there is one copy, a half is what compaction waits for, batches stay as they came, and something has to say what goes',
    is: (difference, ask) =>
      /^(incremental)?alterConfigs$/i.test(ask.api) &&
      codes(difference, 0, 40) &&
      /min\.insync\.replicas|compression\.type|cleanup\.policy/.test(text(ask)),
    ends: true,
    proof: (m) =>
      m.ask('incrementalAlterConfigs', {
        resources: [
          {
            resourceType: 2,
            resourceName: m.a,
            configs: [{ name: 'min.insync.replicas', value: '2', configOperation: 0 }],
          },
        ],
        validateOnly: false,
      }),
  },
  {
    what: 'both SCRAM mechanisms of a user in one request',
    why: 'done, as `kafka-configs` is documented to do; Kafka says DUPLICATE_RESOURCE, though they are two credentials',
    is: (difference, { api }) => api === 'alterUserScramCredentials' && codes(difference, 92, 0),
    ends: true,
    proof: (m) => {
      const one = { name: m.name('user'), iterations: 4096, salt: Buffer.alloc(16, 1) };
      m.ask('alterUserScramCredentials', {
        deletions: [],
        upsertions: [
          { ...one, mechanism: 1, saltedPassword: Buffer.alloc(32, 2) },
          { ...one, mechanism: 2, saltedPassword: Buffer.alloc(64, 2) },
        ],
      });
    },
  },
  {
    what: 'a group without members and without offsets that never had members',
    why: 'is not there; Kafka has it for some minutes once somebody has tried to commit, or has deleted its offsets',
    is: (difference, { api }) =>
      (difference.path === 'groups[].groupState' && difference.theirs === 'Empty' && difference.ours === 'Dead') ||
      (/^(deleteGroups|offsetDelete)$/.test(api) && (codes(difference, 0, 69) || difference.path === 'topics[more]')),
    proof: (m) => {
      const [groupId, partitionIndex] = [m.name('g'), 0];
      m.ask('offsetCommit', {
        groupId,
        memberId: '',
        generationIdOrMemberEpoch: -1,
        topics: [{ name: m.a, partitions: [{ partitionIndex, committedOffset: 1, committedMetadata: '' }] }],
      });
      m.ask('offsetDelete', { groupId, topics: [{ name: m.a, partitions: [{ partitionIndex }] }] });
      m.ask('deleteGroups', { groupsNames: [m.name('g')] });
    },
  },
  {
    what: 'a commit at a generation for a group that is not there',
    why: 'UNKNOWN_MEMBER_ID, where Kafka says ILLEGAL_GENERATION: after both a member joins anew',
    is: (difference, { api }) => api.endsWith('ommit') && (codes(difference, 22, 25) || codes(difference, 69, 25)),
    proof: (m) =>
      m.ask('offsetCommit', {
        groupId: m.name('g'),
        memberId: 'one',
        generationIdOrMemberEpoch: 3,
        topics: [{ name: m.a, partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }],
      }),
  },
  {
    what: 'a static member that comes again with another subscription',
    why: 'the group shares out anew, so that it gets what it asks for; Kafka leaves it with what it had',
    is: (_, ask) =>
      ask.api === 'joinGroup' && /"groupInstanceId":"i"/.test(text(ask)) && text(ask).includes('"data":[0,0]}'),
    ends: true,
    proof: (m) => {
      const groupId = m.name('s1');
      const instance = { groupInstanceId: 'i' };
      m.ask('joinGroup', join(m, groupId, '', instance), { from: 5, learn: LEARNT('one') });
      const one = { groupId, memberId: new Ref('member:one'), generationId: new Ref('generation:one'), ...instance };
      const assignments = [{ memberId: one.memberId, assignment: Buffer.from('all') }];
      m.ask('syncGroup', { ...one, protocolType: 'consumer', protocolName: 'range', assignments }, { from: 3 });
      const protocols = [{ name: 'range', metadata: Buffer.from([0, 0]) }];
      m.ask('joinGroup', join(m, groupId, '', { ...instance, protocols }), { from: 5 });
    },
  },
  {
    what: 'the end of a transaction in a partition that was added to it and has none of its records',
    why: 'nothing is written there; Kafka writes a marker, which takes an offset',
    is: ({ path }, ask) => ask.api === 'listOffsets' && path.endsWith('.offset') && /\.marked"/.test(text(ask)),
    ends: true,
    proof: (m) => {
      const transactionalId = m.name('x');
      const settle = { transaction: transactionalId };
      const shape = { numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
      const name = m.name('marked');
      m.partitions.set(name, 1);
      m.ask('createTopics', { topics: [{ name, ...shape }], timeoutMs: 10_000 }, { settle: 'topics' });
      claim(m, transactionalId);
      addToTransaction(m, transactionalId, name);
      const who = { transactionalId, producerId: new Ref('pid:x'), producerEpoch: new Ref('epoch:x') };
      m.ask('endTxn', { ...who, committed: true }, { settle });
      const partitions = [{ partitionIndex: 0, timestamp: -1, currentLeaderEpoch: -1 }];
      m.ask('listOffsets', { replicaId: -1, isolationLevel: 0, topics: [{ name, partitions }] });
    },
  },
  {
    what: 'the epoch of a producer whose open transaction was aborted for its successor',
    why: 'one more than before; Kafka counts once to fence it, and once for the successor',
    is: ({ path, theirs, ours }, { api }) =>
      api === 'initProducerId' && path === 'producerEpoch' && Number(theirs) === Number(ours) + 1,
    ends: true,
    proof: (m) => {
      const transactionalId = m.name('x');
      claim(m, transactionalId);
      addToTransaction(m, transactionalId, m.a);
      const again = { transactionalId, transactionTimeoutMs: 60_000 };
      m.ask('initProducerId', again, { settle: { transaction: transactionalId } });
    },
  },
  {
    what: 'when a transaction began that has ended',
    why: 'is not told',
    is: ({ path, theirs, ours }, { api }) =>
      api === 'describeTransactions' && path.endsWith('transactionStartTimeMs') && theirs === 'now' && ours === -1,
    proof: (m) => {
      const transactionalId = m.name('x');
      const settle = { transaction: transactionalId };
      claim(m, transactionalId);
      const who = { transactionalId, producerId: new Ref('pid:x'), producerEpoch: new Ref('epoch:x') };
      m.ask('addOffsetsToTxn', { ...who, groupId: m.name('g') });
      m.ask('endTxn', { ...who, committed: true }, { settle });
      m.ask('describeTransactions', { transactionalIds: [transactionalId] });
    },
  },
  {
    what: 'a batch whose codec there is not',
    why: 'INVALID_RECORD; Kafka says UNKNOWN_SERVER_ERROR',
    is: (difference, { api, note }) =>
      api === 'produce' &&
      (codes(difference, -1, 87) || (note === 'codec' && difference.path.endsWith('logStartOffset'))),
    proof: (m) => {
      const batch = bytesOf(['v'], PLAIN);
      resealed(batch, () => batch.writeInt16BE(7, 21));
      m.ask('produce', sending(m.a, 0, [batch]), { from: 3, note: 'codec' });
    },
  },
  {
    what: 'an idempotent producer without transactions that sends a batch again in other pieces, or comes with another epoch',
    why: 'what is there already is stored once and answered with its place, and an epoch begins where it says; Kafka refuses both',
    is: ({ path, theirs, ours }, ask) =>
      ask.api === 'produce' &&
      /"producerId":\{"symbol":"pid:i"\}/.test(text(ask)) &&
      (((theirs === 45 || theirs === 47) && (ours === 0 || ours === 45)) ||
        (/baseOffset$|logAppendTimeMs$/.test(path) && theirs === -1)),
    ends: true,
    proof: (m) => {
      const learn = { 'pid:i': 'producerId', 'epoch:i': 'producerEpoch' };
      m.ask('initProducerId', { transactionalId: null, transactionTimeoutMs: 60_000 }, { learn });
      for (const [values, sequence] of [
        [['a', 'b', 'c'], 0],
        [['c'], 2],
      ] as const) {
        const numbers = { producerId: new Ref('pid:i'), epoch: new Ref('epoch:i'), sequence };
        m.ask('produce', sending(m.a, 0, [new DraftBatch(values, numbers)]), { from: 3 });
      }
    },
  },
  {
    what: 'the time that a batch is answered with which was stored before',
    why: 'none, as for one that is stored now',
    is: ({ path, theirs, ours }, { api }) =>
      api === 'produce' && path.endsWith('logAppendTimeMs') && typeof theirs === 'number' && theirs > 0 && ours === -1,
    proof: (m) => {
      const learn = { 'pid:i': 'producerId', 'epoch:i': 'producerEpoch' };
      m.ask('initProducerId', { transactionalId: null, transactionTimeoutMs: 60_000 }, { learn });
      const numbers = { producerId: new Ref('pid:i'), epoch: new Ref('epoch:i'), sequence: 0 };
      for (let i = 0; i < 2; i++) m.ask('produce', sending(m.a, 0, [new DraftBatch(['v'], numbers)]), { from: 3 });
    },
  },
  {
    what: 'a config that is set to its default, and the order of `cleanup.policy`',
    why: 'counts as not set, and is told in one order, since what is kept is the rule and not how it was written',
    is: ({ path, theirs, ours }, { api }) =>
      api === 'describeConfigs' &&
      ((path.endsWith('configSource') && theirs === 1 && ours === 'the broker') ||
        (path.endsWith('isDefault') && theirs === false && ours === true) ||
        (theirs === 'delete,compact' && ours === 'compact,delete')),
    proof: (m) => {
      const resource = { resourceType: 2, resourceName: m.a };
      const configs = [{ name: 'cleanup.policy', value: 'delete', configOperation: 0 }];
      m.ask('incrementalAlterConfigs', { resources: [{ ...resource, configs }], validateOnly: false });
      m.ask(
        'describeConfigs',
        { resources: [{ ...resource, configurationKeys: ['cleanup.policy'] }], includeSynonyms: false },
        { from: 1 },
      );
    },
  },
  {
    what: 'a member of a share group whose id is no UUID',
    why: 'is served as any other; Kafka says UNKNOWN_SERVER_ERROR when it wants records',
    is: (_, { api, note }) => api === 'shareFetch' && note === 'no UUID',
    ends: true,
    proof: (m) => {
      const group = sharing(m, [['v']], (who) => `member ${who}`);
      joined(m, group, 'a');
      group.fetch('a', 0, { note: 'no UUID' });
    },
  },
  {
    what: 'the number of records of a share fetch',
    why: 'at most as many as were asked for, where Kafka gives whole batches',
    is: ({ path }, { api, note }) => api === 'shareFetch' && note === 'some' && /acquiredRecords/.test(path),
    ends: true,
    proof: (m) => {
      const group = sharing(m, [['a', 'b', 'c', 'd']]);
      joined(m, group, 'a');
      group.fetch('a', 0, { maxWaitMs: READY_MS, maxRecords: 2, note: 'some' });
    },
  },
  {
    what: 'what a share fetch gives back',
    why: 'may come again with its own answer; in Kafka it comes with that of the next fetch',
    is: ({ path }, ask) =>
      ask.api === 'shareFetch' && /\.(acquiredRecords|records)\[more/.test(path) && GIVES_BACK.test(text(ask)),
    ends: true,
    proof: (m) => {
      const group = sharing(m, [['a', 'b']]);
      joined(m, group, 'a');
      group.fetch('a', 0, { maxWaitMs: READY_MS });
      group.fetch('a', 1, { batches: [{ firstOffset: 0, lastOffset: 1, acknowledgeTypes: [2] }] });
    },
  },
  {
    what: 'an acknowledgement of records that a share group has not handed out',
    why: 'INVALID_RECORD_STATE, as of any that the member does not have; Kafka tells them apart and says INVALID_REQUEST',
    is: (difference, { api }) => api === 'shareAcknowledge' && codes(difference, 42, 121),
    ends: true,
    proof: (m) => {
      const group = sharing(m, [['a', 'b']]);
      joined(m, group, 'a');
      group.fetch('a', 0, { maxWaitMs: READY_MS });
      group.acknowledge('a', 1, [{ firstOffset: 700, lastOffset: 700, acknowledgeTypes: [1] }]);
    },
  },
  {
    what: 'an offset by time',
    why: 'that of a record, where Kafka takes the end of a transaction for one; who reads what is committed is told of no other, where Kafka also finds those of aborted transactions',
    is: (_, ask) => ask.api === 'listOffsets' && /"timestamp":\d/.test(text(ask)),
    proof: (m) => {
      const transactionalId = m.name('x');
      const settle = { transaction: transactionalId };
      const [producerId, epoch] = [new Ref('pid:x'), new Ref('epoch:x')];
      claim(m, transactionalId);
      addToTransaction(m, transactionalId, m.a);
      const batch = new DraftBatch(['v'], { producerId, epoch, sequence: 0, transactional: true });
      m.ask('produce', sending(m.a, 0, [batch], { transactionalId }), { from: 3 });
      m.ask('endTxn', { transactionalId, producerId, producerEpoch: epoch, committed: false }, { settle });
      const partitions = [{ partitionIndex: 0, timestamp: 0, currentLeaderEpoch: -1 }];
      m.ask('listOffsets', { replicaId: -1, isolationLevel: 1, topics: [{ name: m.a, partitions }] }, { from: 2 });
    },
  },
];

export function whyOf(difference: Difference, ask: Ask): Known | undefined {
  return KNOWN.find(({ is }) => is(difference, ask));
}
