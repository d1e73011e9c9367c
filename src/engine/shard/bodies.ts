import { assert, RailheadError } from '../../core/errors.ts';
import type { MessageHistory } from '../../core/session.ts';
import { type Envelope, FORMAT_NATIVE } from '../../core/records.ts';
import type { LargeBody, PublishEntry } from '../entries.ts';
import { entryBytes, readEntry } from '../entry-reader.ts';
import type { ColdBlock, ColdPlace, HotPlace, Partition } from '../machine/partition.ts';
import type { Topic } from '../machine/topic.ts';
import { BatchBounds } from './batch-bounds.ts';
import { readBodyInto } from './body-blob.ts';
import { checkBlock } from './cold-segment.ts';
import type { Shard } from './shard.ts';

/** Records that lie side by side, with what their entry says of them. Views, no copies. */
export interface BodyRun {
  offset: number;
  count: number;
  format: number;
  records: Buffer;
  /** Of one large message, whose record in `records` ends where its body begins. */
  body: LargeBody | undefined;
  publishedAt: number;
  history: MessageHistory | undefined;
  entry: PublishEntry;
  /** Index of the first record of the run in its entry. */
  index: number;
  /** The run is a part of its entry, but `records` are all of them: the format cannot be cut. */
  uncut: boolean;
}

/** So much is read at once when the disk is needed, if that much is wanted. */
const READ_AHEAD_BYTES = 1 << 20;
/** Whoever asks for less at once does not read a log from end to end. */
const READ_ON_BYTES = 1 << 18;

interface ColdIndex {
  block: Buffer;
  /** First offset of each entry in the block, and where the entry begins. */
  bases: number[];
  starts: number[];
}

/**
 * Finds messages by offset: in the newest bytes, in the commit log, or in cold blocks. Answers at once when all is in
 * memory, which is the rule for consumers that keep up.
 */
export class Bodies {
  readonly #shard: Shard;
  /** Least recently used first. */
  readonly #cold = new Map<string, ColdIndex>();
  readonly #loading = new Map<string, Promise<ColdIndex>>();
  readonly #bounds = new BatchBounds();
  #coldBytes = 0;

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /**
   * The messages [from, to) of a partition that still exist, at most about `maxBytes` (but at least one).
   *
   * @throws JOURNAL_CORRUPT, STORAGE_FAILED
   */
  load(topic: Topic, partition: number, from: number, to: number, maxBytes = Infinity): BodyRun[] | Promise<BodyRun[]> {
    const runs: BodyRun[] = [];
    const next = this.#loadCached(topic, partition, from, to, runs, maxBytes);
    const loaded = next === null ? runs : this.#loadRest(topic, partition, next, to, runs, maxBytes);
    return loaded instanceof Promise ? loaded.then((all) => this.#cutAll(all)) : this.#cutAll(loaded);
  }

  /** As `load`, where batches that cannot be cut are as they were stored: a run may be a part of its `records`. */
  loadUncut(
    topic: Topic,
    partition: number,
    from: number,
    to: number,
    maxBytes = Infinity,
  ): BodyRun[] | Promise<BodyRun[]> {
    const runs: BodyRun[] = [];
    const next = this.#loadCached(topic, partition, from, to, runs, maxBytes);
    return next === null ? runs : this.#loadRest(topic, partition, next, to, runs, maxBytes);
  }

  #cutAll(runs: BodyRun[]): BodyRun[] {
    return runs.some((run) => run.uncut) ? runs.map((run) => (run.uncut ? this.#asNative(run) : run)) : runs;
  }

  #asNative(run: BodyRun): BodyRun {
    const { format, records, entry, index, count, uncut } = run;
    const { formats } = this.#shard;
    const native = uncut
      ? formats.toNative(format, records, entry.count, index, index + count)
      : formats.toNative(format, records, count);
    return { ...run, format: FORMAT_NATIVE, records: native, uncut: false };
  }

  /** A run as somebody gets it who reads the native format, and those of `formats`. */
  readable(run: BodyRun, formats: readonly number[] | undefined): BodyRun {
    const { format, records, body } = run;
    if (format === FORMAT_NATIVE || formats?.includes(format) === true) return run;
    if (body === undefined) return this.#asNative(run);
    return { ...run, format: FORMAT_NATIVE, records: this.#shard.formats.headToNative(format, records, body.bytes) };
  }

  /** As `load`, with large bodies read and put where they belong: as they were published. */
  loadWhole(topic: Topic, partition: number, from: number, to: number): BodyRun[] | Promise<BodyRun[]> {
    const runs = this.load(topic, partition, from, to);
    if (runs instanceof Promise) return runs.then((loaded) => this.#wholeRuns(topic, partition, loaded));
    return runs.some((run) => run.body !== undefined) ? this.#wholeRuns(topic, partition, runs) : runs;
  }

  /**
   * A run with its large body, if it has one. Undefined when the message went while it was read.
   *
   * @throws JOURNAL_CORRUPT, STORAGE_FAILED
   */
  async whole(topic: Topic, partition: number, run: BodyRun): Promise<BodyRun | undefined> {
    const { body, records: head } = run;
    if (body === undefined) return run;
    const records = Buffer.allocUnsafeSlow(head.byteLength + body.bytes);
    records.set(head);
    const found = await this.#readBody(topic, partition, run.offset, body, 0, records.subarray(head.byteLength));
    return found ? { ...run, records, body: undefined } : undefined;
  }

  /** The messages of a run, decoded; a large one without its body. */
  envelopes(run: BodyRun): readonly Envelope[] {
    const { formats } = this.#shard;
    return run.body === undefined
      ? formats.readable(run.format, run.records, run.count)
      : [formats.get(run.format).head(run.records, run.body.bytes)];
  }

  /** As `envelopes`; of a run of `loadUncut` that is a part of its batch, those of the whole batch. */
  envelopesAround(run: BodyRun): readonly Envelope[] {
    return run.uncut ? this.#shard.formats.readable(run.format, run.records, run.entry.count) : this.envelopes(run);
  }

  /**
   * The bytes [from, from + length) of a large body, or what there is of them. Undefined when the message is gone.
   *
   * @throws JOURNAL_CORRUPT, STORAGE_FAILED
   */
  async piece(
    topic: Topic,
    partition: number,
    offset: number,
    from: number,
    length: number,
  ): Promise<{ bytes: Buffer; total: number } | undefined> {
    const body = topic.partition(partition).bodies.get(offset);
    if (body === undefined) return undefined;
    const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, body.bytes - from)));
    const found = await this.#readBody(topic, partition, offset, body, from, bytes);
    return found ? { bytes, total: body.bytes } : undefined;
  }

  async #wholeRuns(topic: Topic, partition: number, runs: readonly BodyRun[]): Promise<BodyRun[]> {
    const whole: BodyRun[] = [];
    for (const run of runs) {
      const loaded = await this.whole(topic, partition, run);
      if (loaded !== undefined) whole.push(loaded);
    }
    return whole;
  }

  /** False when the message went while its body was read. */
  async #readBody(
    topic: Topic,
    partition: number,
    offset: number,
    body: LargeBody,
    from: number,
    target: Buffer,
  ): Promise<boolean> {
    try {
      await readBodyInto(this.#shard.blobs, body, from, target);
      return true;
    } catch (error) {
      if (topic.partition(partition).bodies.get(offset)?.blob === body.blob) throw error;
      return false;
    }
  }

  /** Loads what is in memory. Returns where the disk is needed, or null when done. */
  #loadCached(topic: Topic, index: number, from: number, to: number, runs: BodyRun[], maxBytes: number): number | null {
    const partition = topic.partition(index);
    let at = Math.max(from, partition.start);
    const end = Math.min(to, partition.end);
    let bytes = runs.reduce((sum, run) => sum + run.records.byteLength, 0);
    while (at < end && (runs.length === 0 || bytes < maxBytes)) {
      const place = partition.place(at);
      if (place === undefined) {
        at = nextExisting(partition.cold, at, partition.hotStart);
        continue;
      }
      let run: BodyRun | undefined;
      if (place.kind === 'hot') {
        const found = this.#shard.recent.get(place.position, place.bytes);
        if (found === undefined) return at;
        run = this.#cut(partition, found, 0, place.base, at, end);
        at = place.base + place.count;
      } else {
        const cold = this.#cold.get(blockName(place.block));
        if (cold === undefined) return at;
        run = this.#cutCold(partition, cold, at, end);
        at = run === undefined ? place.block.to : run.offset + run.count;
      }
      if (run !== undefined) {
        runs.push(run);
        bytes += run.records.byteLength;
        at = Math.min(at, run.offset + run.count);
      }
    }
    return null;
  }

  async #loadRest(
    topic: Topic,
    index: number,
    from: number,
    to: number,
    runs: BodyRun[],
    maxBytes: number,
  ): Promise<BodyRun[]> {
    let at: number | null = from;
    const ahead = this.#readAhead(topic.partition(index), from, to, maxBytes);
    while (at !== null) {
      const place = topic.partition(index).place(at);
      if (place?.kind === 'hot' && place.position < 0) {
        // It gathers in the batch of this turn: soon it will be among the newest bytes.
        await this.#shard.durable(null, 'write');
        const written = topic.partition(index).place(at);
        assert(written?.kind !== 'hot' || written.position >= 0, 'an entry that was written has no place');
        at = this.#loadCached(topic, index, at, to, runs, maxBytes);
        continue;
      }
      try {
        const run: BodyRun | undefined =
          place === undefined ? undefined : await this.#readPlace(topic.partition(index), place, at, to, ahead);
        if (run !== undefined) runs.push(run);
        if (run !== undefined) at = run.offset + run.count;
        else if (place?.kind === 'cold') at = place.block.to;
        else if (place?.kind === 'hot') at = place.base + place.count;
      } catch (error) {
        // While the disk was busy it may have moved to a cold segment, or been settled: look again.
        if (samePlace(place, topic.partition(index).place(at))) throw error;
      }
      at = this.#loadCached(topic, index, at, to, runs, maxBytes);
    }
    const last = runs.at(-1);
    // Who reads so much of an old log comes back for what follows: it is read while this is on its way.
    if (maxBytes >= READ_ON_BYTES && maxBytes < Infinity && last !== undefined)
      this.#readAhead(topic.partition(index), last.offset + last.count, to, maxBytes);
    return runs;
  }

  async #readPlace(
    partition: Partition,
    place: HotPlace | ColdPlace,
    from: number,
    to: number,
    ahead: ReadonlyMap<ColdBlock, Promise<ColdIndex>>,
  ): Promise<BodyRun | undefined> {
    if (place.kind === 'cold') {
      const block = await (ahead.get(place.block) ?? this.#readBlock(place.block));
      return this.#cutCold(partition, block, from, Math.min(to, place.block.to));
    }
    return this.#cut(partition, await this.#shard.journal.read(place.position, place.bytes), 0, place.base, from, to);
  }

  /**
   * Begins to read what will be wanted next, so that a reader of a long log does not wait for one block after the other:
   * blocks that lie side by side with one read, batches of the commit log all at once.
   */
  #readAhead(partition: Partition, from: number, to: number, maxBytes: number): Map<ColdBlock, Promise<ColdIndex>> {
    const ahead = new Map<ColdBlock, Promise<ColdIndex>>();
    const most = Math.min(maxBytes, READ_AHEAD_BYTES);
    let row: ColdBlock[] = [];
    const readRow = (): void => {
      if (row.length > 0) for (const [block, reading] of this.#readSideBySide(row)) ahead.set(block, reading);
      row = [];
    };
    let bytes = 0;
    for (let at: number | undefined = from; at !== undefined && at < to && bytes < most;) {
      const place = partition.place(at);
      if (place?.kind === 'cold') {
        const { block } = place;
        const last = row.at(-1);
        if (last !== undefined && (last.blob !== block.blob || last.at + last.bytes !== block.at)) readRow();
        if (this.#cold.has(blockName(block)) || this.#loading.has(blockName(block))) readRow();
        else row.push(block);
        bytes += block.bytes;
        at = block.to;
      } else if (place?.kind === 'hot') {
        // Whoever wants it finds it under way, and finds out whether it failed.
        const isOnDisk = place.position >= 0 && !this.#shard.recent.has(place.position, place.bytes);
        if (isOnDisk) this.#shard.journal.read(place.position, place.bytes).catch(() => {});
        bytes += place.bytes;
        at = isOnDisk ? place.base + place.count : undefined;
      } else at = undefined;
    }
    readRow();
    return ahead;
  }

  #readSideBySide(blocks: readonly ColdBlock[]): [ColdBlock, Promise<ColdIndex>][] {
    const [first] = blocks;
    const last = blocks.at(-1);
    if (first === undefined || last === undefined) return [];
    const reading = this.#shard.blobs.read(first.blob, first.at, last.at + last.bytes - first.at);
    return blocks.map((block) => {
      const name = blockName(block);
      const at = block.at - first.at;
      const index = reading
        .then((bytes) => this.#keep(block, bytes.subarray(at, at + block.bytes)))
        .finally(() => this.#loading.delete(name));
      // That it failed is for those to find out who want it.
      index.catch(() => {});
      this.#loading.set(name, index);
      return [block, index];
    });
  }

  async #readBlock(block: ColdBlock): Promise<ColdIndex> {
    const name = blockName(block);
    const cached = this.#cold.get(name);
    if (cached !== undefined) {
      this.#cold.delete(name);
      this.#cold.set(name, cached);
      return cached;
    }
    let loading = this.#loading.get(name);
    if (loading === undefined) {
      loading = this.#fetchBlock(block).finally(() => this.#loading.delete(name));
      this.#loading.set(name, loading);
    }
    return loading;
  }

  async #fetchBlock(block: ColdBlock): Promise<ColdIndex> {
    return this.#keep(block, await this.#shard.blobs.read(block.blob, block.at, block.bytes));
  }

  /** @throws JOURNAL_CORRUPT */
  #keep(block: ColdBlock, bytes: Buffer): ColdIndex {
    checkBlock(bytes, block.blob, block.at);
    const index = indexBlock(bytes, block);
    const name = blockName(block);
    const held = this.#cold.get(name);
    if (held !== undefined) return held;
    this.#cold.set(name, index);
    this.#countCold(bytes.byteLength);
    for (const [other, old] of this.#cold) {
      if (this.#coldBytes <= this.#shard.limits.coldCacheBytes) break;
      this.#cold.delete(other);
      this.#countCold(-old.block.byteLength);
    }
    return index;
  }

  #countCold(bytes: number): void {
    this.#coldBytes += bytes;
    this.#shard.ledger.add('cold', bytes);
  }

  #cutCold(partition: Partition, cold: ColdIndex, from: number, to: number): BodyRun | undefined {
    let low = 0;
    let high = cold.bases.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((cold.bases[middle] ?? 0) <= from) low = middle;
      else high = middle - 1;
    }
    for (let i = low; i < cold.bases.length; i++) {
      const run = this.#cut(partition, cold.block, cold.starts[i] ?? 0, cold.bases[i] ?? 0, from, to);
      if (run !== undefined) return run;
    }
    return undefined;
  }

  /** The part of an entry that lies in [from, to). */
  #cut(
    partition: Partition,
    bytes: Buffer,
    start: number,
    base: number,
    from: number,
    to: number,
  ): BodyRun | undefined {
    const entry = readEntry(bytes, start);
    if (entry.type !== 'publish') throw new Error('Railhead bug: the index points to an entry that is no publish');
    const kept = partition.keptRun(Math.max(from, base), Math.min(to, base + entry.count));
    const first = kept.from;
    const last = kept.to;
    if (first >= last) return undefined;
    let { records } = entry;
    let uncut = false;
    if (first > base || last < base + entry.count) {
      const format = this.#shard.formats.get(entry.format);
      const bounds = this.#bounds.of(partition, base, format, records, entry.count);
      if (bounds === null) uncut = true;
      else records = records.subarray(bounds[first - base] ?? 0, bounds[last - base] ?? 0);
    }
    return {
      offset: first,
      count: last - first,
      format: entry.format,
      records,
      body: entry.body,
      publishedAt: entry.publishedAt,
      history: entry.history,
      entry,
      index: first - base,
      uncut,
    };
  }
}

function samePlace(a: HotPlace | ColdPlace | undefined, b: HotPlace | ColdPlace | undefined): boolean {
  if (a?.kind === 'hot') return b?.kind === 'hot' && a.position === b.position;
  return a?.kind === b?.kind && a?.block === (b?.kind === 'cold' ? b.block : undefined);
}

function blockName(block: ColdBlock): string {
  return `${block.blob}:${block.at}`;
}

function nextExisting(cold: readonly ColdBlock[], from: number, hotStart: number): number {
  for (const block of cold) if (block.from > from) return block.from;
  return Math.max(hotStart, from + 1);
}

/** A cold block: CRC-32 of the rest, then publish entries as they were in the commit log, in order of offset. */
export function indexBlock(bytes: Buffer, ref: { topicId: number; partition: number; from: number }): ColdIndex {
  const index: ColdIndex = { block: bytes, bases: [], starts: [] };
  for (let at = 4; at < bytes.byteLength; at += entryBytes(bytes, at)) {
    const entry = readEntry(bytes, at);
    const target =
      entry.type === 'publish'
        ? entry.targets.find((t) => t.topicId === ref.topicId && t.partition === ref.partition)
        : undefined;
    if (target === undefined)
      throw new RailheadError('JOURNAL_CORRUPT', `A cold block of topic ${ref.topicId} holds something else.`);
    index.bases.push(target.offset);
    index.starts.push(at);
  }
  return index;
}
