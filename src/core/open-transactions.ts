import type { CursorCommit, Settlement } from './session.ts';

/**
 * Transactions that stay open over many calls, of producers with a durable name. A part of the session port: a publish
 * names the producer, and the operations below are those of every session.
 *
 * What is published gets its offsets at once, counts against limits, and uses up its `producer` sequence whatever becomes
 * of it. A dedupe id counts for others only from the commit on.
 */

/** A named producer as its newest claim made it: what `claimProducer` answered. */
export interface ProducerRef {
  /** Its durable name. */
  producer: string;
  /** Stays with the name, from claim to claim. */
  producerId: number;
  /** Higher with each claim. What comes with an older one is refused as FENCED. */
  epoch: number;
}

export type TransactionOutcome = 'committed' | 'aborted';

export interface EndedTransaction {
  transaction: number;
  outcome: TransactionOutcome;
  endedAt: number;
}

export interface ProducerDescription extends ProducerRef {
  /** How long its transactions may stay open, unless they say it themselves. */
  timeoutMs: number;
  /** When it was last claimed or began something. */
  usedAt: number;
  open: {
    transaction: number;
    startedAt: number;
    /** When it is aborted, unless it ends before. */
    deadline: number;
    /** Where it has published, and its first offset there. */
    partitions: { topic: string; partition: number; offset: number }[];
    /** What waits for its commit. */
    cursors: number;
    settlements: number;
  } | null;
  last: EndedTransaction | null;
}

/** Where a transaction ended, in each partition that it touched. Takes an offset, and holds no message. */
export interface TransactionMarker {
  offset: number;
  producerId: number;
  epoch: number;
  outcome: TransactionOutcome;
}

/** Between `from` and its marker, what this producer published under that epoch was aborted. */
export interface AbortedRange {
  producerId: number;
  epoch: number;
  from: number;
  marker: number;
}

/** Of a session, as all `Operations`. */
export interface ProducerOperations {
  /**
   * Makes the caller the one owner of this name: a higher epoch, what an older one left open is aborted, and whatever
   * still comes from it is FENCED. With `after`, only if nobody else has claimed it since.
   */
  claimProducer: {
    args: { producer: string; timeoutMs?: number; after?: ProducerRef };
    result: ProducerRef;
  };
  /** Asked again, answers the open one. It is aborted, and the producer fenced, when `timeoutMs` is over. */
  beginTransaction: { args: ProducerRef & { timeoutMs?: number }; result: { transaction: number; deadline: number } };
  /** Takes effect with the commit. A lease that is lost by then fails the commit with LEASE_LOST; then abort. */
  addToTransaction: {
    args: ProducerRef & { cursors?: CursorCommit[]; settlements?: Settlement[] };
    result: { transaction: number };
  };
  /** One decision for all it touched. Asked again, answers the same. With `transaction`, only that one. */
  endTransaction: {
    args: ProducerRef & { outcome: TransactionOutcome; transaction?: number };
    result: EndedTransaction;
  };
  describeProducer: { args: { producer: string }; result: ProducerDescription };
  /** By name. With `open`, only those with a transaction under way. */
  listProducers: {
    args: { prefix?: string; after?: string; limit?: number; open?: boolean };
    result: { producers: ProducerDescription[]; next: string | null };
  };
}
