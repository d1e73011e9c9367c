/** Files that a backup may copy in peace: nothing of them is removed or used for something else while it lasts. */
export interface StorageHold {
  /** Names it in `releaseStorage`. */
  hold: number;
  journalId: string;
  /** Everything up to here is in the files, durable. */
  sequence: number;
  /** The commit log: its oldest segment, and where the entry with that sequence ends. */
  oldestGeneration: number;
  generation: number;
  byte: number;
}

/** For backups: a part of `Operations`. Both take the right `admin`. */
export interface StorageOperations {
  /**
   * Waits until no reclaim is under way, and lets none begin until the hold is released or `forMs` (at most 10 minutes)
   * have passed. Meanwhile the commit log fills, so it should be short.
   */
  holdStorage: { args: { forMs: number }; result: StorageHold };
  /** `held`: it had lasted until now. */
  releaseStorage: { args: { hold: number }; result: { held: boolean } };
}
