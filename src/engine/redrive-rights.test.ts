import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Grant } from '../core/auth.ts';
import type { Session } from '../core/session.ts';
import { EngineBench } from '../../test/engine/bench.ts';

test('a redrive to another queue takes the right to publish there', async () => {
  const bench = await new EngineBench().start();
  for (const name of ['orders.dead', 'payments']) await bench.session.request('declareTopic', { name, kind: 'queue' });
  const as = (...resources: string[]): Session => {
    const grants = resources.map((resource): Grant => ({ namespace: 'default', resource, actions: ['publish'] }));
    return bench.connect({ name: 'ann', grants });
  };
  const redrive = { topic: 'orders.dead', subscription: 'orders.dead', to: 'payments' };
  await assert.rejects(as('orders.dead').request('redrive', redrive), { code: 'FORBIDDEN' });
  assert.equal((await as('orders.dead', 'payments').request('redrive', redrive)).state, 'done');
  await bench.broker.close();
});
