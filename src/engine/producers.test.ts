import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

async function open(disk: MemoryDisk): Promise<Session> {
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
  });
  return broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
}

function keyed(keys: readonly string[]): { format: number; records: Uint8Array; count: number } {
  const writer = new RecordBatchWriter();
  for (const key of keys) writer.append({ key, headers: { to: key } }, key);
  const { bytes, count } = writer.take();
  return { format: FORMAT_NATIVE, records: bytes, count };
}

const places = (runs: { partition: number; offset: number; count: number }[]): string[] =>
  runs.flatMap(({ partition, offset, count }) => Array.from({ length: count }, (_, i) => `${partition}/${offset + i}`));

test('a batch that was split over partitions and is sent again, after a crash too, is stored once and told where', async () => {
  const disk = new MemoryDisk();
  const session = await open(disk);
  await session.request('declareTopic', { name: 'q', kind: 'queue', policy: { partitions: 4 } });
  const request = { to: { topic: 'q' }, ...keyed(['a', 'b', 'c', 'd', 'a', 'c']), producer: { id: 'p', sequence: 10 } };
  const first = await session.publish(request);
  assert.ok(new Set(first.runs.map(({ partition }) => partition)).size > 1);
  const again = await (await open(disk.crash(new SeededRandom(1)))).publish(request);
  assert.ok(again.runs.every(({ duplicate }) => duplicate === true));
  assert.deepEqual(places(again.runs), places(first.runs));
});

test('a batch whose records a router sends different ways is stored whole, and once', async () => {
  const disk = new MemoryDisk();
  const session = await open(disk);
  await session.request('declareRouter', { name: 'r', type: 'headers' });
  for (const name of ['a', 'b', 'all']) await session.request('declareTopic', { name, kind: 'queue' });
  for (const to of ['a', 'b']) {
    const match = { headers: { to }, mode: 'all' as const };
    await session.request('bind', { router: 'r', binding: { key: '', match, filter: null, to: { topic: to } } });
    await session.request('bind', { router: 'r', binding: { key: '', match, filter: null, to: { topic: 'all' } } });
  }
  const request = {
    to: { router: 'r', key: '' },
    ...keyed(['a', 'b', 'a', 'a', 'b']),
    producer: { id: 'p', sequence: 0 },
  };
  const depths = async (): Promise<number[]> => {
    const { topics } = await session.request('allStats', {});
    return topics.map(({ messages }) => messages);
  };
  await session.publish(request);
  assert.deepEqual(await depths(), [3, 5, 2]);
  const again = await session.publish(request);
  assert.ok(again.runs.every(({ duplicate }) => duplicate === true));
  assert.deepEqual(await depths(), [3, 5, 2]);
});

test('of a batch through a router a full queue takes what it has room for, and the receipt names the others', async () => {
  const session = await open(new MemoryDisk());
  await session.request('declareRouter', { name: 'r', type: 'fanout' });
  for (const [name, maxMessages] of [
    ['two', 2],
    ['three', 3],
  ] as const) {
    await session.request('declareTopic', { name, kind: 'queue', policy: { maxMessages, overflow: 'reject' } });
    await session.request('bind', {
      router: 'r',
      binding: { key: '', match: null, filter: null, to: { topic: name } },
    });
  }
  const { refused } = await session.publish({ to: { router: 'r', key: '' }, ...keyed(['a', 'b', 'c', 'd']) });
  assert.deepEqual(
    refused?.map(({ index, count }) => [index, count]),
    [
      [2, 1],
      [3, 1],
      [3, 1],
    ],
  );
  const { topics } = await session.request('allStats', {});
  assert.deepEqual(
    topics.map(({ name, messages }) => `${name} ${messages}`),
    ['three 3', 'two 2'],
  );
});
