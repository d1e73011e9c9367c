import assert from 'node:assert/strict';
import { test } from 'node:test';
import { queue, surveyed } from '../../../../test/queue-stats.ts';
import type { TopicStats } from '../../../core/stats.ts';
import { History } from './history.ts';
import type { LiveTotals } from './totals.ts';

const LIMITS = { points: 4, namespaces: 3, subscriptions: 2 };

type Kept = LiveTotals & { at: number };

function look(history: History<Kept>, at: number, ...topics: TopicStats[]): void {
  lookAt(history, at, { default: topics });
}

function lookAt(history: History<Kept>, at: number, namespaces: Record<string, TopicStats[]>): void {
  const { add, end } = history.begin(at, (totals) => ({ ...totals, at }));
  for (const [namespace, topics] of Object.entries(namespaces))
    for (const stats of topics) add(surveyed(namespace, stats));
  end();
}

test('whoever looks first finds what was before: rates, depths and ages', () => {
  const history = new History<Kept>(LIMITS);
  look(history, 10_000, queue('a'));
  look(history, 20_000, queue('a', { published: 50, acked: 20, ready: 30, oldestAt: 15_000 }));
  look(history, 30_000, queue('a', { published: 55, acked: 50, leased: 5, oldestAt: 21_000 }));
  const shown = history.samples('default').map(({ at, in: published, out, ready, leased, oldestAt }) => ({
    at,
    in: published,
    out,
    ready,
    leased,
    oldestAt,
  }));
  assert.deepEqual(shown, [
    { at: 10_000, in: 0, out: 0, ready: 0, leased: 0, oldestAt: null },
    { at: 20_000, in: 5, out: 2, ready: 30, leased: 0, oldestAt: 15_000 },
    { at: 30_000, in: 0.5, out: 3, ready: 0, leased: 5, oldestAt: 21_000 },
  ]);
  assert.deepEqual(history.points('default', 'a', 'a'), [
    { at: 20_000, in: 5, out: 2, ready: 30, delayed: 0, leased: 0, oldestMs: 5_000 },
    { at: 30_000, in: 0.5, out: 3, ready: 0, delayed: 0, leased: 5, oldestMs: 9_000 },
  ]);
});

test('it is a ring, also for one that rests in between', () => {
  const history = new History<Kept>(LIMITS);
  look(history, 0, queue('a', { ready: 9 }));
  for (let at = 1; at <= 3; at++) look(history, at * 10_000, queue('a'));
  look(history, 40_000, queue('a', { ready: 1 }));
  look(history, 50_000, queue('a'));
  assert.deepEqual(
    history.points('default', 'a', 'a').map(({ at, ready }) => [at, ready]),
    [
      [20_000, 0],
      [30_000, 0],
      [40_000, 1],
      [50_000, 0],
    ],
  );
  assert.deepEqual(
    history.samples('default').map(({ at }) => at),
    [20_000, 30_000, 40_000, 50_000],
  );
});

test('the followed are those in which something happened last, and no more than the limit', () => {
  const history = new History<Kept>(LIMITS);
  const known = (): string[] => ['a', 'b', 'c'].filter((name) => history.points('default', name, name).length > 0);
  look(history, 10_000, queue('a', { ready: 1 }), queue('b', { ready: 1 }), queue('c', { ready: 1 }));
  assert.deepEqual(known(), ['a', 'b']);
  look(history, 20_000, queue('a'), queue('b', { ready: 1 }), queue('c'));
  look(history, 30_000, queue('a'), queue('b', { ready: 1 }), queue('c', { ready: 1 }));
  assert.deepEqual(known(), ['b', 'c']);
  for (let at = 4; at < 9; at++) look(history, at * 10_000, queue('a'), queue('b'), queue('c'));
  assert.deepEqual(known(), []);
});

test('dead letters count apart, and counts that begin anew are no negative rate', () => {
  const history = new History<Kept>(LIMITS);
  look(history, 10_000, queue('a', { published: 100 }));
  look(history, 20_000, queue('a', { published: 4 }), queue('a.dead', { ready: 3, published: 3 }));
  const last = history.samples('default').at(-1);
  assert.deepEqual([last?.in, last?.ready, last?.deadLetters], [0, 0, 3]);
});

test('each namespace has its own, as many as the limit, and goes with its last topic', () => {
  const history = new History<Kept>(LIMITS);
  lookAt(history, 10_000, { a: [queue('q', { ready: 1 })], b: [queue('q', { ready: 2 })], c: [queue('q')] });
  assert.deepEqual([history.samples('a')[0]?.ready, history.samples('b')[0]?.ready], [1, 2]);
  assert.deepEqual(history.samples('c'), []);
  lookAt(history, 20_000, { b: [queue('q')] });
  assert.deepEqual(history.samples('a'), []);
  assert.equal(history.samples('b').length, 2);
  assert.equal(history.samples('default').length, 2, 'there is something to see before there is a queue');
});
