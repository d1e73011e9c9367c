import { RailheadError } from '../core/errors.ts';
import type { TraceSpan } from '../core/tracing.ts';
import { durationMs } from '../core/units.ts';
import type { Duration } from '../core/units.ts';
import type { Lease, LeaseOwner } from './lease.ts';
import { Message } from './message.ts';
import type { SendOptions } from './envelope.ts';
import { Outbox } from './outbox.ts';
import type { Host, QueueLike, TopicLike } from './host.ts';

/** What a handler can do beside reading its message. */
export interface WorkContext {
  /** Aborts when the lease is lost, the `timeout` is over, or the worker closes and does not wait any longer. */
  readonly signal: AbortSignal;
  /** The lease ends that long from now. Not needed while the handler runs: it is extended by itself. @throws LEASE_LOST. */
  extend(lease: Duration): Promise<void>;
  /** Sends when the handler returns, in one entry with the ack: both happen or neither. @throws INVALID, SCHEMA. */
  send<In>(queue: QueueLike<In>, body: NoInfer<In>, options?: SendOptions): void;
  /** Publishes when the handler returns, in one entry with the ack: both happen or neither. @throws INVALID, SCHEMA. */
  publish<In>(topic: TopicLike<In>, body: NoInfer<In>, options?: SendOptions): void;
}

/** One message in one handler, from start to end. */
export class Job<T> implements WorkContext, LeaseOwner {
  readonly #message: Message<T>;
  readonly #lease: Lease;
  readonly #host: Host;
  readonly #onLost: (job: Job<T>, error: RailheadError) => void;
  readonly startedAt: number;
  /** Of what the handler does, for whoever traces. */
  span: TraceSpan | undefined;
  #controller: AbortController | undefined;
  #aborted: RailheadError | undefined;
  #outbox: Outbox | undefined;
  /** The worker has taken it off the handler: what it does now changes nothing. */
  over = false;

  constructor(message: Message<T>, startedAt: number, host: Host, onLost: (job: Job<T>, error: RailheadError) => void) {
    this.#message = message;
    this.#lease = Message.leaseOf(message);
    this.#lease.owner = this;
    this.#host = host;
    this.#onLost = onLost;
    this.startedAt = startedAt;
  }

  get message(): Message<T> {
    return this.#message;
  }

  get lease(): Lease {
    return this.#lease;
  }

  get outbox(): Outbox | undefined {
    return this.#outbox;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  abort(reason: RailheadError): void {
    this.#aborted ??= reason;
    this.#controller?.abort(reason);
  }

  async extend(lease: Duration): Promise<void> {
    await this.#lease.settle({ action: 'extend', leaseMs: durationMs(lease, 'The lease') });
  }

  send<In>(queue: QueueLike<In>, body: In, options?: SendOptions): void {
    this.#open().add(this.#host.queueTarget(queue), body, options);
  }

  publish<In>(topic: TopicLike<In>, body: In, options?: SendOptions): void {
    this.#open().add(this.#host.topicTarget(topic), body, options);
  }

  leaseLost(error: RailheadError): void {
    this.abort(error);
    this.#onLost(this, error);
  }

  settleFailed(error: RailheadError): void {
    this.#onLost(this, error);
  }

  #open(): Outbox {
    if (this.over || this.#lease.state !== 'held') {
      throw (
        this.#lease.problem() ??
        new RailheadError('ABORTED', 'The handler is over: what it sends now cannot be stored with its ack.')
      );
    }
    this.#outbox ??= new Outbox();
    return this.#outbox;
  }
}
