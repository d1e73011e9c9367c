import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

function open(disk: MemoryDisk): Promise<Broker> {
  return FileBlobs.open(disk).then((blobs) =>
    Broker.open({
      journal: new FileJournal(disk, { segmentBytes: 64 << 10, segments: 4, maxBatchBytes: 24 << 10 }),
      blobs,
      clock: new ManualClock(),
      random: new SeededRandom(1),
      limits: { checkpointBytes: 32 << 10, coldBlockBytes: 4 << 10 },
    }),
  );
}

test('a start that finds no whole checkpoint, and not all of the journal, refuses and says which is damaged', async () => {
  const disk = new MemoryDisk();
  const broker = await open(disk);
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  for (let i = 0; i < 200; i++) {
    const writer = new RecordBatchWriter();
    writer.append({}, `${i} ${'x'.repeat(2000)}`);
    await session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records: writer.take().bytes, count: 1 });
  }
  await broker.close();
  const names = (await disk.list()).map(({ name }) => name).filter((name) => name.startsWith('checkpoint-'));
  assert.ok(names.length > 0);
  for (const name of names) disk.flip(name, 99);
  const files = (await disk.list()).length;
  await assert.rejects(open(disk), (error) => {
    assert.ok(RailheadError.is(error, 'JOURNAL_CORRUPT'), String(error));
    for (const name of names) assert.ok(error.message.includes(name.replace('.blob', '')), error.message);
    return true;
  });
  assert.equal((await disk.list()).length, files, 'nothing is removed');
});
