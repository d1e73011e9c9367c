import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SubscriptionPolicy } from '../core/policy.ts';
import { asBuffer } from '../core/records.ts';
import type { Consumer, ConsumeRequest } from '../core/session.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { textsOf } from '../../test/engine/records.ts';
import type { ShardSession } from './session.ts';

const REF = { topic: 'q', subscription: 'q' };

class Bench extends EngineBench {
  static async open(policy: Partial<SubscriptionPolicy>, texts: readonly string[]): Promise<Bench> {
    const bench = await new Bench().start();
    await bench.connect().request('declareTopic', { name: 'q', kind: 'queue', subscription: policy });
    await bench.send('q', ...texts);
    return bench;
  }

  async consume(
    credit: number,
    more: Partial<ConsumeRequest> = {},
  ): Promise<{ session: ShardSession; texts: string[]; consumer: Consumer }> {
    const session = this.connect();
    const texts: string[] = [];
    const consumer = await session.consume(
      { ...REF, lease: 'session', ...more },
      { deliver: (runs) => void texts.push(...runs.flatMap(textsOf)), ended: () => {} },
    );
    consumer.credit(credit);
    await this.broker.settled();
    return { session, texts, consumer };
  }

  /** The process is killed, and another one starts on what it left. */
  async crash(): Promise<void> {
    await this.start(this.disk.clone());
  }

  async ackAll(session: ShardSession): Promise<void> {
    const [backlog] = this.broker.state.topicNamed('default', 'q')?.subscriptionNamed('q')?.backlogs ?? [];
    const ranges = [...(backlog?.leases() ?? [])].map(([offset, { token }]) => ({
      partition: 0,
      offset,
      count: 1,
      token,
    }));
    await session.settle([{ ...REF, action: 'ack', ranges }]);
    await this.broker.settled();
  }
}

test('what was in flight when the broker was killed comes back together, and after a second time one at a time', async () => {
  const bench = await Bench.open({ maxAttempts: 1 }, ['a', 'b', 'c']);
  assert.deepEqual((await bench.consume(3)).texts, ['a', 'b', 'c']);
  await bench.crash();
  const again = await bench.consume(10);
  await bench.advance(10_000);
  assert.deepEqual(again.texts, ['a', 'b', 'c']);
  await bench.crash();
  const { texts } = await bench.consume(10);
  await bench.advance(10_000);
  assert.deepEqual(texts, ['a']);
});

test('messages that another crash of the broker would condemn come back one at a time at once', async () => {
  const bench = await Bench.open({ maxCrashes: 2 }, ['a', 'b', 'c']);
  assert.deepEqual((await bench.consume(3)).texts, ['a', 'b', 'c']);
  await bench.crash();
  const { texts } = await bench.consume(10);
  await bench.advance(10_000);
  assert.deepEqual(texts, ['a']);
});

test('one message that kills the broker again and again ends dead, and nobody else does', async () => {
  const texts = Array.from({ length: 20 }, (_, i) => (i === 7 ? 'poison' : `good-${i}`));
  const bench = await Bench.open({ maxCrashes: 3 }, texts);
  let crashes = 0;
  for (; crashes < 10; crashes++) {
    // A process that settles only when it has everything in hand, and the poison kills it before.
    const consumer = await bench.consume(20);
    await bench.advance(10_000);
    while (consumer.texts.length > 0 && !consumer.texts.includes('poison')) {
      const held = consumer.texts.splice(0).length;
      await bench.ackAll(consumer.session);
      consumer.consumer.credit(held);
      await bench.broker.settled();
    }
    if (consumer.texts.length === 0) break;
    await bench.crash();
  }
  const { messages } = await bench.connect().request('peek', { topic: 'q.dead', subscription: 'q.dead' });
  assert.deepEqual(
    messages.map(({ envelope, history }) => [asBuffer(envelope.body).toString(), history?.reason]),
    [['poison', 'crashes']],
  );
  assert.equal(bench.broker.state.topicNamed('default', 'q')?.depth, 0);
  assert.equal(crashes, 3);
});

test('a consumer that acks by receiving goes on after a suspect', async () => {
  const bench = await Bench.open({}, ['a', 'b', 'c']);
  await (await bench.consume(1)).session.close('lost');
  assert.deepEqual((await bench.consume(10, { autoAck: true })).texts, ['a', 'b', 'c']);
});

test('a consumer that acks by receiving has its credit back when a body comes after the end of its lease', async () => {
  const bench = await Bench.open({ backoff: { type: 'none', minMs: 0, maxMs: 0, jitter: false } }, ['a']);
  // Nothing is in memory after a start, and the disk is slow.
  const left = bench.disk.clone();
  const disk = Promise.withResolvers<void>();
  const journal = new FileJournal(left);
  const read = journal.read.bind(journal);
  journal.read = async (position, length) => {
    await disk.promise;
    return read(position, length);
  };
  await bench.start(left, journal);
  const { texts } = await bench.consume(1, { autoAck: true });
  await bench.advance(31_000);
  disk.resolve();
  await bench.advance(31_000);
  await new Promise(setImmediate);
  await bench.broker.settled();
  assert.deepEqual(texts, ['a']);
});

test('a seek frees a consumer that was kept for one suspect', async () => {
  const bench = await Bench.open({}, ['a', 'b']);
  await (await bench.consume(1)).session.close('lost');
  const { session, texts } = await bench.consume(10);
  assert.deepEqual(texts, ['a']);
  await session.request('seek', { ...REF, to: 'start' });
  await bench.broker.settled();
  assert.deepEqual(texts, ['a', 'a', 'b']);
});

test('around a suspect no more are handed out than may be in flight', async () => {
  const bench = await Bench.open({ maxInFlight: 2 }, ['a', 'b', 'c', 'd', 'e', 'f']);
  const lost = await bench.consume(1);
  const one = await bench.consume(1);
  const two = await bench.consume(0);
  await lost.session.close('lost');
  two.consumer.credit(10);
  one.consumer.credit(10);
  await bench.broker.settled();
  const { leased } = await one.session.request('subscriptionStats', REF);
  assert.ok(leased <= 2, `${leased} in flight`);
});

test('with order by key the next of a key leaves only when the ack of the one before is safe', async () => {
  const bench = await Bench.open({ order: 'strict' }, ['a', 'b']);
  const { session, texts } = await bench.consume(10);
  assert.deepEqual(texts, ['a']);
  const syncing: (() => void)[] = [];
  bench.disk.onSync = () => new Promise((resolve) => syncing.push(resolve));
  const [lease] = [
    ...(bench.broker.state.topicNamed('default', 'q')?.subscriptionNamed('q')?.backlogs[0]?.leases() ?? []),
  ];
  const ranges = [{ partition: 0, offset: 0, count: 1, token: lease?.[1].token ?? 0 }];
  const acked = session.settle([{ ...REF, action: 'ack', ranges }]);
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(texts, ['a'], 'the ack is not on the disk yet');
  bench.disk.onSync = undefined;
  for (const sync of syncing) sync();
  await acked;
  await bench.broker.settled();
  assert.deepEqual(texts, ['a', 'b']);
});

test('a delivery whose lease ended while it waited for the disk does not leave any more', async () => {
  const bench = await Bench.open({ leaseMs: 1000, backoff: { type: 'none', minMs: 0, maxMs: 0, jitter: false } }, [
    'a',
  ]);
  const syncing: (() => void)[] = [];
  await (await bench.consume(1)).session.close('lost');
  const got: number[] = [];
  const sink = {
    deliver: (runs: readonly { attempt: number }[]) => void got.push(...runs.map(({ attempt }) => attempt)),
    ended: () => {},
  };
  const consumer = await bench.connect().consume({ ...REF, lease: 'session' }, sink);
  // The second attempt waits for its lease to be on the disk, longer than the lease lasts.
  bench.disk.onSync = () => new Promise((resolve) => syncing.push(resolve));
  consumer.credit(1);
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([got, syncing.length], [[], 1]);
  bench.clock.advance(1000);
  bench.disk.onSync = undefined;
  for (const sync of syncing) sync();
  await bench.broker.settled();
  assert.deepEqual(got, [3]);
});
