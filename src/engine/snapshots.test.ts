import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SubscriptionPolicy, TopicPolicy } from '../core/policy.ts';
import type { SeekTarget } from '../core/session.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { records, textsOf } from '../../test/engine/records.ts';

const DAY_MS = 86_400_000;
const ref = { topic: 't', subscription: 's' };

class Bench extends EngineBench {
  constructor() {
    super({ limits: { coldBlockBytes: 4 << 10 } }, { segmentBytes: 64 << 10, segments: 8 });
  }

  static open(): Promise<Bench> {
    return new Bench().start();
  }

  async declare(
    policy: Partial<SubscriptionPolicy> = {},
    topic: Partial<TopicPolicy> = { retain: { untilSettled: true, ageMs: null, bytes: null, compact: false } },
  ): Promise<void> {
    await this.session.request('declareTopic', { name: 't', kind: 'topic', policy: topic });
    await this.session.request('declareSubscription', { ...ref, policy });
  }

  /** Takes what is ready and acks those of these texts; the others are given back. */
  async ack(...texts: string[]): Promise<void> {
    for (const run of await this.receive(ref, 1000)) {
      for (const [i, text] of textsOf(run).entries()) {
        const settlement = { ...ref, ranges: [{ ...run, offset: run.offset + i, count: 1 }] };
        if (texts.includes(text)) await this.session.settle([{ ...settlement, action: 'ack' }]);
        else await this.session.settle([{ ...settlement, action: 'release', countAttempt: false }]);
      }
    }
  }

  async waiting(subscription = 's'): Promise<string[]> {
    await this.quiet();
    return (await this.peek({ topic: 't', subscription, limit: 1000 })).sort();
  }

  seek(to: SeekTarget, subscription = 's'): Promise<unknown> {
    return this.session.request('seek', { topic: 't', subscription, to });
  }
}

describe('a snapshot of a subscription', () => {
  const kinds: [string, Partial<SubscriptionPolicy>][] = [
    ['in publish order', {}],
    ['by key', { order: 'key' }],
    ['with a filter', { filter: { a: [{ exists: false }] } }],
  ];
  for (const [how, policy] of kinds) {
    const lives = [
      ['in the same life', null],
      ['after a start from the journal alone', 'kill'],
      ['after a start from a checkpoint', 'checkpoint'],
    ] as const;
    for (const [when, restart] of lives) {
      test(`${how}, gone back to ${when}: what was not settled then and what came since is there again`, async () => {
        const bench = await Bench.open();
        await bench.declare(policy);
        await bench.send('t', { text: 'text-0', key: 'k' }, 'text-1', { text: 'text-2', key: 'k' }, 'text-3');
        await bench.send('t', { text: 'not-for-us', headers: { a: 1 } });
        await bench.ack('text-0', 'text-3');
        const before = await bench.waiting();
        const taken = await bench.session.request('createSnapshot', { ...ref, snapshot: 'deploy' });
        assert.equal(taken.expiresAt - taken.createdAt, 7 * DAY_MS);
        if (restart !== null) await bench.restart(restart);
        await bench.ack('text-1', 'text-2');
        await bench.ack('text-2');
        await bench.send('t', 'text-4', 'text-5');
        await bench.ack('text-4');
        if (restart !== null) await bench.restart(restart);
        await bench.seek({ snapshot: 'deploy' });
        if (restart !== null) await bench.restart(restart);
        assert.deepEqual(await bench.waiting(), [...before, 'text-4', 'text-5'].sort());
        assert.ok(before.includes('text-1') && !before.includes('text-0'));
      });
    }
  }

  test('can be used for another subscription of the topic, and for none of another topic', async () => {
    const bench = await Bench.open();
    await bench.declare();
    await bench.session.request('declareSubscription', { topic: 't', subscription: 'other' });
    await bench.session.request('declareTopic', { name: 'u', kind: 'queue' });
    await bench.send('t', 'text-0', 'text-1');
    await bench.ack('text-0');
    await bench.session.request('createSnapshot', { ...ref, snapshot: 'one' });
    await bench.seek({ snapshot: 'one' }, 'other');
    assert.deepEqual(await bench.waiting('other'), ['text-1']);
    const elsewhere = bench.session.request('seek', { topic: 'u', subscription: 'u', to: { snapshot: 'one' } });
    await assert.rejects(elsewhere, { code: 'NOT_FOUND' });
  });

  test('keeps its messages until it is deleted, through reclaim and restart, and no others', async () => {
    const bench = await Bench.open();
    await bench.declare();
    const pad = '.'.repeat(2000);
    await bench.send('t', 'text-0', 'text-1');
    await bench.ack('text-0');
    await bench.session.request('createSnapshot', { ...ref, snapshot: 'one' });
    await bench.ack('text-1');
    for (let i = 0; i < 200; i++) await bench.send('t', `text-x${i} ${pad}`);
    await bench.session.request('purge', ref);
    await bench.quiet();
    assert.ok(bench.broker.state.blobs.counts.size > 0, 'nothing was reclaimed');
    await bench.restart('kill');
    const { snapshots } = await bench.session.request('listSnapshots', {});
    assert.deepEqual(
      snapshots.map(({ snapshot, topic, subscription, depth }) => [snapshot, topic, subscription, depth]),
      [['one', 't', 's', 201]],
    );
    await bench.seek({ snapshot: 'one' });
    const found = await bench.waiting();
    assert.equal(found.length, 201);
    assert.ok(found.includes('text-1') && !found.includes('text-0'));
    await bench.session.request('purge', ref);
    const stats = await bench.session.request('topicStats', { name: 't' });
    assert.equal(stats.partitions[0]?.start, 1);
    assert.deepEqual(await bench.session.request('deleteSnapshot', { topic: 't', snapshot: 'one' }), { deleted: true });
    const after = await bench.session.request('topicStats', { name: 't' });
    assert.deepEqual([after.partitions[0]?.start, after.bytes], [202, 0]);
    assert.deepEqual(await bench.session.request('deleteSnapshot', { topic: 't', snapshot: 'one' }), {
      deleted: false,
    });
  });

  test('is forgotten when its time is over, also when the broker was down then', async () => {
    const bench = await Bench.open();
    await bench.declare();
    await bench.send('t', 'text-0');
    await bench.session.request('createSnapshot', { ...ref, snapshot: 'short', expiresAfterMs: 60_000 });
    await bench.session.request('createSnapshot', { ...ref, snapshot: 'long' });
    await bench.ack('text-0');
    const later = new Bench();
    later.clock.moveTo(bench.clock.now() + 60_000);
    await later.start(bench.disk.clone());
    bench.clock.advance(60_000);
    for (const each of [bench, later]) {
      await each.quiet();
      const { snapshots } = await each.session.request('listSnapshots', { topic: 't' });
      assert.deepEqual(
        snapshots.map(({ snapshot }) => snapshot),
        ['long'],
      );
      assert.equal([...each.broker.state.topics.values()][0]?.snapshots.size, 1);
      await assert.rejects(each.seek({ snapshot: 'short' }), { code: 'NOT_FOUND' });
    }
    bench.clock.advance(7 * DAY_MS);
    await bench.quiet();
    const { messages } = await bench.session.request('topicStats', { name: 't' });
    assert.equal(messages, 0);
  });

  test('does not stand against retention by age: what went is not brought back', async () => {
    const bench = await Bench.open();
    const retain = { untilSettled: false, ageMs: 60_000, bytes: null, compact: false };
    await bench.declare({}, { retain });
    await bench.send('t', 'text-0');
    await bench.session.request('createSnapshot', { ...ref, snapshot: 'one' });
    await bench.ack('text-0');
    bench.clock.advance(120_000);
    await bench.quiet();
    await bench.send('t', 'text-1');
    await bench.seek({ snapshot: 'one' });
    assert.deepEqual(await bench.waiting(), ['text-1']);
  });

  test('can be taken in the middle of going back to another one', async () => {
    const bench = await Bench.open();
    await bench.declare({ order: 'key' });
    await bench.send('t', ...Array.from({ length: 9 }, (_, i) => `text-${i}`));
    await bench.ack('text-0', 'text-4');
    await bench.session.request('createSnapshot', { ...ref, snapshot: 'one' });
    await bench.session.request('purge', ref);
    const back = bench.seek({ snapshot: 'one' });
    const second = bench.session.request('createSnapshot', { ...ref, snapshot: 'two' });
    const { depth } = await second;
    await back;
    assert.equal(depth, 7);
    await bench.session.request('purge', ref);
    await bench.seek({ snapshot: 'two' });
    const found = await bench.waiting();
    assert.deepEqual(found, ['text-1', 'text-2', 'text-3', 'text-5', 'text-6', 'text-7', 'text-8']);
  });

  test('taken while transactions are open, has what they committed later and not what they aborted', async () => {
    const bench = await Bench.open();
    await bench.declare();
    const inTransaction = async (producer: string, text: string): Promise<() => Promise<unknown>> => {
      const owner = await bench.session.request('claimProducer', { producer });
      await bench.session.request('beginTransaction', owner);
      await bench.session.publish({ to: { topic: 't' }, ...records(text), transaction: owner });
      return () =>
        bench.session.request('endTransaction', { ...owner, outcome: producer === 'a' ? 'committed' : 'aborted' });
    };
    const ends = [await inTransaction('a', 'text-kept'), await inTransaction('b', 'text-gone')];
    await bench.send('t', 'text-0');
    await bench.session.request('createSnapshot', { ...ref, snapshot: 'one' });
    for (const end of ends) await end();
    await bench.session.request('purge', ref);
    await bench.seek({ snapshot: 'one' });
    assert.deepEqual(await bench.waiting(), ['text-0', 'text-kept']);
  });

  test('has a name that is not taken, and a time that is not too long', async () => {
    const { session } = await Bench.open();
    await session.request('declareTopic', { name: 't', kind: 'queue' });
    const queue = { topic: 't', subscription: 't' };
    await session.request('createSnapshot', { ...queue, snapshot: 'one' });
    await assert.rejects(session.request('createSnapshot', { ...queue, snapshot: 'one' }), { code: 'ALREADY_EXISTS' });
    await assert.rejects(session.request('createSnapshot', { ...queue, snapshot: '' }), { code: 'INVALID' });
    for (const expiresAfterMs of [0, 32 * DAY_MS])
      await assert.rejects(session.request('createSnapshot', { ...queue, snapshot: 'two', expiresAfterMs }), {
        code: 'INVALID',
      });
  });
});
