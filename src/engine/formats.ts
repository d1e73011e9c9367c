import { RailheadError } from '../core/errors.ts';
import {
  checkRecordHead,
  checkRecords,
  type Envelope,
  FORMAT_NATIVE,
  readRecord,
  RecordBatchWriter,
  recordEnd,
  recordHead,
  recordHeadBytes,
} from '../core/records.ts';

/**
 * How the engine understands records that it stores as they came. A gateway registers the format of its protocol;
 * the engine itself only knows the native one.
 */
export interface RecordFormat {
  readonly tag: number;
  readonly name: string;
  /** True where records with keys are plain all the same: whoever needs keys has to decode. */
  readonly plainHasKeys?: boolean;
  /**
   * Checks that `records` are `count` whole records, trusting nothing. True when every one is plain: a body and nothing
   * that the engine must look at. @throws INVALID
   */
  check(records: Buffer, count: number): boolean;
  /**
   * Where each record begins, and the end: `count + 1` offsets into a checked batch. Null when it cannot be cut, such
   * as a compressed batch: then it stays whole.
   */
  bounds(records: Buffer, count: number): Uint32Array | null;
  /** Every record of a checked batch, decoded. */
  envelopes(records: Buffer, count: number): readonly Envelope[];
  /** How many bytes of one checked record come before its body: what stays in the journal of a large message. */
  headBytes(record: Buffer): number;
  /**
   * The envelope, without its body, of one record of which `head` is all before a body of `bodyBytes`. Trusts nothing.
   *
   * @throws INVALID
   */
  head(head: Buffer, bodyBytes: number): Envelope;
  /**
   * Whether a message of a compacted topic says no more than that its key is gone. Without this: one with no body, or with
   * the null of JSON.
   */
  isRemoval?(envelope: Envelope): boolean;
}

/** The engine's own: that of the SDK. */
export const native: RecordFormat = {
  tag: FORMAT_NATIVE,
  name: 'native',
  check: (records, count) => checkRecords(records, count) === 0,
  bounds(records, count) {
    const bounds = new Uint32Array(count + 1);
    for (let i = 0, at = 0; i < count; i++) bounds[i + 1] = at = recordEnd(records, at);
    return bounds;
  },
  envelopes(records, count) {
    const envelopes: Envelope[] = [];
    for (let i = 0, at = 0; i < count; i++, at = recordEnd(records, at)) envelopes.push(readRecord(records, at));
    return envelopes;
  },
  headBytes: (record) => recordHeadBytes(record, 0),
  head(head, bodyBytes) {
    checkRecordHead(head, bodyBytes);
    return readRecord(head, 0);
  },
};

export class RecordFormats {
  readonly #byTag = new Map<number, RecordFormat>([[FORMAT_NATIVE, native]]);

  register(format: RecordFormat): void {
    if (this.#byTag.has(format.tag)) throw new Error(`Railhead bug: two record formats have the tag ${format.tag}`);
    this.#byTag.set(format.tag, format);
  }

  get(tag: number): RecordFormat {
    const format = this.#byTag.get(tag);
    if (format === undefined) {
      throw new RailheadError(
        'NOT_SUPPORTED',
        `Records of format ${tag} are not known here; known are ${[...this.#byTag.keys()].join(', ')}.`,
      );
    }
    return format;
  }

  /**
   * Every record of a checked batch, decoded. Of one that cannot be, which only a compressed batch can hide until then, each
   * is a record without a body and a header that says why: it lies in the log, and whoever waits for it must not wait for
   * ever.
   */
  readable(tag: number, records: Buffer, count: number): readonly Envelope[] {
    try {
      return this.get(tag).envelopes(records, count);
    } catch (error) {
      const unreadable: Envelope = { headers: unreadableBecause(error), body: Buffer.alloc(0) };
      return Array.from({ length: count }, () => unreadable);
    }
  }

  /** The records [from, to) of a checked batch as native ones, for those who do not read its format; see `readable`. */
  toNative(tag: number, records: Buffer, count: number, from = 0, to = count): Buffer {
    const writer = new RecordBatchWriter(records.byteLength);
    const envelopes = this.readable(tag, records, count);
    for (let i = from; i < to; i++) appendNative(writer, envelopes[i]);
    return writer.take().bytes;
  }

  /** The same of one record whose body lies apart. */
  headToNative(tag: number, head: Buffer, bodyBytes: number): Buffer {
    return recordHead(this.get(tag).head(head, bodyBytes), bodyBytes);
  }
}

function appendNative(writer: RecordBatchWriter, envelope: Envelope | undefined): void {
  if (envelope === undefined) throw new Error('Railhead bug: a format decodes fewer records than it has checked');
  try {
    writer.append(envelope, envelope.body);
  } catch (error) {
    writer.append({ headers: unreadableBecause(error) }, '');
  }
}

function unreadableBecause(error: unknown): { 'railhead-unreadable': string } {
  return { 'railhead-unreadable': error instanceof Error ? error.message : String(error) };
}
