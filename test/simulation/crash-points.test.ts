import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, test } from 'node:test';
import { CANARIES } from './canary.ts';
import { crashEverywhere } from './crash-points.ts';
import { inThread } from './share.ts';

const STATES = 200_000;

describe('crashes of the whole broker', () => {
  // The two halves of the seeds run side by side.
  test(`${STATES.toLocaleString('en')} disks that crashes left are all started from, and hold what was promised`, async (t) => {
    const threads = Math.min(2, availableParallelism());
    const reports = await Promise.all(
      Array.from({ length: threads }, (_, i) =>
        inThread({ kind: 'crash-points', from: 1 + i, step: threads, states: STATES / threads }),
      ),
    );
    const states = reports.reduce((sum, report) => sum + report.states, 0);
    const seeds = reports.reduce((sum, report) => sum + report.seeds, 0);
    assert.deepEqual(
      reports.flatMap(({ problems }) => problems),
      [],
    );
    assert.ok(states >= STATES, `${states} states`);
    t.diagnostic(`${states.toLocaleString('en')} crash states of ${seeds} scripts, each opened and checked`);
  });

  test('the same seed gives the same run, call by call', async () => {
    for (const seed of [3, 11]) {
      const options = { seed, steps: 60, variants: 0 };
      const [one, two] = [await crashEverywhere(options), await crashEverywhere(options)];
      assert.ok(one.trace.length > 100);
      assert.equal(one.trace, two.trace);
    }
  });

  test('a bug on purpose is found: a journal that confirms before the sync is done', async () => {
    const wrapJournal = CANARIES['confirms before the sync is done'];
    assert.ok(wrapJournal !== undefined);
    const { problems } = await crashEverywhere({ seed: 1, steps: 80, variants: 3, wrapJournal });
    assert.match(problems.join('\n'), /lost: /);
  });
});
