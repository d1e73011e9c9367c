import type { Envelope } from '../../core/records.ts';

const MOST = 8;
/** Of all that are kept, about, once they are opened. The one that was asked for last is kept, however large it is. */
const MAX_BYTES = 32 << 20;
/** What a record takes beside its body. */
const RECORD_BYTES = 200;

interface Opened {
  readonly bytes: Buffer;
  /** Or why it cannot be opened. */
  readonly envelopes: readonly Envelope[] | Error;
  readonly size: number;
}

/**
 * The batches that were opened last. Who speaks another protocol is given records one by one, and would else have all of a
 * batch opened for each of them.
 */
export class OpenedBatches {
  readonly #open: (bytes: Buffer) => readonly Envelope[];
  /** The one that was asked for last is the last. */
  readonly #recent: Opened[] = [];
  #size = 0;

  constructor(open: (bytes: Buffer) => readonly Envelope[]) {
    this.#open = open;
  }

  /** @throws what opening it does */
  envelopes(bytes: Buffer): readonly Envelope[] {
    const { envelopes } = this.#take(bytes);
    if (envelopes instanceof Error) throw envelopes;
    return envelopes;
  }

  #take(bytes: Buffer): Opened {
    // All of its bytes are compared: a checksum is easily made the same.
    const at = this.#recent.findLastIndex((each) => each.bytes.equals(bytes));
    const [known] = at === -1 ? [] : this.#recent.splice(at, 1);
    if (known !== undefined) {
      this.#recent.push(known);
      return known;
    }
    // What it lies in, such as a block of the journal, is not kept for it, and may be overwritten.
    const opened = opening(Buffer.from(bytes), this.#open);
    this.#recent.push(opened);
    this.#size += opened.size;
    while (this.#recent.length > 1 && (this.#recent.length > MOST || this.#size > MAX_BYTES))
      this.#size -= this.#recent.shift()?.size ?? 0;
    return opened;
  }
}

function opening(bytes: Buffer, open: (bytes: Buffer) => readonly Envelope[]): Opened {
  try {
    const envelopes = open(bytes);
    let size = bytes.byteLength;
    for (const { body } of envelopes) size += RECORD_BYTES + body.byteLength;
    return { bytes, envelopes, size };
  } catch (error) {
    return { bytes, envelopes: error instanceof Error ? error : new Error(String(error)), size: bytes.byteLength };
  }
}
