import type { ConsumeRequest, DeliveryRun, DeliverySink, LeaseRange } from '../../core/session.ts';
import { COUNTED, LEASE_KIND, type OffsetRange, type SettleEntry, type SettleHow } from '../entries.ts';
import type { Backlog } from '../machine/backlog.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import { RateLimiter } from '../structures/rate-limiter.ts';
import type { Bodies, BodyRun } from './bodies.ts';
import { Outbox } from './outbox.ts';
import type { Shard } from './shard.ts';

/** A consumer as the dispatcher sees it. Volatile: it lives as long as its session. */
export class ConsumerState {
  readonly id: number;
  readonly subscription: Subscription;
  readonly request: ConsumeRequest;
  readonly sink: DeliverySink;
  readonly outbox: Outbox;
  credit = 0;
  inFlight = 0;
  /** Holds a message with which a consumer died before: it gets nothing else until that is settled. */
  isolated = false;
  closed = false;
  /** Its last delivery leaves the gate with this sequence; a later one must not overtake it. */
  heldUntil = 0;

  constructor(id: number, subscription: Subscription, request: ConsumeRequest, sink: DeliverySink) {
    this.id = id;
    this.subscription = subscription;
    this.request = request;
    this.sink = sink;
    this.outbox = new Outbox(sink);
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

/** What the dispatcher keeps for a subscription with consumers or timers. Volatile. */
interface Feed {
  readonly subscription: Subscription;
  readonly consumers: ConsumerState[];
  readonly counters: FeedCounters;
  turn: number;
  partition: number;
  /** No lease ends before this. */
  leaseBound: number;
  limiter: RateLimiter | null;
  lastUsed: number;
}

interface Planned {
  consumer: ConsumerState;
  topic: Topic;
  token: number;
  deadline: number;
  sequence: number;
  ranges: (OffsetRange & { attempt: number })[];
}

/** How many of the oldest lease checks may wait to be done together once there are many leases. */
const MANY_LEASES = 1000;
const LEASE_CHECK_MS = 100;
/** At most so many messages are chosen for one consumer before the next one gets its turn. */
const MAX_SHARE = 1000;
const TIMER_BATCH = 10_000;

/**
 * Hands out what is ready: by priority of the message, then by place; to the consumer with the highest priority that
 * has credit, taking turns among equals. Also ends leases, wakes delayed messages and expires old ones. It decides and
 * records; which consumer gets what is not part of the state, only the lease is.
 */
export class Dispatcher {
  readonly #shard: Shard;
  readonly #bodies: Bodies;
  readonly #feeds = new Map<number, Feed>();
  readonly #consumers = new Map<number, ConsumerState>();
  readonly #touched = new Set<Subscription>();
  #planned: Planned[] = [];
  #nextConsumer = 1;
  /** Called for messages that must be moved to a dead-letter queue. */
  onDying: (subscription: Subscription, partition: number, offset: number) => void = () => {};

  constructor(shard: Shard, bodies: Bodies) {
    this.#shard = shard;
    this.#bodies = bodies;
  }

  // ---- Consumers --------------------------------------------------------------------------------------------------

  addConsumer(subscription: Subscription, request: ConsumeRequest, sink: DeliverySink): ConsumerState {
    const consumer = new ConsumerState(this.#nextConsumer++, subscription, request, sink);
    this.#consumers.set(consumer.id, consumer);
    const feed = this.#feed(subscription);
    feed.consumers.push(consumer);
    feed.consumers.sort((a, b) => (b.request.priority ?? 0) - (a.request.priority ?? 0) || a.id - b.id);
    return consumer;
  }

  addCredit(consumer: ConsumerState, messages: number): void {
    if (consumer.closed || !(messages > 0)) return;
    consumer.credit += messages;
    this.touch(consumer.subscription);
  }

  /**
   * `crashed`: its session was lost, what it held counts as a crash of each message. `release`: given back, not
   * counted. Otherwise what it holds may still be settled until its deadline.
   */
  removeConsumer(consumer: ConsumerState, how: 'keep' | 'release' | 'crashed'): void {
    if (consumer.closed) return;
    consumer.closed = true;
    this.#consumers.delete(consumer.id);
    const feed = this.#feed(consumer.subscription);
    const at = feed.consumers.indexOf(consumer);
    if (at >= 0) feed.consumers.splice(at, 1);
    consumer.outbox.clear();
    if (how !== 'keep' && consumer.request.lease === 'session') this.#giveBackAll(consumer, how === 'crashed');
    this.touch(consumer.subscription);
  }

  /** Also those that were delivered but have not left yet. */
  #giveBackAll(consumer: ConsumerState, crashed: boolean): void {
    const { subscription } = consumer;
    subscription.backlogs.forEach((backlog, partition) => {
      const held: number[] = [];
      for (const [offset, lease] of backlog.leases()) if (lease.consumer === consumer.id) held.push(offset);
      if (held.length > 0)
        this.settleAs(
          subscription,
          partition,
          held.sort((a, b) => a - b),
          crashed ? 'crash' : 'uncounted',
          crashed ? 'the connection of its consumer was lost' : undefined,
        );
    });
    consumer.inFlight = 0;
  }

  consumersOf(subscription: Subscription): readonly ConsumerState[] {
    return this.#feeds.get(subscription.id)?.consumers ?? [];
  }

  countersOf(subscription: Subscription): FeedCounters {
    return this.#feed(subscription).counters;
  }

  /** When it was last used by a consumer, for queues that go when nobody uses them. */
  lastUsed(subscription: Subscription): number {
    const feed = this.#feed(subscription);
    return feed.consumers.length > 0 ? this.#shard.clock.now() : feed.lastUsed;
  }

  /** The subscription is gone. */
  drop(subscription: Subscription, reason: string): void {
    for (const consumer of [...this.consumersOf(subscription)]) {
      consumer.closed = true;
      this.#consumers.delete(consumer.id);
      consumer.outbox.clear();
      consumer.sink.ended(reason);
    }
    this.#feeds.delete(subscription.id);
    this.#touched.delete(subscription);
    this.#shard.agenda.cancel(`feed:${subscription.id}`);
  }

  // ---- What changed -----------------------------------------------------------------------------------------------

  touch(subscription: Subscription): void {
    this.#touched.add(subscription);
    this.#shard.wake();
  }

  touchTopic(topic: Topic, timed: boolean): void {
    for (const subscription of topic.subscriptions.values()) {
      if (timed || this.#feeds.has(subscription.id)) this.#touched.add(subscription);
    }
  }

  /** After a start: whatever has a timer or is dying is taken up again. */
  arm(): void {
    for (const topic of this.#shard.state.topics.values()) {
      for (const subscription of topic.subscriptions.values()) {
        subscription.backlogs.forEach((backlog, partition) => {
          for (const offset of backlog.dying.keys()) this.onDying(subscription, partition, offset);
          if (backlog.leased.size > 0 || backlog.nextDue() < Infinity || backlog.nextExpiry() < Infinity) {
            const feed = this.#feed(subscription);
            for (const [, lease] of backlog.leases()) feed.leaseBound = Math.min(feed.leaseBound, lease.deadline);
            this.#touched.add(subscription);
          }
        });
      }
    }
  }

  // ---- Each turn --------------------------------------------------------------------------------------------------

  /** Before the batch is appended: chooses and records leases. */
  dispatch(): void {
    for (const subscription of this.#touched) {
      this.#touched.delete(subscription);
      if (subscription.topic.subscriptions.get(subscription.id) !== subscription) continue;
      const feed = this.#feed(subscription);
      this.#timers(feed);
      if (feed.consumers.length > 0 && !subscription.paused) this.#handOut(feed);
      this.#setWake(feed);
    }
  }

  /** After the batch was appended: loads the bodies and sends them on their way. */
  send(): void {
    const planned = this.#planned;
    if (planned.length === 0) return;
    this.#planned = [];
    for (const plan of planned) this.#send(plan);
  }

  #handOut(feed: Feed): void {
    const { subscription } = feed;
    const { policy } = subscription;
    const now = this.#shard.clock.now();
    for (let rounds = 0; rounds < 10_000; rounds++) {
      const backlog = this.#nextBacklog(feed);
      if (backlog === undefined) return;
      const suspect = backlog.suspects.first();
      const consumer = suspect === undefined ? this.#pick(feed) : this.#pickIdle(feed);
      if (consumer === undefined) return;
      let max = Math.min(consumer.credit, this.#share(feed, backlog), this.#byBytes(consumer, feed.partition));
      if (policy.maxInFlight !== null) {
        max = Math.min(max, policy.maxInFlight - this.#leased(subscription));
        if (max <= 0) return;
      }
      if (policy.consumeRate !== null) {
        feed.limiter ??= new RateLimiter(policy.consumeRate);
        while (max > 1 && feed.limiter.waitMs(max, now) > 0) max = Math.floor(max / 2);
        if (feed.limiter.waitMs(max, now) > 0) return;
      }
      const ranges = this.#choose(backlog, feed.partition, suspect, max);
      if (ranges.length === 0) return;
      feed.limiter?.tryTake(countOf(ranges), now);
      this.#lease(feed, consumer, ranges, now);
      if (suspect !== undefined) consumer.isolated = true;
    }
    // A very long list of consumers and messages: the rest in the next turn, so that others get theirs.
    this.touch(subscription);
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
      const ranges = this.#choose(backlog, feed.partition, undefined, Math.min(consumer.credit, MAX_SHARE));
      if (ranges.length > 0) this.#lease(feed, consumer, ranges, now);
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

  /** Runs that can be delivered together: one attempt number for each run. Nothing changes yet. */
  #choose(
    backlog: Backlog,
    partition: number,
    suspect: number | undefined,
    max: number,
  ): (OffsetRange & { attempt: number })[] {
    if (suspect !== undefined) return [{ partition, offset: suspect, count: 1, attempt: backlog.attemptOf(suspect) }];
    const run = backlog.nextRun(max);
    if (run === undefined) return [];
    return [{ partition, offset: run.from, count: run.to - run.from, attempt: backlog.attemptOf(run.from) }];
  }

  #lease(feed: Feed, consumer: ConsumerState, ranges: (OffsetRange & { attempt: number })[], now: number): void {
    const { subscription } = feed;
    const { topic } = subscription;
    const count = countOf(ranges);
    const ids = { topicId: topic.id, subscriptionId: subscription.id };
    consumer.credit -= count;
    feed.counters.delivered += count;
    feed.lastUsed = now;
    for (const range of ranges) if (range.attempt > 1) feed.counters.redelivered += range.count;
    let deadline = 0;
    let sequence: number;
    if (consumer.request.autoAck === true) {
      feed.counters.acked += count;
      sequence = this.#shard.record({
        type: 'settle',
        ...ids,
        how: 'ack',
        counted: COUNTED.none,
        at: now,
        due: 0,
        ranges,
      });
    } else {
      deadline = now + (consumer.request.leaseMs ?? subscription.policy.leaseMs);
      feed.leaseBound = Math.min(feed.leaseBound, deadline);
      consumer.inFlight += count;
      sequence = this.#shard.record({
        type: 'lease',
        ...ids,
        kind: LEASE_KIND[consumer.request.lease],
        consumer: consumer.id,
        deadline,
        ranges,
      });
    }
    this.#planned.push({ consumer, topic, token: sequence, deadline, sequence, ranges });
  }

  #send({ consumer, topic, token, deadline, sequence, ranges }: Planned): void {
    const outgoing = consumer.outbox.push();
    let needed = sequence;
    const loads = ranges.map((range) =>
      this.#bodies.load(topic, range.partition, range.offset, range.offset + range.count),
    );
    const finish = (loaded: BodyRun[][]): void => {
      const runs: DeliveryRun[] = [];
      loaded.forEach((bodies, i) => {
        for (const body of bodies)
          runs.push(deliveryRun(topic, ranges[i]?.partition ?? 0, token, ranges[i]?.attempt ?? 1, deadline, body));
      });
      outgoing.runs = runs;
      consumer.outbox.drain();
    };
    // A first delivery of what is safe already need not wait for its lease: if that is lost, it is delivered once more.
    if (
      ranges.every((range) => range.attempt === 1 && this.#isSynced(topic, range)) &&
      consumer.request.autoAck !== true
    )
      needed = 0;
    needed = Math.max(needed, consumer.outbox.empty ? 0 : consumer.heldUntil);
    consumer.heldUntil = needed;
    const level = topic.policy.durability;
    this.#shard.gate.holdApart(
      needed,
      level,
      () => {
        outgoing.open = true;
        consumer.outbox.drain();
      },
      () => {},
    );
    if (loads.some((load) => load instanceof Promise)) {
      Promise.all(loads).then(finish, (error: unknown) => this.#shard.fail(error));
    } else finish(loads as BodyRun[][]);
  }

  #isSynced(topic: Topic, range: OffsetRange): boolean {
    const place = topic.partition(range.partition).place(range.offset + range.count - 1);
    return (
      place === undefined ||
      place.kind === 'cold' ||
      (place.position >= 0 && place.position < this.#shard.syncedPosition)
    );
  }

  // ---- Timers -----------------------------------------------------------------------------------------------------

  #timers(feed: Feed): void {
    const now = this.#shard.clock.now();
    const { subscription } = feed;
    subscription.backlogs.forEach((backlog, partition) => {
      if (backlog.nextDue() <= now)
        this.#record(subscription, partition, backlog.takeDue(now, TIMER_BATCH), 'ready', now);
      if (backlog.nextExpiry() <= now) {
        const expired = backlog.takeExpired(now, TIMER_BATCH);
        feed.counters.expired += expired.length;
        this.#record(subscription, partition, expired, 'gone', now, 'expired');
      }
    });
    if (feed.leaseBound <= now) this.#endLeases(feed, now);
  }

  /** Looks through the leases for those that are over. What is left gives the next bound. */
  #endLeases(feed: Feed, now: number): void {
    let bound = Infinity;
    let leases = 0;
    feed.subscription.backlogs.forEach((backlog, partition) => {
      const over: number[] = [];
      for (const [offset, lease] of backlog.leases()) {
        leases++;
        if (lease.deadline > now) bound = Math.min(bound, lease.deadline);
        else {
          over.push(offset);
          this.#tellLost(lease.consumer, { partition, offset, count: 1, token: lease.token });
        }
      }
      if (over.length > 0)
        this.settleAs(
          feed.subscription,
          partition,
          over.sort((a, b) => a - b),
          'attempt',
          'its lease ended before it was settled',
        );
    });
    feed.leaseBound = leases > MANY_LEASES ? Math.max(bound, now + LEASE_CHECK_MS) : bound;
  }

  #tellLost(consumerId: number, lease: LeaseRange): void {
    const consumer = this.#consumers.get(consumerId);
    if (consumer === undefined) return;
    const gone = (): void => consumer.sink.lost?.([lease]);
    this.#shard.gate.hold(this.#shard.sequence, 'fsync', gone, () => {});
  }

  #setWake(feed: Feed): void {
    let next = feed.leaseBound;
    for (const backlog of feed.subscription.backlogs) next = Math.min(next, backlog.nextDue(), backlog.nextExpiry());
    const { policy } = feed.subscription;
    if (
      policy.consumeRate !== null &&
      feed.limiter !== null &&
      feed.consumers.some((consumer) => consumer.credit > 0)
    ) {
      const now = this.#shard.clock.now();
      const wait = feed.limiter.waitMs(1, now);
      if (wait > 0) next = Math.min(next, now + Math.max(1, Math.ceil(wait)));
    }
    if (next === Infinity) this.#shard.agenda.cancel(`feed:${feed.subscription.id}`);
    else this.#shard.agenda.set(`feed:${feed.subscription.id}`, next, () => this.#touched.add(feed.subscription));
  }

  // ---- Settling ---------------------------------------------------------------------------------------------------

  /** The consumer no longer holds these; it may get others. */
  noteSettled(subscription: Subscription, partition: number, offsets: Iterable<number>): void {
    const backlog = subscription.backlogs[partition];
    if (backlog === undefined) return;
    for (const offset of offsets) {
      const lease = backlog.leaseOf(offset);
      const consumer = lease === undefined ? undefined : this.#consumers.get(lease.consumer);
      if (consumer === undefined || consumer.subscription !== subscription) continue;
      consumer.inFlight--;
      if (consumer.inFlight <= 0) {
        consumer.inFlight = 0;
        consumer.isolated = false;
      }
    }
  }

  /**
   * Gives messages back that were not acked, by the rules of the subscription: a counted attempt waits for its backoff,
   * and the last one leads to the dead-letter queue.
   *
   * @param how `attempt` and `crash` are counted; `uncounted` comes back at once
   */
  settleAs(
    subscription: Subscription,
    partition: number,
    offsets: readonly number[],
    how: 'attempt' | 'crash' | 'uncounted',
    error: string | undefined,
    delayMs?: number,
  ): void {
    const backlog = subscription.backlogs[partition];
    if (backlog === undefined || offsets.length === 0) return;
    const now = this.#shard.clock.now();
    const { policy } = subscription;
    const feed = this.#feed(subscription);
    this.noteSettled(subscription, partition, offsets);
    feed.counters.released += offsets.length;
    const counted = how === 'uncounted' ? 'none' : how;
    const groups = new Map<string, { how: SettleHow; due: number; reason: string | undefined; offsets: number[] }>();
    const overdue: number[] = [];
    for (const offset of offsets) {
      if (backlog.isOverdue(offset)) {
        overdue.push(offset);
        continue;
      }
      const trouble = backlog.troubles.get(offset);
      const attempts = (trouble?.attempts ?? 0) + (how === 'attempt' ? 1 : 0);
      const crashes = (trouble?.crashes ?? 0) + (how === 'crash' ? 1 : 0);
      let group: { key: string; how: SettleHow; due: number; reason: string | undefined };
      if (how === 'attempt' && policy.maxAttempts > 0 && attempts >= policy.maxAttempts)
        group = { key: 'a', how: 'dying', due: 0, reason: 'attempts' };
      else if (how === 'crash' && policy.maxCrashes > 0 && crashes >= policy.maxCrashes)
        group = { key: 'c', how: 'dying', due: 0, reason: 'crashes' };
      else {
        const wait =
          delayMs ?? (how === 'attempt' ? backoffMs(policy.backoff, attempts, this.#shard.random.next()) : 0);
        group =
          wait > 0
            ? { key: `d${attempts}`, how: 'delayed', due: now + wait, reason: undefined }
            : { key: 'r', how: 'ready', due: 0, reason: undefined };
      }
      const same = groups.get(group.key);
      if (same === undefined) groups.set(group.key, { ...group, offsets: [offset] });
      else same.offsets.push(offset);
    }
    if (overdue.length > 0) {
      feed.counters.expired += overdue.length;
      this.#record(subscription, partition, overdue, 'gone', now, 'expired');
    }
    for (const group of groups.values()) {
      this.#record(
        subscription,
        partition,
        group.offsets,
        group.how,
        now,
        group.reason,
        error,
        group.due,
        COUNTED[counted],
      );
      if (group.how === 'dying') for (const offset of group.offsets) this.onDying(subscription, partition, offset);
    }
  }

  /** Removes messages for a rule of the user: expired, purged, dropped, too many. */
  discard(subscription: Subscription, partition: number, offsets: readonly number[], reason: string): void {
    this.noteSettled(subscription, partition, offsets);
    this.#record(subscription, partition, offsets, 'gone', this.#shard.clock.now(), reason);
  }

  sendToDead(
    subscription: Subscription,
    partition: number,
    offsets: readonly number[],
    reason: string,
    error: string | undefined,
  ): void {
    this.noteSettled(subscription, partition, offsets);
    this.#record(subscription, partition, offsets, 'dying', this.#shard.clock.now(), reason, error);
    for (const offset of offsets) this.onDying(subscription, partition, offset);
  }

  /** Makes room for new messages: the oldest that nobody holds go. */
  evictOldest(topic: Topic, count: number, toDead: boolean): void {
    for (const subscription of topic.subscriptions.values()) {
      let left = count;
      for (const [partition, backlog] of subscription.backlogs.entries()) {
        const oldest: number[] = [];
        for (
          let at = backlog.pending.first();
          at !== undefined && oldest.length < left;
          at = backlog.pending.next(at + 1)
        ) {
          if (!backlog.leased.has(at) && !backlog.dying.has(at)) oldest.push(at);
        }
        left -= oldest.length;
        if (oldest.length === 0) continue;
        if (toDead) this.sendToDead(subscription, partition, oldest, 'overflow', undefined);
        else this.discard(subscription, partition, oldest, 'overflow');
      }
    }
  }

  #record(
    subscription: Subscription,
    partition: number,
    offsets: readonly number[],
    how: SettleHow,
    now: number,
    reason?: string,
    error?: string,
    due = 0,
    counted: number = COUNTED.none,
  ): void {
    for (let from = 0; from < offsets.length;) {
      const { ranges, next } = toRanges(partition, offsets, from);
      from = next;
      const entry: SettleEntry = {
        type: 'settle',
        topicId: subscription.topic.id,
        subscriptionId: subscription.id,
        how,
        counted,
        at: now,
        due,
        ranges,
      };
      if (reason !== undefined) entry.reason = reason;
      if (error !== undefined) entry.error = error.slice(0, this.#shard.limits.maxErrorText);
      this.#shard.record(entry);
    }
    this.touch(subscription);
  }

  #feed(subscription: Subscription): Feed {
    let feed = this.#feeds.get(subscription.id);
    if (feed === undefined) {
      const counters = { delivered: 0, redelivered: 0, acked: 0, released: 0, deadLettered: 0, expired: 0 };
      feed = {
        subscription,
        consumers: [],
        counters,
        turn: 0,
        partition: -1,
        leaseBound: Infinity,
        limiter: null,
        lastUsed: this.#shard.clock.now(),
      };
      this.#feeds.set(subscription.id, feed);
    }
    return feed;
  }

  /** A lease was made longer: it no longer ends at the old bound, but the bound stays right. */
  noteDeadline(subscription: Subscription, deadline: number): void {
    const feed = this.#feed(subscription);
    feed.leaseBound = Math.min(feed.leaseBound, deadline);
    this.touch(subscription);
  }
}

function countOf(ranges: readonly OffsetRange[]): number {
  let count = 0;
  for (const range of ranges) count += range.count;
  return count;
}

function deliveryRun(
  topic: Topic,
  partition: number,
  token: number,
  attempt: number,
  deadline: number,
  body: BodyRun,
): DeliveryRun {
  const run: DeliveryRun = {
    topicId: topic.id,
    partition,
    offset: body.offset,
    count: body.count,
    token,
    attempt,
    publishedAt: body.publishedAt,
    deadline,
    format: body.format,
    records: body.records,
  };
  if (body.history !== undefined) run.history = body.history;
  return run;
}

/** Ascending offsets as ranges, as many as fit into one entry. */
export function toRanges(
  partition: number,
  offsets: readonly number[],
  from: number,
): { ranges: OffsetRange[]; next: number } {
  const ranges: OffsetRange[] = [];
  let at = from;
  while (at < offsets.length) {
    const offset = offsets[at];
    if (offset === undefined) break;
    const last = ranges.at(-1);
    if (last !== undefined && last.offset + last.count === offset) last.count++;
    else {
      if (ranges.length === 10_000) break;
      ranges.push({ partition, offset, count: 1 });
    }
    at++;
  }
  return { ranges, next: at };
}

/** How long a message waits after its n-th failed attempt. `chance` in [0, 1). */
export function backoffMs(
  backoff: { type: string; minMs: number; maxMs: number; jitter: boolean },
  attempts: number,
  chance: number,
): number {
  if (backoff.type === 'none') return 0;
  const factor = backoff.type === 'fixed' ? 1 : backoff.type === 'linear' ? attempts : 2 ** Math.min(attempts - 1, 52);
  const wait = Math.min(backoff.minMs * factor, backoff.maxMs);
  return Math.round(backoff.jitter ? wait * (0.5 + chance / 2) : wait);
}
