import { RailheadError } from '../core/errors.ts';
import { FrameCutter } from './frame-cutter.ts';
import { frameName } from './frames.ts';

/** Receives one frame: its body is `buffer[start, end)`. The bytes are never overwritten; a kept view keeps the buffer. */
export type FrameHandler = (type: number, buffer: Buffer, start: number, end: number) => void;

/** Cuts what a peer sends into frames of the native protocol. */
export class FrameReader {
  #maxFrameBytes: number;
  readonly #cutter: FrameCutter;

  constructor(onFrame: FrameHandler, maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#cutter = new FrameCutter(
      { headerBytes: 4, frameBytes: (buffer, at) => 4 + this.#size(buffer, at) },
      (buffer, start, end) => onFrame(buffer[start + 4] ?? 0, buffer, start + 5, end),
    );
  }

  set maxFrameBytes(bytes: number) {
    this.#maxFrameBytes = bytes;
  }

  /** Hands over nothing more, not even what is left of the current chunk. */
  stop(): void {
    this.#cutter.stop();
  }

  /** @throws PROTOCOL for a size that is not allowed, and whatever the handler throws. */
  push(chunk: Uint8Array): void {
    this.#cutter.push(chunk);
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
