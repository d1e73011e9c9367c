import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { DeliveryRun } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

test('consumers are listed with whose they are and what they hold, until they go', async () => {
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock,
    random: new SeededRandom(1),
  });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default', name: 'worker-7' });
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  const ref = { topic: 'q', subscription: 'q' };
  assert.deepEqual(await session.request('listConsumers', ref), { consumers: [] });

  const since = clock.now();
  const delivered: DeliveryRun[] = [];
  const sink = { deliver: (runs: DeliveryRun[]) => void delivered.push(...runs), ended: () => {} };
  const consumer = await session.consume({ ...ref, lease: 'session', name: 'a', priority: 2 }, sink);
  consumer.credit(5);
  const writer = new RecordBatchWriter();
  for (let i = 0; i < 2; i++) writer.append({}, 'x');
  await session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records: writer.take().bytes, count: 2 });
  await broker.settled();
  clock.advance(1_000);
  assert.deepEqual(await session.request('listConsumers', ref), {
    consumers: [
      {
        id: consumer.id,
        name: 'a',
        user: 'local',
        client: 'worker-7',
        inFlight: 2,
        credit: 3,
        priority: 2,
        exclusive: false,
        since,
      },
    ],
  });
  await consumer.close();
  assert.deepEqual(await session.request('listConsumers', ref), { consumers: [] });
  await broker.close();
});
