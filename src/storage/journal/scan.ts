import type { Disk } from '../disk.ts';
import {
  bodyIsWhole,
  decodeHeader,
  endOf,
  HEADER_BYTES,
  isOfJournal,
  journalIdAt,
  KIND_LOST,
  lastSequence,
  looksLikeHeader,
  MAGIC,
  type BatchHeader,
} from './header.ts';
import { journalOf, openSegments, probeSegment, type Probe } from './probe.ts';
import { SegmentBuffers } from './segment-buffers.ts';
import { segmentName, type Segment } from './segment.ts';

/*
 * Reads a journal from its oldest needed segment to its end, and changes nothing.
 *
 * The chain is what is whole: each header names the CRC of the one before and the sequence that comes next, also across
 * segments. Where it breaks is the end, or damage; which of the two is told by evidence: undamaged headers beyond the
 * break, written by the owner of the end or a later one. If one of them (or any before) says that what is missing was
 * known to be synced, it is damage. If not, it is the torn end that a crash leaves.
 */

export interface ScannedBatch {
  readonly header: BatchHeader;
  readonly segment: Segment;
  /** Valid only during the call: copy what is to be kept. */
  readonly body: Buffer;
}

export interface Damage {
  readonly kind: 'batch' | 'missing';
  readonly generation: number;
  readonly file: string;
  readonly byte: number;
  /** The first sequence that is not readable, and the highest one known to be synced. */
  readonly sequence: number;
  readonly syncedTo: number;
}

/** An undamaged header beyond the break. */
export interface Evidence {
  readonly generation: number;
  readonly header: BatchHeader;
  readonly bodyIsWhole: boolean;
}

export interface JournalScan {
  /** Null when there is no journal yet. */
  readonly journalId: Buffer | null;
  /** The chain, oldest first. The last one holds the end. Empty when there is no journal yet. */
  readonly segments: Segment[];
  /** All other segment files: given back, prepared ahead, or with leftovers of a torn end. */
  readonly spares: Segment[];
  /** Spares with batches of their own generation: to be wiped before the journal goes on. */
  readonly leftovers: Segment[];
  /** The first and the last sequence of the chain. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly previous: number;
  readonly epoch: number;
  readonly highestEpoch: number;
  readonly syncedTo: number;
  /** Batches that no header says are synced, oldest first. */
  readonly tail: { segment: Segment; header: BatchHeader }[];
  readonly cut: { generation: number; byte: number; bytes: number } | null;
  readonly damage: Damage | null;
  readonly evidence: Evidence[];
  /** Sequences that a repair gave up. */
  readonly lost: { first: number; last: number }[];
}

const LOOK_BYTES = 2 ** 21;

interface Chain {
  sequence: number | undefined;
  previous: number | undefined;
  epoch: number;
  syncedTo: number;
  first: number | undefined;
}

/** @throws JOURNAL_CORRUPT for files of another journal, FORMAT_TOO_NEW; other damage is in the result */
export async function scanJournal(disk: Disk, visit: (batch: ScannedBatch) => void): Promise<JournalScan> {
  const segments = await openSegments(disk);
  const buffers = new SegmentBuffers();
  try {
    return await new Scanner(disk.where, segments, buffers, visit).scan();
  } catch (error) {
    for (const segment of segments) await segment.file.close();
    throw error;
  } finally {
    buffers.release();
  }
}

function newChain(): Chain {
  return { sequence: undefined, previous: undefined, epoch: 0, syncedTo: 0, first: undefined };
}

function continues(chain: Chain, header: BatchHeader): boolean {
  return (
    (chain.previous === undefined || header.previous === chain.previous) &&
    (chain.sequence === undefined || header.firstSequence === chain.sequence) &&
    header.epoch >= chain.epoch
  );
}

function follow(chain: Chain, header: BatchHeader): void {
  chain.first ??= header.firstSequence;
  chain.sequence = header.firstSequence + header.count;
  chain.previous = header.kind === KIND_LOST ? header.resume : header.crc;
  chain.epoch = header.epoch;
}

class Scanner {
  readonly #where: string;
  readonly #files: Segment[];
  readonly #buffers: SegmentBuffers;
  readonly #visit: (batch: ScannedBatch) => void;
  readonly #chain = newChain();
  readonly #tail: { segment: Segment; header: BatchHeader }[] = [];
  readonly #lost: { first: number; last: number }[] = [];
  #tailFrom = 0;
  #journalId: Buffer = Buffer.alloc(0);
  /** The segment read last, as long as nothing else was. */
  #held: { segment: Segment; bytes: Buffer } | undefined;

  constructor(where: string, files: Segment[], buffers: SegmentBuffers, visit: (batch: ScannedBatch) => void) {
    this.#where = where;
    this.#files = files;
    this.#buffers = buffers;
    this.#visit = visit;
  }

  async scan(): Promise<JournalScan> {
    const probes: Probe[] = [];
    for (const segment of this.#files) probes.push(await probeSegment(segment, this.#where));
    const liveSegments = probes.filter((probe) => probe.state === 'live').map((probe) => probe.segment);
    const journalId = journalOf(probes, this.#where) ?? (await this.#idFromInside());
    if (journalId === undefined) return this.#empty();
    this.#journalId = journalId;

    const live = new Set(liveSegments);
    const firstGeneration = await this.#withBeginning(
      live.size > 0 ? await this.#start(liveSegments) : (this.#files[0]?.generation ?? 1),
      liveSegments,
    );
    const chainFiles = this.#files.filter((file) => file.generation >= firstGeneration);

    // The chain, with the next segment read while this one is checked.
    const segments: Segment[] = [];
    let stop = { generation: firstGeneration, byte: 0 };
    let bytes: Buffer = Buffer.alloc(0);
    let ahead = this.#load(chainFiles[0]);
    for (const [index, segment] of chainFiles.entries()) {
      if (segment.generation !== firstGeneration + index) break;
      if (index > 0 && !live.has(segment)) break;
      const loaded = await ahead;
      const follows = this.#begins(loaded, segment);
      if (!follows && index > 0) break;
      const next = chainFiles[index + 1];
      ahead = this.#load(next !== undefined && live.has(next) ? next : undefined);
      ahead.catch(() => {});
      bytes = loaded;
      stop = { generation: segment.generation, byte: this.#walk(loaded, segment) };
      segments.push(segment);
      if (!follows) break;
    }

    const evidence = this.#evidence(bytes, stop.generation, stop.byte);
    // A whole header at the break that is no evidence is one of a former life or epoch, just where a new one would lie.
    const isStale = decodeHeader(bytes, stop.byte) !== undefined;
    const isTorn = !isStale && looksLikeHeader(bytes, stop.byte, this.#journalId, stop.generation);
    const leftovers: Segment[] = [];
    for (const { segment, state } of probes) {
      if (segment.generation <= stop.generation) continue;
      // A disk can lose the first sector of a segment and keep the rest: look a little into the one that comes next.
      const bytesToSearch =
        state !== 'blank' ? segment.bytes : segment.generation === stop.generation + 1 ? LOOK_BYTES : 0;
      if (bytesToSearch === 0) continue;
      const found = this.#evidence(await this.#buffers.read(segment, bytesToSearch), segment.generation, 0);
      if (state !== 'blank' || found.length > 0) leftovers.push(segment);
      for (const one of found) evidence.push(one);
    }
    return this.#result({ segments, stop, isTorn, evidence, leftovers, newest: liveSegments.at(-1)?.generation });
  }

  /** With no segment that begins well: is there a header further inside? */
  async #idFromInside(): Promise<Buffer | undefined> {
    for (const segment of this.#files) {
      const bytes = await this.#buffers.read(segment);
      for (const header of headersIn(bytes, segment.generation, 0)) return journalIdAt(bytes, header.byte);
    }
    return undefined;
  }

  /**
   * The generation at which the chain begins: the oldest one that the newest whole batch says is needed. A header alone
   * is not enough: a batch whose body is torn may be followed by a whole one that gives back what came before, and what
   * the torn one held would be forgotten. Only when segments are missing is such a header believed: they were recycled,
   * which is done when it is synced.
   */
  async #start(live: Segment[]): Promise<number> {
    let oldest: number | undefined;
    let hinted = 0;
    for (const segment of live.toReversed()) {
      const bytes = await this.#buffers.read(segment);
      this.#held = { segment, bytes };
      // Links count here too: what a cut left may lie just where the next batch would.
      const chain = newChain();
      let at = 0;
      for (;;) {
        const header = this.#headerAt(bytes, segment.generation, at);
        if (header === undefined || !continues(chain, header) || !bodyIsWhole(bytes, header)) break;
        follow(chain, header);
        oldest = header.oldest;
        at = endOf(header);
      }
      for (const header of headersIn(bytes, segment.generation, at)) {
        if (isOfJournal(bytes, header.byte, this.#journalId)) hinted = Math.max(hinted, header.oldest);
      }
      if (oldest !== undefined) break;
    }
    const newest = live.at(-1)?.generation ?? 1;
    if (oldest === undefined) return hinted > 0 ? hinted : newest;
    const present = new Set(this.#files.map((file) => file.generation));
    let start = newest;
    while (start > oldest && present.has(start - 1)) start--;
    return start > oldest && hinted >= start ? Math.min(hinted, newest) : oldest;
  }

  /**
   * What was given back but not recycled yet is gone back to when the first needed segment has no beginning: a power cut
   * may have kept the header that gave it back, in a later segment, and lost the segment between.
   */
  async #withBeginning(generation: number, live: Segment[]): Promise<number> {
    for (;;) {
      const segment = this.#files.find((file) => file.generation === generation);
      const bytes = await this.#load(segment);
      if (segment !== undefined) {
        this.#held = { segment, bytes };
        if (this.#begins(bytes, segment)) return generation;
      }
      if (!live.some((one) => one.generation === generation - 1)) return generation;
      generation--;
    }
  }

  async #load(segment: Segment | undefined): Promise<Buffer> {
    if (segment === undefined) return Buffer.alloc(0);
    const held = this.#held;
    this.#held = undefined;
    return held?.segment === segment ? held.bytes : this.#buffers.read(segment);
  }

  #headerAt(bytes: Buffer, generation: number, at: number): BatchHeader | undefined {
    const header = decodeHeader(bytes, at);
    if (header === undefined || header.generation !== generation || header.byte !== at) return undefined;
    return isOfJournal(bytes, at, this.#journalId) ? header : undefined;
  }

  /** True when the first batch of the segment continues the chain. */
  #begins(bytes: Buffer, segment: Segment): boolean {
    const header = this.#headerAt(bytes, segment.generation, 0);
    return header !== undefined && continues(this.#chain, header) && bodyIsWhole(bytes, header);
  }

  /** Follows the chain through one segment and returns where it stops. */
  #walk(bytes: Buffer, segment: Segment): number {
    const chain = this.#chain;
    let at = 0;
    for (;;) {
      const header = this.#headerAt(bytes, segment.generation, at);
      if (header === undefined || !continues(this.#chain, header) || !bodyIsWhole(bytes, header)) break;
      follow(chain, header);
      segment.batches.push(at);
      this.#keepTail(segment, header);
      at = endOf(header);
      if (header.kind === KIND_LOST) {
        if (header.count > 0) this.#lost.push({ first: header.firstSequence, last: lastSequence(header) });
      }
      this.#visit({ header, segment, body: bytes.subarray(header.byte + HEADER_BYTES, at) });
    }
    segment.used = at;
    segment.lastSequence = (chain.sequence ?? 1) - 1;
    return at;
  }

  /** Keeps the tail: the batches that no header yet says are synced. */
  #keepTail(segment: Segment, header: BatchHeader): void {
    if (header.syncedTo > this.#chain.syncedTo) {
      this.#chain.syncedTo = header.syncedTo;
      for (let one = this.#tail[this.#tailFrom]; one !== undefined; one = this.#tail[this.#tailFrom]) {
        if (lastSequence(one.header) > header.syncedTo) break;
        this.#tailFrom++;
      }
      if (this.#tailFrom > 1024) {
        this.#tail.splice(0, this.#tailFrom);
        this.#tailFrom = 0;
      }
    }
    this.#tail.push({ segment, header });
  }

  /** Headers beyond the break that the owner of the end, or a later one, wrote. Older ones are what a former cut left. */
  #evidence(bytes: Buffer, generation: number, from: number): Evidence[] {
    const found: Evidence[] = [];
    for (const header of headersIn(bytes, generation, from)) {
      if (header.epoch < this.#chain.epoch || !isOfJournal(bytes, header.byte, this.#journalId)) continue;
      found.push({ generation, header, bodyIsWhole: bodyIsWhole(bytes, header) });
    }
    return found;
  }

  #result(found: {
    segments: Segment[];
    stop: { generation: number; byte: number };
    isTorn: boolean;
    evidence: Evidence[];
    leftovers: Segment[];
    newest: number | undefined;
  }): JournalScan {
    const { stop, evidence, segments } = found;
    const chain = this.#chain;
    let syncedTo = chain.syncedTo;
    let highestEpoch = chain.epoch;
    const torn = new Map<number, number>();
    if (found.isTorn) torn.set(stop.generation, HEADER_BYTES);
    let lowest = Infinity;
    for (const { header, generation } of evidence) {
      syncedTo = Math.max(syncedTo, header.syncedTo);
      highestEpoch = Math.max(highestEpoch, header.epoch);
      lowest = Math.min(lowest, header.firstSequence);
      const bytes = endOf(header) - (generation === stop.generation ? stop.byte : 0);
      torn.set(generation, Math.max(bytes, torn.get(generation) ?? 0));
    }
    let cutBytes = 0;
    for (const bytes of torn.values()) cutBytes += bytes;
    // A chain that never began: what it should begin with is known only for the first segment of a journal.
    const broken = chain.sequence === undefined;
    const sequence = chain.sequence ?? (stop.generation === 1 ? 1 : lowest === Infinity ? 1 : lowest);
    const last = segments.at(-1);
    const end = last === undefined ? stop.generation : last.generation;
    const gap = this.#gap(end, stop, found.newest);
    const damaged = gap !== undefined || syncedTo >= sequence || (broken && stop.generation > 1);
    // Of what is broken, the earliest is named: here, in a missing segment, or at the start of the next one.
    const next = stop.generation + 1;
    let at = stop;
    if (!torn.has(stop.generation)) {
      if (gap !== undefined && (gap.generation <= next || evidence.length === 0)) at = gap;
      else if (evidence.length > 0) at = { generation: next, byte: 0 };
    }
    return {
      journalId: this.#journalId,
      segments,
      spares: this.#files.filter((file) => !segments.includes(file)),
      leftovers: found.leftovers,
      firstSequence: chain.first ?? sequence,
      lastSequence: sequence - 1,
      previous: chain.previous ?? 0,
      epoch: chain.epoch,
      highestEpoch,
      syncedTo,
      tail: this.#tail.slice(this.#tailFrom),
      cut: cutBytes > 0 ? { ...stop, bytes: cutBytes } : null,
      damage: damaged
        ? {
            kind: at === gap ? 'missing' : 'batch',
            generation: at.generation,
            file: segmentName(at.generation),
            byte: at.byte,
            sequence,
            syncedTo,
          }
        : null,
      evidence,
      lost: this.#lost,
    };
  }

  /** A segment that should be there and is not. */
  #gap(
    end: number,
    stop: { generation: number; byte: number },
    newest: number | undefined,
  ): { generation: number; byte: number } | undefined {
    const present = new Set(this.#files.map((file) => file.generation));
    if (!present.has(stop.generation)) return { generation: stop.generation, byte: 0 };
    if (newest === undefined || newest <= end) return undefined;
    for (let generation = end + 1; generation < newest; generation++) {
      if (!present.has(generation)) return { generation, byte: 0 };
    }
    return undefined;
  }

  #empty(): JournalScan {
    return {
      journalId: null,
      segments: [],
      spares: this.#files,
      leftovers: [],
      firstSequence: 1,
      lastSequence: 0,
      previous: 0,
      epoch: 0,
      highestEpoch: 0,
      syncedTo: 0,
      tail: [],
      cut: null,
      damage: null,
      evidence: [],
      lost: [],
    };
  }
}

/** Every undamaged header of that generation at its own place, from `from` on. */
function* headersIn(bytes: Buffer, generation: number, from: number): Generator<BatchHeader> {
  for (let at = bytes.indexOf(MAGIC, from); at !== -1; at = bytes.indexOf(MAGIC, at + 1)) {
    const header = decodeHeader(bytes, at);
    if (header !== undefined && header.generation === generation && header.byte === at) yield header;
  }
}
