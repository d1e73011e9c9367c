import type { RailheadError } from '../../core/errors.ts';
import type { Durability } from '../../core/policy.ts';

interface Held {
  sequence: number;
  release: () => void;
  fail: (error: RailheadError) => void;
}

/** First in, first out, without moving the rest on each take. */
class Line {
  #items: (Held | undefined)[] = [];
  #head = 0;

  get first(): Held | undefined {
    return this.#items[this.#head];
  }

  push(held: Held): void {
    this.#items.push(held);
  }

  take(): Held | undefined {
    const held = this.#items[this.#head];
    if (held === undefined) return undefined;
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > 4096 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return held;
  }
}

/**
 * The one place that knows when something may leave the shard: not before the newest entry that it depends on is as
 * durable as its level says. An answer that only read (a repeated declare, a dedup hit, statistics) depends on the
 * newest entry too, for what it read may be lost in a crash. What is held leaves in the order in which it came.
 *
 * `memory` is not held at all; `write` waits for the append, `fsync` for the sync. All levels share one journal in one
 * order, so a sequence is enough to say what is safe.
 */
export class Gate {
  #written = 0;
  #synced = 0;
  #failed: RailheadError | null = null;
  readonly #forWrite = new Line();
  readonly #forSync = new Line();
  /** Called when something begins to wait for a sync. */
  onAwaited: () => void = () => {};

  /** Whether anything waits for a sync. */
  get awaited(): boolean {
    return this.#forSync.first !== undefined;
  }

  /** Everything up to this sequence survives a power cut. */
  get synced(): number {
    return this.#synced;
  }

  /** Calls `release` once `sequence` is durable at `level`, at once if it is already; `fail` if it never will be. */
  hold(sequence: number, level: Durability, release: () => void, fail: (error: RailheadError) => void): void {
    if (this.#failed !== null) {
      fail(this.#failed);
      return;
    }
    const line = level === 'fsync' ? this.#forSync : this.#forWrite;
    const safe = level === 'fsync' ? this.#synced : this.#written;
    if (level === 'memory' || (sequence <= safe && line.first === undefined)) release();
    else {
      line.push({ sequence, release, fail });
      if (level === 'fsync') this.onAwaited();
    }
  }

  /** As `hold`, but may overtake what others wait for: for effects whose own channel keeps its order itself. */
  holdApart(sequence: number, level: Durability, release: () => void, fail: (error: RailheadError) => void): void {
    const safe = level === 'fsync' ? this.#synced : this.#written;
    if (this.#failed === null && sequence <= safe) release();
    else this.hold(sequence, level, release, fail);
  }

  written(sequence: number): void {
    this.#written = sequence;
    this.#drain(this.#forWrite, sequence);
  }

  synchronised(sequence: number): void {
    this.#synced = sequence;
    this.#drain(this.#forSync, sequence);
  }

  /** Nothing that waits can become durable any more. */
  fail(error: RailheadError): void {
    this.#failed = error;
    for (const line of [this.#forWrite, this.#forSync]) {
      for (let held = line.take(); held !== undefined; held = line.take()) held.fail(error);
    }
  }

  #drain(line: Line, sequence: number): void {
    while (line.first !== undefined && line.first.sequence <= sequence) line.take()?.release();
  }
}
