/** As `acl-rows.ts`, of share groups. */
import type { RawPeer } from '../../kafka/raw-peer.ts';
import type { Right, Row } from './acl-rows.ts';

const member = { groupId: 'shared', memberId: 'm' };
const group: Right = ['read', 'group', member.groupId];
const topic = { id: '' };

/** The group reads `t`, whose id is known from now on. */
async function join(admin: RawPeer): Promise<void> {
  const asked = { memberEpoch: 0, subscribedTopicNames: ['t'] };
  const answer = await admin.ask('shareGroupHeartbeat', 1, { ...member, ...asked });
  topic.id = answer?.assignment?.topicPartitions[0]?.topicId ?? '';
}

function opened(peer: RawPeer) {
  const partitions = [{ partitionIndex: 0, acknowledgementBatches: [] }];
  return peer.ask('shareFetch', 2, {
    ...member,
    shareSessionEpoch: 0,
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1 << 20,
    maxRecords: 1,
    batchSize: 1,
    topics: [{ topicId: topic.id, partitions }],
    forgottenTopicsData: [],
  });
}

async function acknowledged(peer: RawPeer) {
  await opened(peer);
  const acknowledgementBatches = [{ firstOffset: 1_000_000, lastOffset: 1_000_000, acknowledgeTypes: [1] }];
  const topics = [{ topicId: topic.id, partitions: [{ partitionIndex: 0, acknowledgementBatches }] }];
  return peer.ask('shareAcknowledge', 2, { ...member, shareSessionEpoch: 1, topics });
}

const described: Right = ['describe', 'topic', 't'];

export const SHARE_ROWS: readonly Row[] = [
  {
    api: 'shareGroupHeartbeat',
    rights: [group, described],
    refused: ['GROUP_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('shareGroupHeartbeat', 1, { ...member, memberEpoch: 0, subscribedTopicNames: ['t'] }),
  },
  {
    api: 'shareGroupDescribe',
    rights: [['describe', 'group', member.groupId], described],
    refused: ['GROUP_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    before: join,
    ask: (peer) => peer.ask('shareGroupDescribe', 1, { groupIds: [member.groupId], includeAuthorizedOperations: true }),
  },
  {
    api: 'shareFetch',
    rights: [group, ['read', 'topic', 't']],
    refused: ['GROUP_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    before: join,
    ask: opened,
  },
  {
    api: 'shareAcknowledge',
    rights: [group, ['read', 'topic', 't']],
    refused: ['GROUP_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'],
    // Nobody has that record.
    fine: ['INVALID_RECORD_STATE'],
    before: join,
    ask: acknowledged,
  },
];
