import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import type { SubscriptionPolicy, TopicPolicy } from '../core/policy.ts';
import { SeededRandom } from '../core/random.ts';
import { type Envelope, FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { ProducerRef } from '../core/open-transactions.ts';
import type { DeliveryRun, SeekTarget, Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

const DAY_MS = 86_400_000;
const ref = { topic: 't', subscription: 's' };

interface Life {
  disk: MemoryDisk;
  broker: Broker;
  session: Session;
  clock: ManualClock;
}

async function open(disk: MemoryDisk, clock = new ManualClock()): Promise<Life> {
  const broker = await Broker.open({
    journal: new FileJournal(disk, { segmentBytes: 64 << 10, segments: 8 }),
    blobs: await FileBlobs.open(disk),
    clock,
    random: new SeededRandom(1),
    limits: { coldBlockBytes: 4 << 10 },
  });
  return { disk, broker, session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }), clock };
}

type Text = string | (Omit<Envelope, 'body'> & { text: string; transaction?: ProducerRef });

function send({ session }: Life, ...texts: Text[]): Promise<unknown> {
  const writer = new RecordBatchWriter();
  let owner: ProducerRef | undefined;
  for (const each of texts) {
    const { text, transaction, ...envelope } = typeof each === 'string' ? { text: each, transaction: undefined } : each;
    writer.append(envelope, text);
    owner = transaction;
  }
  const { bytes, count } = writer.take();
  const batch = { to: { topic: 't' }, format: FORMAT_NATIVE, records: bytes, count };
  return session.publish(owner === undefined ? batch : { ...batch, transaction: owner });
}

async function declare(
  life: Life,
  policy: Partial<SubscriptionPolicy> = {},
  topic: Partial<TopicPolicy> = { retain: { untilSettled: true, ageMs: null, bytes: null, compact: false } },
): Promise<void> {
  await life.session.request('declareTopic', { name: 't', kind: 'topic', policy: topic });
  await life.session.request('declareSubscription', { ...ref, policy });
}

async function take({ broker, session }: Life, credit: number, subscription = 's'): Promise<DeliveryRun[]> {
  const got: DeliveryRun[] = [];
  const sink = { deliver: (runs: DeliveryRun[]) => void got.push(...runs), ended: () => {} };
  const consumer = await session.consume({ topic: 't', subscription, lease: 'timed' }, sink);
  consumer.credit(credit);
  await quiet(broker);
  await consumer.close();
  return got;
}

/** Takes what is ready and acks those of these texts; the others are given back. */
async function ack(life: Life, ...texts: string[]): Promise<void> {
  for (const { partition, offset, count, token } of await take(life, 1000)) {
    for (let i = 0; i < count; i++) {
      const ranges = [{ partition, offset: offset + i, count: 1, token }];
      const done = texts.includes((await bodyAt(life, partition, offset + i)) ?? '');
      const settlement = { ...ref, ranges };
      if (done) await life.session.settle([{ ...settlement, action: 'ack' }]);
      else await life.session.settle([{ ...settlement, action: 'release', countAttempt: false }]);
    }
  }
}

async function bodyAt({ session }: Life, partition: number, offset: number): Promise<string | undefined> {
  const { runs } = await session.request('read', { topic: 't', partition, from: { offset }, maxMessages: 1 });
  const [run] = runs;
  return run === undefined ? undefined : /text-\w+/.exec(Buffer.from(run.records).toString())?.[0];
}

async function quiet(broker: Broker): Promise<void> {
  for (let turn = 0; turn < 50; turn++) {
    await broker.settled();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function waiting(life: Life, subscription = 's'): Promise<string[]> {
  await quiet(life.broker);
  const { messages } = await life.session.request('peek', { topic: 't', subscription, limit: 1000 });
  return messages.map(({ envelope }) => Buffer.from(envelope.body).toString()).sort();
}

function seek({ session }: Life, to: SeekTarget, subscription = 's'): Promise<unknown> {
  return session.request('seek', { topic: 't', subscription, to });
}

describe('a snapshot of a subscription', () => {
  const kinds: [string, Partial<SubscriptionPolicy>][] = [
    ['in publish order', {}],
    ['by key', { order: 'key' }],
    ['with a filter', { filter: { a: [{ exists: false }] } }],
  ];
  for (const [how, policy] of kinds) {
    const lives: [string, (life: Life) => Promise<Life>][] = [
      ['in the same life', async (life) => life],
      ['after a start from the journal alone', (life) => life.broker.settled().then(() => open(life.disk.clone()))],
      [
        'after a start from a checkpoint',
        async (life) => {
          await life.broker.checkpoint();
          return open(life.disk.clone());
        },
      ],
    ];
    for (const [when, next] of lives) {
      test(`${how}, gone back to ${when}: what was not settled then and what came since is there again`, async () => {
        let life = await open(new MemoryDisk());
        await declare(life, policy);
        await send(life, { text: 'text-0', key: 'k' }, 'text-1', { text: 'text-2', key: 'k' }, 'text-3');
        await send(life, { text: 'not-for-us', headers: { a: 1 } });
        await ack(life, 'text-0', 'text-3');
        const before = await waiting(life);
        const taken = await life.session.request('createSnapshot', { ...ref, snapshot: 'deploy' });
        assert.equal(taken.expiresAt - taken.createdAt, 7 * DAY_MS);
        life = await next(life);
        await ack(life, 'text-1', 'text-2');
        await ack(life, 'text-2');
        await send(life, 'text-4', 'text-5');
        await ack(life, 'text-4');
        life = await next(life);
        await seek(life, { snapshot: 'deploy' });
        life = await next(life);
        assert.deepEqual(await waiting(life), [...before, 'text-4', 'text-5'].sort());
        assert.ok(before.includes('text-1') && !before.includes('text-0'));
      });
    }
  }

  test('can be used for another subscription of the topic, and for none of another topic', async () => {
    const life = await open(new MemoryDisk());
    await declare(life);
    await life.session.request('declareSubscription', { topic: 't', subscription: 'other' });
    await life.session.request('declareTopic', { name: 'u', kind: 'queue' });
    await send(life, 'text-0', 'text-1');
    await ack(life, 'text-0');
    await life.session.request('createSnapshot', { ...ref, snapshot: 'one' });
    await seek(life, { snapshot: 'one' }, 'other');
    assert.deepEqual(await waiting(life, 'other'), ['text-1']);
    const elsewhere = life.session.request('seek', { topic: 'u', subscription: 'u', to: { snapshot: 'one' } });
    await assert.rejects(elsewhere, { code: 'NOT_FOUND' });
  });

  test('keeps its messages until it is deleted, through reclaim and restart, and no others', async () => {
    const disk = new MemoryDisk();
    let life = await open(disk);
    await declare(life);
    const pad = '.'.repeat(2000);
    await send(life, 'text-0', 'text-1');
    await ack(life, 'text-0');
    await life.session.request('createSnapshot', { ...ref, snapshot: 'one' });
    await ack(life, 'text-1');
    for (let i = 0; i < 200; i++) await send(life, `text-x${i} ${pad}`);
    await life.session.request('purge', ref);
    await quiet(life.broker);
    assert.ok(life.broker.state.blobs.counts.size > 0, 'nothing was reclaimed');
    life = await open(disk.clone());
    const { snapshots } = await life.session.request('listSnapshots', {});
    assert.deepEqual(
      snapshots.map(({ snapshot, topic, subscription, depth }) => [snapshot, topic, subscription, depth]),
      [['one', 't', 's', 201]],
    );
    await seek(life, { snapshot: 'one' });
    const found = await waiting(life);
    assert.equal(found.length, 201);
    assert.ok(found.includes('text-1') && !found.includes('text-0'));
    await life.session.request('purge', ref);
    const stats = await life.session.request('topicStats', { name: 't' });
    assert.equal(stats.partitions[0]?.start, 1);
    assert.deepEqual(await life.session.request('deleteSnapshot', { topic: 't', snapshot: 'one' }), { deleted: true });
    const after = await life.session.request('topicStats', { name: 't' });
    assert.deepEqual([after.partitions[0]?.start, after.bytes], [202, 0]);
    assert.deepEqual(await life.session.request('deleteSnapshot', { topic: 't', snapshot: 'one' }), { deleted: false });
  });

  test('is forgotten when its time is over, also when the broker was down then', async () => {
    const disk = new MemoryDisk();
    const life = await open(disk);
    await declare(life);
    await send(life, 'text-0');
    await life.session.request('createSnapshot', { ...ref, snapshot: 'short', expiresAfterMs: 60_000 });
    await life.session.request('createSnapshot', { ...ref, snapshot: 'long' });
    await ack(life, 'text-0');
    const later = await open(disk.clone(), new ManualClock(life.clock.now() + 60_000));
    life.clock.advance(60_000);
    for (const each of [life, later]) {
      await quiet(each.broker);
      const { snapshots } = await each.session.request('listSnapshots', { topic: 't' });
      assert.deepEqual(
        snapshots.map(({ snapshot }) => snapshot),
        ['long'],
      );
      assert.equal([...each.broker.state.topics.values()][0]?.snapshots.size, 1);
      await assert.rejects(seek(each, { snapshot: 'short' }), { code: 'NOT_FOUND' });
    }
    life.clock.advance(7 * DAY_MS);
    await quiet(life.broker);
    const { messages } = await life.session.request('topicStats', { name: 't' });
    assert.equal(messages, 0);
  });

  test('does not stand against retention by age: what went is not brought back', async () => {
    const life = await open(new MemoryDisk());
    const retain = { untilSettled: false, ageMs: 60_000, bytes: null, compact: false };
    await declare(life, {}, { retain });
    await send(life, 'text-0');
    await life.session.request('createSnapshot', { ...ref, snapshot: 'one' });
    await ack(life, 'text-0');
    life.clock.advance(120_000);
    await quiet(life.broker);
    await send(life, 'text-1');
    await seek(life, { snapshot: 'one' });
    assert.deepEqual(await waiting(life), ['text-1']);
  });

  test('can be taken in the middle of going back to another one', async () => {
    const disk = new MemoryDisk();
    const life = await open(disk);
    await declare(life, { order: 'key' });
    await send(life, ...Array.from({ length: 9 }, (_, i) => `text-${i}`));
    await ack(life, 'text-0', 'text-4');
    await life.session.request('createSnapshot', { ...ref, snapshot: 'one' });
    await life.session.request('purge', ref);
    const back = seek(life, { snapshot: 'one' });
    const second = life.session.request('createSnapshot', { ...ref, snapshot: 'two' });
    const { depth } = await second;
    await back;
    assert.equal(depth, 7);
    await life.session.request('purge', ref);
    await seek(life, { snapshot: 'two' });
    const found = await waiting(life);
    assert.deepEqual(found, ['text-1', 'text-2', 'text-3', 'text-5', 'text-6', 'text-7', 'text-8']);
  });

  test('taken while transactions are open, has what they committed later and not what they aborted', async () => {
    const life = await open(new MemoryDisk());
    await declare(life);
    const inTransaction = async (producer: string, text: string): Promise<() => Promise<unknown>> => {
      const owner = await life.session.request('claimProducer', { producer });
      await life.session.request('beginTransaction', owner);
      await send(life, { text, transaction: owner });
      return () =>
        life.session.request('endTransaction', { ...owner, outcome: producer === 'a' ? 'committed' : 'aborted' });
    };
    const ends = [await inTransaction('a', 'text-kept'), await inTransaction('b', 'text-gone')];
    await send(life, 'text-0');
    await life.session.request('createSnapshot', { ...ref, snapshot: 'one' });
    for (const end of ends) await end();
    await life.session.request('purge', ref);
    await seek(life, { snapshot: 'one' });
    assert.deepEqual(await waiting(life), ['text-0', 'text-kept']);
  });

  test('has a name that is not taken, and a time that is not too long', async () => {
    const { session } = await open(new MemoryDisk());
    await session.request('declareTopic', { name: 't', kind: 'queue' });
    const queue = { topic: 't', subscription: 't' };
    await session.request('createSnapshot', { ...queue, snapshot: 'one' });
    await assert.rejects(session.request('createSnapshot', { ...queue, snapshot: 'one' }), { code: 'ALREADY_EXISTS' });
    await assert.rejects(session.request('createSnapshot', { ...queue, snapshot: '' }), { code: 'INVALID' });
    for (const expiresAfterMs of [0, 32 * DAY_MS])
      await assert.rejects(session.request('createSnapshot', { ...queue, snapshot: 'two', expiresAfterMs }), {
        code: 'INVALID',
      });
  });
});
