import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labOptions } from './options.ts';

test('without options the whole tour runs without a stop', () => {
  assert.deepEqual(labOptions([], 8), { only: [], step: false, help: false });
});

test('--only takes chapters in any order and runs each once, in theirs', () => {
  assert.deepEqual(labOptions(['--only', '5, 3,5', '--step'], 8), { only: [3, 5], step: true, help: false });
});

test('a chapter that does not exist is refused with what is allowed', () => {
  for (const only of ['0', '9', '2,x', '', '1-3']) {
    assert.throws(() => labOptions(['--only', only], 8), /write chapter numbers from 1 to 8/, only);
  }
});

test('an unknown option is refused', () => {
  assert.throws(() => labOptions(['--fast'], 8), /--fast/);
});
