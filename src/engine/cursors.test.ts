import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench, STARTS } from '../../test/engine/bench.ts';

const at = (partition: number, offset: number) => ({ cursor: 'c', topic: 't', partition, offset });

for (const [from, how] of STARTS) {
  test(`what open transactions will move and what is deleted of a cursor is known from ${from}`, async () => {
    const bench = await new EngineBench().start();
    let { session } = bench;
    await session.request('declareTopic', { name: 't', kind: 'topic', policy: { partitions: 3 } });
    await session.commit({ publishes: [], settlements: [], cursors: [at(0, 1), at(1, 2)] });
    await assert.rejects(session.request('deleteCursor', { cursor: 'c', partition: 0 }), { code: 'INVALID' });
    const of = { cursor: 'c', topic: 't' };
    assert.deepEqual(await session.request('deleteCursor', { ...of, partition: 0 }), { deleted: 1 });
    assert.deepEqual(await session.request('deleteCursor', { ...of, partition: 0 }), { deleted: 0 });
    for (const producer of ['aborts', 'is claimed again', 'commits']) {
      const ref = await session.request('claimProducer', { producer });
      await session.request('beginTransaction', ref);
      await session.request('addToTransaction', { ...ref, cursors: [at(1, 9), at(2, 9)] });
      if (producer === 'aborts') await session.request('endTransaction', { ...ref, outcome: 'aborted' });
      if (producer === 'is claimed again') await session.request('claimProducer', { producer });
    }
    await bench.restart(how);
    ({ session } = bench);

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
