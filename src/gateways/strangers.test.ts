import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Strangers } from './strangers.ts';

function crowd(max: number) {
  const strangers = new Strangers(max);
  const ended: string[] = [];
  const come = (network: string, name: string): (() => void) => {
    const stranger = { network, end: () => void ended.push(name) };
    strangers.add(stranger);
    return () => strangers.delete(stranger);
  };
  return { strangers, ended, come };
}

test('the oldest of the address with most of them goes, and one with fewer is left alone', () => {
  const { strangers, ended, come } = crowd(3);
  come('192.0.2.1', 'honest');
  come('198.51.100.1', 'flood 1');
  come('198.51.100.1', 'flood 2');
  assert.equal(strangers.isOver, false);
  come('198.51.100.1', 'flood 3');
  assert.equal(strangers.isOver, true);
  assert.equal(strangers.endOne(), true);
  assert.deepEqual([ended, strangers.size, strangers.isOver], [['flood 1'], 3, false]);
  come('198.51.100.2', 'another');
  strangers.endOne();
  assert.deepEqual(ended, ['flood 1', 'flood 2']);
});

test('among addresses with as many, the one that has been there longest gives a place', () => {
  const { strangers, ended, come } = crowd(2);
  come('192.0.2.1', 'a');
  come('192.0.2.2', 'b');
  come('192.0.2.3', 'c');
  strangers.endOne();
  assert.deepEqual(ended, ['a']);
});

test('who has logged in or is gone is counted no more, however often it is said', () => {
  const { strangers, ended, come } = crowd(2);
  const done = come('192.0.2.1', 'a');
  done();
  done();
  assert.deepEqual([strangers.size, strangers.endOne(), ended], [0, false, []]);
  come('192.0.2.1', 'b');
  done();
  assert.equal(strangers.size, 1);
});
