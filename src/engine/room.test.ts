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
    const writer = new RecordBatchWriter();
    writer.append({}, 'x'.repeat(1000));
    const { bytes: records, count } = writer.take();
    await session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records, count, waitMs: 0 }).then(
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
