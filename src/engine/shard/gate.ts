import type { RailheadError } from '../../core/errors.ts';
import type { Durability } from '../../core/policy.ts';

/** An effect that waits for what it depends on. */
export interface Held {
  /** Of the newest entry that it depends on. */
  sequence: number;
  release: () => void;
  /** Called instead, when that will never be durable. */
  fail: (error: RailheadError) => void;
  /** A sync may come a moment later for it, so as to be shared. */
  patient?: boolean;
}

/** First in, first out, without moving the rest on each take. */
class Line {
  #items: (Held | undefined)[] = [];
  #head = 0;

  get first(): Held | undefined {
    return this.#items[this.#head];
  }

  get length(): number {
    return this.#items.length - this.#head;
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
  /** The newest sequence that somebody waits for who is not patient. */
  #urgent = 0;
  #failed: RailheadError | null = null;
  readonly #forWrite = new Line();
  readonly #forSync = new Line();
  /** Called when something begins to wait for a sync. */
  onAwaited: () => void = () => {};

  /** How many wait for a sync. */
  get waiting(): number {
    return this.#forSync.length;
  }

  /** Whether one of them is not patient. */
  get urgent(): boolean {
    return this.#urgent > this.#synced;
  }

  /** Everything up to this sequence survives a power cut. */
  get synced(): number {
    return this.#synced;
  }

  /** Releases it once what it depends on is durable at `level`, at once if it is already. */
  hold(held: Held, level: Durability): void {
    const { sequence } = held;
    if (this.#failed !== null) {
      held.fail(this.#failed);
      return;
    }
    const line = level === 'fsync' ? this.#forSync : this.#forWrite;
    const safe = level === 'fsync' ? this.#synced : this.#written;
    if (level === 'memory' || (sequence <= safe && line.first === undefined)) held.release();
    else {
      line.push(held);
      if (level !== 'fsync') return;
      if (held.patient !== true) this.#urgent = Math.max(this.#urgent, sequence);
      this.onAwaited();
    }
  }

  /** As `hold`, but may overtake what others wait for: for effects whose own channel keeps its order itself. */
  holdApart(held: Held, level: Durability): void {
    const safe = level === 'fsync' ? this.#synced : this.#written;
    if (this.#failed === null && held.sequence <= safe) held.release();
    else this.hold(held, level);
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
