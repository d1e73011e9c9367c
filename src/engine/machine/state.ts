import { assert } from '../../core/errors.ts';
import { COUNTED_NAMES, type Entry, type OtherEntry, type PublishEntry, type SettleEntry } from '../entries.ts';
import type { PieceReader } from '../structures/pieces.ts';
import { noteDedupe } from './dedupe.ts';
import { Directory, type EncodedDirectory } from './directory.ts';
import { scoped } from './scoped.ts';
import { LiveBlobs } from './live-blobs.ts';
import { blocksByPartition } from './partition.ts';
import { noteProducer } from './producers.ts';
import { Snapshot } from './snapshot.ts';
import { type EncodedTopic, Subscription, Topic } from './topic.ts';
import { endInPartition, type EncodedTransactions, Transactions } from './transactions.ts';

/**
 * Everything that a shard knows and that the journal can rebuild. Changed only by `apply`, one entry at a time, in
 * order; the same entries give the same state, whenever and on whatever machine they are applied.
 */
export class State {
  readonly topics = new Map<number, Topic>();
  readonly topicsByName = new Map<string, Topic>();
  readonly directory = new Directory();
  readonly transactions = new Transactions();
  readonly blobs = new LiveBlobs();
  nextTopicId = 1;
  nextSubscriptionId = 1;
  formatVersion = 0;
  /** Of the owner that is writing. */
  epoch = 0;
  /** How often messages that nobody waited for may have become wanted again, by a seek or a new subscription. */
  revivals = 0;
  /** As `Topic.reflects`, for all that is not in a topic. */
  reflects = 0;
  changed = 0;

  /**
   * @param position where the entry lies, or `-1 - offset in the batch` while the batch gathers
   * @param bytes size of the entry
   */
  apply(entry: Entry, sequence: number, position: number, bytes: number): void {
    switch (entry.type) {
      case 'publish':
        this.#publish(entry, sequence, position, bytes);
        return;
      case 'lease': {
        const subscription = this.#subscription(entry.topicId, entry.subscriptionId, sequence);
        if (subscription === undefined) return;
        const lease = {
          token: this.tokenOf(sequence),
          kind: entry.kind,
          consumer: entry.consumer,
          at: entry.at,
          deadline: entry.deadline,
        };
        for (const range of entry.ranges)
          subscription.backlogs[range.partition]?.lease(range.offset, range.count, lease);
        return;
      }
      case 'settle': {
        const subscription = this.#subscription(entry.topicId, entry.subscriptionId, sequence);
        if (subscription !== undefined) this.#settle(subscription, entry);
        return;
      }
      default:
        this.#other(entry, sequence);
    }
  }

  /**
   * Names the lease that an entry makes. A lease may be handed out before its entry is synced, and after a crash its
   * sequence is taken by another entry; the epoch tells the two apart.
   */
  tokenOf(sequence: number): number {
    return sequence * 256 + (this.epoch % 256);
  }

  topicNamed(namespace: string, name: string): Topic | undefined {
    return this.topicsByName.get(scoped(namespace, name));
  }

  encodeGlobals(): EncodedGlobals {
    const { nextTopicId, nextSubscriptionId, formatVersion, epoch } = this;
    const transactions = this.transactions.encode();
    return { nextTopicId, nextSubscriptionId, formatVersion, epoch, ...this.directory.encode(), transactions };
  }

  loadGlobals(data: EncodedGlobals): void {
    this.nextTopicId = data.nextTopicId;
    this.nextSubscriptionId = data.nextSubscriptionId;
    this.formatVersion = data.formatVersion;
    this.epoch = data.epoch;
    this.directory.load(data);
    this.transactions.load(data.transactions);
  }

  loadTopic(data: EncodedTopic, pieces: PieceReader): Topic {
    const topic = Topic.decode(data, pieces);
    this.#addTopic(topic);
    this.transactions.noteParts(topic);
    for (const partition of topic.partitions) {
      for (const block of partition.cold) block.blob = this.blobs.nameOf(block.blob);
      this.blobs.count(partition.cold, 1);
      this.blobs.count(partition.bodies.values(), 1);
    }
    return topic;
  }

  /** In the order in which they were made, as if they had not been read from several checkpoints. */
  sortTopics(): void {
    const sorted = [...this.topics].sort(([a], [b]) => a - b);
    this.topics.clear();
    this.blobs.forgetNames();
    for (const [id, topic] of sorted) this.topics.set(id, topic);
  }

  #addTopic(topic: Topic): void {
    this.topics.set(topic.id, topic);
    this.topicsByName.set(scoped(topic.namespace, topic.name), topic);
  }

  /** The topic of an entry; undefined during recovery when the checkpoint already reflects the entry, or it is gone. */
  #topic(topicId: number, sequence: number): Topic | undefined {
    const topic = this.topics.get(topicId);
    if (topic === undefined || sequence <= topic.reflects) return undefined;
    topic.changed = sequence;
    return topic;
  }

  #subscription(topicId: number, subscriptionId: number, sequence: number): Subscription | undefined {
    return this.#topic(topicId, sequence)?.subscriptions.get(subscriptionId);
  }

  #publish(entry: PublishEntry, sequence: number, position: number, bytes: number): void {
    for (const target of entry.targets) {
      const topic = this.#topic(target.topicId, sequence);
      if (topic === undefined) continue;
      const partition = topic.partition(target.partition);
      assert(
        target.offset === partition.end,
        `offset ${target.offset} published to ${topic.name}, which ends at ${partition.end}`,
      );
      partition.append(target.offset, entry.count, position, bytes, entry.publishedAt, entry.body);
      if (entry.body !== undefined) this.blobs.count([entry.body], 1);
      if (entry.ends !== undefined) {
        endInPartition(topic, target, entry, sequence);
        this.#forgetSettled(topic, target.partition);
        continue;
      }
      const { transaction } = entry;
      if (transaction !== undefined) {
        partition.withhold(transaction, target.offset, target.offset + entry.count);
        this.transactions.notePart(transaction, topic.id, target.partition);
      }
      if (entry.due !== undefined || entry.expires !== undefined) topic.timed = true;
      if (entry.dedupeIds !== undefined) noteDedupe(topic, target.partition, target.offset, entry);
      if (entry.producer !== undefined)
        noteProducer(topic, target.partition, target.offset, entry.producer, entry.count);
      for (const subscription of topic.subscriptions.values()) {
        const backlog = subscription.backlogs[target.partition];
        if (backlog === undefined || backlog.fillFrom !== null) continue;
        const excluded = entry.excluded?.find((x) => x.subscriptionId === subscription.id)?.indexes;
        backlog.offer(target.offset, entry.count, entry, excluded, transaction === undefined ? 'now' : 'withheld');
      }
      if (topic.subscriptions.size === 0 || entry.excluded !== undefined) {
        this.#dropSettledBodies(topic, target.partition, target.offset, partition.end);
        this.#trimSettled(topic, target.partition);
      }
    }
  }

  #settle(subscription: Subscription, entry: SettleEntry): void {
    const counted = COUNTED_NAMES[entry.counted] ?? 'none';
    // Where something else than settling says how long messages stay, that is the rule.
    const keepMs = subscription.topic.policy.retain.untilSettled ? subscription.policy.retainSettledMs : 0;
    let trimmed = -1;
    for (const { partition, offset, count } of entry.ranges) {
      const backlog = subscription.backlogs[partition];
      if (backlog === undefined) continue;
      switch (entry.how) {
        case 'ack':
        case 'gone':
        case 'buried':
          // Once for all ranges of a partition: they come one partition after the other.
          if (trimmed >= 0 && trimmed !== partition) this.#trimSettled(subscription.topic, trimmed);
          trimmed = partition;
          backlog.remove(offset, count);
          if (keepMs > 0) backlog.retained.add(offset, offset + count, entry.at, keepMs);
          this.#dropSettledBodies(subscription.topic, partition, offset, offset + count);
          break;
        case 'ready':
          backlog.giveBack(offset, count, counted, entry.error);
          break;
        case 'delayed':
          backlog.delay(offset, count, entry.due, counted, entry.error);
          break;
        case 'dying':
          backlog.die(offset, count, entry.reason ?? 'rejected', counted, entry.error);
          break;
        case 'extended':
          backlog.extend(offset, count, entry.due);
          break;
      }
    }
    if (trimmed >= 0) this.#trimSettled(subscription.topic, trimmed);
  }

  /** Where nothing but settling keeps messages, they go as soon as the last subscription has settled them. */
  #trimSettled(topic: Topic, partition: number): void {
    if (topic.forgetsSettled) this.#trim(topic, partition, topic.floor(partition));
  }

  /** The same after something that kept settled messages is gone, wherever they lie. */
  #forgetSettled(topic: Topic, index: number): void {
    this.#dropSettledBodies(topic, index, topic.partition(index).start, topic.partition(index).end);
    this.#trimSettled(topic, index);
  }

  /** A large body does not wait until all that is older is settled: its message leaves a hole. */
  #dropSettledBodies(topic: Topic, index: number, from: number, to: number): void {
    const partition = topic.partition(index);
    if (partition.bodies.size === 0 || !topic.forgetsSettled) return;
    for (const offset of partition.bodies.offsetsIn(from, to)) {
      if (!topic.needs(index, offset, offset + 1)) this.blobs.count(partition.remove(offset, offset + 1), -1);
    }
  }

  #trim(topic: Topic, partition: number, start: number): void {
    this.blobs.count(topic.partition(partition).trim(start), -1);
  }

  #other(entry: OtherEntry, sequence: number): void {
    switch (entry.type) {
      case 'topic': {
        this.nextTopicId = Math.max(this.nextTopicId, entry.topicId + 1);
        this.changed = sequence;
        if (this.topics.has(entry.topicId)) return;
        const topic = new Topic({ ...entry, id: entry.topicId, createdAt: entry.at });
        topic.changed = topic.defined = sequence;
        this.#addTopic(topic);
        return;
      }
      case 'topicPolicy': {
        const topic = this.#topic(entry.topicId, sequence);
        if (topic !== undefined) topic.update(entry.policy, entry.attributes);
        return;
      }
      case 'topicGone': {
        if (this.directory.cursors.forgetTopic(entry.topicId)) this.changed = sequence;
        const topic = this.topics.get(entry.topicId);
        if (topic === undefined) return;
        this.topics.delete(topic.id);
        const name = scoped(topic.namespace, topic.name);
        if (this.topicsByName.get(name) === topic) this.topicsByName.delete(name);
        for (const partition of topic.partitions) this.blobs.count(partition.clear(), -1);
        return;
      }
      case 'subscription': {
        this.nextSubscriptionId = Math.max(this.nextSubscriptionId, entry.subscriptionId + 1);
        this.changed = sequence;
        const topic = this.#topic(entry.topicId, sequence);
        if (topic === undefined) return;
        const subscription = new Subscription(topic, entry.subscriptionId, entry.name, entry.policy, entry.at);
        topic.subscriptions.set(entry.subscriptionId, subscription);
        topic.defined = sequence;
        this.#startAt(subscription, entry.start);
        return;
      }
      case 'subscriptionPolicy': {
        const subscription = this.#subscription(entry.topicId, entry.subscriptionId, sequence);
        if (subscription !== undefined) subscription.policy = entry.policy;
        return;
      }
      case 'subscriptionGone': {
        const topic = this.#topic(entry.topicId, sequence);
        if (topic === undefined || !topic.subscriptions.delete(entry.subscriptionId)) return;
        topic.partitions.forEach((_, i) => this.#forgetSettled(topic, i));
        return;
      }
      case 'paused': {
        const subscription = this.#subscription(entry.topicId, entry.subscriptionId, sequence);
        if (subscription !== undefined) subscription.paused = entry.paused;
        return;
      }
      case 'seek': {
        const subscription = this.#subscription(entry.topicId, entry.subscriptionId, sequence);
        if (subscription !== undefined) this.#startAt(subscription, entry.start);
        return;
      }
      case 'snapshot': {
        const subscription = this.#subscription(entry.topicId, entry.subscriptionId, sequence);
        if (subscription === undefined) return;
        const snapshot = Snapshot.take(subscription, entry.name, entry.at, entry.expiresAt);
        subscription.topic.snapshots.set(entry.name, snapshot);
        return;
      }
      case 'snapshotGone': {
        const topic = this.#topic(entry.topicId, sequence);
        if (topic === undefined || !topic.snapshots.delete(entry.name)) return;
        topic.partitions.forEach((_, i) => this.#forgetSettled(topic, i));
        return;
      }
      case 'restored': {
        const subscription = this.#subscription(entry.topicId, entry.subscriptionId, sequence);
        const snapshot = subscription?.topic.snapshots.get(entry.snapshot);
        if (subscription !== undefined && snapshot !== undefined) this.#restore(subscription, snapshot);
        return;
      }
      case 'offer': {
        const subscription = this.#subscription(entry.topicId, entry.subscriptionId, sequence);
        const backlog = subscription?.backlogs[entry.partition];
        if (subscription === undefined || backlog === undefined) return;
        const { count, priorities, due, expires, keys, excluded } = entry;
        if (count > 0) {
          const columns = {
            priorities,
            due: due === undefined ? undefined : Float64Array.from(due),
            expires: expires === undefined ? undefined : Float64Array.from(expires),
            keys: keys?.map((key) => key ?? undefined),
          };
          const undecided = subscription.topic.partition(entry.partition).isUndecided(entry.from);
          backlog.offer(entry.from, count, columns, excluded, undecided ? 'withheld' : 'now');
        }
        backlog.fillFrom = entry.next;
        if (entry.next === null) backlog.restoring = null;
        return;
      }
      case 'forgotten': {
        const subscription = this.#subscription(entry.topicId, entry.subscriptionId, sequence);
        subscription?.backlogs.forEach((backlog, partition) => {
          backlog.retained.forget(entry.before);
          this.#forgetSettled(subscription.topic, partition);
        });
        return;
      }
      case 'trim': {
        const topic = this.#topic(entry.topicId, sequence);
        if (topic === undefined) return;
        for (const subscription of topic.subscriptions.values()) {
          const backlog = subscription.backlogs[entry.partition];
          const first = backlog?.pending.first();
          if (backlog !== undefined && first !== undefined && first < entry.start)
            backlog.remove(first, entry.start - first);
          backlog?.retained.trim(entry.start);
          if (backlog !== undefined && backlog.fillFrom !== null)
            backlog.fillFrom = Math.max(backlog.fillFrom, entry.start);
        }
        for (const { partitions } of topic.snapshots.values()) partitions[entry.partition]?.remove(0, entry.start);
        this.#trim(topic, entry.partition, entry.start);
        return;
      }
      case 'compacted': {
        const topic = this.#topic(entry.topicId, sequence);
        if (topic === undefined) return;
        for (const [from, count] of entry.ranges) {
          this.blobs.count(topic.partition(entry.partition).remove(from, from + count), -1);
          for (const { backlogs } of topic.subscriptions.values()) backlogs[entry.partition]?.remove(from, count);
          for (const { partitions } of topic.snapshots.values())
            partitions[entry.partition]?.remove(from, from + count);
        }
        return;
      }
      case 'swept': {
        const topic = this.#topic(entry.topicId, sequence);
        if (topic === undefined) return;
        const { to, at, removals } = entry;
        topic.partition(entry.partition).swept = { to, at, removals };
        return;
      }
      case 'moved':
        this.#moved(entry, sequence);
        return;
      case 'rewritten':
        this.#rewritten(entry, sequence);
        return;
      case 'opened':
        this.epoch = entry.epoch;
        this.changed = sequence;
        for (const topic of this.topics.values())
          if (sequence > topic.reflects && topic.capLeases(entry.at, entry.leaseCapAt)) topic.changed = sequence;
        return;
      case 'producer':
      case 'producerGone':
      case 'begun':
      case 'enlisted':
      case 'ended':
        // Also where a checkpoint reflects the end: where it has published is gathered anew at each start.
        if (entry.type === 'ended') this.transactions.forgetParts(entry.transaction);
        if (sequence <= this.reflects) return;
        this.changed = sequence;
        this.transactions.apply(entry);
        return;
      default:
        if (sequence <= this.reflects) return;
        this.changed = sequence;
        if (entry.type === 'format') this.formatVersion = entry.version;
        else this.directory.apply(entry);
    }
  }

  /** Old messages that need a look (a filter, keys, times) are offered by `offer` entries; the others at once. */
  #startAt(subscription: Subscription, start: readonly number[]): void {
    this.revivals++;
    const { topic } = subscription;
    const plain = isPlain(subscription);
    subscription.backlogs.forEach((backlog, i) => {
      const partition = topic.partition(i);
      const from = Math.min(Math.max(start[i] ?? partition.end, partition.start), partition.end);
      backlog.reset();
      backlog.fillFrom = null;
      if (from >= partition.end) return;
      if (plain && !partition.hasHoles(from)) backlog.offer(from, partition.end - from, {}, undefined);
      else backlog.fillFrom = from;
    });
  }

  /** As `#startAt`, for those that the snapshot had not settled. */
  #restore(subscription: Subscription, snapshot: Snapshot): void {
    this.revivals++;
    const { topic } = subscription;
    const plain = isPlain(subscription);
    subscription.backlogs.forEach((backlog, i) => {
      const partition = topic.partition(i);
      const unsettled = snapshot.partitions[i];
      backlog.reset();
      backlog.fillFrom = null;
      const from = unsettled?.next(partition.start) ?? partition.end;
      if (unsettled === undefined || from >= partition.end) return;
      if (plain && !partition.hasHoles(from)) {
        for (const run of unsettled.runs(from, partition.end))
          backlog.offer(run.from, run.to - run.from, {}, undefined);
      } else {
        backlog.fillFrom = from;
        backlog.restoring = unsettled.clone();
      }
    });
  }

  #rewritten(entry: Extract<OtherEntry, { type: 'rewritten' }>, sequence: number): void {
    const byPartition = blocksByPartition(entry.blob, entry.blocks);
    for (const topic of this.topics.values()) {
      if (sequence <= topic.reflects) continue;
      topic.partitions.forEach((partition, i) => {
        const blocks = (byPartition.get(`${topic.id}/${i}`) ?? []).filter((block) => block.to > partition.start);
        const replaced = partition.rewritten(entry.old, blocks);
        if (replaced.length === 0 && blocks.length === 0) return;
        topic.changed = sequence;
        this.blobs.count(replaced, -1);
        this.blobs.count(blocks, 1);
      });
    }
    this.blobs.written(entry.blob);
  }

  #moved(entry: Extract<OtherEntry, { type: 'moved' }>, sequence: number): void {
    const byPartition = blocksByPartition(entry.blob, entry.blocks);
    for (const topic of this.topics.values()) {
      if (sequence <= topic.reflects) continue;
      topic.partitions.forEach((partition, i) => {
        const blocks = (byPartition.get(`${topic.id}/${i}`) ?? []).filter((block) => block.to > partition.start);
        if (blocks.length === 0 && partition.hotEntries === 0) return;
        topic.changed = sequence;
        partition.moved(entry.before, blocks);
        this.blobs.count(blocks, 1);
      });
    }
    this.blobs.written(entry.blob);
  }
}

/** Its messages can be offered unseen: nothing about them depends on what they say. */
function isPlain({ policy, topic }: Subscription): boolean {
  return policy.filter === null && policy.order === 'fifo' && policy.priorities === 1 && !topic.timed;
}

export interface EncodedGlobals extends EncodedDirectory {
  nextTopicId: number;
  nextSubscriptionId: number;
  formatVersion: number;
  epoch: number;
  transactions: EncodedTransactions;
}
