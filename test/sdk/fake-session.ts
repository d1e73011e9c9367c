import type { Clock } from '../../src/core/clock.ts';
import { RailheadError } from '../../src/core/errors.ts';
import { DEFAULT_SUBSCRIPTION, DEFAULT_TOPIC, deadLetterQueue } from '../../src/core/policy.ts';
import type { SubscriptionPolicy, TopicPolicy } from '../../src/core/policy.ts';
import { FORMAT_NATIVE, asBuffer, checkRecords, readRecord, recordEnd } from '../../src/core/records.ts';
import { messageId, parseMessageId } from '../../src/core/session.ts';
import type { ScheduleDefinition } from '../../src/core/schedules.ts';
import type { RouterDefinition, TopicDefinition } from '../../src/core/definitions.ts';
import type {
  ConsumeRequest,
  Consumer,
  DeliverySink,
  MessageHistory,
  OperationName,
  Operations,
  PublishReceipt,
  PublishRequest,
  Session,
  SettleReceipt,
  Settlement,
  StartAt,
  SubscriptionRef,
  Transaction,
} from '../../src/core/session.ts';
import { type FakeConsumer, FakeSubscription, type FakeTopic } from './fake-subscription.ts';

/**
 * A broker of one partition in a few maps, for tests of the SDK: what it sends is decided by its caller. It knows
 * leases, delays, attempts, dead letters and producer sequences, but neither backoff, nor order, nor filters.
 */
export class FakeSession implements Session {
  readonly clock: Clock;
  readonly topics = new Map<string, FakeTopic>();
  readonly routers = new Map<string, RouterDefinition>();
  readonly schedules = new Map<string, ScheduleDefinition>();
  /** Everything that was asked, in order. */
  readonly published: PublishRequest[] = [];
  readonly settled: Settlement[][] = [];
  readonly committed: Transaction[] = [];
  readonly requested: { operation: OperationName; args: unknown }[] = [];
  readonly credits: number[] = [];
  /** Instead of storing: what the next publishes answer. Undefined stores. */
  intercept: ((request: PublishRequest) => Promise<PublishReceipt> | undefined) | undefined;
  /** What the next requests answer instead. Undefined answers. */
  refuse: ((operation: OperationName) => RailheadError | undefined) | undefined;
  /** Native unless a test says otherwise. */
  format = FORMAT_NATIVE;
  closed = false;
  #token = 0;
  #consumerId = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  async publish(request: PublishRequest): Promise<PublishReceipt> {
    this.published.push(request);
    const answer = this.intercept?.(request);
    if (answer !== undefined) return answer;
    return this.store(request);
  }

  /** Stores what came, once for each producer sequence. */
  store(request: PublishRequest): PublishReceipt {
    if ('router' in request.to) return this.#route(request, request.to.router, request.to.key);
    const topic = this.topic(request.to.topic);
    const batch = asBuffer(request.records);
    checkRecords(batch, request.count);
    const { producer } = request;
    const known = producer && topic.sequences.get(`${producer.id} ${producer.sequence}`);
    if (known !== undefined) return { topicId: topic.definition.topicId, runs: [{ ...known, duplicate: true }] };
    const run = { topicId: topic.definition.topicId, partition: 0, offset: topic.log.length, count: request.count };
    const runs: PublishReceipt['runs'] = [];
    for (let at = 0; at < batch.byteLength; at = recordEnd(batch, at)) {
      const { dedupeId } = readRecord(batch, at);
      const first = dedupeId === undefined ? undefined : topic.dedupe.get(dedupeId);
      if (first === undefined) {
        const offset = topic.log.length;
        topic.log.push({ record: batch.subarray(at, recordEnd(batch, at)), publishedAt: this.clock.now() });
        if (dedupeId !== undefined) topic.dedupe.set(dedupeId, offset);
        for (const subscription of topic.subscriptions.values()) subscription.add(offset);
        runs.push({ ...run, offset, count: 1 });
      } else runs.push({ ...run, offset: first, count: 1, duplicate: true });
    }
    if (producer) topic.sequences.set(`${producer.id} ${producer.sequence}`, run);
    return { topicId: run.topicId, runs: runs.some((each) => each.duplicate) ? runs : [run] };
  }

  body(): Promise<never> {
    throw new Error('This fake takes whole messages only.');
  }

  async consume(request: ConsumeRequest, sink: DeliverySink): Promise<Consumer> {
    const subscription = this.subscription(request);
    const consumer: FakeConsumer = {
      request,
      sink,
      credit: 0,
      leaseMs: request.leaseMs ?? subscription.policy.leaseMs,
    };
    subscription.consumers.add(consumer);
    return {
      id: ++this.#consumerId,
      credit: (messages) => {
        this.credits.push(messages);
        consumer.credit += messages;
        subscription.pumpSoon();
      },
      close: async (options) => {
        subscription.consumers.delete(consumer);
        if (options?.release) subscription.releaseOf(consumer);
      },
    };
  }

  async settle(settlements: Settlement[]): Promise<SettleReceipt> {
    this.settled.push(settlements);
    const lost: SettleReceipt['lost'] = [];
    for (const settlement of settlements) {
      const subscription = this.subscription(settlement);
      for (const range of settlement.ranges) {
        for (let offset = range.offset; offset < range.offset + range.count; offset++) {
          if (!subscription.settle(offset, range.token, settlement)) {
            lost.push({ topic: settlement.topic, subscription: settlement.subscription, ...range, offset, count: 1 });
          }
        }
      }
    }
    return { lost };
  }

  async commit(transaction: Transaction): Promise<PublishReceipt[]> {
    for (const settlement of transaction.settlements) {
      const subscription = this.subscription(settlement);
      for (const range of settlement.ranges) {
        if (subscription.messages.get(range.offset)?.token !== range.token)
          throw new RailheadError('LEASE_LOST', 'The lease is over.');
      }
    }
    const stored: PublishReceipt[] = [];
    for (const request of transaction.publishes) stored.push(await (this.intercept?.(request) ?? this.store(request)));
    this.committed.push(transaction);
    await this.settle(transaction.settlements);
    this.settled.pop();
    return stored;
  }

  async request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    this.requested.push({ operation, args });
    const refusal = this.refuse?.(operation);
    if (refusal !== undefined) throw refusal;
    const answer = this.#operations[operation];
    if (answer === undefined) throw new RailheadError('NOT_SUPPORTED', `The fake does not know ${operation}.`);
    return answer(args);
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  topic(name: string): FakeTopic {
    const topic = this.topics.get(name);
    if (topic === undefined) throw new RailheadError('NOT_FOUND', `There is no topic ${name}.`);
    return topic;
  }

  subscription(ref: SubscriptionRef): FakeSubscription {
    const subscription = this.topic(ref.topic).subscriptions.get(ref.subscription);
    if (subscription === undefined)
      throw new RailheadError('NOT_FOUND', `There is no subscription ${ref.subscription}.`);
    return subscription;
  }

  nextToken(): number {
    return ++this.#token;
  }

  declare(
    name: string,
    kind: 'queue' | 'topic',
    policy: Partial<TopicPolicy> = {},
    subscription: Partial<SubscriptionPolicy> = {},
  ): FakeTopic {
    let topic = this.topics.get(name);
    if (topic === undefined) {
      const definition: TopicDefinition = {
        name,
        kind,
        topicId: this.topics.size + 1,
        policy: { ...DEFAULT_TOPIC, ...policy },
        createdAt: this.clock.now(),
      };
      if (kind === 'queue') definition.subscription = { ...DEFAULT_SUBSCRIPTION, ...subscription };
      topic = { definition, log: [], subscriptions: new Map(), dedupe: new Map(), sequences: new Map() };
      this.topics.set(name, topic);
      if (definition.subscription)
        topic.subscriptions.set(
          name,
          new FakeSubscription(this, topic, { topic: name, subscription: name }, definition.subscription),
        );
    }
    return topic;
  }

  /** Stores a dead letter, with its story. */
  bury(
    from: FakeSubscription,
    offset: number,
    reason: MessageHistory['reason'],
    attempts: number,
    error?: string,
  ): void {
    const { kind } = from.topic.definition;
    const name = deadLetterQueue(from.policy.deadLetter, kind, from.ref.topic, from.ref.subscription);
    const dead = this.declare(name, 'queue', {}, { maxAttempts: 0, deadLetter: name });
    const entry = from.topic.log[offset];
    if (entry === undefined) return;
    const history: MessageHistory = {
      reason,
      topic: from.ref.topic,
      subscription: from.ref.subscription,
      id: messageId(from.topic.definition.topicId, 0, offset),
      attempts,
      crashes: 0,
      publishedAt: entry.publishedAt,
      deadAt: this.clock.now(),
      ...(error !== undefined && { error }),
    };
    dead.log.push({ ...entry, history });
    dead.subscriptions.get(name)?.add(dead.log.length - 1);
  }

  #route(request: PublishRequest, router: string, key: string): PublishReceipt {
    const runs: PublishReceipt['runs'] = [];
    for (const binding of this.routers.get(router)?.bindings ?? []) {
      if (binding.key !== key || !('topic' in binding.to)) continue;
      runs.push(...this.store({ ...request, to: { topic: binding.to.topic } }).runs);
    }
    return { topicId: 0, runs };
  }

  readonly #operations: Answers = {
    declareTopic: ({ name, kind, policy, subscription, ifDifferent }) => {
      const created = !this.topics.has(name);
      const { definition } = this.declare(name, kind, policy, subscription);
      if (definition.kind !== kind) throw new RailheadError('POLICY_MISMATCH', `${name} is a ${definition.kind}.`);
      const different = Object.entries(subscription ?? {}).find(
        ([option, value]) =>
          JSON.stringify(Object.entries(definition.subscription ?? {}).find(([known]) => known === option)?.[1]) !==
          JSON.stringify(value),
      );
      if (different !== undefined && ifDifferent === 'error')
        throw new RailheadError('POLICY_MISMATCH', `${different[0]} differs.`);
      if (different !== undefined && ifDifferent === 'update')
        definition.subscription = { ...DEFAULT_SUBSCRIPTION, ...definition.subscription, ...subscription };
      return { created, updated: false, definition };
    },
    describeTopic: ({ name }) => ({ ...this.topic(name).definition, subscriptions: [] }),
    declareSubscription: ({ topic: name, subscription, policy, from }) => {
      const topic = this.topic(name);
      let existing = topic.subscriptions.get(subscription);
      const created = existing === undefined;
      if (existing === undefined) {
        existing = new FakeSubscription(
          this,
          topic,
          { topic: name, subscription },
          { ...DEFAULT_SUBSCRIPTION, ...policy },
        );
        topic.subscriptions.set(subscription, existing);
        for (let offset = offsetOf(topic, from ?? 'end'); offset < topic.log.length; offset++) existing.add(offset);
      }
      return {
        created,
        updated: false,
        definition: { topic: name, subscription, policy: existing.policy, paused: existing.paused, createdAt: 0 },
      };
    },
    declareRouter: ({ name, type, alternate }) => {
      const created = !this.routers.has(name);
      if (created) this.routers.set(name, { name, type, alternate: alternate ?? null, bindings: [] });
      return { created, updated: false };
    },
    describeRouter: ({ name }) => {
      const router = this.routers.get(name);
      if (router === undefined) throw new RailheadError('NOT_FOUND', `There is no router ${name}.`);
      return router;
    },
    traceRoute: ({ router }) => ({ topics: [], missing: [], routers: [router] }),
    bind: ({ router, binding }) => ({
      created: (this.routers.get(router)?.bindings.push(binding) ?? 0) > 0,
    }),
    unbind: ({ router, binding }) => {
      const known = this.routers.get(router);
      const index = known?.bindings.findIndex((other) => JSON.stringify(other) === JSON.stringify(binding)) ?? -1;
      if (index >= 0) known?.bindings.splice(index, 1);
      return { removed: index >= 0 };
    },
    listConsumers: () => ({ consumers: [] }),
    subscriptionStats: (ref) => this.subscription(ref).stats(),
    topicStats: ({ name }) => {
      const topic = this.topic(name);
      const subscriptions = [...topic.subscriptions.values()].map((subscription) => subscription.stats());
      return {
        name,
        kind: topic.definition.kind,
        messages: topic.log.length,
        bytes: 0,
        partitions: [{ start: 0, end: topic.log.length, stableEnd: topic.log.length, bytes: 0 }],
        published: topic.log.length,
        duplicates: 0,
        refused: 0,
        maxMessages: null,
        maxBytes: null,
        subscriptions,
      };
    },
    peek: (args) => ({ messages: this.subscription(args).peek(args) }),
    purge: (ref) => ({ purged: this.subscription(ref).drop(() => true) }),
    pause: (ref) => ({ paused: (this.subscription(ref).paused = true) }),
    resume: (ref) => {
      const subscription = this.subscription(ref);
      subscription.paused = false;
      subscription.pumpSoon();
      return { paused: false };
    },
    cancel: ({ id, ...ref }) => ({
      cancelled: this.subscription(ref).drop((_, offset) => offset === parseMessageId(id)?.offset) === 1,
    }),
    reschedule: ({ id, at, delayMs, ...ref }) => {
      const dueAt = at ?? this.clock.now() + (delayMs ?? 0);
      this.subscription(ref).delay(parseMessageId(id)?.offset ?? -1, dueAt);
      return { dueAt };
    },
    redrive: ({ ids, edits, limit = Infinity, to, ...ref }) => {
      const dead = this.subscription(ref);
      let moved = 0;
      for (const message of dead.peek({ limit: 1e6 })) {
        if (moved >= limit || (ids !== undefined && !ids.includes(message.id))) continue;
        const offset = parseMessageId(message.id)?.offset ?? -1;
        const record = edits?.find((edit) => edit.id === message.id)?.record ?? dead.topic.log[offset]?.record;
        if (record === undefined) continue;
        dead.messages.delete(offset);
        this.store({
          to: { topic: to ?? message.history?.topic ?? '' },
          format: FORMAT_NATIVE,
          records: record,
          count: 1,
        });
        moved++;
      }
      return { id: 'r1', state: 'running', moved, matched: moved };
    },
    redriveProgress: ({ cancel }) => ({
      id: 'r1',
      state: cancel ? 'cancelled' : 'done',
      moved: 1,
      matched: 1,
    }),
    drop: ({ ids, limit = Infinity, ...ref }) => {
      let left = limit;
      const id = (offset: number): string => messageId(this.topic(ref.topic).definition.topicId, 0, offset);
      return {
        dropped: this.subscription(ref).drop(
          (_, offset) => (ids === undefined || ids.includes(id(offset))) && left-- > 0,
        ),
      };
    },
    seek: ({ to, ...ref }) => {
      const subscription = this.subscription(ref);
      if (typeof to === 'object' && 'snapshot' in to) throw new RailheadError('NOT_SUPPORTED', 'No snapshots here.');
      subscription.messages.clear();
      for (let offset = offsetOf(subscription.topic, to); offset < subscription.topic.log.length; offset++)
        subscription.add(offset);
      return { ready: subscription.messages.size };
    },
    read: ({ topic: name, from, maxMessages = 2, waitMs = 0 }) => {
      const topic = this.topic(name);
      const offset = offsetOf(topic, from);
      const answer = (): Operations['read']['result'] => {
        const entries = topic.log.slice(offset, offset + maxMessages);
        const runs = entries.map((entry, i) => ({
          topicId: topic.definition.topicId,
          partition: 0,
          offset: offset + i,
          count: 1,
          token: 0,
          attempt: 1,
          publishedAt: entry.publishedAt,
          deadline: 0,
          format: this.format,
          records: entry.record,
        }));
        const end = topic.log.length;
        return { runs, next: offset + entries.length, start: 0, end, stableEnd: end };
      };
      if (waitMs === 0 || offset < topic.log.length) return answer();
      return new Promise((resolve) => {
        const poll = setInterval(() => {
          if (offset >= topic.log.length) return;
          clearInterval(poll);
          resolve(answer());
        }, 1);
        poll.unref();
      });
    },
    putSchedule: ({ timezone = 'UTC', ...schedule }) => {
      const nextAt = this.clock.now() + 60_000;
      this.schedules.set(schedule.name, { ...schedule, timezone, nextAt, lastAt: null });
      return { created: true, nextAt };
    },
    deleteSchedule: ({ name }) => ({ deleted: this.schedules.delete(name) }),
    listSchedules: () => ({ schedules: [...this.schedules.values()] }),
  };
}

/** What the fake knows, by operation. */
type Answers = {
  readonly [O in OperationName]?: (
    args: Operations[O]['args'],
  ) => Operations[O]['result'] | Promise<Operations[O]['result']>;
};

function offsetOf(topic: FakeTopic, at: StartAt): number {
  if (at === 'start') return 0;
  if (at === 'end') return topic.log.length;
  if ('offset' in at) return at.offset;
  const index = topic.log.findIndex((entry) => entry.publishedAt >= at.time);
  return index < 0 ? topic.log.length : index;
}
