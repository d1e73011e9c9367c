import { RailheadError } from '../core/errors.ts';
import { accept } from './accept.ts';
import { toRailheadError } from './failure.ts';
import { Feed } from './feed.ts';
import type { ConsumerOptions, FeedOwner, Source } from './feed.ts';
import type { Lease } from './lease.ts';
import { Message } from './message.ts';

export interface MessagesOptions extends ConsumerOptions {
  /** Messages fetched ahead of the loop. Default 10. */
  prefetch?: number;
  /** Ends the loop, quietly: what was not handed out is given back. */
  signal?: AbortSignal;
}

/**
 * Messages one after the other, for `for await`. The lease of the one in the loop's body is extended until the next is
 * asked for; after that it is the caller's. Leaving the loop ends it.
 */
export interface MessageStream<T> extends AsyncIterableIterator<Message<T>, undefined>, AsyncDisposable {
  /** What leaving the loop calls. */
  return(): Promise<IteratorResult<Message<T>, undefined>>;
  /** Gives back what was not handed out, and waits for the settlements under way. */
  close(): Promise<void>;
}

/** What `queue.messages` makes. */
export class FeedStream<T> implements MessageStream<T>, FeedOwner {
  readonly #source: Source<T>;
  readonly #feed: Feed<T>;
  readonly #prefetch: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => void this.close();
  #current: Lease | undefined;
  #wake: (() => void) | undefined;
  #failure: RailheadError | undefined;
  #started = false;
  #closing: Promise<void> | undefined;

  constructor(source: Source<T>, options: MessagesOptions) {
    const { prefetch = 10 } = options;
    if (!Number.isInteger(prefetch) || prefetch < 1) {
      throw new RailheadError('INVALID', `The prefetch is ${prefetch}; write a whole number of at least 1.`);
    }
    this.#source = source;
    this.#prefetch = prefetch;
    this.#feed = new Feed(source, options, this);
    this.#signal = options.signal;
  }

  async next(): Promise<IteratorResult<Message<T>, undefined>> {
    this.#current = undefined;
    this.#start();
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closing !== undefined) {
        await this.#closing;
        return { done: true, value: undefined };
      }
      const message = this.#feed.waiting.shift();
      if (message === undefined) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        continue;
      }
      this.#refill();
      if (!(await accept(message))) continue;
      this.#current = Message.leaseOf(message);
      this.#source.settler.traced?.received([message]);
      return { done: false, value: message };
    }
  }

  async return(): Promise<IteratorResult<Message<T>, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    if (this.#signal?.aborted) return this.#onAbort();
    this.#source.client.assertOpen();
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#source.client.opened(this);
    void this.#feed.start();
  }

  #refill(): void {
    const missing = this.#prefetch - this.#feed.waiting.length - this.#feed.outstanding;
    if (missing >= this.#prefetch / 4) this.#feed.credit(missing);
  }

  async #close(): Promise<void> {
    const { client, settler } = this.#source;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#wake?.();
    try {
      await this.#feed.stop();
    } catch (error) {
      // The broker gives everything back when the session is gone.
      if (!RailheadError.is(error, 'CONNECTION_LOST')) this.#failure ??= toRailheadError(error);
    }
    this.#feed.end();
    await settler.drain();
    client.ended(this);
  }

  subscribed(): void {
    this.#refill();
  }

  arrived(): void {
    this.#wake?.();
    this.#refill();
  }

  failed(error: RailheadError): void {
    this.#failure = error;
    this.#wake?.();
    void this.close();
  }

  *working(): Iterable<Lease> {
    if (this.#current !== undefined) yield this.#current;
  }
}
