import type { ConsumeRequest, DeliverySink } from '../../core/session.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import type { RateLimiter } from '../structures/rate-limiter.ts';
import type { ByteLedger } from './ledger.ts';
import { Outbox } from './outbox.ts';
import type { Shard } from './shard.ts';

/** Messages that a consumer, or several together, may still have. */
export class CreditPool {
  credit = 0;
  readonly members = new Set<ConsumerState>();
}

/** Whose a consumer is, for people. */
export interface ConsumerOwner {
  readonly user: string;
  readonly client: string;
}

/** A consumer as the dispatcher sees it. Volatile: it lives as long as its session. */
export class ConsumerState {
  readonly id: number;
  readonly subscription: Subscription;
  readonly request: ConsumeRequest;
  readonly sink: DeliverySink;
  readonly outbox: Outbox;
  readonly pool: CreditPool;
  readonly owner: ConsumerOwner;
  readonly since: number;
  inFlight = 0;
  /** Holds a message with which a consumer died before: it gets nothing else until that is settled. */
  isolated = false;
  closed = false;
  /** It wanted what was there, and all of that is on its way to it. */
  drained = false;
  /** Its last delivery leaves the gate with this sequence; a later one must not overtake it. */
  heldUntil = 0;

  constructor(
    id: number,
    subscription: Subscription,
    request: ConsumeRequest,
    sink: DeliverySink,
    of: { ledger: ByteLedger; owner: ConsumerOwner; since: number; pool?: CreditPool | undefined },
  ) {
    const { ledger, owner, since, pool = new CreditPool() } = of;
    this.owner = owner;
    this.since = since;
    this.pool = pool;
    pool.members.add(this);
    this.id = id;
    this.subscription = subscription;
    this.request = request;
    this.sink = sink;
    this.outbox = new Outbox(sink, ledger);
  }

  get credit(): number {
    return this.pool.credit;
  }

  set credit(messages: number) {
    this.pool.credit = messages;
  }
}

export interface FeedCounters {
  delivered: number;
  redelivered: number;
  acked: number;
  released: number;
  deadLettered: number;
  expired: number;
}

const NOBODY: readonly ConsumerState[] = [];
const NOTHING: Readonly<FeedCounters> = {
  delivered: 0,
  redelivered: 0,
  acked: 0,
  released: 0,
  deadLettered: 0,
  expired: 0,
};

/** What the dispatcher keeps for a subscription with consumers or timers. Volatile. */
export interface Feed {
  readonly subscription: Subscription;
  readonly consumers: ConsumerState[];
  /** Of these, how many want what is there and no more. */
  fetchers: number;
  readonly counters: FeedCounters;
  turn: number;
  partition: number;
  /** No lease ends before this. */
  leaseBound: number;
  limiter: RateLimiter | null;
  lastUsed: number;
  /** Since when messages came whose life was over when it began: they may be handed out before they expire. */
  fresh: number;
}

/** The volatile side of the subscriptions: who consumes, what was counted, and which need a look in this turn. */
export class Feeds {
  readonly #shard: Shard;
  readonly #feeds = new Map<number, Feed>();
  readonly #consumers = new Map<number, ConsumerState>();
  /** Whose backlog, credit or timers changed since the last turn. */
  readonly touched = new Set<Subscription>();

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  of(subscription: Subscription): Feed {
    let feed = this.#feeds.get(subscription.id);
    if (feed === undefined) {
      feed = {
        subscription,
        consumers: [],
        fetchers: 0,
        counters: { ...NOTHING },
        turn: 0,
        partition: -1,
        leaseBound: Infinity,
        limiter: null,
        lastUsed: this.#shard.clock.now(),
        fresh: Infinity,
      };
      this.#feeds.set(subscription.id, feed);
    }
    return feed;
  }

  consumer(id: number): ConsumerState | undefined {
    return this.#consumers.get(id);
  }

  addConsumer(consumer: ConsumerState): void {
    this.#consumers.set(consumer.id, consumer);
  }

  forgetConsumer(consumer: ConsumerState): void {
    this.#consumers.delete(consumer.id);
  }

  /** The subscription is gone. */
  forget(subscription: Subscription): void {
    this.#feeds.delete(subscription.id);
    this.touched.delete(subscription);
  }

  touch(subscription: Subscription): void {
    this.touched.add(subscription);
    this.#shard.wake();
  }

  touchTopic(topic: Topic, timed: boolean): void {
    for (const subscription of topic.subscriptions.values()) {
      if (timed || this.#feeds.has(subscription.id)) this.touched.add(subscription);
    }
  }

  /** After leases went without being settled (a seek, retention): what its consumers hold is counted anew. */
  recount(subscription: Subscription): void {
    const consumers = this.consumersOf(subscription);
    for (const consumer of consumers) consumer.inFlight = 0;
    for (const backlog of subscription.backlogs) {
      for (const [, lease] of backlog.leases()) {
        const consumer = this.#consumers.get(lease.consumer);
        if (consumer?.subscription === subscription) consumer.inFlight++;
      }
    }
    for (const consumer of consumers) if (consumer.inFlight === 0) consumer.isolated = false;
  }

  consumersOf(subscription: Subscription): readonly ConsumerState[] {
    return this.#feeds.get(subscription.id)?.consumers ?? NOBODY;
  }

  /** A message came whose life is over already, since then: only for who takes it at once. */
  touchFleeting(topic: Topic, since: number): void {
    for (const subscription of topic.subscriptions.values()) {
      const feed = this.of(subscription);
      feed.fresh = Math.min(feed.fresh, since);
    }
  }

  /** Without those that take beside the others. */
  countedOf(subscription: Subscription): readonly ConsumerState[] {
    const consumers = this.consumersOf(subscription);
    return consumers.length === 0 ? consumers : consumers.filter(({ request }) => request.beside !== true);
  }

  /** What was counted of it, to be counted on. */
  counter(subscription: Subscription): FeedCounters {
    return this.of(subscription).counters;
  }

  countersOf(subscription: Subscription): Readonly<FeedCounters> {
    return this.#feeds.get(subscription.id)?.counters ?? NOTHING;
  }

  /** When it was last used by a consumer, for queues that go when nobody uses them. */
  lastUsed(subscription: Subscription): number {
    const feed = this.of(subscription);
    return feed.consumers.length > 0 ? this.#shard.clock.now() : feed.lastUsed;
  }

  /** A lease was made longer: it no longer ends at the old bound, but the bound stays right. */
  noteDeadline(subscription: Subscription, deadline: number): void {
    const feed = this.of(subscription);
    feed.leaseBound = Math.min(feed.leaseBound, deadline);
    this.touch(subscription);
  }
}
