import type { AbortedRange } from '../../core/open-transactions.ts';
import { OffsetSet } from '../structures/offset-set.ts';
import type { PieceReader, Pieces, PieceWriter } from '../structures/pieces.ts';

/** What an open transaction has published to one partition. */
interface OpenPart {
  /** Its first offset here, whether that is still kept or not. */
  readonly first: number;
  readonly offsets: OffsetSet;
}

const WIDTH = 5;

export interface EncodedPartitionTransactions {
  open: { transaction: number; first: number; offsets: Pieces }[];
  hidden: Pieces;
  aborted: number[];
}

/**
 * What one partition knows of open transactions: which offsets are not decided yet, and which of the decided ones no
 * reader of messages gets.
 *
 * Aborted ranges are kept until their marker is trimmed or removed, five numbers each, by marker. A reader who is told of
 * one and does not find its marker takes all that its producer publishes later for aborted too.
 *
 * ```
 * producer id    epoch    first offset    marker    stable end after it
 * ```
 */
export class PartitionTransactions {
  /** By transaction. Offsets only grow, so the first of them has the lowest first offset. */
  readonly #open = new Map<number, OpenPart>();
  /** Aborted messages and all markers. */
  #hidden = new OffsetSet();
  #aborted: number[] = [];

  get hidden(): number {
    return this.#hidden.size;
  }

  /** First offset of the oldest transaction that is open, or undefined when there is none. */
  get firstOpen(): number | undefined {
    for (const { first } of this.#open.values()) return first;
    return undefined;
  }

  open(): IterableIterator<number> {
    return this.#open.keys();
  }

  firstOf(transaction: number): number | undefined {
    return this.#open.get(transaction)?.first;
  }

  isOpen(offset: number): boolean {
    for (const { first, offsets } of this.#open.values()) {
      if (first > offset) return false;
      if (offsets.has(offset)) return true;
    }
    return false;
  }

  isHidden(offset: number): boolean {
    return this.#hidden.has(offset);
  }

  /** Whether something at or after `from` is hidden or undecided. */
  reachesBeyond(from: number): boolean {
    return this.#open.size > 0 || this.#hidden.next(from) !== undefined;
  }

  append(transaction: number, from: number, to: number): void {
    let part = this.#open.get(transaction);
    if (part === undefined) this.#open.set(transaction, (part = { first: from, offsets: new OffsetSet() }));
    part.offsets.addRange(from, to);
  }

  /** Decides what the transaction published here, and hides its marker. Returns what it published. */
  end(
    transaction: number,
    marker: number,
    ends: { how: string; producerId: number; epoch: number },
  ): OffsetSet | undefined {
    const part = this.#open.get(transaction);
    this.#open.delete(transaction);
    this.#hidden.add(marker);
    if (part === undefined) return undefined;
    if (ends.how !== 'committed') {
      for (const { from, to } of part.offsets.runs()) this.#hidden.addRange(from, to);
      this.#aborted.push(ends.producerId, ends.epoch, part.first, marker, this.firstOpen ?? marker + 1);
    }
    return part.offsets;
  }

  /** Aborted ranges that reach into [from, to). */
  abortedIn(from: number, to: number): AbortedRange[] {
    const found: AbortedRange[] = [];
    for (let i = this.#firstMarker(from); i < this.#aborted.length; i += WIDTH) {
      const [producerId = 0, epoch = 0, first = 0, marker = 0, stable = 0] = this.#aborted.slice(i, i + WIDTH);
      if (first < to) found.push({ producerId, epoch, from: first, marker });
      // What ends later began at or after this.
      if (stable >= to) break;
    }
    return found;
  }

  trim(start: number): void {
    this.#hidden.deleteRange(0, start);
    const gone = this.#firstMarker(start);
    if (gone > 0) this.#aborted.splice(0, gone);
    for (const { first, offsets } of this.#open.values()) {
      if (first >= start) break;
      offsets.deleteRange(0, start);
    }
  }

  /** What lies in [from, to) was removed, and before it what was aborted there. */
  remove(from: number, to: number): void {
    const first = this.#firstMarker(from);
    const gone = this.#firstMarker(to) - first;
    if (gone > 0) this.#aborted.splice(first, gone);
  }

  encode(pieces: PieceWriter): EncodedPartitionTransactions {
    return {
      open: [...this.#open].map(([transaction, { first, offsets }]) => ({
        transaction,
        first,
        offsets: offsets.pieces(pieces),
      })),
      hidden: this.#hidden.pieces(pieces),
      aborted: this.#aborted,
    };
  }

  static decode(data: EncodedPartitionTransactions, pieces: PieceReader): PartitionTransactions {
    const decoded = new PartitionTransactions();
    for (const { transaction, first, offsets } of data.open)
      decoded.#open.set(transaction, { first, offsets: OffsetSet.fromPieces(pieces.get(offsets)) });
    decoded.#hidden = OffsetSet.fromPieces(pieces.get(data.hidden));
    decoded.#aborted = [...data.aborted];
    return decoded;
  }

  /** Where the first aborted range is whose marker is not below `offset`. */
  #firstMarker(offset: number): number {
    let low = 0;
    let high = this.#aborted.length / WIDTH;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#aborted[middle * WIDTH + 3] ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    return low * WIDTH;
  }
}
