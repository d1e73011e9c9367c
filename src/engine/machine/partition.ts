import type { ColdBlockRef, LargeBody } from '../entries.ts';
import type { PieceReader, Pieces, PieceWriter } from '../structures/pieces.ts';
import { OffsetSet } from '../structures/offset-set.ts';
import { HotEntries } from './hot-entries.ts';
import { LargeBodyRefs } from './large-body-refs.ts';
import { type EncodedPartitionTransactions, PartitionTransactions } from './partition-transactions.ts';

/** Where the entry lies that holds an offset. */
export interface HotPlace {
  kind: 'hot';
  /** First offset of the entry. */
  base: number;
  count: number;
  position: number;
  bytes: number;
}

export interface ColdPlace {
  kind: 'cold';
  block: ColdBlock;
}

export interface ColdBlock extends ColdBlockRef {
  blob: string;
}

/** How far compaction came, and when: see the entry `swept`. */
interface Sweep {
  readonly to: number;
  readonly at: number;
  readonly removals: number;
}

export interface EncodedPartition {
  start: number;
  end: number;
  bytes: number;
  cold: ColdBlock[];
  hot: Pieces;
  removed: Pieces | null;
  swept: Sweep | null;
  transactions: EncodedPartitionTransactions | null;
  bodies: [number, string, number][];
}

/**
 * The log of one partition: which offsets exist and where they lie, never what is in them.
 *
 * - hot: entries in the commit log, four numbers each
 * - cold: blocks in cold segments, one object for some hundred messages
 * - the bodies of large messages: blobs of their own, whether their entries are hot or cold
 *
 * Offsets only grow. `start` is the first that may be read; what lies before it is gone for everybody.
 */
export class Partition {
  start = 0;
  end = 0;
  /** Of messages in [start, end), whether settled or not. Exact for hot entries, by block for cold ones. */
  bytes = 0;
  readonly cold: ColdBlock[] = [];
  #coldMessages = 0;
  /** Compacted away. Null where nothing ever was. */
  removed: OffsetSet | null = null;
  swept: Sweep | null = null;
  /** Null where nothing was ever published in an open transaction. */
  transactions: PartitionTransactions | null = null;
  /** Sequence of the newest end of a transaction here. Not kept: after a start, all that was read is durable. */
  decidedAt = 0;
  readonly bodies = new LargeBodyRefs();
  #hot = new HotEntries();

  /** Aborted ones and markers are not counted. */
  get messages(): number {
    return this.end - this.start - (this.transactions?.hidden ?? 0);
  }

  /** What lies below it is decided: the first offset of the oldest open transaction, or the end. */
  get stableEnd(): number {
    return Math.max(this.transactions?.firstOpen ?? this.end, this.start);
  }

  /** An aborted message or a marker: no reader of messages gets it. */
  isHidden(offset: number): boolean {
    return this.transactions?.isHidden(offset) ?? false;
  }

  /** Published in a transaction that may commit or abort. */
  isUndecided(offset: number): boolean {
    return this.transactions?.isOpen(offset) ?? false;
  }

  /** Of how many messages `bytes` are: those in [start, end) but for the ones that were left out when others moved. */
  get stored(): number {
    return this.#coldMessages + this.end - this.hotStart;
  }

  get hotEntries(): number {
    return this.#hot.length;
  }

  /** First offset that lies in the commit log, or `end`. */
  get hotStart(): number {
    return this.#hot.base(0) ?? this.end;
  }

  /**
   * Notes an entry with `count` messages at the end. While its batch gathers its position is not known: `position` is
   * then negative and `settlePosition` corrects it.
   */
  append(base: number, count: number, position: number, bytes: number, publishedAt: number, body?: LargeBody): void {
    if (this.#hot.length === 0 && this.cold.length === 0 && this.start === this.end) this.start = base;
    this.#hot.push(base, position, bytes, publishedAt);
    this.end = base + count;
    this.bytes += bytes;
    if (body !== undefined) {
      this.bodies.add(base, body);
      this.bytes += body.bytes;
    }
  }

  /** Notes that the messages [from, to), just appended, are part of an open transaction. */
  withhold(transaction: number, from: number, to: number): void {
    this.transactions ??= new PartitionTransactions();
    this.transactions.append(transaction, from, to);
  }

  /** A transaction ends with the marker that was just appended. Returns what it had published here. */
  endTransaction(
    transaction: number,
    marker: number,
    ends: { how: string; producerId: number; epoch: number },
    sequence: number,
  ): OffsetSet | undefined {
    this.transactions ??= new PartitionTransactions();
    this.decidedAt = sequence;
    return this.transactions.end(transaction, marker, ends);
  }

  /** Gives the pending entries, all at the end of the columns, their place in the journal. */
  settlePositions(bodyPosition: number): void {
    for (let i = this.#hot.length - 1; i >= 0; i--) {
      const position = this.#hot.position(i) ?? 0;
      if (position >= 0) break;
      this.#hot.setPosition(i, bodyPosition + (-position - 1));
    }
  }

  /** The messages [from, to) are gone, though what lies around them stays. Returns their large bodies. */
  remove(from: number, to: number): LargeBody[] {
    this.removed ??= new OffsetSet();
    this.removed.addRange(Math.max(from, this.start), Math.min(to, this.end));
    this.transactions?.remove(from, to);
    return this.#dropBodies(from, to);
  }

  /** The first run of [from, to) that was not compacted away; empty at `to` when all of it was. */
  keptRun(from: number, to: number): { from: number; to: number } {
    if (this.removed === null || this.removed.size === 0) return { from, to };
    let start = from;
    while (start < to && this.removed.has(start)) start = this.removed.firstRun(to - start, start)?.to ?? to;
    return { from: Math.min(start, to), to: Math.min(to, this.removed.next(start) ?? to) };
  }

  /** The place that holds `offset`, or undefined if it is gone or not there yet. */
  place(offset: number): HotPlace | ColdPlace | undefined {
    if (offset < this.start || offset >= this.end) return undefined;
    if (offset >= this.hotStart) {
      const i = this.#hot.find(offset);
      const base = this.#hot.base(i) ?? 0;
      return {
        kind: 'hot',
        base,
        count: (this.#hot.base(i + 1) ?? this.end) - base,
        position: this.#hot.position(i) ?? 0,
        bytes: this.#hot.bytes(i),
      };
    }
    const block = this.#findCold(offset);
    return block === undefined ? undefined : { kind: 'cold', block };
  }

  /** Publish time of the entry or block that holds `offset`, for ages. Exact for hot, newest of the block for cold. */
  timeOf(offset: number): number | undefined {
    if (offset >= this.hotStart) return this.#hot.publishedAt(this.#hot.find(offset));
    return this.#findCold(offset)?.newestAt;
  }

  /** First offset published at or after `time`; `end` if there is none. Within a block or entry the first one counts. */
  offsetAt(time: number): number {
    for (const block of this.cold) if (block.newestAt >= time) return Math.max(block.from, this.start);
    return Math.max(this.#hot.base(this.#hot.firstAt(time)) ?? this.end, this.start);
  }

  /** First offset that retention by age keeps: everything older than `time` may go. */
  startForAge(time: number): number {
    let start = this.start;
    for (const block of this.cold) {
      if (block.newestAt >= time) return start;
      start = Math.max(start, block.to);
    }
    const kept = this.#hot.base(this.#hot.firstAt(time));
    return kept === undefined ? this.end : Math.max(start, kept);
  }

  /** First offset that retention by size keeps. */
  startForBytes(limit: number): number {
    let excess = this.bytes - limit;
    let start = this.start;
    for (const block of this.cold) {
      if (excess <= 0) return start;
      excess -= block.bytes + this.bodies.bytesIn(block.from, block.to);
      start = Math.max(start, block.to);
    }
    for (let i = 0; i < this.#hot.length && excess > 0; i++) {
      const base = this.#hot.base(i) ?? 0;
      excess -= this.#hot.bytes(i) + this.bodies.bytesIn(base, base + 1);
      start = this.#hot.base(i + 1) ?? this.end;
    }
    return start;
  }

  /** Forgets everything before `start`. Returns the cold blocks and large bodies that are needed no more. */
  trim(start: number): { blob: string }[] {
    if (start <= this.start) return [];
    this.start = Math.min(start, this.end);
    this.removed?.deleteRange(0, this.start);
    this.transactions?.trim(this.start);
    let gone = 0;
    while (gone < this.cold.length && (this.cold[gone]?.to ?? 0) <= this.start) {
      this.bytes -= this.cold[gone]?.bytes ?? 0;
      this.#coldMessages -= this.cold[gone]?.messages ?? 0;
      gone++;
    }
    let settled = 0;
    while (settled < this.#hot.length && (this.#hot.base(settled + 1) ?? this.end) <= this.start) settled++;
    this.#dropHot(settled);
    const bodies = this.#dropBodies(0, this.start);
    return gone === 0 ? bodies : [...bodies, ...this.cold.splice(0, gone)];
  }

  /** Forgets what lies in blobs, and returns that: the topic is gone. */
  clear(): { blob: string }[] {
    return [...this.cold.splice(0), ...this.#dropBodies(0, this.end)];
  }

  /**
   * True when messages are missing between `from` and the end: they were settled by all, compacted away or aborted,
   * while older ones stayed; or when it is not decided yet whether they are.
   */
  hasHoles(from: number): boolean {
    if (this.removed?.next(from) !== undefined || this.transactions?.reachesBeyond(from)) return true;
    let next = Math.max(from, this.start);
    for (const block of this.cold) {
      if (block.to <= next) continue;
      if (block.from > next || block.messages < block.to - block.from) return true;
      next = block.to;
    }
    return next < this.hotStart;
  }

  /** Where its oldest entry in the commit log lies; undefined when it has none there. */
  oldestPosition(): number | undefined {
    const position = this.#hot.position(0);
    return position === undefined || position < 0 ? undefined : position;
  }

  /** Hot entries that lie in [from, to) of the journal, the oldest first: what is moved before a segment is freed. */
  hotBetween(from: number, to: number, most = Infinity): (HotPlace & { publishedAt: number })[] {
    const places: (HotPlace & { publishedAt: number })[] = [];
    const first = this.#hot.firstFrom(from);
    const end = Math.min(this.#hot.firstFrom(to), first + most);
    for (let i = first; i < end; i++) {
      const base = this.#hot.base(i) ?? 0;
      places.push({
        kind: 'hot',
        base,
        count: (this.#hot.base(i + 1) ?? this.end) - base,
        position: this.#hot.position(i) ?? 0,
        bytes: this.#hot.bytes(i),
        publishedAt: this.#hot.publishedAt(i),
      });
    }
    return places;
  }

  /** Hot entries below `position` have left the commit log; what of them lives is in `blocks`. */
  moved(position: number, blocks: ColdBlock[]): void {
    this.#dropHot(this.#hot.firstFrom(position));
    for (const block of blocks) {
      this.cold.push(block);
      this.#count(block, 1);
    }
  }

  /** What is alive of some cold segments has been written to another one. Returns the blocks that are replaced. */
  rewritten(old: readonly string[], blocks: readonly ColdBlock[]): ColdBlock[] {
    const replaced = this.cold.filter((block) => old.includes(block.blob));
    if (replaced.length === 0 && blocks.length === 0) return [];
    const kept = [...this.cold.filter((block) => !old.includes(block.blob)), ...blocks].sort((a, b) => a.from - b.from);
    this.cold.length = 0;
    for (const block of kept) this.cold.push(block);
    for (const block of replaced) this.#count(block, -1);
    for (const block of blocks) this.#count(block, 1);
    return replaced;
  }

  #count({ bytes, messages }: ColdBlock, step: 1 | -1): void {
    this.bytes += step * bytes;
    this.#coldMessages += step * messages;
  }

  encode(pieces: PieceWriter): EncodedPartition {
    return {
      start: this.start,
      end: this.end,
      bytes: this.bytes,
      cold: this.cold,
      hot: this.#hot.encode(pieces),
      removed: this.removed?.pieces(pieces) ?? null,
      swept: this.swept,
      transactions: this.transactions?.encode(pieces) ?? null,
      bodies: this.bodies.encode(),
    };
  }

  static decode(data: EncodedPartition, pieces: PieceReader): Partition {
    const partition = new Partition();
    partition.start = data.start;
    partition.end = data.end;
    partition.bytes = data.bytes;
    partition.removed = data.removed === null ? null : OffsetSet.fromPieces(pieces.get(data.removed));
    partition.swept = data.swept;
    if (data.transactions !== null) partition.transactions = PartitionTransactions.decode(data.transactions, pieces);
    // Not as arguments of one call: there may be more than the stack holds. Made anew, for what was decoded takes twice
    // as much.
    for (const { topicId, partition: index, from, to, at, bytes, messages, newestAt, blob } of data.cold) {
      partition.cold.push({ topicId, partition: index, from, to, at, bytes, messages, newestAt, blob });
      partition.#coldMessages += messages;
    }
    partition.#hot = HotEntries.decode(pieces.get(data.hot));
    for (const [offset, blob, bytes] of data.bodies) partition.bodies.add(offset, { blob, bytes });
    return partition;
  }

  #findCold(offset: number): ColdBlock | undefined {
    let low = 0;
    let high = this.cold.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.cold[middle]?.to ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    const block = this.cold[low];
    return block !== undefined && offset >= block.from && offset < block.to ? block : undefined;
  }

  #dropBodies(from: number, to: number): LargeBody[] {
    const dropped = this.bodies.drop(from, to);
    for (const { bytes } of dropped) this.bytes -= bytes;
    return dropped;
  }

  #dropHot(count: number): void {
    for (let i = 0; i < count; i++) this.bytes -= this.#hot.bytes(i);
    this.#hot.drop(count);
  }
}

/** The blocks of a cold segment, by `topic/partition`. */
export function blocksByPartition(blob: string, refs: readonly ColdBlockRef[]): Map<string, ColdBlock[]> {
  const byPartition = new Map<string, ColdBlock[]>();
  for (const ref of refs) {
    const at = `${ref.topicId}/${ref.partition}`;
    const blocks = byPartition.get(at);
    if (blocks === undefined) byPartition.set(at, [{ ...ref, blob }]);
    else blocks.push({ ...ref, blob });
  }
  return byPartition;
}
