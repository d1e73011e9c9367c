import type { Envelope } from '../../core/records.ts';

const MOST = 8;
/** Of one batch, about, once it is opened. */
const MAX_BYTES = 4 << 20;
/** What a record takes beside its body. */
const RECORD_BYTES = 200;

interface Opened {
  readonly bytes: Buffer;
  readonly envelopes: readonly Envelope[];
}

/**
 * The batches that were opened last. Who speaks another protocol is given records one by one, and would else have all of a
 * batch opened for each of them.
 */
export class OpenedBatches {
  readonly #open: (bytes: Buffer) => readonly Envelope[];
  /** The one that was asked for last is the last. */
  readonly #recent: Opened[] = [];

  constructor(open: (bytes: Buffer) => readonly Envelope[]) {
    this.#open = open;
  }

  /** @throws what opening it does */
  envelopes(bytes: Buffer): readonly Envelope[] {
    // All of its bytes are compared: a checksum is easily made the same.
    const at = this.#recent.findIndex((each) => each.bytes.equals(bytes));
    const [known] = at === -1 ? [] : this.#recent.splice(at, 1);
    if (known !== undefined) {
      this.#recent.push(known);
      return known.envelopes;
    }
    // What it lies in, such as a block of the journal, is not kept for it, and may be overwritten.
    const copy = Buffer.from(bytes);
    const opened = { bytes: copy, envelopes: this.#open(copy) };
    if (!isSmall(opened)) return opened.envelopes;
    this.#recent.push(opened);
    if (this.#recent.length > MOST) this.#recent.shift();
    return opened.envelopes;
  }
}

function isSmall({ bytes, envelopes }: Opened): boolean {
  let size = bytes.byteLength;
  for (const { body } of envelopes) size += RECORD_BYTES + body.byteLength;
  return size <= MAX_BYTES;
}
