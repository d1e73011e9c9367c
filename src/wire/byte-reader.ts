import { RailheadError } from '../core/errors.ts';

/**
 * Reads the fields of one frame, never past its end. One per connection, set to each frame in turn: a frame costs no
 * object.
 */
export class ByteReader {
  buffer: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;

  set(buffer: Buffer, start: number, end: number): void {
    this.buffer = buffer;
    this.at = start;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  u8(): number {
    return this.buffer[this.#take(1)] ?? 0;
  }

  u16(): number {
    return this.buffer.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.buffer.readUInt32LE(this.#take(4));
  }

  /** Any double, also NaN; for times and the like, which the receiver checks by meaning. */
  f64(): number {
    return this.buffer.readDoubleLE(this.#take(8));
  }

  /** A whole number from 0 to 2^53 - 1, sent as a double. */
  whole(): number {
    const value = this.f64();
    if (!Number.isSafeInteger(value) || value < 0) throw broken(`has ${value} where a whole number belongs`);
    return value;
  }

  text(): string {
    const length = this.u16();
    const start = this.#take(length);
    return this.buffer.utf8Slice(start, start + length);
  }

  /** The next `length` bytes, as a view. */
  view(length: number): Buffer {
    const start = this.#take(length);
    return this.buffer.subarray(start, start + length);
  }

  /** All that is left, as a view. */
  rest(): Buffer {
    return this.view(this.end - this.at);
  }

  /** A count of elements that take at least `eachBytes` each: refused when they cannot be in the frame. */
  count(count: number, eachBytes: number): number {
    if (count * eachBytes > this.end - this.at)
      throw broken(`announces ${count} elements, more than its bytes can hold`);
    return count;
  }

  /** @throws PROTOCOL when the frame is longer than its fields. */
  done(): void {
    if (this.at !== this.end) throw broken(`has ${this.end - this.at} bytes too many`);
  }

  #take(bytes: number): number {
    const start = this.at;
    const next = start + bytes;
    if (next > this.end) throw broken('is shorter than its fields');
    this.at = next;
    return start;
  }
}

function broken(what: string): RailheadError {
  return new RailheadError('PROTOCOL', `A frame ${what}. The peer is broken or speaks another version.`);
}
