import { crc32 } from 'node:zlib';
import { Packr, Unpackr } from 'msgpackr';
import { RailheadError } from '../../core/errors.ts';
import type { EncodedGlobals, State } from '../machine/state.ts';
import type { EncodedTopic } from '../machine/topic.ts';
import type { BlobStore } from '../ports.ts';
import type { Shard } from './shard.ts';

/**
 * A checkpoint is a blob `checkpoint-N` of frames, each `u32 length, u32 CRC-32, payload (MessagePack)`:
 *
 * - first `{ kind: 'head', number, base, from }`: `base` is the checkpoint that this one completes, or null
 * - `{ kind: 'globals' | 'topic', reflects, data }`: one object as it was when the journal had `reflects` entries
 * - `{ kind: 'gone', ids }`: topics of the base that are no more
 * - last `{ kind: 'end' }`
 *
 * It is written between turns, a slice at a time, while the state goes on changing; so each object says what it
 * reflects, and replay, which begins after `from`, skips older entries for that object. Only what changed since the
 * last one is written; when such pieces have grown to the size of the whole, the next one is whole.
 */
type Frame =
  | { kind: 'head'; number: number; base: number | null; from: number }
  | { kind: 'globals'; reflects: number; data: EncodedGlobals }
  | { kind: 'topic'; reflects: number; data: EncodedTopic }
  | { kind: 'gone'; ids: number[] }
  | { kind: 'end' };

// Arrays of doubles and sets travel as raw bytes; everything else is small.
const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });

const NAME = /^checkpoint-(\d+)$/;

interface Written {
  number: number;
  base: number | null;
  /** Replay after it begins here. */
  from: number;
  bytes: number;
}

export class Checkpointer {
  readonly #shard: Shard;
  /** The checkpoints that recovery may need: the last two and what they build on, oldest first. */
  #chain: Written[] = [];
  #topics = new Set<number>();
  #running: Promise<void> | null = null;
  #next = 1;

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** Entries up to here are not needed for a start any more, whichever of the last two checkpoints it uses. */
  get covered(): number {
    const usable = this.#chain.slice(-2);
    return usable.length < 2 ? 0 : Math.min(...usable.map((written) => written.from));
  }

  get running(): boolean {
    return this.#running !== null;
  }

  // ---- Load -------------------------------------------------------------------------------------------------------

  /**
   * Loads the newest checkpoint that is whole, falling back to the one before. Returns where replay begins.
   * What a crash left half written is not visible at all; a damaged one is a notice.
   */
  async load(notices: string[]): Promise<number> {
    const numbers: number[] = [];
    for (const { name } of await this.#shard.blobs.list()) {
      const match = NAME.exec(name);
      if (match !== null) numbers.push(Number(match[1]));
    }
    numbers.sort((a, b) => b - a);
    this.#next = (numbers[0] ?? 0) + 1;
    for (const number of numbers) {
      const parts: { written: Written; frames: Frame[] }[] = [];
      try {
        for (let at: number | null = number; at !== null;) {
          const part = await readCheckpoint(this.#shard.blobs, at);
          parts.unshift(part);
          at = part.written.base;
        }
      } catch (error) {
        notices.push(
          `Checkpoint ${number} cannot be used (${error instanceof Error ? error.message : String(error)}); an older one was used.`,
        );
        continue;
      }
      this.#chain = parts.map((part) => part.written);
      loadParts(
        this.#shard.state,
        parts.flatMap((part) => part.frames),
      );
      this.#topics = new Set(this.#shard.state.topics.keys());
      return parts.at(-1)?.written.from ?? 0;
    }
    return 0;
  }

  // ---- Write ------------------------------------------------------------------------------------------------------

  /** Writes one unless one is being written. Resolves when it counts. */
  write(): Promise<void> {
    this.#running ??= this.#write().finally(() => (this.#running = null));
    return this.#running;
  }

  async #write(): Promise<void> {
    const { blobs, state, limits } = this.#shard;
    const number = this.#next++;
    const whole = this.#chain.at(-1);
    const base = whole === undefined || this.#isTimeForWhole() ? null : whole;
    const from = this.#shard.sequence;
    const writer = await blobs.create(`checkpoint-${number}`);
    let bytes = 0;
    let slice: Buffer[] = [];
    let sliceBytes = 0;
    const flush = async (): Promise<void> => {
      for (const frame of slice) await writer.write(frame);
      bytes += sliceBytes;
      slice = [];
      sliceBytes = 0;
    };
    const add = (frame: Frame): void => {
      const encoded = encodeFrame(frame);
      slice.push(encoded);
      sliceBytes += encoded.byteLength;
    };
    try {
      add({ kind: 'head', number, base: base?.number ?? null, from });
      if (base === null || state.changed > base.from)
        add({ kind: 'globals', reflects: this.#shard.sequence, data: state.encodeGlobals() });
      const written = new Set<number>();
      for (const id of state.topics.keys()) {
        const topic = state.topics.get(id);
        if (topic === undefined) continue;
        written.add(id);
        if (base !== null && topic.changed <= base.from) continue;
        // Positions of entries that still gather are not known: they are appended first.
        this.#shard.flush();
        if (this.#shard.failure !== null) throw this.#shard.failure;
        add({ kind: 'topic', reflects: this.#shard.sequence, data: topic.encode() });
        if (sliceBytes >= limits.checkpointSliceBytes) await flush();
      }
      const gone = [...this.#topics].filter((id) => !state.topics.has(id));
      if (base !== null && gone.length > 0) add({ kind: 'gone', ids: gone });
      add({ kind: 'end' });
      await flush();
      // What it reflects must be durable before it counts: a start must not know more than the journal.
      await this.#shard.durable(null);
      await writer.seal();
      this.#topics = written;
      this.#chain = [...this.#chain, { number, base: base?.number ?? null, from, bytes }];
      await this.#removeOld();
    } catch (error) {
      await writer.abort().catch(() => {});
      throw error;
    }
  }

  #isTimeForWhole(): boolean {
    const lastWhole = this.#chain.findLastIndex((written) => written.base === null);
    const pieces = this.#chain.slice(lastWhole + 1).reduce((sum, written) => sum + written.bytes, 0);
    return pieces >= Math.max(this.#chain[lastWhole]?.bytes ?? 0, 1 << 20) || this.#chain.length - lastWhole > 16;
  }

  /** Keeps the last two and all that they build on. */
  async #removeOld(): Promise<void> {
    const secondLast = this.#chain.at(-2);
    if (secondLast === undefined) return;
    const needed = new Set<number>();
    for (const start of this.#chain.slice(-2)) {
      for (
        let at: number | null = start.number;
        at !== null;
        at = this.#chain.find((written) => written.number === at)?.base ?? null
      )
        needed.add(at);
    }
    for (const written of this.#chain.filter((one) => !needed.has(one.number)))
      await this.#shard.blobs.remove(`checkpoint-${written.number}`);
    this.#chain = this.#chain.filter((written) => needed.has(written.number));
  }
}

function encodeFrame(frame: Frame): Buffer {
  const payload = packr.pack(frame);
  const encoded = Buffer.allocUnsafe(8 + payload.byteLength);
  encoded.writeUInt32LE(payload.byteLength, 0);
  encoded.writeUInt32LE(crc32(payload), 4);
  encoded.set(payload, 8);
  return encoded;
}

async function readCheckpoint(blobs: BlobStore, number: number): Promise<{ written: Written; frames: Frame[] }> {
  const name = `checkpoint-${number}`;
  const size = (await blobs.list()).find((blob) => blob.name === name)?.bytes;
  if (size === undefined) throw new RailheadError('NOT_FOUND', `${name} is missing`);
  const bytes = await blobs.read(name, 0, size);
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.byteLength;) {
    if (at + 8 > bytes.byteLength) throw new RailheadError('JOURNAL_CORRUPT', `${name} is cut off at byte ${at}`);
    const length = bytes.readUInt32LE(at);
    const payload = bytes.subarray(at + 8, at + 8 + length);
    if (payload.byteLength !== length || crc32(payload) !== bytes.readUInt32LE(at + 4))
      throw new RailheadError('JOURNAL_CORRUPT', `${name} is damaged at byte ${at}`);
    frames.push(unpackr.unpack(payload) as Frame);
    at += 8 + length;
  }
  const head = frames[0];
  if (head?.kind !== 'head' || frames.at(-1)?.kind !== 'end')
    throw new RailheadError('JOURNAL_CORRUPT', `${name} is not whole`);
  return { written: { number, base: head.base, from: head.from, bytes: size }, frames };
}

/** The newest version of each object wins. */
function loadParts(state: State, frames: readonly Frame[]): void {
  const topics = new Map<number, Extract<Frame, { kind: 'topic' }>>();
  for (const frame of frames) {
    if (frame.kind === 'globals') {
      state.loadGlobals(frame.data);
      state.reflects = frame.reflects;
    } else if (frame.kind === 'topic') topics.set(frame.data.id, frame);
    else if (frame.kind === 'gone') for (const id of frame.ids) topics.delete(id);
  }
  for (const frame of topics.values()) {
    const topic = state.loadTopic(frame.data);
    topic.reflects = frame.reflects;
    topic.changed = frame.reflects;
  }
}
