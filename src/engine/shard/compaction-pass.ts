/** Keys that a pass keeps in memory; more are done in several passes, each over a part of the keys. */
export const KEYS_PER_PASS = 500_000;

/**
 * What one pass over a partition finds, message by message in the order of the log: which are superseded, and which
 * removals have been there for long enough to go after what they removed.
 */
export class CompactionPass {
  /** Offset of the newest message of each key; of one that says that the key is gone, -1 less that. */
  readonly #newest = new Map<string, number>();
  readonly #superseded: number[] = [];
  /** Aborted messages and markers go with what is superseded; not the last ones, so that the log ends where it does. */
  readonly #hidden: number[] = [];
  /** Keys of messages that have gone and are given out all the same, with the others of their batch. */
  #lingering: Set<string> | 'too many' = new Set();
  #last = -1;

  hidden(offset: number): void {
    this.#hidden.push(offset);
  }

  /** One that does not fit into this pass, or has no key. */
  kept(offset: number): void {
    for (const before of this.#hidden.splice(0)) this.#superseded.push(before);
    this.#last = offset;
  }

  note(offset: number, key: string, what: 'value' | 'removal'): void {
    this.kept(offset);
    const older = this.#newest.get(key);
    if (older !== undefined) this.#superseded.push(older < 0 ? -1 - older : older);
    this.#newest.set(key, what === 'removal' ? -1 - offset : offset);
  }

  /** A batch that cannot be cut shows it to its readers: without the removal they would take it for the newest. */
  lingers(key: string): void {
    if (this.#lingering === 'too many') return;
    this.#lingering.add(key);
    if (this.#lingering.size > KEYS_PER_PASS) this.#lingering = 'too many';
  }

  /**
   * What may go, and how many removals wait for their time. Those before `ripe` have been the only ones of their keys for
   * long enough, but for what lingers; the first that is kept for that is told. The last message stays, whatever it says.
   */
  take(ripe: number): { gone: readonly number[]; removals: number; firstKept: number } {
    const gone = this.#superseded;
    let removals = 0;
    let firstKept = Infinity;
    for (const [key, newest] of this.#newest) {
      const offset = -1 - newest;
      if (newest >= 0 || offset === this.#last) continue;
      if (this.#lingering === 'too many' || this.#lingering.has(key)) firstKept = Math.min(firstKept, offset);
      else if (offset < ripe) gone.push(offset);
      else removals++;
    }
    return { gone, removals, firstKept };
  }
}
