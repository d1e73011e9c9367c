import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_SUBSCRIPTION, type SubscriptionPolicy } from '../../core/policy.ts';
import { PieceReader, PieceWriter } from '../structures/pieces.ts';
import { Backlog } from './backlog.ts';

const LEASE = { token: 1, kind: 0, consumer: 1, at: 0, deadline: 1000 };

function backlog(policy: Partial<SubscriptionPolicy> = {}): Backlog {
  return new Backlog({ ...DEFAULT_SUBSCRIPTION, ...policy });
}

/** Takes the next message out, as a consumer would. */
function take(from: Backlog): number | undefined {
  const run = from.nextRun(1);
  if (run !== undefined) from.lease(run.from, 1, LEASE);
  return run?.from;
}

function reloaded(policy: Partial<SubscriptionPolicy>, from: Backlog): Backlog {
  const writer = new PieceWriter();
  const data = from.encode(writer);
  const reader = new PieceReader();
  for (const { part, piece } of writer.large()) reader.add(part, piece);
  return Backlog.decode({ ...DEFAULT_SUBSCRIPTION, ...policy }, data, reader);
}

describe('a backlog with order by key', () => {
  const keys = ['a', 'a', 'a', 'a'];

  test('is empty after all of a key are removed at once', () => {
    const one = backlog({ order: 'key' });
    one.offer(0, 4, { keys }, undefined);
    one.remove(0, 4);
    assert.deepEqual([one.pending.size, one.ready, one.deliverable], [0, 0, false]);
  });

  test('does not deliver a message that was moved to later while it waited behind its head', () => {
    const one = backlog({ order: 'key' });
    one.offer(0, 2, { keys: keys.slice(0, 2) }, undefined);
    one.delay(1, 1, 5000, 'none', undefined);
    assert.equal(take(one), 0);
    one.remove(0, 1);
    assert.deepEqual([one.deliverable, one.ready, one.delayed.size], [false, 0, 1]);
  });

  test('does not deliver a message that is on its way to the dead-letter queue', () => {
    const one = backlog({ order: 'key' });
    one.offer(0, 3, { keys: keys.slice(0, 3) }, undefined);
    one.die(1, 1, 'overflow', 'none', undefined);
    assert.equal(take(one), 0);
    one.remove(0, 1);
    assert.equal(take(one), 2);
  });

  test('keeps the head of a key over a checkpoint, also when an older message arrived after it', () => {
    const one = backlog({ order: 'key' });
    one.offer(0, 2, { keys: keys.slice(0, 2), due: Float64Array.of(100, 0) }, undefined);
    assert.equal(take(one), 1);
    for (const offset of one.takeDue(100, 10)) one.giveBack(offset, 1, 'none', undefined);
    const again = reloaded({ order: 'key' }, one);
    assert.equal(again.deliverable, false, '1 is out, so 0 of the same key waits');
    again.remove(1, 1);
    assert.equal(take(again), 0);
  });
});

describe('a backlog with delays', () => {
  test('keeps a message until its newest due time, whatever older times it had', () => {
    const one = backlog();
    one.offer(0, 1, { due: Float64Array.of(100) }, undefined);
    one.delay(0, 1, 50, 'none', undefined);
    assert.deepEqual(one.takeDue(50, 10), [0]);
    one.giveBack(0, 1, 'none', undefined);
    assert.equal(take(one), 0);
    one.delay(0, 1, 200, 'attempt', undefined);
    assert.deepEqual(one.takeDue(150, 10), []);
    assert.deepEqual(one.takeDue(200, 10), [0]);
  });

  test('does not cut a pause before a retry short after a restart, which finds old times in its heap', () => {
    const one = backlog();
    one.offer(0, 1, { due: Float64Array.of(100) }, undefined);
    // As replay does it: the entries alone, without the heap being emptied.
    one.giveBack(0, 1, 'none', undefined);
    assert.equal(take(one), 0);
    one.delay(0, 1, 300, 'attempt', undefined);
    assert.deepEqual(one.takeDue(200, 10), []);
  });
});
