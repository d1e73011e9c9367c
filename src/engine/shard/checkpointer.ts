import type { State } from '../machine/state.ts';
import { PieceReader, PieceWriter } from '../structures/pieces.ts';
import type { BlobStore } from '../ports.ts';
import { checkCheckpoint, type CheckpointHead, checkpointName, encodeFrame, readFrames } from './checkpoint-frames.ts';
import type { Shard } from './shard.ts';

const NAME = /^checkpoint-(\d+)$/;

/**
 * Writes checkpoints (see `checkpoint-frames.ts`) between turns, a slice at a time, while the state goes on changing; so
 * each object says what it reflects, and replay, which begins after `from`, skips older entries for that object. Only
 * what changed since the last one is written; when such pieces have grown to the size of the whole, the next one is
 * whole.
 */
export class Checkpointer {
  readonly #shard: Shard;
  /** The checkpoints that recovery may need: the last two and what they build on, oldest first. */
  #chain: CheckpointHead[] = [];
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
      const chain: CheckpointHead[] = [];
      try {
        for (let at: number | null = number; at !== null;) {
          const head: CheckpointHead = await checkCheckpoint(this.#shard.blobs, at);
          chain.unshift(head);
          at = head.base;
        }
      } catch (error) {
        notices.push(
          `Checkpoint ${number} cannot be used (${error instanceof Error ? error.message : String(error)}); an older one was used.`,
        );
        continue;
      }
      this.#chain = chain;
      await loadChain(this.#shard.state, this.#shard.blobs, chain);
      this.#topics = new Set(this.#shard.state.topics.keys());
      return chain.at(-1)?.from ?? 0;
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
    const writer = await blobs.create(checkpointName(number));
    let bytes = 0;
    let slice: Buffer[] = [];
    let sliceBytes = 0;
    const flush = async (): Promise<void> => {
      for (const frame of slice) await writer.write(frame);
      bytes += sliceBytes;
      slice = [];
      sliceBytes = 0;
    };
    const add = (encoded: Buffer): void => {
      slice.push(encoded);
      sliceBytes += encoded.byteLength;
    };
    /** Whoever waits has a turn after each slice. */
    const addSlice = async (encoded: Buffer): Promise<void> => {
      add(encoded);
      if (sliceBytes < limits.checkpointSliceBytes) return;
      await flush();
      await this.#shard.breathe();
      if (this.#shard.failure !== null) throw this.#shard.failure;
    };
    try {
      add(encodeFrame({ kind: 'head', number, base: base?.number ?? null, from }));
      if (base === null || state.changed > base.from)
        add(encodeFrame({ kind: 'globals', reflects: this.#shard.sequence, data: state.encodeGlobals() }));
      const written = new Set<number>();
      for (const id of state.topics.keys()) {
        const topic = state.topics.get(id);
        if (topic === undefined) continue;
        written.add(id);
        if (base !== null && topic.changed <= base.from) continue;
        // Positions of entries that still gather are not known: they are appended first.
        this.#shard.flush();
        if (this.#shard.failure !== null) throw this.#shard.failure;
        // The topic as it is now; what is large of it is made by and by, while it goes on changing.
        const pieces = new PieceWriter();
        const frame = encodeFrame({ kind: 'topic', reflects: this.#shard.sequence, data: topic.encode(pieces) });
        for (const { part, piece } of pieces.large()) await addSlice(encodeFrame({ kind: 'piece', part, piece }));
        await addSlice(frame);
      }
      const gone = [...this.#topics].filter((id) => !state.topics.has(id));
      if (base !== null && gone.length > 0) add(encodeFrame({ kind: 'gone', ids: gone }));
      add(encodeFrame({ kind: 'end' }));
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
      await this.#shard.blobs.remove(checkpointName(written.number));
    this.#chain = this.#chain.filter((written) => needed.has(written.number));
  }
}

/** The newest version of each object wins: from the newest checkpoint back, so that no other is ever in memory. */
async function loadChain(state: State, blobs: BlobStore, chain: readonly CheckpointHead[]): Promise<void> {
  const known = new Set<number>();
  let hasGlobals = false;
  for (const { number } of chain.toReversed()) {
    const gone: number[] = [];
    let pieces = new PieceReader();
    for await (const frame of readFrames(blobs, number)) {
      if (frame.kind === 'gone') gone.push(...frame.ids);
      else if (frame.kind === 'globals' && !hasGlobals) {
        hasGlobals = true;
        state.loadGlobals(frame.data);
        state.reflects = frame.reflects;
      } else if (frame.kind === 'piece') pieces.add(frame.part, frame.piece);
      else if (frame.kind === 'topic') {
        const before = pieces;
        pieces = new PieceReader();
        if (known.has(frame.data.id)) continue;
        known.add(frame.data.id);
        const topic = state.loadTopic(frame.data, before);
        topic.reflects = frame.reflects;
        topic.changed = frame.reflects;
      }
    }
    for (const id of gone) known.add(id);
  }
  state.sortTopics();
}
