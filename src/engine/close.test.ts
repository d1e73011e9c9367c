import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Position } from './ports.ts';
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

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

test('a broker that closes while messages die does nothing more from then on, whenever their bodies are read', async () => {
  let wait: Promise<void> | undefined;
  class SlowJournal extends FileJournal {
    override async read(position: Position, length: number): Promise<Buffer> {
      await wait;
      return super.read(position, length);
    }
  }
  // More than are buried at a time.
  const messages = 300;
  const filled = await new EngineBench().start();
  await filled.session.request('declareTopic', {
    name: 'q',
    kind: 'queue',
    policy: { ttlMs: 1000 },
    subscription: { deadLetterExpired: true },
  });
  await filled.send('q', ...Array.from({ length: messages }, (_, i) => `m${i}`));
  await filled.broker.close();
  for (let late = 0; late < 8; late++) {
    wait = undefined;
    const bench = new EngineBench();
    const disk = filled.disk.clone();
    await bench.start(disk, new SlowJournal(disk));
    const { promise, resolve: readOn } = Promise.withResolvers<void>();
    wait = promise;
    bench.clock.advance(1000);
    await turns(3);
    let isClosed = false;
    void bench.broker.close().then(() => (isClosed = true));
    await turns(late);
    readOn();
    await turns(100);
    assert.ok(isClosed, `bodies ${late} turns late`);
    const before = bench.broker.info().counters['turns'];
    await turns(10);
    assert.equal(bench.broker.info().counters['turns'], before, `it goes on, bodies ${late} turns late`);

    await bench.start(disk.clone());
    await bench.broker.settled();
    const stats = await bench.session.request('subscriptionStats', { topic: 'q.dead', subscription: 'q.dead' });
    assert.equal(stats.ready, messages, `bodies ${late} turns late`);
  }
});
