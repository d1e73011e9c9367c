import { RailheadError } from '../../core/errors.ts';
import { type Operations, parseMessageId, type SubscriptionRef } from '../../core/session.ts';
import type { ConsumerShown, IdleTopic, SubscriptionStats, SurveyedTopic, TopicStats } from '../../core/stats.ts';
import { COUNTED } from '../entries.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import type { Feeds } from './feeds.ts';
import type { Returns } from './returns.ts';
import type { Recorder } from './recorder.ts';
import { stateOf } from './reader.ts';
import type { Settler } from './settler.ts';
import type { Shard } from './shard.ts';
import { deadLetterName } from './undertaker.ts';

const PURGE_PIECE = 100_000;
const MAX_STATS = 10_000;

/** What people do to a running broker: look at counts, purge, cancel and reschedule single messages. */
export class Operator {
  readonly #shard: Shard;
  readonly #feeds: Feeds;
  readonly #returns: Returns;
  readonly #recorder: Recorder;
  readonly #settler: Settler;

  constructor(shard: Shard, feeds: Feeds, returns: Returns, recorder: Recorder, settler: Settler) {
    this.#shard = shard;
    this.#feeds = feeds;
    this.#returns = returns;
    this.#recorder = recorder;
    this.#settler = settler;
  }

  surveyed(topic: Topic): SurveyedTopic {
    return new Surveyed(this, topic);
  }

  /** Null when it is not idle. */
  idleTopic(topic: Topic): IdleTopic | null {
    if (this.#recorder.countersOf(topic).published > 0) return null;
    const { name, kind } = topic;
    const subscriptions: IdleTopic['subscriptions'] = [];
    for (const subscription of topic.subscriptions.values()) {
      if (depthOf(subscription) > 0 || this.#feeds.countersOf(subscription).acked > 0) return null;
      const consumers = this.#feeds.countedOf(subscription).length;
      subscriptions.push({ consumers, deadLetterQueue: deadLetterName(subscription) });
    }
    return { name, kind, subscriptions };
  }

  topicStats(topic: Topic): TopicStats {
    let messages = 0;
    let bytes = 0;
    for (const partition of topic.partitions) {
      messages += partition.messages;
      bytes += partition.bytes;
    }
    return {
      name: topic.name,
      kind: topic.kind,
      messages: topic.kind === 'queue' ? topic.depth - withheldOf(topic) : messages,
      bytes,
      partitions: topic.partitions.map((one) => ({
        start: one.start,
        end: one.end,
        stableEnd: one.stableEnd,
        bytes: one.bytes,
      })),
      ...this.#recorder.countersOf(topic),
      maxMessages: topic.policy.maxMessages,
      maxBytes: topic.policy.maxBytes,
      subscriptions: [...topic.subscriptions.values()].map((subscription) => this.subscriptionStats(subscription)),
    };
  }

  subscriptionStats(subscription: Subscription): SubscriptionStats {
    const stats: SubscriptionStats = {
      topic: subscription.topic.name,
      subscription: subscription.name,
      ready: 0,
      delayed: 0,
      leased: 0,
      depth: depthOf(subscription),
      consumers: this.#feeds.countedOf(subscription).length,
      paused: subscription.paused,
      deadLetterQueue: deadLetterName(subscription),
      oldestAt: null,
      ...this.#feeds.countersOf(subscription),
    };
    subscription.backlogs.forEach((backlog, i) => {
      stats.ready += backlog.ready;
      stats.delayed += backlog.delayed.size;
      stats.leased += backlog.leased.size + backlog.dying.size;
      let first = backlog.pending.first();
      while (first !== undefined && backlog.withheld.has(first)) first = backlog.pending.next(first + 1);
      const at = first === undefined ? undefined : subscription.topic.partition(i).timeOf(first);
      if (at !== undefined) stats.oldestAt = Math.min(stats.oldestAt ?? Infinity, at);
    });
    return stats;
  }

  consumersOf(subscription: Subscription): ConsumerShown[] {
    return this.#feeds.consumersOf(subscription).map(({ id, request, owner, inFlight, credit, since }) => ({
      id,
      name: request.name ?? '',
      user: owner.user,
      client: owner.client,
      inFlight,
      credit,
      priority: request.priority ?? 0,
      exclusive: request.exclusive === true,
      since,
    }));
  }

  allStats(
    namespace: string,
    { prefix = '', after = -1, limit = 1000 }: Operations['allStats']['args'],
  ): Operations['allStats']['result'] {
    const found: Topic[] = [];
    for (const topic of this.#shard.state.topics.values())
      if (topic.namespace === namespace && topic.id > after && topic.name.startsWith(prefix)) found.push(topic);
    // A checkpoint gives them back in an order of its own.
    found.sort((a, b) => a.id - b.id);
    const piece = found.slice(0, Math.max(1, Math.min(limit, MAX_STATS)));
    const next = piece.length < found.length ? (piece.at(-1)?.id ?? null) : null;
    const topics = piece.map((topic) => this.topicStats(topic)).sort((a, b) => (a.name < b.name ? -1 : 1));
    return { topics, next };
  }

  /** Settles everything that nobody holds. */
  purge(namespace: string, ref: SubscriptionRef): { purged: number } {
    const subscription = this.#settler.find(namespace, ref);
    let purged = 0;
    for (const [partition, backlog] of subscription.backlogs.entries()) {
      let at = backlog.pending.first();
      while (at !== undefined) {
        const run = backlog.pending.firstRun(PURGE_PIECE, at);
        if (run === undefined) break;
        const { from, to } = run;
        if (backlog.leased.size === 0 && backlog.dying.size === 0 && backlog.withheld.size === 0) {
          this.#gone(subscription, partition, from, to - from);
          purged += to - from;
        } else {
          for (let offset = from; offset < to; offset++) {
            if (backlog.leased.has(offset) || backlog.dying.has(offset) || backlog.withheld.has(offset)) continue;
            this.#gone(subscription, partition, offset, 1);
            purged++;
          }
        }
        this.#shard.endCommand();
        at = backlog.pending.next(to);
      }
    }
    this.#feeds.touch(subscription);
    return { purged };
  }

  #gone(subscription: Subscription, partition: number, offset: number, count: number): void {
    this.#shard.record({
      type: 'settle',
      topicId: subscription.topic.id,
      subscriptionId: subscription.id,
      how: 'gone',
      counted: COUNTED.none,
      at: this.#shard.clock.now(),
      due: 0,
      reason: 'purged',
      ranges: [{ partition, offset, count }],
    });
  }

  cancel(namespace: string, args: Operations['cancel']['args']): { cancelled: boolean } {
    const { subscription, partition, offset } = this.#message(namespace, args);
    const backlog = subscription.backlogs[partition];
    if (backlog === undefined || stateOf(backlog, offset) === 'settled') return { cancelled: false };
    if (stateOf(backlog, offset) === 'leased') throw inUse(args.id, 'cancelled');
    this.#returns.discard(subscription, partition, [offset], 'cancelled');
    return { cancelled: true };
  }

  reschedule(namespace: string, args: Operations['reschedule']['args']): { dueAt: number } {
    const { subscription, partition, offset } = this.#message(namespace, args);
    const backlog = subscription.backlogs[partition];
    const now = this.#shard.clock.now();
    const dueAt = args.at ?? now + (args.delayMs ?? 0);
    if (!Number.isFinite(dueAt) || dueAt < 0)
      throw new RailheadError('INVALID', `A message rescheduled to ${dueAt}; give a time or a delay.`);
    if (backlog === undefined || stateOf(backlog, offset) === 'settled')
      throw new RailheadError('NOT_FOUND', `Message ${args.id} was settled already.`);
    if (stateOf(backlog, offset) === 'leased') throw inUse(args.id, 'rescheduled');
    this.#shard.record({
      type: 'settle',
      topicId: subscription.topic.id,
      subscriptionId: subscription.id,
      how: dueAt > now ? 'delayed' : 'ready',
      counted: COUNTED.none,
      at: now,
      due: dueAt,
      ranges: [{ partition, offset, count: 1 }],
    });
    this.#feeds.touch(subscription);
    return { dueAt };
  }

  #message(
    namespace: string,
    args: SubscriptionRef & { id: string },
  ): { subscription: Subscription; partition: number; offset: number } {
    const subscription = this.#settler.find(namespace, args);
    const id = parseMessageId(args.id);
    if (id === undefined || id.topicId !== subscription.topic.id)
      throw new RailheadError(
        'NOT_FOUND',
        `${JSON.stringify(args.id)} is not a message of ${JSON.stringify(args.subscription)}.`,
      );
    return { subscription, ...id };
  }
}

/** A topic whose counts are made once, when they are asked for. */
class Surveyed implements SurveyedTopic {
  readonly #operator: Operator;
  readonly #topic: Topic;
  #stats: TopicStats | undefined;

  constructor(operator: Operator, topic: Topic) {
    this.#operator = operator;
    this.#topic = topic;
  }

  get id(): number {
    return this.#topic.id;
  }

  get namespace(): string {
    return this.#topic.namespace;
  }

  get idle(): IdleTopic | null {
    return this.#operator.idleTopic(this.#topic);
  }

  get stats(): TopicStats {
    return (this.#stats ??= this.#operator.topicStats(this.#topic));
  }
}

function depthOf({ depth, withheld }: Subscription): number {
  return depth - withheld;
}

function withheldOf(topic: Topic): number {
  let withheld = 0;
  for (const subscription of topic.subscriptions.values()) withheld += subscription.withheld;
  return withheld;
}

function inUse(id: string, what: string): RailheadError {
  return new RailheadError(
    'IN_USE',
    `Message ${id} is with a consumer and cannot be ${what} now; settle it there, or wait for its lease to end.`,
  );
}
