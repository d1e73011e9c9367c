import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SyncPace } from './sync-pace.ts';

const SMALL = 4096;

/** Makes syncs of a disk that takes so long, on the loop or in the pool, and says how many were made on the loop. */
function syncs(
  pace: SyncPace,
  count: number,
  { loopMs, poolMs = loopMs }: { loopMs: number; poolMs?: number },
): number {
  let onLoop = 0;
  for (let i = 0; i < count; i++) {
    if (pace.isForLoop(SMALL)) {
      onLoop++;
      pace.tookOnLoop(loopMs);
    } else pace.tookInPool(SMALL, poolMs);
  }
  return onLoop;
}

test('small syncs of a quick disk come to the loop, large ones stay in the pool', () => {
  const pace = new SyncPace();
  assert.equal(pace.isForLoop(SMALL), false);
  assert.ok(syncs(pace, 1000, { loopMs: 0.05, poolMs: 0.2 }) > 900);
  assert.equal(pace.isForLoop(SMALL), true);
  assert.equal(pace.isForLoop(64 * 1024), false);
});

test('one quick sync among those that waited for their turn is enough for a try', () => {
  const pace = new SyncPace();
  for (let i = 0; i < 32; i++) pace.tookInPool(SMALL, i === 20 ? 0.2 : 8);
  assert.equal(pace.isForLoop(SMALL), true);
});

test('a slow disk never has the loop', () => {
  assert.equal(syncs(new SyncPace(), 100_000, { loopMs: 1 }), 0);
});

test('a disk that seems quick and is not has the loop ever more rarely', () => {
  const pace = new SyncPace();
  const tried = syncs(pace, 10_000, { loopMs: 0.4, poolMs: 0.45 });
  assert.ok(tried > 0 && tried < 200, `${tried} on the loop`);
  assert.ok(syncs(pace, 10_000, { loopMs: 0.4, poolMs: 0.45 }) < 50);
});

test('one sync that hangs sends the next ones to the pool', () => {
  const pace = new SyncPace();
  syncs(pace, 100, { loopMs: 0.05 });
  assert.equal(pace.isForLoop(SMALL), true);
  pace.tookOnLoop(300);
  assert.equal(pace.isForLoop(SMALL), false);
  assert.equal(syncs(pace, 63, { loopMs: 0.05 }), 0);
  assert.equal(syncs(pace, 10, { loopMs: 0.05 }), 9);
});

test('large batches say nothing of small ones', () => {
  const pace = new SyncPace();
  for (let i = 0; i < 1000; i++) pace.tookInPool(1 << 20, 0.1);
  assert.equal(pace.isForLoop(SMALL), false);
});
