import { giveBack } from '../../core/give-back.ts';
import type { Segment } from './segment.ts';

/**
 * Two buffers for reading whole segments in turn: one is checked while the next one is read into the other. Eight
 * segments read into buffers of their own were seen to add 200 MiB to the process until some later collection.
 */
export class SegmentBuffers {
  #buffers: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)];

  /** The first bytes of a segment. What this gave the time before last is overwritten. */
  read(segment: Segment, bytes = segment.bytes): Promise<Buffer> {
    const [previous, free] = this.#buffers;
    const target = free.length >= bytes ? free : Buffer.allocUnsafeSlow(bytes);
    this.#buffers = [target, previous];
    return segment.file.read(0, bytes, target);
  }

  /** Gives the memory back at once. No slice may be in use any more. */
  release(): void {
    for (const buffer of this.#buffers) giveBack(buffer);
    this.#buffers = [Buffer.alloc(0), Buffer.alloc(0)];
  }
}
