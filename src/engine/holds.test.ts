import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import type { Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

async function place() {
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  const broker = await Broker.open({
    journal: new FileJournal(disk, { segmentBytes: 1 << 20, segments: 8 }),
    blobs: await FileBlobs.open(disk),
    clock,
  });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  return { broker, session, clock };
}

/** Enough documents to fill more than half of the commit log, which a reclaim would then move on from. */
async function fill(session: Session, broker: Broker): Promise<number> {
  for (let i = 0; i < 200; i++)
    await session.request('putDocument', { kind: 'note', name: 'n', value: `${i}`.padEnd(30_000, '.') });
  await broker.settled();
  return broker.info().counters['reclaims'] ?? 0;
}

test('no reclaim begins while storage is held, and one does when it is released', async () => {
  const { broker, session } = await place();
  const { hold, sequence } = await session.request('holdStorage', { forMs: 60_000 });
  assert.ok(sequence > 0);
  assert.equal(await fill(session, broker), 0);
  assert.deepEqual(await session.request('releaseStorage', { hold }), { held: true });
  await broker.settled();
  while (broker.info().counters['reclaims'] === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(await session.request('releaseStorage', { hold }), { held: false });
  await broker.close();
});

test('a hold that nobody releases ends by itself, and says so', async () => {
  const { broker, session, clock } = await place();
  const { hold } = await session.request('holdStorage', { forMs: 60_000 });
  clock.advance(60_000);
  await fill(session, broker);
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
