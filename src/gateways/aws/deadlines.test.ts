import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../core/clock.ts';
import { Deadlines } from './deadlines.ts';

test('each wait ends when its time is over, however many others end before, after or never', () => {
  const clock = new ManualClock(0);
  const deadlines = new Deadlines(clock);
  const ended: string[] = [];
  const wait = (name: string, ms: number): (() => void) =>
    deadlines.in(ms, () => void ended.push(`${name} at ${clock.now()}`));
  wait('long', 20_000);
  wait('short', 1_000);
  const undone = wait('undone', 1_000);
  clock.advance(500);
  wait('short again', 1_000);
  undone();
  clock.advance(400);
  assert.deepEqual(ended, []);
  clock.advance(100);
  assert.deepEqual(ended, ['short at 1000']);
  clock.advance(500);
  wait('middle', 5_000);
  clock.advance(60_000);
  assert.deepEqual(ended, ['short at 1000', 'short again at 1500', 'middle at 6500', 'long at 20000']);
});
