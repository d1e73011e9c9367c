import { asBuffer, FORMAT_NATIVE, readRecord, recordEnd } from '../../src/core/records.ts';
import type { Clock } from '../../src/core/clock.ts';
import { DELETE_RETENTION_MS } from '../../src/core/policy.ts';
import { entryBytes, readEntry } from '../../src/engine/entry-reader.ts';
import {
  COUNTED,
  type Entry,
  type LeaseEntry,
  type OtherEntry,
  type PublishEntry,
  type SettleEntry,
} from '../../src/engine/entries.ts';
import type { RecoveredBatch } from '../../src/engine/ports.ts';
import { AuditedRouters } from './audited-routers.ts';
import { AuditedTransactions } from './audited-transactions.ts';
import { textOf } from './drafts.ts';
import {
  type AuditedConsumer,
  AuditedSnapshot,
  AuditedSubscription,
  AuditedTopic,
  type Message,
  Tokens,
} from './audited.ts';

/** What waits for room in the log looks for it so often. */
const ROOM_RETRY_MS = 20;

/**
 * Reads over the shoulder of the broker: every entry as it is appended, against what it must not decide. It keeps a
 * model of its own, which shares nothing with the engine's state but the layout of the entries.
 */
export class Auditor {
  readonly #clock: Clock;
  readonly #fail: (problem: string) => void;
  readonly topics = new Map<number, AuditedTopic>();
  readonly transactions: AuditedTransactions;
  readonly #routers = new AuditedRouters();
  #schedules = new Map<string, Extract<OtherEntry, { type: 'schedule' }>>();
  /** Of this life of the broker. */
  readonly consumers = new Map<number, AuditedConsumer>();
  /** While old batches are read again after a start: they were checked when they were written. */
  #again = false;
  #batch: Entry[] = [];
  leases = 0;
  /** False when the commit log may refuse publishers for want of room. */
  roomy = (): boolean => true;

  constructor(clock: Clock, fail: (problem: string) => void) {
    this.#clock = clock;
    this.#fail = (problem) => (this.#again ? undefined : fail(`the journal says: ${problem}`));
    this.transactions = new AuditedTransactions(clock, this.topics, this.#fail);
  }

  /** A start: this is what the journal still holds of all that was ever appended. */
  restart(batches: readonly RecoveredBatch[]): void {
    this.topics.clear();
    this.#schedules.clear();
    this.transactions.clear();
    this.#routers.clear();
    this.consumers.clear();
    this.#again = true;
    for (const batch of batches) this.note(batch);
    this.#again = false;
    for (const subscription of this.subscriptions()) subscription.tokens = undefined;
    for (const topic of this.topics.values()) topic.tokens = undefined;
  }

  note({ body, count }: Pick<RecoveredBatch, 'body' | 'count'>): void {
    this.#batch = [];
    for (let i = 0, at = 0; i < count; i++, at += entryBytes(body, at)) {
      const entry = readEntry(body, at);
      this.#batch.push(entry);
      if (entry.type === 'publish') this.#publish(entry);
      else if (entry.type === 'lease') this.#lease(entry);
      else if (entry.type === 'settle') this.#settle(entry);
      else this.#other(entry);
    }
  }

  *subscriptions(): IterableIterator<AuditedSubscription> {
    for (const topic of this.topics.values()) yield* topic.subscriptions.values();
  }

  // ---- Publish ----------------------------------------------------------------------------------------------------

  #publish(entry: PublishEntry): void {
    const now = entry.publishedAt;
    if (now > this.#clock.now()) this.#fail(`published at ${now}, which is to come`);
    const { transaction, ends } = entry;
    if (transaction !== undefined && ends === undefined) this.transactions.publishes(transaction);
    for (const { topicId, partition, offset } of entry.targets) {
      const topic = this.topics.get(topicId);
      if (topic === undefined) continue;
      const { policy, name } = topic;
      const end = topic.ends[partition] ?? 0;
      if (offset !== end) this.#fail(`${name} ${partition}/${offset} is published, its end is ${end}`);
      topic.ends[partition] = offset + entry.count;
      if (transaction !== undefined) {
        if (ends === undefined) this.transactions.touch(transaction, topic, partition, offset);
        else this.transactions.mark(transaction, topic, { partition, offset }, ends, now);
      }
      if (ends !== undefined) continue;
      const bytes = entry.format === FORMAT_NATIVE ? asBuffer(entry.records) : Buffer.alloc(0);
      for (let i = 0, at = 0; i < entry.count; i++, at = recordEnd(bytes, at)) {
        const { key, body } = readRecord(bytes, at);
        const message: Message = {
          text: entry.body?.blob ?? textOf(body),
          partition,
          offset: offset + i,
          key,
          publishedAt: now,
          expires: entry.expires?.[i] || Infinity,
          transaction,
        };
        topic.add(message);
        for (const subscription of topic.subscriptions.values()) {
          const excluded = entry.excluded?.find((one) => one.subscriptionId === subscription.id)?.indexes ?? [];
          if (excluded.includes(i)) subscription.excluded.add(AuditedTopic.at(partition, message.offset));
          else subscription.offer(message, entry.due?.[i] || 0);
        }
        const id = entry.dedupeIds?.[i];
        const seen = id === undefined ? undefined : topic.dedupe.get(id);
        if (seen !== undefined && seen > now - (policy.dedupeWindowMs ?? 300_000))
          this.#fail(`${name} stores dedupe id ${id} twice within its window`);
        if (id !== undefined && transaction === undefined) topic.dedupe.set(id, now);
        else if (id !== undefined && transaction !== undefined) topic.undecidedIds.set(id, transaction);
      }
      if (entry.history !== undefined) continue;
      if (policy.maxMessages !== null && (policy.overflow === 'reject' || policy.overflow === 'block')) {
        if (topic.depth > policy.maxMessages) this.#fail(`${name} holds ${topic.depth} of ${policy.maxMessages}`);
      }
      if (policy.publishRate !== null) {
        topic.tokens ??= new Tokens(policy.publishRate, now);
        if (!topic.tokens.take(entry.count, now, 'a large batch may go when the bucket is full'))
          this.#fail(`${name} takes more than its publishRate`);
      }
    }
  }

  // ---- Leases -----------------------------------------------------------------------------------------------------

  #lease(entry: LeaseEntry): void {
    const subscription = this.topics.get(entry.topicId)?.subscriptions.get(entry.subscriptionId);
    if (subscription === undefined) return;
    const now = this.#clock.now();
    const { name, policy } = subscription;
    const fail = (problem: string): void => this.#fail(`a lease of ${name} ${problem}`);
    if (subscription.paused) fail('while it is paused');
    if (entry.deadline <= now) fail('that is over when it begins');
    let count = 0;
    for (const range of entry.ranges) {
      for (let offset = range.offset; offset < range.offset + range.count; offset++) {
        count++;
        const waiting = subscription.find(range.partition, offset);
        if (waiting === undefined) {
          fail(`at ${range.partition}/${offset}, where nothing waits`);
          continue;
        }
        const { message, state } = waiting;
        if (state !== 'ready') fail(`of ${message.text}, which is ${state}`);
        if (message.expires <= now) fail(`of ${message.text}, which has expired`);
        if (policy.order === 'strict' || (policy.order === 'key' && message.key !== undefined)) {
          for (const other of subscription.leased) {
            const same = policy.order === 'strict' || other.message.key === message.key;
            if (other.message.partition === range.partition && same)
              fail(`of ${message.text} beside ${other.message.text}, which has the same key`);
          }
        }
        subscription.setState(waiting, 'leased');
        waiting.consumer = entry.consumer;
      }
    }
    this.leases += count;
    if (policy.maxInFlight !== null && subscription.leased.size > policy.maxInFlight)
      fail(`makes ${subscription.leased.size} in flight of ${policy.maxInFlight}`);
    if (this.#again) return;
    if (policy.consumeRate !== null) {
      subscription.tokens ??= new Tokens(policy.consumeRate, now);
      if (!subscription.tokens.take(count, now, 'never more than there are')) fail(`goes over its consumeRate`);
    }
    this.#rightConsumer(subscription, entry.consumer, count, fail);
  }

  /** Exclusive and single active mean one; a lower priority gets nothing while a higher one has credit. */
  #rightConsumer(subscription: AuditedSubscription, id: number, count: number, fail: (problem: string) => void): void {
    const mine = this.consumers.get(id);
    if (mine === undefined) return fail(`for consumer ${id}, which nobody opened or which was closed`);
    // What came too late to be delivered gives its credit back, which nobody is told: there may be more, never less.
    mine.credit = Math.max(0, mine.credit - count);
    for (const other of this.consumers.values()) {
      if (other === mine || other.subscription !== subscription.name) continue;
      if (mine.exclusive || other.exclusive) fail('beside an exclusive consumer');
      if (subscription.policy.singleActive) {
        if (other.priority > mine.priority || (other.priority === mine.priority && other.id < mine.id))
          fail(`for consumer ${id}, while ${other.id} is the active one`);
      } else if (other.priority > mine.priority && other.credit > 0 && !subscription.suspected)
        fail(`for priority ${mine.priority}, while one with priority ${other.priority} has credit`);
    }
  }

  // ---- Settlements ------------------------------------------------------------------------------------------------

  #settle(entry: SettleEntry): void {
    const topic = this.topics.get(entry.topicId);
    const subscription = topic?.subscriptions.get(entry.subscriptionId);
    if (topic === undefined || subscription === undefined) return;
    const now = entry.at;
    for (const { partition, offset: from, count } of entry.ranges) {
      for (let offset = from; offset < from + count; offset++) {
        const waiting = subscription.find(partition, offset);
        const fail = (problem: string): void =>
          this.#fail(`${subscription.name} ${partition}/${offset} becomes ${entry.how}, ${problem}`);
        if (waiting === undefined) {
          fail('and does not wait');
          continue;
        }
        const { message, state } = waiting;
        if (state === 'withheld' && entry.how !== 'gone') fail('though its transaction is open');
        if (state === 'dying' && entry.how !== 'buried' && entry.how !== 'gone') fail('though it is dying');
        if (entry.counted === COUNTED.crash) subscription.suspected = true;
        switch (entry.how) {
          case 'ack':
            if (state !== 'leased') fail(`though it is ${state}`);
            subscription.settle(waiting, now);
            break;
          case 'gone':
            if (entry.reason === 'expired' && message.expires > now) fail('before it expires');
            if (entry.reason !== 'expired' && state === 'leased') fail('while somebody has it');
            subscription.settle(waiting, now);
            break;
          case 'buried':
            this.#buried(message, subscription, fail);
            subscription.settle(waiting, now);
            break;
          case 'extended':
            if (state !== 'leased') fail(`though it is ${state}`);
            break;
          case 'delayed':
            if (entry.due <= now) fail('and is due');
            subscription.setState(waiting, 'delayed');
            break;
          default:
            subscription.setState(waiting, entry.how);
        }
      }
    }
  }

  /**
   * Stored elsewhere in the same batch, before it goes here. Only what is gone for everybody may go without, and what
   * its policy drops because no binding takes it.
   */
  #buried(message: Message, { topic: source, policy }: AuditedSubscription, fail: (problem: string) => void): void {
    const stored = this.#batch.some(
      (entry) =>
        entry.type === 'publish' &&
        entry.history !== undefined &&
        // By a router a message may be in two queues, and die in both at once: that of the other is another one.
        (entry.history.topic === source.name || this.#leadsBack(entry, entry.history.topic)) &&
        (entry.body?.blob ?? textOf(readRecord(asBuffer(entry.records), 0).body)) === message.text,
    );
    const { deadLetter } = policy;
    const drops =
      typeof deadLetter === 'object' &&
      deadLetter?.unrouted === 'drop' &&
      !this.#routers.takes(deadLetter.router, deadLetter.key ?? message.key ?? '');
    if (drops && stored) fail('and is stored, though nothing takes it');
    if (!drops && !stored && source.messages.has(AuditedTopic.at(message.partition, message.offset)))
      fail('and is stored nowhere');
  }

  /** A dead letter that is redriven: stored where it died. */
  #leadsBack({ targets }: PublishEntry, topic: string): boolean {
    return targets.some(({ topicId }) => this.topics.get(topicId)?.name === topic);
  }

  // ---- Everything else --------------------------------------------------------------------------------------------

  #other(entry: OtherEntry): void {
    switch (entry.type) {
      case 'topic':
        this.topics.set(entry.topicId, new AuditedTopic(entry));
        return;
      case 'topicGone':
        this.topics.delete(entry.topicId);
        return;
      case 'subscription': {
        const topic = this.topics.get(entry.topicId);
        if (topic === undefined) return;
        const subscription = new AuditedSubscription(topic, entry.subscriptionId, entry.name, entry.policy);
        topic.subscriptions.set(subscription.id, subscription);
        subscription.seek(entry.start);
        return;
      }
      case 'seek':
        this.topics.get(entry.topicId)?.subscriptions.get(entry.subscriptionId)?.seek(entry.start);
        return;
      case 'restored':
        this.#restored(entry);
        return;
      case 'snapshot': {
        const topic = this.topics.get(entry.topicId);
        const subscription = topic?.subscriptions.get(entry.subscriptionId);
        if (topic !== undefined && subscription !== undefined)
          topic.snapshots.set(entry.name, new AuditedSnapshot(subscription));
        return;
      }
      case 'snapshotGone':
        this.topics.get(entry.topicId)?.snapshots.delete(entry.name);
        return;
      case 'paused': {
        const subscription = this.topics.get(entry.topicId)?.subscriptions.get(entry.subscriptionId);
        if (subscription !== undefined) subscription.paused = entry.paused;
        return;
      }
      case 'router':
      case 'routerGone':
      case 'bind':
      case 'unbind':
        this.#routers.note(entry);
        return;
      case 'forgotten':
        this.#forgotten(entry);
        return;
      case 'schedule':
        this.#schedule(entry);
        return;
      case 'trim':
        this.#trim(entry);
        return;
      case 'compacted':
        this.#compacted(entry);
        return;
      case 'producer':
      case 'producerGone':
      case 'begun':
      case 'enlisted':
      case 'ended':
        this.transactions.note(entry, this.#batch);
        return;
      default:
    }
  }

  /** Settled messages stay visible for as long as their subscription says. */
  #forgotten({ topicId, subscriptionId, before }: Extract<OtherEntry, { type: 'forgotten' }>): void {
    const subscription = this.topics.get(topicId)?.subscriptions.get(subscriptionId);
    if (subscription === undefined) return;
    const { name, kept, keepMs } = subscription;
    const now = this.#clock.now();
    for (const { message, since } of kept.values())
      if (since <= before && since + keepMs > now)
        this.#fail(`${name} forgets ${message.text}, settled ${now - since} ms ago`);
  }

  #restored({ topicId, subscriptionId, snapshot: name }: Extract<OtherEntry, { type: 'restored' }>): void {
    const topic = this.topics.get(topicId);
    const snapshot = topic?.snapshots.get(name);
    if (topic === undefined || snapshot === undefined) return this.#fail(`there is no snapshot ${name} to go back to`);
    topic.subscriptions.get(subscriptionId)?.restore(snapshot);
  }

  /** It fires when it is due, once, with its message in the same batch. */
  #schedule(entry: Extract<OtherEntry, { type: 'schedule' }>): void {
    const before = this.#schedules.get(entry.name);
    this.#schedules.set(entry.name, entry);
    const now = entry.lastAt;
    if (before === undefined || now === before.lastAt || now === null) return;
    if (entry.nextAt !== null && entry.nextAt <= now)
      this.#fail(`${entry.name} is due at ${entry.nextAt}, in the past`);
    if (before.nextAt === null || before.nextAt > now) this.#fail(`${entry.name} fires before ${before.nextAt}`);
    const sent = this.#batch.at(-2);
    if (!this.roomy()) return;
    if (sent?.type !== 'publish' || !asBuffer(sent.records).equals(asBuffer(entry.record)))
      this.#fail(`${entry.name} fires and sends nothing`);
  }

  /** When all is at rest and time stands still, nothing that is due has been left; what found no room tries it again. */
  checkSchedules(): void {
    if (!this.roomy()) return;
    for (const { name, nextAt } of this.#schedules.values())
      if (nextAt !== null && nextAt + ROOM_RETRY_MS <= this.#clock.now())
        this.#fail(`${name} was due at ${nextAt} and is not sent`);
  }

  #trim({ topicId, partition, start }: Extract<OtherEntry, { type: 'trim' }>): void {
    const topic = this.topics.get(topicId);
    if (topic === undefined) return;
    const { ageMs, bytes } = topic.policy.retain;
    for (const message of topic.messages.values()) {
      if (message.partition !== partition || message.offset >= start) continue;
      const age = this.#clock.now() - message.publishedAt;
      if (bytes === null && age < (ageMs ?? Infinity)) this.#fail(`${topic.name} drops ${message.text}, ${age} ms old`);
      topic.drop(message);
    }
  }

  /**
   * Nothing goes but what a newer message of the same key supersedes, when that is old enough; and a message without a body,
   * which says that its key is gone, a good while after the others of its key.
   */
  #compacted({ topicId, partition, ranges }: Extract<OtherEntry, { type: 'compacted' }>): void {
    const topic = this.topics.get(topicId);
    if (topic === undefined) return;
    const { compactLagMs = 0, deleteRetentionMs = DELETE_RETENTION_MS } = topic.policy.retain;
    const now = this.#clock.now();
    const newest = new Map<string, number>();
    for (const { key, partition: where, offset, transaction, publishedAt } of topic.messages.values())
      if (key !== undefined && where === partition && transaction === undefined && now - publishedAt >= compactLagMs)
        newest.set(key, Math.max(newest.get(key) ?? 0, offset));
    for (const [from, count] of ranges) {
      for (let offset = from; offset < from + count; offset++) {
        const message = topic.messages.get(AuditedTopic.at(partition, offset));
        if (message === undefined) continue;
        const { key = '', text, publishedAt } = message;
        const isOver = text === '' && now - Math.max(publishedAt, topic.clearedAt.get(key) ?? 0) >= deleteRetentionMs;
        if (!(offset < (newest.get(key) ?? -1)) && !isOver)
          this.#fail(`${topic.name} loses ${text}, the newest of ${message.key}, to compaction`);
        topic.clearedAt.set(key, now);
        topic.drop(message);
      }
    }
  }
}
