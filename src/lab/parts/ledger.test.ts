import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ledger, readLedger } from './ledger.ts';
import { expectedOf, someOrders } from './orders.ts';

test('a deed is written down once, also when the process dies in between', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'railhead-ledger-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, 'payments.ledger');
  const charge = { deed: 'charged', order: 'order-1', item: 'lamp', price: 30 } as const;
  const first = new Ledger(file);
  assert.equal(first.once(charge), true);
  assert.equal(first.once(charge), false);
  first.close();
  const second = new Ledger(file);
  t.after(() => second.close());
  assert.equal(second.once(charge), false);
  assert.equal(second.once({ ...charge, deed: 'refunded' }), true);
  assert.deepEqual(
    readLedger(file).map(({ deed }) => deed),
    ['charged', 'refunded'],
  );
});

test('among the orders of the lab is one for every way that a saga can end', () => {
  const ways = new Set(someOrders(10).map((order) => expectedOf(order).deeds.join(' ')));
  assert.deepEqual(
    ways,
    new Set(['', 'reserved released', 'reserved charged shipped', 'reserved charged refunded released']),
  );
});
