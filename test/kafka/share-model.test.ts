import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOTHING_SHARED, runShareModel, type ShareModelReport } from './share-model.ts';

const SEEDS = 16;
const FROM = Number(process.env.SEED ?? 1);

test('no record of a share group is with two members, or comes again once it is done, whatever answers, locks and members do', async (t) => {
  const sum: ShareModelReport = { ...NOTHING_SHARED };
  for (let seed = FROM; seed < FROM + SEEDS; seed++) {
    try {
      const report = await runShareModel(seed, 200);
      for (const key of Object.keys(sum) as (keyof ShareModelReport)[]) sum[key] += report[key];
    } catch (error) {
      throw new Error(`SEED=${seed}`, { cause: error });
    }
  }
  t.diagnostic(JSON.stringify(sum));
  for (const key of Object.keys(sum) as (keyof ShareModelReport)[]) assert.ok(sum[key] > 0, `no ${key}`);
});
