import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import type { TopicPolicy } from '../core/policy.ts';
import { SeededRandom } from '../core/random.ts';
import { type Envelope, FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { PublishReceipt, PublishRequest } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';
import type { ShardSession } from './session.ts';

const clock = new ManualClock();

async function open(policy: Partial<TopicPolicy>): Promise<ShardSession> {
  const disk = new MemoryDisk();
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock,
    random: new SeededRandom(1),
  });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  await session.request('declareTopic', { name: 'q', kind: 'queue', policy });
  await session.request('declareRouter', { name: 'r', type: 'fanout' });
  const binding = { key: '', match: null, filter: null, to: { topic: 'q' } };
  await session.request('bind', { router: 'r', binding });
  return session;
}

function to(target: PublishRequest['to'], count: number, envelope: Omit<Envelope, 'body'> = {}): PublishRequest {
  const writer = new RecordBatchWriter();
  for (let i = 0; i < count; i++) writer.append(envelope, 'text');
  return { to: target, format: FORMAT_NATIVE, records: writer.take().bytes, count };
}

const queue = { topic: 'q' };

function commit(session: ShardSession, ...publishes: PublishRequest[]): Promise<PublishReceipt[]> {
  return session.commit({ publishes, settlements: [], cursors: [] });
}

async function depth(session: ShardSession): Promise<number> {
  return (await session.request('subscriptionStats', { topic: 'q', subscription: 'q' })).depth;
}

test('the publishes of one transaction stay within the limit of their queue together, or none is stored', async () => {
  const session = await open({ maxMessages: 3 });
  await assert.rejects(commit(session, to(queue, 2), to(queue, 2)), (error) => RailheadError.is(error, 'QUEUE_FULL'));
  assert.equal(await depth(session), 0);
  await commit(session, to(queue, 2), to(queue, 1));
  assert.equal(await depth(session), 3);
});

test('a dedupe id that comes twice in one transaction is stored once', async () => {
  const session = await open({});
  const [first, second] = await commit(session, to(queue, 1, { dedupeId: 'd' }), to(queue, 1, { dedupeId: 'd' }));
  assert.equal(await depth(session), 1);
  assert.deepEqual(second?.runs, [{ ...first?.runs[0], duplicate: true }]);
});

test('a transaction keeps to the publish rate of its queues', async () => {
  const session = await open({ publishRate: { count: 40, perMs: 1000 } });
  await commit(session, to(queue, 2));
  await assert.rejects(commit(session, to(queue, 1)), (error) => RailheadError.is(error, 'RATE_LIMITED'));
  assert.equal(await depth(session), 2);
  clock.advance(25);
  await commit(session, to(queue, 1));
  assert.equal(await depth(session), 3);
});

test('a publish through a router keeps to the publish rate of the queues behind it', async () => {
  const session = await open({ publishRate: { count: 2, perMs: 1000 } });
  await session.publish(to({ router: 'r', key: '' }, 2));
  const { refused } = await session.publish(to({ router: 'r', key: '' }, 1));
  assert.equal(refused?.[0]?.code, 'RATE_LIMITED');
  assert.equal(await depth(session), 2);
});

test('a publish that waits for room in its queue takes nothing of the rate meanwhile', async () => {
  const session = await open({ maxMessages: 1, overflow: 'block', publishRate: { count: 1, perMs: 1000 } });
  await session.publish(to(queue, 1));
  clock.advance(1000);
  const waiting = session.publish(to(queue, 1));
  await session.request('purge', { topic: 'q', subscription: 'q' });
  await waiting;
  assert.equal(await depth(session), 1);
});
