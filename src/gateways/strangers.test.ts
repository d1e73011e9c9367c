import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkOf, Strangers } from './strangers.ts';

function crowd(max: number) {
  const strangers = new Strangers(max);
  const ended: string[] = [];
  const come = (address: string, name: string): (() => void) => strangers.add(address, () => ended.push(name));
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

test('all addresses of one IPv6 network count as one, and so does IPv4 in either spelling', () => {
  assert.equal(networkOf('2001:db8:1:2::1'), networkOf('2001:db8:1:2:ffff:ffff:ffff:ffff'));
  assert.equal(networkOf('2001:db8::1'), '2001:db8:0:0');
  assert.notEqual(networkOf('2001:db8:1:2::1'), networkOf('2001:db8:1:3::1'));
  assert.equal(networkOf('::1'), '0:0:0:0');
  assert.equal(networkOf('fe80::1%eth0'), 'fe80:0:0:0');
  assert.equal(networkOf('::ffff:192.0.2.1'), networkOf('192.0.2.1'));
  assert.notEqual(networkOf('192.0.2.1'), networkOf('192.0.2.2'));
});
