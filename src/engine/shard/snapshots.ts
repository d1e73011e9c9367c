import { RailheadError } from '../../core/errors.ts';
import type { Operations, SnapshotDefinition, SubscriptionRef } from '../../core/session.ts';
import type { Snapshot } from '../machine/snapshot.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import { checkName } from './declarations.ts';
import type { Definitions } from './definitions.ts';
import type { Feeds } from './feeds.ts';
import type { Settler } from './settler.ts';
import type { Shard } from './shard.ts';

type Args<O extends keyof Operations> = Operations[O]['args'];
type Result<O extends keyof Operations> = Operations[O]['result'];

/** What a subscription has not settled, kept under a name: taken, listed, gone back to, deleted, and forgotten in time. */
export class Snapshots {
  readonly #shard: Shard;
  readonly #feeds: Feeds;
  readonly #settler: Settler;
  readonly #definitions: Definitions;

  constructor(shard: Shard, feeds: Feeds, settler: Settler, definitions: Definitions) {
    this.#shard = shard;
    this.#feeds = feeds;
    this.#settler = settler;
    this.#definitions = definitions;
  }

  /** After a start. */
  arm(): void {
    for (const topic of this.#shard.state.topics.values()) this.#watch(topic);
  }

  create(namespace: string, args: Args<'createSnapshot'>): SnapshotDefinition {
    const { defaultSnapshotMs, maxSnapshotMs, maxSnapshots } = this.#shard.limits;
    const subscription = this.#settler.find(namespace, args);
    const { topic } = subscription;
    const { snapshot: name, expiresAfterMs = defaultSnapshotMs } = args;
    checkName(name, 'snapshot', this.#shard.limits);
    if (!(expiresAfterMs >= 1 && expiresAfterMs <= maxSnapshotMs)) {
      throw new RailheadError(
        'INVALID',
        `A snapshot that expires after ${expiresAfterMs} ms; allowed are 1 to ${maxSnapshotMs}. It keeps messages all that time.`,
      );
    }
    const now = this.#shard.clock.now();
    const old = topic.snapshots.get(name);
    if (old !== undefined && old.expiresAt > now) {
      throw new RailheadError(
        'ALREADY_EXISTS',
        `${JSON.stringify(topic.name)} has a snapshot ${JSON.stringify(name)}. Delete it first, or choose another name.`,
      );
    }
    if (old === undefined && topic.snapshots.size >= maxSnapshots) {
      throw new RailheadError(
        'INVALID',
        `${JSON.stringify(topic.name)} has ${topic.snapshots.size} snapshots, which is the most. Delete one that is not needed.`,
      );
    }
    const ids = { topicId: topic.id, subscriptionId: subscription.id };
    this.#shard.record({ type: 'snapshot', ...ids, name, at: now, expiresAt: now + expiresAfterMs });
    this.#watch(topic);
    return describe(topic, this.#find(topic, name));
  }

  /** Of one topic, or of all. */
  list(namespace: string, args: Args<'listSnapshots'>): Result<'listSnapshots'> {
    const now = this.#shard.clock.now();
    const topics =
      args.topic === undefined ? this.#shard.state.topics.values() : [this.#definitions.topic(namespace, args.topic)];
    const snapshots: SnapshotDefinition[] = [];
    for (const topic of topics) {
      if (topic.namespace !== namespace) continue;
      for (const one of topic.snapshots.values()) if (one.expiresAt > now) snapshots.push(describe(topic, one));
    }
    return { snapshots };
  }

  delete(namespace: string, args: Args<'deleteSnapshot'>): { deleted: boolean } {
    const topic = this.#definitions.topic(namespace, args.topic);
    if (!topic.snapshots.has(args.snapshot)) return { deleted: false };
    this.#shard.record({ type: 'snapshotGone', topicId: topic.id, name: args.snapshot });
    this.#watch(topic);
    return { deleted: true };
  }

  /** Puts a subscription of the same topic back to what the snapshot had not settled. */
  restore(namespace: string, ref: SubscriptionRef, snapshot: string): Subscription {
    const subscription = this.#settler.find(namespace, ref);
    const { topic } = subscription;
    this.#find(topic, snapshot);
    this.#shard.record({ type: 'restored', topicId: topic.id, subscriptionId: subscription.id, snapshot });
    this.#feeds.recount(subscription);
    this.#feeds.touch(subscription);
    return subscription;
  }

  #find(topic: Topic, name: string): Snapshot {
    const snapshot = topic.snapshots.get(name);
    if (snapshot !== undefined && snapshot.expiresAt > this.#shard.clock.now()) return snapshot;
    throw new RailheadError(
      'NOT_FOUND',
      `${JSON.stringify(topic.name)} has no snapshot ${JSON.stringify(name)}; it may have expired.`,
    );
  }

  #watch(topic: Topic): void {
    let next = Infinity;
    for (const { expiresAt } of topic.snapshots.values()) next = Math.min(next, expiresAt);
    this.#shard.agenda.set(`snapshots:${topic.id}`, next, () => this.#expire(topic));
  }

  #expire(topic: Topic): void {
    if (this.#shard.state.topics.get(topic.id) !== topic) return;
    const now = this.#shard.clock.now();
    for (const { name, expiresAt } of topic.snapshots.values())
      if (expiresAt <= now) this.#shard.record({ type: 'snapshotGone', topicId: topic.id, name });
    this.#watch(topic);
  }
}

function describe(topic: Topic, snapshot: Snapshot): SnapshotDefinition {
  const { name, subscription, createdAt, expiresAt } = snapshot;
  let depth = 0;
  for (const [i, { end }] of topic.partitions.entries()) depth += snapshot.partitions[i]?.count(end) ?? 0;
  return { topic: topic.name, snapshot: name, subscription, createdAt, expiresAt, depth };
}
