import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench } from '../../test/engine/bench.ts';

function place(): Promise<EngineBench> {
  return new EngineBench({}, { segmentBytes: 1 << 20, segments: 8 }).start();
}

/** Enough documents to fill more than half of the commit log, which a reclaim would then move on from. */
async function fill({ broker, session }: EngineBench): Promise<number> {
  for (let i = 0; i < 200; i++)
    await session.request('putDocument', { kind: 'note', name: 'n', value: `${i}`.padEnd(30_000, '.') });
  await broker.settled();
  return broker.info().counters['reclaims'] ?? 0;
}

test('no reclaim begins while storage is held, and one does when it is released', async () => {
  const bench = await place();
  const { broker, session } = bench;
  const { hold, sequence } = await session.request('holdStorage', { forMs: 60_000 });
  assert.ok(sequence > 0);
  assert.equal(await fill(bench), 0);
  assert.deepEqual(await session.request('releaseStorage', { hold }), { held: true });
  await broker.settled();
  while (broker.info().counters['reclaims'] === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(await session.request('releaseStorage', { hold }), { held: false });
  await broker.close();
});

test('a hold that nobody releases ends by itself, and says so', async () => {
  const bench = await place();
  const { broker, session, clock } = bench;
  const { hold } = await session.request('holdStorage', { forMs: 60_000 });
  clock.advance(60_000);
  await fill(bench);
  while (broker.info().counters['reclaims'] === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(await session.request('releaseStorage', { hold }), { held: false });
  await broker.close();
});

test('storage is not held without an end', async () => {
  const { broker, session } = await place();
  for (const forMs of [0, 600_001, Number.NaN])
    await assert.rejects(session.request('holdStorage', { forMs }), { code: 'INVALID' });
  await broker.close();
});

test('a hold of a former life is none of this one, whatever is held now', async () => {
  const bench = await place();
  const hold = async (): Promise<number> => (await bench.session.request('holdStorage', { forMs: 60_000 })).hold;
  const former = [await hold(), await hold()];
  await bench.restart('kill');
  const now = [await hold(), await hold()];
  assert.equal(new Set([...former, ...now]).size, 4);
  const held = async (one: number) => (await bench.session.request('releaseStorage', { hold: one })).held;
  assert.deepEqual(await Promise.all([...former, ...now].map(held)), [false, false, true, true]);
  await bench.broker.close();
});
