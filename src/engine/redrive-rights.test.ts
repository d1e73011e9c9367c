import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Grant, LOCAL_PRINCIPAL } from '../core/auth.ts';
import type { Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

test('a redrive to another queue takes the right to publish there', async () => {
  const disk = new MemoryDisk();
  const broker = await Broker.open({ journal: new FileJournal(disk), blobs: await FileBlobs.open(disk) });
  const admin = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  for (const name of ['orders.dead', 'payments']) await admin.request('declareTopic', { name, kind: 'queue' });
  const as = (...resources: string[]): Session => {
    const grants = resources.map((resource): Grant => ({ namespace: 'default', resource, actions: ['publish'] }));
    return broker.connect({ principal: { name: 'ann', grants }, namespace: 'default' });
  };
  const redrive = { topic: 'orders.dead', subscription: 'orders.dead', to: 'payments' };
  await assert.rejects(as('orders.dead').request('redrive', redrive), { code: 'FORBIDDEN' });
  assert.equal((await as('orders.dead', 'payments').request('redrive', redrive)).state, 'done');
  await broker.close();
});
