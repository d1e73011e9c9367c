import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import type { SubscriptionPolicy } from '../core/policy.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { DeliveryRun, Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** What is settled together may be kept together a little longer, and is looked at once a minute. */
const SLACK_MS = DAY_MS / 16 + 60_000;
const ref = { topic: 'q', subscription: 'q' };

interface Life {
  disk: MemoryDisk;
  broker: Broker;
  session: Session;
  clock: ManualClock;
}

async function open(disk = new MemoryDisk(), clock = new ManualClock()): Promise<Life> {
  const broker = await Broker.open({
    journal: new FileJournal(disk, { segmentBytes: 64 << 10, segments: 8 }),
    blobs: await FileBlobs.open(disk),
    clock,
    random: new SeededRandom(1),
    limits: { coldBlockBytes: 4 << 10 },
  });
  return { disk, broker, clock, session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) };
}

async function withQueue(policy: Partial<SubscriptionPolicy> = { retainSettledMs: DAY_MS }): Promise<Life> {
  const life = await open();
  await life.session.request('declareTopic', { name: 'q', kind: 'queue', subscription: policy });
  return life;
}

async function send({ session }: Life, ...texts: string[]): Promise<void> {
  const writer = new RecordBatchWriter();
  for (const text of texts) writer.append({}, text);
  const { bytes: records, count } = writer.take();
  await session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records, count });
}

async function take({ broker, session }: Life, credit: number): Promise<DeliveryRun[]> {
  const got: DeliveryRun[] = [];
  const sink = { deliver: (runs: DeliveryRun[]) => void got.push(...runs), ended: () => {} };
  const consumer = await session.consume({ ...ref, lease: 'timed' }, sink);
  consumer.credit(credit);
  await quiet(broker);
  await consumer.close();
  return got;
}

async function ack(life: Life, credit: number): Promise<void> {
  const runs = await take(life, credit);
  const ranges = runs.map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
  await life.session.settle([{ ...ref, ranges, action: 'ack' }]);
}

async function quiet(broker: Broker): Promise<void> {
  for (let turn = 0; turn < 30; turn++) {
    await broker.settled();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function settled({ broker, session }: Life): Promise<string[]> {
  await quiet(broker);
  const { messages } = await session.request('peek', { ...ref, state: 'settled', limit: 1000 });
  return messages.map(({ envelope }) => Buffer.from(envelope.body).toString());
}

async function advance({ broker, clock }: Life, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= HOUR_MS) {
    clock.advance(Math.min(left, HOUR_MS));
    await broker.settled();
  }
}

test('a message is visible for a day after it was settled, however long it waited before', async () => {
  const life = await withQueue();
  await send(life, 'waited for a week');
  await advance(life, 7 * DAY_MS);
  await ack(life, 1);
  await advance(life, DAY_MS - 1);
  assert.deepEqual(await settled(life), ['waited for a week']);
  await advance(life, 1 + SLACK_MS);
  assert.deepEqual(await settled(life), []);
  const { bytes } = await life.session.request('topicStats', { name: 'q' });
  assert.equal(bytes, 0);
});

test('each goes in its own time, over restarts from the journal alone and from a checkpoint', async () => {
  let life = await withQueue();
  await send(life, 'a', 'b', 'c');
  await ack(life, 1);
  await advance(life, 12 * HOUR_MS);
  life = await open(life.disk.clone(), life.clock);
  await ack(life, 1);
  assert.deepEqual(await settled(life), ['a', 'b']);
  await life.broker.checkpoint();
  life = await open(life.disk.clone(), life.clock);
  await advance(life, 12 * HOUR_MS - 1);
  assert.deepEqual(await settled(life), ['a', 'b']);
  await advance(life, 1 + SLACK_MS);
  assert.deepEqual(await settled(life), ['b']);
  await life.broker.settled();
  life = await open(life.disk.clone(), life.clock);
  assert.deepEqual(await settled(life), ['b']);
  await advance(life, 12 * HOUR_MS);
  assert.deepEqual(await settled(life), []);
  assert.equal((await life.session.request('subscriptionStats', ref)).ready, 1);
});

test('one that is not settled for long keeps those behind it no longer than they are to be kept', async () => {
  const life = await withQueue();
  const pad = '.'.repeat(2000);
  await send(life, 'first');
  const [first] = await take(life, 1);
  assert.ok(first !== undefined);
  await life.session.settle([
    { ...ref, ranges: [first], action: 'release', delayMs: 300 * DAY_MS, countAttempt: false },
  ]);
  for (let i = 0; i < 20; i++) await send(life, `${i} ${pad}`);
  await ack(life, 100);
  assert.equal((await settled(life)).length, 20);
  await advance(life, DAY_MS + SLACK_MS);
  for (let i = 0; i < 200; i++) await send(life, `later ${i} ${pad}`);
  await quiet(life.broker);
  const { messages } = await life.session.request('peek', { ...ref, state: 'settled', limit: 1000 });
  assert.equal(messages.length, 0, 'what was reclaimed is still there');
});

test('without it, or once it is taken away, a settled message goes at once', async () => {
  const life = await withQueue({});
  await send(life, 'a');
  await ack(life, 1);
  assert.deepEqual(await settled(life), []);
  const change = (retainSettledMs: number): Promise<unknown> =>
    life.session.request('declareTopic', {
      name: 'q',
      kind: 'queue',
      subscription: { retainSettledMs },
      ifDifferent: 'update',
    });
  await change(DAY_MS);
  await send(life, 'b');
  await ack(life, 1);
  assert.deepEqual(await settled(life), ['b']);
  await change(0);
  assert.deepEqual(await settled(life), []);
});

test('a topic that keeps everything loses nothing to a subscription that keeps settled messages for a while', async () => {
  const life = await open();
  await life.session.request('declareTopic', { name: 'q', kind: 'topic' });
  await life.session.request('declareSubscription', { ...ref, policy: { retainSettledMs: HOUR_MS } });
  await send(life, 'a', 'b');
  await ack(life, 1);
  await advance(life, 3 * DAY_MS);
  const { ready } = await life.session.request('subscriptionStats', ref);
  const { messages } = await life.session.request('topicStats', { name: 'q' });
  assert.deepEqual({ ready, messages }, { ready: 1, messages: 2 });
});
