import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../core/clock.ts';
import { Heartbeat } from './heartbeat.ts';

function start(): { clock: ManualClock; heartbeat: Heartbeat; events: string[] } {
  const clock = new ManualClock();
  const events: string[] = [];
  const heartbeat = new Heartbeat({
    clock,
    intervalMs: 10_000,
    beat: () => events.push('beat'),
    dead: () => events.push('dead'),
  });
  return { clock, heartbeat, events };
}

test('beats once an interval, and a peer that is silent for three is dead, once', () => {
  const { clock, events } = start();
  clock.advance(29_999);
  assert.deepEqual(events, ['beat', 'beat']);
  clock.advance(1);
  assert.deepEqual(events, ['beat', 'beat', 'dead']);
  clock.advance(100_000);
  assert.equal(events.length, 3);
  assert.equal(clock.nextTimer(), undefined);
});

test('anything received starts the count anew', () => {
  const { clock, heartbeat, events } = start();
  for (let i = 0; i < 10; i++) {
    clock.advance(20_000);
    heartbeat.received();
  }
  assert.equal(events.includes('dead'), false);
});

test('the silence of a peer that we do not read from is not counted', () => {
  const { clock, heartbeat, events } = start();
  heartbeat.suspended = true;
  clock.advance(100_000);
  assert.equal(events.includes('dead'), false);
  assert.equal(events.length, 10);
  heartbeat.suspended = false;
  clock.advance(30_000);
  assert.equal(events.at(-1), 'dead');
});

test('stop ends the timer', () => {
  const { clock, heartbeat, events } = start();
  heartbeat.stop();
  clock.advance(100_000);
  assert.deepEqual(events, []);
});
