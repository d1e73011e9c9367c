import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { ManualClock } from '../../src/core/clock.ts';
import type { SubscriptionPolicy } from '../../src/core/policy.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { type Envelope, FORMAT_NATIVE, RecordBatchWriter } from '../../src/core/records.ts';
import type { DeliveryRun } from '../../src/core/session.ts';
import { Broker } from '../../src/engine/broker.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { canonical, stateOnDisk } from './replay.ts';

const SIZES = { segmentBytes: 16 << 20, segments: 8, maxBatchBytes: 4 << 20 };

function batch(count: number, envelope: (i: number) => Partial<Envelope>): { records: Uint8Array; count: number } {
  const writer = new RecordBatchWriter();
  for (let i = 0; i < count; i++) writer.append(envelope(i), 'x');
  return { records: writer.take().bytes, count };
}

/** Enough of each that some of its parts do not fit into one frame. */
const SHAPES: [string, number, Partial<SubscriptionPolicy>, (i: number) => Partial<Envelope>][] = [
  ['delayed', 6000, {}, (i) => ({ delayMs: 1000 + ((i * 7919) % 100_000) })],
  ['by key', 30_000, { order: 'key' }, (i) => ({ key: `key-${(i * 31) % 9000}` })],
  ['by priority', 300_000, { priorities: 10 }, (i) => ({ priority: (i * 7) % 10 })],
];

for (const [what, messages, subscription, envelope] of SHAPES) {
  test(`a large queue (${what}) that changes while its checkpoint is written is the same after a start`, async () => {
    const disk = new MemoryDisk();
    const broker = await Broker.open({
      journal: new FileJournal(disk, { ...SIZES, random: new SeededRandom(1) }),
      blobs: await FileBlobs.open(disk),
      clock: new ManualClock(),
      random: new SeededRandom(1),
      limits: { checkpointSliceBytes: 16 << 10 },
    });
    const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
    await session.request('declareTopic', { name: 'q', kind: 'queue', subscription });
    const publish = (count: number): Promise<unknown> =>
      session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, ...batch(count, envelope) });
    for (let sent = 0; sent < messages; sent += 1000) await publish(1000);

    const held: DeliveryRun[] = [];
    const sink = { deliver: (runs: DeliveryRun[]) => void held.push(...runs), ended: () => {} };
    const consumer = await session.consume({ topic: 'q', subscription: 'q', lease: 'timed' }, sink);
    const turns = broker.info().counters['turns'] ?? 0;
    let written = false;
    const isWritten = (): boolean => written;
    const checkpoint = broker.checkpoint().then(() => (written = true));
    while (!isWritten()) {
      consumer.credit(100);
      await publish(50);
      const ranges = held
        .splice(0, 50)
        .map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
      if (ranges.length > 0) await session.settle([{ topic: 'q', subscription: 'q', action: 'ack', ranges }]);
    }
    await checkpoint;
    assert.ok((broker.info().counters['turns'] ?? 0) - turns > 2, 'others had no turn while it was written');
    await broker.settled();
    assert.deepEqual(canonical(await stateOnDisk(disk.clone(), SIZES)), canonical(broker.state));
    await broker.close();
    assert.deepEqual(canonical(await stateOnDisk(disk.clone(), SIZES)), canonical(broker.state));
  });
}
