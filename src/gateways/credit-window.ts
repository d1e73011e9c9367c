import type { Consumer } from '../core/session.ts';
import type { ByteOutput } from '../wire/byte-output.ts';

/** Messages that the engine may be asked for at once before it is known how large they are: 4 of 16 MiB are 64 MiB. */
const FIRST_WINDOW = 4;
const MAX_WINDOW = 8_192;

/**
 * Credit of a client for a consumer, or for several with one pool, passed on to the engine in windows, and none while the
 * connection is behind: a client with a credit of a million must not make the broker hold a million messages for it. A
 * window is about as large as the high-water mark, or as the part that this consumer has of the send buffers, by the size
 * of the last messages.
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
  /** Of one message, by those that came last; 0 until some have come. */
  #messageBytes = 0;
  #stopped = false;

  constructor(out: ByteOutput, highWaterBytes: number, waiting: Set<CreditWindow>) {
    this.#out = out;
    this.#highWaterBytes = highWaterBytes;
    this.#waiting = waiting;
  }

  /** @param busy while it says so, nothing is passed on; whoever said it pumps when it is over */
  join(consumer: Consumer, busy = (): boolean => false): void {
    if (this.#consumers.size === 0) this.#out.join();
    this.#consumers.set(consumer, busy);
    this.#stopped = false;
    this.pump();
  }

  /** When the last one leaves, no more credit is passed on. */
  leave(consumer: Consumer | undefined): void {
    const left = consumer !== undefined && this.#consumers.delete(consumer);
    if (this.#consumers.size > 0) return;
    if (left) this.#out.leave();
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
    const bytes = this.#out.fairBytes(this.#highWaterBytes);
    const give = this.#flows(bytes) ? Math.min(this.#held, this.#windowOf(bytes) - this.#given) : 0;
    if (consumer !== undefined && give > 0) {
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
    this.#messageBytes = Math.max(1, bytes) / messages;
  }

  /** Its client takes more than the engine knows of, and the connection keeps up: the engine hears of more in a moment. */
  get thirsty(): boolean {
    return this.#held > 0 && !this.#stopped && this.#flows(this.#out.fairBytes(this.#highWaterBytes));
  }

  /** What was delivered was written: if more has to wait now, nobody else waits for this one. */
  written(consumer: Consumer | undefined): void {
    if (this.#held > 0 && !this.thirsty) consumer?.credit(0);
  }

  /** Nothing is in the middle of something, and the connection is not behind. */
  #flows(bytes: number): boolean {
    for (const busy of this.#consumers.values()) if (busy()) return false;
    return this.#out.waitingBytes < bytes;
  }

  /** Messages that are about so many bytes. */
  #windowOf(bytes: number): number {
    if (this.#messageBytes === 0) return bytes < this.#highWaterBytes ? 1 : FIRST_WINDOW;
    return Math.max(1, Math.min(MAX_WINDOW, Math.floor(bytes / this.#messageBytes)));
  }
}
