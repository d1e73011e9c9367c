import { DEFAULT_SUBSCRIPTION, DEFAULT_TOPIC, deadLetterQueue } from '../../core/policy.ts';
import { DEFAULT_ROUTER } from '../../core/publish-target.ts';
import type { Envelope } from '../../core/records.ts';
import { type Death, type MessageHistory, messageId } from '../../core/session.ts';
import { COUNTED } from '../entries.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import { routeThrough } from '../routing/router.ts';
import type { Bodies, BodyRun } from './bodies.ts';
import type { Feeds } from './feeds.ts';
import type { Publisher } from './publisher.ts';
import type { Shard } from './shard.ts';

/** Of the places and reasons that the story of a message names. */
const MAX_DEATHS = 16;
/** What a dead letter takes in the journal beside its record, as a rule. */
const GRAVE_BYTES = 1024;

interface Dying {
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
  #queue: Dying[] = [];
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
        // What is left when the broker closes is taken up by the next start.
        if (this.#queue.length > 0 && !this.#shard.stopped()) this.#shard.wake();
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
        const bytes = (body?.records.byteLength ?? 0) * 2 + GRAVE_BYTES;
        if (!this.#shard.hasRoom(bytes) && !(await this.#shard.roomInTime(bytes))) return;
        this.#buryOne(death, body);
      }
      this.#shard.endCommand();
    }
  }

  #buryOne({ subscription, partition, offset }: Dying, body: BodyRun | undefined): void {
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
      const deaths = deathsWith(history, body.history);
      if (deaths !== undefined) history.deaths = deaths;
      const error = dying.error ?? trouble?.error;
      if (error !== undefined) history.error = error;
      const [envelope] = this.#bodies.envelopes(body);
      if (envelope !== undefined) {
        const graves = this.#gravesOf(subscription, envelope, history);
        const { format, records: record, body: large } = body;
        if (graves.length > 0) this.#publisher.republish(graves, { format, record, body: large }, envelope, history);
      }
    }
    this.#feeds.counter(subscription).deadLettered++;
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

  /**
   * Where its dead letters go: its dead-letter queue, or what the router of its policy says. What no binding takes, and
   * what has come around in a circle that nobody but time and limits turns, goes to the dead-letter queue after all.
   */
  #gravesOf(subscription: Subscription, envelope: Envelope, history: MessageHistory): Topic[] {
    const { topic, policy } = subscription;
    const { deadLetter } = policy;
    if (typeof deadLetter !== 'object' || deadLetter === null) return [this.deadQueueOf(subscription)];
    const { state } = this.#shard;
    const routers = state.directory.routersOf(topic.namespace);
    const { router } = deadLetter;
    const keys = deadLetter.key === null ? (envelope.routingKeys ?? [envelope.key ?? '']) : [deadLetter.key];
    const isThere = router === DEFAULT_ROUTER || routers.has(router);
    const names = isThere ? [...routeThrough(routers, router, keys, envelope)] : [];
    const found = names.flatMap((name) => state.topicNamed(topic.namespace, name) ?? []);
    if (found.length === 0) return deadLetter.unrouted === 'drop' ? [] : [this.deadQueueOf(subscription)];
    const open = found.filter((target) => !closesCircle(target, history));
    return open.length > 0 ? open : [this.deadQueueOf(subscription)];
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

/** `NAME.dead` for a queue, `TOPIC.SUBSCRIPTION.dead` for a subscription of a topic, unless its policy names another. */
export function deadLetterName({ topic, policy, name }: Subscription): string {
  return deadLetterQueue(policy.deadLetter, topic.kind, topic.name, name);
}

/** The story with this death, for one that died before. */
function deathsWith(now: MessageHistory, before: MessageHistory | undefined): Death[] | undefined {
  if (before === undefined) return undefined;
  const older = before.deaths ?? [deathOf(before)];
  const same = older.find((death) => isSamePlace(death, now));
  const newest = same === undefined ? deathOf(now) : { ...same, count: same.count + 1 };
  return [newest, ...older.filter((death) => death !== same)].slice(0, MAX_DEATHS);
}

function deathOf({ reason, topic, subscription, deadAt }: MessageHistory): Death {
  return { reason, topic, subscription, count: 1, firstAt: deadAt };
}

function isSamePlace(a: Death, b: MessageHistory): boolean {
  return a.reason === b.reason && a.topic === b.topic && a.subscription === b.subscription;
}

/** It died there already, and since then nobody refused it: it would go round for ever. */
function closesCircle(target: Topic, history: MessageHistory): boolean {
  const deaths = history.deaths ?? [deathOf(history)];
  const refused = deaths.findIndex(({ reason }) => reason !== 'expired' && reason !== 'overflow');
  const since = refused === -1 ? deaths : deaths.slice(0, refused);
  return since.some(({ topic }) => topic === target.name);
}
