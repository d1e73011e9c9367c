import { api, array, bool, int16, int32, int64, nullableString, string, struct } from '../fields.ts';

/** Producers and their transactions. */

export const initProducerId = api(22, [0, 5], 2, {
  request: struct({
    transactionalId: nullableString,
    transactionTimeoutMs: int32,
    producerId: int64.from(3).or(-1),
    producerEpoch: int16.from(3).or(-1),
  }),
  response: struct({ throttleTimeMs: int32.or(0), errorCode: int16, producerId: int64.or(-1), producerEpoch: int16 }),
});

export const addPartitionsToTxn = api(24, [0, 3], 3, {
  request: struct({
    v3AndBelowTransactionalId: string,
    v3AndBelowProducerId: int64,
    v3AndBelowProducerEpoch: int16,
    v3AndBelowTopics: array(struct({ name: string, partitions: array(int32) })),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    resultsByTopicV3AndBelow: array(
      struct({ name: string, resultsByPartition: array(struct({ partitionIndex: int32, partitionErrorCode: int16 })) }),
    ),
  }),
});

export const addOffsetsToTxn = api(25, [0, 4], 3, {
  request: struct({ transactionalId: string, producerId: int64, producerEpoch: int16, groupId: string }),
  response: struct({ throttleTimeMs: int32.or(0), errorCode: int16 }),
});

export const endTxn = api(26, [0, 4], 3, {
  request: struct({ transactionalId: string, producerId: int64, producerEpoch: int16, committed: bool }),
  response: struct({ throttleTimeMs: int32.or(0), errorCode: int16 }),
});

export const writeTxnMarkers = api(27, [1, 1], 1, {
  request: struct({
    markers: array(
      struct({
        producerId: int64,
        producerEpoch: int16,
        transactionResult: bool,
        topics: array(struct({ name: string, partitionIndexes: array(int32) })),
        coordinatorEpoch: int32,
      }),
    ),
  }),
  response: struct({
    markers: array(
      struct({
        producerId: int64,
        topics: array(struct({ name: string, partitions: array(struct({ partitionIndex: int32, errorCode: int16 })) })),
      }),
    ),
  }),
});

export const txnOffsetCommit = api(28, [0, 4], 3, {
  request: struct({
    transactionalId: string,
    groupId: string,
    producerId: int64,
    producerEpoch: int16,
    generationId: int32.from(3).or(-1),
    memberId: string.from(3).or(''),
    groupInstanceId: nullableString.from(3).or(null),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            committedOffset: int64,
            committedLeaderEpoch: int32.from(2).or(-1),
            committedMetadata: nullableString,
          }),
        ),
      }),
    ),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    topics: array(struct({ name: string, partitions: array(struct({ partitionIndex: int32, errorCode: int16 })) })),
  }),
});

export const describeProducers = api(61, [0, 0], 0, {
  request: struct({ topics: array(struct({ name: string, partitionIndexes: array(int32) })) }),
  response: struct({
    throttleTimeMs: int32.or(0),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            errorCode: int16,
            errorMessage: nullableString.or(null),
            activeProducers: array(
              struct({
                producerId: int64,
                producerEpoch: int32,
                lastSequence: int32.or(-1),
                lastTimestamp: int64.or(-1),
                coordinatorEpoch: int32,
                currentTxnStartOffset: int64.or(-1),
              }),
            ),
          }),
        ),
      }),
    ),
  }),
});

export const describeTransactions = api(65, [0, 0], 0, {
  request: struct({ transactionalIds: array(string) }),
  response: struct({
    throttleTimeMs: int32.or(0),
    transactionStates: array(
      struct({
        errorCode: int16,
        transactionalId: string,
        transactionState: string,
        transactionTimeoutMs: int32,
        transactionStartTimeMs: int64,
        producerId: int64,
        producerEpoch: int16,
        topics: array(struct({ topic: string, partitions: array(int32) })),
      }),
    ),
  }),
});

export const listTransactions = api(66, [0, 1], 0, {
  request: struct({
    stateFilters: array(string),
    producerIdFilters: array(int64),
    durationFilter: int64.from(1).or(-1),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    unknownStateFilters: array(string),
    transactionStates: array(struct({ transactionalId: string, producerId: int64, transactionState: string })),
  }),
});
