import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../../src/core/random.ts';
import { testBroker } from '../../../src/testing/index.ts';
import { play } from './actor.ts';
import { RABBITMQ_MISSING, startRabbitMq } from '../rabbitmq.ts';
import { compareMany, describeMismatch, firstMismatch, prove } from './compare.ts';
import { DIFFERENCES } from './differences.ts';
import { setPolicies } from './policies.ts';
import { PROOFS } from './proofs.ts';
import { REFUSALS } from './refusals.ts';
import { script } from './script.ts';

/**
 * Always the same: a script that nobody has seen yet may find something, and that is no reason for a change of something
 * else to be refused. New ones are played by `npm run soak -- amqp-differential -- --from SEED`; what they find is mended,
 * or goes on the list, and the seed comes here.
 */
const SEEDS = Array.from({ length: 48 }, (_, seed) => seed);
const STEPS = 25;
const WIDTH = 24;

test('seeded scripts see on RabbitMQ what they see here', { skip: RABBITMQ_MISSING ?? false }, async (t) => {
  const rabbitmq = await startRabbitMq();
  t.after(() => rabbitmq.stop());
  const broker = await testBroker();
  t.after(() => broker.close());
  const { url } = await broker.endpoint('amqp');
  await setPolicies(rabbitmq, broker.rail);
  const found = await compareMany(SEEDS, STEPS, { rabbitmq: rabbitmq.url, railhead: url }, { width: WIDTH });
  assert.equal(found.map(describeMismatch).join('\n'), '');
});

test('every difference on the list is there, as the list says', { skip: RABBITMQ_MISSING ?? false }, async (t) => {
  assert.deepEqual(
    PROOFS.map(({ what }) => what),
    DIFFERENCES.map(({ what }) => what),
  );
  const rabbitmq = await startRabbitMq();
  t.after(() => rabbitmq.stop());
  const broker = await testBroker();
  t.after(() => broker.close());
  const brokers = { rabbitmq: rabbitmq.url, railhead: (await broker.endpoint('amqp')).url };
  const seen = await Promise.all(PROOFS.map(async (proof) => ({ what: proof.what, ...(await prove(proof, brokers)) })));
  assert.deepEqual(
    seen,
    PROOFS.map(({ what, rabbitmq, here }) => ({ what, rabbitmq, here })),
  );
});

test(
  'what is refused, and in which words, is what RabbitMQ refuses',
  { skip: RABBITMQ_MISSING ?? false },
  async (t) => {
    const rabbitmq = await startRabbitMq();
    t.after(() => rabbitmq.stop());
    const broker = await testBroker();
    t.after(() => broker.close());
    const { url } = await broker.endpoint('amqp');
    const found = await Promise.all(
      REFUSALS.map(async (steps, seed) => {
        const options = { prefix: `refused${seed}.`, patience: 1 };
        const theirs = await play(steps, { url: rabbitmq.url, ...options });
        const ours = await play(steps, { url, ...options });
        return firstMismatch(seed, steps, theirs, ours);
      }),
    );
    assert.equal(
      found.flatMap((mismatch) => (mismatch === undefined ? [] : describeMismatch(mismatch))).join('\n'),
      '',
    );
  },
);

test('a script is the same for the same seed, and what differs is found at its step', () => {
  const steps = script(new SeededRandom(7), STEPS);
  assert.deepEqual(steps, script(new SeededRandom(7), STEPS));
  const seen = steps.map(() => ({ messageCount: 1 }));
  assert.equal(firstMismatch(7, steps, seen, seen), undefined);
  const other = seen.map((each, i) => (i === 3 ? { messageCount: 2 } : each));
  assert.equal(firstMismatch(7, steps, seen, other)?.at, 3);
});
