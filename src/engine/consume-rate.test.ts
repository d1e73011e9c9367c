import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Clock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import type { Session } from '../core/session.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';
import type { Broker } from './broker.ts';

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
): Promise<{ broker: Broker; clock: CreepingClock; session: Session; got: Collector }> {
  const clock = new CreepingClock();
  const bench = await new EngineBench({ clock }).start();
  const { broker, session } = bench;
  t.after(() => broker.close());
  const subscription = { consumeRate: { count: 500, perMs: 1_000 }, leaseMs: 43_200_000 };
  await session.request('declareTopic', { name: 'q', kind: 'queue', subscription });
  await bench.send('q', ...Array.from({ length: messages }, (_, i) => `${i}`));
  const got = new Collector();
  const consumer = await session.consume({ topic: 'q', subscription: 'q', lease: 'session' }, got);
  consumer.credit(messages);
  return { broker, clock, session, got };
}

async function advance(broker: Broker, clock: CreepingClock, ms: number): Promise<void> {
  const end = clock.now() + ms;
  do await broker.settled();
  while (clock.fireNext(end));
}

test('a limited queue goes on to its last message when time passes between its looks at the clock', async (t) => {
  const { broker, clock, got } = await limited(t, 2_000);
  await advance(broker, clock, 20_000);
  assert.equal(got.count, 2_000);
});

test('a limited queue begins with what 50 ms bring, however much waits, and keeps to its rate from there', async (t) => {
  const { broker, clock, got } = await limited(t, 2_000);
  await broker.settled();
  assert.ok(got.count >= 25 && got.count <= 26, `${got.count} messages at once`);
  for (let ms = 100; ms <= 2_000; ms += 100) {
    await advance(broker, clock, 100);
    // The clock of this test creeps on by some milliseconds whenever somebody looks at it.
    assert.ok(got.count >= 20 + ms / 2 && got.count <= 60 + ms, `${got.count} messages after ${ms} ms`);
  }
});

test('a changed consumeRate holds from then on', async (t) => {
  const { broker, clock, session, got } = await limited(t, 2_000);
  await broker.settled();
  const subscription = { consumeRate: { count: 1, perMs: 1_000 } };
  await session.request('declareTopic', { name: 'q', kind: 'queue', subscription, ifDifferent: 'update' });
  const before = got.count;
  await advance(broker, clock, 20_000);
  assert.ok(got.count - before <= 22, `${got.count - before} messages in twenty seconds at one a second`);
});
