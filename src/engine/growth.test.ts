import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

async function open(disk: MemoryDisk): Promise<{ broker: Broker; session: Session }> {
  const broker = await Broker.open({ journal: new FileJournal(disk), blobs: await FileBlobs.open(disk) });
  return { broker, session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) };
}

const PLACE = { topic: 't', subscription: 's' };
const UNTIL_SETTLED = { untilSettled: true, ageMs: null, bytes: null, compact: false };

async function publish(session: Session, keys: readonly string[], partition?: number): Promise<[number, number][]> {
  const writer = new RecordBatchWriter();
  for (const key of keys) writer.append({ key }, key);
  const { runs } = await session.publish({
    to: { topic: 't' },
    format: FORMAT_NATIVE,
    records: writer.take().bytes,
    count: keys.length,
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

for (const how of ['the journal alone', 'a checkpoint'] as const) {
  test(`the partitions that a topic has got are read by those who read it before, from ${how}`, async () => {
    const disk = new MemoryDisk();
    const first = await open(disk);
    const policy = { retain: UNTIL_SETTLED };
    await first.session.request('declareTopic', { name: 't', kind: 'topic', policy });
    await first.session.request('declareSubscription', PLACE);
    await publish(first.session, ['a', 'b']);
    await first.session.request('createSnapshot', { ...PLACE, snapshot: 'before' });
    const got: [number, number][] = [];
    const consumer = await first.session.consume(
      { ...PLACE, lease: 'session', autoAck: true },
      {
        deliver: (runs) => void got.push(...runs.map(({ partition, count }): [number, number] => [partition, count])),
        ended: () => {},
      },
    );
    assert.equal((await grow(first.session, 3)).definition.policy.partitions, 3);
    if (how === 'a checkpoint') await first.broker.checkpoint();
    assert.deepEqual(await publish(first.session, ['c'], 2), [[2, 0]]);
    consumer.credit(10);
    await first.broker.settled();
    assert.deepEqual(
      got.sort(([a], [b]) => a - b),
      [
        [0, 2],
        [2, 1],
      ],
    );
    await consumer.close();
    await publish(first.session, ['d'], 1);
    if (how === 'a checkpoint') await first.broker.checkpoint();
    await first.broker.settled();

    const { session } = await open(disk.clone());
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
  const { session } = await open(new MemoryDisk());
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
  const { session } = await open(new MemoryDisk());
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
