import type { SubscriptionPolicy, TopicPolicy } from '../../core/policy.ts';
import { type Attributes, type Declaration, declarationOf } from '../../core/declaration.ts';
import { LEASE_KIND } from '../entries.ts';
import { LateMap } from '../structures/late-map.ts';
import type { PieceReader, PieceWriter } from '../structures/pieces.ts';
import { Backlog } from './backlog.ts';
import type { DedupeSeen } from './dedupe.ts';
import type { EncodedBacklog } from './encoded-backlog.ts';
import { type EncodedPartition, Partition } from './partition.ts';
import { type EncodedSnapshot, Snapshot } from './snapshot.ts';
import { type EncodedProducer, ProducerSeen } from './producers.ts';

/** A durable reader: one backlog for each partition. */
export class Subscription {
  readonly id: number;
  readonly topic: Topic;
  readonly name: string;
  readonly createdAt: number;
  policy: SubscriptionPolicy;
  paused = false;
  readonly backlogs: Backlog[] = [];

  constructor(topic: Topic, id: number, name: string, policy: SubscriptionPolicy, createdAt: number) {
    this.topic = topic;
    this.id = id;
    this.name = name;
    this.policy = policy;
    this.createdAt = createdAt;
    for (let i = 0; i < topic.policy.partitions; i++) this.backlogs.push(new Backlog(policy));
  }

  /** Everything that is to be settled, also what an open transaction may yet commit. */
  get depth(): number {
    let depth = 0;
    for (const backlog of this.backlogs) depth += backlog.pending.size;
    return depth;
  }

  /** What of the depth waits for the commit of a transaction. */
  get withheld(): number {
    let withheld = 0;
    for (const backlog of this.backlogs) withheld += backlog.withheld.size;
    return withheld;
  }
}

/** A named log in partitions, with its subscriptions. The unit of a checkpoint: it is written and read as a whole. */
export class Topic {
  readonly id: number;
  readonly namespace: string;
  readonly name: string;
  readonly kind: 'queue' | 'topic';
  readonly createdAt: number;
  declaration: Declaration;
  policy: TopicPolicy;
  readonly partitions: Partition[] = [];
  readonly subscriptions = new Map<number, Subscription>();
  readonly snapshots = new LateMap<string, Snapshot>();
  /** Dedupe ids of the window, oldest first. */
  readonly dedupe = new LateMap<string, DedupeSeen>();
  /** Ids of what open transactions have published: they count for all others only once that is committed. */
  readonly undecidedIds = new LateMap<number, Map<string, DedupeSeen>>();
  /** Newest sequence of each producer, and where its last batches went; least recently used first. */
  readonly producers = new LateMap<string, ProducerSeen>();
  /** True once a message with a due or expiry time was published. */
  timed = false;
  /** During recovery: entries up to this sequence are in the state already. */
  reflects = 0;
  /** Sequence of the newest entry that changed it, for checkpoints that write only what changed. */
  changed = 0;
  /** Sequence of the newest entry that made it or one of its subscriptions; 0 when that is from before the start. */
  defined = 0;

  constructor(
    init: Declaration & {
      id: number;
      namespace: string;
      name: string;
      kind: 'queue' | 'topic';
      policy: TopicPolicy;
      createdAt: number;
    },
  ) {
    this.id = init.id;
    this.namespace = init.namespace;
    this.name = init.name;
    this.kind = init.kind;
    this.policy = init.policy;
    this.createdAt = init.createdAt;
    this.declaration = declarationOf(init);
    for (let i = 0; i < init.policy.partitions; i++) this.partitions.push(new Partition());
  }

  partition(index: number): Partition {
    const partition = this.partitions[index];
    if (partition === undefined) throw new Error(`Railhead bug: topic ${this.name} has no partition ${index}`);
    return partition;
  }

  subscriptionNamed(name: string): Subscription | undefined {
    for (const subscription of this.subscriptions.values()) if (subscription.name === name) return subscription;
    return undefined;
  }

  /** Messages that are still to be settled by somebody; all that are kept, for a topic that nobody reads. */
  get depth(): number {
    if (this.kind === 'queue') {
      for (const subscription of this.subscriptions.values()) return subscription.depth;
    }
    let messages = 0;
    for (const partition of this.partitions) messages += partition.messages;
    return messages;
  }

  /**
   * The sessions of a former owner are gone: their leases end at `until`, unless the client comes back and extends them;
   * at once where nobody can.
   */
  capLeases(now: number, until: number): boolean {
    let capped = false;
    for (const subscription of this.subscriptions.values()) {
      for (const backlog of subscription.backlogs) {
        if (backlog.leased.size === 0) continue;
        capped = true;
        for (const [offset, { kind, deadline }] of backlog.leases()) {
          const end = kind === LEASE_KIND.connection ? now : until;
          if (kind !== LEASE_KIND.timed && deadline > end) backlog.extend(offset, 1, end);
        }
      }
    }
    return capped;
  }

  /** True where nothing but settling, and snapshots, keep messages. */
  get forgetsSettled(): boolean {
    const { retain } = this.policy;
    return retain.untilSettled && retain.ageMs === null && retain.bytes === null;
  }

  /** Whether some subscription or snapshot needs one of the messages [from, to), or keeps it for a while. */
  needs(index: number, from: number, to: number): boolean {
    for (const { backlogs } of this.subscriptions.values()) {
      const backlog = backlogs[index];
      if (backlog === undefined) continue;
      const { fillFrom, pending, retained } = backlog;
      if (Math.min(fillFrom ?? to, pending.next(from) ?? to, retained.next(from) ?? to) < to) return true;
    }
    for (const { partitions } of this.snapshots.values()) if ((partitions[index]?.next(from) ?? to) < to) return true;
    return false;
  }

  /**
   * Oldest offset of a partition that some subscription or snapshot still needs, or that is kept for a while after it was
   * settled; `end` when there is none.
   */
  floor(index: number): number {
    const partition = this.partition(index);
    let floor = partition.end;
    for (const subscription of this.subscriptions.values()) {
      const backlog = subscription.backlogs[index];
      if (backlog === undefined) continue;
      const { pending, fillFrom, retained } = backlog;
      floor = Math.min(floor, pending.first() ?? floor, fillFrom ?? floor, retained.next(0) ?? floor);
    }
    for (const { partitions } of this.snapshots.values()) floor = Math.min(floor, partitions[index]?.next(0) ?? floor);
    return floor;
  }

  /** About which part of a partition's messages is still needed by the subscription that is furthest behind. */
  pendingShare(index: number): number {
    const { messages, end } = this.partition(index);
    let pending = 0;
    for (const subscription of this.subscriptions.values()) {
      const backlog = subscription.backlogs[index];
      pending = Math.max(pending, (backlog?.pending.size ?? 0) + (backlog?.retained.size ?? 0));
    }
    for (const { partitions } of this.snapshots.values())
      pending = Math.max(pending, partitions[index]?.count(end) ?? 0);
    return messages === 0 ? 0 : Math.min(1, pending / messages);
  }

  /** Attributes that are not given stay. New partitions are empty: whoever reads the topic reads them from their start. */
  update(policy: TopicPolicy, attributes: Attributes | undefined): void {
    this.policy = policy;
    for (let i = this.partitions.length; i < policy.partitions; i++) {
      this.partitions.push(new Partition());
      for (const subscription of this.subscriptions.values())
        subscription.backlogs.push(new Backlog(subscription.policy));
      for (const snapshot of this.snapshots.values()) snapshot.grow();
    }
    if (attributes !== undefined) this.declaration = { ...this.declaration, attributes };
  }

  encode(pieces: PieceWriter): EncodedTopic {
    return {
      id: this.id,
      namespace: this.namespace,
      name: this.name,
      kind: this.kind,
      policy: this.policy,
      createdAt: this.createdAt,
      ...this.declaration,
      timed: this.timed,
      partitions: this.partitions.map((partition) => partition.encode(pieces)),
      subscriptions: [...this.subscriptions.values()].map((subscription) => ({
        id: subscription.id,
        name: subscription.name,
        policy: subscription.policy,
        paused: subscription.paused,
        createdAt: subscription.createdAt,
        backlogs: subscription.backlogs.map((backlog) => backlog.encode(pieces)),
      })),
      snapshots: [...this.snapshots.values()].map((snapshot) => snapshot.encode()),
      dedupe: [...this.dedupe],
      undecidedIds: [...this.undecidedIds].map(([transaction, ids]) => [transaction, [...ids]]),
      producers: [...this.producers].map(([id, seen]) => [id, seen.encode()]),
    };
  }

  static decode(data: EncodedTopic, pieces: PieceReader): Topic {
    const topic = new Topic(data);
    topic.timed = data.timed;
    topic.partitions.splice(0, Infinity, ...data.partitions.map((partition) => Partition.decode(partition, pieces)));
    for (const item of data.subscriptions) {
      const subscription = new Subscription(topic, item.id, item.name, item.policy, item.createdAt);
      subscription.paused = item.paused;
      subscription.backlogs.splice(
        0,
        Infinity,
        ...item.backlogs.map((backlog) => Backlog.decode(item.policy, backlog, pieces)),
      );
      topic.subscriptions.set(item.id, subscription);
    }
    for (const snapshot of data.snapshots) topic.snapshots.set(snapshot.name, Snapshot.decode(snapshot));
    for (const [id, seen] of data.dedupe) topic.dedupe.set(id, seen);
    for (const [transaction, ids] of data.undecidedIds) topic.undecidedIds.set(transaction, new Map(ids));
    for (const [id, seen] of data.producers) topic.producers.set(id, ProducerSeen.decode(seen));
    return topic;
  }
}

export interface EncodedTopic extends Declaration {
  id: number;
  namespace: string;
  name: string;
  kind: 'queue' | 'topic';
  policy: TopicPolicy;
  createdAt: number;
  timed: boolean;
  partitions: EncodedPartition[];
  subscriptions: {
    id: number;
    name: string;
    policy: SubscriptionPolicy;
    paused: boolean;
    createdAt: number;
    backlogs: EncodedBacklog[];
  }[];
  snapshots: EncodedSnapshot[];
  dedupe: [string, DedupeSeen][];
  undecidedIds: [number, [string, DedupeSeen][]][];
  producers: [string, EncodedProducer][];
}
