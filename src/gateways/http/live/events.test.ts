import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../core/clock.ts';
import { EventStream, eventText } from './events.ts';

async function* endless(made: string[]): AsyncGenerator<string> {
  for (let n = 0; ; n++) {
    made.push(String(n));
    yield eventText('n', String(n));
  }
}

test('events are made as fast as they are read and no faster', async () => {
  const made: string[] = [];
  const { readable } = new EventStream(endless(made), { clock: new ManualClock(), stuckMs: 60_000, done: () => {} });
  const reader = readable.getReader();
  for (let i = 0; i < 3; i++) await reader.read();
  await new Promise(setImmediate);
  assert.ok(made.length <= 5, `${made.length} events were made for 3 that were read`);
  await reader.cancel();
});

test('who takes nothing for a minute is cut off, once', async () => {
  const clock = new ManualClock();
  let ends = 0;
  const { readable } = new EventStream(endless([]), { clock, stuckMs: 60_000, done: () => ends++ });
  const reader = readable.getReader();
  await reader.read();
  await new Promise(setImmediate);
  clock.advance(59_000);
  assert.equal(ends, 0);
  clock.advance(2_000);
  assert.equal(ends, 1);
  await assert.rejects(async () => {
    for (;;) await reader.read();
  });
  assert.equal(ends, 1);
});

test('a failure within ends the stream without a word of it', async () => {
  async function* failing(): AsyncGenerator<string> {
    yield 'event: a\ndata: 1\n\n';
    throw new Error('a secret');
  }
  let ends = 0;
  const { readable } = new EventStream(failing(), { clock: new ManualClock(), stuckMs: 60_000, done: () => ends++ });
  assert.equal(await new Response(readable).text(), 'event: a\ndata: 1\n\n');
  assert.equal(ends, 1);
});
