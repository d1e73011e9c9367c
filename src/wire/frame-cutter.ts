import { giveBack } from '../core/give-back.ts';
import { asBuffer } from '../core/records.ts';

/** Receives one frame: `buffer[start, end)`, header included. Never overwritten; a kept view keeps the buffer. */
export type CutHandler = (buffer: Buffer, start: number, end: number) => void;

export interface FrameShape {
  /** So many bytes say how long the frame is. No frame is shorter. */
  readonly headerBytes: number;
  /** Length of the whole frame whose header is at `at`. @throws for one that is not allowed */
  frameBytes(buffer: Buffer, at: number): number;
}

/**
 * Whose the memory of chunks is. Of what is `ours`, and nobody else's after `push`, the memory is given back as soon as all
 * of it was copied: left to the collection of garbage, what a socket brings at 200 MB/s made that run several times a second.
 */
export type ChunkOwner = 'ours' | 'theirs';

/** The least memory for a frame that spans chunks. */
const FIRST_PENDING_BYTES = 4 * 1024;
/** Otherwise so many times what has arrived of it, whatever the peer promised; most frames are then copied once. */
const AHEAD = 4;

/**
 * Cuts a stream of chunks into frames. A frame that lies within one chunk is handed over in place; only one that spans
 * chunks is copied, once.
 */
export class FrameCutter {
  readonly #shape: FrameShape;
  readonly #onFrame: CutHandler;
  readonly #owner: ChunkOwner;
  #stopped = false;
  /** The beginning of a frame that is not complete yet. */
  #pending: Buffer | undefined;
  #pendingBytes = 0;

  constructor(shape: FrameShape, onFrame: CutHandler, owner: ChunkOwner = 'theirs') {
    this.#shape = shape;
    this.#onFrame = onFrame;
    this.#owner = owner;
  }

  /** Hands over nothing more, not even what is left of the current chunk. */
  stop(): void {
    this.#stopped = true;
    this.#pending = undefined;
  }

  /** @throws what the shape and the handler throw. */
  push(chunk: Uint8Array): void {
    const buffer = asBuffer(chunk);
    const isCopied = this.#cut(buffer) === 0;
    if (isCopied && this.#owner === 'ours') giveBack(buffer);
  }

  /** Returns how many frames were handed over in place. */
  #cut(buffer: Buffer): number {
    const { headerBytes } = this.#shape;
    let inPlace = 0;
    let at = this.#pending === undefined ? 0 : this.#complete(buffer);
    while (!this.#stopped) {
      const left = buffer.byteLength - at;
      if (left < headerBytes) break;
      const end = at + this.#shape.frameBytes(buffer, at);
      if (buffer.byteLength < end) break;
      const start = at;
      at = end;
      inPlace++;
      this.#onFrame(buffer, start, end);
    }
    if (!this.#stopped && at < buffer.byteLength) this.#keep(buffer, at, buffer.byteLength);
    return inPlace;
  }

  /** Adds to the pending frame; returns where in the chunk the next frame begins. */
  #complete(chunk: Buffer): number {
    const { headerBytes } = this.#shape;
    let at = 0;
    if (this.#pendingBytes < headerBytes) {
      at = Math.min(headerBytes - this.#pendingBytes, chunk.byteLength);
      this.#keep(chunk, 0, at);
      if (this.#pendingBytes < headerBytes) return at;
    }
    const pending = this.#pending;
    if (pending === undefined) return at;
    const size = this.#shape.frameBytes(pending, 0);
    const end = Math.min(at + size - this.#pendingBytes, chunk.byteLength);
    this.#keep(chunk, at, end);
    const frame = this.#pending;
    if (frame !== undefined && this.#pendingBytes === size) {
      this.#pending = undefined;
      this.#pendingBytes = 0;
      this.#onFrame(frame, 0, size);
    }
    return end;
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    const total = this.#pendingBytes + to - from;
    let pending = this.#pending;
    if (pending === undefined || pending.byteLength < total) {
      const room = Math.max(FIRST_PENDING_BYTES, AHEAD * total);
      const larger = Buffer.allocUnsafeSlow(Math.max(total, Math.min(room, this.#size(chunk, from) ?? room)));
      pending?.copy(larger, 0, 0, this.#pendingBytes);
      this.#pending = pending = larger;
    }
    chunk.copy(pending, this.#pendingBytes, from, to);
    this.#pendingBytes = total;
  }

  /** Of the frame that is kept, whose first bytes are those of the chunk if none came before; undefined as long as it has too few. */
  #size(chunk: Buffer, from: number): number | undefined {
    const { headerBytes } = this.#shape;
    if (this.#pending !== undefined)
      return this.#pendingBytes < headerBytes ? undefined : this.#shape.frameBytes(this.#pending, 0);
    return chunk.byteLength - from < headerBytes ? undefined : this.#shape.frameBytes(chunk, from);
  }
}
