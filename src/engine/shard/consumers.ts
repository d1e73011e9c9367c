import type { ConsumeRequest, DeliverySink } from '../../core/session.ts';
import type { OffsetRange } from '../entries.ts';
import type { Subscription } from '../machine/topic.ts';
import { countOf } from './choice.ts';
import { type ConsumerOwner, ConsumerState, type CreditPool, type Feeds } from './feeds.ts';
import type { Outgoing } from './outbox.ts';
import type { Returns } from './returns.ts';
import type { Shard } from './shard.ts';

/** Consumers come, get credit and go; what they leave behind is given back. None of this is part of the state. */
export class Consumers {
  readonly #shard: Shard;
  readonly #feeds: Feeds;
  readonly #returns: Returns;
  #next: number;

  constructor(shard: Shard, feeds: Feeds, returns: Returns) {
    this.#shard = shard;
    // Leases outlive a restart and name their consumer: no consumer of this epoch may be taken for one of another.
    this.#next = (shard.state.epoch % 4096) * 2 ** 20 + 1;
    this.#feeds = feeds;
    this.#returns = returns;
  }

  add(
    subscription: Subscription,
    request: ConsumeRequest,
    sink: DeliverySink,
    { owner, pool }: { owner: ConsumerOwner; pool?: CreditPool | undefined },
  ): ConsumerState {
    const { ledger, clock } = this.#shard;
    const of = { ledger, owner, since: clock.now(), pool };
    const consumer = new ConsumerState(this.#next++, subscription, request, sink, of);
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
    if (consumer.closed || !(messages >= 0)) return;
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
  remove(consumer: ConsumerState, how: 'keep' | 'release' | 'crashed'): void {
    if (consumer.closed) return;
    consumer.closed = true;
    this.#feeds.forgetConsumer(consumer);
    const feed = this.#feeds.of(consumer.subscription);
    const at = feed.consumers.indexOf(consumer);
    if (at >= 0) feed.consumers.splice(at, 1);
    feed.lastUsed = this.#shard.clock.now();
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
}
