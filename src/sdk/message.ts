import type { Clock } from '../core/clock.ts';
import { assert } from '../core/errors.ts';
import type { RailheadError } from '../core/errors.ts';
import { readRecord } from '../core/records.ts';
import type { Envelope, Headers } from '../core/records.ts';
import { messageId } from '../core/session.ts';
import type { DeliveryRun, MessageHistory, MessageId, SettleAction } from '../core/session.ts';
import { durationMs } from '../core/units.ts';
import type { Duration } from '../core/units.ts';
import type { BodyType } from './body.ts';
import { msUntil } from './envelope.ts';
import { toRailheadError } from './failure.ts';
import { ACK } from './lease.ts';
import type { Lease } from './lease.ts';

const NO_HEADERS: Headers = Object.freeze({});

/** How a message is given back. */
export interface ReleaseOptions {
  /** When it is delivered again: a duration from now, or a date. Default: the queue's backoff when it counts, else at once. */
  after?: Duration | Date;
  /** Whether this attempt counts towards `maxAttempts`. Default true. */
  count?: boolean;
  /** Kept with the message, for people. */
  error?: string;
}

interface Body<T> {
  readonly value: T;
}

/** A message as it lies in its topic. Reads what it is asked for, when it is asked. */
export class StoredMessage<T> {
  readonly #run: DeliveryRun;
  readonly #batch: Buffer;
  readonly #start: number;
  readonly #index: number;
  readonly #type: BodyType<unknown, T>;
  #envelope: Envelope | undefined;
  #body: Body<T> | undefined;
  #failure: RailheadError | undefined;

  /** `start` is where its record begins in `batch`, `index` its place in the run. */
  constructor(run: DeliveryRun, batch: Buffer, start: number, index: number, type: BodyType<unknown, T>) {
    this.#run = run;
    this.#batch = batch;
    this.#start = start;
    this.#index = index;
    this.#type = type;
  }

  /** Names the message; the same for as long as it exists. */
  get id(): MessageId {
    return messageId(this.#run.topicId, this.#run.partition, this.offset);
  }

  get partition(): number {
    return this.#run.partition;
  }

  get offset(): number {
    return this.#run.offset + this.#index;
  }

  /** The body, decoded by its content type and checked by the schema. @throws SCHEMA when it is not what it says. */
  get body(): T {
    if (this.#failure !== undefined) throw this.#failure;
    const body = this.#body ?? this.#check();
    // An asynchronous schema was awaited in `prepare`, before anybody could see this message.
    assert(!(body instanceof Promise), 'the body was read before its schema checked it');
    return body.value;
  }

  get key(): string | undefined {
    return this.#read().key;
  }

  get headers(): Headers {
    return this.#read().headers ?? NO_HEADERS;
  }

  get priority(): number {
    return this.#read().priority ?? 0;
  }

  get contentType(): string {
    return this.#read().contentType ?? 'application/json';
  }

  /** When the broker took it. */
  get publishedAt(): Date {
    return new Date(this.#run.publishedAt);
  }

  /** Delivered how many times, with this one. */
  get attempt(): number {
    return this.#run.attempt;
  }

  /** Of a dead letter, or one that was redriven: where it was and why it died. */
  get history(): MessageHistory | undefined {
    return this.#run.history;
  }

  /** When the broker took it, ms: for comparing many without making dates. */
  static timeOf(message: StoredMessage<unknown>): number {
    return message.#run.publishedAt;
  }

  #read(): Envelope {
    this.#envelope ??= readRecord(this.#batch, this.#start);
    return this.#envelope;
  }

  #check(): Body<T> | Promise<Body<T>> {
    try {
      const value = this.#type.parse(this.#type.decode(this.#read()));
      if (value instanceof Promise) {
        return value.then(
          (late) => (this.#body = { value: late }),
          (error: unknown) => this.#refuse(error),
        );
      }
      this.#body = { value };
      return this.#body;
    } catch (error) {
      return this.#refuse(error);
    }
  }

  #refuse(error: unknown): never {
    this.#failure = toRailheadError(error);
    throw this.#failure;
  }

  /** Checks the body when there is a schema. @throws SCHEMA (or rejects with it). */
  static prepare(message: StoredMessage<unknown>): undefined | Promise<unknown> {
    if (!message.#type.hasSchema) return undefined;
    const body = message.#check();
    return body instanceof Promise ? body : undefined;
  }

  /** What was wrong with the body, if that was found. */
  static failureOf(message: StoredMessage<unknown>): unknown {
    return message.#failure;
  }
}

/** A message that was given to this consumer: it has a lease on it and settles it. */
export class Message<T> extends StoredMessage<T> {
  readonly #lease: Lease;
  readonly #clock: Clock;

  constructor(
    run: DeliveryRun,
    batch: Buffer,
    start: number,
    index: number,
    type: BodyType<unknown, T>,
    lease: Lease,
    clock: Clock,
  ) {
    super(run, batch, start, index, type);
    this.#lease = lease;
    this.#clock = clock;
  }

  /** Done. Resolves when the broker will not deliver it again. @throws LEASE_LOST, INVALID when it was settled before. */
  ack(): Promise<void> {
    return this.#settle(ACK);
  }

  /** Gives it back, to be delivered again. @throws LEASE_LOST, INVALID when it was settled before. */
  async release(options: ReleaseOptions = {}): Promise<void> {
    const { after, count = true, error } = options;
    await this.#settle({
      action: 'release',
      countAttempt: count,
      ...(after !== undefined && { delayMs: msUntil(this.#clock, after, 'The time of the next attempt') }),
      ...(error !== undefined && { error }),
    });
  }

  /** To the dead-letter queue, with a reason for people. @throws LEASE_LOST, INVALID when it was settled before. */
  reject(reason: string): Promise<void> {
    return this.#settle({ action: 'reject', reason });
  }

  /** The lease ends that long from now instead. @throws LEASE_LOST, INVALID when it was settled before. */
  async extend(lease: Duration): Promise<void> {
    await this.#lease.settle({ action: 'extend', leaseMs: durationMs(lease, 'The lease') });
  }

  #settle(action: SettleAction): Promise<void> {
    const { traced } = this.#lease.settler;
    const settle = (): Promise<void> => this.#lease.settle(action);
    return traced === undefined ? settle() : traced.settle(action.action, this, settle);
  }

  static leaseOf(message: Message<unknown>): Lease {
    return message.#lease;
  }
}
