import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BROKEN_BROKERS, CANARIES } from '../../simulation/canary.ts';
import { kafkaLives, type KafkaLivesOptions } from './lives.ts';

const SHAPE = { lives: 4, steps: 400 };

/** Until a seed has a problem. */
async function problemsOf(seeds: number, more: Partial<KafkaLivesOptions> = {}): Promise<string[]> {
  for (let seed = 1; seed <= seeds; seed++) {
    const { problems } = await kafkaLives({ seed, ...SHAPE, ...more }).catch((error: unknown) => ({
      problems: [String(error)],
    }));
    if (problems.length > 0) return problems;
  }
  return [];
}

describe('life after life of one broker, over the protocol of Kafka', () => {
  test('what was acknowledged is there once and in order, transactions are whole, offsets stay, and a copy is exact', async (t) => {
    const sum: Record<string, number> = {};
    // In the last of them the disk fails.
    for (const seed of [1, 2, 3, 6]) {
      const { problems, counts, transactions, acknowledged, commits, faults } = await kafkaLives({ seed, ...SHAPE });
      assert.deepEqual(problems, [], `seed ${seed}`);
      for (const [key, count] of Object.entries({ ...counts, ...transactions, acknowledged, commits, faults }))
        sum[key] = (sum[key] ?? 0) + count;
    }
    t.diagnostic(JSON.stringify(sum));
    for (const key of ['resent', 'fenced', 'timed out', 'copied', 'aborted', 'committed', 'dead', 'asked', 'faults'])
      assert.ok((sum[key] ?? 0) > 0, `no ${key}: ${JSON.stringify(sum)}`);
    assert.ok((sum['acknowledged'] ?? 0) > 500 && (sum['commits'] ?? 0) > 50, JSON.stringify(sum));
  });

  test('the same seed gives the same lives over Kafka, step by step', async () => {
    const one = await kafkaLives({ seed: 3, lives: 2, steps: 400 });
    const two = await kafkaLives({ seed: 3, lives: 2, steps: 400 });
    assert.ok(one.trace.length > 600);
    assert.deepEqual(one.trace, two.trace);
  });

  for (const [name, wrapJournal] of Object.entries(CANARIES))
    test(`a bug on purpose is found over Kafka: a journal that ${name}`, async () => {
      assert.notDeepEqual(await problemsOf(40, { wrapJournal }), []);
    });

  test('a bug on purpose is found over Kafka: a broker that does not remember which transactions were aborted', async () => {
    const mend = BROKEN_BROKERS['does not remember which transactions were aborted']?.();
    assert.ok(mend);
    try {
      assert.match((await problemsOf(40)).join('\n'), /reader of what is committed got/);
    } finally {
      mend();
    }
  });
});
