import type { Api } from './fields.ts';
import { createAcls, deleteAcls, describeAcls } from './messages/acls.ts';
import { createPartitions, createTopics, deleteTopics, describeLogDirs } from './messages/admin.ts';
import { alterConfigs, describeConfigs, incrementalAlterConfigs } from './messages/configs.ts';
import { consumerGroupDescribe, consumerGroupHeartbeat } from './messages/consumer-groups.ts';
import {
  apiVersions,
  describeCluster,
  findCoordinator,
  metadata,
  saslAuthenticate,
  saslHandshake,
} from './messages/discovery.ts';
import {
  deleteGroups,
  describeGroups,
  heartbeat,
  joinGroup,
  leaveGroup,
  listGroups,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  syncGroup,
} from './messages/groups.ts';
import { deleteRecords, fetch, listOffsets, offsetForLeaderEpoch, produce } from './messages/log.ts';
import { alterPartitionReassignments, electLeaders, listPartitionReassignments } from './messages/reassignments.ts';
import { shareAcknowledge, shareFetch, shareGroupDescribe, shareGroupHeartbeat } from './messages/share-groups.ts';
import {
  addOffsetsToTxn,
  addPartitionsToTxn,
  describeProducers,
  describeTransactions,
  endTxn,
  initProducerId,
  listTransactions,
  txnOffsetCommit,
  writeTxnMarkers,
} from './messages/transactions.ts';

import {
  alterClientQuotas,
  alterUserScramCredentials,
  describeClientQuotas,
  describeUserScramCredentials,
} from './messages/users.ts';

/** Every API that is spoken here, by its name in the protocol. What is not here is not announced, and refused. */
export const APIS = {
  produce,
  fetch,
  listOffsets,
  metadata,
  offsetCommit,
  offsetFetch,
  findCoordinator,
  joinGroup,
  heartbeat,
  leaveGroup,
  syncGroup,
  describeGroups,
  listGroups,
  saslHandshake,
  apiVersions,
  createTopics,
  deleteTopics,
  initProducerId,
  offsetForLeaderEpoch,
  addPartitionsToTxn,
  addOffsetsToTxn,
  endTxn,
  writeTxnMarkers,
  txnOffsetCommit,
  saslAuthenticate,
  deleteGroups,
  describeCluster,
  describeAcls,
  createAcls,
  deleteAcls,
  describeUserScramCredentials,
  alterUserScramCredentials,
  describeClientQuotas,
  alterClientQuotas,
  describeConfigs,
  alterConfigs,
  incrementalAlterConfigs,
  describeProducers,
  describeTransactions,
  listTransactions,
  deleteRecords,
  createPartitions,
  describeLogDirs,
  electLeaders,
  alterPartitionReassignments,
  listPartitionReassignments,
  offsetDelete,
  consumerGroupHeartbeat,
  consumerGroupDescribe,
  shareGroupHeartbeat,
  shareGroupDescribe,
  shareFetch,
  shareAcknowledge,
} as const;

export type Apis = typeof APIS;
export type ApiName = keyof Apis;

const NAMES = new Map<number, ApiName>();
for (const [name, { key }] of Object.entries<Api>(APIS)) if (isName(name)) NAMES.set(key, name);

function isName(name: string): name is ApiName {
  return Object.hasOwn(APIS, name);
}

export function apiNamed(key: number): ApiName | undefined {
  return NAMES.get(key);
}
