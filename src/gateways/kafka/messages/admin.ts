import {
  api,
  array,
  bool,
  int16,
  int32,
  int64,
  int8,
  nullableArray,
  nullableString,
  string,
  struct,
  uuid,
} from '../fields.ts';

/** Topics and what is set of them. */

export const createTopics = api(19, [0, 7], 5, {
  request: struct({
    topics: array(
      struct({
        name: string,
        numPartitions: int32,
        replicationFactor: int16,
        assignments: array(struct({ partitionIndex: int32, brokerIds: array(int32) })),
        configs: array(struct({ name: string, value: nullableString })),
      }),
    ),
    timeoutMs: int32.or(60000),
    validateOnly: bool.from(1).or(false),
  }),
  response: struct({
    throttleTimeMs: int32.from(2).or(0),
    topics: array(
      struct({
        name: string,
        topicId: uuid.from(7),
        errorCode: int16,
        errorMessage: nullableString.from(1),
        topicConfigErrorCode: int16.tagged(0, 5),
        numPartitions: int32.from(5).or(-1),
        replicationFactor: int16.from(5).or(-1),
        configs: nullableArray(
          struct({ name: string, value: nullableString, readOnly: bool, configSource: int8.or(-1), isSensitive: bool }),
        )
          .from(5)
          .or(null),
      }),
    ),
  }),
});

export const deleteTopics = api(20, [0, 6], 4, {
  request: struct({
    topics: array(struct({ name: nullableString.or(null), topicId: uuid }))
      .from(6)
      .or([]),
    topicNames: array(string).to(5),
    timeoutMs: int32,
  }),
  response: struct({
    throttleTimeMs: int32.from(1).or(0),
    responses: array(
      struct({
        name: nullableString,
        topicId: uuid.from(6),
        errorCode: int16,
        errorMessage: nullableString.from(5).or(null),
      }),
    ),
  }),
});

export const createPartitions = api(37, [0, 3], 2, {
  request: struct({
    topics: array(
      struct({ name: string, count: int32, assignments: nullableArray(struct({ brokerIds: array(int32) })) }),
    ),
    timeoutMs: int32,
    validateOnly: bool,
  }),
  response: struct({
    throttleTimeMs: int32.or(0),
    results: array(struct({ name: string, errorCode: int16, errorMessage: nullableString.or(null) })),
  }),
});

export const describeLogDirs = api(35, [0, 4], 2, {
  request: struct({ topics: nullableArray(struct({ topic: string, partitions: array(int32) })) }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16.from(3).or(0),
    results: array(
      struct({
        errorCode: int16,
        logDir: string,
        topics: array(
          struct({
            name: string,
            partitions: array(
              struct({
                partitionIndex: int32,
                partitionSize: int64,
                offsetLag: int64.or(0),
                isFutureKey: bool.or(false),
              }),
            ),
          }),
        ),
        totalBytes: int64.from(4).or(-1),
        usableBytes: int64.from(4).or(-1),
      }),
    ),
  }),
});
