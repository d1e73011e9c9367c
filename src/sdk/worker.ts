import { RailheadError } from '../core/errors.ts';
import { durationMs, formatDuration } from '../core/units.ts';
import type { Duration } from '../core/units.ts';
import { msUntil } from './envelope.ts';
import { toRailheadError } from './failure.ts';
import { Feed } from './feed.ts';
import type { ConsumerOptions, FeedOwner, Source } from './feed.ts';
import { Job } from './job.ts';
import type { WorkContext } from './job.ts';
import { ACK } from './lease.ts';
import type { Lease } from './lease.ts';
import { Message, StoredMessage } from './message.ts';
import type { Host } from './host.ts';
import { Reject, Retry, errorText } from './outcome.ts';
import { Pace } from './pace.ts';
import { rangeOf } from './settler.ts';

/** Works on one message. Returning acknowledges it; throwing gives it back, to be tried again after the backoff. */
export type Handler<T> = (message: Message<T>, context: WorkContext) => unknown;

export interface WorkOptions<T = unknown> extends ConsumerOptions {
  /** How many handlers run at the same time. Default 1. */
  concurrency?: number;
  /** How long one handler may take, its lease extended all the while. Then its signal aborts, and the attempt counts as failed. Default 1 h. */
  timeout?: Duration;
  /** Messages fetched ahead of the handlers. Default: as many as they get through in 20 ms, so that slow work stays with others. */
  prefetch?: number;
  /** Stops the worker, as `close` does. */
  signal?: AbortSignal;
  /**
   * Told of every failed attempt, every lost lease, and what ends the worker (then without a message). Without it, a
   * failed attempt is only recorded in the broker, a lost lease is a process warning, and the end rejects `finished`.
   */
  onError?: (error: unknown, message?: Message<T>) => void;
}

export interface CloseOptions {
  /** How long running handlers may go on; then their signals abort and their messages are given back, uncounted. Default 10 s. */
  drain?: Duration;
}

const DEFAULT_TIMEOUT: Duration = '1h';
const DEFAULT_DRAIN: Duration = '10s';

/** Handlers at work on a queue or subscription. Keeps the process alive until it is closed. */
export interface Worker extends AsyncDisposable {
  /** Resolves when the worker was closed. Rejects when it cannot go on: its queue was deleted, access was withdrawn. */
  readonly finished: Promise<void>;
  /** How many handlers run now. */
  readonly running: number;
  /** Takes no more messages, gives back what no handler has begun, and waits for the handlers that run. */
  close(options?: CloseOptions): Promise<void>;
}

/** What `queue.work` makes. */
export class HandlerWorker<T> implements Worker, FeedOwner {
  readonly #source: Source<T>;
  readonly #host: Host;
  readonly #handler: Handler<T>;
  readonly #feed: Feed<T>;
  readonly #concurrency: number;
  readonly #timeoutMs: number;
  readonly #pace: Pace;
  readonly #onError: WorkOptions<T>['onError'];
  readonly #jobs = new Set<Job<T>>();
  #starting = false;
  readonly #finished = Promise.withResolvers<void>();
  readonly #unlisten: () => void;
  #cancelTimeout: (() => void) | undefined;
  #drained: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(source: Source<T>, host: Host, handler: Handler<T>, options: WorkOptions<T>) {
    const { concurrency = 1, prefetch } = options;
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      throw new RailheadError('INVALID', `The concurrency is ${concurrency}; write a whole number of at least 1.`);
    }
    if (prefetch !== undefined && (!Number.isInteger(prefetch) || prefetch < 0)) {
      throw new RailheadError('INVALID', `The prefetch is ${prefetch}; write a whole number of at least 0.`);
    }
    this.#source = source;
    this.#host = host;
    this.#handler = handler;
    this.#concurrency = concurrency;
    this.#timeoutMs = durationMs(options.timeout ?? DEFAULT_TIMEOUT, 'The timeout');
    this.#pace = new Pace(source.client.clock, prefetch);
    this.#onError = options.onError;
    // Whoever listens to errors was told; otherwise an end that nobody looks at is an unhandled rejection, on purpose.
    if (options.onError !== undefined) this.#finished.promise.catch(() => undefined);
    this.#feed = new Feed(source, options, this);
    const { signal } = options;
    const onAbort = (): void => void this.close();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#unlisten = () => signal?.removeEventListener('abort', onAbort);
    source.client.assertOpen();
    source.client.opened(this);
    if (signal?.aborted) onAbort();
    else void this.#feed.start();
  }

  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  get running(): number {
    return this.#jobs.size;
  }

  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(durationMs(options.drain ?? DEFAULT_DRAIN, 'The drain'));
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- The feed's owner -------------------------------------------------------------------------------------------

  subscribed(): void {
    this.#refill();
  }

  arrived(): void {
    // A handler that does not wait ends inside this loop, which then goes on by itself.
    if (this.#closing !== undefined || this.#starting) return;
    this.#starting = true;
    while (this.#jobs.size < this.#concurrency) {
      const message = this.#feed.waiting.shift();
      if (message === undefined) break;
      // Given back or lost while it waited.
      if (Message.leaseOf(message).state === 'held') void this.#run(message);
    }
    this.#starting = false;
    this.#refill();
  }

  failed(error: RailheadError): void {
    this.#onError?.(error);
    this.#finished.reject(error);
    void this.close();
  }

  *working(): Iterable<Lease> {
    for (const job of this.#jobs) yield job.lease;
  }

  // ---- One message ------------------------------------------------------------------------------------------------

  async #run(message: Message<T>): Promise<void> {
    const job = new Job(message, this.#source.client.clock.now(), this.#host, this.#lost);
    this.#jobs.add(job);
    this.#cancelTimeout ??= this.#armTimeout(job);
    try {
      const check = StoredMessage.prepare(message);
      if (check !== undefined) await check;
      const result = this.#handle(message, job);
      if (isThenable(result)) await result;
      if (job.outbox !== undefined) await this.#commit(job, job.outbox);
      else if (!job.over) job.lease.settleQuietly(ACK);
      job.span?.end();
    } catch (error) {
      this.#giveUp(job, error);
    }
    this.#end(job);
  }

  #handle(message: Message<T>, job: Job<T>): unknown {
    const { traced } = this.#source.settler;
    if (traced === undefined) return this.#handler(message, job);
    job.span = traced.process(message);
    return job.span.run(() => this.#handler(message, job));
  }

  /** The ack and what the handler sent, in one entry. */
  async #commit(job: Job<T>, outbox: NonNullable<Job<T>['outbox']>): Promise<void> {
    const publishes = await outbox.take();
    const problem = job.lease.problem();
    // Acked by hand, or taken away by a timeout: sending without the ack is not what `ctx.send` promised.
    if (problem !== undefined) throw problem;
    const { client, ref } = this.#source;
    const session = await client.session();
    job.lease.state = 'settled';
    try {
      await session.commit({
        publishes,
        settlements: [{ ...ref, ranges: [rangeOf(job.lease)], action: 'ack' }],
        cursors: [],
      });
    } catch (error) {
      job.lease.state = 'held';
      if (RailheadError.is(error, 'LEASE_LOST')) job.lease.lose();
      throw error;
    }
  }

  #giveUp(job: Job<T>, error: unknown): void {
    job.span?.fail(error);
    if (!job.over && job.lease.state !== 'lost') this.#onError?.(error, job.message);
    if (job.over) return;
    if (Retry.is(error)) {
      const { after, count } = error;
      const delay =
        after === undefined
          ? {}
          : { delayMs: msUntil(this.#source.client.clock, after, 'The time of the next attempt') };
      job.lease.settleQuietly({ action: 'release', countAttempt: count, error: errorText(error), ...delay });
    } else if (Reject.is(error)) job.lease.settleQuietly({ action: 'reject', reason: errorText(error.message) });
    // No attempt after this one could read the body either.
    else if (isBodyFailure(error, job.message)) job.lease.settleQuietly({ action: 'reject', reason: errorText(error) });
    else job.lease.settleQuietly({ action: 'release', countAttempt: true, error: errorText(error) });
  }

  #end(job: Job<T>): void {
    job.over = true;
    if (!this.#jobs.delete(job)) return;
    this.#pace.completed();
    if (this.#jobs.size === 0) this.#drained?.();
    this.arrived();
  }

  readonly #lost = (job: Job<T>, error: RailheadError): void => {
    if (this.#onError !== undefined) this.#onError(error, job.message);
    else
      process.emitWarning(
        `Message ${job.message.id} of ${JSON.stringify(this.#source.ref.subscription)}: ${error.message}`,
        { type: 'RailheadWarning', code: error.code },
      );
  };

  // ---- Room and time ----------------------------------------------------------------------------------------------

  #refill(): void {
    if (this.#closing !== undefined) return;
    const target = this.#concurrency + this.#pace.ahead();
    const inHand = this.#jobs.size + this.#feed.waiting.length;
    const missing = target - inHand - this.#feed.outstanding;
    // Not for every message: a quarter at a time, so that credit costs nothing.
    if (missing >= target / 4) this.#feed.credit(missing);
  }

  /** Jobs start in the order of the set, so the first one is the first to run out of time. */
  #armTimeout(job: Job<T>): () => void {
    return this.#source.client.clock.timer(job.startedAt + this.#timeoutMs, this.#timeOut);
  }

  readonly #timeOut = (): void => {
    this.#cancelTimeout = undefined;
    const now = this.#source.client.clock.now();
    for (const job of this.#jobs) {
      if (job.startedAt + this.#timeoutMs > now) {
        this.#cancelTimeout = this.#armTimeout(job);
        return;
      }
      const error = new RailheadError(
        'TIMEOUT',
        `The handler did not end within its timeout of ${formatDuration(this.#timeoutMs)}. Watch ctx.signal, or give it more time.`,
      );
      job.abort(error);
      this.#giveUp(job, error);
      // Its place is free: a handler that ignores its signal must not stop the worker.
      this.#end(job);
    }
  };

  // ---- The end ----------------------------------------------------------------------------------------------------

  async #close(drainMs: number): Promise<void> {
    const { client, settler } = this.#source;
    this.#unlisten();
    try {
      await this.#feed.stop();
    } catch (error) {
      // The broker gives everything back when the session is gone.
      if (!RailheadError.is(toRailheadError(error), 'CONNECTION_LOST')) this.#onError?.(error);
    }
    for (const message of this.#feed.waiting.clear())
      Message.leaseOf(message).settleQuietly({ action: 'release', countAttempt: false });
    await this.#drain(drainMs);
    this.#feed.end();
    this.#cancelTimeout?.();
    await settler.drain();
    client.ended(this);
    this.#finished.resolve();
  }

  async #drain(drainMs: number): Promise<void> {
    if (this.#jobs.size === 0) return;
    if (drainMs > 0) {
      const { clock } = this.#source.client;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#drained = resolve;
      const cancel = clock.timer(clock.now() + drainMs, resolve);
      await promise;
      cancel();
    }
    const closed = new RailheadError('CLOSED', 'The worker closes and does not wait any longer.');
    for (const job of this.#jobs) {
      job.over = true;
      job.span?.fail(closed);
      job.abort(closed);
      job.lease.settleQuietly({ action: 'release', countAttempt: false });
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function isBodyFailure(error: unknown, message: Message<unknown>): boolean {
  return RailheadError.is(error, 'SCHEMA') && StoredMessage.failureOf(message) === error;
}
