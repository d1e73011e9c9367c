import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SubscriptionPolicy } from '../core/policy.ts';
import type { LeaseRange } from '../core/session.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { type Message, textsOf } from '../../test/engine/records.ts';
import type { ShardSession } from './session.ts';

const COMPACT = { untilSettled: false, ageMs: null, bytes: null, compact: true };
const KEEP = { ...COMPACT, compact: false };
/** So many new messages make a compaction due. */
const MANY = 1000;

class Bench extends EngineBench {
  readonly failures: readonly Error[];

  constructor(failures: Error[]) {
    super({ onFailure: (error) => failures.push(error) });
    this.failures = failures;
  }

  static open(): Promise<Bench> {
    return new Bench([]).start();
  }

  /** A consumer of `t` that settles nothing: what it gets, now and later. */
  async consume(
    subscription: string,
    credit: number,
  ): Promise<{ session: ShardSession; texts: string[]; leases: LeaseRange[] }> {
    const session = this.connect();
    const texts: string[] = [];
    const leases: LeaseRange[] = [];
    const consumer = await session.consume(
      { topic: 't', subscription, lease: 'session' },
      {
        deliver: (runs) => {
          leases.push(...runs);
          texts.push(...runs.flatMap(textsOf));
        },
        ended: () => {},
      },
    );
    consumer.credit(credit);
    await this.quiet();
    return { session, texts, leases };
  }

  async topic(subscription: Partial<SubscriptionPolicy>): Promise<void> {
    await this.connect().request('declareTopic', { name: 't', kind: 'topic', policy: { retain: COMPACT } });
    await this.connect().request('declareSubscription', { topic: 't', subscription: 's', policy: subscription });
  }
}

const many: readonly Message[] = Array.from({ length: MANY }, (_, i) => ({ text: `${i}`, key: 'k' }));

for (const order of ['key', 'strict'] as const) {
  test(`order ${order}: compaction leaves what a consumer has, and what comes after it is the newest`, async () => {
    const bench = await Bench.open();
    await bench.topic({ order });
    await bench.send('t', { text: 'first', key: 'k' });
    const { texts, session, leases } = await bench.consume('s', 10);
    await bench.send('t', ...many);
    await bench.quiet();
    assert.deepEqual(texts, ['first']);
    const { lost } = await session.settle([{ topic: 't', subscription: 's', action: 'ack', ranges: leases }]);
    assert.deepEqual(lost, []);
    await bench.quiet();
    assert.deepEqual(texts, ['first', `${MANY - 1}`]);
  });

  test(`order ${order}: when compaction takes what waits for its retry, the next one is delivered`, async () => {
    const bench = await Bench.open();
    await bench.topic({ order });
    await bench.send('t', { text: 'first', key: 'k' });
    const { texts, session, leases } = await bench.consume('s', 10);
    const release = { action: 'release', countAttempt: true, delayMs: 60_000, ranges: leases } as const;
    await session.settle([{ topic: 't', subscription: 's', ...release }]);
    await bench.send('t', ...many);
    await bench.quiet();
    assert.deepEqual(texts, ['first', `${MANY - 1}`]);
  });
}

test('a topic that is made compacted may hold messages without a key: a new subscription gets them too', async () => {
  const bench = await Bench.open();
  const session = bench.connect();
  await session.request('declareTopic', { name: 't', kind: 'topic', policy: { retain: KEEP } });
  await bench.send('t', 'of no key');
  await session.request('declareTopic', {
    name: 't',
    kind: 'topic',
    policy: { retain: COMPACT },
    ifDifferent: 'update',
  });
  const policy = { order: 'key' } as const;
  await session.request('declareSubscription', { topic: 't', subscription: 's', from: 'start', policy });
  const { texts } = await bench.consume('s', 10);
  assert.deepEqual(bench.failures, []);
  assert.deepEqual(texts, ['of no key']);
});

test('a dead letter without a key goes to a compacted topic all the same', async () => {
  const bench = await Bench.open();
  await bench.topic({});
  await bench.connect().request('declareTopic', { name: 'q', kind: 'queue', subscription: { deadLetter: 't' } });
  await bench.send('q', 'bad');
  const session = bench.connect();
  const ref = { topic: 'q', subscription: 'q' };
  const consumer = await session.consume(
    { ...ref, lease: 'session' },
    {
      deliver: ([run]) => {
        const { partition = 0, offset = 0, count = 1, token = 0 } = run ?? {};
        const ranges = [{ partition, offset, count, token }];
        session.settle([{ ...ref, ranges, action: 'reject', reason: 'no' }]).catch(() => {});
      },
      ended: () => {},
    },
  );
  consumer.credit(1);
  await bench.quiet();
  assert.deepEqual(bench.failures, []);
  assert.deepEqual((await bench.consume('s', 1)).texts, ['bad']);
});
