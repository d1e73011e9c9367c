import { classic, commits, consumer, groupsAdmin, oldClassic } from './group-moves.ts';
import {
  deleteRecords,
  epochs,
  fetch,
  fetchSession,
  listOffsets,
  produce,
  produceBroken,
  produceIdempotent,
} from './record-moves.ts';
import type { Move } from './script.ts';
import { consumerPair, staticClassic, staticConsumer } from './static-moves.ts';
import { share } from './share-moves.ts';
import { configs, createPartitions, createTopics, deleteTopics, metadata } from './topic-moves.ts';
import { claim, transaction } from './transaction-moves.ts';
import { acls, quotas, scram } from './user-moves.ts';

/** What clients do, and how often. */
export const MOVES: readonly [number, Move][] = [
  [10, produce],
  [5, produceBroken],
  [6, produceIdempotent],
  [9, fetch],
  [4, fetchSession],
  [7, listOffsets],
  [3, epochs],
  [4, metadata],
  [4, createTopics],
  [2, deleteTopics],
  [3, createPartitions],
  [3, deleteRecords],
  [5, configs],
  [6, commits],
  [4, groupsAdmin],
  [5, classic],
  [1, oldClassic],
  [5, consumer],
  [3, staticClassic],
  [2, staticConsumer],
  [3, consumerPair],
  [2, share],
  [3, claim],
  [8, transaction],
  [2, acls],
  [2, quotas],
  [2, scram],
];
