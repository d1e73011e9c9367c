/** As `acl-rows.ts`, of what is asked of the cluster alone. */
import { CLUSTER, type Row } from './acl-rows.ts';

export const CLUSTER_ROWS: readonly Row[] = [
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
    api: 'listPartitionReassignments',
    rights: [['describe', 'cluster', CLUSTER]],
    refused: ['CLUSTER_AUTHORIZATION_FAILED'],
    ask: (peer) => peer.ask('listPartitionReassignments', 0, { topics: null }),
  },
];
