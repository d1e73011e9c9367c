import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

/** A clock that now and then goes on by a millisecond between two looks, as a real one does. */
class CreepingClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  readonly #random = new SeededRandom(7);
  readonly #timers = new Set<{ at: number; fire: () => void }>();

  now(): number {
    if (this.#random.chance(0.1)) this.#now++;
    return this.#now;
  }

  timer(at: number, fire: () => void): () => void {
    const timer = { at, fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Goes to the next timer. False when nobody waits for anything before `end`. */
  fireNext(end: number): boolean {
    const [next] = [...this.#timers].sort((a, b) => a.at - b.at);
    if (next === undefined || next.at > end) return false;
    this.#timers.delete(next);
    this.#now = Math.max(this.#now, next.at);
    next.fire();
    return true;
  }
}

async function limited(
  t: TestContext,
  messages: number,
): Promise<{ broker: Broker; clock: CreepingClock; session: Session; got: () => number }> {
  const clock = new CreepingClock();
  const disk = new MemoryDisk();
  const broker = await Broker.open({ journal: new FileJournal(disk), blobs: await FileBlobs.open(disk), clock });
  t.after(() => broker.close());
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const subscription = { consumeRate: { count: 500, perMs: 1_000 }, leaseMs: 43_200_000 };
  await session.request('declareTopic', { name: 'q', kind: 'queue', subscription });
  const writer = new RecordBatchWriter();
  for (let i = 0; i < messages; i++) writer.append({}, `${i}`);
  const { bytes: records, count } = writer.take();
  await session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records, count });
  let got = 0;
  const sink = { deliver: (runs: { count: number }[]) => runs.forEach((run) => (got += run.count)), ended: () => {} };
  const consumer = await session.consume({ topic: 'q', subscription: 'q', lease: 'session' }, sink);
  consumer.credit(messages);
  return { broker, clock, session, got: () => got };
}

async function advance(broker: Broker, clock: CreepingClock, ms: number): Promise<void> {
  const end = clock.now() + ms;
  do await broker.settled();
  while (clock.fireNext(end));
}

test('a limited queue goes on to its last message when time passes between its looks at the clock', async (t) => {
  const { broker, clock, got } = await limited(t, 2_000);
  await advance(broker, clock, 20_000);
  assert.equal(got(), 2_000);
});

test('a limited queue begins with what 50 ms bring, however much waits, and keeps to its rate from there', async (t) => {
  const { broker, clock, got } = await limited(t, 2_000);
  await broker.settled();
  assert.ok(got() >= 25 && got() <= 26, `${got()} messages at once`);
  for (let ms = 100; ms <= 2_000; ms += 100) {
    await advance(broker, clock, 100);
    // The clock of this test creeps on by some milliseconds whenever somebody looks at it.
    assert.ok(got() >= 20 + ms / 2 && got() <= 60 + ms, `${got()} messages after ${ms} ms`);
  }
});

test('a changed consumeRate holds from then on', async (t) => {
  const { broker, clock, session, got } = await limited(t, 2_000);
  await broker.settled();
  const subscription = { consumeRate: { count: 1, perMs: 1_000 } };
  await session.request('declareTopic', { name: 'q', kind: 'queue', subscription, ifDifferent: 'update' });
  const before = got();
  await advance(broker, clock, 20_000);
  assert.ok(got() - before <= 22, `${got() - before} messages in twenty seconds at one a second`);
});
