import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { ManualClock } from '../../src/core/clock.ts';
import type { SubscriptionPolicy, TopicPolicy } from '../../src/core/policy.ts';
import { SeededRandom } from '../../src/core/random.ts';
import {
  asBuffer,
  type Envelope,
  FORMAT_NATIVE,
  readRecord,
  RecordBatchWriter,
  recordEnd,
} from '../../src/core/records.ts';
import type { LeaseRange, PublishRequest, Session } from '../../src/core/session.ts';
import { Broker } from '../../src/engine/broker.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { advance } from '../engine/advance.ts';
import type { Rules } from './model.ts';

const RETRY = { type: 'fixed', minMs: 1000, maxMs: 1000, jitter: false } as const;

interface Declared {
  readonly topic: string;
  readonly kind: 'queue' | 'topic';
  readonly policy: Partial<TopicPolicy>;
  readonly subscription: Partial<SubscriptionPolicy>;
}

/** By subscription. `events` has two subscriptions, the others are queues. */
export const SUBSCRIPTIONS: ReadonlyMap<string, Declared> = new Map<string, Declared>([
  [
    'plain',
    { topic: 'plain', kind: 'queue', policy: {}, subscription: { leaseMs: 5000, maxAttempts: 3, backoff: RETRY } },
  ],
  [
    'ranked',
    {
      topic: 'ranked',
      kind: 'queue',
      policy: {},
      subscription: { leaseMs: 5000, maxAttempts: 2, backoff: RETRY, priorities: 3 },
    },
  ],
  [
    'keyed',
    {
      topic: 'keyed',
      kind: 'queue',
      policy: {},
      subscription: { leaseMs: 5000, maxAttempts: 3, backoff: RETRY, order: 'key' },
    },
  ],
  ...(['strict', 'fair'] as const).map((order): [string, Declared] => [
    order,
    {
      topic: order,
      kind: 'queue',
      policy: {},
      subscription: { leaseMs: 5000, maxAttempts: 3, backoff: RETRY, order },
    },
  ]),
  [
    'all',
    { topic: 'events', kind: 'topic', policy: {}, subscription: { leaseMs: 5000, maxAttempts: 3, backoff: RETRY } },
  ],
  [
    'some',
    {
      topic: 'events',
      kind: 'topic',
      policy: {},
      subscription: { leaseMs: 5000, maxAttempts: 3, backoff: RETRY, filter: { $key: ['a'] } },
    },
  ],
]);

export function rulesOf(): Map<string, Rules> {
  return new Map(
    [...SUBSCRIPTIONS].map(([name, { subscription }]) => [
      name,
      { order: subscription.order ?? 'fifo', leaseMs: 5000, maxAttempts: subscription.maxAttempts ?? 0, retryMs: 1000 },
    ]),
  );
}

/** Which subscriptions get a message of this topic. */
export function receiversOf(topic: string, key: string | undefined): string[] {
  return [...SUBSCRIPTIONS].flatMap(([name, own]) =>
    own.topic === topic && (name !== 'some' || key === 'a') ? [name] : [],
  );
}

export interface Delivery extends LeaseRange {
  readonly text: string;
  readonly attempt: number;
  readonly firstAt: number;
}

/** The real broker, and the little that the commands need of it. */
export class System {
  readonly clock = new ManualClock();
  readonly random = new SeededRandom(1);
  disk = new MemoryDisk();
  /** By delivery number and text. */
  readonly hands = new Map<string, Delivery>();
  #broker: Broker | undefined;
  #session: Session | undefined;

  static async open(): Promise<System> {
    const system = new System();
    await system.#start();
    for (const [name, { topic, kind, policy, subscription }] of SUBSCRIPTIONS) {
      const { session } = system;
      if (kind === 'queue') await session.request('declareTopic', { name: topic, kind, policy, subscription });
      else {
        await session.request('declareTopic', { name: topic, kind, policy });
        await session.request('declareSubscription', { topic, subscription: name, policy: subscription });
      }
    }
    return system;
  }

  async #start(): Promise<void> {
    this.#broker = await Broker.open({
      journal: new FileJournal(this.disk, {
        segmentBytes: 64 << 10,
        segments: 6,
        maxBatchBytes: 24 << 10,
        random: this.random,
      }),
      blobs: await FileBlobs.open(this.disk),
      clock: this.clock,
      random: this.random,
      defer: queueMicrotask,
    });
    this.#session = this.#broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  }

  get broker(): Broker {
    if (this.#broker === undefined) throw new Error('not open');
    return this.#broker;
  }

  get session(): Session {
    if (this.#session === undefined) throw new Error('not open');
    return this.#session;
  }

  async restart(how: 'close' | 'kill' | 'cut' | 'checkpoint'): Promise<void> {
    if (how === 'checkpoint') return this.broker.checkpoint();
    await this.broker.settled();
    if (how === 'close') await this.broker.close();
    this.disk = how === 'cut' ? this.disk.crash(this.random) : this.disk.clone();
    await this.#start();
  }

  advance(ms: number): Promise<void> {
    return advance(this.broker, this.clock, ms);
  }

  async receive(name: string, count: number): Promise<Delivery[]> {
    const got: Delivery[] = [];
    const ref = { topic: SUBSCRIPTIONS.get(name)?.topic ?? name, subscription: name };
    const consumer = await this.session.consume(
      { ...ref, lease: 'timed' },
      {
        deliver: (runs) => {
          for (const { partition, offset, count: of, token, attempt, firstDeliveredAt, records } of runs) {
            const firstAt = firstDeliveredAt ?? this.clock.now();
            const bytes = asBuffer(records);
            for (let i = 0, at = 0; i < of; i++, at = recordEnd(bytes, at)) {
              const text = asBuffer(readRecord(bytes, at).body).toString();
              got.push({ text, attempt, firstAt, partition, offset: offset + i, count: 1, token });
            }
          }
        },
        ended: () => {},
      },
    );
    consumer.credit(count);
    await this.broker.settled();
    // What lies in the commit log is read back after a restart: that takes some turns.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    await consumer.close();
    return got;
  }

  /** Old messages that are looked through for a subscription have all been offered. */
  async filled(topic: string): Promise<void> {
    const { subscriptions } = this.broker.state.topicNamed('default', topic) ?? {};
    const isFilling = (): boolean =>
      [...(subscriptions?.values() ?? [])].some(({ backlogs }) => backlogs.some(({ fillFrom }) => fillFrom !== null));
    while (isFilling()) await new Promise((resolve) => setImmediate(resolve));
    await this.broker.settled();
  }

  async counts(
    name: string,
  ): Promise<{ ready: number; delayed: number; leased: number; depth: number; dead: string[] }> {
    const { topic = name, kind } = SUBSCRIPTIONS.get(name) ?? {};
    const stats = await this.session.request('subscriptionStats', { topic, subscription: name });
    const { ready, delayed, leased, depth } = stats;
    const dead = kind === 'queue' ? `${name}.dead` : `${topic}.${name}.dead`;
    const texts: string[] = [];
    if (this.broker.state.topicNamed('default', dead) !== undefined) {
      const { messages } = await this.session.request('peek', { topic: dead, subscription: dead, limit: 1000 });
      texts.push(...messages.map(({ envelope }) => asBuffer(envelope.body).toString()));
    }
    return { ready, delayed, leased, depth, dead: texts.sort() };
  }
}

export function publishOf(
  topic: string,
  messages: readonly ({ text: string } & Omit<Envelope, 'body'>)[],
): PublishRequest {
  const writer = new RecordBatchWriter();
  for (const { text, ...envelope } of messages) writer.append(envelope, text);
  const { bytes, count } = writer.take();
  return { to: { topic }, format: FORMAT_NATIVE, records: bytes, count, atomic: true };
}
