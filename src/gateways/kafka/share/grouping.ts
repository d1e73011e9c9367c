import { RailheadError } from '../../../core/errors.ts';
import { allowed, authorizedOperations, maySee } from '../access.ts';
import type { Client, Handlers } from '../client.ts';
import type { TopicFacts } from '../consumer-group.ts';
import { asKafkaError, ERROR, type ErrorName, KafkaError } from '../errors.ts';
import type { RequestOf, ResponseOf } from '../fields.ts';
import { maySee as maySeeGroup } from '../group-admin.ts';
import { hostOf, refusalFor } from '../grouping.ts';
import type { shareGroupDescribe, shareGroupHeartbeat } from '../messages/share-groups.ts';
import type { KafkaTopic } from '../topics.ts';
import { SHARE_EPOCH, SHARE_GROUP_STATES, type ShareGroup, type ShareMember } from './share-group.ts';

type Heartbeat = RequestOf<typeof shareGroupHeartbeat>;
type Described = ResponseOf<typeof shareGroupDescribe>['groups'][number];

/** As Kafka calls its own. Here every member has every partition. */
const ASSIGNOR = 'simple';

export const shareGrouping: Handlers<'shareGroupHeartbeat' | 'shareGroupDescribe'> = {
  async shareGroupHeartbeat(client, request) {
    const { shareGroups, limits } = client.shared;
    const { groupId, memberId, memberEpoch } = request;
    try {
      check(client, request);
      const topics = memberEpoch === SHARE_EPOCH.leave ? new Map<string, never>() : await lookUp(client, request);
      const heartbeat = {
        memberId,
        epoch: memberEpoch,
        rackId: request.rackId,
        clientId: client.clientId,
        host: hostOf(client.address),
        names: request.subscribedTopicNames,
      };
      const answer = shareGroups.with(groupId, (group, now) => group.heartbeat(heartbeat, topics, now));
      const { error, epoch, assigned } = answer;
      return {
        errorCode: ERROR[error],
        memberId: error === 'NONE' ? memberId : null,
        memberEpoch: epoch,
        // Who leaves has none to come with.
        heartbeatIntervalMs: error === 'NONE' && memberEpoch >= 0 ? limits.consumerHeartbeatMs : 0,
        assignment: assigned === null ? null : { topicPartitions: namedPartitions(assigned) },
      };
    } catch (error) {
      const { code: errorCode, message: errorMessage } = asKafkaError(error, 'group');
      return { errorCode, errorMessage, memberEpoch: 0, heartbeatIntervalMs: 0 };
    }
  },

  async shareGroupDescribe(client, { groupIds, includeAuthorizedOperations }) {
    const known = new Set(await client.shared.shareSubscriptions.groups());
    return {
      groups: groupIds.map((groupId) => {
        if (!maySeeGroup(client, groupId)) return unknown(groupId, 'GROUP_AUTHORIZATION_FAILED');
        const group = client.shared.shareGroups.find(groupId);
        const isHidden = group !== undefined && ![...group.wanted].every((name) => maySee(client, name));
        if (isHidden) return unknown(groupId, 'TOPIC_AUTHORIZATION_FAILED');
        if (group === undefined && !known.has(groupId)) return unknown(groupId, 'GROUP_ID_NOT_FOUND');
        const described = describe(groupId, group);
        return includeAuthorizedOperations
          ? { ...described, authorizedOperations: authorizedOperations(client, 'group', groupId) }
          : described;
      }),
    };
  },
};

/** @throws KafkaError */
function check(client: Client, { groupId, memberId, memberEpoch, subscribedTopicNames }: Heartbeat): void {
  const refuse = (error: ErrorName, why: string): never => {
    throw new KafkaError(error, why);
  };
  if (groupId === '') refuse('INVALID_REQUEST', 'A group has a name.');
  const refusal = refusalFor(client, groupId);
  if (refusal !== null) refuse(refusal, `Not allowed to use the group ${JSON.stringify(groupId)}.`);
  if (memberId === '') refuse('INVALID_REQUEST', 'A member says its id.');
  if (memberEpoch < SHARE_EPOCH.leave) refuse('INVALID_REQUEST', `There is no epoch ${memberEpoch}.`);
  const { groups, consumerGroups } = client.shared;
  const others = (groups.find(groupId)?.members.size ?? 0) + (consumerGroups.find(groupId)?.members.size ?? 0);
  if (others > 0) refuse('GROUP_ID_NOT_FOUND', `The group ${JSON.stringify(groupId)} is not a share group.`);
  for (const name of subscribedTopicNames ?? [])
    if (!maySee(client, name))
      refuse('TOPIC_AUTHORIZATION_FAILED', `Not allowed to see the topic ${JSON.stringify(name)}.`);
}

/** What is known of the topics that the group wants; what this member reads is kept for the group from now on. */
async function lookUp(
  client: Client,
  { groupId, memberId, subscribedTopicNames }: Heartbeat,
): Promise<Map<string, KafkaTopic | undefined>> {
  const { shared } = client;
  const group = shared.shareGroups.find(groupId);
  const mine = subscribedTopicNames ?? [...(group?.members.get(memberId)?.names ?? [])];
  const topics = new Map<string, KafkaTopic | undefined>();
  for (const name of new Set([...(group?.wanted ?? []), ...mine])) {
    await shared.turns.begin();
    topics.set(name, await shared.topics.find(name));
  }
  for (const name of mine) {
    await shared.turns.begin();
    const topic = topics.get(name);
    if (topic === undefined || !allowed(client, 'read', 'topic', name)) continue;
    try {
      await shared.shareSubscriptions.ensure(groupId, topic);
    } catch (error) {
      // It went meanwhile; or it is a queue, which is read under its own name.
      if (RailheadError.is(error, 'NOT_FOUND')) topics.set(name, undefined);
      else throw error;
    }
  }
  return topics;
}

function namedPartitions(
  assigned: ReadonlyMap<string, TopicFacts>,
): { topicId: string; topicName: string; partitions: number[] }[] {
  return [...assigned].map(([topicName, { id: topicId, partitions }]) => ({
    topicId,
    topicName,
    partitions: Array.from({ length: partitions }, (_, partition) => partition),
  }));
}

function unknown(groupId: string, error: ErrorName): Described {
  return {
    errorCode: ERROR[error],
    errorMessage: `Group ${groupId} is not a share group here.`,
    groupId,
    groupState: '',
    groupEpoch: 0,
    assignmentEpoch: 0,
    assignorName: '',
    members: [],
  };
}

function describe(groupId: string, group: ShareGroup | undefined): Described {
  return {
    errorCode: ERROR.NONE,
    groupId,
    groupState: SHARE_GROUP_STATES[group?.state ?? 'empty'],
    groupEpoch: group?.epoch ?? 0,
    assignmentEpoch: group?.epoch ?? 0,
    assignorName: ASSIGNOR,
    members: group === undefined ? [] : [...group.members.values()].map((member) => describeMember(group, member)),
  };
}

function describeMember(group: ShareGroup, member: ShareMember): Described['members'][number] {
  const { id: memberId, rackId, epoch: memberEpoch, clientId, host: clientHost, names } = member;
  return {
    memberId,
    rackId,
    memberEpoch,
    clientId,
    clientHost,
    subscribedTopicNames: [...names],
    assignment: { topicPartitions: namedPartitions(group.assignedTo(member)) },
  };
}
