import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench } from '../../test/engine/bench.ts';
import type { SegmentShare } from './shard/live-share.ts';

const BODY = '.'.repeat(30_000);

async function place(): Promise<EngineBench> {
  const bench = await new EngineBench({}, { segmentBytes: 1 << 20, segments: 8 }).start();
  for (const [name, kind] of [
    ['q', 'queue'],
    ['t', 'topic'],
  ] as const)
    await bench.session.request('declareTopic', { name, kind });
  return bench;
}

async function fill(bench: EngineBench, topic: string, messages: number): Promise<void> {
  for (let i = 0; i < messages; i++) await bench.send(topic, `${i} ${BODY}`);
  await bench.quiet();
}

function sum(segments: readonly SegmentShare[], of: 'bytes' | 'aliveBytes'): number {
  return segments.reduce((total, segment) => total + segment[of], 0);
}

function about(messages: number, bytes: number): void {
  const each = BODY.length + 60;
  assert.ok(Math.abs(bytes - messages * each) <= messages * 60, `${bytes} bytes for ${messages} messages`);
}

test('of the commit log so much is alive as somebody has not settled, by segment', async () => {
  const bench = await place();
  await fill(bench, 'q', 80);
  const { oldest, log, cold } = await look(bench);
  assert.deepEqual(cold, []);
  assert.deepEqual(
    log.map(({ name }) => name),
    log.map((_, i) => String(oldest + i)),
  );
  assert.ok(log.length >= 3, `${log.length} segments`);
  about(80, sum(log, 'aliveBytes'));
  assert.ok(log.every(({ bytes, aliveBytes }) => aliveBytes <= bytes && bytes <= 1 << 20));
  // All of the oldest but the very first are settled: it keeps what is known of the others, which nobody needs.
  await settle(bench, 40);
  const after = await look(bench);
  about(41, sum(after.log, 'aliveBytes'));
  about(1, after.log[0]?.aliveBytes ?? 0);
  assert.deepEqual(after.log.at(-1)?.aliveBytes, log.at(-1)?.aliveBytes);
  await bench.session.request('purge', { topic: 'q', subscription: 'q' });
  // What is with a consumer stays.
  about(1, sum((await look(bench)).log, 'aliveBytes'));
  await bench.broker.close();
});

test('of cold segments too, also after a restart; what was settled there is alive no more', async () => {
  const bench = await place();
  await fill(bench, 't', 200);
  const before = await look(bench);
  assert.ok(before.cold.length > 0, 'nothing was reclaimed');
  about(200, sum(before.cold, 'aliveBytes') + sum(before.log, 'aliveBytes'));
  assert.ok(before.cold.every(({ name, bytes, aliveBytes }) => name.startsWith('cold-') && aliveBytes / bytes > 0.99));
  await bench.restart('close');
  const { cold } = await look(bench);
  assert.deepEqual(cold, before.cold);
  await bench.session.request('trimTopic', { topic: 't', partition: 0, before: 20 });
  const trimmed = await look(bench);
  const gone = sum(before.cold, 'aliveBytes') - sum(trimmed.cold, 'aliveBytes');
  assert.ok(gone > 10 * BODY.length && gone < 20 * (BODY.length + 120), `${gone} bytes`);
  await bench.broker.close();
});

test('of a cold segment the part counts that somebody still needs', async () => {
  const bench = await place();
  await fill(bench, 'q', 200);
  const before = sum((await look(bench)).cold, 'aliveBytes');
  assert.ok(before > 0, 'nothing was reclaimed');
  await settle(bench, 100);
  const after = sum((await look(bench)).cold, 'aliveBytes');
  assert.ok(after > 0 && after < before * 0.6, `${after} of ${before} bytes`);
  await bench.broker.close();
});

test('every entry is looked at, however many there are', async () => {
  const bench = await place();
  const send = async (many: number): Promise<number> => {
    await Promise.all(Array.from({ length: many }, () => bench.send('q', 'small')));
    await bench.quiet();
    return sum((await look(bench)).log, 'aliveBytes');
  };
  const [few, many] = [await send(500), await send(2_000)];
  assert.ok(Math.abs(many / few - 5) < 0.2, `${few} bytes of 500, ${many} of 2,500`);
  await bench.broker.close();
});

/** The next of the queue, but for the first of them. */
async function settle(bench: EngineBench, many: number): Promise<void> {
  const runs = await bench.receive({ topic: 'q', subscription: 'q' }, many);
  const ranges = runs.flatMap(({ partition, offset, count, token }) =>
    Array.from({ length: count }, (_, i) => ({ partition, offset: offset + i, count: 1, token })),
  );
  await bench.session.settle([{ topic: 'q', subscription: 'q', action: 'ack', ranges: ranges.slice(1) }]);
  await bench.quiet();
}

async function look({ broker }: EngineBench) {
  const [one, other] = await Promise.all([broker.segments(), broker.segments()]);
  assert.equal(one, other, 'who asks meanwhile gets another answer');
  return { ...one, oldest: broker.info().counters['journalOldestGeneration'] ?? 0 };
}
