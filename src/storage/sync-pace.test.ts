import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LoopTime, SyncPace } from './sync-pace.ts';

const SMALL = 4096;
const LARGE = 1024 * 1024;

/** One whose loop does other things for that share of the time. */
function paceOf({ busy }: { busy: number }): { pace: SyncPace; loop: { busy: number; syncMs: number } } {
  const loop = { busy, syncMs: 0 };
  const time = (): LoopTime => {
    const passedMs = 1000;
    const busyMs = loop.busy * passedMs + loop.syncMs;
    loop.syncMs = 0;
    return { busyMs, passedMs };
  };
  return { pace: new SyncPace(time), loop };
}

/** Makes syncs of a disk that takes so long, on the loop or in the pool, and says how many were made on the loop. */
function syncs(
  { pace, loop }: ReturnType<typeof paceOf>,
  count: number,
  { loopMs, poolMs = loopMs }: { loopMs: number; poolMs?: number },
): number {
  let onLoop = 0;
  for (let i = 0; i < count; i++) {
    if (pace.begin(SMALL) === 'in pool') pace.tookInPool(SMALL, poolMs);
    else {
      onLoop++;
      loop.syncMs += loopMs;
      pace.tookOnLoop(loopMs);
    }
  }
  return onLoop;
}

test('small syncs of a quick disk come to an idle loop, large ones stay in the pool', () => {
  const paced = paceOf({ busy: 0.3 });
  assert.equal(syncs(paced, 64, { loopMs: 0.1, poolMs: 0.3 }), 0);
  assert.equal(syncs(paced, 1000, { loopMs: 0.1, poolMs: 0.3 }), 1000);
  assert.equal(paced.pace.begin(LARGE), 'in pool');
  paced.pace.tookInPool(LARGE, 20);
  assert.equal(paced.pace.begin(SMALL), 'on loop');
});

test('no sync is made on the loop while the disk has one from the pool', () => {
  const paced = paceOf({ busy: 0.3 });
  syncs(paced, 100, { loopMs: 0.1 });
  assert.equal(paced.pace.begin(LARGE), 'in pool');
  assert.equal(paced.pace.begin(SMALL), 'in pool');
  paced.pace.tookInPool(SMALL, 8);
  paced.pace.tookInPool(LARGE, 20);
  assert.equal(paced.pace.begin(SMALL), 'on loop');
});

test('a busy loop has those that take no longer than the way to the pool', () => {
  const paced = paceOf({ busy: 0.8 });
  assert.ok(syncs(paced, 10_000, { loopMs: 0.3 }) > 9_000);
  assert.ok(syncs(paced, 10_000, { loopMs: 0.7 }) <= 64 * 8);
  assert.ok(syncs(paced, 10_000, { loopMs: 0.7 }) <= 64 * 3);
});

test('a loop that becomes busy gives up those of a disk that is not so quick, until it is idle again', () => {
  const paced = paceOf({ busy: 0.3 });
  assert.ok(syncs(paced, 1000, { loopMs: 0.7 }) > 900);
  paced.loop.busy = 0.7;
  assert.ok(syncs(paced, 10_000, { loopMs: 0.7 }) <= 64 * 8);
  paced.loop.busy = 0.3;
  assert.ok(syncs(paced, 20_000, { loopMs: 0.7 }) > 9_000);
});

test('what syncs take of the loop does not make it a busy one', () => {
  assert.ok(syncs(paceOf({ busy: 0.4 }), 1000, { loopMs: 0.9 }) > 900);
});

test('one quick sync among those that waited for their turn is enough for a try', () => {
  const { pace } = paceOf({ busy: 0.3 });
  for (let i = 0; i < 64; i++) {
    pace.begin(SMALL);
    pace.tookInPool(SMALL, i === 20 ? 0.2 : 8);
  }
  assert.equal(pace.begin(SMALL), 'on loop');
});

test('a slow disk never has the loop', () => {
  assert.equal(syncs(paceOf({ busy: 0 }), 100_000, { loopMs: 2 }), 0);
});

test('a disk that seems quick and is not has the loop ever more rarely', () => {
  const paced = paceOf({ busy: 0 });
  const tried = syncs(paced, 20_000, { loopMs: 1.6, poolMs: 0.8 });
  assert.ok(tried > 0 && tried <= 64 * 8, `${tried} on the loop`);
  assert.ok(syncs(paced, 20_000, { loopMs: 1.6, poolMs: 0.8 }) <= 64 * 3);
});

test('one sync that hangs sends the next ones to the pool', () => {
  const paced = paceOf({ busy: 0.3 });
  syncs(paced, 100, { loopMs: 0.1 });
  assert.equal(paced.pace.begin(SMALL), 'on loop');
  paced.pace.tookOnLoop(3000);
  assert.equal(syncs(paced, 128, { loopMs: 0.1 }), 0);
  assert.equal(syncs(paced, 10, { loopMs: 0.1 }), 10);
});

test('large batches say nothing of small ones', () => {
  const { pace } = paceOf({ busy: 0 });
  for (let i = 0; i < 1000; i++) {
    pace.begin(LARGE);
    pace.tookInPool(LARGE, 0.1);
  }
  assert.equal(pace.begin(SMALL), 'in pool');
});

test('a loop that is shared with an app has none', () => {
  const paced = { pace: new SyncPace(), loop: { busy: 0, syncMs: 0 } };
  assert.equal(syncs(paced, 100_000, { loopMs: 0.01 }), 0);
});
