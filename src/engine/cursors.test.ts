import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import type { Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

async function open(disk: MemoryDisk): Promise<{ broker: Broker; session: Session }> {
  const broker = await Broker.open({ journal: new FileJournal(disk), blobs: await FileBlobs.open(disk) });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  return { broker, session };
}

const at = (partition: number, offset: number) => ({ cursor: 'c', topic: 't', partition, offset });

for (const how of ['the journal alone', 'a checkpoint'] as const) {
  test(`what open transactions will move and what is deleted of a cursor is known from ${how}`, async () => {
    const disk = new MemoryDisk();
    const first = await open(disk);
    await first.session.request('declareTopic', { name: 't', kind: 'topic', policy: { partitions: 3 } });
    await first.session.commit({ publishes: [], settlements: [], cursors: [at(0, 1), at(1, 2)] });
    await assert.rejects(first.session.request('deleteCursor', { cursor: 'c', partition: 0 }), { code: 'INVALID' });
    const of = { cursor: 'c', topic: 't' };
    assert.deepEqual(await first.session.request('deleteCursor', { ...of, partition: 0 }), { deleted: 1 });
    assert.deepEqual(await first.session.request('deleteCursor', { ...of, partition: 0 }), { deleted: 0 });
    for (const producer of ['aborts', 'is claimed again', 'commits']) {
      const ref = await first.session.request('claimProducer', { producer });
      await first.session.request('beginTransaction', ref);
      await first.session.request('addToTransaction', { ...ref, cursors: [at(1, 9), at(2, 9)] });
      if (producer === 'aborts') await first.session.request('endTransaction', { ...ref, outcome: 'aborted' });
      if (producer === 'is claimed again') await first.session.request('claimProducer', { producer });
    }
    if (how === 'a checkpoint') await first.broker.checkpoint();
    await first.broker.settled();

    const { session } = await open(disk.clone());
    const pending = [1, 2].map((partition) => ({ topic: 't', partition }));
    const { partitions, ...rest } = await session.request('fetchCursors', { cursor: 'c' });
    assert.deepEqual(
      partitions.map(({ partition, offset }) => [partition, offset]),
      [[1, 2]],
    );
    assert.deepEqual(rest, { pending });
    assert.deepEqual((await session.request('fetchCursors', { cursor: 'another' })).pending, undefined);
    const { producerId, epoch } = await session.request('describeProducer', { producer: 'commits' });
    await session.request('endTransaction', { producer: 'commits', producerId, epoch, outcome: 'committed' });
    const after = await session.request('fetchCursors', { cursor: 'c', topic: 't' });
    assert.deepEqual(
      [after.partitions.map(({ partition, offset }) => [partition, offset]), after.pending],
      [
        [
          [1, 9],
          [2, 9],
        ],
        undefined,
      ],
    );
  });
}
