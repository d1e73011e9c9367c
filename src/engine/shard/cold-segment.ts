import { crc32 } from 'node:zlib';
import { Packr } from 'msgpackr';
import { RailheadError } from '../../core/errors.ts';
import type { ColdBlockRef } from '../entries.ts';
import type { BlobStore, BlobWriter } from '../ports.ts';

const packr = new Packr({ useRecords: false });
const CRC_BYTES = 4;

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
  /** The block that gathers; `#from` is undefined as long as there is nothing in it. */
  #topicId = 0;
  #partition = 0;
  #from: number | undefined;
  #to = 0;
  #messages = 0;
  #newestAt = 0;
  /** One buffer for all blocks: thousands of their own would wait for a collection that comes only after 64 MiB. */
  #buffer: Buffer = Buffer.alloc(0);
  #bytes = CRC_BYTES;

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

  /**
   * Entries come by partition, in order of offset, and are copied. To be awaited when it gives a promise: a block is
   * written.
   */
  add(topicId: number, partition: number, entry: ColdEntry): Promise<void> | undefined {
    const isOther = topicId !== this.#topicId || partition !== this.#partition;
    const ended = isOther ? this.#endBlock() : undefined;
    return ended === undefined
      ? this.#gather(topicId, partition, entry)
      : ended.then(() => this.#gather(topicId, partition, entry));
  }

  #gather(topicId: number, partition: number, entry: ColdEntry): Promise<void> | undefined {
    this.#topicId = topicId;
    this.#partition = partition;
    const end = this.#bytes + entry.bytes.byteLength;
    if (end > this.#buffer.byteLength) {
      const larger = Buffer.allocUnsafeSlow(end * 2);
      this.#buffer.copy(larger, 0, 0, this.#bytes);
      this.#buffer = larger;
    }
    entry.bytes.copy(this.#buffer, this.#bytes);
    this.#bytes = end;
    this.#messages += entry.count;
    this.#from ??= entry.base;
    this.#to = entry.base + entry.count;
    this.#newestAt = entry.publishedAt;
    return end < this.#blockBytes ? undefined : this.#endBlock();
  }

  #endBlock(): Promise<void> | undefined {
    if (this.#from === undefined) return undefined;
    const block = this.#buffer.subarray(0, this.#bytes);
    block.writeUInt32LE(crc32(block.subarray(CRC_BYTES)), 0);
    this.#blocks.push({
      topicId: this.#topicId,
      partition: this.#partition,
      from: this.#from,
      to: this.#to,
      at: this.#written,
      bytes: block.byteLength,
      messages: this.#messages,
      newestAt: this.#newestAt,
    });
    this.#written += block.byteLength;
    this.#from = undefined;
    this.#messages = 0;
    this.#bytes = CRC_BYTES;
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
