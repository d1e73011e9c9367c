import { RailheadError } from '../core/errors.ts';
import { withLargeBodies } from '../core/large-body.ts';
import type {
  MessageHistory,
  MessageId,
  OperationName,
  Operations,
  SeekTarget,
  StartAt,
  SubscriptionRef,
} from '../core/session.ts';
import type { MessageState, PeekedMessage, SubscriptionStats } from '../core/stats.ts';
import type { Headers } from '../core/records.ts';
import type { Duration } from '../core/units.ts';
import type { DeadLetters } from './dead-letters.ts';
import { msUntil } from './envelope.ts';
import type { Source } from './feed.ts';
import { fetchMessages } from './fetch.ts';
import type { FetchOptions } from './fetch.ts';
import type { Message } from './message.ts';
import type { Host } from './host.ts';
import { expiryOf, snapshotOf } from './snapshot.ts';
import type { Snapshot, SnapshotOptions } from './snapshot.ts';
import { FeedStream } from './stream.ts';
import type { MessageStream, MessagesOptions } from './stream.ts';
import { HandlerWorker } from './worker.ts';
import type { Handler, WorkOptions, Worker } from './worker.ts';

export interface PeekOptions {
  /** At most this many. Default 10. */
  limit?: number;
  /** Only messages in this state. Default: all that are not settled. */
  state?: MessageState;
  /** Continues after this one. */
  after?: MessageId;
}

/** A message as it is seen without taking it. */
export interface Peeked {
  readonly id: MessageId;
  readonly state: MessageState;
  /** As it was sent, decoded; no schema was applied. @throws SCHEMA when the bytes are not what they say. */
  readonly body: unknown;
  readonly key: string | undefined;
  readonly headers: Headers;
  readonly priority: number;
  readonly contentType: string;
  readonly publishedAt: Date;
  readonly attempts: number;
  readonly crashes: number;
  /** When a delayed message becomes ready, or a lease ends. */
  readonly dueAt: Date | null;
  readonly expiresAt: Date | null;
  /** Of a dead letter, or one that was redriven. */
  readonly history: MessageHistory | undefined;
}

/** Where to put a subscription: before the oldest or after the newest message, at an offset, or at a time. */
export type SeekTo = 'start' | 'end' | Date | { offset: number };

export function startAt(to: SeekTo): StartAt {
  return to instanceof Date ? { time: to.getTime() } : to;
}

function seekTarget(to: SeekTo | { snapshot: string }): SeekTarget {
  return typeof to === 'object' && 'snapshot' in to ? to : startAt(to);
}

/**
 * A durable reader of a topic, or of a queue. A handle: making one does no I/O, and there may be many of the same.
 * The first call declares what the definition says; every call rejects with what the declare threw.
 */
export class Subscription<Out> implements AsyncDisposable {
  readonly #source: Source<Out>;
  readonly #host: Host;
  #dead: DeadLetters | undefined;

  /** Made by `topic.subscription` and `rail.queue`. */
  constructor(source: Source<Out>, host: Host) {
    this.#source = source;
    this.#host = host;
  }

  get name(): string {
    return this.#source.ref.subscription;
  }

  /** Declares it now, if that was not done yet. @throws POLICY_MISMATCH, NOT_FOUND, FORBIDDEN, CONNECTION_LOST. */
  async ready(): Promise<this> {
    await this.before();
    return this;
  }

  /**
   * Runs the handler for each message until the worker is closed. Return: acknowledged. Throw: tried again after the
   * backoff, up to `maxAttempts`. `throw new Retry(…)` says when; `throw new Reject(reason)` gives up.
   *
   * @example const worker = q.work(async (msg, ctx) => { await mail(msg.body.to, { signal: ctx.signal }) }, { concurrency: 20 })
   */
  work(handler: Handler<Out>, options: WorkOptions<Out> = {}): Worker {
    return new HandlerWorker(this.#source, this.#host, handler, options);
  }

  /**
   * Takes what is there, up to `max`. While nothing is, it waits up to `wait`, and returns with the first that arrive:
   * it does not wait to fill up. Settle each; their leases are not extended. @throws ABORTED.
   */
  fetch(options: FetchOptions = {}): Promise<Message<Out>[]> {
    return fetchMessages(this.#source, options);
  }

  /** Messages for `for await`, until the loop is left or the signal aborts. Settle each. */
  messages(options: MessagesOptions = {}): MessageStream<Out> {
    return new FeedStream(this.#source, options);
  }

  /** What could not be processed. Comes into being with the first dead letter. */
  get dead(): DeadLetters {
    this.#dead ??= this.#host.deadLetters(this.#source);
    return this.#dead;
  }

  /** Counts and ages. */
  stats(): Promise<SubscriptionStats> {
    return this.ask('subscriptionStats', this.ref);
  }

  /** Nothing is delivered any more, until `resume`. What is in flight may be settled. */
  async pause(): Promise<void> {
    await this.ask('pause', this.ref);
  }

  async resume(): Promise<void> {
    await this.ask('resume', this.ref);
  }

  /** Removes one waiting message. False when it was gone already. @throws IN_USE while a consumer holds it. */
  async cancel(id: MessageId): Promise<boolean> {
    const { cancelled } = await this.ask('cancel', { ...this.ref, id });
    return cancelled;
  }

  /** Delivers one waiting message at another time: a duration from now, or a date. @throws NOT_FOUND, IN_USE. */
  async reschedule(id: MessageId, when: Duration | Date): Promise<Date> {
    const time =
      when instanceof Date ? { at: when.getTime() } : { delayMs: msUntil(this.#source.client.clock, when, 'The time') };
    const { dueAt } = await this.ask('reschedule', { ...this.ref, id, ...time });
    return new Date(dueAt);
  }

  /**
   * Looks at messages without taking them: the ready ones in the order of their delivery. All of them are in memory with
   * their bodies: ask for few where they are large.
   */
  async peek(options: PeekOptions = {}): Promise<Peeked[]> {
    const { messages } = await this.ask('peek', { ...this.ref, ...options });
    const whole = await withLargeBodies(this.ref.topic, messages, (args) => this.ask('readBody', args));
    return whole.map((message) => this.#peeked(message));
  }

  /** Removes everything that waits. Resolves to how many that were. */
  async purge(): Promise<number> {
    const { purged } = await this.ask('purge', this.ref);
    return purged;
  }

  /**
   * Moves to another place in the topic: what lies behind it counts as settled, what lies ahead is delivered (again).
   * With a snapshot of the same topic: what that had not settled is delivered again, and everything published since.
   *
   * @throws NOT_FOUND for a snapshot that does not exist or has expired.
   */
  async seek(to: SeekTo | { snapshot: string }): Promise<void> {
    await this.ask('seek', { ...this.ref, to: seekTarget(to) });
  }

  /**
   * Remembers under a name what is not settled now, to `seek` back to it, such as after a deploy that acknowledged
   * what it should not have. Until it expires (default 7 days, at most 31) it keeps messages as a subscription that
   * has not settled them does; retention by age and bytes goes first.
   *
   * @throws ALREADY_EXISTS while the topic has one of that name.
   * @example await q.snapshot('before-deploy'); … await q.seek({ snapshot: 'before-deploy' })
   */
  async snapshot(name: string, options: SnapshotOptions = {}): Promise<Snapshot> {
    return snapshotOf(await this.ask('createSnapshot', { ...this.ref, snapshot: name, ...expiryOf(options) }));
  }

  /** The snapshots of its topic, also those of other subscriptions: all of them can be sought to. */
  async snapshots(): Promise<Snapshot[]> {
    const { snapshots } = await this.ask('listSnapshots', { topic: this.ref.topic });
    return snapshots.map(snapshotOf);
  }

  /** Forgets a snapshot of its topic; what only that needed may go. False when there was none. */
  async deleteSnapshot(name: string): Promise<boolean> {
    const { deleted } = await this.ask('deleteSnapshot', { topic: this.ref.topic, snapshot: name });
    return deleted;
  }

  /** Waits for the settlements under way. Workers and streams are closed by themselves. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source.settler.drain();
  }

  /** @internal */
  static refOf<Out>(subscription: Subscription<Out>): SubscriptionRef {
    return subscription.#source.ref;
  }

  protected get ref(): SubscriptionRef {
    return this.#source.ref;
  }

  /** What has to be done before anything can be asked. */
  protected async before(): Promise<void> {
    await this.#source.declared.get();
  }

  protected async ask<O extends OperationName>(
    operation: O,
    args: Operations[O]['args'],
  ): Promise<Operations[O]['result']> {
    await this.before();
    return this.#source.client.request(operation, args);
  }

  #peeked(message: PeekedMessage): Peeked {
    const { envelope } = message;
    const { type } = this.#source;
    return {
      id: message.id,
      state: message.state,
      get body() {
        return type.decode(envelope);
      },
      key: envelope.key,
      headers: envelope.headers ?? {},
      priority: envelope.priority ?? 0,
      contentType: envelope.contentType ?? 'application/json',
      publishedAt: new Date(message.publishedAt),
      attempts: message.attempts,
      crashes: message.crashes,
      dueAt: message.dueAt === null ? null : new Date(message.dueAt),
      expiresAt: message.expiresAt === null ? null : new Date(message.expiresAt),
      history: message.history,
    };
  }
}

/** For broker answers that say: not there. */
export function isNotFound(error: unknown): boolean {
  return RailheadError.is(error, 'NOT_FOUND');
}
