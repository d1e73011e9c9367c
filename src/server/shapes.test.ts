import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  boolean,
  byDefault,
  choice,
  either,
  group,
  list,
  optional,
  orFalse,
  record,
  type Shape,
  text,
  whole,
  withUnit,
} from './shapes.ts';

/** What was read, or the paths of what was wrong. */
function read<T>(shape: Shape<T, unknown>, value: unknown): { read: T } | { wrong: string[] } {
  const wrong: string[] = [];
  const got = shape.read(value, 'at', (path) => wrong.push(path));
  return wrong.length > 0 ? { wrong } : { read: got };
}

const WRONG = { wrong: ['at'] };

test('plain shapes take their own and nothing that could be made into it', () => {
  for (const [shape, good, bad] of [
    [boolean, [true, false], ['true', 1, null, undefined]],
    [text({ max: 3 }), ['a', 'abc'], ['', 'abcd', 1, null, undefined]],
    [whole(1, 5), [1, 5], [0, 6, 1.5, '1', NaN, Infinity, null]],
    [choice('a', 'b'), ['a', 'b'], ['c', '', 0, null, 'toString']],
    [orFalse(whole(1, 5)), [false, 2], [true, 0, 'false', undefined]],
    [optional(whole(1, 5)), [undefined, 2], [null, 0]],
  ] as const) {
    for (const value of good) assert.deepEqual(read<unknown>(shape, value), { read: value });
    for (const value of bad) assert.deepEqual(read<unknown>(shape, value), WRONG);
  }
});

test('text with a unit becomes a number, and bounds count for both', () => {
  const shape = withUnit(
    (written) => {
      if (!written.endsWith('x')) throw new Error('no unit');
      return Number.parseInt(written, 10);
    },
    { min: 2, max: 9 },
  );
  for (const value of ['3x', 3]) assert.deepEqual(read(shape, value), { read: 3 });
  for (const value of ['3', '1x', '10x', 1, 10, 2.5, 'zx', null]) assert.deepEqual(read(shape, value), WRONG);
});

test('what is wrong in a list or a record is named by its path, each thing once', () => {
  const shape = list(record({ name: text(), age: optional(whole(0, 150)) }), { min: 1 });
  assert.deepEqual(read(shape, [{ name: 'ann' }]), { read: [{ name: 'ann' }] });
  assert.deepEqual(read(shape, [{ name: 'ann' }, { name: '', age: -1 }]), { wrong: ['at.1.name', 'at.1.age'] });
  assert.deepEqual(read(shape, [{ name: 'ann', agee: 1 }]), { wrong: ['at.0'] });
  assert.deepEqual(read(shape, []), WRONG);
  assert.deepEqual(read(shape, ['ann']), { wrong: ['at.0', 'at.0.name'] });
});

test('a record takes no name that objects have by themselves', () => {
  const shape = record({ name: byDefault('x', text()) });
  assert.deepEqual(read(shape, {}), { read: { name: 'x' } });
  for (const hostile of ['{"__proto__":{"name":"y"}}', '{"constructor":1}', '{"toString":1}'])
    assert.deepEqual(read(shape, JSON.parse(hostile)), WRONG);
});

test('a group that nobody wrote is what its fields are by default, and null is not nothing', () => {
  const shape = group({ level: byDefault('info', choice('info', 'warn')), file: optional(text()) });
  assert.deepEqual(read(shape, undefined), { read: { level: 'info' } });
  assert.deepEqual(read(shape, null), WRONG);
});

test('of two shapes the first that takes it counts, and only the second says what is wrong', () => {
  const shape = either(choice('all'), list(choice('a', 'b'), { min: 1 }));
  assert.deepEqual(read(shape, 'all'), { read: 'all' });
  assert.deepEqual(read(shape, ['a']), { read: ['a'] });
  assert.deepEqual(read(shape, ['a', 'c']), { wrong: ['at.1'] });
});
