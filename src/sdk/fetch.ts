import { RailheadError } from '../core/errors.ts';
import { realTime } from '../core/real-time.ts';
import { durationMs } from '../core/units.ts';
import type { Duration } from '../core/units.ts';
import type { Closable } from './client.ts';
import { Feed } from './feed.ts';
import type { ConsumerOptions, FeedOwner, Source } from './feed.ts';
import type { Message } from './message.ts';
import { accept } from './accept.ts';
import { aborted, sleep } from './tick.ts';

export interface FetchOptions extends ConsumerOptions {
  /** At most this many messages. Default 1. */
  max?: number;
  /**
   * How long to wait when nothing is there: as with long polling elsewhere, the first messages that arrive end the wait,
   * and fewer than `max` may come. Default: not at all.
   */
  wait?: Duration;
  /** Ends the wait: what arrived is given back, and the call rejects with ABORTED. */
  signal?: AbortSignal;
}

/** How long messages that the broker says are ready may take to arrive. */
const READY_WAIT_MS = 1_000;
/** When fewer have come so far, the broker is asked whether another consumer was quicker; then after twice as long. */
const ASK_AFTER_MS = 5;
/** So often it must say that nothing is ready before a fetch that got nothing gives up: it may be on its way. */
const EMPTY_ANSWERS = 3;

/**
 * Takes what is there, up to `max`; waits only while there is nothing. The leases run from now on and are not
 * extended by themselves.
 */
export async function fetchMessages<T>(source: Source<T>, options: FetchOptions): Promise<Message<T>[]> {
  const { max = 1, signal } = options;
  if (!Number.isInteger(max) || max < 1)
    throw new RailheadError('INVALID', `max is ${max}; write a whole number of at least 1.`);
  let waitMs = durationMs(options.wait ?? '0ms', 'wait');
  if (signal?.aborted) throw aborted(signal);
  await source.declared.get();
  let there: number | null = null;
  if (waitMs === 0) {
    const { ready, paused } = await source.client.request('subscriptionStats', source.ref);
    if (ready === 0 || paused) return [];
    waitMs = READY_WAIT_MS;
    there = ready;
  }
  const beganAt = realTime.now();
  const messages = await new Fetch(source, options, max, there).run(waitMs, signal);
  source.settler.traced?.received(messages, beganAt);
  return messages;
}

/** A consumer that lives for one fetch: credit that was given cannot be taken back in another way than to end it. */
class Fetch<T> implements FeedOwner, Closable {
  readonly #source: Source<T>;
  readonly #feed: Feed<T>;
  readonly #max: number;
  readonly #atLeast: number;
  /** The messages are said to be there: nothing else is waited for. */
  readonly #isThere: boolean;
  readonly #enough = Promise.withResolvers<void>();
  readonly #ended = new AbortController();

  constructor(source: Source<T>, options: ConsumerOptions, max: number, ready: number | null) {
    this.#source = source;
    this.#isThere = ready !== null;
    this.#feed = new Feed(source, options, this);
    this.#max = max;
    // A connection delivers the first few alone: all that is there was asked for.
    this.#atLeast = Math.min(max, ready ?? 1);
  }

  async run(waitMs: number, signal: AbortSignal | undefined): Promise<Message<T>[]> {
    const { client } = this.#source;
    client.assertOpen();
    client.opened(this);
    const cancel = client.clock.timer(client.clock.now() + waitMs, () => this.#enough.resolve());
    const onAbort = (): void => void (signal !== undefined && this.#enough.reject(aborted(signal)));
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      void this.#feed.start();
      if (this.#isThere) this.#askWhetherGone().catch(() => undefined);
      await this.#enough.promise;
      // What arrives while it ends belongs to this fetch as well.
      await this.#feed.stop();
      return await this.#accepted();
    } finally {
      this.#ended.abort();
      cancel();
      signal?.removeEventListener('abort', onAbort);
      await this.#feed.stop();
      this.#feed.end();
      client.ended(this);
    }
  }

  /** Ends the wait for messages that somebody else has by now. @throws ABORTED when the fetch is over. */
  async #askWhetherGone(): Promise<void> {
    const { client, ref } = this.#source;
    for (let pause = ASK_AFTER_MS, empty = 0; ; pause *= 2) {
      await sleep(client.clock, pause, this.#ended.signal);
      // What fails here fails the feed as well, or the wait ends by its time.
      const stats = await client.request('subscriptionStats', ref).catch(() => undefined);
      if (stats === undefined || stats.ready > 0) continue;
      if (this.#feed.waiting.length > 0 || ++empty === EMPTY_ANSWERS) this.#enough.resolve();
    }
  }

  async #accepted(): Promise<Message<T>[]> {
    const messages: Message<T>[] = [];
    for (const message of this.#feed.waiting.clear()) {
      if (await accept(message)) messages.push(message);
    }
    return messages;
  }

  async close(): Promise<void> {
    this.#enough.reject(new RailheadError('CLOSED', 'The rail was closed while a fetch waited.'));
    await this.#enough.promise.catch(() => undefined);
  }

  subscribed(): void {
    this.#feed.credit(this.#max);
  }

  arrived(): void {
    if (this.#feed.waiting.length >= this.#atLeast) this.#enough.resolve();
  }

  failed(error: RailheadError): void {
    this.#enough.reject(error);
  }

  working(): [] {
    return [];
  }
}
