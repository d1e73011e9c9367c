import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RailheadError } from '../core/errors.ts';
import { nextTurn } from '../core/real-time.ts';
import type { Shortage } from '../core/broker-info.ts';
import type { PublishRequest } from '../core/session.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';
import { records } from '../../test/engine/records.ts';

const KIB = 1024;
const LIMITS = {
  memoryBytes: 576 * KIB,
  recentBytes: 64 * KIB,
  coldCacheBytes: 64 * KIB,
  coldBlockBytes: 16 * KIB,
  parkedBytes: 128 * KIB,
  sendBufferBytes: 64 * KIB,
  batchBytes: 16 * KIB,
};

/** Syncs wait until they are let go. */
class StuckJournal extends FileJournal {
  stuck = false;
  #release: () => void = () => {};

  override async sync(): Promise<void> {
    if (this.stuck) await new Promise<void>((resolve) => (this.#release = resolve));
    await super.sync();
  }

  letGo(): void {
    this.stuck = false;
    this.#release();
  }
}

async function open() {
  const disk = new MemoryDisk();
  const journal = new StuckJournal(disk, { segmentBytes: 8 << 20, segments: 4 });
  const { broker, clock, session } = await new EngineBench({ limits: LIMITS }).start(disk, journal);
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  return { broker, journal, clock, session, counter: (name: string) => broker.info().counters[name] ?? NaN };
}

function publishOf(bytes: number, waitMs: number): PublishRequest {
  return { to: { topic: 'q' }, ...records('x'.repeat(bytes)), waitMs };
}

test('publishers that bring more than memory holds wait for the disk, and are refused when they may not wait', async () => {
  const { broker, journal, clock, session, counter } = await open();
  journal.stuck = true;
  const published: Promise<unknown>[] = [];
  for (let i = 0; i < 50; i++) {
    published.push(session.publish(publishOf(8 * KIB, 60_000)));
    await nextTurn();
  }
  const limit = LIMITS.memoryBytes - LIMITS.parkedBytes - LIMITS.sendBufferBytes;
  const held = (): number => counter('memoryUnsyncedBytes') + counter('memoryRecentBytes');
  assert.ok(held() <= limit + LIMITS.batchBytes && held() > limit / 2, `${held()} bytes of ${limit} are held`);
  assert.ok(counter('memoryParkedBytes') > 0);
  await assert.rejects(session.publish(publishOf(8 * KIB, 0)), (error) => RailheadError.is(error, 'OUT_OF_SPACE'));
  journal.letGo();
  const all = Promise.all(published).then(() => 'stored' as const);
  while ((await Promise.race([all, nextTurn()])) !== 'stored') clock.advance(20);
  await broker.settled();
  assert.equal(counter('memoryParkedBytes'), 0);
  assert.equal(counter('memoryUnsyncedBytes'), 0);
  assert.ok(counter('memoryRecentBytes') > 0);
});

test('consumers get what is there while publishers wait for memory', async () => {
  const { broker, journal, session, counter } = await open();
  await session.publish(publishOf(KIB, 0));
  await broker.settled();
  journal.stuck = true;
  const published: Promise<unknown>[] = [];
  for (let i = 0; i < 50; i++) {
    published.push(session.publish(publishOf(8 * KIB, 60_000)));
    await nextTurn();
  }
  assert.ok(counter('memoryParkedBytes') > 0);
  const held = new Collector();
  const consuming = session.consume({ topic: 'q', subscription: 'q', lease: 'timed' }, held);
  await nextTurn();
  journal.letGo();
  (await consuming).credit(5);
  await broker.settled();
  assert.ok(held.runs.length > 0);
  assert.equal(counter('memoryOutgoingBytes'), 0);
  await broker.close();
  await Promise.allSettled(published);
});

test('a shortage is told when publishers have waited for a second, and its end at once', async () => {
  const { broker, journal, clock, session } = await open();
  const told: (Shortage | null)[] = [];
  const watch = async (): Promise<void> => {
    for (;;) {
      const { of } = await session.request('shortage', { was: told.at(-1) ?? null, waitMs: 3_600_000 });
      if (of !== (told.at(-1) ?? null)) told.push(of);
    }
  };
  const watching = assert.rejects(watch(), { code: 'CLOSED' });
  journal.stuck = true;
  const published: Promise<unknown>[] = [];
  for (let i = 0; i < 50; i++) {
    published.push(session.publish(publishOf(8 * KIB, 60_000)));
    await nextTurn();
  }
  clock.advance(900);
  await nextTurn();
  assert.deepEqual(told, []);
  clock.advance(100);
  await nextTurn();
  assert.deepEqual(told, ['memory']);
  journal.letGo();
  const all = Promise.all(published).then(() => 'stored' as const);
  while ((await Promise.race([all, nextTurn()])) !== 'stored') clock.advance(20);
  await broker.settled();
  await nextTurn();
  assert.deepEqual(told, ['memory', null]);
  await broker.close();
  await watching;
});
