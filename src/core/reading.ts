import type { AbortedRange, TransactionMarker } from './open-transactions.ts';
import type { DeliveryRun, StartAt } from './session.ts';

/** Reading by offset, and the cursors that remember how far: a part of the session port. Of a session, as all `Operations`. */
export interface ReadOperations {
  /**
   * By offset, nothing is settled. Waits up to `waitMs` for the first record. `next` continues. Committed messages are
   * read up to `stableEnd`, uncommitted ones up to `end`, with those that were aborted.
   */
  read: {
    args: {
      topic: string;
      partition?: number;
      from: StartAt;
      maxMessages?: number;
      maxBytes?: number;
      waitMs?: number;
      /** Default `committed`. */
      isolation?: 'committed' | 'uncommitted';
      /** The log as it lies there: aborted messages too, with the lists that tell them from the others. */
      verbatim?: boolean;
      bodies?: 'whole' | 'apart';
      /** As in `ConsumeRequest`. */
      formats?: number[];
    };
    result: {
      runs: DeliveryRun[];
      next: number;
      /** The first offset that there is, and the one after the last. */
      start: number;
      end: number;
      stableEnd: number;
      /** With `verbatim`: those that reach into what was read. */
      aborted?: AbortedRange[];
      /** With `verbatim`: those that lie in what was read. */
      markers?: TransactionMarker[];
    };
  };
  /**
   * Waits until one of these places has something to read, or the time is over: for readers of many partitions. At least
   * one place. Default `committed`, as `read`.
   */
  awaitRecords: {
    args: {
      places: { topic: string; partition: number; offset: number }[];
      isolation?: 'committed' | 'uncommitted';
      waitMs: number;
    };
    result: { reached: boolean };
  };
  /** A piece of a large body, from byte `from` on; at most 1 MiB at once. @throws NOT_FOUND when the message is gone */
  readBody: {
    args: { topic: string; partition: number; offset: number; from: number; maxBytes: number };
    result: { bytes: Uint8Array; total: number };
  };
  /** Of one topic, or of all that there are. */
  fetchCursors: {
    args: { cursor: string; topic?: string };
    result: {
      partitions: { topic: string; partition: number; offset: number; metadata: string }[];
      /** Where transactions that are open now will move it if they commit. Left out when there are none. */
      pending?: { topic: string; partition: number }[];
    };
  };
  /** The names of those that have committed something, in order. */
  listCursors: {
    args: { prefix?: string; after?: string; limit?: number };
    result: { cursors: { cursor: string; topics: string[] }[]; next: string | null };
  };
  /** All of it, what it has in one topic, or in one partition of that. */
  deleteCursor: { args: { cursor: string; topic?: string; partition?: number }; result: { deleted: number } };
}
