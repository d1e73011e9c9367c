import { api, array, bool, int16, int32, nullableArray, nullableString, string, struct } from '../fields.ts';

/** On which brokers partitions are, and are to be. */

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
