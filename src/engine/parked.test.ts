import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import type { TopicPolicy } from '../core/policy.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { PublishReceipt, PublishRequest, Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

const full = { maxMessages: 1, overflow: 'block' } as const;

class Bench {
  readonly broker: Broker;
  readonly session: Session;
  readonly clock: ManualClock;
  /** In the order in which they were stored or refused. */
  readonly outcomes: string[] = [];

  private constructor(broker: Broker, clock: ManualClock) {
    this.broker = broker;
    this.clock = clock;
    this.session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  }

  /** A router `all` with these queues behind it, each in the form that its policy has. */
  static async open(queues: Record<string, Partial<TopicPolicy>>): Promise<Bench> {
    const disk = new MemoryDisk();
    const clock = new ManualClock();
    const broker = await Broker.open({
      journal: new FileJournal(disk),
      blobs: await FileBlobs.open(disk),
      clock,
      random: new SeededRandom(1),
    });
    const bench = new Bench(broker, clock);
    await bench.session.request('declareRouter', { name: 'all', type: 'fanout' });
    for (const [name, policy] of Object.entries(queues)) {
      await bench.session.request('declareTopic', { name, kind: 'queue', policy });
      const binding = { key: '', match: null, filter: null, to: { topic: name } };
      await bench.session.request('bind', { router: 'all', binding });
    }
    return bench;
  }

  publish(to: string, text: string, extra: Partial<PublishRequest> = {}): Promise<PublishReceipt> {
    const writer = new RecordBatchWriter();
    writer.append({}, text);
    const { bytes: records, count } = writer.take();
    const target = to === 'all' ? { router: 'all', key: '' } : { topic: to };
    return this.session.publish({ to: target, format: FORMAT_NATIVE, records, count, ...extra });
  }

  /** Publishes without waiting for the outcome, which is noted. */
  start(to: string, text: string, extra: Partial<PublishRequest> = {}): void {
    this.publish(to, text, extra).then(
      () => this.outcomes.push(text),
      (error: unknown) => this.outcomes.push(`${text} ${RailheadError.is(error) ? error.code : String(error)}`),
    );
  }

  async texts(name: string): Promise<string[]> {
    await this.broker.settled();
    const { messages } = await this.session.request('peek', { topic: name, subscription: name });
    return messages.map(({ envelope }) => Buffer.from(envelope.body).toString());
  }

  async purge(name: string): Promise<void> {
    await this.session.request('purge', { topic: name, subscription: name });
    await this.broker.settled();
  }
}

test('a publish through a router waits for the queue that is full, and is in none of them before', async () => {
  const bench = await Bench.open({ open: {}, full });
  await bench.publish('full', 'first');
  bench.start('all', 'routed');
  assert.deepEqual([await bench.texts('open'), await bench.texts('full')], [[], ['first']]);
  assert.deepEqual(bench.outcomes, []);
  await bench.purge('full');
  assert.deepEqual([await bench.texts('open'), await bench.texts('full')], [['routed'], ['routed']]);
  assert.deepEqual(bench.outcomes, ['routed']);
});

test('when the queue it waited for has room and another has not, it waits there, and others go on', async () => {
  const bench = await Bench.open({ a: full, b: full });
  await bench.publish('a', 'in a');
  await bench.publish('b', 'in b');
  bench.start('all', 'routed');
  bench.start('a', 'later');
  await bench.purge('a');
  assert.deepEqual([await bench.texts('a'), await bench.texts('b')], [['later'], ['in b']]);
  await bench.purge('b');
  assert.deepEqual([await bench.texts('a'), await bench.texts('b')], [['later'], []]);
  await bench.purge('a');
  assert.deepEqual([await bench.texts('a'), await bench.texts('b')], [['routed'], ['routed']]);
  assert.deepEqual(bench.outcomes, ['later', 'routed']);
});

test('publishes with the same queues keep their order', async () => {
  const bench = await Bench.open({ a: full, b: full });
  await bench.publish('b', 'in b');
  for (const text of ['1', '2', '3']) bench.start('all', text);
  await bench.purge('b');
  for (const text of ['1', '2', '3']) {
    assert.deepEqual([await bench.texts('a'), await bench.texts('b')], [[text], [text]]);
    await bench.purge('a');
    await bench.purge('b');
  }
  assert.deepEqual(bench.outcomes, ['1', '2', '3']);
});

test('each waits as long as it said, also behind one that waits longer, and then nothing of it was stored', async () => {
  const bench = await Bench.open({ open: {}, full });
  await bench.publish('full', 'first');
  bench.start('all', 'patient', { waitMs: 60_000 });
  bench.start('all', 'hasty', { waitMs: 1000 });
  bench.start('all', 'now', { waitMs: 0 });
  await bench.broker.settled();
  bench.clock.advance(1000);
  await bench.broker.settled();
  assert.deepEqual(bench.outcomes, ['now QUEUE_FULL', 'hasty QUEUE_FULL']);
  bench.clock.advance(59_000);
  await bench.broker.settled();
  assert.deepEqual(bench.outcomes.at(-1), 'patient QUEUE_FULL');
  assert.deepEqual([await bench.texts('open'), await bench.texts('full')], [[], ['first']]);
});

test('a rate that blocks is waited for as well, and what waits for room elsewhere takes nothing of it', async () => {
  const rate = { publishRate: { count: 1, perMs: 1000 }, overflow: 'block' } as const;
  const bench = await Bench.open({ slow: rate, full });
  await bench.publish('full', 'first');
  bench.start('all', 'routed');
  await bench.broker.settled();
  await bench.publish('slow', 'direct');
  await bench.purge('full');
  assert.deepEqual(await bench.texts('full'), []);
  bench.clock.advance(1000);
  assert.deepEqual([await bench.texts('slow'), await bench.texts('full')], [['direct', 'routed'], ['routed']]);
});

test('a publish that is sent again after it was parked is not stored twice', async () => {
  const bench = await Bench.open({ open: {}, full });
  await bench.publish('full', 'first');
  const producer = { id: 'p', sequence: 1 };
  bench.start('all', 'routed', { producer });
  bench.start('all', 'routed again', { producer });
  await bench.broker.settled();
  await bench.purge('full');
  assert.deepEqual([await bench.texts('open'), await bench.texts('full')], [['routed'], ['routed']]);
  assert.deepEqual(bench.outcomes, ['routed', 'routed again']);
});
