/** What protocols need that poll and settle by handle: taking what is there without waiting, and settling late. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeliveryRun, SettleReceipt } from '../core/session.ts';
import { EngineBench, STARTS } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';

const REF = { topic: 'q', subscription: 'q' };
const LEASE_MS = 10_000;

class Bench extends EngineBench {
  static async open(): Promise<Bench> {
    const bench = await new Bench().start();
    const backoff = { type: 'none', minMs: 0, maxMs: 0, jitter: false } as const;
    const subscription = { maxAttempts: 0, backoff };
    await bench.session.request('declareTopic', { name: 'q', kind: 'queue', subscription });
    return bench;
  }

  async fetch(credit: number): Promise<{ runs: DeliveryRun[]; ended: string[] }> {
    const runs: DeliveryRun[] = [];
    const ended: string[] = [];
    const consumer = await this.session.consume(
      { ...REF, lease: 'timed', leaseMs: LEASE_MS, until: 'empty' },
      { deliver: (more) => void runs.push(...more), ended: (reason) => void ended.push(reason) },
    );
    await this.broker.settled();
    assert.deepEqual(ended, [], 'it is not over before it has credit');
    consumer.credit(credit);
    await this.broker.settled();
    await consumer.close();
    return { runs, ended };
  }

  async lease(): Promise<DeliveryRun> {
    const { runs } = await this.fetch(1);
    const [run] = runs;
    assert.ok(run);
    return run;
  }

  settleLate(run: DeliveryRun): Promise<SettleReceipt> {
    return this.session.settle([{ ...REF, ranges: [run], action: 'ack', late: run.attempt }]);
  }
}

const countOf = (runs: readonly DeliveryRun[]): number => runs.reduce((sum, { count }) => sum + count, 0);

test('a consumer that wants what is there gets it and is over', async () => {
  const bench = await Bench.open();
  await bench.send('q', 'a', 'b', 'c');
  const { runs, ended } = await bench.fetch(5);
  assert.equal(countOf(runs), 3);
  assert.equal(ended.length, 1);
  assert.equal((await bench.session.request('subscriptionStats', REF)).consumers, 0);
  const empty = await bench.fetch(5);
  assert.deepEqual([countOf(empty.runs), empty.ended.length], [0, 1]);
  await bench.broker.close();
});

test('a consumer whose credit is used up does not know that there is no more', async () => {
  const bench = await Bench.open();
  await bench.send('q', 'a', 'b', 'c');
  const { runs, ended } = await bench.fetch(2);
  assert.deepEqual([countOf(runs), ended.length], [2, 0]);
  await bench.broker.close();
});

for (const kind of ['exclusive', 'single active'] as const) {
  test(`a consumer beside ${kind === 'exclusive' ? 'an exclusive' : 'a single active'} one gets what is there, and counts for nothing`, async () => {
    const bench = await Bench.open();
    const { broker, session } = bench;
    const single = { name: 'q', kind: 'queue', subscription: { singleActive: true }, ifDifferent: 'update' } as const;
    if (kind === 'single active') await session.request('declareTopic', single);
    const had = new Collector();
    const take = { ...REF, lease: 'connection', until: 'empty', beside: true } as const;
    const looking = await session.consume(take, had);
    const request = { ...REF, lease: 'session', exclusive: kind === 'exclusive' } as const;
    const holder = await session.consume(request, new Collector());
    assert.equal((await session.request('subscriptionStats', REF)).consumers, 1);
    await bench.send('q', 'a', 'b');
    looking.credit(1);
    await broker.settled();
    assert.equal(had.count, 1);
    await holder.close();
    assert.deepEqual(await session.request('deleteTopic', { name: 'q', ifUnused: true }), {
      deleted: true,
      messages: 2,
    });
    await broker.close();
  });
}

test('a message whose lease is over is settled late, as long as nobody else was given it', async () => {
  const bench = await Bench.open();
  await bench.send('q', 'a');
  const first = await bench.lease();
  bench.clock.advance(LEASE_MS);
  await bench.broker.settled();
  const strict = await bench.session.settle([{ ...REF, ranges: [first], action: 'ack' }]);
  assert.equal(strict.lost.length, 1);
  assert.deepEqual(await bench.settleLate(first), { lost: [] });
  assert.equal((await bench.session.request('subscriptionStats', REF)).depth, 0);
  // Once more: it is gone.
  assert.equal((await bench.settleLate(first)).lost.length, 1);
  await bench.broker.close();
});

test('a late settlement does nothing to a message that somebody else has, or had', async () => {
  const bench = await Bench.open();
  await bench.send('q', 'a');
  const first = await bench.lease();
  bench.clock.advance(LEASE_MS);
  const second = await bench.lease();
  assert.equal(second.attempt, 2);
  assert.equal((await bench.settleLate(first)).lost.length, 1);
  bench.clock.advance(LEASE_MS);
  await bench.broker.settled();
  assert.equal((await bench.settleLate(first)).lost.length, 1);
  assert.equal((await bench.session.request('subscriptionStats', REF)).depth, 1);
  assert.deepEqual(await bench.settleLate(second), { lost: [] });
  await bench.broker.close();
});

for (const [from, how] of STARTS) {
  test(`attributes that were changed are the new ones after a start from ${from}`, async () => {
    const bench = await Bench.open();
    const { session } = bench;
    const declare = { name: 'q', kind: 'queue' } as const;
    await session.request('declareTopic', { ...declare, attributes: { a: '1', b: '2' }, ifDifferent: 'update' });
    const kept = await session.request('declareTopic', { ...declare, attributes: { a: '9' }, ifDifferent: 'keep' });
    assert.deepEqual(kept.definition.attributes, { a: '1', b: '2' });
    const changed = await session.request('declareTopic', {
      ...declare,
      attributes: { a: '3' },
      ifDifferent: 'update',
    });
    assert.deepEqual([changed.updated, changed.definition.attributes], [true, { a: '3' }]);
    await bench.restart(how);
    const { attributes } = await bench.session.request('describeTopic', { name: 'q' });
    assert.deepEqual(attributes, { a: '3' });
    await bench.broker.close();
  });
}
