import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

async function open(disk: MemoryDisk): Promise<Broker> {
  return Broker.open({ journal: new FileJournal(disk), blobs: await FileBlobs.open(disk) });
}

const admin = { principal: LOCAL_PRINCIPAL, namespace: 'default' };

for (const how of ['the journal alone', 'a checkpoint'] as const) {
  test(`documents and the new alternate of a router are found again from ${how}`, async () => {
    const disk = new MemoryDisk();
    let broker = await open(disk);
    let session = broker.connect(admin);
    for (const value of ['1', '2']) await session.request('putDocument', { kind: 'k', name: 'a', value });
    await session.request('putDocument', { kind: 'k', name: 'gone', value: '3' });
    await session.request('deleteDocument', { kind: 'k', name: 'gone' });
    await session.request('putDocument', { kind: 'other', name: 'a', value: '4' });
    await session.request('declareRouter', { name: 'r', type: 'topic' });
    await session.request('declareRouter', { name: 'r', type: 'topic', alternate: 'x', ifDifferent: 'update' });
    if (how === 'a checkpoint') {
      await broker.checkpoint();
      await broker.close();
    }
    broker = await open(how === 'a checkpoint' ? disk : disk.clone());
    session = broker.connect(admin);
    assert.deepEqual((await session.request('listDocuments', { kind: 'k' })).documents, [
      { kind: 'k', name: 'a', value: '2' },
    ]);
    assert.equal((await session.request('describeRouter', { name: 'r' })).alternate, 'x');
    assert.deepEqual([...broker.documents('default').of('other').keys()], ['a']);
    assert.deepEqual([...broker.documents('elsewhere').of('other').keys()], []);
    await broker.close();
  });
}

test('documents have bounds, and take the right admin', async () => {
  const broker = await open(new MemoryDisk());
  const session = broker.connect(admin);
  await assert.rejects(session.request('putDocument', { kind: 'k', name: 'n', value: 'x'.repeat(70_000) }), {
    code: 'TOO_LARGE',
  });
  const grants = [{ namespace: 'default', resource: '*', actions: ['configure' as const, 'inspect' as const] }];
  const other = broker.connect({ principal: { name: 'ann', grants }, namespace: 'default' });
  await assert.rejects(other.request('putDocument', { kind: 'k', name: 'n', value: 'x' }), { code: 'FORBIDDEN' });
  await assert.rejects(other.request('listDocuments', { kind: 'k' }), { code: 'FORBIDDEN' });
  await broker.close();
});
