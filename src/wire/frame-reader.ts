import { asBuffer } from '../core/records.ts';
import { RailheadError } from '../core/errors.ts';
import { frameName } from './frames.ts';

/** Receives one frame: its body is `buffer[start, end)`. The bytes are never overwritten; a kept view keeps the buffer. */
export type FrameHandler = (type: number, buffer: Buffer, start: number, end: number) => void;

/** First piece of memory for a frame that spans chunks; it doubles as bytes arrive, never by what the peer promised. */
const FIRST_PENDING_BYTES = 4 * 1024;

/**
 * Cuts a stream of chunks into frames. A frame that lies within one chunk is handed over in place; only one that spans
 * chunks is copied, once.
 */
export class FrameReader {
  #maxFrameBytes: number;
  readonly #onFrame: FrameHandler;
  #stopped = false;
  /** The beginning of a frame that is not complete yet: size field included. */
  #pending: Buffer | undefined;
  #pendingBytes = 0;

  constructor(onFrame: FrameHandler, maxFrameBytes: number) {
    this.#onFrame = onFrame;
    this.#maxFrameBytes = maxFrameBytes;
  }

  set maxFrameBytes(bytes: number) {
    this.#maxFrameBytes = bytes;
  }

  /** Hands over nothing more, not even what is left of the current chunk. */
  stop(): void {
    this.#stopped = true;
    this.#pending = undefined;
  }

  /** @throws PROTOCOL for a size that is not allowed, and whatever the handler throws. */
  push(chunk: Uint8Array): void {
    const buffer = asBuffer(chunk);
    let at = this.#pending === undefined ? 0 : this.#complete(buffer);
    while (!this.#stopped) {
      const left = buffer.byteLength - at;
      if (left < 4) break;
      const size = this.#size(buffer, at);
      if (left < 4 + size) break;
      const start = at + 4;
      at = start + size;
      this.#onFrame(buffer[start] ?? 0, buffer, start + 1, at);
    }
    if (!this.#stopped && at < buffer.byteLength) this.#keep(buffer, at, buffer.byteLength);
  }

  /** Adds to the pending frame; returns where in the chunk the next frame begins. */
  #complete(chunk: Buffer): number {
    let at = 0;
    if (this.#pendingBytes < 4) {
      at = Math.min(4 - this.#pendingBytes, chunk.byteLength);
      this.#keep(chunk, 0, at);
      if (this.#pendingBytes < 4) return at;
    }
    const pending = this.#pending;
    if (pending === undefined) return at;
    const size = this.#size(pending, 0);
    const wanted = 4 + size - this.#pendingBytes;
    const end = Math.min(at + wanted, chunk.byteLength);
    this.#keep(chunk, at, end);
    const frame = this.#pending;
    if (frame !== undefined && this.#pendingBytes === 4 + size) {
      this.#pending = undefined;
      this.#pendingBytes = 0;
      this.#onFrame(frame[4] ?? 0, frame, 5, 4 + size);
    }
    return end;
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    const total = this.#pendingBytes + to - from;
    let pending = this.#pending;
    if (pending === undefined || pending.byteLength < total) {
      const size = this.#pendingBytes >= 4 && pending !== undefined ? 4 + pending.readUInt32LE(0) : FIRST_PENDING_BYTES;
      const room = Math.max(total, Math.min(size, 2 * (pending?.byteLength ?? 0)), Math.min(size, FIRST_PENDING_BYTES));
      const larger = Buffer.allocUnsafeSlow(room);
      pending?.copy(larger, 0, 0, this.#pendingBytes);
      this.#pending = pending = larger;
    }
    chunk.copy(pending, this.#pendingBytes, from, to);
    this.#pendingBytes = total;
  }

  #size(buffer: Buffer, at: number): number {
    const size = buffer.readUInt32LE(at);
    if (size < 1 || size > this.#maxFrameBytes) {
      const known = buffer.byteLength > at + 4 ? ` of type ${frameName(buffer[at + 4] ?? 0)}` : '';
      throw new RailheadError(
        'PROTOCOL',
        `A frame${known} announces ${size} bytes; 1 to ${this.#maxFrameBytes} are allowed here. Is the peer a Railhead client?`,
      );
    }
    return size;
  }
}
