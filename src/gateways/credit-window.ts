import type { Consumer } from '../core/session.ts';
import type { ByteOutput } from '../wire/byte-output.ts';

/** Messages that the engine may be asked for at once before it is known how large they are: 4 of 16 MiB are 64 MiB. */
const FIRST_WINDOW = 4;
const MAX_WINDOW = 8_192;

/**
 * Credit of a client for a consumer, or for several with one pool, passed on to the engine in windows, each about as large as the high-water mark by the size of the
 * last messages, and none while the connection is behind: a client with a credit of a million must not make the broker
 * hold a million messages for it.
 */
export class CreditWindow {
  readonly #out: ByteOutput;
  readonly #highWaterBytes: number;
  /** Have credit that was not passed on: `pump` them when the connection has sent something. */
  readonly #waiting: Set<CreditWindow>;
  /** Those that share it, and whether each is in the middle of something: then nothing is passed on. */
  readonly #consumers = new Map<Consumer, () => boolean>();
  /** Credit of the client that the engine does not know of yet. */
  #held = 0;
  /** Credit that the engine has and has not used. */
  #given = 0;
  #window = FIRST_WINDOW;
  #stopped = false;

  constructor(out: ByteOutput, highWaterBytes: number, waiting: Set<CreditWindow>) {
    this.#out = out;
    this.#highWaterBytes = highWaterBytes;
    this.#waiting = waiting;
  }

  /** @param busy while it says so, nothing is passed on; whoever said it pumps when it is over */
  join(consumer: Consumer, busy = (): boolean => false): void {
    this.#consumers.set(consumer, busy);
    this.#stopped = false;
    this.pump();
  }

  /** When the last one leaves, no more credit is passed on. */
  leave(consumer: Consumer | undefined): void {
    if (consumer !== undefined) this.#consumers.delete(consumer);
    if (this.#consumers.size > 0) return;
    this.#stopped = true;
    this.#held = 0;
    this.#waiting.delete(this);
  }

  credit(messages: number): void {
    this.#held = Math.min(this.#held + messages, Number.MAX_SAFE_INTEGER);
    this.pump();
  }

  pump(): void {
    if (this.#stopped || this.#held === 0) {
      this.#waiting.delete(this);
      return;
    }
    const [consumer] = this.#consumers.keys();
    const busy = [...this.#consumers.values()].some((each) => each());
    const give = busy ? 0 : Math.min(this.#held, this.#window - this.#given);
    if (consumer !== undefined && give > 0 && this.#out.waitingBytes < this.#highWaterBytes) {
      this.#held -= give;
      this.#given += give;
      consumer.credit(give);
    }
    if (this.#held > 0) this.#waiting.add(this);
    else this.#waiting.delete(this);
  }

  /** The engine delivered: its credit is used, and the sizes tell how large the next window may be. */
  delivered(messages: number, bytes: number): void {
    this.#given -= messages;
    const fitting = Math.floor((this.#highWaterBytes * messages) / Math.max(1, bytes));
    this.#window = Math.max(1, Math.min(MAX_WINDOW, fitting));
  }
}
