import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench, STARTS } from '../../test/engine/bench.ts';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import type { CursorCommit } from '../core/session.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { ShardSession } from './session.ts';

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

const commit = (session: ShardSession, ...cursors: CursorCommit[]): Promise<unknown> =>
  session.commit({ publishes: [], settlements: [], cursors });

async function placesOf(session: ShardSession, cursor = 'c'): Promise<string> {
  const { partitions } = await session.request('fetchCursors', { cursor });
  return partitions.map(({ topic, partition, offset }) => `${topic}${partition}=${offset}`).join(' ');
}

const FULL = { code: 'TOO_LARGE', message: /"default" has 3 committed offsets; allowed are 3\..*limits\.cursors/ };

for (const [from, how] of STARTS)
  test(`a namespace has no more committed offsets than maxCursors, which move and make room when they go, also from ${from}`, async () => {
    const bench = await new EngineBench({ limits: { maxCursors: 3 } }).start();
    const policy = { partitions: 9 };
    for (const name of ['t', 'gone']) await bench.session.request('declareTopic', { name, kind: 'topic', policy });
    await commit(bench.session, at(0, 1), at(1, 1), { ...at(0, 1), cursor: 'd', topic: 'gone' });
    for (const start of ['once', 'again']) {
      if (start === 'again') await bench.restart(how);
      const { session } = bench;
      await assert.rejects(commit(session, at(2, 1)), FULL);
      await assert.rejects(commit(session, at(0, 5), { ...at(0, 5), cursor: 'e' }), FULL);
      assert.equal(await placesOf(session), 't0=1 t1=1', 'nothing of what is refused is done');
    }
    const { session } = bench;
    await commit(session, at(0, 2), at(1, 2), at(0, 3));
    assert.equal(await placesOf(session), 't0=3 t1=2');
    const elsewhere = bench.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'other' });
    await elsewhere.request('declareTopic', { name: 't', kind: 'topic' });
    await commit(elsewhere, at(0, 1));
    // What is of a topic goes with it, also for who starts from here.
    await session.request('deleteTopic', { name: 'gone' });
    await commit(session, at(2, 1));
    await bench.restart(how);
    await assert.rejects(commit(bench.session, at(3, 1)), FULL);
    await bench.session.request('deleteCursor', { cursor: 'c', topic: 't', partition: 1 });
    await commit(bench.session, at(3, 1));
    await assert.rejects(commit(bench.session, at(1, 1)), FULL);
    await bench.session.request('deleteCursor', { cursor: 'c' });
    await commit(bench.session, at(4, 1), at(5, 1), at(6, 1));
    assert.equal(await placesOf(bench.session), 't4=1 t5=1 t6=1');
  });

for (const [from, how] of STARTS)
  test(`what open transactions will commit has its place among the committed offsets, also from ${from}`, async () => {
    const bench = await new EngineBench({ limits: { maxCursors: 3 } }).start();
    await bench.session.request('declareTopic', { name: 't', kind: 'topic', policy: { partitions: 9 } });
    await commit(bench.session, at(0, 1));
    const refs = new Map<string, { producer: string; producerId: number; epoch: number }>();
    for (const producer of ['a', 'b']) {
      const ref = await bench.session.request('claimProducer', { producer });
      refs.set(producer, { producer, producerId: ref.producerId, epoch: ref.epoch });
      await bench.session.request('beginTransaction', ref);
    }
    const add = (producer: string, ...cursors: CursorCommit[]): Promise<unknown> => {
      const ref = refs.get(producer);
      assert.ok(ref);
      return bench.session.request('addToTransaction', { ...ref, cursors });
    };
    const end = (producer: string, outcome: 'committed' | 'aborted'): Promise<unknown> => {
      const ref = refs.get(producer);
      assert.ok(ref);
      return bench.session.request('endTransaction', { ...ref, outcome });
    };
    const refused = { code: 'TOO_LARGE', message: /limits\.cursors/ };
    await add('a', at(0, 7), at(1, 7));
    await add('b', at(1, 8), at(2, 8));
    await bench.restart(how);
    await assert.rejects(commit(bench.session, at(3, 1)), refused);
    await assert.rejects(add('b', at(3, 8)), refused);
    // Those have a place already, each only one.
    await commit(bench.session, at(1, 2), at(2, 2));
    await add('a', at(2, 7));
    await end('a', 'committed');
    assert.equal(await placesOf(bench.session), 't0=7 t1=7 t2=7');
    await bench.session.request('deleteCursor', { cursor: 'c', topic: 't', partition: 2 });
    await assert.rejects(commit(bench.session, at(3, 1)), refused);
    await end('b', 'aborted');
    await commit(bench.session, at(3, 1));
    await assert.rejects(commit(bench.session, at(4, 1)), refused);
  });

test('a journal with more committed offsets than are allowed by now is read, and they move and go', async () => {
  const before = await new EngineBench({ limits: { maxCursors: 5 } }).start();
  await before.session.request('declareTopic', { name: 't', kind: 'topic', policy: { partitions: 9 } });
  await commit(before.session, ...[0, 1, 2, 3, 4].map((partition) => at(partition, 1)));
  for (const how of ['journal', 'checkpoint'] as const) {
    await before.broker.settled();
    if (how === 'checkpoint') await before.broker.checkpoint();
    const { session } = await new EngineBench({ limits: { maxCursors: 2 } }).start(before.disk.clone());
    assert.equal(await placesOf(session), 't0=1 t1=1 t2=1 t3=1 t4=1');
    await commit(session, at(0, 9), at(4, 9));
    await assert.rejects(commit(session, at(5, 1)), { code: 'TOO_LARGE', message: /has 5 .* allowed are 2/ });
    for (const partition of [0, 1, 2, 3]) await session.request('deleteCursor', { cursor: 'c', topic: 't', partition });
    await commit(session, at(5, 1));
    assert.equal(await placesOf(session), 't4=9 t5=1');
  }
});

test('the name of a cursor has 1 to maxNameBytes bytes', async () => {
  const { session } = await new EngineBench().start();
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  const { maxNameBytes } = DEFAULT_LIMITS;
  await commit(session, { ...at(0, 1), cursor: 'x'.repeat(maxNameBytes) });
  for (const cursor of ['', 'x'.repeat(maxNameBytes + 1), 'é'.repeat(maxNameBytes / 2 + 1)])
    await assert.rejects(commit(session, { ...at(0, 1), cursor }), { code: 'INVALID', message: /1 to 255/ });
});
