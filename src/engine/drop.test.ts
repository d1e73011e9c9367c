import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

test('an id that is named twice, or that another drop names at the same time, is dropped and counted once', async () => {
  const disk = new MemoryDisk();
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
  });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  const writer = new RecordBatchWriter();
  writer.append({}, 'one');
  await session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records: writer.take().bytes, count: 1 });
  const ref = { topic: 'q', subscription: 'q' };
  const { messages } = await session.request('peek', ref);
  const ids = messages.flatMap(({ id }) => [id, id]);
  const results = await Promise.all([
    session.request('drop', { ...ref, ids }),
    session.request('drop', { ...ref, ids }),
  ]);
  assert.deepEqual(
    results.map(({ dropped }) => dropped),
    [1, 0],
  );
});
