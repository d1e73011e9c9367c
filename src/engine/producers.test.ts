import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench } from '../../test/engine/bench.ts';
import { records } from '../../test/engine/records.ts';

function keyed(...keys: string[]): ReturnType<typeof records> {
  return records(...keys.map((key) => ({ key, headers: { to: key }, text: key })));
}

const places = (runs: { partition: number; offset: number; count: number }[]): string[] =>
  runs.flatMap(({ partition, offset, count }) => Array.from({ length: count }, (_, i) => `${partition}/${offset + i}`));

test('a batch that was split over partitions and is sent again, after a crash too, is stored once and told where', async () => {
  const bench = await new EngineBench().start();
  await bench.session.request('declareTopic', { name: 'q', kind: 'queue', policy: { partitions: 4 } });
  const request = { to: { topic: 'q' }, ...keyed('a', 'b', 'c', 'd', 'a', 'c'), producer: { id: 'p', sequence: 10 } };
  const first = await bench.session.publish(request);
  assert.ok(new Set(first.runs.map(({ partition }) => partition)).size > 1);
  await bench.start(bench.disk.crash(bench.random));
  const again = await bench.session.publish(request);
  assert.ok(again.runs.every(({ duplicate }) => duplicate === true));
  assert.deepEqual(places(again.runs), places(first.runs));
});

test('a batch whose records a router sends different ways is stored whole, and once', async () => {
  const { session } = await new EngineBench().start();
  await session.request('declareRouter', { name: 'r', type: 'headers' });
  for (const name of ['a', 'b', 'all']) await session.request('declareTopic', { name, kind: 'queue' });
  for (const to of ['a', 'b']) {
    const match = { headers: { to }, mode: 'all' as const };
    await session.request('bind', { router: 'r', binding: { key: '', match, filter: null, to: { topic: to } } });
    await session.request('bind', { router: 'r', binding: { key: '', match, filter: null, to: { topic: 'all' } } });
  }
  const request = {
    to: { router: 'r', key: '' },
    ...keyed('a', 'b', 'a', 'a', 'b'),
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
  const { session } = await new EngineBench().start();
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
  const { refused } = await session.publish({ to: { router: 'r', key: '' }, ...keyed('a', 'b', 'c', 'd') });
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
