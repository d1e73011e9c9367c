import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByAddress, networkOf } from './by-address.ts';

test('an address is crowded while as many connections as it may have are open, and others are not', () => {
  const open = new ByAddress(2);
  open.add('192.0.2.1');
  assert.equal(open.isCrowded('192.0.2.1'), false);
  open.add('192.0.2.1');
  assert.equal(open.isCrowded('192.0.2.1'), true);
  assert.equal(open.isCrowded('192.0.2.2'), false);
  open.remove('192.0.2.1');
  assert.equal(open.isCrowded('192.0.2.1'), false);
});

test('this machine may have any number', () => {
  const open = new ByAddress(1);
  for (const address of ['127.0.0.1', '127.3.2.1', '::1', '::ffff:127.0.0.1', '']) {
    for (let i = 0; i < 5; i++) open.add(address);
    assert.equal(open.isCrowded(address), address === '');
  }
});

test('all addresses of one IPv6 network count as one, and so does IPv4 in either spelling', () => {
  assert.equal(networkOf('2001:db8:1:2::1'), networkOf('2001:db8:1:2:ffff:ffff:ffff:ffff'));
  assert.equal(networkOf('2001:db8::1'), '2001:db8:0:0::/64');
  assert.notEqual(networkOf('2001:db8:1:2::1'), networkOf('2001:db8:1:3::1'));
  assert.equal(networkOf('::1'), '0:0:0:0::/64');
  assert.equal(networkOf('fe80::1%eth0'), 'fe80:0:0:0::/64');
  assert.equal(networkOf('::ffff:192.0.2.1'), networkOf('192.0.2.1'));
  assert.notEqual(networkOf('192.0.2.1'), networkOf('192.0.2.2'));
});
