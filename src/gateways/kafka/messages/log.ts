import {
  api,
  array,
  int16,
  int32,
  int64,
  int8,
  nullableArray,
  nullableString,
  records,
  string,
  struct,
  uuid,
} from '../fields.ts';

/** Records: publishing, reading and places in the log. */

export const produce = api(0, [0, 11], 9, {
  request: struct({
    transactionalId: nullableString.from(3).or(null),
    acks: int16,
    timeoutMs: int32,
    topicData: array(struct({ name: string, partitionData: array(struct({ index: int32, records: records })) })),
  }),
  response: struct({
    responses: array(
      struct({
        name: string,
        partitionResponses: array(
          struct({
            index: int32,
            errorCode: int16,
            baseOffset: int64,
            logAppendTimeMs: int64.from(2).or(-1),
            logStartOffset: int64.from(5).or(-1),
            recordErrors: array(struct({ batchIndex: int32, batchIndexErrorMessage: nullableString.or(null) }))
              .from(8)
              .or([]),
            errorMessage: nullableString.from(8).or(null),
            currentLeader: struct({ leaderId: int32.or(-1), leaderEpoch: int32.or(-1) }).tagged(0, 10),
          }),
        ),
      }),
    ),
    throttleTimeMs: int32.from(1).or(0),
    nodeEndpoints: array(struct({ nodeId: int32, host: string, port: int32, rack: nullableString.or(null) })).tagged(
      0,
      10,
    ),
  }),
});

export const fetch = api(1, [4, 17], 12, {
  request: struct({
    clusterId: nullableString.tagged(0, 12).or(null),
    replicaId: int32.to(14).or(-1),
    replicaState: struct({ replicaId: int32.or(-1), replicaEpoch: int64.or(-1) }).tagged(1, 15),
    maxWaitMs: int32,
    minBytes: int32,
    maxBytes: int32.or(2147483647),
    isolationLevel: int8.or(0),
    sessionId: int32.from(7).or(0),
    sessionEpoch: int32.from(7).or(-1),
    topics: array(
      struct({
        topic: string.to(12),
        topicId: uuid.from(13),
        partitions: array(
          struct({
            partition: int32,
            currentLeaderEpoch: int32.from(9).or(-1),
            fetchOffset: int64,
            lastFetchedEpoch: int32.from(12).or(-1),
            logStartOffset: int64.from(5).or(-1),
            partitionMaxBytes: int32,
            replicaDirectoryId: uuid.tagged(0, 17),
          }),
        ),
      }),
    ),
    forgottenTopicsData: array(struct({ topic: string.to(12), topicId: uuid.from(13), partitions: array(int32) }))
      .from(7)
      .or([]),
    rackId: string.from(11).or(''),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16.from(7),
    sessionId: int32.from(7).or(0),
    responses: array(
      struct({
        topic: string.to(12),
        topicId: uuid.from(13),
        partitions: array(
          struct({
            partitionIndex: int32,
            errorCode: int16,
            highWatermark: int64,
            lastStableOffset: int64.or(-1),
            logStartOffset: int64.from(5).or(-1),
            divergingEpoch: struct({ epoch: int32.or(-1), endOffset: int64.or(-1) }).tagged(0, 12),
            currentLeader: struct({ leaderId: int32.or(-1), leaderEpoch: int32.or(-1) }).tagged(1, 12),
            snapshotId: struct({ endOffset: int64.or(-1), epoch: int32.or(-1) }).tagged(2, 12),
            abortedTransactions: nullableArray(struct({ producerId: int64, firstOffset: int64 })),
            preferredReadReplica: int32.from(11).or(-1),
            records: records,
          }),
        ),
      }),
    ),
    nodeEndpoints: array(struct({ nodeId: int32, host: string, port: int32, rack: nullableString.or(null) })).tagged(
      0,
      16,
    ),
  }),
});

export const listOffsets = api(2, [1, 9], 6, {
  request: struct({
    replicaId: int32,
    isolationLevel: int8.from(2),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({ partitionIndex: int32, currentLeaderEpoch: int32.from(4).or(-1), timestamp: int64 }),
        ),
      }),
    ),
  }),
  response: struct({
    throttleTimeMs: int32.from(2).or(0),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            errorCode: int16,
            timestamp: int64.or(-1),
            offset: int64.or(-1),
            leaderEpoch: int32.from(4).or(-1),
          }),
        ),
      }),
    ),
  }),
});

export const offsetForLeaderEpoch = api(23, [2, 4], 4, {
  request: struct({
    replicaId: int32.from(3).or(-2),
    topics: array(
      struct({
        topic: string,
        partitions: array(struct({ partition: int32, currentLeaderEpoch: int32.or(-1), leaderEpoch: int32 })),
      }),
    ),
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    topics: array(
      struct({
        topic: string,
        partitions: array(
          struct({ errorCode: int16, partition: int32, leaderEpoch: int32.or(-1), endOffset: int64.or(-1) }),
        ),
      }),
    ),
  }),
});

export const deleteRecords = api(21, [0, 2], 2, {
  request: struct({
    topics: array(struct({ name: string, partitions: array(struct({ partitionIndex: int32, offset: int64 })) })),
    timeoutMs: int32,
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    topics: array(
      struct({
        name: string,
        partitions: array(struct({ partitionIndex: int32, lowWatermark: int64, errorCode: int16 })),
      }),
    ),
  }),
});
