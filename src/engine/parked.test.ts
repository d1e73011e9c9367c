import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RailheadError } from '../core/errors.ts';
import type { TopicPolicy } from '../core/policy.ts';
import type { LeaseRange, PublishReceipt, PublishRequest, Settlement } from '../core/session.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';
import { records } from '../../test/engine/records.ts';

const full = { maxMessages: 1, overflow: 'block' } as const;

function request(to: string, text: string): PublishRequest {
  return { to: to === 'all' ? { router: 'all', key: '' } : { topic: to }, ...records(text) };
}

class Bench extends EngineBench {
  /** In the order in which they were stored or refused. */
  readonly outcomes: string[] = [];

  /** A router `all` with these queues behind it, each in the form that its policy has. */
  static async open(queues: Record<string, Partial<TopicPolicy>>): Promise<Bench> {
    const bench = await new Bench().start();
    await bench.session.request('declareRouter', { name: 'all', type: 'fanout' });
    for (const [name, policy] of Object.entries(queues)) {
      await bench.session.request('declareTopic', { name, kind: 'queue', policy });
      const binding = { key: '', match: null, filter: null, to: { topic: name } };
      await bench.session.request('bind', { router: 'all', binding });
    }
    return bench;
  }

  publish(to: string, text: string, extra: Partial<PublishRequest> = {}): Promise<PublishReceipt> {
    return this.session.publish({ ...request(to, text), ...extra });
  }

  /** Publishes without waiting for the outcome, which is noted. */
  offer(to: string, text: string, extra: Partial<PublishRequest> = {}): void {
    this.#note(text, this.publish(to, text, extra));
  }

  #note(text: string, done: Promise<unknown>): void {
    done.then(
      () => this.outcomes.push(text),
      (error: unknown) => this.outcomes.push(`${text} ${RailheadError.is(error) ? error.code : String(error)}`),
    );
  }

  /** As `offer`, in a transaction with an ack of what somebody holds. */
  commit(
    to: readonly string[],
    text: string,
    settlements: Settlement[] = [],
    extra: Partial<PublishRequest> = {},
  ): void {
    const publishes = to.map((name) => ({ ...request(name, text), ...extra }));
    this.#note(text, this.session.commit({ publishes, settlements, cursors: [] }));
  }

  async texts(name: string): Promise<string[]> {
    await this.broker.settled();
    return this.peek({ topic: name, subscription: name });
  }

  /** What a consumer gets that has credit for one. */
  async take(name: string): Promise<LeaseRange[]> {
    const taken = new Collector();
    const consumer = await this.session.consume({ topic: name, subscription: name, lease: 'session' }, taken);
    consumer.credit(1);
    await this.broker.settled();
    return taken.runs;
  }

  async purge(name: string): Promise<void> {
    await this.session.request('purge', { topic: name, subscription: name });
    await this.broker.settled();
  }
}

test('a publish through a router waits for the queue that is full, and is in none of them before', async () => {
  const bench = await Bench.open({ open: {}, full });
  await bench.publish('full', 'first');
  bench.offer('all', 'routed');
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
  bench.offer('all', 'routed');
  bench.offer('a', 'later');
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
  for (const text of ['1', '2', '3']) bench.offer('all', text);
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
  bench.offer('all', 'patient', { waitMs: 60_000 });
  bench.offer('all', 'hasty', { waitMs: 1000 });
  bench.offer('all', 'now', { waitMs: 0 });
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
  bench.offer('all', 'routed');
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
  bench.offer('all', 'routed', { producer });
  bench.offer('all', 'routed again', { producer });
  await bench.broker.settled();
  await bench.purge('full');
  assert.deepEqual([await bench.texts('open'), await bench.texts('full')], [['routed'], ['routed']]);
  assert.deepEqual(bench.outcomes, ['routed', 'routed again']);
});

test('a transaction waits for the queue that is full, and nothing of it is done before', async () => {
  const bench = await Bench.open({ jobs: {}, open: {}, full });
  await bench.publish('jobs', 'job');
  await bench.publish('full', 'first');
  const [range] = await bench.take('jobs');
  assert.ok(range !== undefined);
  bench.commit(['open', 'full'], 'result', [{ topic: 'jobs', subscription: 'jobs', action: 'ack', ranges: [range] }]);
  assert.deepEqual([await bench.texts('jobs'), await bench.texts('open')], [['job'], []]);
  assert.deepEqual(bench.outcomes, []);
  await bench.purge('full');
  const all = [await bench.texts('jobs'), await bench.texts('open'), await bench.texts('full')];
  assert.deepEqual(all, [[], ['result'], ['result']]);
  assert.deepEqual(bench.outcomes, ['result']);
});

test('a transaction that waits is refused when its time is over, or a lease of it', async () => {
  const bench = await Bench.open({ jobs: {}, full });
  await bench.publish('jobs', 'job');
  await bench.publish('full', 'first');
  const [range] = await bench.take('jobs');
  assert.ok(range !== undefined);
  bench.commit(['full'], 'hasty', [], { waitMs: 1000 });
  const ack = { topic: 'jobs', subscription: 'jobs', action: 'ack', ranges: [range] } satisfies Settlement;
  bench.commit(['full'], 'late', [{ ...ack, ranges: [range] }], { waitMs: 60_000 });
  await bench.broker.settled();
  bench.clock.advance(1000);
  await bench.broker.settled();
  bench.clock.advance(31_000);
  await bench.broker.settled();
  await bench.purge('full');
  assert.deepEqual(bench.outcomes, ['hasty QUEUE_FULL', 'late LEASE_LOST']);
  assert.deepEqual(await bench.texts('full'), []);
});

test('what a transaction acks makes room for what it publishes, also before those who wait for that room', async () => {
  const bench = await Bench.open({ full });
  await bench.publish('full', 'first');
  const [range] = await bench.take('full');
  assert.ok(range !== undefined);
  bench.offer('full', 'waits');
  const ack = { topic: 'full', subscription: 'full', action: 'ack', ranges: [range] } satisfies Settlement;
  bench.commit(['full', 'full'], 'two for one', [ack], { waitMs: 0 });
  bench.commit(['full'], 'instead', [ack]);
  assert.deepEqual(await bench.texts('full'), ['instead']);
  assert.deepEqual(bench.outcomes, ['two for one QUEUE_FULL', 'instead']);
  await bench.purge('full');
  assert.deepEqual(await bench.texts('full'), ['waits']);
});

test('what a transaction acks counts for limits of bytes and for queues that reject as well', async () => {
  const body = 'x'.repeat(100);
  const bench = await Bench.open({ bytes: { maxBytes: 150, overflow: 'block' }, strict: { maxMessages: 1 } });
  for (const name of ['bytes', 'strict']) {
    await bench.publish(name, body);
    const [range] = await bench.take(name);
    assert.ok(range !== undefined);
    const ack = { topic: name, subscription: name, action: 'ack', ranges: [range] } satisfies Settlement;
    bench.commit([name], body, [{ ...ack, action: 'release', countAttempt: false }], { waitMs: 0 });
    bench.commit([name], body.replaceAll('x', 'y'), [ack], { waitMs: 0 });
    assert.deepEqual(await bench.texts(name), [body.replaceAll('x', 'y')]);
  }
  assert.deepEqual(bench.outcomes, [
    `${body} QUEUE_FULL`,
    body.replaceAll('x', 'y'),
    `${body} QUEUE_FULL`,
    body.replaceAll('x', 'y'),
  ]);
});

test('a transaction that settles a message twice is refused, so that none makes room that is not there', async () => {
  const bench = await Bench.open({ full });
  await bench.publish('full', 'first');
  const [range] = await bench.take('full');
  assert.ok(range !== undefined);
  const ack = { topic: 'full', subscription: 'full', action: 'ack', ranges: [range] } satisfies Settlement;
  const release = { ...ack, action: 'release', countAttempt: false } satisfies Settlement;
  bench.commit(['full', 'full'], 'in one', [{ ...ack, ranges: [range, range] }], { waitMs: 0 });
  bench.commit(['full'], 'released first', [release, ack], { waitMs: 0 });
  assert.deepEqual(await bench.texts('full'), ['first']);
  bench.commit(['full'], 'extended first', [{ ...ack, action: 'extend', leaseMs: 1000 }, ack], { waitMs: 0 });
  assert.deepEqual(await bench.texts('full'), ['extended first']);
  assert.deepEqual(bench.outcomes, ['in one INVALID', 'released first INVALID', 'extended first']);
});

test('publishes to a queue wait behind a transaction that waits for it', async () => {
  const bench = await Bench.open({ open: {}, full });
  await bench.publish('full', 'first');
  bench.commit(['open', 'full'], 'transaction');
  bench.offer('full', 'publish');
  for (const text of ['transaction', 'publish']) {
    await bench.purge('full');
    assert.deepEqual(await bench.texts('full'), [text]);
  }
});

test('an atomic publish through a router to a full queue that rejects is stored in none', async () => {
  const bench = await Bench.open({ open: {}, strict: { maxMessages: 1 } });
  await bench.publish('strict', 'first');
  const { refused } = await bench.publish('all', 'by itself');
  assert.deepEqual(
    refused?.map(({ code }) => code),
    ['QUEUE_FULL'],
  );
  await assert.rejects(bench.publish('all', 'atomic', { atomic: true }), (error) =>
    RailheadError.is(error, 'QUEUE_FULL'),
  );
  assert.deepEqual([await bench.texts('open'), await bench.texts('strict')], [['by itself'], ['first']]);
});

test('an atomic publish that is refused takes nothing of the rates of the queues behind its router', async () => {
  const rate = { publishRate: { count: 1, perMs: 1000 } } as const;
  const bench = await Bench.open({ rated: rate, slow: { ...rate, overflow: 'block' }, strict: { maxMessages: 1 } });
  await bench.publish('strict', 'first');
  await assert.rejects(bench.publish('all', 'atomic', { atomic: true }));
  await bench.publish('rated', 'direct');
  await bench.publish('slow', 'direct', { waitMs: 0 });
  assert.deepEqual([await bench.texts('rated'), await bench.texts('slow')], [['direct'], ['direct']]);
});

test('two queues that were declared with one rate have a rate each', async () => {
  const rate = { publishRate: { count: 1, perMs: 1000 } } as const;
  const bench = await Bench.open({ a: rate, b: rate });
  await bench.publish('a', 'in a');
  await bench.publish('b', 'in b');
  await assert.rejects(bench.publish('a', 'too soon'), (error) => RailheadError.is(error, 'RATE_LIMITED'));
});
