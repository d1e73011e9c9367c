import {
  api,
  array,
  bool,
  bytes,
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

/** What a client asks first: versions, who it is, brokers and topics. */

export const apiVersions = api(18, [0, 4], 3, {
  request: struct({ clientSoftwareName: string.from(3), clientSoftwareVersion: string.from(3) }),
  response: struct({
    errorCode: int16,
    apiKeys: array(struct({ apiKey: int16, minVersion: int16, maxVersion: int16 })),
    throttleTimeMs: int32.from(1).or(0),
    supportedFeatures: array(struct({ name: string, minVersion: int16, maxVersion: int16 })).tagged(0, 3),
    finalizedFeaturesEpoch: int64.tagged(1, 3).or(-1),
    finalizedFeatures: array(struct({ name: string, maxVersionLevel: int16, minVersionLevel: int16 })).tagged(2, 3),
    zkMigrationReady: bool.tagged(3, 3).or(false),
  }),
});

export const saslHandshake = api(17, [0, 1], Infinity, {
  request: struct({ mechanism: string }),
  response: struct({ errorCode: int16, mechanisms: array(string) }),
});

export const saslAuthenticate = api(36, [0, 2], 2, {
  request: struct({ authBytes: bytes }),
  response: struct({
    errorCode: int16,
    errorMessage: nullableString,
    authBytes: bytes,
    sessionLifetimeMs: int64.from(1).or(0),
  }),
});

export const metadata = api(3, [0, 12], 9, {
  request: struct({
    topics: nullableArray(struct({ topicId: uuid.from(10), name: nullableString })),
    allowAutoTopicCreation: bool.from(4).or(true),
    includeClusterAuthorizedOperations: bool.from(8).to(10),
    includeTopicAuthorizedOperations: bool.from(8),
  }),
  response: struct({
    throttleTimeMs: int32.from(3).or(0),
    brokers: array(struct({ nodeId: int32, host: string, port: int32, rack: nullableString.from(1).or(null) })),
    clusterId: nullableString.from(2).or(null),
    controllerId: int32.from(1).or(-1),
    topics: array(
      struct({
        errorCode: int16,
        name: nullableString,
        topicId: uuid.from(10),
        isInternal: bool.from(1).or(false),
        partitions: array(
          struct({
            errorCode: int16,
            partitionIndex: int32,
            leaderId: int32,
            leaderEpoch: int32.from(7).or(-1),
            replicaNodes: array(int32),
            isrNodes: array(int32),
            offlineReplicas: array(int32).from(5).or([]),
          }),
        ),
        topicAuthorizedOperations: int32.from(8).or(-2147483648),
      }),
    ),
    clusterAuthorizedOperations: int32.from(8).to(10).or(-2147483648),
  }),
});

export const describeCluster = api(60, [0, 1], 0, {
  request: struct({ includeClusterAuthorizedOperations: bool, endpointType: int8.from(1).or(1) }),
  response: struct({
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: nullableString.or(null),
    endpointType: int8.from(1).or(1),
    clusterId: string,
    controllerId: int32.or(-1),
    brokers: array(struct({ brokerId: int32, host: string, port: int32, rack: nullableString.or(null) })),
    clusterAuthorizedOperations: int32.or(-2147483648),
  }),
});

export const findCoordinator = api(10, [0, 5], 3, {
  request: struct({ key: string.to(3), keyType: int8.from(1).or(0), coordinatorKeys: array(string).from(4).or([]) }),
  response: struct({
    throttleTimeMs: int32.from(1).or(0),
    errorCode: int16.to(3),
    errorMessage: nullableString.from(1).to(3),
    nodeId: int32.to(3),
    host: string.to(3),
    port: int32.to(3),
    coordinators: array(
      struct({ key: string, nodeId: int32, host: string, port: int32, errorCode: int16, errorMessage: nullableString }),
    )
      .from(4)
      .or([]),
  }),
});
