import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import type { SubscriptionPolicy } from '../core/policy.ts';
import { SeededRandom } from '../core/random.ts';
import { type Envelope, FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { BindingDefinition } from '../core/definitions.ts';
import type { DeliveryRun, MessageHistory, Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';
import type { RecordFormat } from './formats.ts';

interface Life {
  disk: MemoryDisk;
  broker: Broker;
  session: Session;
  clock: ManualClock;
}

/** One record: the routing key that it was published with, a line end, and the body. */
const withRoutingKey: RecordFormat = {
  tag: 77,
  name: 'with routing key',
  check: () => true,
  bounds: (records) => Uint32Array.of(0, records.byteLength),
  envelopes: (records) => {
    const [routingKey = '', body = ''] = records.toString().split('\n');
    return [{ routingKeys: routingKey.split(','), body: Buffer.from(body) }];
  },
  headBytes: (record) => record.indexOf('\n') + 1,
  head: (head) => ({ routingKeys: [head.toString().trimEnd()], body: Buffer.alloc(0) }),
};

async function open(disk = new MemoryDisk(), clock = new ManualClock()): Promise<Life> {
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock,
    random: new SeededRandom(1),
    formats: [withRoutingKey],
  });
  return { disk, broker, clock, session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) };
}

async function queue({ session }: Life, name: string, subscription: Partial<SubscriptionPolicy> = {}): Promise<void> {
  await session.request('declareTopic', { name, kind: 'queue', subscription });
}

function through(router: string, extra: { key?: string; unrouted?: 'drop' } = {}): Partial<SubscriptionPolicy> {
  return { deadLetter: { router, key: null, unrouted: 'queue', ...extra } };
}

async function bind({ session }: Life, router: string, key: string, topic: string): Promise<void> {
  const binding: BindingDefinition = { key, match: null, filter: null, to: { topic } };
  await session.request('bind', { router, binding });
}

async function send({ session }: Life, topic: string, text: string, envelope: Partial<Envelope> = {}): Promise<void> {
  const writer = new RecordBatchWriter();
  writer.append(envelope, text);
  const { bytes: records, count } = writer.take();
  await session.publish({ to: { topic }, format: FORMAT_NATIVE, records, count });
}

async function reject({ session, broker }: Life, name: string): Promise<void> {
  const ref = { topic: name, subscription: name };
  const run = await new Promise<DeliveryRun>((resolve, fail) => {
    const sink = { deliver: ([first]: DeliveryRun[]) => first !== undefined && resolve(first), ended: () => {} };
    session.consume({ ...ref, lease: 'timed' }, sink).then((consumer) => consumer.credit(1), fail);
  });
  await session.settle([{ ...ref, ranges: [run], action: 'reject', reason: 'no good' }]);
  await broker.settled();
}

async function found(
  { session, broker }: Life,
  name: string,
): Promise<{ text: string; history: MessageHistory | undefined }[]> {
  await broker.settled();
  const { topics } = await session.request('listTopics', { prefix: name });
  if (!topics.some((topic) => topic.name === name)) return [];
  const { messages } = await session.request('peek', { topic: name, subscription: name });
  return messages.map(({ envelope, history }) => ({ text: Buffer.from(envelope.body).toString(), history }));
}

test('a dead letter goes through the router of its policy, to every queue that it is bound to, with its story', async () => {
  let life = await open();
  await life.session.request('declareRouter', { name: 'dlx', type: 'topic' });
  for (const name of ['audit', 'repair']) {
    await queue(life, name);
    await bind(life, 'dlx', name === 'audit' ? '#' : 'orders.*', name);
  }
  await queue(life, 'jobs', through('dlx', { key: 'orders.dead' }));
  await send(life, 'jobs', 'a');
  await reject(life, 'jobs');
  life = await open(life.disk.clone(), life.clock);
  for (const name of ['audit', 'repair']) {
    const [dead] = await found(life, name);
    assert.deepEqual(
      [dead?.text, dead?.history?.reason, dead?.history?.topic, dead?.history?.error, dead?.history?.deaths],
      ['a', 'rejected', 'jobs', 'no good', undefined],
    );
  }
  assert.deepEqual([await found(life, 'jobs'), await found(life, 'jobs.dead')], [[], []]);
});

test('without a routing key it is the key of the message that counts', async () => {
  const life = await open();
  await life.session.request('declareRouter', { name: 'dlx', type: 'direct' });
  await queue(life, 'seven');
  await bind(life, 'dlx', 'user-7', 'seven');
  await queue(life, 'jobs', through('dlx'));
  await send(life, 'jobs', 'a', { key: 'user-7' });
  await reject(life, 'jobs');
  assert.equal((await found(life, 'seven')).length, 1);
});

test('what no binding takes, and what a router that is gone cannot take, lies in the dead-letter queue', async () => {
  const life = await open();
  await life.session.request('declareRouter', { name: 'dlx', type: 'direct' });
  await queue(life, 'jobs', through('dlx'));
  await send(life, 'jobs', 'a');
  await reject(life, 'jobs');
  await life.session.request('deleteRouter', { name: 'dlx' });
  await send(life, 'jobs', 'b');
  await reject(life, 'jobs');
  assert.deepEqual(
    (await found(life, 'jobs.dead')).map(({ text }) => text),
    ['a', 'b'],
  );
});

test('what no binding takes is dropped when the policy says so', async () => {
  const life = await open();
  await life.session.request('declareRouter', { name: 'dlx', type: 'direct' });
  await queue(life, 'jobs', through('dlx', { unrouted: 'drop' }));
  await send(life, 'jobs', 'a');
  await reject(life, 'jobs');
  assert.deepEqual([await found(life, 'jobs'), await found(life, 'jobs.dead')], [[], []]);
  const { deadLettered } = await life.session.request('subscriptionStats', { topic: 'jobs', subscription: 'jobs' });
  assert.equal(deadLettered, 1);
});

test('a message whose life ended becomes a dead letter where the policy says so, and its own ttl is over with', async () => {
  const life = await open();
  await queue(life, 'plain');
  await queue(life, 'jobs', { deadLetterExpired: true });
  for (const name of ['plain', 'jobs']) await send(life, name, name, { ttlMs: 1000 });
  life.clock.advance(1000);
  assert.deepEqual([await found(life, 'plain'), await found(life, 'plain.dead')], [[], []]);
  const [dead] = await found(life, 'jobs.dead');
  assert.deepEqual([dead?.text, dead?.history?.reason], ['jobs', 'expired']);
  life.clock.advance(100_000);
  assert.equal((await found(life, 'jobs.dead')).length, 1);
});

/** The usual way to wait before a retry: refused, it waits in a queue that nobody reads, and comes back. */
async function withRetry(): Promise<Life> {
  const life = await open();
  for (const name of ['wait', 'work']) await life.session.request('declareRouter', { name, type: 'fanout' });
  await queue(life, 'work', through('wait'));
  await life.session.request('declareTopic', {
    name: 'wait',
    kind: 'queue',
    policy: { ttlMs: 1000 },
    subscription: { ...through('work'), deadLetterExpired: true },
  });
  await bind(life, 'wait', '', 'wait');
  await bind(life, 'work', '', 'work');
  return life;
}

test('a message may go round by being refused, and its story counts each place', async () => {
  let life = await withRetry();
  await send(life, 'work', 'a');
  for (let round = 1; round <= 3; round++) {
    await reject(life, 'work');
    assert.equal((await found(life, 'wait')).length, 1);
    life.clock.advance(1000);
    await life.broker.settled();
  }
  life = await open(life.disk.clone(), life.clock);
  const [again] = await found(life, 'work');
  assert.deepEqual(
    again?.history?.deaths?.map(({ topic, reason, count }) => [topic, reason, count]),
    [
      ['wait', 'expired', 3],
      ['work', 'rejected', 3],
    ],
  );
});

test('a message that goes round by itself alone ends in the dead-letter queue', async () => {
  const life = await open();
  await life.session.request('declareRouter', { name: 'circle', type: 'fanout' });
  await life.session.request('declareTopic', {
    name: 'jobs',
    kind: 'queue',
    policy: { ttlMs: 1000 },
    subscription: { ...through('circle'), deadLetterExpired: true },
  });
  await bind(life, 'circle', '', 'jobs');
  await send(life, 'jobs', 'a');
  life.clock.advance(1000);
  assert.equal((await found(life, 'jobs.dead')).length, 1);
  assert.equal((await found(life, 'jobs')).length, 0);
});

test('a policy with a route is the same when it is declared again, and a bad one is refused', async () => {
  const life = await open();
  const route = { unrouted: 'drop', key: 'k', router: 'r' } as const;
  await queue(life, 'jobs', { deadLetter: route });
  await queue(life, 'jobs', { deadLetter: { router: 'r', key: 'k', unrouted: 'drop' } });
  await assert.rejects(queue(life, 'other', { deadLetter: { ...route, unrouted: 'else' as 'drop' } }), {
    code: 'INVALID',
  });
});

test('a dead letter without a routing key of its own keeps the one that its format remembers', async () => {
  const life = await open();
  await life.session.request('declareRouter', { name: 'dlx', type: 'direct' });
  for (const name of ['kept', 'other']) {
    await queue(life, name);
    await bind(life, 'dlx', name, name);
  }
  await queue(life, 'jobs', through('dlx', { unrouted: 'drop' }));
  await life.session.publish({ to: { topic: 'jobs' }, format: 77, records: Buffer.from('kept\na'), count: 1 });
  await reject(life, 'jobs');
  assert.deepEqual(
    (await found(life, 'kept')).map(({ text }) => text),
    ['a'],
  );
  assert.deepEqual(await found(life, 'other'), []);
});

test('dead letters with several routing keys go wherever one of them leads, by the default router to queues by name', async () => {
  const life = await open();
  for (const name of ['one', 'two']) await queue(life, name);
  await queue(life, 'jobs', through('', { unrouted: 'drop' }));
  await life.session.publish({ to: { topic: 'jobs' }, format: 77, records: Buffer.from('one,two,none\na'), count: 1 });
  await reject(life, 'jobs');
  for (const name of ['one', 'two']) assert.equal((await found(life, name)).length, 1);
});

test('what a full queue refuses with dead-letter-newest is refused and a dead letter, also after a crash', async () => {
  let life = await open();
  const limit = { maxMessages: 2, overflow: 'dead-letter-newest' } as const;
  await life.session.request('declareTopic', { name: 'q', kind: 'queue', policy: limit });
  const writer = new RecordBatchWriter();
  for (const text of ['a', 'b', 'c', 'd']) writer.append({}, text);
  const { bytes: records, count } = writer.take();
  const { runs, refused } = await life.session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records, count });
  assert.deepEqual(
    [runs[0]?.count, refused?.map(({ index, count: of, code }) => [index, of, code])],
    [2, [[2, 2, 'QUEUE_FULL']]],
  );
  life = await open(life.disk.clone(), life.clock);
  const texts = async (name: string): Promise<string[]> => (await found(life, name)).map(({ text }) => text);
  assert.deepEqual(
    [await texts('q'), await texts('q.dead')],
    [
      ['a', 'b'],
      ['c', 'd'],
    ],
  );
  const [dead] = await found(life, 'q.dead');
  assert.equal(dead?.history?.reason, 'overflow');
});
