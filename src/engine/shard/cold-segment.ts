import { crc32 } from 'node:zlib';
import { Packr } from 'msgpackr';
import { RailheadError } from '../../core/errors.ts';
import type { ColdBlockRef } from '../entries.ts';
import type { BlobStore, BlobWriter } from '../ports.ts';

const packr = new Packr({ useRecords: false });

/** A publish entry, as it is in the commit log, on its way to a cold block. */
export interface ColdEntry {
  base: number;
  count: number;
  publishedAt: number;
  bytes: Buffer;
}

/**
 * A cold segment is a blob of blocks, each for one partition, and their index.
 *
 * ```
 * block   u32 CRC-32 of the rest    publish entries as they were in the commit log, by offset
 * …
 * index   MessagePack: the list of ColdBlockRef
 * footer  u32 length of the index   u32 CRC-32 of the index
 * ```
 */
export class ColdSegmentWriter {
  readonly #writer: BlobWriter;
  readonly #blockBytes: number;
  readonly #blocks: ColdBlockRef[] = [];
  #written = 0;
  #topicId = 0;
  #partition = 0;
  #entries: ColdEntry[] = [];
  #bytes = 0;
  #buffer: Buffer = Buffer.alloc(0);

  private constructor(writer: BlobWriter, blockBytes: number) {
    this.#writer = writer;
    this.#blockBytes = blockBytes;
  }

  /** Writes what `fill` adds, and seals it: durable when it resolves. Nothing is left behind when it fails. */
  static async write(
    blobs: BlobStore,
    name: string,
    blockBytes: number,
    fill: (segment: ColdSegmentWriter) => Promise<void>,
  ): Promise<ColdBlockRef[]> {
    const writer = await blobs.create(name);
    const segment = new ColdSegmentWriter(writer, blockBytes);
    try {
      await fill(segment);
      await segment.#endBlock();
      const index = packr.pack(segment.#blocks);
      const footer = Buffer.alloc(8);
      footer.writeUInt32LE(index.byteLength, 0);
      footer.writeUInt32LE(crc32(index), 4);
      await writer.write(index);
      await writer.write(footer);
      await writer.seal();
      return segment.#blocks;
    } catch (error) {
      await writer.abort().catch(() => {});
      throw error;
    }
  }

  /** Entries come by partition, in order of offset. To be awaited when it gives a promise: a block is written. */
  add(topicId: number, partition: number, entry: ColdEntry): Promise<void> | undefined {
    const ended = topicId !== this.#topicId || partition !== this.#partition ? this.#endBlock() : undefined;
    this.#topicId = topicId;
    this.#partition = partition;
    this.#entries.push(entry);
    this.#bytes += entry.bytes.byteLength;
    return this.#bytes < this.#blockBytes ? ended : this.#after(ended);
  }

  async #after(ended: Promise<void> | undefined): Promise<void> {
    await ended;
    await this.#endBlock();
  }

  #endBlock(): Promise<void> | undefined {
    const first = this.#entries[0];
    const last = this.#entries.at(-1);
    if (first === undefined || last === undefined) return undefined;
    // One buffer for all blocks: thousands of their own would wait for a collection that comes only after 64 MiB.
    if (this.#buffer.byteLength < 4 + this.#bytes) this.#buffer = Buffer.allocUnsafeSlow(4 + this.#bytes * 2);
    const block = this.#buffer.subarray(0, 4 + this.#bytes);
    let at = 4;
    let messages = 0;
    for (const entry of this.#entries) {
      at += entry.bytes.copy(block, at);
      messages += entry.count;
    }
    block.writeUInt32LE(crc32(block.subarray(4)), 0);
    this.#blocks.push({
      topicId: this.#topicId,
      partition: this.#partition,
      from: first.base,
      to: last.base + last.count,
      at: this.#written,
      bytes: block.byteLength,
      messages,
      newestAt: last.publishedAt,
    });
    this.#entries = [];
    this.#bytes = 0;
    this.#written += block.byteLength;
    return this.#writer.write(block);
  }
}

/** Refuses a block that is not what was written. @throws JOURNAL_CORRUPT naming the place */
export function checkBlock(block: Buffer, blob: string, at: number): void {
  if (block.byteLength > 4 && crc32(block.subarray(4)) === block.readUInt32LE(0)) return;
  throw new RailheadError(
    'JOURNAL_CORRUPT',
    `The cold block at byte ${at} of ${blob} is damaged. Restore the file from a copy, or give up what was in it.`,
  );
}
