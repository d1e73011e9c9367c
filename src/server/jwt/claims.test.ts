import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimHas, claimText } from './claims.ts';

test('a claim is found by its name before its path, and nothing that every object has is one', () => {
  const claims = { 'a.b': 'named', a: { b: 'nested', list: ['x', 'y'] }, words: 'x y', empty: '', seven: 7 };
  assert.equal(claimText(claims, 'a.b'), 'named');
  assert.equal(claimText({ a: { b: 'nested' } }, 'a.b'), 'nested');
  assert.deepEqual(
    ['x', 'y', 'z'].map((wanted) => claimHas(claims, 'a.list', wanted)),
    [true, true, false],
  );
  assert.deepEqual([claimHas(claims, 'words', 'y'), claimHas(claims, 'words', 'x y')], [true, true]);
  for (const none of ['', 'a', 'empty', 'seven', 'a.none.more', 'a.list.length', 'words.length'])
    assert.equal(claimText(claims, none), undefined, none);
  for (const inherited of ['constructor.name', 'a.constructor.name', 'toString.name', '__proto__.constructor.name'])
    assert.equal(claimText(claims, inherited), undefined, inherited);
});
