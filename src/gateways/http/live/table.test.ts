import assert from 'node:assert/strict';
import { test } from 'node:test';
import { queue } from '../../../../test/queue-stats.ts';
import type { SubscriptionStats, TopicStats } from '../../../core/stats.ts';
import { type LiveRow, LiveTable } from './table.ts';

function look(table: LiveTable, at: number, ...topics: TopicStats[]) {
  const { add, end } = table.begin(at);
  for (const topic of topics) add(topic);
  return end();
}

function rowsSince(table: LiveTable, since: number): LiveRow[] {
  return (table.changes(since)?.rows ?? []).map((text) => {
    const sent = JSON.parse(text) as LiveRow | string;
    return typeof sent === 'string' ? { name: sent, kind: 'queue', subscriptions: [] } : sent;
  });
}

test('a queue that was never used is its name and nothing else', () => {
  const table = new LiveTable();
  look(table, 1_000, queue('a'));
  assert.deepEqual(table.changes(0)?.rows, ['"a"']);
});

test('a queue of which there is anything to say is a row, also when that is a name', () => {
  const said: [Partial<SubscriptionStats>, object][] = [
    [{ ready: 1 }, { messages: 1, subscriptions: [{ ready: 1 }] }],
    [{ paused: true }, { subscriptions: [{ paused: true }] }],
    [{ consumers: 2 }, { subscriptions: [{ consumers: 2 }] }],
    [{ acked: 3 }, { subscriptions: [{ acked: 3 }] }],
    [{ delivered: 3 }, { subscriptions: [{ delivered: 3 }] }],
    [{ expired: 3 }, { subscriptions: [{ expired: 3 }] }],
    [{ deadLettered: 3 }, { subscriptions: [{ deadLettered: 3 }] }],
    [{ deadLetterQueue: 'lost' }, { subscriptions: [{ deadLetterQueue: 'lost' }] }],
    [{ subscription: 'other', deadLetterQueue: 'a.dead' }, { subscriptions: [{ name: 'other' }] }],
  ];
  for (const [of, shown] of said) {
    const table = new LiveTable();
    look(table, 1_000, queue('a', of));
    assert.deepEqual(rowsSince(table, 0), [{ name: 'a', kind: 'queue', ...shown }]);
  }
});

test('whoever has seen a look is told what changed since, however many looks that are', () => {
  const table = new LiveTable();
  look(table, 1_000, queue('a'), queue('b'), queue('c'));
  const seen = table.look;
  look(table, 2_000, queue('a', { ready: 1 }), queue('b'), queue('c'));
  look(table, 3_000, queue('a', { ready: 1 }), queue('b'));
  const changes = table.changes(seen);
  assert.deepEqual(
    rowsSince(table, seen).map(({ name }) => name),
    ['a'],
  );
  assert.deepEqual(changes?.gone, ['c']);
  assert.deepEqual(table.changes(table.look), { rows: [], gone: [] });
});

test('a rate is what was counted between two looks, and goes back to nothing', () => {
  const table = new LiveTable();
  look(table, 1_000, queue('a', { acked: 5, published: 10 }));
  assert.equal(rowsSince(table, 0)[0]?.in, undefined);
  look(table, 3_000, queue('a', { acked: 8, published: 30 }));
  assert.equal(rowsSince(table, 0)[0]?.in, 10);
  assert.equal(rowsSince(table, 0)[0]?.subscriptions[0]?.out, 1.5);
  const seen = table.look;
  look(table, 4_000, queue('a', { acked: 8, published: 30 }));
  assert.equal(rowsSince(table, seen).length, 1);
  assert.equal(rowsSince(table, seen)[0]?.in, undefined);
});

test('counts that begin anew, as after a restart, are no negative rate', () => {
  const table = new LiveTable();
  look(table, 1_000, queue('a', { published: 100 }));
  look(table, 2_000, queue('a', { published: 3 }));
  assert.equal(rowsSince(table, 0)[0]?.in, undefined);
});

test('totals tell dead letters from what waits for a consumer', () => {
  const table = new LiveTable();
  const totals = look(
    table,
    1_000,
    queue('a', { ready: 2, leased: 1, consumers: 1, oldestAt: 700 }),
    queue('a.dead', { ready: 5, oldestAt: 100, deadLetterQueue: 'a.dead' }),
    queue('b', { delayed: 4, oldestAt: 900 }),
  );
  const { ready, delayed, leased, deadLetters, oldestAt, consumers, queues } = totals;
  assert.deepEqual(
    { ready, delayed, leased, deadLetters, oldestAt, consumers, queues },
    { ready: 2, delayed: 4, leased: 1, deadLetters: 5, oldestAt: 700, consumers: 1, queues: 3 },
  );
});

test('a name that would be a member of every object is a name', () => {
  const table = new LiveTable();
  look(table, 1_000, queue('__proto__', { ready: 1 }));
  assert.equal(rowsSince(table, 0)[0]?.name, '__proto__');
});

test('whoever has missed more deletions than are remembered begins anew', () => {
  const table = new LiveTable();
  const many = Array.from({ length: 10_001 }, (_, i) => queue(`q${i}`));
  look(table, 1_000, ...many);
  const seen = table.look;
  look(table, 2_000, queue('other'));
  look(table, 3_000);
  assert.equal(table.changes(seen), null);
  assert.deepEqual(table.changes(0), { rows: [], gone: [] });
});
