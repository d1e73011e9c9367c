import { assert } from '../core/errors.ts';

/** Every bound of the engine, in one place. Bytes and milliseconds. */
export interface Limits {
  /** A batch is written when it has gathered so much, at the latest at the end of the turn. */
  batchBytes: number;
  /** Of messages that are held in memory, for whatever reason. Above it publishers wait; see `ByteLedger`. */
  memoryBytes: number;
  /** Bytes of the newest batches that are kept in memory to serve consumers. */
  recentBytes: number;
  /** Bytes of cold blocks that are kept in memory. */
  coldCacheBytes: number;
  /** Part of the commit log that publishers cannot have: settlements, checkpoints and reclaim always find room. */
  reservedShare: number;
  /** Part of the commit log that leases and settlements cannot have either: they wait until some is reclaimed. */
  consumerReservedShare: number;
  /** A checkpoint is written after so many bytes of journal. */
  checkpointBytes: number;
  /** What a checkpoint writes at once between two turns. */
  checkpointSliceBytes: number;
  /** Size of a cold block, about. */
  coldBlockBytes: number;
  /** A topic is compacted when so many messages came since the last time, or half of what it holds if that is more. */
  compactAfterMessages: number;
  /** Publishes parked by `overflow: 'block'` or for want of space, for the whole shard. */
  parkedBytes: number;
  /** What waits in connections for peers that do not take it: consumers have equal parts of it. */
  sendBufferBytes: number;
  /** How long a publish is parked, unless it says. */
  parkMs: number;
  /** After a start, leases of former sessions last so long, so that clients that come back can keep theirs. */
  takeOverGraceMs: number;
  /** A message with a larger body has it in a blob of its own, and only its head in the journal. Less for small batches. */
  largeBodyBytes: number;
  /** What a topic may allow at most as `maxMessageBytes`. */
  maxMessageBytes: number;
  /** Large bodies that were announced and are not published yet, for the whole shard; the next one waits. */
  unfinishedBodyBytes: number;
  /** The same for one session, in number; more are refused. */
  unfinishedBodies: number;
  /** Such a body is given up so long after the last sign of it. */
  unfinishedBodyMs: number;
  /** Records of one publish. */
  maxRecordsPerPublish: number;
  /** Partitions of one topic. */
  maxPartitions: number;
  /** Of a name, in UTF-8: of a topic, a subscription, a router, a snapshot, … */
  maxNameBytes: number;
  /** Of all attributes of a definition together. */
  maxAttributeBytes: number;
  /** Of one document: what is stored of a user, a policy, … */
  maxDocumentBytes: number;
  /** Of its name. */
  maxDocumentNameBytes: number;
  /** Documents of one kind in a namespace. */
  maxDocuments: number;
  /**
   * Committed offsets of one namespace: a cursor has one in each partition that it reads. Those that are there may be
   * moved and deleted, however many they are. See `limits.cursors`.
   */
  maxCursors: number;
  /** Characters of an error that are kept with a message. */
  maxErrorText: number;
  /** Messages that one peek shows. */
  maxPeek: number;
  /** How long a snapshot of a subscription keeps messages, unless it says otherwise. */
  defaultSnapshotMs: number;
  /** The same at most. */
  maxSnapshotMs: number;
  /** Snapshots of one topic. */
  maxSnapshots: number;
  /** How long a transaction may stay open, unless its producer says. */
  transactionMs: number;
  /** The same at most. */
  maxTransactionMs: number;
  /** Partitions that one transaction may publish to: its end is one entry that names them all. */
  maxTransactionPartitions: number;
  /** What the cursors and settlements of one transaction take at its commit, which has to fit into one batch. */
  maxTransactionBytes: number;
  /** Named producers. The least recently used that has nothing open is forgotten first. */
  maxProducers: number;
  /** Named producers that were not used for so long are forgotten when another one comes. */
  producerIdleMs: number;
  /** After this epoch a producer gets a new number: protocols carry the epoch in two bytes. */
  maxProducerEpoch: number;
}

export const DEFAULT_LIMITS: Limits = {
  batchBytes: 1 << 20,
  memoryBytes: 256 << 20,
  recentBytes: 16 << 20,
  coldCacheBytes: 16 << 20,
  reservedShare: 1 / 8,
  consumerReservedShare: 1 / 32,
  checkpointBytes: 48 << 20,
  checkpointSliceBytes: 128 << 10,
  coldBlockBytes: 128 << 10,
  compactAfterMessages: 1000,
  parkedBytes: 64 << 20,
  sendBufferBytes: 64 << 20,
  parkMs: 30_000,
  takeOverGraceMs: 10_000,
  largeBodyBytes: 1 << 20,
  maxMessageBytes: 512 << 20,
  unfinishedBodyBytes: 1 << 30,
  unfinishedBodies: 64,
  unfinishedBodyMs: 60_000,
  maxRecordsPerPublish: 100_000,
  maxPartitions: 1024,
  maxNameBytes: 255,
  maxAttributeBytes: 16 << 10,
  maxDocumentBytes: 64 << 10,
  maxDocumentNameBytes: 1024,
  maxDocuments: 10_000,
  maxCursors: 100_000,
  maxErrorText: 2000,
  maxPeek: 1000,
  defaultSnapshotMs: 7 * 86_400_000,
  maxSnapshotMs: 31 * 86_400_000,
  maxSnapshots: 1000,
  transactionMs: 60_000,
  maxTransactionMs: 900_000,
  maxTransactionPartitions: 10_000,
  maxTransactionBytes: 4 << 20,
  maxProducers: 10_000,
  producerIdleMs: 7 * 86_400_000,
  maxProducerEpoch: 32_766,
};

export function withDefaults(limits: Partial<Limits> = {}): Limits {
  const all = { ...DEFAULT_LIMITS, ...limits };
  assert(all.reservedShare > 0 && all.reservedShare < 0.5, 'reservedShare must leave room for publishers');
  assert(
    all.consumerReservedShare > 0 && all.consumerReservedShare < all.reservedShare,
    'consumers must find room when publishers do not',
  );
  assert(all.defaultSnapshotMs <= all.maxSnapshotMs, 'a snapshot must be allowed to live as long as by default');
  assert(all.transactionMs <= all.maxTransactionMs, 'a transaction must be allowed its usual time');
  assert(all.maxTransactionPartitions < 0xffff, 'the targets of one entry are counted in two bytes');
  assert(
    all.memoryBytes >=
      all.recentBytes + all.coldCacheBytes + all.parkedBytes + all.sendBufferBytes + 16 * all.batchBytes,
    'caches, parked publishes and connections must leave memory for what is under way',
  );
  assert(all.maxMessageBytes <= all.unfinishedBodyBytes, 'the largest message must fit into what may be unfinished');
  assert(all.coldBlockBytes <= all.coldCacheBytes, 'the cold cache must hold at least one block');
  return all;
}
