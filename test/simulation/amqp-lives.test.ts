import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { amqpLives } from './amqp-lives.ts';
import { CANARIES } from './canary.ts';

describe('life after life of one broker, over AMQP', () => {
  test('confirmed messages come through every crash, nothing else does, and what comes again is marked', async (t) => {
    const sum = { confirmed: 0, delivered: 0, redelivered: 0, lives: 0, faults: 0 };
    for (let seed = 1; seed <= 12; seed++) {
      const report = await amqpLives({ seed, lives: 5, steps: 150 });
      assert.deepEqual(report.problems, [], `seed ${seed}`);
      for (const key of ['confirmed', 'delivered', 'redelivered', 'lives', 'faults'] as const) sum[key] += report[key];
    }
    t.diagnostic(JSON.stringify(sum));
    assert.ok(sum.confirmed > 1000 && sum.redelivered > 100 && sum.faults > 5, JSON.stringify(sum));
  });

  test('the same seed gives the same lives over AMQP, step by step', async () => {
    const [one, two] = [
      await amqpLives({ seed: 3, lives: 2, steps: 100 }),
      await amqpLives({ seed: 3, lives: 2, steps: 100 }),
    ];
    assert.ok(one.trace.length > 200);
    assert.deepEqual(one.trace, two.trace);
  });

  for (const [name, wrapJournal] of Object.entries(CANARIES)) {
    test(`a bug on purpose is found over AMQP: a journal that ${name}`, async () => {
      const problems: string[] = [];
      for (let seed = 1; seed <= 60 && problems.length === 0; seed++) {
        const report = await amqpLives({ seed, lives: 5, steps: 150, wrapJournal }).catch((error: unknown) => ({
          problems: [String(error)],
        }));
        problems.push(...report.problems);
      }
      assert.ok(problems.length > 0);
    });
  }
});
