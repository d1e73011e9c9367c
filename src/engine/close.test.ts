import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

test('a broker that closes hands nothing to a session that is about to be closed', async () => {
  const disk = new MemoryDisk();
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    // The disk in memory answers as soon.
    defer: queueMicrotask,
  });
  const session = (): ReturnType<Broker['connect']> =>
    broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const [first, second] = [session(), session()];
  await first.request('declareTopic', { name: 'q', kind: 'queue' });
  const writer = new RecordBatchWriter();
  writer.append({}, 'm');
  const { bytes: records, count } = writer.take();
  await first.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records, count });
  const taken: string[] = [];
  for (const [name, one] of [
    ['first', first],
    ['second', second],
  ] as const) {
    const sink = { deliver: () => void taken.push(name), ended: () => {} };
    const consumer = await one.consume({ topic: 'q', subscription: 'q', lease: 'session' }, sink);
    consumer.credit(1);
    await broker.settled();
  }
  // Giving this up takes the first session a while.
  await first.body({ topic: 'q' }, 1000);
  await broker.close();
  assert.deepEqual(taken, ['first']);
});

test('a broker whose last checkpoint finds no room closes its journal all the same', async () => {
  const disk = new MemoryDisk();
  let journalIsClosed = false;
  const failures: string[] = [];
  class WatchedJournal extends FileJournal {
    override async close(): Promise<void> {
      await super.close();
      journalIsClosed = true;
    }
  }
  const broker = await Broker.open({
    journal: new WatchedJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    onFailure: ({ code }) => void failures.push(code),
  });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  await broker.settled();
  disk.failAt('create', 1, 'ENOSPC');
  await broker.close();
  assert.equal(failures.length, 1);
  assert.ok(journalIsClosed);
});
