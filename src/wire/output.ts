import { RailheadError } from '../core/errors.ts';
import { ByteOutput } from './byte-output.ts';
import { FRAME_HEADER_BYTES } from './frames.ts';

const MAX_TEXT_BYTES = 0xffff;

/** Frames of the native protocol for one connection. A frame is written as `begin(type, bound)`, fields, `end()`. */
export class Output extends ByteOutput {
  #frameStart = 0;

  /** Starts a frame whose fields take at most `bound` bytes. */
  begin(type: number, bound: number): void {
    this.makeRoom(FRAME_HEADER_BYTES + bound);
    this.#frameStart = this.at;
    this.slab[this.at + 4] = type;
    this.at += FRAME_HEADER_BYTES;
  }

  /** Ends the fields of the frame. `tailBytes` more follow, by `bytes`, and belong to it. */
  end(tailBytes = 0): void {
    this.slab.writeUInt32LE(this.at - this.#frameStart - 4 + tailBytes, this.#frameStart);
    this.written();
  }

  u8(value: number): void {
    this.slab[this.at++] = value;
  }

  u16(value: number): void {
    this.at = this.slab.writeUInt16LE(value, this.at);
  }

  u32(value: number): void {
    this.at = this.slab.writeUInt32LE(value, this.at);
  }

  f64(value: number): void {
    this.at = this.slab.writeDoubleLE(value, this.at);
  }

  /** A whole number up to 2^53, as a double; a fraction is rounded up. @throws INVALID for anything else. */
  whole(value: number): void {
    const rounded = Math.ceil(value);
    if (!Number.isSafeInteger(rounded) || rounded < 0) {
      throw new RailheadError('INVALID', `A number of a request is ${value}; it must be 0 or more and below 2^53.`);
    }
    this.f64(rounded);
  }

  /** `begin` counted `textBound(text)` for it. @throws TOO_LARGE above 65,535 bytes of UTF-8; then `abandon` the frame. */
  text(text: string): void {
    const length = this.slab.utf8Write(text, this.at + 2);
    if (length > MAX_TEXT_BYTES) {
      throw new RailheadError(
        'TOO_LARGE',
        `A name or text takes ${length} bytes; at most ${MAX_TEXT_BYTES} are allowed.`,
      );
    }
    this.slab.writeUInt16LE(length, this.at);
    this.at += 2 + length;
  }

  /** More fields after `bytes` or `end`: makes room for them. */
  reserve(bound: number): void {
    this.makeRoom(bound);
  }

  /** Takes the frame back that was begun and not ended, because a field did not fit. */
  abandon(): void {
    this.at = this.#frameStart;
  }
}

/** Most bytes that `text` can take in a frame. */
export function textBound(text: string): number {
  return 2 + text.length * 3;
}
