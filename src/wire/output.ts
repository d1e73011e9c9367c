import type { Writable } from 'node:stream';
import { RailheadError } from '../core/errors.ts';
import { soon } from '../core/real-time.ts';
import { FRAME_HEADER_BYTES } from './frames.ts';

/** Bytes below this are copied into the slab: a copy is cheaper than one more piece in a gathered write. */
const COPY_BELOW_BYTES = 1024;
const FIRST_SLAB_BYTES = 1024;
const MAX_SLAB_BYTES = 64 * 1024;
/** Handed to the socket without waiting for the end of the tick. */
const FLUSH_AT_BYTES = 64 * 1024;
const MAX_TEXT_BYTES = 0xffff;

export interface OutputOptions {
  /** Before what was written in a tick is sent: the place for frames that gather many small calls. */
  beforeFlush?: () => void;
  /** At the end of a tick that sent something, and when a socket that was full has emptied. */
  onFlushed?: () => void;
  /** Once, when more than `maxBytes` wait to be sent. */
  onOverflow?: () => void;
  /** Default: no limit. */
  maxBytes?: number;
}

/**
 * What one connection sends: small frames side by side in a slab, large bodies beside it, all of one tick in one write.
 * Bytes given to the socket are never written again (a slab is used up, not reused), so nothing is copied for safety.
 *
 * A frame is written as `begin(type, bound)`, fields, `end()`.
 */
export class Output {
  #slab: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Start of what is in the slab and not yet in `#pieces`. */
  #from = 0;
  #frameStart = 0;
  #pieces: Uint8Array[] = [];
  /** Bytes in `#pieces`. */
  #pieceBytes = 0;
  #scheduled = false;
  #closed = false;
  #overflowed = false;
  readonly #stream: Writable;
  readonly #options: OutputOptions;
  readonly #flushTick = (): void => {
    this.#options.beforeFlush?.();
    this.#scheduled = false;
    this.flush();
  };

  constructor(stream: Writable, options: OutputOptions = {}) {
    this.#stream = stream;
    this.#options = options;
    stream.on('drain', () => this.#options.onFlushed?.());
  }

  /** Bytes that the peer's side of the network has not taken yet. */
  get waitingBytes(): number {
    return this.#pieceBytes + this.#at - this.#from + this.#stream.writableLength;
  }

  /** Starts a frame whose fields take at most `bound` bytes. */
  begin(type: number, bound: number): void {
    this.#reserve(FRAME_HEADER_BYTES + bound);
    this.#frameStart = this.#at;
    this.#slab[this.#at + 4] = type;
    this.#at += FRAME_HEADER_BYTES;
  }

  /** Ends the fields of the frame. `tailBytes` more follow, by `bytes`, and belong to it. */
  end(tailBytes = 0): void {
    this.#slab.writeUInt32LE(this.#at - this.#frameStart - 4 + tailBytes, this.#frameStart);
    this.#written();
  }

  u8(value: number): void {
    this.#slab[this.#at++] = value;
  }

  u16(value: number): void {
    this.#at = this.#slab.writeUInt16LE(value, this.#at);
  }

  u32(value: number): void {
    this.#at = this.#slab.writeUInt32LE(value, this.#at);
  }

  f64(value: number): void {
    this.#at = this.#slab.writeDoubleLE(value, this.#at);
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
    const length = this.#slab.utf8Write(text, this.#at + 2);
    if (length > MAX_TEXT_BYTES) {
      throw new RailheadError(
        'TOO_LARGE',
        `A name or text takes ${length} bytes; at most ${MAX_TEXT_BYTES} are allowed.`,
      );
    }
    this.#slab.writeUInt16LE(length, this.#at);
    this.#at += 2 + length;
  }

  /** More fields after `bytes` or `end`: makes room for them. */
  reserve(bound: number): void {
    this.#reserve(bound);
  }

  /** Appends bytes; large ones are sent as they are, so they must not change any more. */
  bytes(view: Uint8Array): void {
    const length = view.byteLength;
    if (length < COPY_BELOW_BYTES) {
      this.#reserve(length);
      this.#slab.set(view, this.#at);
      this.#at += length;
    } else {
      this.#cut();
      this.#pieces.push(view);
      this.#pieceBytes += length;
      this.#written();
    }
  }

  /** Takes the frame back that was begun and not ended, because a field did not fit. */
  abandon(): void {
    this.#at = this.#frameStart;
  }

  /** Hands everything to the socket now. */
  flush(): void {
    if (this.#closed) return;
    this.#write();
    this.#options.onFlushed?.();
  }

  /** Drops what was not handed to the socket and takes no more. */
  close(): void {
    this.#closed = true;
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#from = this.#at;
  }

  /** Flushes at the end of this tick. */
  schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    soon(this.#flushTick);
  }

  #written(): void {
    if (this.#closed) {
      this.close();
      return;
    }
    this.schedule();
    // Also in the middle of a frame, whose tail then follows: the order of the bytes is kept.
    if (this.#pieceBytes + this.#at - this.#from >= FLUSH_AT_BYTES) this.#write();
  }

  #write(): void {
    this.#cut();
    const pieces = this.#pieces;
    const only = pieces[0];
    if (only === undefined) return;
    this.#pieces = [];
    this.#pieceBytes = 0;
    if (pieces.length === 1) this.#stream.write(only);
    else {
      this.#stream.cork();
      for (const piece of pieces) this.#stream.write(piece);
      this.#stream.uncork();
    }
    if (!this.#overflowed && this.#stream.writableLength > (this.#options.maxBytes ?? Infinity)) {
      this.#overflowed = true;
      this.#options.onOverflow?.();
    }
  }

  #cut(): void {
    if (this.#at > this.#from) {
      this.#pieces.push(this.#slab.subarray(this.#from, this.#at));
      this.#pieceBytes += this.#at - this.#from;
      this.#from = this.#at;
    }
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#slab.byteLength) return;
    this.#cut();
    // Doubling lets a quiet connection keep a small slab and a busy one reach large writes.
    const next = Math.min(MAX_SLAB_BYTES, Math.max(FIRST_SLAB_BYTES, 2 * this.#slab.byteLength));
    this.#slab = Buffer.allocUnsafeSlow(Math.max(next, bytes));
    this.#at = 0;
    this.#from = 0;
  }
}

/** Most bytes that `text` can take in a frame. */
export function textBound(text: string): number {
  return 2 + text.length * 3;
}
