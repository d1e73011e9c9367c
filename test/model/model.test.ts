import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runModel } from './run.ts';

test('queues, topics and transactions do what arrays and maps do, over restarts and power cuts', async (t) => {
  const sequences = await runModel(1500, 20261121, '+1');
  assert.ok(sequences >= 1500);
  t.diagnostic(`${sequences} sequences of commands`);
});
