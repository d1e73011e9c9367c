import type { MessageHistory } from '../../core/session.ts';
import { messageId } from '../../core/session.ts';
import { DEFAULT_SUBSCRIPTION, DEFAULT_TOPIC } from '../../core/policy.ts';
import { COUNTED } from '../entries.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import type { Bodies, BodyRun } from './bodies.ts';
import type { Feeds } from './feeds.ts';
import type { Publisher } from './publisher.ts';
import type { Shard } from './shard.ts';

interface Death {
  subscription: Subscription;
  partition: number;
  offset: number;
}

/**
 * Moves dying messages to their dead-letter queue: stored there and removed here in one batch, so that a crash leaves
 * one of the two. Until then the message is out of reach of consumers; after a start, moving goes on.
 */
export class Undertaker {
  readonly #shard: Shard;
  readonly #bodies: Bodies;
  readonly #publisher: Publisher;
  readonly #feeds: Feeds;
  #queue: Death[] = [];
  #busy = false;

  constructor(shard: Shard, bodies: Bodies, publisher: Publisher, feeds: Feeds) {
    this.#shard = shard;
    this.#bodies = bodies;
    this.#publisher = publisher;
    this.#feeds = feeds;
  }

  get idle(): boolean {
    return !this.#busy && this.#queue.length === 0;
  }

  add(subscription: Subscription, partition: number, offset: number): void {
    this.#queue.push({ subscription, partition, offset });
    this.#shard.wake();
  }

  /** Called in each turn after the append, when positions are known. */
  work(): void {
    if (this.#busy || this.#queue.length === 0) return;
    this.#busy = true;
    this.#bury()
      .catch((error: unknown) => this.#shard.fail(error))
      .finally(() => {
        this.#busy = false;
        if (this.#queue.length > 0) this.#shard.wake();
      });
  }

  async #bury(): Promise<void> {
    while (this.#queue.length > 0 && !this.#shard.stopped()) {
      const deaths = this.#queue.splice(0, 256);
      for (const death of deaths) {
        const { subscription, partition, offset } = death;
        const load = this.#bodies.load(subscription.topic, partition, offset, offset + 1);
        const [body] = load instanceof Promise ? await load : load;
        if (this.#shard.stopped()) return;
        this.#buryOne(death, body);
      }
      this.#shard.endCommand();
    }
  }

  #buryOne({ subscription, partition, offset }: Death, body: BodyRun | undefined): void {
    const backlog = subscription.backlogs[partition];
    const dying = backlog?.dying.get(offset);
    const { topic } = subscription;
    if (backlog === undefined || dying === undefined || topic.subscriptions.get(subscription.id) !== subscription)
      return;
    const now = this.#shard.clock.now();
    if (body !== undefined) {
      const trouble = backlog.troubles.get(offset);
      const history: MessageHistory = {
        reason: dying.reason as MessageHistory['reason'],
        topic: topic.name,
        subscription: subscription.name,
        id: messageId(topic.id, partition, offset),
        attempts: trouble?.attempts ?? 0,
        crashes: trouble?.crashes ?? 0,
        publishedAt: body.publishedAt,
        deadAt: now,
      };
      const error = dying.error ?? trouble?.error;
      if (error !== undefined) history.error = error;
      const [envelope] = this.#shard.formats.get(body.format).envelopes(body.records, 1);
      if (envelope !== undefined)
        this.#publisher.republish(this.deadQueueOf(subscription), body.format, body.records, envelope, history);
    }
    this.#feeds.countersOf(subscription).deadLettered++;
    this.#shard.record({
      type: 'settle',
      topicId: topic.id,
      subscriptionId: subscription.id,
      how: 'buried',
      counted: COUNTED.none,
      at: now,
      due: 0,
      ranges: [{ partition, offset, count: 1 }],
    });
    this.#feeds.touch(subscription);
  }

  /** Its dead-letter queue, made on first use: no limit of attempts, no expiry, as durable as its source. */
  deadQueueOf(subscription: Subscription): Topic {
    const { topic } = subscription;
    const name = deadLetterName(subscription);
    const found = this.#shard.state.topicNamed(topic.namespace, name);
    if (found !== undefined) return found;
    const { state } = this.#shard;
    const at = this.#shard.clock.now();
    const topicId = state.nextTopicId;
    const policy = {
      ...DEFAULT_TOPIC,
      retain: { ...DEFAULT_TOPIC.retain, untilSettled: true },
      durability: topic.policy.durability,
      maxMessageBytes: topic.policy.maxMessageBytes,
    };
    this.#shard.record({ type: 'topic', topicId, namespace: topic.namespace, name, kind: 'queue', policy, at });
    // What is rejected here comes back here: a dead letter is never lost and never starts a chain of queues.
    const subscriptionPolicy = { ...DEFAULT_SUBSCRIPTION, maxAttempts: 0, maxCrashes: 0, deadLetter: name };
    this.#shard.record({
      type: 'subscription',
      topicId,
      subscriptionId: state.nextSubscriptionId,
      name,
      policy: subscriptionPolicy,
      at,
      start: [0],
    });
    const created = state.topics.get(topicId);
    if (created === undefined) throw new Error('Railhead bug: a declared queue is not there');
    return created;
  }
}

/** `NAME.dead` for a queue, `TOPIC.SUBSCRIPTION.dead` for a subscription of a topic. */
export function deadLetterName(subscription: Subscription): string {
  const { topic, policy, name } = subscription;
  if (policy.deadLetter !== null) return policy.deadLetter;
  return topic.kind === 'queue' ? `${topic.name}.dead` : `${topic.name}.${name}.dead`;
}
