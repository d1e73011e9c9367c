import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '../limits.ts';
import { ByteLedger } from './ledger.ts';
import { RecentBytes } from './recent.ts';

const SLAB = 100;

function recentOf(limitBytes: number): RecentBytes {
  return new RecentBytes(limitBytes, new ByteLedger(DEFAULT_LIMITS), SLAB);
}

/** Fills a slab with one batch. */
function addSlab(recent: RecentBytes, position: number): Buffer {
  const slab = recent.takeSlab();
  recent.add(position, slab.fill(position));
  return slab;
}

test('a slab that nobody has read from is given for new batches once its own are too old', () => {
  const recent = recentOf(2 * SLAB);
  const first = addSlab(recent, 1);
  const second = addSlab(recent, 1 + SLAB);
  assert.notEqual(second, first);
  assert.ok(recent.has(1, SLAB), 'looking whether it is there is not reading it');
  const third = addSlab(recent, 1 + 2 * SLAB);
  assert.notEqual(third, first, 'the first was still recent when the third was taken');
  assert.equal(recent.takeSlab().buffer, first.buffer);
  assert.notEqual(recent.takeSlab().buffer, first.buffer, 'only once');
});

test('a slab of which somebody has a view is never given again', () => {
  const recent = recentOf(2 * SLAB);
  const views = new Map<number, Buffer>();
  const slabs = new Set<unknown>();
  for (let position = 1; position < 20 * SLAB; position += SLAB) {
    const slab = addSlab(recent, position);
    assert.ok(!slabs.has(slab.buffer));
    slabs.add(slab.buffer);
    const view = recent.get(position + 10, 20);
    assert.ok(view !== undefined);
    views.set(position, view);
  }
  for (const [position, view] of views) assert.deepEqual(view, Buffer.alloc(20, position));
});

test('a slab of another size, as for a batch that is larger, is not given again', () => {
  const recent = recentOf(2 * SLAB);
  recent.add(1, Buffer.alloc(3 * SLAB));
  for (let position = 1 + 3 * SLAB; position < 20 * SLAB; position += SLAB)
    assert.equal(addSlab(recent, position).byteLength, SLAB);
});
