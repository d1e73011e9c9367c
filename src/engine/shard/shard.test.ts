import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../core/clock.ts';
import { SeededRandom } from '../../core/random.ts';
import { FileBlobs } from '../../storage/blobs.ts';
import { FileJournal } from '../../storage/journal/file-journal.ts';
import { MemoryDisk } from '../../storage/memory/memory-disk.ts';
import { withDefaults } from '../limits.ts';
import { Shard } from './shard.ts';

test('after a flush nothing gathers, also when an append leads to the next decision', async () => {
  const disk = new MemoryDisk();
  const shard = new Shard({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
    limits: withDefaults(),
    defer: (turn) => void setImmediate(turn),
    onFailure: (error) => assert.fail(error),
  });
  await shard.recover(0);
  await shard.settled();
  const decide = (): number => shard.record({ type: 'routerGone', namespace: 'default', name: 'r' });
  // As the undertaker does: the body is in memory once the batch was appended, so the dead letter is published at once.
  let left = 3;
  shard.afterAppend = () => {
    if (left-- > 0) decide();
  };
  decide();
  shard.flush();
  let written = false;
  shard.gate.hold({ sequence: shard.sequence, release: () => (written = true), fail: () => {} }, 'write');
  assert.ok(written);
  assert.ok(left < 0);
  await shard.close();
});
