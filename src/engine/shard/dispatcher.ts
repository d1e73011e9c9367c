import type { ConsumeRequest, DeliveryRun, DeliverySink } from '../../core/session.ts';
import { COUNTED, LEASE_KIND, type OffsetRange } from '../entries.ts';
import type { Backlog } from '../machine/backlog.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import { RateLimiter } from '../structures/rate-limiter.ts';
import type { Bodies, BodyRun } from './bodies.ts';
import { type ChosenRange, choose, MAX_RUNS } from './choice.ts';
import { deliveryRun } from './delivery-run.ts';
import { ConsumerState, type CreditPool, type Feed, type Feeds } from './feeds.ts';
import type { Outgoing } from './outbox.ts';
import type { Returns } from './returns.ts';
import type { Shard } from './shard.ts';
import { Timekeeper } from './timekeeper.ts';

interface Planned {
  consumer: ConsumerState;
  topic: Topic;
  token: number;
  deadline: number;
  sequence: number;
  ranges: ChosenRange[];
}

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
  readonly #bodies: Bodies;
  readonly #feeds: Feeds;
  readonly #returns: Returns;
  readonly #timekeeper: Timekeeper;
  #planned: Planned[] = [];
  /** With consumers that want what is there and no more. */
  readonly #fetched = new Set<Feed>();
  #nextConsumer: number;

  constructor(shard: Shard, bodies: Bodies, feeds: Feeds, returns: Returns) {
    this.#shard = shard;
    // Leases outlive a restart and name their consumer: no consumer of this epoch may be taken for one of another.
    this.#nextConsumer = (shard.state.epoch % 4096) * 2 ** 20 + 1;
    this.#bodies = bodies;
    this.#feeds = feeds;
    this.#returns = returns;
    this.#timekeeper = new Timekeeper(shard, feeds, returns);
  }

  // ---- Consumers --------------------------------------------------------------------------------------------------

  addConsumer(
    subscription: Subscription,
    request: ConsumeRequest,
    sink: DeliverySink,
    pool?: CreditPool,
  ): ConsumerState {
    const consumer = new ConsumerState(this.#nextConsumer++, subscription, request, sink, this.#shard.ledger, pool);
    this.#feeds.addConsumer(consumer);
    // The pool that it joins may have credit.
    if (consumer.credit > 0) this.#feeds.touch(subscription);
    const feed = this.#feeds.of(subscription);
    feed.consumers.push(consumer);
    if (request.until === 'empty') feed.fetchers++;
    feed.consumers.sort((a, b) => (b.request.priority ?? 0) - (a.request.priority ?? 0) || a.id - b.id);
    return consumer;
  }

  addCredit(consumer: ConsumerState, messages: number): void {
    if (consumer.closed || !(messages > 0)) return;
    consumer.credit += messages;
    for (const member of consumer.pool.members) this.#feeds.touch(member.subscription);
  }

  /** What had not left is not used up; the others of its pool have it. */
  #leavePool(consumer: ConsumerState): readonly Outgoing[] {
    const { pool, outbox } = consumer;
    pool.members.delete(consumer);
    const unsent = outbox.clear();
    for (const { ranges } of unsent) pool.credit += countOf(ranges);
    for (const member of pool.members) this.#feeds.touch(member.subscription);
    return unsent;
  }

  /**
   * `crashed`: its session was lost, what it held counts as a crash of each message. `release`: given back, not
   * counted. Otherwise what it holds may still be settled until its deadline.
   */
  removeConsumer(consumer: ConsumerState, how: 'keep' | 'release' | 'crashed'): void {
    if (consumer.closed) return;
    consumer.closed = true;
    this.#feeds.forgetConsumer(consumer);
    const feed = this.#feeds.of(consumer.subscription);
    const at = feed.consumers.indexOf(consumer);
    if (at >= 0) feed.consumers.splice(at, 1);
    if (consumer.request.until === 'empty') feed.fetchers--;
    for (const { token, ranges } of this.#leavePool(consumer)) this.#takeBack(consumer.subscription, token, ranges);
    if (how !== 'keep' && consumer.request.lease !== 'timed') this.#giveBackAll(consumer, how === 'crashed');
    this.#feeds.touch(consumer.subscription);
  }

  /** What was leased but had not left yet: the client never saw it, so it need not wait for the end of the lease. */
  #takeBack(subscription: Subscription, token: number, ranges: readonly OffsetRange[]): void {
    for (const { partition, offset, count } of ranges) {
      const backlog = subscription.backlogs[partition];
      const unseen: number[] = [];
      for (let at = offset; at < offset + count; at++) if (backlog?.leaseOf(at)?.token === token) unseen.push(at);
      this.#returns.settleAs(subscription, partition, unseen, 'uncounted', undefined);
    }
  }

  #giveBackAll(consumer: ConsumerState, crashed: boolean): void {
    const { subscription } = consumer;
    subscription.backlogs.forEach((backlog, partition) => {
      const held: number[] = [];
      for (const [offset, lease] of backlog.leases()) if (lease.consumer === consumer.id) held.push(offset);
      if (held.length > 0)
        this.#returns.settleAs(
          subscription,
          partition,
          held.sort((a, b) => a - b),
          crashed ? 'crash' : 'uncounted',
          crashed ? 'the connection of its consumer was lost' : undefined,
        );
    });
    consumer.inFlight = 0;
  }

  /** The subscription is gone. */
  drop(subscription: Subscription, reason: string): void {
    for (const consumer of this.#feeds.consumersOf(subscription)) {
      consumer.closed = true;
      this.#feeds.forgetConsumer(consumer);
      this.#leavePool(consumer);
      consumer.sink.ended(reason);
    }
    this.#feeds.forget(subscription);
    this.#shard.agenda.cancel(`feed:${subscription.id}`);
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

  // ---- Each turn --------------------------------------------------------------------------------------------------

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
      if (feed.fetchers > 0) this.#fetched.add(feed);
      this.#timekeeper.setWake(feed, now);
    }
  }

  /** After the batch was appended: loads the bodies and sends them on their way. */
  send(): void {
    const planned = this.#planned;
    if (planned.length > 0) {
      this.#planned = [];
      for (const plan of planned) this.#send(plan);
    }
    for (const feed of this.#fetched) {
      for (const consumer of feed.consumers) {
        if (consumer.request.until !== 'empty' || consumer.credit <= 0 || consumer.drained) continue;
        consumer.drained = true;
        if (consumer.outbox.empty) this.#endFetch(consumer);
      }
    }
    this.#fetched.clear();
  }

  /** It has all that there was. That there is no more depends on what others have just been given. */
  #endFetch(consumer: ConsumerState): void {
    const end = (): void => {
      if (consumer.closed) return;
      this.removeConsumer(consumer, 'keep');
      consumer.sink.ended('Nothing more is ready.');
    };
    this.#shard.gate.hold(this.#shard.sequence, consumer.subscription.topic.policy.durability, end, () => {});
  }

  #handOut(feed: Feed, now: number): void {
    const { subscription } = feed;
    for (let rounds = 0; rounds < 10_000; rounds++) {
      if (!this.#shard.hasRoom(LEASE_BYTES)) return this.#waitForRoom(subscription);
      const backlog = this.#nextBacklog(feed);
      if (backlog === undefined) return;
      const suspect = backlog.suspects.first();
      const consumer = suspect === undefined ? this.#pick(feed) : this.#pickIdle(feed);
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
    const allowed = maxInFlight === null ? max : Math.min(max, maxInFlight - this.#leased(feed.subscription));
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

  #eligible(feed: Feed, consumer: ConsumerState): boolean {
    if (consumer.credit <= 0 || consumer.isolated) return false;
    return !feed.subscription.policy.singleActive || feed.consumers[0] === consumer || this.#oldest(feed) === consumer;
  }

  #oldest(feed: Feed): ConsumerState | undefined {
    let oldest = feed.consumers[0];
    for (const consumer of feed.consumers) {
      if (
        oldest !== undefined &&
        consumer.id < oldest.id &&
        (consumer.request.priority ?? 0) === (oldest.request.priority ?? 0)
      )
        oldest = consumer;
    }
    return oldest;
  }

  /** Highest priority first, equals in turn. */
  #pick(feed: Feed): ConsumerState | undefined {
    const { consumers } = feed;
    let best: ConsumerState | undefined;
    let bestTurn = 0;
    for (let i = 0; i < consumers.length; i++) {
      const at = (feed.turn + i) % consumers.length;
      const consumer = consumers[at];
      if (consumer === undefined || !this.#eligible(feed, consumer)) continue;
      if (best === undefined || (consumer.request.priority ?? 0) > (best.request.priority ?? 0)) {
        best = consumer;
        bestTurn = at;
      }
    }
    if (best !== undefined) feed.turn = (bestTurn + 1) % consumers.length;
    return best;
  }

  /**
   * A message with which a consumer died goes alone to a consumer that holds nothing. If all hold something, the one
   * that holds least gets nothing new until it is free, else the suspect would wait for ever behind steady traffic.
   */
  #pickIdle(feed: Feed): ConsumerState | undefined {
    let least: ConsumerState | undefined;
    for (const consumer of feed.consumers) {
      if (!this.#eligible(feed, consumer)) continue;
      if (consumer.inFlight === 0) return consumer;
      if (least === undefined || consumer.inFlight < least.inFlight) least = consumer;
    }
    const others = feed.consumers.filter((consumer) => consumer !== least && this.#eligible(feed, consumer));
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

  #leased(subscription: Subscription): number {
    return subscription.backlogs.reduce((sum, backlog) => sum + backlog.leased.size, 0);
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
      deadline,
      ranges,
    });
    this.#planned.push({ consumer, topic, token: this.#shard.state.tokenOf(sequence), deadline, sequence, ranges });
  }

  #send({ consumer, topic, token, deadline, sequence, ranges }: Planned): void {
    const outgoing = consumer.outbox.push(token, ranges, consumer.request.autoAck === true ? Infinity : deadline);
    const autoAck = consumer.request.autoAck === true;
    // Where the message is settled by its delivery, its body may be gone before somebody asks for it.
    const apart = consumer.request.bodies === 'apart' && !autoAck;
    const loads = ranges.map(({ partition, offset, count }) =>
      apart
        ? this.#bodies.load(topic, partition, offset, offset + count)
        : this.#bodies.loadWhole(topic, partition, offset, offset + count),
    );
    const finish = (loaded: BodyRun[][]): void => {
      const runs: DeliveryRun[] = [];
      loaded.forEach((bodies, i) => {
        for (const body of bodies)
          runs.push(
            deliveryRun(
              topic,
              ranges[i]?.partition ?? 0,
              token,
              ranges[i]?.attempt ?? 1,
              autoAck ? 0 : deadline,
              this.#bodies.readable(body, consumer.request.formats),
            ),
          );
      });
      // Settled only now that it can be delivered: what is settled may be gone before it is read.
      if (autoAck && !this.#ackAll(consumer, token, ranges)) {
        runs.length = 0;
        this.addCredit(consumer, countOf(ranges));
      }
      if (autoAck) this.#openAt(consumer, outgoing, this.#shard.sequence);
      consumer.outbox.fill(outgoing, runs);
      this.#drain(consumer);
    };
    // A first delivery of what is safe already need not wait for its lease: if that is lost, it is delivered once more.
    // Where order is promised, what it follows must be settled for good, else a crash would bring that back after it.
    const { order, singleActive } = consumer.subscription.policy;
    const ordered = order === 'key' || order === 'strict' || singleActive || consumer.request.exclusive === true;
    const free = !ordered && ranges.every((range) => range.attempt === 1 && this.#isSynced(topic, range));
    if (!autoAck) this.#openAt(consumer, outgoing, free ? 0 : sequence);
    const inMemory = loads.flatMap((load) => (load instanceof Promise ? [] : [load]));
    if (inMemory.length === loads.length) finish(inMemory);
    else {
      Promise.all(loads.map((load) => Promise.resolve(load))).then(finish, (error: unknown) => this.#shard.fail(error));
    }
  }

  /** What came too late to be delivered does not take credit. */
  #drain(consumer: ConsumerState): void {
    const late = consumer.outbox.drain(this.#shard.clock.now());
    if (late > 0) this.addCredit(consumer, late);
    if (consumer.drained && consumer.outbox.empty) this.#endFetch(consumer);
  }

  /** Lets a delivery leave once `sequence` is durable, and not before those that came before it. */
  #openAt(consumer: ConsumerState, outgoing: Outgoing, sequence: number): void {
    const needed = Math.max(sequence, consumer.outbox.empty ? 0 : consumer.heldUntil);
    consumer.heldUntil = needed;
    this.#shard.gate.holdApart(
      needed,
      consumer.subscription.topic.policy.durability,
      () => {
        outgoing.open = true;
        this.#drain(consumer);
      },
      () => {},
    );
  }

  /** Settles a delivery to a consumer that acks by receiving. False when it does not hold the messages any more. */
  #ackAll(consumer: ConsumerState, token: number, ranges: readonly OffsetRange[]): boolean {
    const { subscription } = consumer;
    if (consumer.closed || this.#shard.stopped()) return false;
    for (const { partition, offset, count } of ranges) {
      const backlog = subscription.backlogs[partition];
      for (let at = offset; at < offset + count; at++) if (backlog?.leaseOf(at)?.token !== token) return false;
    }
    for (const { partition, offset, count } of ranges)
      this.#returns.noteSettled(
        subscription,
        partition,
        Array.from({ length: count }, (_, i) => offset + i),
      );
    this.#feeds.countersOf(subscription).acked += countOf(ranges);
    this.#shard.record({
      type: 'settle',
      topicId: subscription.topic.id,
      subscriptionId: subscription.id,
      how: 'ack',
      counted: COUNTED.none,
      at: this.#shard.clock.now(),
      due: 0,
      ranges: ranges.map(({ partition, offset, count }) => ({ partition, offset, count })),
    });
    this.#feeds.touch(subscription);
    return true;
  }

  #isSynced(topic: Topic, range: OffsetRange): boolean {
    const partition = topic.partition(range.partition);
    // What was published long ago may have been committed only now.
    if (partition.decidedAt > this.#shard.gate.synced) return false;
    const place = partition.place(range.offset + range.count - 1);
    return (
      place === undefined ||
      place.kind === 'cold' ||
      (place.position >= 0 && place.position < this.#shard.syncedPosition)
    );
  }
}

function countOf(ranges: readonly OffsetRange[]): number {
  let count = 0;
  for (const range of ranges) count += range.count;
  return count;
}
