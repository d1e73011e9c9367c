import { RailheadError } from '../../core/errors.ts';
import { NamePattern } from '../../core/name-pattern.ts';
import { authorizedOperations, maySee } from './access.ts';
import type { Client, Handlers } from './client.ts';
import {
  type ConsumerGroup,
  type ConsumerMember,
  EPOCH,
  type HeartbeatRequest,
  placeOf,
  type TopicFacts,
  type TopicNews,
  type TopicPattern,
} from './consumer-group.ts';
import { asKafkaError, ERROR, type ErrorName, KafkaError } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import { CONSUMER_GROUP_STATES, maySee as maySeeGroup } from './group-admin.ts';
import { hostOf, refusalFor } from './grouping.ts';
import type { consumerGroupDescribe, consumerGroupHeartbeat } from './messages/consumer-groups.ts';

type Heartbeat = RequestOf<typeof consumerGroupHeartbeat>;
type Described = ResponseOf<typeof consumerGroupDescribe>['groups'][number];
type Partitions = { topicId: string; partitions: number[] }[];
type NamedPartitions = { topicId: string; topicName: string; partitions: number[] }[];

/** As the protocol numbers members by what they speak (KIP-1099). */
const CONSUMER_MEMBER = 1;
/** Since then a member chooses its id itself. */
const MEMBER_NAMES_ITSELF = 1;

export const consumerGrouping: Handlers<'consumerGroupHeartbeat' | 'consumerGroupDescribe'> = {
  async consumerGroupHeartbeat(client, request, version) {
    const { consumerGroups, groups, limits } = client.shared;
    const { groupId } = request;
    try {
      check(client, request, version);
      const heartbeat = requestOf(client, request);
      const news = await lookUp(client, groupId, heartbeat);
      const isNew = consumerGroups.find(groupId) === undefined;
      const answer = consumerGroups.with(groupId, (group, now) => group.heartbeat(heartbeat, news, now));
      const { error, memberId, epoch: memberEpoch, assigned } = answer;
      if (error === 'NONE') groups.forget(groupId);
      else if (isNew) consumerGroups.forget(groupId);
      const topicPartitions = byTopic(assigned ?? new Set());
      return {
        errorCode: ERROR[error],
        memberId: error === 'NONE' ? memberId : null,
        memberEpoch,
        // Who leaves has none to come with.
        heartbeatIntervalMs: error === 'NONE' && heartbeat.epoch >= 0 ? limits.consumerHeartbeatMs : 0,
        assignment: assigned === null ? null : { topicPartitions },
      };
    } catch (error) {
      const { code: errorCode, message: errorMessage } = asKafkaError(error, 'group');
      return { errorCode, errorMessage, memberEpoch: 0, heartbeatIntervalMs: 0 };
    }
  },

  consumerGroupDescribe(client, { groupIds, includeAuthorizedOperations }) {
    return {
      groups: groupIds.map((groupId) => {
        const group = client.shared.consumerGroups.find(groupId);
        if (!maySeeGroup(client, groupId)) return unknown(groupId, 'GROUP_AUTHORIZATION_FAILED');
        if (group === undefined) return unknown(groupId, 'GROUP_ID_NOT_FOUND');
        if (!maySeeTopics(client, group)) return unknown(groupId, 'TOPIC_AUTHORIZATION_FAILED');
        const described = describe(group);
        return includeAuthorizedOperations
          ? { ...described, authorizedOperations: authorizedOperations(client, 'group', groupId) }
          : described;
      }),
    };
  },
};

/** @throws KafkaError */
function check(client: Client, request: Heartbeat, version: number): void {
  const { groupId, memberId, memberEpoch, instanceId, subscribedTopicNames } = request;
  const refuse = (error: ErrorName, why: string): never => {
    throw new KafkaError(error, why);
  };
  if (groupId === '') refuse('INVALID_REQUEST', 'A group has a name.');
  const refusal = refusalFor(client, groupId);
  if (refusal !== null) refuse(refusal, `Not allowed to use the group ${JSON.stringify(groupId)}.`);
  const isNamed = memberId !== '' || (version < MEMBER_NAMES_ITSELF && memberEpoch === EPOCH.join);
  if (!isNamed) refuse('INVALID_REQUEST', 'A member says its id.');
  if (memberEpoch < EPOCH.pause) refuse('INVALID_REQUEST', `There is no epoch ${memberEpoch}.`);
  if (instanceId === '') refuse('INVALID_REQUEST', 'An instance id is not empty.');
  if ((client.shared.groups.find(groupId)?.members.size ?? 0) > 0)
    refuse('GROUP_ID_NOT_FOUND', `The group ${JSON.stringify(groupId)} has members that use the classic protocol.`);
  if (client.shared.shareGroups.find(groupId) !== undefined)
    refuse('GROUP_ID_NOT_FOUND', `The group ${JSON.stringify(groupId)} is a share group.`);
  for (const name of subscribedTopicNames ?? [])
    if (!maySee(client, name))
      refuse('TOPIC_AUTHORIZATION_FAILED', `Not allowed to see the topic ${JSON.stringify(name)}.`);
}

function requestOf(client: Client, request: Heartbeat): HeartbeatRequest {
  const { memberId, memberEpoch, instanceId, rackId, rebalanceTimeoutMs, subscribedTopicNames } = request;
  const owned = request.topicPartitions?.flatMap(({ topicId, partitions }) =>
    partitions.map((partition) => placeOf(topicId, partition)),
  );
  return {
    memberId,
    epoch: memberEpoch,
    instanceId,
    rackId,
    clientId: client.clientId,
    host: hostOf(client.address),
    rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? null : rebalanceTimeoutMs,
    names: subscribedTopicNames,
    pattern: patternOf(client, request.subscribedTopicRegex),
    assignor: request.serverAssignor,
    owned: owned === undefined ? null : new Set(owned),
  };
}

/** The whole name must match, and be one that the client may see. @throws KafkaError */
function patternOf(client: Client, source: string | null): TopicPattern | 'none' | null {
  if (source === null) return null;
  if (source === '') return 'none';
  try {
    const pattern = new NamePattern(`^(${source})$`);
    return { source, matches: (name) => pattern.matches(name) && maySee(client, name) };
  } catch (error) {
    if (!RailheadError.is(error, 'INVALID')) throw error;
    throw new KafkaError('INVALID_REGULAR_EXPRESSION', error.message);
  }
}

/** What is known of the topics that the group wants now, or will with this heartbeat. */
async function lookUp({ shared }: Client, groupId: string, { names, pattern }: HeartbeatRequest): Promise<TopicNews> {
  const wanted = shared.consumerGroups.find(groupId)?.wanted ?? { names: new Set<string>(), byPattern: false };
  const topics = new Map<string, TopicFacts | undefined>();
  const complete = wanted.byPattern || (pattern !== null && pattern !== 'none');
  if (complete) {
    for (const topic of await shared.topics.all()) topics.set(topic.name, topic);
    return { topics, complete };
  }
  for (const name of new Set([...wanted.names, ...(names ?? [])])) {
    await shared.turns.begin();
    topics.set(name, await shared.topics.find(name));
  }
  return { topics, complete };
}

function byTopic(places: ReadonlySet<string>): Partitions {
  const topics = new Map<string, number[]>();
  for (const place of places) {
    const [topicId = '', partition = ''] = place.split('/');
    const partitions = topics.get(topicId) ?? [];
    topics.set(topicId, partitions);
    partitions.push(Number(partition));
  }
  return [...topics].map(([topicId, partitions]) => ({ topicId, partitions: partitions.sort((a, b) => a - b) }));
}

/** Else what its members have would tell of topics that the client may not see. */
function maySeeTopics(client: Client, group: ConsumerGroup): boolean {
  for (const member of group.members.values())
    for (const name of group.topicsOf(member)) if (!maySee(client, name)) return false;
  return true;
}

function unknown(groupId: string, error: ErrorName): Described {
  return {
    errorCode: ERROR[error],
    errorMessage: error === 'NONE' ? null : `Group ${groupId} is not a group of the consumer protocol here.`,
    groupId,
    groupState: '',
    groupEpoch: 0,
    assignmentEpoch: 0,
    assignorName: '',
    members: [],
  };
}

function describe(group: ConsumerGroup): Described {
  return {
    errorCode: ERROR.NONE,
    groupId: group.id,
    groupState: CONSUMER_GROUP_STATES[group.state],
    groupEpoch: group.epoch,
    assignmentEpoch: group.assignmentEpoch,
    assignorName: group.assignor,
    members: [...group.members.values()].map((member) => describeMember(group, member)),
  };
}

function describeMember(group: ConsumerGroup, member: ConsumerMember): Described['members'][number] {
  const { id: memberId, instanceId, rackId, epoch: memberEpoch, clientId, host: clientHost } = member;
  const named = (places: ReadonlySet<string>): { topicPartitions: NamedPartitions } => ({
    topicPartitions: byTopic(places).map(({ topicId, partitions }) => ({
      topicId,
      topicName: group.topicNamed(topicId) ?? '',
      partitions,
    })),
  });
  return {
    memberId,
    instanceId,
    rackId,
    memberEpoch,
    clientId,
    clientHost,
    subscribedTopicNames: [...member.names],
    subscribedTopicRegex: member.pattern?.source ?? '',
    assignment: named(member.assigned),
    targetAssignment: named(group.targetOf(memberId)),
    memberType: CONSUMER_MEMBER,
  };
}
