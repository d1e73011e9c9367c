import type { Clock } from '../../src/core/clock.ts';
import { RailheadError } from '../../src/core/errors.ts';
import type { SubscriptionPolicy } from '../../src/core/policy.ts';
import { FORMAT_NATIVE, readRecord } from '../../src/core/records.ts';
import { messageId, parseMessageId } from '../../src/core/session.ts';
import type { TopicDefinition } from '../../src/core/definitions.ts';
import type {
  ConsumeRequest,
  DeliverySink,
  LeaseRange,
  MessageHistory,
  PublishReceipt,
  Settlement,
  SubscriptionRef,
} from '../../src/core/session.ts';
import type { PeekedMessage, SubscriptionStats } from '../../src/core/stats.ts';

export interface FakeTopic {
  definition: TopicDefinition;
  log: { record: Buffer; publishedAt: number; history?: MessageHistory }[];
  subscriptions: Map<string, FakeSubscription>;
  dedupe: Map<string, number>;
  sequences: Map<string, PublishReceipt['runs'][number]>;
}

export interface FakeConsumer {
  request: ConsumeRequest;
  sink: DeliverySink;
  credit: number;
  leaseMs: number;
}

interface FakeMessage {
  attempts: number;
  dueAt: number;
  token: number;
  consumer: FakeConsumer | undefined;
  cancel: (() => void) | undefined;
}

/** What a subscription asks of the broker that it is of. */
interface FakeBroker {
  readonly clock: Clock;
  readonly format: number;
  nextToken(): number;
  bury(
    from: FakeSubscription,
    offset: number,
    reason: MessageHistory['reason'],
    attempts: number,
    error?: string,
  ): void;
}

/** The messages of one subscription, and who has them. */
export class FakeSubscription {
  readonly #broker: FakeBroker;
  readonly topic: FakeTopic;
  readonly ref: SubscriptionRef;
  readonly policy: SubscriptionPolicy;
  readonly messages = new Map<number, FakeMessage>();
  readonly consumers = new Set<FakeConsumer>();
  paused = false;
  #pumping = false;

  constructor(broker: FakeBroker, topic: FakeTopic, ref: SubscriptionRef, policy: SubscriptionPolicy) {
    this.#broker = broker;
    this.topic = topic;
    this.ref = ref;
    this.policy = policy;
  }

  add(offset: number): void {
    const record = this.topic.log[offset]?.record;
    if (record === undefined) return;
    const { delayMs = 0, notBefore = 0 } = readRecord(record, 0);
    const now = this.#broker.clock.now();
    this.messages.set(offset, { attempts: 0, dueAt: 0, token: 0, consumer: undefined, cancel: undefined });
    this.delay(offset, Math.max(now + delayMs, notBefore));
  }

  delay(offset: number, dueAt: number): void {
    const message = this.messages.get(offset);
    if (message === undefined) throw new RailheadError('NOT_FOUND', 'There is no such message.');
    if (message.token !== 0) throw new RailheadError('IN_USE', 'The message is leased.');
    message.cancel?.();
    message.dueAt = dueAt;
    if (dueAt > this.#broker.clock.now()) message.cancel = this.#broker.clock.timer(dueAt, () => this.pumpSoon());
    else this.pumpSoon();
  }

  pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.paused) return;
    for (const [offset, message] of this.messages) {
      if (message.token !== 0 || message.dueAt > this.#broker.clock.now()) continue;
      const consumer = [...this.consumers].find((each) => each.credit > 0);
      const entry = this.topic.log[offset];
      if (consumer === undefined || entry === undefined) return;
      consumer.credit--;
      message.token = this.#broker.nextToken();
      message.consumer = consumer;
      message.attempts++;
      const deadline = this.#lease(offset, message, consumer.leaseMs);
      consumer.sink.deliver([
        {
          topicId: this.topic.definition.topicId,
          partition: 0,
          offset,
          count: 1,
          token: message.token,
          attempt: message.attempts,
          publishedAt: entry.publishedAt,
          deadline,
          format: this.#broker.format,
          records: entry.record,
          ...(entry.history && { history: entry.history }),
        },
      ]);
    }
  }

  #lease(offset: number, message: FakeMessage, leaseMs: number): number {
    const { clock } = this.#broker;
    const deadline = clock.now() + leaseMs;
    message.cancel?.();
    message.cancel = clock.timer(deadline, () => this.lose(offset));
    return deadline;
  }

  /** The lease is over before it was settled. */
  lose(offset: number): void {
    const message = this.messages.get(offset);
    if (message === undefined || message.token === 0) return;
    const range: LeaseRange = { partition: 0, offset, count: 1, token: message.token };
    const { consumer } = message;
    this.#free(message);
    consumer?.sink.lost?.([range]);
    this.pumpSoon();
  }

  releaseOf(consumer: FakeConsumer): void {
    for (const message of this.messages.values()) {
      if (message.consumer === consumer) this.#free(message);
    }
    this.pumpSoon();
  }

  /** The broker ends the consumers. */
  end(reason: string): void {
    for (const consumer of this.consumers) {
      this.consumers.delete(consumer);
      consumer.sink.ended(reason);
    }
  }

  settle(offset: number, token: number, settlement: Settlement): boolean {
    const message = this.messages.get(offset);
    if (message === undefined || message.token !== token) return false;
    switch (settlement.action) {
      case 'ack':
        this.#remove(offset, message);
        break;
      case 'reject':
        this.#broker.bury(this, offset, 'rejected', message.attempts, settlement.reason);
        this.#remove(offset, message);
        break;
      case 'extend':
        this.#lease(offset, message, settlement.leaseMs);
        break;
      case 'release':
      case 'return':
        if (settlement.action === 'return' || !settlement.countAttempt) message.attempts--;
        if (this.policy.maxAttempts > 0 && message.attempts >= this.policy.maxAttempts) {
          this.#broker.bury(
            this,
            offset,
            'attempts',
            message.attempts,
            'error' in settlement ? settlement.error : undefined,
          );
          this.#remove(offset, message);
        } else {
          this.#free(message);
          this.delay(offset, this.#broker.clock.now() + (settlement.delayMs ?? 0));
        }
        break;
    }
    return true;
  }

  peek({ limit = 10, state, after }: { limit?: number; state?: string; after?: string }): PeekedMessage[] {
    const first = after === undefined ? 0 : (parseMessageId(after)?.offset ?? 0) + 1;
    const found: PeekedMessage[] = [];
    for (const [offset, message] of this.messages) {
      const entry = this.topic.log[offset];
      if (entry === undefined || offset < first || found.length >= limit) continue;
      if (state !== undefined && state !== this.#stateOf(message)) continue;
      found.push({
        id: messageId(this.topic.definition.topicId, 0, offset),
        state: this.#stateOf(message),
        publishedAt: entry.publishedAt,
        attempts: message.attempts,
        crashes: 0,
        dueAt: message.dueAt > this.#broker.clock.now() ? message.dueAt : null,
        expiresAt: null,
        envelope: readRecord(entry.record, 0),
        format: FORMAT_NATIVE,
        ...(entry.history && { history: entry.history }),
      });
    }
    return found;
  }

  drop(chosen: (message: FakeMessage, offset: number) => boolean): number {
    let dropped = 0;
    for (const [offset, message] of this.messages) {
      if (!chosen(message, offset)) continue;
      if (message.token !== 0) throw new RailheadError('IN_USE', 'The message is leased.');
      this.#remove(offset, message);
      dropped++;
    }
    return dropped;
  }

  stats(): SubscriptionStats {
    const count = (state: string): number =>
      [...this.messages.values()].filter((message) => this.#stateOf(message) === state).length;
    return {
      ...this.ref,
      ready: count('ready'),
      delayed: count('delayed'),
      leased: count('leased'),
      depth: this.messages.size,
      consumers: this.consumers.size,
      paused: this.paused,
      deadLetterQueue: `${this.ref.subscription}.dead`,
      oldestAt: null,
      delivered: 0,
      redelivered: 0,
      acked: 0,
      released: 0,
      deadLettered: 0,
      expired: 0,
    };
  }

  #stateOf(message: FakeMessage): 'leased' | 'delayed' | 'ready' {
    if (message.token !== 0) return 'leased';
    return message.dueAt > this.#broker.clock.now() ? 'delayed' : 'ready';
  }

  #free(message: FakeMessage): void {
    message.cancel?.();
    message.token = 0;
    message.consumer = undefined;
  }

  #remove(offset: number, message: FakeMessage): void {
    message.cancel?.();
    this.messages.delete(offset);
  }
}
