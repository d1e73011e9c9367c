import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RailheadError } from '../core/errors.ts';
import type { TopicPolicy } from '../core/policy.ts';
import { SeededRandom } from '../core/random.ts';
import type { Envelope } from '../core/records.ts';
import { messageId, type PublishReceipt, type PublishRequest } from '../core/session.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { records } from '../../test/engine/records.ts';
import { entryBytes, readEntry } from './entry-reader.ts';
import type { ShardSession } from './session.ts';

async function open(policy: Partial<TopicPolicy>): Promise<EngineBench> {
  const bench = await new EngineBench().start();
  await bench.session.request('declareTopic', { name: 'q', kind: 'queue', policy });
  await bench.session.request('declareRouter', { name: 'r', type: 'fanout' });
  const binding = { key: '', match: null, filter: null, to: { topic: 'q' } };
  await bench.session.request('bind', { router: 'r', binding });
  return bench;
}

function to(target: PublishRequest['to'], count: number, envelope: Omit<Envelope, 'body'> = {}): PublishRequest {
  return { to: target, ...records(...Array.from({ length: count }, () => ({ ...envelope, text: 'text' }))) };
}

const queue = { topic: 'q' };

function commit(session: ShardSession, ...publishes: PublishRequest[]): Promise<PublishReceipt[]> {
  return session.commit({ publishes, settlements: [], cursors: [] });
}

async function depth(session: ShardSession): Promise<number> {
  return (await session.request('subscriptionStats', { topic: 'q', subscription: 'q' })).depth;
}

test('the publishes of one transaction stay within the limit of their queue together, or none is stored', async () => {
  const { session } = await open({ maxMessages: 3 });
  await assert.rejects(commit(session, to(queue, 2), to(queue, 2)), (error) => RailheadError.is(error, 'QUEUE_FULL'));
  assert.equal(await depth(session), 0);
  await commit(session, to(queue, 2), to(queue, 1));
  assert.equal(await depth(session), 3);
});

test('a dedupe id that comes twice in one transaction is stored once', async () => {
  const { session } = await open({});
  const [first, second] = await commit(session, to(queue, 1, { dedupeId: 'd' }), to(queue, 1, { dedupeId: 'd' }));
  assert.equal(await depth(session), 1);
  assert.deepEqual(second?.runs, [{ ...first?.runs[0], duplicate: true }]);
});

test('a transaction keeps to the publish rate of its queues', async () => {
  const { session, clock } = await open({ publishRate: { count: 40, perMs: 1000 } });
  await commit(session, to(queue, 2));
  await assert.rejects(commit(session, to(queue, 1)), (error) => RailheadError.is(error, 'RATE_LIMITED'));
  assert.equal(await depth(session), 2);
  clock.advance(25);
  await commit(session, to(queue, 1));
  assert.equal(await depth(session), 3);
});

test('a publish through a router keeps to the publish rate of the queues behind it', async () => {
  const { session } = await open({ publishRate: { count: 2, perMs: 1000 } });
  await session.publish(to({ router: 'r', key: '' }, 2));
  const { refused } = await session.publish(to({ router: 'r', key: '' }, 1));
  assert.equal(refused?.[0]?.code, 'RATE_LIMITED');
  assert.equal(await depth(session), 2);
});

test('a publish that waits for room in its queue takes nothing of the rate meanwhile', async () => {
  const { session, clock } = await open({ maxMessages: 1, overflow: 'block', publishRate: { count: 1, perMs: 1000 } });
  await session.publish(to(queue, 1));
  clock.advance(1000);
  const waiting = session.publish(to(queue, 1));
  await session.request('purge', { topic: 'q', subscription: 'q' });
  await waiting;
  assert.equal(await depth(session), 1);
});

test('what a transaction drives out of full queues does not tear it into two batches', async () => {
  const disk = new MemoryDisk();
  const journal = new FileJournal(disk, { maxBatchBytes: 32 << 10, random: new SeededRandom(1) });
  const append = journal.append.bind(journal);
  const batches: string[][] = [];
  journal.append = (body, bytes, firstSequence, count) => {
    const whole = Buffer.concat(body);
    const types: string[] = [];
    for (let i = 0, at = 0; i < count; i++, at += entryBytes(whole, at)) {
      const entry = readEntry(whole, at);
      types.push(entry.type === 'publish' ? `publish of ${entry.count}` : entry.type);
    }
    batches.push(types);
    return append(body, bytes, firstSequence, count);
  };
  const { session } = await new EngineBench().start(disk, journal);
  const declare = (name: string, policy: Partial<TopicPolicy>): Promise<unknown> =>
    session.request('declareTopic', { name, kind: 'queue', policy, ifDifferent: 'update' });
  await declare('other', {});
  await declare('q', { overflow: 'drop-oldest' });
  const { topicId } = await session.publish(to(queue, 250));
  for (let i = 1; i < 8; i++) await session.publish(to(queue, 250));
  // What is left lies scattered, so that it takes much to say what goes.
  const id = (offset: number): string => messageId(topicId, 0, offset);
  const cancel = (offset: number): Promise<unknown> =>
    session.request('cancel', { topic: 'q', subscription: 'q', id: id(offset) });
  await Promise.all(Array.from({ length: 1000 }, (_, i) => cancel(2 * i)));
  await declare('q', { overflow: 'drop-oldest', maxMessages: 1 });
  batches.length = 0;
  // The batch holds something already, and the transaction fits beside it.
  const before = session.publish(to({ topic: 'other' }, 16, { contentType: 'x'.repeat(300) }));
  const cursor = { cursor: 'c', topic: 'other', partition: 0, offset: 5 };
  await session.commit({ publishes: [to(queue, 1)], settlements: [], cursors: [cursor] });
  await before;
  const own = batches.find((types) => types.includes('cursor'));
  assert.ok(own?.includes('publish of 1'), JSON.stringify(batches));
  assert.equal(await depth(session), 1);
});
