import { RailheadError } from '../core/errors.ts';
import { DEFAULT_SUBSCRIPTION, deadLetterQueue } from '../core/policy.ts';
import type { SubscriptionPolicy } from '../core/policy.ts';
import { FORMAT_NATIVE, asBuffer, recordEnd } from '../core/records.ts';
import type { Consumer, DeliveryRun, DeliverySink, LeaseRange, SubscriptionRef } from '../core/session.ts';
import { durationMs } from '../core/units.ts';
import type { Duration } from '../core/units.ts';
import type { BodyType } from './body.ts';
import type { Client } from './client.ts';
import { Deque } from './deque.ts';
import { toRailheadError } from './failure.ts';
import { Lease } from './lease.ts';
import { Message } from './message.ts';
import type { Once } from './once.ts';
import { covers } from './settler.ts';
import type { Settler } from './settler.ts';

/** Where messages come from, and what is known about them. */
export interface Source<T> {
  readonly client: Client;
  readonly ref: SubscriptionRef;
  readonly type: BodyType<unknown, T>;
  readonly settler: Settler;
  readonly declared: Once<SubscriptionFacts>;
}

/** What has to be known of a declared subscription. */
export interface SubscriptionFacts {
  leaseMs: number;
  /** The queue for its dead letters. */
  deadLetter: string;
}

/** `NAME.dead` for a queue, `TOPIC.SUBSCRIPTION.dead` for the subscription of a topic, unless the policy names another. */
export function factsOf(name: string, policy: SubscriptionPolicy = DEFAULT_SUBSCRIPTION): SubscriptionFacts {
  return { leaseMs: policy.leaseMs, deadLetter: deadLetterQueue(policy.deadLetter, 'queue', name, name) };
}

/** How a consumer presents itself to the broker. */
export interface ConsumerOptions {
  /** Instead of the queue's own. Extended for as long as a handler runs. */
  lease?: Duration;
  /** Among the consumers of one queue the higher is served first. Default 0. */
  priority?: number;
  /** The only consumer: refused (IN_USE) beside another, and keeps others out. Default false. */
  exclusive?: boolean;
  /** Shown to people. */
  name?: string;
}

/** Who takes the messages out of a feed. */
export interface FeedOwner {
  /** Subscribed, for the first time or again: nothing comes before credit is given. */
  subscribed(): void;
  /** Something is in `waiting`, or room is free again. */
  arrived(): void;
  /** It cannot go on. */
  failed(error: RailheadError): void;
  /** The leases of what was taken out and is worked on: they are kept alive. */
  working(): Iterable<Lease>;
}

const FIRST_BACKOFF_MS = 50;
const LONGEST_BACKOFF_MS = 5_000;
const UNREADABLE_DELAY_MS = 5_000;
const MAX_DELIVERY_BYTES = 1024 * 1024;

/**
 * A consumer of one subscription, with the messages that arrived and wait. It subscribes again when the broker ends
 * it, extends the leases of what is worked on, and gives back what waited too long, so that others can have it.
 */
export class Feed<T> implements DeliverySink {
  readonly waiting = new Deque<Message<T>>();
  readonly #source: Source<T>;
  readonly #options: ConsumerOptions;
  readonly #owner: FeedOwner;
  readonly #leaseOption: number | undefined;
  #leaseMs = 0;
  #consumer: Consumer | undefined;
  /** Credit given and not yet used. */
  #outstanding = 0;
  #stopped = false;
  #over = false;
  #backoffMs = FIRST_BACKOFF_MS;
  #cancelTend: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;

  constructor(source: Source<T>, options: ConsumerOptions, owner: FeedOwner) {
    this.#source = source;
    this.#options = options;
    this.#owner = owner;
    this.#leaseOption = options.lease === undefined ? undefined : durationMs(options.lease, 'The lease');
  }

  get outstanding(): number {
    return this.#outstanding;
  }

  get leaseMs(): number {
    return this.#leaseMs;
  }

  /** Subscribes. What goes wrong is told to the owner. */
  async start(): Promise<void> {
    const { client, declared, ref } = this.#source;
    try {
      const { leaseMs } = await declared.get();
      this.#leaseMs = this.#leaseOption ?? leaseMs;
      const session = await client.session();
      if (this.#isStopped()) return;
      const { priority, exclusive, name } = this.#options;
      const consumer = await session.consume(
        {
          topic: ref.topic,
          subscription: ref.subscription,
          lease: 'session',
          maxBytes: MAX_DELIVERY_BYTES,
          ...(this.#leaseOption !== undefined && { leaseMs: this.#leaseOption }),
          ...(priority !== undefined && { priority }),
          ...(exclusive !== undefined && { exclusive }),
          ...(name !== undefined && { name }),
        },
        this,
      );
      if (this.#isStopped()) return await consumer.close({ release: true });
      this.#consumer = consumer;
      this.#outstanding = 0;
      this.#backoffMs = FIRST_BACKOFF_MS;
      this.#owner.subscribed();
    } catch (cause) {
      if (this.#isStopped()) return;
      const error = toRailheadError(cause);
      if (error.retryable) this.#startAgain();
      else this.#owner.failed(error);
    }
  }

  /** Allows this many more messages. */
  credit(messages: number): void {
    if (this.#consumer === undefined || messages <= 0) return;
    this.#outstanding += messages;
    this.#consumer.credit(messages);
  }

  /** No new messages come. What waits stays in `waiting`; what is worked on is extended until `end`. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    const consumer = this.#consumer;
    this.#consumer = undefined;
    await consumer?.close();
  }

  /** Gives back what waits; leases are no longer looked after. */
  end(): void {
    this.#over = true;
    this.#cancelTend?.();
    this.#cancelTend = undefined;
    for (const message of this.waiting.clear()) this.#giveBack(message);
  }

  // ---- The sink ---------------------------------------------------------------------------------------------------

  deliver(runs: DeliveryRun[]): void {
    const { client, settler, type } = this.#source;
    const until = client.clock.now() + this.#leaseMs;
    for (const run of runs) {
      this.#outstanding = Math.max(0, this.#outstanding - run.count);
      if (run.format !== FORMAT_NATIVE) {
        this.#refuse(run);
        return;
      }
      const batch = asBuffer(run.records);
      let start = 0;
      for (let i = 0; i < run.count; i++) {
        const lease = new Lease(settler, run.partition, run.offset + i, run.token, until);
        this.waiting.push(new Message(run, batch, start, i, type, lease, client.clock));
        start = recordEnd(batch, start);
      }
    }
    // Sent before the broker knew that nobody takes it any more.
    if (this.#over) return this.end();
    this.#cancelTend ??= this.#armTend();
    this.#owner.arrived();
  }

  ended(): void {
    this.#consumer = undefined;
    this.#outstanding = 0;
    if (!this.#stopped) this.#startAgain();
  }

  lost(ranges: LeaseRange[]): void {
    for (const message of this.waiting) loseIfAmong(ranges, Message.leaseOf(message));
    for (const lease of this.#owner.working()) loseIfAmong(ranges, lease);
  }

  /** For a consumer that can read it; not at once, since that may be us again. */
  #refuse(run: DeliveryRun): void {
    for (let i = 0; i < run.count; i++) {
      const lease = new Lease(this.#source.settler, run.partition, run.offset + i, run.token, 0);
      lease.settleQuietly({ action: 'release', countAttempt: false, delayMs: UNREADABLE_DELAY_MS });
    }
    this.#owner.failed(unreadable(run.format));
  }

  // ---- Time -------------------------------------------------------------------------------------------------------

  /** Asked again after each wait. */
  #isStopped(): boolean {
    return this.#stopped;
  }

  #startAgain(): void {
    const { clock, random } = this.#source.client;
    const wait = this.#backoffMs * (0.5 + random.next() / 2);
    this.#backoffMs = Math.min(this.#backoffMs * 2, LONGEST_BACKOFF_MS);
    this.#cancelRetry = clock.timer(clock.now() + wait, () => void this.start());
  }

  #armTend(): () => void {
    const { clock } = this.#source.client;
    return clock.timer(clock.now() + Math.max(1, Math.floor(this.#leaseMs / 3)), this.#tend);
  }

  /** Three times in a lease, so that one lost extension does no harm. */
  readonly #tend = (): void => {
    this.#cancelTend = undefined;
    const now = this.#source.client.clock.now();
    let alive = this.#giveBackStale(now);
    for (const lease of this.#owner.working()) {
      if (lease.state !== 'held') continue;
      if (lease.until <= now) lease.lose();
      else {
        alive = true;
        if (lease.until - now < this.#leaseMs * 0.7)
          lease.settler.settleQuietly(lease, { action: 'extend', leaseMs: this.#leaseMs });
      }
    }
    if (alive) this.#cancelTend ??= this.#armTend();
  };

  /** What waits here too long could be worked on elsewhere. True when something still waits. */
  #giveBackStale(now: number): boolean {
    const all = this.waiting.clear();
    let freed = false;
    for (const message of all) {
      const lease = Message.leaseOf(message);
      if (lease.state === 'held' && lease.until - now > this.#leaseMs / 3) this.waiting.push(message);
      else {
        this.#giveBack(message);
        freed = true;
      }
    }
    if (freed) this.#owner.arrived();
    return this.waiting.length > 0;
  }

  #giveBack(message: Message<T>): void {
    Message.leaseOf(message).settleQuietly({ action: 'release', countAttempt: false });
  }
}

function loseIfAmong(ranges: readonly LeaseRange[], lease: Lease): void {
  if (lease.state === 'held' && covers(ranges, lease)) lease.lose();
}

export function unreadable(format: number): RailheadError {
  return new RailheadError(
    'NOT_SUPPORTED',
    `A message came in record format ${format}; this client reads format ${FORMAT_NATIVE}. The broker should have converted it.`,
  );
}
