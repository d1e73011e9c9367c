import {
  api,
  array,
  bool,
  int16,
  int32,
  int64,
  int8,
  nullable,
  nullableArray,
  nullableString,
  records,
  string,
  struct,
  uuid,
} from '../fields.ts';

/** Share groups (KIP-932): their members, and the records that they have and settle one by one. */

export const shareGroupHeartbeat = api(76, [1, 1], 0, {
  request: struct({
    groupId: string,
    memberId: string,
    memberEpoch: int32,
    rackId: nullableString.or(null),
    subscribedTopicNames: nullableArray(string).or(null),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: nullableString.or(null),
    memberId: nullableString.or(null),
    memberEpoch: int32,
    heartbeatIntervalMs: int32,
    assignment: nullable(struct({ topicPartitions: array(struct({ topicId: uuid, partitions: array(int32) })) })).or(
      null,
    ),
  }),
});

export const shareGroupDescribe = api(77, [1, 1], 0, {
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
            rackId: nullableString.or(null),
            memberEpoch: int32,
            clientId: string,
            clientHost: string,
            subscribedTopicNames: array(string),
            assignment: struct({
              topicPartitions: array(struct({ topicId: uuid, topicName: string, partitions: array(int32) })),
            }),
          }),
        ),
        authorizedOperations: int32.or(-2147483648),
      }),
    ),
  }),
});

/** What becomes of records that a member has: one type for all of a batch, or one for each offset. */
const acknowledgementBatches = array(struct({ firstOffset: int64, lastOffset: int64, acknowledgeTypes: array(int8) }));

const currentLeader = struct({ leaderId: int32, leaderEpoch: int32 });
const nodeEndpoints = array(struct({ nodeId: int32, host: string, port: int32, rack: nullableString.or(null) }));

export const shareFetch = api(78, [1, 2], 0, {
  request: struct({
    groupId: nullableString.or(null),
    memberId: nullableString,
    shareSessionEpoch: int32,
    maxWaitMs: int32,
    minBytes: int32,
    maxBytes: int32,
    maxRecords: int32,
    batchSize: int32,
    shareAcquireMode: int8.from(2).or(0),
    isRenewAck: bool.from(2).or(false),
    topics: array(
      struct({ topicId: uuid, partitions: array(struct({ partitionIndex: int32, acknowledgementBatches })) }),
    ),
    forgottenTopicsData: array(struct({ topicId: uuid, partitions: array(int32) })),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: nullableString.or(null),
    acquisitionLockTimeoutMs: int32,
    responses: array(
      struct({
        topicId: uuid,
        partitions: array(
          struct({
            partitionIndex: int32,
            errorCode: int16,
            errorMessage: nullableString.or(null),
            acknowledgeErrorCode: int16,
            acknowledgeErrorMessage: nullableString.or(null),
            currentLeader,
            records: records,
            acquiredRecords: array(struct({ firstOffset: int64, lastOffset: int64, deliveryCount: int16 })),
          }),
        ),
      }),
    ),
    nodeEndpoints: nodeEndpoints.or([]),
  }),
});

export const shareAcknowledge = api(79, [1, 2], 0, {
  request: struct({
    groupId: nullableString.or(null),
    memberId: nullableString,
    shareSessionEpoch: int32,
    isRenewAck: bool.from(2).or(false),
    topics: array(
      struct({ topicId: uuid, partitions: array(struct({ partitionIndex: int32, acknowledgementBatches })) }),
    ),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: nullableString.or(null),
    acquisitionLockTimeoutMs: int32.from(2).or(0),
    responses: array(
      struct({
        topicId: uuid,
        partitions: array(
          struct({ partitionIndex: int32, errorCode: int16, errorMessage: nullableString.or(null), currentLeader }),
        ),
      }),
    ),
    nodeEndpoints: nodeEndpoints.or([]),
  }),
});
