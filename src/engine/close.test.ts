import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { EngineBench } from '../../test/engine/bench.ts';

test('a broker that closes hands nothing to a session that is about to be closed', async () => {
  // The disk in memory answers as soon.
  const bench = await new EngineBench({ defer: queueMicrotask }).start();
  const [first, second] = [bench.session, bench.connect()];
  await first.request('declareTopic', { name: 'q', kind: 'queue' });
  await bench.send('q', 'm');
  const taken: string[] = [];
  for (const [name, one] of [
    ['first', first],
    ['second', second],
  ] as const) {
    const sink = { deliver: () => void taken.push(name), ended: () => {} };
    const consumer = await one.consume({ topic: 'q', subscription: 'q', lease: 'session' }, sink);
    consumer.credit(1);
    await bench.broker.settled();
  }
  // Giving this up takes the first session a while.
  await first.body({ topic: 'q' }, 1000);
  await bench.broker.close();
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
  const bench = new EngineBench({ onFailure: ({ code }) => void failures.push(code) });
  const { broker, session } = await bench.start(disk, new WatchedJournal(disk));
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  await broker.settled();
  disk.failAt('create', 1, 'ENOSPC');
  await broker.close();
  assert.equal(failures.length, 1);
  assert.ok(journalIsClosed);
});
