import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import { asBuffer, FORMAT_NATIVE, readRecord, RecordBatchWriter } from '../core/records.ts';
import type { Operations, Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

const MESSAGES = 800;
const BODY_BYTES = 1000;
const READ_BYTES = 256 << 10;

async function open(disk: MemoryDisk): Promise<{ broker: Broker; session: Session }> {
  const broker = await Broker.open({
    journal: new FileJournal(disk, { segmentBytes: 64 << 10, segments: 8, maxBatchBytes: 24 << 10 }),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
    limits: { coldBlockBytes: 4 << 10, recentBytes: 8 << 10, checkpointBytes: 64 << 10 },
  });
  return { broker, session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) };
}

/** A log of which most lies in cold blocks, in a broker that has nothing of it in memory. */
async function longLog(): Promise<{ disk: MemoryDisk; broker: Broker; session: Session; blocks: number }> {
  const disk = new MemoryDisk();
  const first = await open(disk);
  const retain = { untilSettled: false, ageMs: null, bytes: null, compact: false };
  await first.session.request('declareTopic', { name: 't', kind: 'topic', policy: { retain } });
  for (let i = 0; i < MESSAGES; i++) {
    const writer = new RecordBatchWriter();
    writer.append({}, `${i}`.padEnd(BODY_BYTES));
    const { bytes: records, count } = writer.take();
    await first.session.publish({ to: { topic: 't' }, format: FORMAT_NATIVE, records, count });
  }
  await first.broker.settled();
  await first.broker.close();
  const life = await open(disk);
  const blocks = life.broker.state.topicNamed('default', 't')?.partition(0).cold.length ?? 0;
  assert.ok(blocks > 50, `${blocks} cold blocks`);
  return { disk, ...life, blocks };
}

function read(session: Session, offset: number): Promise<Operations['read']['result']> {
  return session.request('read', { topic: 't', from: { offset }, maxMessages: 10_000, maxBytes: READ_BYTES });
}

async function readAll(session: Session): Promise<string[]> {
  const bodies: string[] = [];
  for (let at = 0; at < MESSAGES;) {
    const { runs, next } = await read(session, at);
    for (const { records } of runs)
      bodies.push(
        asBuffer(readRecord(asBuffer(records), 0).body)
          .toString()
          .trimEnd(),
      );
    assert.ok(next > at);
    at = next;
  }
  return bodies;
}

const ALL = Array.from({ length: MESSAGES }, (_, i) => `${i}`);

test('a log that is read from its start is read from the disk in large pieces, and comes whole and in order', async () => {
  const { disk, broker, session, blocks } = await longLog();
  let reads = 0;
  disk.onCall = (call, name) => {
    if (call === 'read' && name.startsWith('cold-')) reads++;
  };
  assert.deepEqual(await readAll(session), ALL);
  assert.ok(reads < blocks / 4, `${reads} reads of ${blocks} blocks`);
  await broker.close();
});

test('a read ahead that fails is no failure of anybody: who wants the bytes reads them again', async () => {
  const { disk, broker, session } = await longLog();
  const { next } = await read(session, 0);
  await broker.settled();
  // The first read of this request is that of what comes after what was read ahead.
  disk.failAt('read', 2);
  await read(session, next).catch(() => {});
  assert.deepEqual(await readAll(session), ALL);
  await broker.close();
});
