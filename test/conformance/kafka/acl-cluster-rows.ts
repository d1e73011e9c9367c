/** As `acl-rows.ts`, of what is asked of the cluster alone. */
import { CLUSTER, type Row } from './acl-rows.ts';

export const CLUSTER_ROWS: readonly Row[] = [
  {
    api: 'electLeaders',
    rights: [['alter', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('electLeaders', 2, { topicPartitions: null }),
  },
  {
    api: 'alterPartitionReassignments',
    rights: [['alter', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) =>
      peer.ask('alterPartitionReassignments', 1, {
        topics: [{ name: 't', partitions: [{ partitionIndex: 0, replicas: [1] }] }],
      }),
  },
  {
    api: 'writeTxnMarkers',
    rights: [['alter', 'cluster', CLUSTER]],
    instead: [['clusterAction', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    fine: ['INVALID_TXN_STATE'],
    ask: (peer) => {
      const topics = [{ name: 't', partitionIndexes: [0] }];
      const marker = { producerId: 1, producerEpoch: 0, transactionResult: false, topics, coordinatorEpoch: 0 };
      return peer.ask('writeTxnMarkers', 1, { markers: [marker] });
    },
  },
  {
    api: 'listPartitionReassignments',
    rights: [['describe', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('listPartitionReassignments', 0, { topics: null }),
  },
];
