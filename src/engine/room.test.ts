import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { DeliveryRun } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

const encode = (text: string): { format: number; records: Uint8Array; count: number } => {
  const writer = new RecordBatchWriter();
  writer.append({}, text);
  const { bytes: records, count } = writer.take();
  return { format: FORMAT_NATIVE, records, count };
};

test('what people and producers ask of a broker does not fill a commit log that cannot grow', async () => {
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  const broker = await Broker.open({
    journal: new FileJournal(disk, { segmentBytes: 64 << 10, segments: 8 }),
    blobs: await FileBlobs.open(disk),
    clock,
    random: new SeededRandom(1),
  });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  await session.request('putSchedule', { name: 's', cron: '* * * * * *', topic: 'q', record: encode('tick').records });
  const ref = await session.request('claimProducer', { producer: 'p' });
  await broker.settled();
  disk.capacityBytes = disk.usedBytes;
  const outcomes = new Set<string>();
  const note = (done: Promise<unknown>): Promise<unknown> =>
    done.then(
      () => outcomes.add('done'),
      (error: unknown) => outcomes.add(RailheadError.is(error) ? error.code : String(error)),
    );
  const waiting: Promise<unknown>[] = [];
  for (let i = 0; i < 1500; i++) {
    clock.advance(1000);
    await note(session.request('beginTransaction', ref));
    await note(session.request('createSnapshot', { topic: 'q', subscription: 'q', snapshot: `s${i}` }));
    // These wait for room.
    waiting.push(note(session.request('endTransaction', { ...ref, outcome: 'aborted' })));
    waiting.push(note(session.request(i % 2 === 0 ? 'pause' : 'resume', { topic: 'q', subscription: 'q' })));
    waiting.push(
      note(
        session.commit({
          publishes: [],
          settlements: [],
          cursors: [{ cursor: 'c', topic: 'q', partition: 0, offset: i }],
        }),
      ),
    );
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(broker.health().state, 'open');
  assert.ok(outcomes.has('OUT_OF_SPACE') && outcomes.has('done'), [...outcomes].join());
  disk.capacityBytes = Infinity;
  for (let i = 0; i < 100; i++) {
    clock.advance(100);
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(waiting);
  await session.publish({ to: { topic: 'q' }, ...encode('as new') });
});

test('a commit log that cannot grow beyond its first segments refuses publishers before it refuses consumers', async () => {
  const disk = new MemoryDisk();
  // What consumers leave of the full size, an eighth of 32 segments, is more than the two that there is room for.
  const limits = { consumerReservedShare: 1 / 8, reservedShare: 1 / 4 };
  const journal = new FileJournal(disk, { segmentBytes: 64 << 10, segments: 32 });
  disk.capacityBytes = 160 << 10;
  const broker = await Broker.open({
    journal,
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
    limits,
  });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  let sent = 0;
  let refused: unknown;
  while (refused === undefined && sent < 1000) {
    await session.publish({ to: { topic: 'q' }, ...encode('x'.repeat(1000)), waitMs: 0 }).then(
      () => sent++,
      (error: unknown) => (refused = error),
    );
  }
  assert.ok(RailheadError.is(refused, 'OUT_OF_SPACE') && sent > 20, `${sent} sent, then ${String(refused)}`);
  const got: DeliveryRun[] = [];
  const sink = { deliver: (runs: DeliveryRun[]) => void got.push(...runs), ended: () => {} };
  const consumer = await session.consume({ topic: 'q', subscription: 'q', lease: 'session' }, sink);
  consumer.credit(sent);
  await broker.settled();
  const ranges = got.map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
  await session.settle([{ topic: 'q', subscription: 'q', ranges, action: 'ack' }]);
  assert.equal((await session.request('subscriptionStats', { topic: 'q', subscription: 'q' })).depth, 0);
});
