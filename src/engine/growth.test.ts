import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Session } from '../core/session.ts';
import { EngineBench, STARTS } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';
import { records } from '../../test/engine/records.ts';

const PLACE = { topic: 't', subscription: 's' };
const UNTIL_SETTLED = { untilSettled: true, ageMs: null, bytes: null, compact: false };

async function publish(session: Session, keys: readonly string[], partition?: number): Promise<[number, number][]> {
  const { runs } = await session.publish({
    to: { topic: 't' },
    ...records(...keys.map((key) => ({ key, text: key }))),
    ...(partition !== undefined && { partition }),
  });
  return runs.map((run) => [run.partition, run.offset]);
}

async function grow(session: Session, partitions: number, ifDifferent: 'update' | 'keep' | 'error' = 'update') {
  return session.request('declareTopic', { name: 't', kind: 'topic', policy: { partitions }, ifDifferent });
}

/** Everything that waits for the subscription, by partition. */
async function depths(session: Session): Promise<number[]> {
  const { messages } = await session.request('peek', { ...PLACE, limit: 100 });
  const depths = [0, 0, 0];
  for (const { id } of messages) {
    const partition = Number.parseInt(id.split('.')[1] ?? '', 36);
    depths[partition] = (depths[partition] ?? 0) + 1;
  }
  return depths;
}

for (const [from, how] of STARTS) {
  test(`the partitions that a topic has got are read by those who read it before, from ${from}`, async () => {
    const bench = await new EngineBench().start();
    let { session } = bench;
    const policy = { retain: UNTIL_SETTLED };
    await session.request('declareTopic', { name: 't', kind: 'topic', policy });
    await session.request('declareSubscription', PLACE);
    await publish(session, ['a', 'b']);
    await session.request('createSnapshot', { ...PLACE, snapshot: 'before' });
    const got = new Collector();
    const consumer = await session.consume({ ...PLACE, lease: 'session', autoAck: true }, got);
    assert.equal((await grow(session, 3)).definition.policy.partitions, 3);
    if (how === 'checkpoint') await bench.broker.checkpoint();
    assert.deepEqual(await publish(session, ['c'], 2), [[2, 0]]);
    consumer.credit(10);
    await bench.broker.settled();
    assert.deepEqual(
      got.runs.map(({ partition, count }) => [partition, count]).sort(([a = 0], [b = 0]) => a - b),
      [
        [0, 2],
        [2, 1],
      ],
    );
    await consumer.close();
    await publish(session, ['d'], 1);
    await bench.restart(how);
    ({ session } = bench);
    assert.deepEqual(await depths(session), [0, 1, 0]);
    await session.request('seek', { ...PLACE, to: { snapshot: 'before' } });
    assert.deepEqual(await depths(session), [2, 1, 1], 'to a snapshot, what came later has not been settled');
    const { partitions } = await session.request('topicStats', { name: 't' });
    assert.deepEqual(
      partitions.map(({ end }) => end),
      [2, 1, 1],
    );
  });
}

test('keys of a topic that has grown go where they would in a topic of the new size', async () => {
  const { session } = await new EngineBench().start();
  const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`);
  const partitionsOf = async (): Promise<number[]> => {
    const placed: number[] = [];
    for (const key of keys) placed.push((await publish(session, [key]))[0]?.[0] ?? -1);
    return placed;
  };
  await session.request('declareTopic', { name: 't', kind: 'topic', policy: { partitions: 4 } });
  const wanted = await partitionsOf();
  assert.equal(new Set(wanted).size, 4);
  await session.request('deleteTopic', { name: 't' });
  await session.request('declareTopic', { name: 't', kind: 'topic', policy: { partitions: 2 } });
  assert.equal(new Set(await partitionsOf()).size, 2);
  await grow(session, 4);
  assert.deepEqual(await partitionsOf(), wanted);
});

test('a topic grows when that is asked for, and never shrinks', async () => {
  const { session } = await new EngineBench().start();
  await session.request('declareTopic', { name: 't', kind: 'topic', policy: { partitions: 2 } });
  await assert.rejects(grow(session, 3, 'error'), { code: 'POLICY_MISMATCH' });
  const kept = await grow(session, 3, 'keep');
  assert.deepEqual([kept.updated, kept.definition.policy.partitions], [false, 2]);
  await assert.rejects(publish(session, ['a'], 2), { code: 'INVALID' });
  assert.equal((await grow(session, 3)).updated, true);
  for (const how of ['update', 'error'] as const)
    await assert.rejects(grow(session, 2, how), { code: 'POLICY_MISMATCH', message: /another structure/ });
  assert.equal((await grow(session, 1, 'keep')).definition.policy.partitions, 3);
  await assert.rejects(grow(session, 1025), { code: 'INVALID' });
});
