import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from './backoff.ts';

test('the wait after the n-th failure grows as the backoff says, up to its end', () => {
  const delays = (type: 'none' | 'fixed' | 'linear' | 'exponential'): number[] =>
    [1, 2, 3, 9, 5000].map((n) => backoffMs({ type, minMs: 10, maxMs: 100, jitter: false }, n, 0.5));
  assert.deepEqual(delays('none'), [0, 0, 0, 0, 0]);
  assert.deepEqual(delays('fixed'), [10, 10, 10, 10, 10]);
  assert.deepEqual(delays('linear'), [10, 20, 30, 90, 100]);
  assert.deepEqual(delays('exponential'), [10, 20, 40, 100, 100]);
  assert.equal(backoffMs({ type: 'fixed', minMs: 10, maxMs: 100, jitter: true }, 1, 0.5), 8);
});
