import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Calm } from '../../benches/harness/calm.ts';

/** A machine of which so much is stolen while each piece of work is done: shares, in turn. */
function machine(...shares: number[]) {
  const ticks = { asked: 0, stolen: 0 };
  let done = 0;
  const calm = new Calm(() => ({ ...ticks }));
  const work = (): Promise<number> => {
    ticks.asked += 1000;
    ticks.stolen += 1000 * (shares[done] ?? 0);
    return Promise.resolve(done++);
  };
  return { measure: () => calm.measure(work), note: () => calm.note(), done: () => done };
}

test('what is measured on a calm machine counts, and there is nothing to say', async () => {
  const { measure, note } = machine(0, 0.02);
  assert.deepEqual([await measure(), await measure()], [0, 1]);
  assert.equal(note(), undefined);
});

test('what was disturbed is measured again', async () => {
  const { measure, note } = machine(0.5, 0.1, 0);
  assert.equal(await measure(), 2);
  assert.match(note() ?? '', /^2 measurements were thrown away.*; of the 1 that count, up to 0 %\.$/);
  assert.equal(note(), undefined);
});

test('on a machine that is never calm each is measured as often as any other, and the calmest counts', async () => {
  const { measure, note, done } = machine(0.5, 0.3, 0.4, 0.6, 0.2, 0.2, 0.7, 0.8, 0.7);
  assert.deepEqual([await measure(), await measure(), await measure()], [1, 4, 6]);
  assert.equal(done(), 9);
  assert.match(note() ?? '', /^6 measurements were thrown away.*of the 3 that count, up to 70 %\.$/);
});
