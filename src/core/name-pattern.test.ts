import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RailheadError } from './errors.ts';
import { NamePattern } from './name-pattern.ts';

const NAMES = [
  '',
  'a',
  'jobs',
  'jobs.eu',
  'jobs-12',
  'my.jobs',
  'amq.gen-x',
  'amq',
  'aab',
  'ab',
  'b]',
  'Ünï',
  'a_b c',
  '^',
];

test('a pattern matches what the regular expression of the same text matches', () => {
  const patterns =
    `.*|^jobs|jobs$|^jobs$|^(jobs|amq)\\.|a+b?|[a-j]|[^a-z]|^[^.]*$|\\.|\\d+|\\w-\\d|^\\D*$|(a|b)*c|x|^(?:a|)$
    |^(?!amq\\.).*|^(?!jobs$)|^(?!a|j)|[\\].]|[]a]|[a-]|a|^$|$|^|()|(^a|s$)|[\\d-]|\\^|\\s|^a*$|^(a?)*b`
      .split('|')
      .map((text) => text.trim());
  // Alternatives were cut apart above: whole ones are here.
  const whole = ['^(jobs|amq)\\.', '(a|b)*c', '^(?:a|)$', '^(?!a|j)', '(^a|s$)', '^(aa|a)b$', 'jobs|^amq$|\\$'];
  for (const source of [...patterns.filter((text) => isRegExp(text)), ...whole]) {
    if (source === '') continue;
    // In JavaScript `[]` is an empty class; everywhere else the first bracket belongs to the class.
    const expected = new RegExp(source.replace('[]', '[\\]'));
    for (const name of NAMES)
      assert.equal(new NamePattern(source).matches(name), expected.test(name), `${source} on ${JSON.stringify(name)}`);
  }
});

function isRegExp(text: string): boolean {
  try {
    new RegExp(text);
    return true;
  } catch {
    return false;
  }
}

test('the empty pattern matches only the empty name', () => {
  assert.deepEqual(
    NAMES.filter((name) => new NamePattern('').matches(name)),
    [''],
  );
});

test('what is not part of the patterns is refused, with the place', () => {
  for (const source of [
    'a{2,3}',
    '(a)\\1',
    '(?=a)',
    'a(?!b)',
    '(?<=a)b',
    '(?<name>a)',
    '(?i)a',
    '\\bword',
    '[[:alpha:]]',
    'a**',
    'a*?',
    '*a',
    '(a',
    'a)',
    '[a',
    '[z-a]',
    'a\\',
    '('.repeat(40) + ')'.repeat(40),
    'a'.repeat(2000),
  ]) {
    assert.throws(
      () => new NamePattern(source),
      (error) => RailheadError.is(error, 'INVALID') && /is not understood at character \d+/.test(error.message),
      source,
    );
  }
});

test('a pattern that takes a backtracking matcher years is done in steps that its length and the name bound', () => {
  const name = `${'a'.repeat(254)}!`;
  for (const source of [
    '^(a+)+$',
    '^(a|a)*$',
    '^(a|aa)+$',
    `^${'(a*)*'.repeat(150)}$`,
    `^${'a?'.repeat(255)}${'a'.repeat(255)}$`,
    `${'('.repeat(25)}a${'*)'.repeat(25)}b`,
    '^(?!(a+)+$)(a|a)*$',
  ]) {
    // A machine of at most some thousand places, 255 times: far below a second. Backtracking would not come back.
    assert.equal(new NamePattern(source).matches(name), false, source);
  }
});
