import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from './clock.ts';
import { drainSeconds, type Load, LoadMeter, suggestConsumers } from './scaling.ts';
import type { SubscriptionStats, TopicStats } from './stats.ts';

const GOAL = { drainMs: 60_000, min: 0, max: 20 };
const IDLE: Load = {
  backlog: 0,
  delayed: 0,
  leased: 0,
  consumers: 0,
  arrivalRate: 0,
  serviceRate: 0,
  consumerRate: null,
};

/** A queue whose counts are set by hand, looked at every ten seconds. */
class Queue {
  readonly clock = new ManualClock();
  readonly meter = new LoadMeter(this.clock);
  published = 0;
  acked = 0;
  consumers = 0;
  readonly kind: 'queue' | 'topic';

  constructor(kind: 'queue' | 'topic' = 'queue') {
    this.kind = kind;
  }

  look(): Load {
    const ready = this.published - this.acked;
    const stats: SubscriptionStats = {
      topic: 'q',
      subscription: 'q',
      ready,
      delayed: 0,
      leased: 0,
      depth: ready,
      consumers: this.consumers,
      paused: false,
      deadLetterQueue: 'q.dead',
      oldestAt: null,
      delivered: 0,
      redelivered: 0,
      acked: this.acked,
      released: 0,
      deadLettered: 0,
      expired: 0,
    };
    const topic: TopicStats = {
      name: 'q',
      kind: this.kind,
      messages: ready,
      bytes: 0,
      partitions: [],
      published: this.published,
      duplicates: 0,
      refused: 0,
      maxMessages: null,
      maxBytes: null,
      subscriptions: [stats],
    };
    const load = this.meter.look('q', topic, stats);
    this.clock.advance(10_000);
    return load;
  }
}

test('rates are there from the second look on', () => {
  const queue = new Queue();
  assert.deepEqual([queue.look().arrivalRate, queue.look().arrivalRate], [null, 0]);
  queue.published += 500;
  queue.acked += 200;
  const load = queue.look();
  assert.deepEqual([load.arrivalRate, load.serviceRate, load.backlog], [50, 20, 300]);
});

test('of a topic only what reached the subscription arrives', () => {
  const queue = new Queue('topic');
  queue.look();
  queue.published += 100;
  queue.acked += 40;
  const { arrivalRate } = queue.look();
  assert.equal(arrivalRate, 10);
});

test('what one consumer can do is learnt while something waits, and remembered when nothing does', () => {
  const queue = new Queue();
  queue.consumers = 2;
  queue.published = 10_000;
  queue.look();
  queue.acked += 400;
  assert.equal(queue.look().consumerRate, 20);
  queue.acked = queue.published;
  queue.look();
  queue.published += 10;
  queue.acked += 10;
  assert.equal(queue.look().consumerRate, 20);
});

test('as many are suggested as do what arrives and in time what waits', () => {
  // 40 a second arrive and 600 are to be gone in a minute: 50 a second, by consumers that do 8 and rest a fifth of the time.
  assert.equal(suggestConsumers({ ...IDLE, backlog: 600, arrivalRate: 40, consumerRate: 10, consumers: 3 }, GOAL), 7);
});

test('before anything was seen it is one more as long as something waits, and never more than the most', () => {
  assert.equal(suggestConsumers({ ...IDLE, backlog: 5 }, GOAL), 1);
  assert.equal(suggestConsumers({ ...IDLE, backlog: 5, consumers: 3 }, GOAL), 4);
  assert.equal(suggestConsumers({ ...IDLE, backlog: 5, consumers: 20 }, GOAL), 20);
});

test('an idle queue needs none, or as few as are allowed', () => {
  assert.equal(suggestConsumers({ ...IDLE, consumers: 5 }, GOAL), 0);
  assert.equal(suggestConsumers({ ...IDLE, consumers: 5 }, { ...GOAL, min: 1 }), 1);
});

test('one that works on the last message is kept', () => {
  assert.equal(suggestConsumers({ ...IDLE, leased: 1, consumers: 5 }, GOAL), 1);
});

test('a backlog that grows is never drained', () => {
  assert.equal(drainSeconds({ ...IDLE, backlog: 100, arrivalRate: 10, serviceRate: 10 }), null);
  assert.equal(drainSeconds({ ...IDLE, backlog: 100, arrivalRate: 10, serviceRate: 20 }), 10);
  assert.equal(drainSeconds(IDLE), 0);
});
