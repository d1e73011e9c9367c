import { isDeepStrictEqual } from 'node:util';
import { RailheadError } from '../../core/errors.ts';
import {
  DEFAULT_SUBSCRIPTION,
  DEFAULT_TOPIC,
  OVERFLOWS,
  ROUTER_TYPES,
  type SubscriptionPolicy,
  type TopicPolicy,
} from '../../core/policy.ts';
import type { BindingDefinition, Operations, RouterDefinition, StartAt, SubscriptionRef } from '../../core/session.ts';
import { DEFAULT_LIMITS, type Limits } from '../limits.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import { compileFilter } from '../routing/filter.ts';
import type { Router } from '../routing/router.ts';
import { checkDeclaration, describe, describeSubscription, differing } from './declarations.ts';
import type { Consumers } from './consumers.ts';
import type { Feeds } from './feeds.ts';
import type { Settler } from './settler.ts';
import type { Shard } from './shard.ts';

type Args<O extends keyof Operations> = Operations[O]['args'];
type Result<O extends keyof Operations> = Operations[O]['result'];

const KINDS: readonly string[] = ['queue', 'topic'];
const STRUCTURAL_TOPIC = ['partitions'] as const;
const STRUCTURAL_SUBSCRIPTION = ['order', 'priorities'] as const;

/** Topics, queues, subscriptions, routers and bindings: declared, changed, described and deleted. */
export class Definitions {
  readonly #shard: Shard;
  readonly #consumers: Consumers;
  readonly #feeds: Feeds;
  readonly #settler: Settler;

  constructor(shard: Shard, consumers: Consumers, feeds: Feeds, settler: Settler) {
    this.#shard = shard;
    this.#consumers = consumers;
    this.#feeds = feeds;
    this.#settler = settler;
  }

  topic(namespace: string, name: string): Topic {
    const topic = this.#shard.state.topicNamed(namespace, name);
    if (topic !== undefined) return topic;
    throw new RailheadError(
      'NOT_FOUND',
      `There is no topic or queue ${JSON.stringify(name)}. Declare it first, or check the name and the namespace.`,
    );
  }

  // ---- Topics and queues ------------------------------------------------------------------------------------------

  declareTopic(namespace: string, args: Args<'declareTopic'>): Result<'declareTopic'> {
    const { name, kind } = args;
    this.checkName(name, kind);
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
    let updated = this.#change(name, topic.policy, wanted, STRUCTURAL_TOPIC, ifDifferent, () =>
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
    const consumers = [...topic.subscriptions.values()].reduce((sum, s) => sum + this.#feeds.consumersOf(s).length, 0);
    if (ifUnused === true && consumers > 0)
      throw new RailheadError(
        'IN_USE',
        `${JSON.stringify(name)} has ${consumers} consumers and was to be deleted only if unused.`,
      );
    const subscriptions = [...topic.subscriptions.values()];
    this.#shard.record({ type: 'topicGone', topicId: topic.id });
    for (const subscription of subscriptions)
      this.#consumers.drop(subscription, `${JSON.stringify(name)} was deleted.`);
    this.#unbindAll(namespace, { topic: name });
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
    this.checkName(args.subscription, 'subscription');
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

  // ---- Routers ----------------------------------------------------------------------------------------------------

  declareRouter(namespace: string, args: Args<'declareRouter'>): Result<'declareRouter'> {
    const { name, type, alternate = null, hashHeader = null } = args;
    this.checkName(name, 'router');
    if (!ROUTER_TYPES.includes(type)) refuse('The type of a router', type, `allowed are ${ROUTER_TYPES.join(', ')}`);
    if (hashHeader !== null && type !== 'hash') refuse('hashHeader', hashHeader, 'only a hash router has one');
    const existing = this.#shard.state.directory.routersOf(namespace).get(name);
    if (existing !== undefined) {
      const sameStructure = existing.type === type && existing.hashHeader === hashHeader;
      if (sameStructure && existing.alternate === alternate) return { created: false, updated: false };
      if (sameStructure && args.ifDifferent === 'update') {
        this.#shard.record({ type: 'router', namespace, name, routerType: type, alternate });
        return { created: false, updated: true };
      }
      throw new RailheadError(
        'POLICY_MISMATCH',
        `Router ${JSON.stringify(name)} exists as ${existing.type} with alternate ${JSON.stringify(existing.alternate)} and hashHeader ${JSON.stringify(existing.hashHeader)}, not ${type} with ${JSON.stringify(alternate)} and ${JSON.stringify(hashHeader)}. Use it as it is, or delete it first.`,
      );
    }
    this.#shard.record({
      type: 'router',
      namespace,
      name,
      routerType: type,
      alternate,
      ...(hashHeader !== null && { hashHeader }),
      ...checkDeclaration(args, this.#shard.limits),
    });
    return { created: true, updated: false };
  }

  #router(namespace: string, name: string): Router {
    const router = this.#shard.state.directory.routersOf(namespace).get(name);
    if (router !== undefined) return router;
    throw new RailheadError(
      'NOT_FOUND',
      `There is no router ${JSON.stringify(name)}. Declare it first, or check the name and the namespace.`,
    );
  }

  bind(namespace: string, { router: name, binding }: Args<'bind'>): Result<'bind'> {
    const router = this.#router(namespace, name);
    const { to } = binding;
    if ('topic' in to) this.topic(namespace, to.topic);
    else this.#router(namespace, to.router);
    router.check(binding);
    if (router.has(binding)) return { created: false };
    this.#shard.record({ type: 'bind', namespace, router: name, binding });
    return { created: true };
  }

  unbind(namespace: string, { router: name, binding }: Args<'unbind'>): Result<'unbind'> {
    if (!this.#router(namespace, name).has(binding)) return { removed: false };
    this.#shard.record({ type: 'unbind', namespace, router: name, binding });
    return { removed: true };
  }

  deleteRouter(namespace: string, { name, ifUnused }: Args<'deleteRouter'>): Result<'deleteRouter'> {
    const router = this.#shard.state.directory.routersOf(namespace).get(name);
    if (router === undefined) return { deleted: false };
    if (ifUnused === true && router.size > 0)
      throw new RailheadError(
        'IN_USE',
        `Router ${JSON.stringify(name)} has ${router.size} bindings and was to be deleted only if unused.`,
      );
    this.#shard.record({ type: 'routerGone', namespace, name });
    this.#unbindAll(namespace, { router: name });
    return { deleted: true };
  }

  describeRouter(namespace: string, { name }: Args<'describeRouter'>): RouterDefinition {
    return this.#router(namespace, name).definition();
  }

  listRouters(namespace: string): Result<'listRouters'> {
    return {
      routers: [...this.#shard.state.directory.routersOf(namespace).values()].map((router) => router.definition()),
    };
  }

  /** What leads to something that is gone goes too. */
  #unbindAll(namespace: string, to: BindingDefinition['to']): void {
    const wanted = JSON.stringify(to);
    for (const router of this.#shard.state.directory.routersOf(namespace).values()) {
      for (const binding of router.definition().bindings) {
        if (JSON.stringify(binding.to) === wanted)
          this.#shard.record({ type: 'unbind', namespace, router: router.name, binding });
      }
    }
  }

  /** @throws INVALID */
  checkName(name: string, what: string): void {
    const { maxNameBytes } = this.#shard.limits;
    if (typeof name !== 'string' || name.length === 0 || Buffer.byteLength(name) > maxNameBytes || hasControl(name)) {
      throw new RailheadError(
        'INVALID',
        `The ${what} name ${JSON.stringify(name)} cannot be used; allowed are 1 to ${maxNameBytes} bytes of text without control characters.`,
      );
    }
  }
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 32 || code === 127) return true;
  }
  return false;
}

// ---- Checks -------------------------------------------------------------------------------------------------------

function refuse(name: string, got: unknown, allowed: string): never {
  throw new RailheadError('INVALID', `${name} is ${JSON.stringify(got)}; ${allowed}.`);
}

function whole(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    refuse(name, value, `allowed are whole numbers from ${min} to ${max}`);
}

function wholeOrNull(name: string, value: number | null, min: number): void {
  if (value !== null) whole(name, value, min, Number.MAX_SAFE_INTEGER);
}

function onlyKnown(partial: object, known: object, what: string): void {
  for (const name of Object.keys(partial)) {
    if (!Object.hasOwn(known, name))
      refuse(
        `The ${what} option ${JSON.stringify(name)}`,
        undefined,
        `it is not known; known are ${Object.keys(known).join(', ')}`,
      );
  }
}

function rate(name: string, value: { count: number; perMs: number } | null): void {
  if (value !== null && !(value.count > 0 && value.perMs > 0)) refuse(name, value, 'count and perMs must be above 0');
}

export function topicPolicy(
  base: TopicPolicy,
  partial: Partial<TopicPolicy> = {},
  limits: Pick<Limits, 'maxPartitions' | 'maxMessageBytes'> = DEFAULT_LIMITS,
): TopicPolicy {
  onlyKnown(partial, base, 'topic');
  const policy: TopicPolicy = { ...base, ...partial, retain: { ...base.retain, ...partial.retain } };
  onlyKnown(policy.retain, base.retain, 'retain');
  whole('partitions', policy.partitions, 1, limits.maxPartitions);
  wholeOrNull('retain.ageMs', policy.retain.ageMs, 1);
  wholeOrNull('retain.bytes', policy.retain.bytes, 1);
  if (!['fsync', 'write', 'memory'].includes(policy.durability))
    refuse('durability', policy.durability, "allowed are 'fsync', 'write' and 'memory'");
  wholeOrNull('maxMessages', policy.maxMessages, 0);
  wholeOrNull('maxBytes', policy.maxBytes, 0);
  if (!OVERFLOWS.includes(policy.overflow)) refuse('overflow', policy.overflow, `allowed are ${OVERFLOWS.join(', ')}`);
  rate('publishRate', policy.publishRate);
  wholeOrNull('ttlMs', policy.ttlMs, 1);
  wholeOrNull('expireUnusedMs', policy.expireUnusedMs, 1);
  wholeOrNull('dedupeWindowMs', policy.dedupeWindowMs, 1);
  whole('maxMessageBytes', policy.maxMessageBytes, 1, limits.maxMessageBytes);
  return policy;
}

export function subscriptionPolicy(
  base: SubscriptionPolicy,
  partial: Partial<SubscriptionPolicy> = {},
): SubscriptionPolicy {
  onlyKnown(partial, base, 'subscription');
  const policy: SubscriptionPolicy = { ...base, ...partial, backoff: { ...base.backoff, ...partial.backoff } };
  if (!['fifo', 'strict', 'key', 'fair'].includes(policy.order))
    refuse('order', policy.order, "allowed are 'fifo', 'strict', 'key' and 'fair'");
  whole('priorities', policy.priorities, 1, 256);
  if (policy.priorities > 1 && policy.order === 'fair')
    refuse('order', 'fair', 'keys that take turns cannot have priorities too');
  if (policy.priorities > 1 && policy.order === 'strict')
    refuse('order', 'strict', 'a strict order cannot have priorities too');
  whole('leaseMs', policy.leaseMs, 1, 12 * 3_600_000);
  whole('maxAttempts', policy.maxAttempts, 0, 1_000_000);
  whole('maxCrashes', policy.maxCrashes, 0, 1_000_000);
  if (!['none', 'fixed', 'linear', 'exponential'].includes(policy.backoff.type))
    refuse('backoff.type', policy.backoff.type, "allowed are 'none', 'fixed', 'linear' and 'exponential'");
  whole('backoff.minMs', policy.backoff.minMs, 0, Number.MAX_SAFE_INTEGER);
  whole('backoff.maxMs', policy.backoff.maxMs, policy.backoff.minMs, Number.MAX_SAFE_INTEGER);
  if (typeof policy.deadLetter === 'object' && policy.deadLetter !== null) {
    const { router, key, unrouted } = policy.deadLetter;
    onlyKnown(policy.deadLetter, { router, key, unrouted }, 'deadLetter');
    if (typeof router !== 'string') refuse('deadLetter.router', router, 'name a router');
    if (!['queue', 'drop'].includes(unrouted))
      refuse('deadLetter.unrouted', unrouted, "allowed are 'queue' and 'drop'");
    // In one order, so that the same policy is found to be the same.
    policy.deadLetter = { router, key, unrouted };
  }
  rate('consumeRate', policy.consumeRate);
  if (policy.filter !== null) compileFilter(policy.filter);
  wholeOrNull('maxInFlight', policy.maxInFlight, 1);
  whole('retainSettledMs', policy.retainSettledMs, 0, Number.MAX_SAFE_INTEGER);
  return policy;
}
