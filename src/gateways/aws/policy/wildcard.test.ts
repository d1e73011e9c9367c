import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileWildcard } from './wildcard.ts';

/** By its meaning, one character at a time. */
function plain(text: readonly string[], value: readonly string[]): boolean {
  const [first, ...rest] = text;
  if (first === undefined) return value.length === 0;
  if (first === '*') return plain(rest, value) || (value.length > 0 && plain(text, value.slice(1)));
  return value.length > 0 && (first === '?' || first === value[0]) && plain(rest, value.slice(1));
}

test('a star stands for any characters and a question mark for any one, as a plain model has it', () => {
  const chars = (...of: string[]): fc.Arbitrary<string[]> => fc.array(fc.constantFrom(...of), { maxLength: 9 });
  fc.assert(
    fc.property(chars('a', 'b', '🐎', '*', '?'), chars('a', 'b', '🐎'), (text, value) => {
      assert.equal(compileWildcard(text.join(''))(value.join('')), plain(text, value));
    }),
    { numRuns: 3_000 },
  );
});

test('a text longer than a word of bits fits as a short one does, also where one word ends and the next begins', () => {
  for (const length of [31, 32, 33, 63, 64, 65, 100]) {
    const same = 'ab'.repeat(length).slice(0, length);
    for (let i = 0; i < length; i++) {
      const other = `${same.slice(0, i)}x${same.slice(i + 1)}`;
      const what = `${length}, ${i}`;
      assert.equal(compileWildcard(same)(same), true, what);
      assert.equal(compileWildcard(same)(other), false, what);
      assert.equal(compileWildcard(`${same.slice(0, i)}?${same.slice(i + 1)}`)(other), true, what);
      assert.equal(
        compileWildcard(`${same.slice(0, i)}*${same.slice(i)}`)(`${same.slice(0, i)}xx${same.slice(i)}`),
        true,
      );
      assert.equal(compileWildcard(same)(same.slice(0, i)), false, what);
    }
  }
});

test('what would take a search that goes back for ever takes one pass', () => {
  const fits = compileWildcard(`*${'a?'.repeat(500)}b*${'?a'.repeat(500)}c`);
  const started = process.cpuUsage();
  assert.equal(fits('a'.repeat(100_000)), false);
  const { user } = process.cpuUsage(started);
  // 6 million steps of words; going back it would be ten thousand million.
  assert.ok(user < 2_000_000, `${user} µs`);
});
