import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Operations, Session } from '../core/session.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { textsOf } from '../../test/engine/records.ts';

const MESSAGES = 800;
const BODY_BYTES = 1000;
const READ_BYTES = 256 << 10;

/** A log of which most lies in cold blocks, in a broker that has nothing of it in memory. */
async function longLog(): Promise<{ bench: EngineBench; blocks: number }> {
  const bench = await new EngineBench(
    { limits: { coldBlockBytes: 4 << 10, recentBytes: 8 << 10, checkpointBytes: 64 << 10 } },
    { segmentBytes: 64 << 10, segments: 8, maxBatchBytes: 24 << 10 },
  ).start();
  const retain = { untilSettled: false, ageMs: null, bytes: null, compact: false };
  await bench.session.request('declareTopic', { name: 't', kind: 'topic', policy: { retain } });
  for (let i = 0; i < MESSAGES; i++) await bench.send('t', `${i}`.padEnd(BODY_BYTES));
  await bench.restart('close');
  const blocks = bench.broker.state.topicNamed('default', 't')?.partition(0).cold.length ?? 0;
  assert.ok(blocks > 50, `${blocks} cold blocks`);
  return { bench, blocks };
}

function read(session: Session, offset: number): Promise<Operations['read']['result']> {
  return session.request('read', { topic: 't', from: { offset }, maxMessages: 10_000, maxBytes: READ_BYTES });
}

async function readAll(session: Session): Promise<string[]> {
  const bodies: string[] = [];
  for (let at = 0; at < MESSAGES;) {
    const { runs, next } = await read(session, at);
    bodies.push(...runs.flatMap(textsOf).map((text) => text.trimEnd()));
    assert.ok(next > at);
    at = next;
  }
  return bodies;
}

const ALL = Array.from({ length: MESSAGES }, (_, i) => `${i}`);

test('a log that is read from its start is read from the disk in large pieces, and comes whole and in order', async () => {
  const { bench, blocks } = await longLog();
  const { broker, disk, session } = bench;
  let reads = 0;
  disk.onCall = (call, name) => {
    if (call === 'read' && name.startsWith('cold-')) reads++;
  };
  assert.deepEqual(await readAll(session), ALL);
  assert.ok(reads < blocks / 4, `${reads} reads of ${blocks} blocks`);
  await broker.close();
});

test('a read ahead that fails is no failure of anybody: who wants the bytes reads them again', async () => {
  const { broker, disk, session } = (await longLog()).bench;
  const { next } = await read(session, 0);
  await broker.settled();
  // The first read of this request is that of what comes after what was read ahead.
  disk.failAt('read', 2);
  await read(session, next).catch(() => {});
  assert.deepEqual(await readAll(session), ALL);
  await broker.close();
});
