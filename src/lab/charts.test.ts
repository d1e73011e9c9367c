import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bar, barRows, sparkline } from './charts.ts';

test('a bar is exact to an eighth of a character', () => {
  assert.equal(bar(10, 10, 4), '████');
  assert.equal(bar(5, 10, 4), '██');
  assert.equal(bar(1, 32, 4), '▏');
  assert.equal(bar(13, 32, 4), '█▋');
});

test('the smallest value is seen, zero is not, and too much stays in its place', () => {
  assert.equal(bar(1, 1_000_000, 10), '▏');
  assert.equal(bar(0, 10, 10), '');
  assert.equal(bar(50, 10, 3), '███');
  assert.equal(bar(1, 0, 3), '');
});

test('a sparkline goes from nothing to the highest value', () => {
  assert.equal(sparkline([0, 1, 2, 3, 4, 5, 6, 7]), '▁▂▃▄▅▆▇█');
  assert.equal(sparkline([0, 0]), '▁▁');
  assert.equal(sparkline([-1, 100], 10), '▁█');
});

test('rows of bars share one scale and fit the width', () => {
  const lines = barRows(
    [
      { label: 'one', value: 40, text: '40 ms' },
      { label: 'three', value: 10, text: '10 ms' },
    ],
    32,
  );
  assert.deepEqual(lines, ['one    ███████████████████ 40 ms', 'three  ████▊ 10 ms']);
  assert.ok(lines.every((line) => line.length <= 32));
});
