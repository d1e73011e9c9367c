import { createHash } from 'node:crypto';
import { bytesOf, Ref } from './drafts.ts';
import { sending, valuesFor } from './record-moves.ts';
import type { Maker, Move } from './script.ts';

const PLAIN = { producerId: -1, epoch: -1, sequence: -1, transactional: false };
const GROUP = 32;
const [ACCEPT, RELEASE, REJECT] = [1, 2, 3];
/** Kafka has a partition ready for a share group only some time after it was first asked for it. */
export const READY_MS = 5_000;

/** Kafka takes a member of a share group for one alone that is named by a UUID, as it writes them. */
function uuidOf(groupId: string, who: string): string {
  return createHash('md5').update(`a ${groupId} ${who}`).digest('base64url').replace(/^-/, 'a');
}

interface Fetching {
  readonly maxWaitMs?: number;
  readonly maxRecords?: number;
  /** What is acknowledged with it. */
  readonly batches?: readonly object[];
  readonly note?: string;
}

interface Sharing {
  readonly groupId: string;
  readonly topic: string;
  readonly beat: (who: string, epoch: Ref | number, more?: object) => void;
  readonly epochOf: (who: string) => Ref;
  readonly memberOf: (who: string) => string;
  readonly fetch: (who: string, shareSessionEpoch: number, more?: Fetching) => void;
  readonly acknowledge: (who: string, shareSessionEpoch: number, batches: object[]) => void;
}

/** A topic of its own with some records, and a share group that begins with the first of them. */
export function sharing(m: Maker, batches: readonly (readonly string[])[], idOf?: (who: string) => string): Sharing {
  const [topic, groupId] = [m.name(`t${m.steps.length}`), m.name(`w${m.steps.length}`)];
  const memberOf = idOf ?? ((who: string) => uuidOf(groupId, who));
  const shape = { numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  m.partitions.set(topic, 1);
  m.ask('createTopics', { topics: [{ name: topic, ...shape }], timeoutMs: 10_000 }, { settle: 'topics' });
  for (const values of batches) m.ask('produce', sending(topic, 0, [bytesOf(values, PLAIN)]), { from: 3 });
  const configs = [{ name: 'share.auto.offset.reset', value: 'earliest', configOperation: 0 }];
  const resources = [{ resourceType: GROUP, resourceName: groupId, configs }];
  m.ask('incrementalAlterConfigs', { resources, validateOnly: false });
  const place = (acknowledgementBatches: readonly object[]): object[] => [
    { topicId: m.id(topic), partitions: [{ partitionIndex: 0, acknowledgementBatches }] },
  ];
  return {
    groupId,
    topic,
    memberOf,
    epochOf: (who) => new Ref(`epoch:${memberOf(who)}`),
    beat: (who, memberEpoch, more = {}) =>
      m.ask(
        'shareGroupHeartbeat',
        { groupId, memberId: memberOf(who), memberEpoch, subscribedTopicNames: null, ...more },
        { learn: { [`epoch:${memberOf(who)}`]: 'memberEpoch' } },
      ),
    fetch: (who, shareSessionEpoch, { batches: acknowledged = [], note, ...more } = {}) =>
      m.ask(
        'shareFetch',
        {
          groupId,
          memberId: memberOf(who),
          shareSessionEpoch,
          maxWaitMs: 0,
          minBytes: 1,
          maxBytes: 1 << 20,
          maxRecords: 500,
          batchSize: 500,
          topics: shareSessionEpoch === 0 || acknowledged.length > 0 ? place(acknowledged) : [],
          forgottenTopicsData: [],
          ...more,
        },
        note === undefined ? {} : { note },
      ),
    acknowledge: (who, shareSessionEpoch, acknowledged) =>
      m.ask('shareAcknowledge', {
        groupId,
        memberId: memberOf(who),
        shareSessionEpoch,
        topics: acknowledged.length > 0 ? place(acknowledged) : [],
      }),
  };
}

const of = (firstOffset: number, lastOffset: number, ...acknowledgeTypes: number[]): object => ({
  firstOffset,
  lastOffset,
  acknowledgeTypes,
});

/** A member joins, until it is told what to read. */
export function joined(m: Maker, { groupId, topic, memberOf }: Sharing, who: string): void {
  const memberId = memberOf(who);
  const asked = { groupId, memberId, memberEpoch: 0, subscribedTopicNames: [topic] };
  const learn = { [`epoch:${memberId}`]: 'memberEpoch' };
  m.ask('shareGroupHeartbeat', asked, { learn, settle: { share: groupId, memberId } });
}

/** Members of a share group: what they get, what they say of it, and what they say wrong. */
export const share: Move = (m) => {
  const { random } = m;
  if (!m.speaks('shareFetch', 1)) return;
  const group = sharing(
    m,
    [valuesFor(m), valuesFor(m)].map((each) => [...each, 'last']),
  );
  const { beat, epochOf, fetch, acknowledge, groupId } = group;
  joined(m, group, 'a');
  fetch('a', 0, { maxWaitMs: READY_MS });
  const verdicts = [random.pick([ACCEPT, RELEASE, REJECT]), random.pick([ACCEPT, RELEASE, REJECT])];
  const both = of(0, 1, ...verdicts);
  let at = 1;
  if (random.chance(0.5)) acknowledge('a', at++, [both]);
  else fetch('a', at++, { batches: [both] });
  for (let more = random.below(5); more > 0; more--)
    random.pick([
      () => fetch('a', at++),
      () => fetch('a', 77),
      () => acknowledge('a', 77, []),
      () => fetch('nobody', 3),
      () => acknowledge('a', 0, []),
      () => acknowledge('nobody', 1, []),
      () => acknowledge('a', at++, [of(700, 700, ACCEPT)]),
      () => acknowledge('a', at++, [of(1, 0, ACCEPT)]),
      () => acknowledge('a', at++, [of(0, 1, ACCEPT, ACCEPT, ACCEPT)]),
      () => acknowledge('a', at++, [of(0, 0, 9)]),
      () => acknowledge('a', at++, []),
      () => beat('a', epochOf('a')),
      () => beat('a', 99),
      () => beat('nobody', 4),
      () => m.ask('shareGroupDescribe', { groupIds: [groupId], includeAuthorizedOperations: false }),
      () => m.ask('consumerGroupDescribe', { groupIds: [groupId], includeAuthorizedOperations: false }),
      () => m.ask('deleteGroups', { groupsNames: [groupId] }),
    ])();
  if (random.chance(0.5)) acknowledge('a', -1, []);
  beat('a', -1);
  m.ask('shareGroupDescribe', { groupIds: [groupId], includeAuthorizedOperations: false });
  m.ask('deleteGroups', { groupsNames: [groupId] });
};
