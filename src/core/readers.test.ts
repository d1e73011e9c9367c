import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from './auth.ts';
import { ManualClock } from './clock.ts';
import { readersOf } from './readers.ts';
import { SeededRandom } from './random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from './records.ts';
import { Broker } from '../engine/broker.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';

test('the lag of a reader is what it may still read, by partition', async () => {
  const disk = new MemoryDisk();
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
  });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  for (const name of ['events', 'other'])
    await session.request('declareTopic', { name, kind: 'topic', policy: { partitions: 2 } });
  const writer = new RecordBatchWriter();
  for (let i = 0; i < 5; i++) writer.append({}, 'x');
  const { bytes: records } = writer.take();
  await session.publish({ to: { topic: 'events' }, format: FORMAT_NATIVE, records, count: 5, partition: 1 });
  assert.deepEqual(await readersOf(session, 'events'), []);
  const commit = (cursor: string, topic: string, partition: number, offset: number) =>
    session.commit({ publishes: [], settlements: [], cursors: [{ cursor, topic, partition, offset }] });
  await commit('b', 'events', 1, 2);
  await commit('a', 'events', 0, 0);
  await commit('c', 'other', 0, 0);
  assert.deepEqual(await readersOf(session, 'events'), [
    { cursor: 'a', lag: 0, partitions: [{ partition: 0, offset: 0, end: 0, lag: 0 }] },
    { cursor: 'b', lag: 3, partitions: [{ partition: 1, offset: 2, end: 5, lag: 3 }] },
  ]);
  await broker.close();
});
