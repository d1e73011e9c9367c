import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { Screen, wrap } from './screen.ts';

function show(colours: boolean, draw: (screen: Screen) => void): string {
  let text = '';
  draw(new Screen({ write: (more: string) => (text += more), columns: 60 }, colours));
  return text;
}

function everything(screen: Screen): void {
  screen.chapter(3, 'A title');
  screen.say('word '.repeat(40).trim());
  screen.step('something happens '.repeat(8).trim());
  screen.figure(['label  ████▏ 12']);
  screen.verdict(true, 'a claim that holds', 'seen');
  screen.verdict(false, 'a claim that does not hold, said in more words than fit on one line', 'what was seen instead');
}

test('no line is wider than the screen', () => {
  for (const line of show(false, everything).split('\n')) assert.ok(line.length <= 60, line);
});

test('without colours there is no control character at all', () => {
  const text = show(false, everything);
  assert.equal(stripVTControlCharacters(text), text);
});

test('colours change nothing of the text, and nothing moves the cursor', () => {
  const coloured = show(true, everything);
  assert.notEqual(coloured, show(false, everything));
  assert.equal(stripVTControlCharacters(coloured), show(false, everything));
  // Only "select graphic rendition", which ends in m.
  assert.ok(!/\u001b\[[0-9;]*[A-Za-ln-z]/.test(coloured));
});

test('a claim that does not hold says so in words, not only in red', () => {
  assert.match(
    show(false, (screen) => screen.verdict(false, 'it works', '2 of 3')),
    /✗ FAILED: it works · 2 of 3/,
  );
});

test('text is broken at spaces, and a word that is too long stays whole', () => {
  assert.deepEqual(wrap('aa bb cc', 5), ['aa bb', 'cc']);
  assert.deepEqual(wrap('a verylongword b', 6), ['a', 'verylongword', 'b']);
});
