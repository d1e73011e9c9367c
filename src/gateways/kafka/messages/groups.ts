import {
  api,
  array,
  bool,
  bytes,
  int16,
  int32,
  int64,
  nullableArray,
  nullableString,
  string,
  struct,
} from '../fields.ts';

/** Groups of consumers, and the offsets that they commit. */

export const joinGroup = api(11, [0, 9], 6, {
  request: struct({
    groupId: string,
    sessionTimeoutMs: int32,
    rebalanceTimeoutMs: int32.from(1).or(-1),
    memberId: string,
    groupInstanceId: nullableString.from(5).or(null),
    protocolType: string,
    protocols: array(struct({ name: string, metadata: bytes })),
    reason: nullableString.from(8).or(null),
  }),
  response: struct({
    throttleTimeMs: int32.from(2).or(0),
    errorCode: int16,
    generationId: int32.or(-1),
    protocolType: nullableString.from(7).or(null),
    protocolName: nullableString,
    leader: string,
    skipAssignment: bool.from(9).or(false),
    memberId: string,
    members: array(struct({ memberId: string, groupInstanceId: nullableString.from(5).or(null), metadata: bytes })),
  }),
});

export const syncGroup = api(14, [0, 5], 4, {
  request: struct({
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: nullableString.from(3).or(null),
    protocolType: nullableString.from(5).or(null),
    protocolName: nullableString.from(5).or(null),
    assignments: array(struct({ memberId: string, assignment: bytes })),
  }),
  response: struct({
    throttleTimeMs: int32.from(1).or(0),
    errorCode: int16,
    protocolType: nullableString.from(5).or(null),
    protocolName: nullableString.from(5).or(null),
    assignment: bytes,
  }),
});

export const heartbeat = api(12, [0, 4], 4, {
  request: struct({
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: nullableString.from(3).or(null),
  }),
  response: struct({ throttleTimeMs: int32.from(1).or(0), errorCode: int16 }),
});

export const leaveGroup = api(13, [0, 5], 4, {
  request: struct({
    groupId: string,
    memberId: string.to(2),
    members: array(
      struct({ memberId: string, groupInstanceId: nullableString.or(null), reason: nullableString.from(5).or(null) }),
    )
      .from(3)
      .or([]),
  }),
  response: struct({
    throttleTimeMs: int32.from(1).or(0),
    errorCode: int16,
    members: array(struct({ memberId: string, groupInstanceId: nullableString, errorCode: int16 }))
      .from(3)
      .or([]),
  }),
});

export const offsetCommit = api(8, [2, 9], 8, {
  request: struct({
    groupId: string,
    generationIdOrMemberEpoch: int32.or(-1),
    memberId: string,
    groupInstanceId: nullableString.from(7).or(null),
    retentionTimeMs: int64.to(4).or(-1),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            committedOffset: int64,
            committedLeaderEpoch: int32.from(6).or(-1),
            committedMetadata: nullableString,
          }),
        ),
      }),
    ),
  }),
  response: struct({
    throttleTimeMs: int32.from(3).or(0),
    topics: array(struct({ name: string, partitions: array(struct({ partitionIndex: int32, errorCode: int16 })) })),
  }),
});

export const offsetFetch = api(9, [1, 9], 6, {
  request: struct({
    groupId: string.to(7),
    topics: nullableArray(struct({ name: string, partitionIndexes: array(int32) })).to(7),
    groups: array(
      struct({
        groupId: string,
        memberId: nullableString.from(9).or(null),
        memberEpoch: int32.from(9).or(-1),
        topics: nullableArray(struct({ name: string, partitionIndexes: array(int32) })),
      }),
    )
      .from(8)
      .or([]),
    requireStable: bool.from(7).or(false),
  }),
  response: struct({
    throttleTimeMs: int32.from(3).or(0),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            committedOffset: int64,
            committedLeaderEpoch: int32.from(5).or(-1),
            metadata: nullableString,
            errorCode: int16,
          }),
        ),
      }),
    ).to(7),
    errorCode: int16.from(2).to(7).or(0),
    groups: array(
      struct({
        groupId: string,
        topics: array(
          struct({
            name: string,
            partitions: array(
              struct({
                partitionIndex: int32,
                committedOffset: int64,
                committedLeaderEpoch: int32.or(-1),
                metadata: nullableString,
                errorCode: int16,
              }),
            ),
          }),
        ),
        errorCode: int16.or(0),
      }),
    )
      .from(8)
      .or([]),
  }),
});

export const describeGroups = api(15, [0, 5], 5, {
  request: struct({ groups: array(string), includeAuthorizedOperations: bool.from(3) }),
  response: struct({
    throttleTimeMs: int32.from(1).or(0),
    groups: array(
      struct({
        errorCode: int16,
        groupId: string,
        groupState: string,
        protocolType: string,
        protocolData: string,
        members: array(
          struct({
            memberId: string,
            groupInstanceId: nullableString.from(4).or(null),
            clientId: string,
            clientHost: string,
            memberMetadata: bytes,
            memberAssignment: bytes,
          }),
        ),
        authorizedOperations: int32.from(3).or(-2147483648),
      }),
    ),
  }),
});

export const listGroups = api(16, [0, 5], 3, {
  request: struct({ statesFilter: array(string).from(4).or([]), typesFilter: array(string).from(5).or([]) }),
  response: struct({
    throttleTimeMs: int32.from(1).or(0),
    errorCode: int16,
    groups: array(
      struct({ groupId: string, protocolType: string, groupState: string.from(4), groupType: string.from(5) }),
    ),
  }),
});

export const deleteGroups = api(42, [0, 2], 2, {
  request: struct({ groupsNames: array(string) }),
  response: struct({ throttleTimeMs: int32.or(0), results: array(struct({ groupId: string, errorCode: int16 })) }),
});

export const offsetDelete = api(47, [0, 0], Infinity, {
  request: struct({
    groupId: string,
    topics: array(struct({ name: string, partitions: array(struct({ partitionIndex: int32 })) })),
  }),
  response: struct({
    errorCode: int16.or(0),
    throttleTimeMs: int32.or(0),
    topics: array(struct({ name: string, partitions: array(struct({ partitionIndex: int32, errorCode: int16 })) })),
  }),
});
