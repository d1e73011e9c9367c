import { isDeepStrictEqual } from 'node:util';
import { RailheadError } from '../../core/errors.ts';
import { DEFAULT_SUBSCRIPTION, DEFAULT_TOPIC, type SubscriptionPolicy, type TopicPolicy } from '../../core/policy.ts';
import type { Operations, StartAt, SubscriptionRef } from '../../core/session.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import { checkDeclaration, checkName, describe, describeSubscription, differing } from './declarations.ts';
import type { Consumers } from './consumers.ts';
import type { Feeds } from './feeds.ts';
import { subscriptionPolicy, topicPolicy } from './policies.ts';
import type { Routers } from './routers.ts';
import { noTopic } from './routes.ts';
import type { Settler } from './settler.ts';
import type { Shard } from './shard.ts';

type Args<O extends keyof Operations> = Operations[O]['args'];
type Result<O extends keyof Operations> = Operations[O]['result'];

const KINDS: readonly string[] = ['queue', 'topic'];
const STRUCTURAL_SUBSCRIPTION = ['order', 'priorities', 'defaultPriority'] as const;

/** Topics, queues and subscriptions: declared, changed, described and deleted. */
export class Definitions {
  readonly #shard: Shard;
  readonly #consumers: Consumers;
  readonly #feeds: Feeds;
  readonly #settler: Settler;
  readonly #routers: Routers;

  constructor(shard: Shard, consumers: Consumers, feeds: Feeds, settler: Settler, routers: Routers) {
    this.#shard = shard;
    this.#consumers = consumers;
    this.#feeds = feeds;
    this.#settler = settler;
    this.#routers = routers;
  }

  topic(namespace: string, name: string): Topic {
    const topic = this.#shard.state.topicNamed(namespace, name);
    if (topic === undefined) throw noTopic(name);
    return topic;
  }

  // ---- Topics and queues ------------------------------------------------------------------------------------------

  declareTopic(namespace: string, args: Args<'declareTopic'>): Result<'declareTopic'> {
    const { name, kind } = args;
    checkName(name, kind, this.#shard.limits);
    if (!KINDS.includes(kind))
      throw new RailheadError('INVALID', `A ${JSON.stringify(kind)} cannot be declared; write 'queue' or 'topic'.`);
    if (kind === 'topic' && args.subscription !== undefined) {
      throw new RailheadError(
        'INVALID',
        'A topic is declared without a subscription; declare its subscriptions one by one.',
      );
    }
    const existing = this.#shard.state.topicNamed(namespace, name);
    if (existing !== undefined) return this.#redeclare(existing, args);
    const policy = topicPolicy(this.#baseTopic(kind), args.policy, this.#shard.limits);
    const subscription = kind === 'queue' ? subscriptionPolicy(DEFAULT_SUBSCRIPTION, args.subscription) : undefined;
    const { state } = this.#shard;
    const at = this.#shard.clock.now();
    const topicId = state.nextTopicId;
    const declaration = checkDeclaration(args, this.#shard.limits);
    this.#shard.record({ type: 'topic', topicId, namespace, name, kind, policy, at, ...declaration });
    if (subscription !== undefined) {
      const start = Array.from({ length: policy.partitions }, () => 0);
      this.#shard.record({
        type: 'subscription',
        topicId,
        subscriptionId: state.nextSubscriptionId,
        name,
        policy: subscription,
        at,
        start,
      });
    }
    return { created: true, updated: false, definition: describe(this.topic(namespace, name)) };
  }

  #baseTopic(kind: 'queue' | 'topic'): TopicPolicy {
    return { ...DEFAULT_TOPIC, retain: { ...DEFAULT_TOPIC.retain, untilSettled: kind === 'queue' } };
  }

  #redeclare(topic: Topic, args: Args<'declareTopic'>): Result<'declareTopic'> {
    const { name, kind, ifDifferent = 'error' } = args;
    if (topic.kind !== kind) {
      throw new RailheadError(
        'POLICY_MISMATCH',
        `${JSON.stringify(name)} is a ${topic.kind}, not a ${kind}. Use it as it is, choose another name, or delete it first.`,
      );
    }
    const wanted =
      args.policy === undefined ? topic.policy : topicPolicy(topic.policy, args.policy, this.#shard.limits);
    // Messages lie in the partitions that there are: more can be added, none taken away.
    const isFewer = wanted.partitions < topic.policy.partitions;
    const structural = isFewer && ifDifferent !== 'keep' ? ['partitions'] : [];
    let updated = this.#change(name, topic.policy, wanted, structural, ifDifferent, () =>
      this.#shard.record({ type: 'topicPolicy', topicId: topic.id, policy: wanted }),
    );
    if (ifDifferent === 'update' && this.#changeAttributes(topic, args)) updated = true;
    const [own] = topic.subscriptions.values();
    if (kind === 'queue' && own !== undefined && args.subscription !== undefined) {
      updated = this.#changeSubscription(own, args.subscription, ifDifferent) || updated;
    }
    return { created: false, updated, definition: describe(topic) };
  }

  #changeAttributes(topic: Topic, args: Args<'declareTopic'>): boolean {
    const { attributes } = checkDeclaration(args, this.#shard.limits);
    if (attributes === undefined || isDeepStrictEqual(attributes, topic.declaration.attributes)) return false;
    this.#shard.record({ type: 'topicPolicy', topicId: topic.id, policy: topic.policy, attributes });
    return true;
  }

  #changeSubscription(
    subscription: Subscription,
    partial: Partial<SubscriptionPolicy>,
    ifDifferent: 'error' | 'update' | 'keep',
  ): boolean {
    const wanted = subscriptionPolicy(subscription.policy, partial);
    const rate = subscription.policy.consumeRate;
    const ids = { topicId: subscription.topic.id, subscriptionId: subscription.id };
    const changed = this.#change(
      subscription.name,
      subscription.policy,
      wanted,
      STRUCTURAL_SUBSCRIPTION,
      ifDifferent,
      () => this.#shard.record({ type: 'subscriptionPolicy', ...ids, policy: wanted }),
    );
    if (!changed) return false;
    if (rate !== wanted.consumeRate) this.#feeds.of(subscription).limiter = null;
    this.#feeds.touch(subscription);
    return true;
  }

  /** Compares policies; says what differs, or records the new one. */
  #change<P extends object>(
    name: string,
    have: P,
    want: P,
    structural: readonly string[],
    ifDifferent: 'error' | 'update' | 'keep',
    record: () => void,
  ): boolean {
    const differences = differing(have, want);
    if (differences.length === 0) return false;
    const fixed = differences.filter((difference) => structural.includes(difference.name));
    const list = (items: typeof differences): string =>
      items.map((item) => `${item.name} is ${item.have}, not ${item.want}`).join('; ');
    if (fixed.length > 0) {
      throw new RailheadError(
        'POLICY_MISMATCH',
        `${JSON.stringify(name)} exists with another structure: ${list(fixed)}. That cannot change; use what is there, or delete it first.`,
        { details: { differences } },
      );
    }
    if (ifDifferent === 'keep') return false;
    if (ifDifferent === 'error') {
      throw new RailheadError(
        'POLICY_MISMATCH',
        `${JSON.stringify(name)} exists with another policy: ${list(differences)}. Use the same, or ask for an update (definitions: 'update').`,
        { details: { differences } },
      );
    }
    record();
    return true;
  }

  deleteTopic(namespace: string, { name, ifEmpty, ifUnused }: Args<'deleteTopic'>): Result<'deleteTopic'> {
    const topic = this.#shard.state.topicNamed(namespace, name);
    if (topic === undefined) return { deleted: false, messages: 0 };
    const messages = topic.depth;
    if (ifEmpty === true && messages > 0)
      throw new RailheadError(
        'IN_USE',
        `${JSON.stringify(name)} holds ${messages} messages and was to be deleted only if empty.`,
      );
    const consumers = [...topic.subscriptions.values()].reduce((sum, s) => sum + this.#feeds.countedOf(s).length, 0);
    if (ifUnused === true && consumers > 0)
      throw new RailheadError(
        'IN_USE',
        `${JSON.stringify(name)} has ${consumers} consumers and was to be deleted only if unused.`,
      );
    const subscriptions = [...topic.subscriptions.values()];
    this.#shard.record({ type: 'topicGone', topicId: topic.id });
    for (const subscription of subscriptions)
      this.#consumers.drop(subscription, `${JSON.stringify(name)} was deleted.`);
    this.#routers.unbindAll(namespace, { topic: name });
    return { deleted: true, messages };
  }

  describeTopic(namespace: string, { name }: Args<'describeTopic'>): Result<'describeTopic'> {
    const topic = this.topic(namespace, name);
    return { ...describe(topic), subscriptions: [...topic.subscriptions.values()].map(describeSubscription) };
  }

  listTopics(namespace: string, { prefix = '', after, limit = 1000 }: Args<'listTopics'>): Result<'listTopics'> {
    const names: Topic[] = [];
    for (const topic of this.#shard.state.topics.values()) {
      if (topic.namespace === namespace && topic.name.startsWith(prefix) && (after === undefined || topic.name > after))
        names.push(topic);
    }
    names.sort((a, b) => (a.name < b.name ? -1 : 1));
    const page = names.slice(0, Math.max(1, Math.min(limit, 10_000)));
    return { topics: page.map(describe), next: page.length < names.length ? (page.at(-1)?.name ?? null) : null };
  }

  // ---- Subscriptions ----------------------------------------------------------------------------------------------

  declareSubscription(namespace: string, args: Args<'declareSubscription'>): Result<'declareSubscription'> {
    const topic = this.topic(namespace, args.topic);
    checkName(args.subscription, 'subscription', this.#shard.limits);
    const existing = topic.subscriptionNamed(args.subscription);
    if (existing !== undefined) {
      const updated =
        args.policy !== undefined && this.#changeSubscription(existing, args.policy, args.ifDifferent ?? 'error');
      return { created: false, updated, definition: describeSubscription(existing) };
    }
    if (topic.kind === 'queue') {
      throw new RailheadError(
        'NOT_SUPPORTED',
        `${JSON.stringify(topic.name)} is a queue and has one subscription, ${JSON.stringify(topic.name)}. Declare a topic for several subscribers.`,
      );
    }
    const policy = subscriptionPolicy(DEFAULT_SUBSCRIPTION, args.policy);
    // Messages are stored with what they count as (`stored`), once for all subscriptions.
    if (policy.defaultPriority > 0)
      throw new RailheadError(
        'NOT_SUPPORTED',
        'Only a queue has a defaultPriority; here a message without one counts 0.',
      );
    const subscriptionId = this.#shard.state.nextSubscriptionId;
    const start = this.startOffsets(topic, args.from ?? 'end');
    this.#shard.record({
      type: 'subscription',
      topicId: topic.id,
      subscriptionId,
      name: args.subscription,
      policy,
      at: this.#shard.clock.now(),
      start,
    });
    const created = topic.subscriptions.get(subscriptionId);
    if (created === undefined) throw new Error('Railhead bug: a declared subscription is not there');
    return { created: true, updated: false, definition: describeSubscription(created) };
  }

  deleteSubscription(namespace: string, args: SubscriptionRef): Result<'deleteSubscription'> {
    const topic = this.topic(namespace, args.topic);
    const subscription = topic.subscriptionNamed(args.subscription);
    if (subscription === undefined) return { deleted: false };
    if (topic.kind === 'queue')
      throw new RailheadError(
        'NOT_SUPPORTED',
        `The subscription of a queue goes with the queue; delete ${JSON.stringify(topic.name)}.`,
      );
    this.#shard.record({ type: 'subscriptionGone', topicId: topic.id, subscriptionId: subscription.id });
    this.#consumers.drop(subscription, `The subscription ${JSON.stringify(args.subscription)} was deleted.`);
    return { deleted: true };
  }

  setPaused(namespace: string, ref: SubscriptionRef, paused: boolean): void {
    const subscription = this.#settler.find(namespace, ref);
    if (subscription.paused !== paused) {
      this.#shard.record({ type: 'paused', topicId: subscription.topic.id, subscriptionId: subscription.id, paused });
    }
    this.#feeds.touch(subscription);
  }

  seek(namespace: string, ref: SubscriptionRef & { to: StartAt }): Subscription {
    const subscription = this.#settler.find(namespace, ref);
    const { topic } = subscription;
    const start = this.startOffsets(topic, ref.to);
    this.#shard.record({ type: 'seek', topicId: topic.id, subscriptionId: subscription.id, start });
    this.#feeds.recount(subscription);
    this.#feeds.touch(subscription);
    return subscription;
  }

  startOffsets(topic: Topic, from: StartAt): number[] {
    return topic.partitions.map((partition) => {
      if (from === 'start') return partition.start;
      if (from === 'end') return partition.end;
      if ('offset' in from) return Math.min(Math.max(from.offset, partition.start), partition.end);
      return partition.offsetAt(from.time);
    });
  }
}
