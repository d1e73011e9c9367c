import { LEASE_KIND } from '../entries.ts';
import type { Backlog } from '../machine/backlog.ts';
import type { Subscription } from '../machine/topic.ts';
import { RateLimiter } from '../structures/rate-limiter.ts';
import { type ChosenRange, choose, countOf, MAX_RUNS } from './choice.ts';
import type { ConsumerState, Feed, Feeds } from './feeds.ts';
import type { Returns } from './returns.ts';
import type { Leased, Sender } from './sender.ts';
import type { Shard } from './shard.ts';
import { Timekeeper } from './timekeeper.ts';
import { isEligible, nextConsumer } from './turns.ts';

/** What a lease takes in the journal at most. */
const LEASE_BYTES = 128 + MAX_RUNS * 24;
/** At most so many messages are chosen for one consumer before the next one gets its turn. */
const MAX_SHARE = 1000;

/**
 * Hands out what is ready: by priority of the message, then by place; to the consumer with the highest priority that
 * has credit, taking turns among equals. Also ends leases, wakes delayed messages and expires old ones. It decides and
 * records; which consumer gets what is not part of the state, only the lease is.
 */
export class Dispatcher {
  readonly #shard: Shard;
  readonly #feeds: Feeds;
  readonly #returns: Returns;
  readonly #sender: Sender;
  readonly #timekeeper: Timekeeper;
  /** In this turn. */
  #leased: Leased[] = [];
  /** With consumers that want what is there and no more. */
  readonly #fetched = new Set<Feed>();

  constructor(shard: Shard, feeds: Feeds, returns: Returns, sender: Sender) {
    this.#shard = shard;
    this.#feeds = feeds;
    this.#returns = returns;
    this.#sender = sender;
    this.#timekeeper = new Timekeeper(shard, feeds, returns);
  }

  /** After a start: whatever has a timer or is dying is taken up again. */
  arm(): void {
    for (const topic of this.#shard.state.topics.values()) {
      for (const subscription of topic.subscriptions.values()) {
        subscription.backlogs.forEach((backlog, partition) => {
          for (const offset of backlog.dying.keys()) this.#returns.onDying(subscription, partition, offset);
          if (backlog.leased.size > 0 || backlog.nextDue() < Infinity || backlog.nextExpiry() < Infinity) {
            const feed = this.#feeds.of(subscription);
            for (const [, lease] of backlog.leases()) feed.leaseBound = Math.min(feed.leaseBound, lease.deadline);
            this.#feeds.touched.add(subscription);
          }
        });
      }
    }
  }

  /** Before the batch is appended: chooses and records leases. */
  dispatch(): void {
    for (const subscription of this.#feeds.touched) {
      this.#feeds.touched.delete(subscription);
      if (subscription.topic.subscriptions.get(subscription.id) !== subscription) continue;
      const feed = this.#feeds.of(subscription);
      this.#timekeeper.run(feed);
      // One look at the clock for both: a limit that held at the first must make an appointment at the second.
      const now = this.#shard.clock.now();
      if (feed.consumers.length > 0 && !subscription.paused) this.#handOut(feed, now);
      this.#timekeeper.expireFleeting(feed);
      if (feed.fetchers > 0) this.#fetched.add(feed);
      this.#timekeeper.setWake(feed, now);
    }
  }

  /** After the batch was appended: loads the bodies and sends them on their way. */
  send(): void {
    const leased = this.#leased;
    if (leased.length > 0) {
      this.#leased = [];
      for (const one of leased) this.#sender.send(one);
    }
    for (const feed of this.#fetched) {
      for (const consumer of feed.consumers) {
        if (consumer.request.until !== 'empty' || consumer.credit <= 0 || consumer.drained) continue;
        consumer.drained = true;
        if (consumer.outbox.empty) this.#sender.endFetch(consumer);
      }
    }
    this.#fetched.clear();
  }

  #handOut(feed: Feed, now: number): void {
    const { subscription } = feed;
    for (let rounds = 0; rounds < 10_000; rounds++) {
      if (!this.#shard.hasRoom(LEASE_BYTES)) return this.#waitForRoom(subscription);
      const backlog = this.#nextBacklog(feed);
      if (backlog === undefined) return;
      const suspect = backlog.suspects.first();
      const consumer = suspect === undefined ? nextConsumer(feed) : this.#pickIdle(feed);
      if (consumer === undefined) return;
      const share = Math.min(consumer.credit, this.#share(feed, backlog), this.#byBytes(consumer, feed.partition));
      const max = this.#allowed(feed, share, now);
      if (max === 0) return;
      const ranges = choose(backlog, feed.partition, { suspect, max, perKey: consumer.request.perKey ?? 'one' });
      if (ranges.length === 0) return;
      feed.limiter?.tryTake(countOf(ranges), now);
      this.#lease(feed, consumer, ranges, now);
      if (suspect !== undefined) consumer.isolated = true;
    }
    // A very long list of consumers and messages: the rest in the next turn, so that others get theirs.
    this.#feeds.touch(subscription);
  }

  /** How many of `max` the limits of the subscription let through now. */
  #allowed(feed: Feed, max: number, now: number): number {
    const { maxInFlight, consumeRate } = feed.subscription.policy;
    const allowed = maxInFlight === null ? max : Math.min(max, maxInFlight - inFlight(feed.subscription));
    if (allowed <= 0) return 0;
    if (consumeRate === null) return allowed;
    feed.limiter ??= new RateLimiter(consumeRate);
    return Math.min(allowed, feed.limiter.available(now));
  }

  #waitForRoom(subscription: Subscription): void {
    this.#shard.room(LEASE_BYTES).then(
      () => this.#feeds.touch(subscription),
      () => {},
    );
  }

  /** The next partition with something to deliver, so that partitions take turns. */
  #nextBacklog(feed: Feed): Backlog | undefined {
    const { backlogs } = feed.subscription;
    for (let i = 0; i < backlogs.length; i++) {
      const at = (feed.partition + i + 1) % backlogs.length;
      const backlog = backlogs[at];
      if (backlog?.deliverable) {
        feed.partition = at;
        return backlog;
      }
    }
    return undefined;
  }

  /**
   * A message with which a consumer died goes alone to a consumer that holds nothing. If all hold something, the one
   * that holds least gets nothing new until it is free, else the suspect would wait for ever behind steady traffic.
   */
  #pickIdle(feed: Feed): ConsumerState | undefined {
    let least: ConsumerState | undefined;
    for (const consumer of feed.consumers) {
      if (!isEligible(feed, consumer)) continue;
      if (consumer.inFlight === 0) return consumer;
      if (least === undefined || consumer.inFlight < least.inFlight) least = consumer;
    }
    const others = feed.consumers.filter((consumer) => consumer !== least && isEligible(feed, consumer));
    if (others.length > 0) this.#handOutAround(feed, others);
    return undefined;
  }

  /** Ordinary messages go on to the consumers that are not kept free. */
  #handOutAround(feed: Feed, consumers: readonly ConsumerState[]): void {
    const backlog = feed.subscription.backlogs[feed.partition];
    if (backlog === undefined) return;
    const now = this.#shard.clock.now();
    for (const consumer of consumers) {
      const max = this.#allowed(feed, Math.min(consumer.credit, MAX_SHARE), now);
      const perKey = consumer.request.perKey ?? 'one';
      const ranges = max === 0 ? [] : choose(backlog, feed.partition, { suspect: undefined, max, perKey });
      if (ranges.length === 0) return;
      feed.limiter?.tryTake(countOf(ranges), now);
      this.#lease(feed, consumer, ranges, now);
    }
  }

  #share(feed: Feed, backlog: Backlog): number {
    const consumers = feed.consumers.length;
    return consumers === 1 ? MAX_SHARE : Math.min(MAX_SHARE, Math.max(1, Math.ceil(backlog.ready / consumers)));
  }

  #byBytes(consumer: ConsumerState, partition: number): number {
    const log = consumer.subscription.topic.partition(partition);
    const average = log.messages === 0 ? 1 : log.bytes / log.messages;
    return Math.max(1, Math.floor((consumer.request.maxBytes ?? 256 * 1024) / Math.max(average, 1)));
  }

  #lease(feed: Feed, consumer: ConsumerState, ranges: ChosenRange[], now: number): void {
    const { subscription } = feed;
    const { topic } = subscription;
    const count = countOf(ranges);
    const ids = { topicId: topic.id, subscriptionId: subscription.id };
    consumer.credit -= count;
    feed.counters.delivered += count;
    feed.lastUsed = now;
    for (const range of ranges) if (range.attempt > 1) feed.counters.redelivered += range.count;
    const deadline = now + (consumer.request.leaseMs ?? subscription.policy.leaseMs);
    feed.leaseBound = Math.min(feed.leaseBound, deadline);
    consumer.inFlight += count;
    const sequence = this.#shard.record({
      type: 'lease',
      ...ids,
      kind: LEASE_KIND[consumer.request.lease],
      consumer: consumer.id,
      at: now,
      deadline,
      ranges,
    });
    this.#leased.push({ consumer, topic, token: this.#shard.state.tokenOf(sequence), deadline, sequence, ranges });
  }
}

function inFlight(subscription: Subscription): number {
  return subscription.backlogs.reduce((sum, backlog) => sum + backlog.leased.size, 0);
}
