import type { Room } from '../room.ts';
import type { AmqpOutput } from './codec.ts';

/** A content whose body lies apart. */
export interface LargeContent {
  readonly bodyBytes: number;
  /** Writes the method and the header, or says that it is not wanted any more. */
  head(): 'begun' | 'unwanted';
  /** The next piece of the body. */
  read(from: number): Promise<Uint8Array>;
  /** It cannot be sent to its end, so that the client cannot be told anything else on this channel. */
  failed(error: unknown): void;
}

/**
 * Large contents of one connection go out in pieces that are read as the socket takes them, so that none is in memory
 * as a whole. What else is said to their channel waits, since a content is not to be interrupted; other channels go on.
 */
export class LargeContents {
  readonly #out: AmqpOutput;
  readonly #room: Room;
  readonly #onIdle: () => void;
  /** By channel. */
  readonly #sending = new Map<number, PromiseWithResolvers<void>>();
  #stopped = false;

  /** @param onIdle called whenever one is sent: its channel may get more */
  constructor(out: AmqpOutput, room: Room, onIdle: () => void) {
    this.#out = out;
    this.#room = room;
    this.#onIdle = onIdle;
  }

  busy(channel: number): boolean {
    return this.#sending.has(channel);
  }

  /** Resolves when nothing is on its way to the channel, or nothing will arrive any more. */
  async idle(channel: number): Promise<void> {
    for (let one = this.#sending.get(channel); one !== undefined; one = this.#sending.get(channel)) await one.promise;
  }

  send(channel: number, content: LargeContent): void {
    if (!this.#stopped) this.#out.inTurn(channel, () => this.#start(channel, content));
  }

  /** The connection is over. */
  stop(): void {
    this.#stopped = true;
    for (const [channel, { resolve }] of this.#sending) {
      this.#sending.delete(channel);
      resolve();
    }
  }

  #start(channel: number, content: LargeContent): void {
    if (this.#stopped || content.head() === 'unwanted') return;
    const sending = Promise.withResolvers<void>();
    this.#sending.set(channel, sending);
    this.#out.hold(channel);
    this.#stream(channel, content)
      .catch((error: unknown) => content.failed(error))
      .finally(() => {
        if (this.#stopped) return;
        this.#sending.delete(channel);
        this.#out.release(channel);
        sending.resolve();
        this.#onIdle();
      });
  }

  async #stream(channel: number, content: LargeContent): Promise<void> {
    const { bodyBytes } = content;
    for (let sent = 0; sent < bodyBytes;) {
      await this.#room.wait();
      if (this.#stopped) return;
      const piece = await content.read(sent);
      if (piece.byteLength === 0 || sent + piece.byteLength > bodyBytes)
        throw new Error(`Railhead bug: ${piece.byteLength} bytes of a body of ${bodyBytes} at ${sent}`);
      this.#out.bodyPiece(channel, piece);
      sent += piece.byteLength;
    }
  }
}
