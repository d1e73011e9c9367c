import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RailheadError } from '../../core/errors.ts';
import { TopicPatterns } from './topic-pattern.ts';

function matches(pattern: string, key: string): boolean {
  const patterns = new TopicPatterns<number>();
  patterns.add(pattern, 1);
  return patterns.match(key).size === 1;
}

/** The definition itself, slow and plain. */
function shouldMatch(pattern: readonly string[], key: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return key.length === 0;
  if (first === '#') return shouldMatch(rest, key) || (key.length > 0 && shouldMatch(pattern, key.slice(1)));
  if (key.length === 0) return false;
  return (first === '*' || first === key[0]) && shouldMatch(rest, key.slice(1));
}

describe('TopicPatterns', () => {
  it('matches * with one word and # with any number', () => {
    const table: [pattern: string, key: string, matches: boolean][] = [
      ['a.b', 'a.b', true],
      ['a.b', 'a.b.c', false],
      ['a.*', 'a.b', true],
      ['a.*', 'a', false],
      ['a.*', 'a.b.c', false],
      ['*.orange.*', 'quick.orange.rabbit', true],
      ['a.#', 'a', true],
      ['a.#', 'a.b.c.d', true],
      ['#.c', 'c', true],
      ['#.c', 'a.b.c', true],
      ['#.c', 'a.c.b', false],
      ['#', '', true],
      ['#', 'a.b', true],
      ['', '', true],
      ['', 'a', false],
      ['*', '', false],
      ['a..b', 'a..b', true],
      ['a.*.b', 'a..b', true],
      ['*.#', 'a', true],
      ['#.*', 'a.b.c', true],
      ['a*', 'ab', false],
      ['__proto__.#', '__proto__.x', true],
      ['__proto__', 'constructor', false],
    ];
    for (const [pattern, key, expected] of table)
      assert.equal(matches(pattern, key), expected, `${pattern} for ${key}`);
  });

  it('agrees with the plain definition, for many patterns at once and after removals', () => {
    const word = fc.constantFrom('a', 'b', '*', '#');
    const pattern = fc.array(word, { minLength: 1, maxLength: 6 });
    const key = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 7 });
    fc.assert(
      fc.property(
        fc.array(pattern, { maxLength: 12 }),
        fc.array(key, { maxLength: 6 }),
        fc.nat(11),
        (patterns, keys, removed) => {
          const trie = new TopicPatterns<number>();
          patterns.forEach((words, index) => assert.equal(trie.add(words.join('.'), index), true));
          const gone = patterns[removed];
          if (gone !== undefined) assert.equal(trie.remove(gone.join('.'), removed), true);
          for (const words of keys) {
            const expected = patterns.flatMap((p, index) =>
              index !== removed && shouldMatch(p, words) ? [index] : [],
            );
            assert.deepEqual(
              [...trie.match(words.join('.'))].sort((a, b) => a - b),
              expected,
            );
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('says whether it changed', () => {
    const patterns = new TopicPatterns<string>();
    assert.deepEqual(
      [patterns.add('a.#', 'x'), patterns.add('a.#', 'x'), patterns.add('a.#', 'y')],
      [true, false, true],
    );
    assert.deepEqual(
      [
        patterns.remove('a', 'x'),
        patterns.remove('b.#', 'x'),
        patterns.remove('a.#', 'x'),
        patterns.remove('a.#', 'x'),
      ],
      [false, false, true, false],
    );
    assert.deepEqual([...patterns.match('a.b')], ['y']);
  });

  it('takes no exponential time for patterns made for that', () => {
    const patterns = new TopicPatterns<number>();
    for (let i = 0; i < 40; i++) patterns.add(`${'#.'.repeat(i)}a.${'#.*.'.repeat(30)}#.b`, i);
    const key = 'a.'.repeat(500) + 'c';
    const started = performance.now();
    assert.equal(patterns.match(key).size, 0);
    // Trying every way to split the key would take longer than the universe is old.
    assert.ok(performance.now() - started < 5_000);
  });

  it('refuses what is too long', () => {
    const patterns = new TopicPatterns<number>();
    const invalid = (error: unknown): boolean => RailheadError.is(error, 'INVALID');
    assert.throws(() => patterns.add('a.'.repeat(128) + 'a', 1), invalid);
    assert.throws(() => patterns.add('x'.repeat(1025), 1), invalid);
    assert.throws(() => patterns.match('é'.repeat(513)), invalid);
    assert.equal(patterns.add('a.'.repeat(127) + 'a', 1), true);
    assert.equal(patterns.match('.'.repeat(1024)).size, 0);
  });
});
