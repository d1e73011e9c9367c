import { RailheadError } from '../../core/errors.ts';
import { type Durability, safer } from '../../core/policy.ts';
import type { LeaseRange, SettleReceipt, Settlement, SubscriptionRef } from '../../core/session.ts';
import { COUNTED, type OffsetRange } from '../entries.ts';
import type { Backlog } from '../machine/backlog.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import type { Freed } from './admission.ts';
import type { Feeds } from './feeds.ts';
import type { Returns } from './returns.ts';
import type { Shard } from './shard.ts';

const MAX_LEASE_MS = 12 * 3_600_000;
/** Of one entry. */
const MAX_RANGES = 4096;
/** An entry of one range, without its text. */
const ENTRY_BYTES = 80;
/** Of one character. */
const TEXT_BYTES = 3;

/** Acks, releases, rejects and extensions of deliveries, by their lease tokens. */
export class Settler {
  readonly #shard: Shard;
  readonly #feeds: Feeds;
  readonly #returns: Returns;

  constructor(shard: Shard, feeds: Feeds, returns: Returns) {
    this.#shard = shard;
    this.#feeds = feeds;
    this.#returns = returns;
  }

  /**
   * Settles what is still leased and says what was not. Of what is refused, nothing is done. Ends no command: in a
   * transaction more follows in the same batch.
   */
  settle(namespace: string, settlements: readonly Settlement[]): SettleReceipt {
    const lost: SettleReceipt['lost'] = [];
    for (const settlement of settlements) {
      check(settlement);
      this.find(namespace, settlement);
    }
    for (const settlement of settlements) {
      const subscription = this.find(namespace, settlement);
      let together: LeaseRange[] = [];
      const settleTogether = (): void => {
        const [first] = together;
        if (first !== undefined) this.#apply(subscription, settlement, first.partition, together, null);
        together = [];
      };
      for (const range of settlement.ranges) {
        const last = together.at(-1);
        if (last !== undefined && !mayFollow(last, range, together.length)) settleTogether();
        if (this.#holdsAll(subscription, range)) {
          together.push(range);
          continue;
        }
        const late = settlement.action === 'ack' ? settlement.late : undefined;
        const { held, gone } = this.#sort(subscription, range, late);
        if (held.length > 0) this.#apply(subscription, settlement, range.partition, null, held);
        for (const part of gone) lost.push({ topic: settlement.topic, subscription: settlement.subscription, ...part });
      }
      settleTogether();
    }
    return { lost };
  }

  /** What their entries take at most: each range by itself, and what is not acked message by message. */
  boundOf(settlements: readonly Settlement[]): number {
    const { maxErrorText } = this.#shard.limits;
    let bytes = 0;
    for (const settlement of settlements) {
      const { action, ranges } = settlement;
      const entries = action === 'ack' ? ranges.length : ranges.reduce((sum, { count }) => sum + count, 0);
      const text = action === 'reject' ? settlement.reason : action === 'release' ? settlement.error : undefined;
      bytes += entries * (ENTRY_BYTES + TEXT_BYTES * Math.min(text?.length ?? 0, maxErrorText));
    }
    return bytes;
  }

  /** How durable the answer must be: as the safest of the topics says. */
  levelOf(namespace: string, settlements: readonly Settlement[]): Durability {
    let level: Durability = 'memory';
    for (const { topic } of settlements)
      level = safer(level, this.#shard.state.topicNamed(namespace, topic)?.policy.durability ?? 'fsync');
    return level;
  }

  /** For transactions: throws LEASE_LOST unless every delivery is still leased. */
  assertHeld(namespace: string, settlements: readonly Settlement[]): void {
    for (const settlement of settlements) {
      check(settlement);
      const subscription = this.find(namespace, settlement);
      for (const range of settlement.ranges) {
        if (!this.#holdsAll(subscription, range)) {
          throw new RailheadError(
            'LEASE_LOST',
            `The lease of a message of ${JSON.stringify(settlement.subscription)} (offset ${range.offset}) is over; somebody else may have it now. Nothing of the transaction was done.`,
          );
        }
      }
    }
  }

  /**
   * Throws INVALID where a message would be settled twice. Of what is retried that is normal; in one transaction its
   * second ack would make room that is not there.
   */
  assertOnce(namespace: string, settlements: readonly Settlement[]): void {
    const settled = new Map<Subscription, LeaseRange[]>();
    for (const settlement of settlements) {
      if (settlement.action === 'extend') continue;
      const subscription = this.find(namespace, settlement);
      settled.set(subscription, [...(settled.get(subscription) ?? []), ...settlement.ranges]);
    }
    for (const [{ name }, ranges] of settled) {
      const offset = firstTwice(ranges);
      if (offset === undefined) continue;
      throw new RailheadError(
        'INVALID',
        `A transaction settles offset ${offset} of ${JSON.stringify(name)} twice; it may ack, release, return or reject each message once. Nothing of it was done.`,
      );
    }
  }

  /** How many messages of each queue go by the acks, each of which is held and named once. */
  freedBy(namespace: string, settlements: readonly Settlement[]): Freed {
    const freed = new Map<Topic, number>();
    for (const settlement of settlements) {
      const { topic } = this.find(namespace, settlement);
      if (settlement.action !== 'ack' || topic.kind !== 'queue') continue;
      const count = settlement.ranges.reduce((sum, range) => sum + range.count, freed.get(topic) ?? 0);
      freed.set(topic, count);
    }
    return freed;
  }

  /** Makes the leases of these last until `due`, those that end before it. */
  holdUntil(namespace: string, settlements: readonly Settlement[], due: number): void {
    for (const settlement of settlements) {
      const subscription = this.find(namespace, settlement);
      for (const { partition, offset, count } of settlement.ranges) {
        const backlog = subscription.backlogs[partition];
        const short: number[] = [];
        for (let one = offset; one < offset + count; one++)
          if ((backlog?.leaseOf(one)?.deadline ?? Infinity) < due) short.push(one);
        if (short.length > 0) this.#extend(subscription, toRangeList(partition, short), due);
      }
    }
  }

  find(namespace: string, ref: SubscriptionRef): Subscription {
    const topic = this.#shard.state.topicNamed(namespace, ref.topic);
    const subscription = topic?.subscriptionNamed(ref.subscription);
    if (subscription !== undefined) return subscription;
    if (topic === undefined)
      throw new RailheadError(
        'NOT_FOUND',
        `There is no topic or queue ${JSON.stringify(ref.topic)}. Declare it first, or check the name and the namespace.`,
      );
    throw new RailheadError(
      'NOT_FOUND',
      `${JSON.stringify(ref.topic)} has no subscription ${JSON.stringify(ref.subscription)}; it has ${[...topic.subscriptions.values()].map((s) => JSON.stringify(s.name)).join(', ') || 'none'}.`,
    );
  }

  #holdsAll(subscription: Subscription, range: LeaseRange): boolean {
    const backlog = subscription.backlogs[range.partition];
    if (backlog === undefined || range.count > backlog.leased.size) return false;
    for (let offset = range.offset; offset < range.offset + range.count; offset++) {
      if (backlog.leaseOf(offset)?.token !== range.token) return false;
    }
    return true;
  }

  /** With `late`, those are held too that nobody has been given since that attempt. */
  #sort(
    subscription: Subscription,
    range: LeaseRange,
    late: number | undefined,
  ): { held: number[]; gone: LeaseRange[] } {
    const backlog = subscription.backlogs[range.partition];
    const held: number[] = [];
    const gone: LeaseRange[] = [];
    // A peer may name a range of any length; only what is leased is walked through one by one.
    if (backlog === undefined || range.count > backlog.leased.size * 2 + 1000) return { held, gone: [range] };
    const isHeld = (offset: number): boolean =>
      backlog.leaseOf(offset)?.token === range.token || (late !== undefined && isFree(backlog, offset, late));
    for (let offset = range.offset; offset < range.offset + range.count; offset++) {
      if (isHeld(offset)) held.push(offset);
      else {
        const last = gone.at(-1);
        if (last !== undefined && last.offset + last.count === offset) last.count++;
        else gone.push({ partition: range.partition, offset, count: 1, token: range.token });
      }
    }
    return { held, gone };
  }

  #apply(
    subscription: Subscription,
    settlement: Settlement,
    partition: number,
    whole: OffsetRange[] | null,
    offsets: number[] | null,
  ): void {
    const now = this.#shard.clock.now();
    const list = (): number[] => offsets ?? expand(whole ?? []);
    switch (settlement.action) {
      case 'ack':
        this.#returns.ack(subscription, whole ?? toRangeList(partition, list()));
        return;
      case 'release':
        this.#returns.settleAs(
          subscription,
          partition,
          list(),
          settlement.countAttempt ? 'attempt' : 'uncounted',
          settlement.error,
          settlement.delayMs,
        );
        return;
      case 'return':
        this.#returns.settleAs(subscription, partition, list(), 'return', undefined, settlement.delayMs);
        return;
      case 'reject':
        this.#returns.sendToDead(subscription, partition, list(), 'rejected', settlement.reason);
        return;
      case 'extend':
        this.#extend(subscription, whole ?? toRangeList(partition, list()), now + settlement.leaseMs);
    }
  }

  #extend(subscription: Subscription, ranges: OffsetRange[], due: number): void {
    this.#shard.record({
      type: 'settle',
      topicId: subscription.topic.id,
      subscriptionId: subscription.id,
      how: 'extended',
      counted: COUNTED.none,
      at: this.#shard.clock.now(),
      due,
      ranges,
    });
    this.#feeds.noteDeadline(subscription, due);
  }
}

/** Nobody has it, and nobody was given it after attempt number `attempt`. */
function isFree(backlog: Backlog, offset: number, attempt: number): boolean {
  if (!backlog.pending.has(offset) || backlog.leased.has(offset)) return false;
  if (backlog.dying.has(offset) || backlog.withheld.has(offset)) return false;
  return backlog.attemptOf(offset) === attempt + 1;
}

/** Ranges that only go up are one entry. One that goes back could name a message again, which is then no longer held. */
function mayFollow(last: LeaseRange, next: LeaseRange, count: number): boolean {
  return next.partition === last.partition && next.offset >= last.offset + last.count && count < MAX_RANGES;
}

function firstTwice(ranges: readonly LeaseRange[]): number | undefined {
  const sorted = ranges.toSorted((a, b) => a.partition - b.partition || a.offset - b.offset);
  return sorted.find(({ partition, offset }, i) => {
    const last = sorted[i - 1];
    return last?.partition === partition && last.offset + last.count > offset;
  })?.offset;
}

function check(settlement: Settlement): void {
  for (const range of settlement.ranges) {
    if (!Number.isInteger(range.offset) || !Number.isInteger(range.count) || range.count < 1 || range.offset < 0) {
      throw new RailheadError(
        'INVALID',
        `A settlement of ${range.count} messages from offset ${range.offset}; both must be whole numbers, the count at least 1.`,
      );
    }
  }
  if (settlement.action === 'extend' && !(settlement.leaseMs > 0 && settlement.leaseMs <= MAX_LEASE_MS)) {
    throw new RailheadError(
      'INVALID',
      `A lease of ${settlement.leaseMs} ms; allowed are 1 to ${MAX_LEASE_MS} (12 hours).`,
    );
  }
  if (
    (settlement.action === 'release' || settlement.action === 'return') &&
    settlement.delayMs !== undefined &&
    !(settlement.delayMs >= 0 && Number.isFinite(settlement.delayMs))
  ) {
    throw new RailheadError('INVALID', `A delay of ${settlement.delayMs} ms; it must be 0 or more.`);
  }
}

function expand(ranges: readonly OffsetRange[]): number[] {
  const offsets: number[] = [];
  for (const range of ranges) for (let i = 0; i < range.count; i++) offsets.push(range.offset + i);
  return offsets;
}

function toRangeList(partition: number, offsets: readonly number[]): OffsetRange[] {
  const ranges: OffsetRange[] = [];
  for (const offset of offsets) {
    const last = ranges.at(-1);
    if (last !== undefined && last.offset + last.count === offset) last.count++;
    else ranges.push({ partition, offset, count: 1 });
  }
  return ranges;
}
