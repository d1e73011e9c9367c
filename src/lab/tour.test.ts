import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import type { Stage } from './chapter.ts';
import { Screen } from './screen.ts';
import { type NumberedChapter, Tour, type TourResult } from './tour.ts';

type Run = (stage: Stage) => Promise<void> | void;

/** A tour of chapters that start no processes. */
async function take(...runs: Run[]): Promise<TourResult & { text: string; pauses: number }> {
  let text = '';
  let pauses = 0;
  const chapters = runs.map((run, index): NumberedChapter => ({
    number: index + 1,
    title: `Chapter ${index + 1}`,
    needs: [],
    load: async () => async (stage) => run(stage),
  }));
  const tour = new Tour(new Screen({ write: (more: string) => (text += more) }, false));
  const result = await tour.run(chapters, async () => void pauses++);
  return { ...result, text, pauses };
}

test('a tour whose checks hold has no failures', async () => {
  const { checks, failures, text } = await take(({ check }) => check('one is one', true));
  assert.deepEqual({ checks, failures }, { checks: 1, failures: [] });
  assert.match(text, /Everything held: 1 chapter, 1 check/);
});

test('a check that does not hold is a failure, said where it happened and at the end', async () => {
  const { failures, text } = await take(({ check }) => check('one is two', false, '1 and 2'));
  assert.deepEqual(failures, ['chapter 1: one is two (1 and 2)']);
  assert.match(text, /✗ FAILED: one is two · 1 and 2/);
  assert.match(text, /✗ 1 check failed/);
});

test('a chapter that breaks is a failure, and the next one runs', async () => {
  let ran = false;
  const { failures } = await take(
    () => Promise.reject(new Error('the broker did not start')),
    () => void (ran = true),
  );
  assert.deepEqual(failures, ['chapter 1: the chapter runs to its end (the broker did not start)']);
  assert.ok(ran);
});

test('what a chapter opened is closed in the opposite order, also after a failure of one', async () => {
  const closed: string[] = [];
  const { failures } = await take(({ after }) => {
    after(() => closed.push('first'));
    after(() => Promise.reject(new Error('stuck')));
    after(() => closed.push('last'));
    throw new Error('broken');
  });
  assert.deepEqual(closed, ['last', 'first']);
  assert.equal(failures.length, 2);
});

test('every chapter has an empty directory of its own, which is gone afterwards', async () => {
  const dirs: string[] = [];
  const note: Run = ({ dir }) => {
    assert.ok(existsSync(dir));
    dirs.push(dir);
  };
  const { failures } = await take(note, note);
  assert.deepEqual(failures, []);
  assert.equal(new Set(dirs).size, 2);
  assert.ok(dirs.every((dir) => !existsSync(dir)));
});

test('the pause comes between chapters, not before the first or after the last', async () => {
  const nothing: Run = () => undefined;
  assert.equal((await take(nothing, nothing, nothing)).pauses, 2);
});
