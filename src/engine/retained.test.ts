import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SubscriptionPolicy } from '../core/policy.ts';
import { EngineBench } from '../../test/engine/bench.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** What is settled together may be kept together a little longer, and is looked at once a minute. */
const SLACK_MS = DAY_MS / 16 + 60_000;
const ref = { topic: 'q', subscription: 'q' };

class Bench extends EngineBench {
  static open(): Promise<Bench> {
    return new Bench({ limits: { coldBlockBytes: 4 << 10 } }, { segmentBytes: 64 << 10, segments: 8 }).start();
  }

  static async withQueue(policy: Partial<SubscriptionPolicy> = { retainSettledMs: DAY_MS }): Promise<Bench> {
    const bench = await Bench.open();
    await bench.session.request('declareTopic', { name: 'q', kind: 'queue', subscription: policy });
    return bench;
  }

  async ack(credit: number): Promise<void> {
    await this.session.settle([{ ...ref, ranges: await this.receive(ref, credit), action: 'ack' }]);
  }

  async settled(): Promise<string[]> {
    await this.quiet();
    return this.peek({ ...ref, state: 'settled', limit: 1000 });
  }

  /** Hour by hour: a week has too many timers. */
  override async advance(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= HOUR_MS) {
      this.clock.advance(Math.min(left, HOUR_MS));
      await this.broker.settled();
    }
  }
}

test('a message is visible for a day after it was settled, however long it waited before', async () => {
  const bench = await Bench.withQueue();
  await bench.send('q', 'waited for a week');
  await bench.advance(7 * DAY_MS);
  await bench.ack(1);
  await bench.advance(DAY_MS - 1);
  assert.deepEqual(await bench.settled(), ['waited for a week']);
  await bench.advance(1 + SLACK_MS);
  assert.deepEqual(await bench.settled(), []);
  const { bytes } = await bench.session.request('topicStats', { name: 'q' });
  assert.equal(bytes, 0);
});

test('each goes in its own time, over restarts from the journal alone and from a checkpoint', async () => {
  const bench = await Bench.withQueue();
  await bench.send('q', 'a', 'b', 'c');
  await bench.ack(1);
  await bench.advance(12 * HOUR_MS);
  await bench.restart('kill');
  await bench.ack(1);
  assert.deepEqual(await bench.settled(), ['a', 'b']);
  await bench.restart('checkpoint');
  await bench.advance(12 * HOUR_MS - 1);
  assert.deepEqual(await bench.settled(), ['a', 'b']);
  await bench.advance(1 + SLACK_MS);
  assert.deepEqual(await bench.settled(), ['b']);
  await bench.restart('kill');
  assert.deepEqual(await bench.settled(), ['b']);
  await bench.advance(12 * HOUR_MS);
  assert.deepEqual(await bench.settled(), []);
  assert.equal((await bench.session.request('subscriptionStats', ref)).ready, 1);
});

test('one that is not settled for long keeps those behind it no longer than they are to be kept', async () => {
  const bench = await Bench.withQueue();
  const pad = '.'.repeat(2000);
  await bench.send('q', 'first');
  const [first] = await bench.receive(ref, 1);
  assert.ok(first !== undefined);
  await bench.session.settle([
    { ...ref, ranges: [first], action: 'release', delayMs: 300 * DAY_MS, countAttempt: false },
  ]);
  for (let i = 0; i < 20; i++) await bench.send('q', `${i} ${pad}`);
  await bench.ack(100);
  assert.equal((await bench.settled()).length, 20);
  await bench.advance(DAY_MS + SLACK_MS);
  for (let i = 0; i < 200; i++) await bench.send('q', `later ${i} ${pad}`);
  assert.equal((await bench.settled()).length, 0, 'what was reclaimed is still there');
});

test('without it, or once it is taken away, a settled message goes at once', async () => {
  const bench = await Bench.withQueue({});
  await bench.send('q', 'a');
  await bench.ack(1);
  assert.deepEqual(await bench.settled(), []);
  const change = (retainSettledMs: number): Promise<unknown> =>
    bench.session.request('declareTopic', {
      name: 'q',
      kind: 'queue',
      subscription: { retainSettledMs },
      ifDifferent: 'update',
    });
  await change(DAY_MS);
  await bench.send('q', 'b');
  await bench.ack(1);
  assert.deepEqual(await bench.settled(), ['b']);
  await change(0);
  assert.deepEqual(await bench.settled(), []);
});

test('a topic that keeps everything loses nothing to a subscription that keeps settled messages for a while', async () => {
  const bench = await Bench.open();
  await bench.session.request('declareTopic', { name: 'q', kind: 'topic' });
  await bench.session.request('declareSubscription', { ...ref, policy: { retainSettledMs: HOUR_MS } });
  await bench.send('q', 'a', 'b');
  await bench.ack(1);
  await bench.advance(3 * DAY_MS);
  const { ready } = await bench.session.request('subscriptionStats', ref);
  const { messages } = await bench.session.request('topicStats', { name: 'q' });
  assert.deepEqual({ ready, messages }, { ready: 1, messages: 2 });
});
