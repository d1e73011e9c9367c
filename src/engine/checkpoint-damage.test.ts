import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RailheadError } from '../core/errors.ts';
import { EngineBench } from '../../test/engine/bench.ts';

test('a start that finds no whole checkpoint, and not all of the journal, refuses and says which is damaged', async () => {
  const bench = await new EngineBench(
    { limits: { checkpointBytes: 32 << 10, coldBlockBytes: 4 << 10 } },
    { segmentBytes: 64 << 10, segments: 4, maxBatchBytes: 24 << 10 },
  ).start();
  const { broker, disk, session } = bench;
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  for (let i = 0; i < 200; i++) await bench.send('q', `${i} ${'x'.repeat(2000)}`);
  await broker.close();
  const names = (await disk.list()).map(({ name }) => name).filter((name) => name.startsWith('checkpoint-'));
  assert.ok(names.length > 0);
  for (const name of names) disk.flip(name, 99);
  const files = (await disk.list()).length;
  await assert.rejects(bench.start(), (error) => {
    assert.ok(RailheadError.is(error, 'JOURNAL_CORRUPT'), String(error));
    for (const name of names) assert.ok(error.message.includes(name.replace('.blob', '')), error.message);
    return true;
  });
  assert.equal((await disk.list()).length, files, 'nothing is removed');
});
