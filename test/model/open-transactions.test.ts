import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runOpenTransactions } from './open-transactions.ts';

test('open transactions do what arrays do, over timeouts, fencing, restarts and power cuts', async (t) => {
  const sequences = await runOpenTransactions(250, 20261122);
  assert.ok(sequences >= 250);
  t.diagnostic(`${sequences} sequences of commands`);
});
