import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Exposition } from './exposition.ts';
import { SeriesGroup } from './series.ts';
import { Slices } from './slices.ts';

interface Row {
  name: string;
  depth: number;
  done: number;
}

function group(limit: number): (rows: Row[]) => Promise<string[]> {
  const series = new SeriesGroup<Row>({
    columns: [
      { name: 'depth', type: 'gauge', help: 'Depth.', of: ({ depth }) => depth },
      { name: 'age', type: 'gauge', help: 'Age.', together: 'max', of: ({ depth }) => depth * 10 },
      { name: 'done_total', type: 'counter', help: 'Done.', of: ({ done }) => done },
    ],
    key: ({ name }) => name,
    isBlank: ({ depth, done }) => depth === 0 && done === 0,
    labels: ({ name }) => ({ queue: name }),
    rank: ({ depth }) => depth,
    limit,
    other: { queue: 'other' },
  });
  return async (rows) => {
    const out = new Exposition();
    const found = series.finder();
    for (const each of rows) found.add(each);
    await series.write(out, found, new Slices());
    const lines = out.text().trim().split('\n');
    return lines.filter((line) => !line.startsWith('#'));
  };
}

function row(name: string, depth: number, done: number): Row {
  return { name, depth, done };
}

test('up to the limit each has series of its own and there is no other', async () => {
  assert.deepEqual(await group(2)([row('a', 1, 5), row('b', 2, 6)]), [
    'depth{queue="a"} 1',
    'depth{queue="b"} 2',
    'age{queue="a"} 10',
    'age{queue="b"} 20',
    'done_total{queue="a"} 5',
    'done_total{queue="b"} 6',
  ]);
});

test('beyond it the fullest have their own, and the rest is one: sums, and the greatest age', async () => {
  assert.deepEqual(await group(1)([row('a', 1, 5), row('b', 9, 6), row('c', 3, 7)]), [
    'depth{queue="b"} 9',
    'depth{queue="other"} 4',
    'age{queue="b"} 90',
    'age{queue="other"} 30',
    'done_total{queue="b"} 6',
    'done_total{queue="other"} 12',
  ]);
});

test('counters of other only grow, by what was counted while somebody was in it', async () => {
  const look = group(1);
  const other = async (rows: Row[]): Promise<number> => {
    const line = (await look(rows)).find((each) => each.startsWith('done_total{queue="other"}'));
    return Number(line?.split(' ')[1]);
  };
  assert.equal(await other([row('a', 5, 1_000), row('b', 1, 10)]), 10);
  // They change places: what `a` had counted before is not of the others.
  assert.equal(await other([row('a', 0, 1_003), row('b', 9, 20)]), 13);
  // The one that was in it is gone, and there are not too many any more.
  assert.equal(await other([row('b', 9, 30)]), 13);
});

test('among equals the first ones keep their series', async () => {
  const lines = await group(2)([row('a', 0, 0), row('b', 0, 0), row('c', 0, 0)]);
  assert.deepEqual(
    lines.filter((line) => line.startsWith('depth')),
    ['depth{queue="a"} 0', 'depth{queue="b"} 0', 'depth{queue="other"} 0'],
  );
});

test('where some are as full as the last that fits, the first of them fits', async () => {
  const lines = await group(2)([row('a', 5, 0), row('b', 7, 0), row('c', 5, 0), row('d', 5, 0), row('e', 0, 0)]);
  assert.deepEqual(
    lines.filter((line) => line.startsWith('depth')),
    ['depth{queue="a"} 5', 'depth{queue="b"} 7', 'depth{queue="other"} 10'],
  );
});

test('one that has nothing to count, or has nothing any more, changes nothing of the others', async () => {
  const look = group(1);
  const others = async (rows: Row[]): Promise<string[]> => (await look(rows)).filter((line) => line.includes('other'));
  const blank = Array.from({ length: 40 }, (_, i) => row(`blank-${i}`, 0, 0));
  assert.deepEqual(await others([row('a', 9, 1), ...blank]), [
    'depth{queue="other"} 0',
    'age{queue="other"} 0',
    'done_total{queue="other"} 0',
  ]);
  assert.deepEqual((await others([row('a', 9, 1), ...blank, row('b', 2, 3)])).at(-1), 'done_total{queue="other"} 3');
  assert.deepEqual((await others([row('a', 9, 1), ...blank, row('b', 0, 8)])).at(-1), 'done_total{queue="other"} 8');
  assert.deepEqual((await others([row('a', 9, 1), ...blank])).at(-1), 'done_total{queue="other"} 8');
});

test('looks at one time are counted one after the other', async () => {
  const look = group(0);
  const results = await Promise.all([look([row('a', 1, 5)]), look([row('a', 1, 5)]), look([row('a', 1, 7)])]);
  assert.deepEqual(
    results.map((lines) => lines.at(-1)),
    ['done_total{queue="other"} 5', 'done_total{queue="other"} 5', 'done_total{queue="other"} 7'],
  );
});
