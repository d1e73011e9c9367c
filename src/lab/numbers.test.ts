import assert from 'node:assert/strict';
import { test } from 'node:test';
import { many, quantile, sameTally, span, tally } from './numbers.ts';

test('a quantile is one of the values, whatever their order', () => {
  assert.equal(quantile([9, 1, 5], 0.5), 5);
  assert.equal(quantile([3, 1, 2], 1), 3);
  assert.equal(quantile([], 0.5), 0);
});

test('times are said in the unit that people use for them', () => {
  assert.equal(span(4.21), '4.2 ms');
  assert.equal(span(309.7), '310 ms');
  assert.equal(span(1_840), '1.8 s');
});

test('one is not many', () => {
  assert.equal(many(1, 'worker'), '1 worker');
  assert.equal(many(2_000, 'worker'), '2,000 workers');
  assert.equal(many(2, 'entry', 'entries'), '2 entries');
});

test('tallies are the same when every name has the same count', () => {
  assert.ok(sameTally(tally(['a', 'b', 'a']), tally(['b', 'a', 'a'])));
  assert.ok(!sameTally(tally(['a']), tally(['a', 'a'])));
  assert.ok(!sameTally(tally(['a']), tally(['a', 'b'])));
  assert.ok(!sameTally(tally(['a']), tally(['b'])));
});
