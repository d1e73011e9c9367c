import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ModelReport, NOTHING_YET, runGroupModel } from './group-model.ts';

const SEEDS = 12;
const FROM = Number(process.env.SEED ?? 1);

test('a group of the newer protocol shares out each partition once, whatever members, answers, time and topics do', async (t) => {
  const sum: ModelReport = { ...NOTHING_YET };
  for (let seed = FROM; seed < FROM + SEEDS; seed++) {
    try {
      const report = await runGroupModel(seed, 160);
      for (const key of Object.keys(sum) as (keyof ModelReport)[]) sum[key] += report[key];
    } catch (error) {
      throw new Error(`SEED=${seed}`, { cause: error });
    }
  }
  t.diagnostic(JSON.stringify(sum));
  for (const key of Object.keys(sum) as (keyof ModelReport)[]) assert.ok(sum[key] > 0, `no ${key}`);
});
