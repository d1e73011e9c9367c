import { api, array, bool, int16, int32, int8, nullableArray, nullableString, string, struct } from '../fields.ts';

/** On which brokers partitions are, and are to be, and which of them leads. */

export const electLeaders = api(43, [0, 2], 2, {
  request: struct({
    electionType: int8.from(1).or(0),
    topicPartitions: nullableArray(struct({ topic: string, partitions: array(int32) })),
    timeoutMs: int32.or(60000),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16.from(1).or(0),
    replicaElectionResults: array(
      struct({
        topic: string,
        partitionResult: array(struct({ partitionId: int32, errorCode: int16, errorMessage: nullableString.or(null) })),
      }),
    ),
  }),
});

export const alterPartitionReassignments = api(45, [0, 1], 0, {
  request: struct({
    timeoutMs: int32.or(60000),
    allowReplicationFactorChange: bool.from(1).or(true),
    topics: array(
      struct({ name: string, partitions: array(struct({ partitionIndex: int32, replicas: nullableArray(int32) })) }),
    ),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    allowReplicationFactorChange: bool.from(1).or(true),
    errorCode: int16,
    errorMessage: nullableString.or(null),
    responses: array(
      struct({
        name: string,
        partitions: array(struct({ partitionIndex: int32, errorCode: int16, errorMessage: nullableString.or(null) })),
      }),
    ),
  }),
});

export const listPartitionReassignments = api(46, [0, 0], 0, {
  request: struct({
    timeoutMs: int32.or(60000),
    topics: nullableArray(struct({ name: string, partitionIndexes: array(int32) })),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: nullableString.or(null),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            replicas: array(int32),
            addingReplicas: array(int32),
            removingReplicas: array(int32),
          }),
        ),
      }),
    ),
  }),
});
