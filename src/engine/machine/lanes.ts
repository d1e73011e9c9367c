import type { PieceReader, Pieces, PieceWriter } from '../structures/pieces.ts';
import { OffsetSet } from '../structures/offset-set.ts';
import { stored } from './priorities.ts';

/** What a backlog may deliver now, in the order in which it is delivered. */
export interface Lanes {
  readonly size: number;
  /** With its priority as it is stored. */
  add(offset: number, priority: number): void;
  /** Without a priority of their own. */
  addRange(from: number, to: number): void;
  /** Takes out whatever of [from, to) is in. */
  deleteRange(from: number, to: number): void;
  has(offset: number): boolean;
  /**
   * The next run to deliver, at most `max` long. Stays in. With `from`, the one after it that may be delivered together
   * with what comes before `from`.
   */
  firstRun(max: number, from?: number): Readonly<{ from: number; to: number }> | undefined;
  clear(): void;
}

/** By priority, higher first, then by offset. A message that comes back takes its old place. */
export class PriorityLanes implements Lanes {
  /** Lowest first, up to the highest that was used: a queue with many priorities rarely has messages of each. */
  readonly #lanes: OffsetSet[] = [];
  readonly #highest: number;
  /** Of messages that name none. */
  readonly #usual: number;

  constructor(priorities: number, usual: number) {
    this.#highest = priorities - 1;
    this.#usual = usual;
  }

  get size(): number {
    let size = 0;
    for (const lane of this.#lanes) size += lane.size;
    return size;
  }

  add(offset: number, priority: number): void {
    this.#lane(Math.min(stored(priority, this.#usual), this.#highest)).add(offset);
  }

  addRange(from: number, to: number): void {
    this.#lane(this.#usual).addRange(from, to);
  }

  #lane(priority: number): OffsetSet {
    for (;;) {
      const lane = this.#lanes[priority];
      if (lane !== undefined) return lane;
      this.#lanes.push(new OffsetSet());
    }
  }

  deleteRange(from: number, to: number): void {
    for (const lane of this.#lanes) if (lane.size > 0) lane.deleteRange(from, to);
  }

  has(offset: number): boolean {
    return this.#lanes.some((lane) => lane.has(offset));
  }

  firstRun(max: number, from = 0): Readonly<{ from: number; to: number }> | undefined {
    for (let i = this.#lanes.length - 1; i >= 0; i--) {
      const lane = this.#lanes[i];
      if (lane !== undefined && lane.size > 0) return lane.firstRun(max, from);
    }
    return undefined;
  }

  clear(): void {
    for (const lane of this.#lanes) lane.clear();
  }

  /** Each contiguous run of each lane. */
  *runs(): Generator<Readonly<{ from: number; to: number }>, void, void> {
    for (const lane of this.#lanes) yield* lane.runs();
  }

  encode(pieces: PieceWriter): Pieces[] {
    return this.#lanes.map((lane) => lane.pieces(pieces));
  }

  load(lanes: readonly Pieces[], pieces: PieceReader): void {
    lanes.forEach((lane, i) => (this.#lanes[i] = OffsetSet.fromPieces(pieces.get(lane))));
  }
}

/**
 * Keys take turns, one message a turn, so that a key with a million messages delays another by one message only.
 * Messages without a key share one turn.
 */
export class FairLanes implements Lanes {
  readonly #byKey = new Map<string, OffsetSet>();
  readonly #keyOf: (offset: number) => string | undefined;
  #turns: string[] = [];
  #turn = 0;
  #size = 0;

  constructor(keyOf: (offset: number) => string | undefined) {
    this.#keyOf = keyOf;
  }

  get size(): number {
    return this.#size;
  }

  add(offset: number): void {
    const key = this.#keyOf(offset) ?? '';
    let lane = this.#byKey.get(key);
    if (lane === undefined) {
      lane = new OffsetSet();
      this.#byKey.set(key, lane);
      this.#turns.push(key);
    }
    if (lane.add(offset)) this.#size++;
  }

  addRange(from: number, to: number): void {
    for (let offset = from; offset < to; offset++) this.add(offset);
  }

  deleteRange(from: number, to: number): void {
    for (let offset = from; offset < to; offset++) {
      const key = this.#keyOf(offset) ?? '';
      const lane = this.#byKey.get(key);
      if (lane === undefined || !lane.delete(offset)) continue;
      this.#size--;
      // Its turn is over. An empty lane stays in the ring until its turn comes again.
      if (this.#turns[this.#turn] === key) this.#next();
    }
  }

  has(offset: number): boolean {
    return this.#byKey.get(this.#keyOf(offset) ?? '')?.has(offset) ?? false;
  }

  firstRun(_max: number, from = 0): Readonly<{ from: number; to: number }> | undefined {
    // A turn is one message.
    if (from > 0) return undefined;
    while (this.#size > 0) {
      const key = this.#turns[this.#turn];
      const lane = key === undefined ? undefined : this.#byKey.get(key);
      if (lane !== undefined && lane.size > 0) return lane.firstRun(1);
      if (key !== undefined) this.#byKey.delete(key);
      this.#turns.splice(this.#turn, 1);
      if (this.#turn >= this.#turns.length) this.#turn = 0;
    }
    return undefined;
  }

  clear(): void {
    this.#byKey.clear();
    this.#turns = [];
    this.#turn = 0;
    this.#size = 0;
  }

  #next(): void {
    this.#turn = this.#turn + 1 >= this.#turns.length ? 0 : this.#turn + 1;
  }
}

/** The parts of an encoded set as one. */
export function join(parts: Uint8Array[]): Uint8Array {
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}
