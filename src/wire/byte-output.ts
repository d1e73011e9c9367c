import type { Writable } from 'node:stream';
import { soon } from '../core/real-time.ts';
import type { SendBuffers } from '../core/send-buffers.ts';

/** Bytes below this are copied into the slab: a copy is cheaper than one more piece in a gathered write. */
const COPY_BELOW_BYTES = 1024;
const FIRST_SLAB_BYTES = 1024;
const MAX_SLAB_BYTES = 64 * 1024;
/** Handed to the socket without waiting for the end of the tick. */
const FLUSH_AT_BYTES = 64 * 1024;

export interface OutputOptions {
  /** Before what was written in a tick is sent: the place for frames that gather many small calls. */
  beforeFlush?: () => void;
  /** At the end of a tick that sent something, and when a socket that was full has emptied. */
  onFlushed?: () => void;
  /** Once, when more than `maxBytes` wait to be sent. */
  onOverflow?: () => void;
  /** Default: no limit. */
  maxBytes?: number;
  /** Where it is counted what waits in a socket that is behind, of all connections. */
  sendBuffers?: SendBuffers;
}

/**
 * What one connection sends: small pieces side by side in a slab, large bodies beside it, all of one tick in one write.
 * Bytes given to the socket are never written again (a slab is used up, not reused), so nothing is copied for safety.
 *
 * A protocol's own output extends it: it reserves room, writes into `slab` at `at`, moves `at`, and says `written`.
 */
export class ByteOutput {
  protected slab: Buffer = Buffer.alloc(0);
  protected at = 0;
  /** Start of what is in the slab and not yet in `#pieces`. */
  #from = 0;
  #pieces: Uint8Array[] = [];
  /** Bytes in `#pieces`. */
  #pieceBytes = 0;
  #scheduled = false;
  #closed = false;
  #overflowed = false;
  /** What of it is counted in the send buffers of all. */
  #counted = 0;
  #consumers = 0;
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
    stream.on('drain', () => {
      this.#count();
      this.#options.onFlushed?.();
    });
  }

  /** Messages that may wait here, in bytes: at most `highWaterBytes`, less when many connections are consumed from. */
  fairBytes(highWaterBytes: number): number {
    return Math.min(highWaterBytes, this.#options.sendBuffers?.each ?? Infinity);
  }

  /** A consumer of this connection begins: see `SendBuffers`. */
  join(): void {
    if (this.#closed) return;
    this.#consumers++;
    this.#options.sendBuffers?.join();
  }

  /** Those that are left leave with the connection. */
  leave(): void {
    if (this.#consumers === 0) return;
    this.#consumers--;
    this.#options.sendBuffers?.leave();
  }

  /** What a socket takes at one go does not count: it says when it has emptied only if that was more. */
  #count(): void {
    const now = this.#closed || !this.#stream.writableNeedDrain ? 0 : this.#stream.writableLength;
    if (now === this.#counted) return;
    this.#options.sendBuffers?.add(now - this.#counted);
    this.#counted = now;
  }

  /** Bytes that the peer's side of the network has not taken yet. */
  get waitingBytes(): number {
    return this.#pieceBytes + this.at - this.#from + this.#stream.writableLength;
  }

  /** Appends bytes; large ones are sent as they are, so they must not change any more. */
  bytes(view: Uint8Array): void {
    if (view.byteLength >= COPY_BELOW_BYTES) this.#append(view);
    else {
      this.makeRoom(view.byteLength);
      this.slab.set(view, this.at);
      this.at += view.byteLength;
    }
  }

  /** As `bytes`, of a part of a buffer: a small one costs no object. */
  range(buffer: Buffer, from: number, to: number): void {
    if (to - from >= COPY_BELOW_BYTES) this.#append(buffer.subarray(from, to));
    else {
      this.makeRoom(to - from);
      this.at += buffer.copy(this.slab, this.at, from, to);
    }
  }

  #append(view: Uint8Array): void {
    this.#cut();
    this.#pieces.push(view);
    this.#pieceBytes += view.byteLength;
    this.written();
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
    this.#from = this.at;
    this.#count();
    while (this.#consumers > 0) this.leave();
  }

  /** Flushes at the end of this tick. */
  schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    soon(this.#flushTick);
  }

  /** Something whole, or a part of it, is in the slab: it will be sent. */
  protected written(): void {
    if (this.#closed) {
      this.close();
      return;
    }
    this.schedule();
    // Also in the middle of a frame, whose tail then follows: the order of the bytes is kept.
    if (this.#pieceBytes + this.at - this.#from >= FLUSH_AT_BYTES) this.#write();
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
    this.#count();
    if (!this.#overflowed && this.#stream.writableLength > (this.#options.maxBytes ?? Infinity)) {
      this.#overflowed = true;
      this.#options.onOverflow?.();
    }
  }

  #cut(): void {
    if (this.at > this.#from) {
      this.#pieces.push(this.slab.subarray(this.#from, this.at));
      this.#pieceBytes += this.at - this.#from;
      this.#from = this.at;
    }
  }

  /** Room for so many bytes in a row. */
  protected makeRoom(bytes: number): void {
    if (this.at + bytes <= this.slab.byteLength) return;
    this.#cut();
    // Doubling lets a quiet connection keep a small slab and a busy one reach large writes.
    const next = Math.min(MAX_SLAB_BYTES, Math.max(FIRST_SLAB_BYTES, 2 * this.slab.byteLength));
    this.slab = Buffer.allocUnsafeSlow(Math.max(next, bytes));
    this.at = 0;
    this.#from = 0;
  }
}
