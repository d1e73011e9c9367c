import type { LeaseRange } from '../../core/session.ts';
import { LEASE_KIND } from '../entries.ts';
import type { Lease } from '../machine/encoded-backlog.ts';
import type { Feed, Feeds } from './feeds.ts';
import type { Returns } from './returns.ts';
import type { Shard } from './shard.ts';
import { isThirsty } from './turns.ts';

/** So many leases are looked through together, at most every LEASE_CHECK_MS. */
const MANY_LEASES = 1000;
const LEASE_CHECK_MS = 100;
const TIMER_BATCH = 10_000;
/** The next credit of a consumer that takes all there is comes with the next turn, or the next sync. */
const FLEETING_MS = 100;

/** Wakes delayed messages, expires old ones and ends leases, each at its time. */
export class Timekeeper {
  readonly #shard: Shard;
  readonly #feeds: Feeds;
  readonly #returns: Returns;

  constructor(shard: Shard, feeds: Feeds, returns: Returns) {
    this.#shard = shard;
    this.#feeds = feeds;
    this.#returns = returns;
  }

  /** Does what is due. What has just come with a life of nothing is left for `expireFleeting`. */
  run(feed: Feed): void {
    const now = this.#shard.clock.now();
    const { subscription } = feed;
    subscription.backlogs.forEach((backlog, partition) => {
      if (backlog.nextDue() > now) return;
      this.#returns.record(subscription, partition, backlog.takeDue(now, TIMER_BATCH), 'ready', now);
    });
    this.#expire(feed, Math.min(now, feed.fresh - 1));
    if (feed.leaseBound <= now) this.#endLeases(feed, now);
  }

  /** Nobody took it at once. A consumer whose next credit is on its way has a moment more. */
  expireFleeting(feed: Feed): void {
    if (feed.fresh === Infinity) return;
    const now = this.#shard.clock.now();
    if (now < feed.fresh + FLEETING_MS && feed.consumers.some(isThirsty)) return;
    feed.fresh = Infinity;
    this.#expire(feed, now);
  }

  #expire({ subscription }: Feed, until: number): void {
    subscription.backlogs.forEach((backlog, partition) => {
      if (backlog.nextExpiry() > until) return;
      this.#returns.expire(subscription, partition, backlog.takeExpired(until, TIMER_BATCH));
    });
  }

  /** Looks through the leases for those that are over. What is left gives the next bound. */
  #endLeases(feed: Feed, now: number): void {
    let bound = Infinity;
    let leases = 0;
    feed.subscription.backlogs.forEach((backlog, partition) => {
      const over: number[] = [];
      const orphaned: number[] = [];
      for (const [offset, lease] of backlog.leases()) {
        leases++;
        if (lease.deadline > now) bound = Math.min(bound, lease.deadline);
        else {
          (this.#isOrphaned(lease) ? orphaned : over).push(offset);
          this.#tellLost(lease.consumer, { partition, offset, count: 1, token: lease.token });
        }
      }
      if (over.length > 0)
        this.#returns.settleAs(
          feed.subscription,
          partition,
          over.sort((a, b) => a - b),
          'attempt',
          'its lease ended before it was settled',
        );
      if (orphaned.length > 0)
        this.#returns.settleAs(
          feed.subscription,
          partition,
          orphaned.sort((a, b) => a - b),
          'outage',
          'the broker ended with this message in flight, and its consumer did not come back',
        );
    });
    feed.leaseBound = leases > MANY_LEASES ? Math.max(bound, now + LEASE_CHECK_MS) : bound;
  }

  /** Of a session that ended with a former life of the broker: one of what it held may be why both are gone. */
  #isOrphaned({ kind, token }: Lease): boolean {
    const { state } = this.#shard;
    return kind !== LEASE_KIND.timed && token % 256 !== state.tokenOf(0);
  }

  #tellLost(consumerId: number, lease: LeaseRange): void {
    const consumer = this.#feeds.consumer(consumerId);
    if (consumer === undefined) return;
    const gone = (): void => consumer.sink.lost?.([lease]);
    this.#shard.gate.hold({ sequence: this.#shard.sequence, release: gone, fail: () => {} }, 'fsync');
  }

  /** Makes an appointment for the next thing that will be due. */
  setWake(feed: Feed, now: number): void {
    let next = feed.leaseBound;
    for (const backlog of feed.subscription.backlogs) {
      // Those that wait for credit expire when it does not come.
      const expiry = feed.fresh === Infinity ? 0 : feed.fresh + FLEETING_MS;
      next = Math.min(next, backlog.nextDue(), Math.max(expiry, backlog.nextExpiry()));
    }
    const { policy } = feed.subscription;
    if (
      policy.consumeRate !== null &&
      feed.limiter !== null &&
      feed.consumers.some((consumer) => consumer.credit > 0)
    ) {
      const wait = feed.limiter.waitMs(1, now);
      if (wait > 0) next = Math.min(next, now + Math.max(1, Math.ceil(wait)));
    }
    if (next === Infinity) this.#shard.agenda.cancel(`feed:${feed.subscription.id}`);
    else this.#shard.agenda.set(`feed:${feed.subscription.id}`, next, () => this.#feeds.touch(feed.subscription));
  }
}
