import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

async function open(disk: MemoryDisk): Promise<Broker> {
  return Broker.open({ journal: new FileJournal(disk), blobs: await FileBlobs.open(disk) });
}

const admin = { principal: LOCAL_PRINCIPAL, namespace: 'default' };

async function publish(session: Session, topic: string, count: number): Promise<void> {
  const writer = new RecordBatchWriter();
  for (let i = 0; i < count; i++) writer.append({}, String(i));
  await session.publish({ to: { topic }, format: FORMAT_NATIVE, records: writer.take().bytes, count });
}

for (const how of ['the journal alone', 'a checkpoint'] as const) {
  test(`a topic that was trimmed begins where it did, for readers and subscriptions, from ${how}`, async () => {
    const disk = new MemoryDisk();
    let broker = await open(disk);
    let session = broker.connect(admin);
    await session.request('declareTopic', { name: 't', kind: 'topic' });
    await session.request('declareSubscription', { topic: 't', subscription: 's' });
    await publish(session, 't', 5);
    assert.deepEqual(await session.request('trimTopic', { topic: 't', partition: 0, before: 3 }), { start: 3 });
    assert.deepEqual(await session.request('trimTopic', { topic: 't', partition: 0, before: 1 }), { start: 3 });
    if (how === 'a checkpoint') {
      await broker.checkpoint();
      await broker.close();
    }
    broker = await open(how === 'a checkpoint' ? disk : disk.clone());
    session = broker.connect(admin);
    const { start, end, runs } = await session.request('read', { topic: 't', from: 'start' });
    assert.deepEqual([start, end, runs[0]?.offset], [3, 5, 3]);
    assert.equal((await session.request('subscriptionStats', { topic: 't', subscription: 's' })).depth, 2);
    await broker.close();
  });
}

test('a trim behind the end, of a queue, or without the right to manage is refused', async () => {
  const broker = await open(new MemoryDisk());
  const session = broker.connect(admin);
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  await publish(session, 't', 2);
  const trim = { topic: 't', partition: 0, before: 2 };
  await assert.rejects(session.request('trimTopic', { ...trim, before: 3 }), { code: 'OFFSET_OUT_OF_RANGE' });
  await assert.rejects(session.request('trimTopic', { ...trim, partition: 1 }), { code: 'INVALID' });
  await assert.rejects(session.request('trimTopic', { ...trim, topic: 'q', before: 0 }), { code: 'INVALID' });
  const grants = [{ namespace: 'default', resource: '*', actions: ['consume' as const, 'publish' as const] }];
  const other = broker.connect({ principal: { name: 'ann', grants }, namespace: 'default' });
  await assert.rejects(other.request('trimTopic', trim), { code: 'FORBIDDEN' });
  await broker.close();
});

test('a trim stops where an open transaction begins', async () => {
  const broker = await open(new MemoryDisk());
  const session = broker.connect(admin);
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  await publish(session, 't', 2);
  const transaction = await session.request('claimProducer', { producer: 'p' });
  await session.request('beginTransaction', transaction);
  const writer = new RecordBatchWriter();
  writer.append({}, 'x');
  const records = writer.take().bytes;
  await session.publish({ to: { topic: 't' }, format: FORMAT_NATIVE, records, count: 1, transaction });
  assert.deepEqual(await session.request('trimTopic', { topic: 't', partition: 0, before: 3 }), { start: 2 });
  await broker.close();
});
