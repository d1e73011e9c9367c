import { backoffMs } from '../../core/backoff.ts';
import { type Counted, COUNTED, type OffsetRange, type SettleEntry, type SettleHow } from '../entries.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import { countOf } from './choice.ts';
import type { Feeds } from './feeds.ts';
import type { Shard } from './shard.ts';

/** What a range takes in an entry. */
const RANGE_BYTES = 14;

/** Messages with one fate. */
interface Group {
  how: SettleHow;
  due: number;
  reason: string | undefined;
  counted: Counted;
}

/** What becomes of messages that were handed out: they are done, come back, wait, expire, or die, as their subscription says. */
export class Returns {
  readonly #shard: Shard;
  readonly #feeds: Feeds;
  /** Called for messages that must be moved to a dead-letter queue. */
  onDying: (subscription: Subscription, partition: number, offset: number) => void = () => {};

  constructor(shard: Shard, feeds: Feeds) {
    this.#shard = shard;
    this.#feeds = feeds;
  }

  /** The consumer no longer holds these; it may get others. */
  noteSettled(subscription: Subscription, partition: number, offsets: Iterable<number>): void {
    const backlog = subscription.backlogs[partition];
    if (backlog === undefined) return;
    for (const offset of offsets) {
      const lease = backlog.leaseOf(offset);
      const consumer = lease === undefined ? undefined : this.#feeds.consumer(lease.consumer);
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
   * @param how `attempt` is counted, and `crash` and `outage` both as a crash; `uncounted` comes back at once. After an
   * `outage`, which many messages share, only those are kept apart that were in flight at a crash before, or that
   * could not survive another one. A `return` did not fail: it waits as its failures say, and no limit counts it
   */
  settleAs(
    subscription: Subscription,
    partition: number,
    offsets: readonly number[],
    how: 'attempt' | 'crash' | 'outage' | 'return' | 'uncounted',
    error: string | undefined,
    delayMs?: number,
  ): void {
    const backlog = subscription.backlogs[partition];
    if (backlog === undefined || offsets.length === 0) return;
    const now = this.#shard.clock.now();
    const { policy } = subscription;
    const feed = this.#feeds.of(subscription);
    this.noteSettled(subscription, partition, offsets);
    feed.counters.released += offsets.length;
    const groups = new Map<string, Group & { offsets: number[] }>();
    const overdue: number[] = [];
    for (const offset of offsets) {
      if (backlog.isOverdue(offset)) {
        overdue.push(offset);
        continue;
      }
      const trouble = backlog.troubles.get(offset);
      const attempts = (trouble?.attempts ?? 0) + (how === 'attempt' ? 1 : 0);
      const crashed = how === 'crash' || how === 'outage';
      const crashes = (trouble?.crashes ?? 0) + (crashed ? 1 : 0);
      const apart = crashes > 1 || (policy.maxCrashes > 0 && crashes + 1 >= policy.maxCrashes);
      const counted = how === 'uncounted' ? 'none' : how === 'outage' && apart ? 'crash' : how;
      let group: Group & { key: string };
      if (how === 'attempt' && policy.maxAttempts > 0 && attempts >= policy.maxAttempts)
        group = { key: 'a', how: 'dying', due: 0, reason: 'attempts', counted };
      else if (crashed && policy.maxCrashes > 0 && crashes >= policy.maxCrashes)
        group = { key: 'c', how: 'dying', due: 0, reason: 'crashes', counted };
      else {
        const waits = how === 'attempt' || how === 'return';
        const wait =
          delayMs ?? (waits ? backoffMs(policy.backoff, Math.max(1, attempts), this.#shard.random.next()) : 0);
        group =
          wait > 0
            ? { key: `d${attempts}`, how: 'delayed', due: now + wait, reason: undefined, counted }
            : { key: `r${counted}`, how: 'ready', due: 0, reason: undefined, counted };
      }
      const same = groups.get(group.key);
      if (same === undefined) groups.set(group.key, { ...group, offsets: [offset] });
      else same.offsets.push(offset);
    }
    this.expire(subscription, partition, overdue);
    for (const group of groups.values()) {
      this.record(
        subscription,
        partition,
        group.offsets,
        group.how,
        now,
        group.reason,
        error,
        group.due,
        COUNTED[group.counted],
      );
      if (group.how === 'dying') for (const offset of group.offsets) this.onDying(subscription, partition, offset);
    }
  }

  /** They are done. Ends no command: in a transaction more follows in the same batch. */
  ack(subscription: Subscription, ranges: OffsetRange[]): void {
    this.#feeds.counter(subscription).acked += countOf(ranges);
    for (const range of ranges) this.noteSettled(subscription, range.partition, steps(range));
    this.#shard.record({
      type: 'settle',
      topicId: subscription.topic.id,
      subscriptionId: subscription.id,
      how: 'ack',
      counted: COUNTED.none,
      at: this.#shard.clock.now(),
      due: 0,
      ranges,
    });
    this.#feeds.touch(subscription);
  }

  /** Removes messages for a rule of the user: expired, purged, dropped, too many. */
  discard(subscription: Subscription, partition: number, offsets: readonly number[], reason: string): void {
    this.noteSettled(subscription, partition, offsets);
    this.record(subscription, partition, offsets, 'gone', this.#shard.clock.now(), reason);
  }

  /** Their time to live is over. */
  expire(subscription: Subscription, partition: number, offsets: readonly number[]): void {
    if (offsets.length === 0) return;
    this.#feeds.counter(subscription).expired += offsets.length;
    if (subscription.policy.deadLetterExpired) this.sendToDead(subscription, partition, offsets, 'expired', undefined);
    else this.record(subscription, partition, offsets, 'gone', this.#shard.clock.now(), 'expired');
  }

  sendToDead(
    subscription: Subscription,
    partition: number,
    offsets: readonly number[],
    reason: string,
    error: string | undefined,
  ): void {
    this.noteSettled(subscription, partition, offsets);
    this.record(subscription, partition, offsets, 'dying', this.#shard.clock.now(), reason, error);
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
          if (!backlog.leased.has(at) && !backlog.dying.has(at) && !backlog.withheld.has(at)) oldest.push(at);
        }
        left -= oldest.length;
        if (oldest.length === 0) continue;
        if (toDead) this.sendToDead(subscription, partition, oldest, 'overflow', undefined);
        else this.discard(subscription, partition, oldest, 'overflow');
      }
    }
  }

  /** Ascending offsets of one partition, as few entries as they fit into. */
  record(
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
      // Timers of many subscriptions may be due in one turn: together they could be more than a batch holds.
      this.#shard.beginCommand(ranges.length * RANGE_BYTES);
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
    this.#feeds.touch(subscription);
  }
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

function* steps(range: OffsetRange): Generator<number> {
  for (let offset = range.offset; offset < range.offset + range.count; offset++) yield offset;
}
