import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { DeliveryRun, Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

const ref = { topic: 'q', subscription: 'q' };

async function open(disk = new MemoryDisk()): Promise<{ disk: MemoryDisk; broker: Broker; session: Session }> {
  const broker = await Broker.open({
    journal: new FileJournal(disk, { segmentBytes: 64 << 10, segments: 8 }),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
    limits: { coldBlockBytes: 4 << 10 },
  });
  return { disk, broker, session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) };
}

function send(session: Session, count: number, size: number): Promise<unknown> {
  const writer = new RecordBatchWriter();
  for (let i = 0; i < count; i++) writer.append({}, 'x'.repeat(size));
  const { bytes: records } = writer.take();
  return session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records, count, atomic: true, waitMs: 0 });
}

async function take(broker: Broker, session: Session, credit: number): Promise<DeliveryRun[]> {
  const got: DeliveryRun[] = [];
  const sink = { deliver: (runs: DeliveryRun[]) => void got.push(...runs), ended: () => {} };
  const consumer = await session.consume({ ...ref, lease: 'timed' }, sink);
  consumer.credit(credit);
  await broker.settled();
  await consumer.close();
  return got;
}

test('of a batch that is settled in part only the rest counts for maxBytes', async () => {
  const { broker, session } = await open();
  await session.request('declareTopic', { name: 'q', kind: 'queue', policy: { maxBytes: 12_000 } });
  await send(session, 10, 1000);
  await assert.rejects(send(session, 2, 1000), { code: 'QUEUE_FULL' });
  const [run] = await take(broker, session, 10);
  assert.ok(run !== undefined);
  const { partition, offset, token } = run;
  // All but the first: the entry has to stay.
  await session.settle([{ ...ref, action: 'ack', ranges: [{ partition, offset: offset + 1, count: 9, token }] }]);
  await send(session, 10, 1000);
  await assert.rejects(send(session, 1, 1000), { code: 'QUEUE_FULL' });
});

test('one message that stays for long does not fill the queue with what was settled behind it', async () => {
  let { disk, broker, session } = await open();
  await session.request('declareTopic', { name: 'q', kind: 'queue', policy: { maxBytes: 12_000 } });
  await send(session, 1, 1000);
  await take(broker, session, 1);
  for (let i = 0; i < 100; i++) {
    if (i === 70) {
      await broker.checkpoint();
      ({ disk, broker, session } = await open(disk.clone()));
    }
    await send(session, 5, 1000);
    const got = await take(broker, session, 5);
    const ranges = got.map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
    await session.settle([{ ...ref, action: 'ack', ranges }]);
  }
  assert.ok(broker.state.blobs.counts.size > 0, 'nothing was reclaimed');
  await send(session, 10, 1000);
  await assert.rejects(send(session, 2, 1000), { code: 'QUEUE_FULL' });
});
