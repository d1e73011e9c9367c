import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from './turns.ts';

test('changes of one thing follow each other, also after one that failed, and others do not wait for them', async () => {
  const turns = new Turns();
  const done: string[] = [];
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  const first = turns.take('a', async () => {
    await held;
    done.push('first');
    throw new Error('failed');
  });
  const second = turns.take('a', () => Promise.resolve(done.push('second')));
  await turns.take('b', () => Promise.resolve(done.push('other')));
  const third = turns.take('a', () => Promise.resolve(done.push('third')));
  assert.deepEqual(done, ['other']);
  letGo();
  await assert.rejects(first, /failed/);
  await Promise.all([second, third]);
  assert.deepEqual(done, ['other', 'first', 'second', 'third']);
});
