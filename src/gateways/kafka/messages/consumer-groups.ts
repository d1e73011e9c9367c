import {
  api,
  array,
  bool,
  int16,
  int32,
  int8,
  nullable,
  nullableArray,
  nullableString,
  string,
  struct,
  uuid,
} from '../fields.ts';

/** Groups of consumers by the newer protocol (KIP-848). */

const topicPartitions = array(struct({ topicId: uuid, partitions: array(int32) }));

const namedPartitions = struct({
  topicPartitions: array(struct({ topicId: uuid, topicName: string, partitions: array(int32) })),
});

export const consumerGroupHeartbeat = api(68, [0, 1], 0, {
  request: struct({
    groupId: string,
    memberId: string,
    memberEpoch: int32,
    instanceId: nullableString.or(null),
    rackId: nullableString.or(null),
    rebalanceTimeoutMs: int32.or(-1),
    subscribedTopicNames: nullableArray(string).or(null),
    subscribedTopicRegex: nullableString.from(1).or(null),
    serverAssignor: nullableString.or(null),
    topicPartitions: nullableArray(struct({ topicId: uuid, partitions: array(int32) })).or(null),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: nullableString.or(null),
    memberId: nullableString.or(null),
    memberEpoch: int32,
    heartbeatIntervalMs: int32,
    assignment: nullable(struct({ topicPartitions })).or(null),
  }),
});

export const consumerGroupDescribe = api(69, [0, 1], 0, {
  request: struct({ groupIds: array(string), includeAuthorizedOperations: bool }),
  response: struct({
    throttleTimeMs: int32.or(0),
    groups: array(
      struct({
        errorCode: int16,
        errorMessage: nullableString.or(null),
        groupId: string,
        groupState: string,
        groupEpoch: int32,
        assignmentEpoch: int32,
        assignorName: string,
        members: array(
          struct({
            memberId: string,
            instanceId: nullableString.or(null),
            rackId: nullableString.or(null),
            memberEpoch: int32,
            clientId: string,
            clientHost: string,
            subscribedTopicNames: array(string),
            subscribedTopicRegex: nullableString.or(null),
            assignment: namedPartitions,
            targetAssignment: namedPartitions,
            memberType: int8.from(1).or(-1),
          }),
        ),
        authorizedOperations: int32.or(-2147483648),
      }),
    ),
  }),
});
