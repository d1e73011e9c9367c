/** What protocols need that poll and settle by handle: taking what is there without waiting, and settling late. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { DeliveryRun, Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

const REF = { topic: 'q', subscription: 'q' };
const LEASE_MS = 10_000;

interface Bench {
  broker: Broker;
  session: Session;
  clock: ManualClock;
}

async function open(disk = new MemoryDisk()): Promise<Bench> {
  const clock = new ManualClock();
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock,
    random: new SeededRandom(1),
  });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const backoff = { type: 'none', minMs: 0, maxMs: 0, jitter: false } as const;
  await session.request('declareTopic', { name: 'q', kind: 'queue', subscription: { maxAttempts: 0, backoff } });
  return { broker, session, clock };
}

async function send(session: Session, ...bodies: string[]): Promise<void> {
  const writer = new RecordBatchWriter();
  for (const body of bodies) writer.append({}, body);
  const { bytes: records, count } = writer.take();
  await session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records, count });
}

async function fetch({ broker, session }: Bench, credit: number): Promise<{ runs: DeliveryRun[]; ended: string[] }> {
  const runs: DeliveryRun[] = [];
  const ended: string[] = [];
  const consumer = await session.consume(
    { ...REF, lease: 'timed', leaseMs: LEASE_MS, until: 'empty' },
    { deliver: (more) => void runs.push(...more), ended: (reason) => void ended.push(reason) },
  );
  await broker.settled();
  assert.deepEqual(ended, [], 'it is not over before it has credit');
  consumer.credit(credit);
  await broker.settled();
  await consumer.close();
  return { runs, ended };
}

const countOf = (runs: readonly DeliveryRun[]): number => runs.reduce((sum, { count }) => sum + count, 0);

test('a consumer that wants what is there gets it and is over', async () => {
  const bench = await open();
  await send(bench.session, 'a', 'b', 'c');
  const { runs, ended } = await fetch(bench, 5);
  assert.equal(countOf(runs), 3);
  assert.equal(ended.length, 1);
  assert.equal((await bench.session.request('subscriptionStats', REF)).consumers, 0);
  const empty = await fetch(bench, 5);
  assert.deepEqual([countOf(empty.runs), empty.ended.length], [0, 1]);
  await bench.broker.close();
});

test('a consumer whose credit is used up does not know that there is no more', async () => {
  const bench = await open();
  await send(bench.session, 'a', 'b', 'c');
  const { runs, ended } = await fetch(bench, 2);
  assert.deepEqual([countOf(runs), ended.length], [2, 0]);
  await bench.broker.close();
});

for (const kind of ['exclusive', 'single active'] as const) {
  test(`a consumer beside ${kind === 'exclusive' ? 'an exclusive' : 'a single active'} one gets what is there, and counts for nothing`, async () => {
    const { broker, session } = await open();
    const single = { name: 'q', kind: 'queue', subscription: { singleActive: true }, ifDifferent: 'update' } as const;
    if (kind === 'single active') await session.request('declareTopic', single);
    const had: DeliveryRun[] = [];
    const take = { ...REF, lease: 'connection', until: 'empty', beside: true } as const;
    const looking = await session.consume(take, { deliver: (runs) => void had.push(...runs), ended: () => {} });
    const request = { ...REF, lease: 'session', exclusive: kind === 'exclusive' } as const;
    const holder = await session.consume(request, { deliver: () => {}, ended: () => {} });
    assert.equal((await session.request('subscriptionStats', REF)).consumers, 1);
    await send(session, 'a', 'b');
    looking.credit(1);
    await broker.settled();
    assert.equal(countOf(had), 1);
    await holder.close();
    assert.deepEqual(await session.request('deleteTopic', { name: 'q', ifUnused: true }), {
      deleted: true,
      messages: 2,
    });
    await broker.close();
  });
}

async function lease(bench: Bench): Promise<DeliveryRun> {
  const { runs } = await fetch(bench, 1);
  const [run] = runs;
  assert.ok(run);
  return run;
}

async function settleLate({ session }: Bench, { partition, offset, count, token, attempt }: DeliveryRun) {
  const ranges = [{ partition, offset, count, token }];
  return session.settle([{ ...REF, ranges, action: 'ack', late: attempt }]);
}

test('a message whose lease is over is settled late, as long as nobody else was given it', async () => {
  const bench = await open();
  await send(bench.session, 'a');
  const first = await lease(bench);
  bench.clock.advance(LEASE_MS);
  await bench.broker.settled();
  const strict = await bench.session.settle([{ ...REF, ranges: [first], action: 'ack' }]);
  assert.equal(strict.lost.length, 1);
  assert.deepEqual(await settleLate(bench, first), { lost: [] });
  assert.equal((await bench.session.request('subscriptionStats', REF)).depth, 0);
  // Once more: it is gone.
  assert.equal((await settleLate(bench, first)).lost.length, 1);
  await bench.broker.close();
});

test('a late settlement does nothing to a message that somebody else has, or had', async () => {
  const bench = await open();
  await send(bench.session, 'a');
  const first = await lease(bench);
  bench.clock.advance(LEASE_MS);
  const second = await lease(bench);
  assert.equal(second.attempt, 2);
  assert.equal((await settleLate(bench, first)).lost.length, 1);
  bench.clock.advance(LEASE_MS);
  await bench.broker.settled();
  assert.equal((await settleLate(bench, first)).lost.length, 1);
  assert.equal((await bench.session.request('subscriptionStats', REF)).depth, 1);
  assert.deepEqual(await settleLate(bench, second), { lost: [] });
  await bench.broker.close();
});

for (const how of ['the journal alone', 'a checkpoint']) {
  test(`attributes that were changed are the new ones after a start from ${how}`, async () => {
    const disk = new MemoryDisk();
    const { broker, session } = await open(disk);
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
    if (how === 'a checkpoint') await broker.checkpoint();
    await broker.close();
    const again = await open(disk);
    const { attributes } = await again.session.request('describeTopic', { name: 'q' });
    assert.deepEqual(attributes, { a: '3' });
    await again.broker.close();
  });
}
