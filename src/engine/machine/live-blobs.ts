/** Which blobs still hold something that a partition names: cold segments, and the bodies of large messages. */
export class LiveBlobs {
  /** Blocks with something alive in them, for each cold segment; messages, for each blob of a large body. */
  readonly counts = new Map<string, number>();
  /** Hold nothing any more. The shard removes them once that is durable. */
  readonly empty: string[] = [];
  /** While checkpoints are read. */
  readonly #names = new Map<string, string>();

  count(places: Iterable<{ blob: string }>, step: 1 | -1): void {
    for (const { blob } of places) {
      const live = (this.counts.get(blob) ?? 0) + step;
      if (live > 0) this.counts.set(blob, live);
      else {
        this.counts.delete(blob);
        this.empty.push(blob);
      }
    }
  }

  /** All that was to be in a new blob may have been settled while it was written. */
  written(blob: string): void {
    if (!this.counts.has(blob)) this.empty.push(blob);
  }

  /** The one string for that name. One that was decoded is a slice of all text of its frame, and keeps that. */
  nameOf(decoded: string): string {
    let known = this.#names.get(decoded);
    if (known === undefined) {
      known = Buffer.from(decoded).toString();
      this.#names.set(known, known);
    }
    return known;
  }

  /** The checkpoints have been read. */
  forgetNames(): void {
    this.#names.clear();
  }
}
