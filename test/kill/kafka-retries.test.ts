import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Retries } from '../../src/core/retries.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { connect } from '../../src/sdk/connect.ts';
import { within } from '../eventually.ts';
import { after, Child, goOn, PATIENCE_MS, withDirectory } from './child.ts';
import { clientOf, start } from './kafka-loop.ts';
import { DEAD, GROUP, isHopeless, ORDERS, RETRY } from './retry-work.ts';

const SEED = 1;
const CYCLES = 4;
const DONE_BETWEEN_KILLS = 10;
const POLICY = { attempts: 3, backoff: { type: 'fixed', minMs: 100, maxMs: 100, jitter: false } } as const;

test('kill -9 of the broker and of a group of kafkajs that hands records back: each is done, or a dead letter with its story', async (t) => {
  await withDirectory(async (dir) => {
    const random = new SeededRandom(SEED);
    let server = await start(dir, 0);
    const port = Number(server.address.split(':').at(-1));
    const { address } = server;
    const kafka = clientOf(address);
    const admin = kafka.admin();
    const producer = kafka.producer();
    const done = new Set<string>();
    const onMessage = (message: Record<string, unknown>): void => void done.add(String(message['done']));
    let member: Child | undefined;
    const sent: string[] = [];
    try {
      await admin.connect();
      await admin.createTopics({ topics: [{ topic: ORDERS, numPartitions: 2 }] });
      const rail = await connect(server.url);
      await new Retries(rail).put({ topic: ORDERS, group: GROUP, ...POLICY });
      await rail.close();
      await producer.connect();
      member = new Child('retry-child.ts', [address], onMessage);
      const send = async (count: number): Promise<void> => {
        const values = Array.from({ length: count }, (_, i) => String(sent.length + i));
        await producer.send({ topic: ORDERS, acks: -1, messages: values.map((value) => ({ value })) });
        sent.push(...values);
      };
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        await Promise.all([goOn(() => ({ done: done.size }), { done: DONE_BETWEEN_KILLS }), send(40)]);
        await after(random.below(150));
        if (cycle % 2 === 1) {
          await member.kill();
          member = new Child('retry-child.ts', [address], onMessage);
        }
        await server.child.kill();
        server = await start(dir, port);
      }
      await send(20);
      const dead = await deadLetters(server.url, done, sent);
      const missing = sent.filter((value) => !done.has(value) && !dead.has(value));
      assert.deepEqual(missing, [], `seed ${SEED}`);
      assert.deepEqual(
        [...dead.keys()].filter((value) => !isHopeless(value)),
        [],
      );
      for (const [value, { error, origin }] of dead) {
        assert.equal(error, 'failed 3 of 3 times, at last: no such customer', value);
        assert.equal(origin, ORDERS);
      }
      const { topics } = await admin.fetchTopicMetadata({ topics: [RETRY] });
      assert.equal(topics[0]?.partitions.length, 2);
      t.diagnostic(`${sent.length} acknowledged, ${done.size} done, ${dead.size} dead`);
    } finally {
      await Promise.allSettled([producer.disconnect(), admin.disconnect()]);
      await member?.kill();
      await server.child.kill();
    }
  });
});

/** Once every record is done or dead, or too much time has gone by. */
async function deadLetters(url: string, done: ReadonlySet<string>, sent: readonly string[]) {
  const rail = await connect(url);
  try {
    const dead = new Map<string, { error: unknown; origin: unknown }>();
    await within(
      PATIENCE_MS,
      async () => {
        const { messages } = await rail
          .request('peek', { topic: DEAD, subscription: DEAD, limit: 1000 })
          .catch(() => ({ messages: [] }));
        for (const { envelope, history } of messages)
          dead.set(Buffer.from(envelope.body).toString(), {
            error: history?.error,
            origin: envelope.headers?.['railhead-origin-topic'],
          });
        return sent.every((value) => done.has(value) || dead.has(value));
      },
      200,
    );
    return dead;
  } finally {
    await rail.close();
  }
}
