import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RailheadError } from '../core/errors.ts';
import { asBuffer, readRecord, recordEnd } from '../core/records.ts';
import type { DeliveryRun } from '../core/session.ts';
import type { FileJournalOptions } from '../storage/journal/file-journal.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { records, textsOf } from '../../test/engine/records.ts';
import type { BrokerOptions } from './broker.ts';

/** A broker in memory with a clock that stands still, and the little that these tests need to talk to it. */
class Bench extends EngineBench {
  static open(options: Partial<BrokerOptions> = {}, journal: FileJournalOptions = {}): Promise<Bench> {
    return new Bench(options, journal).start();
  }

  queue(name: string, subscription = {}, policy = {}): Promise<unknown> {
    return this.session.request('declareTopic', {
      name,
      kind: 'queue',
      subscription: {
        maxAttempts: 3,
        backoff: { type: 'fixed', minMs: 1000, maxMs: 1000, jitter: false },
        ...subscription,
      },
      policy,
    });
  }

  async stats(
    topic: string,
    subscription = topic,
  ): Promise<{ ready: number; delayed: number; leased: number; depth: number }> {
    const { ready, delayed, leased, depth } = await this.session.request('subscriptionStats', { topic, subscription });
    return { ready, delayed, leased, depth };
  }
}

interface Got {
  text: string;
  attempt: number;
  ack: () => Promise<unknown>;
  release: (delayMs?: number) => Promise<unknown>;
  reject: (reason: string) => Promise<unknown>;
  run: DeliveryRun;
  offset: number;
}

class Worker {
  readonly got: Got[] = [];
  readonly lost: unknown[] = [];
  ended: string | undefined;

  static async start(
    bench: Bench,
    topic: string,
    credit = 1000,
    more: object = {},
    session = bench.session,
  ): Promise<Worker> {
    const worker = new Worker();
    const subscription = 'subscription' in more ? String(more.subscription) : topic;
    const ref = { topic, subscription };
    const consumer = await session.consume(
      { ...ref, lease: 'session', ...more },
      {
        deliver: (runs) => {
          for (const run of runs) {
            for (const [i, text] of textsOf(run).entries()) {
              const offset = run.offset + i;
              const range = { partition: run.partition, offset, count: 1, token: run.token };
              worker.got.push({
                text,
                attempt: run.attempt,
                run,
                offset,
                ack: () => session.settle([{ ...ref, action: 'ack', ranges: [range] }]),
                release: (delayMs) =>
                  session.settle([
                    {
                      ...ref,
                      action: 'release',
                      countAttempt: true,
                      ranges: [range],
                      error: 'boom',
                      ...(delayMs === undefined ? {} : { delayMs }),
                    },
                  ]),
                reject: (reason) => session.settle([{ ...ref, action: 'reject', reason, ranges: [range] }]),
              });
            }
          }
        },
        ended: (reason) => (worker.ended = reason),
        lost: (leases) => worker.lost.push(...leases),
      },
    );
    consumer.credit(credit);
    await bench.broker.settled();
    return worker;
  }

  get texts(): string[] {
    return this.got.map((message) => message.text);
  }

  take(): Got[] {
    return this.got.splice(0);
  }
}

test('a message is delivered once, acked, and gone, also after a crash', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.send('q', 'a', 'b', 'c');
  const worker = await Worker.start(bench, 'q');
  assert.deepEqual(worker.texts, ['a', 'b', 'c']);
  for (const message of worker.take()) await message.ack();
  assert.deepEqual(await bench.stats('q'), { ready: 0, delayed: 0, leased: 0, depth: 0 });
  await bench.restart('crash');
  assert.equal((await bench.stats('q')).depth, 0);
  assert.deepEqual((await Worker.start(bench, 'q')).texts, []);
});

test('what was not acked is delivered again after a crash of the broker, once its lease is over', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.send('q', 'a', 'b');
  const worker = await Worker.start(bench, 'q');
  const [a] = worker.take();
  await a?.ack();
  await bench.restart('crash');
  const again = await Worker.start(bench, 'q');
  assert.deepEqual(again.texts, []);
  await bench.advance(10_000);
  await bench.advance(1_000);
  assert.deepEqual(again.texts, ['b']);
  assert.equal(again.got[0]?.attempt, 2);
});

test('a delivery can be acked after the broker was restarted', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.send('q', 'a');
  const worker = await Worker.start(bench, 'q');
  const [a] = worker.take();
  await bench.restart('crash');
  const receipt = await bench.session.settle([
    {
      topic: 'q',
      subscription: 'q',
      action: 'ack',
      ranges: [{ partition: 0, offset: a?.offset ?? 0, count: 1, token: a?.run.token ?? 0 }],
    },
  ]);
  assert.deepEqual(receipt.lost, []);
  assert.equal((await bench.stats('q')).depth, 0);
});

test('a failed message waits for its backoff, and after the last attempt lies in the dead-letter queue with its story', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.send('q', 'poison');
  const worker = await Worker.start(bench, 'q');
  for (const attempt of [1, 2, 3]) {
    const [message] = worker.take();
    assert.ok(message);
    assert.equal(message.attempt, attempt);
    await message.release();
    await bench.advance(999);
    assert.equal(worker.got.length, 0);
    await bench.advance(1);
  }
  assert.deepEqual(await bench.stats('q'), { ready: 0, delayed: 0, leased: 0, depth: 0 });
  const { messages } = await bench.session.request('peek', { topic: 'q.dead', subscription: 'q.dead' });
  assert.equal(messages.length, 1);
  assert.equal(asBuffer(messages[0]?.envelope.body ?? new Uint8Array()).toString(), 'poison');
  const { reason, attempts, error, topic } = messages[0]?.history ?? {};
  assert.deepEqual({ reason, attempts, error, topic }, { reason: 'attempts', attempts: 3, error: 'boom', topic: 'q' });
  const { moved } = await bench.session.request('redrive', { topic: 'q.dead', subscription: 'q.dead' });
  assert.equal(moved, 1);
  await bench.broker.settled();
  assert.deepEqual(worker.texts, ['poison']);
});

test('a delayed message arrives at its time, also when the broker restarts in between', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.send('q', { text: 'later', delayMs: 60_000 }, 'now');
  const worker = await Worker.start(bench, 'q');
  assert.deepEqual(worker.texts, ['now']);
  await bench.restart('crash');
  const again = await Worker.start(bench, 'q');
  await bench.advance(49_999);
  assert.deepEqual(
    again.texts.filter((text) => text === 'later'),
    [],
  );
  await bench.advance(10_001);
  assert.ok(again.texts.includes('later'));
});

test('higher priorities come first, and a released message takes its old place', async () => {
  const bench = await Bench.open();
  await bench.queue('q', { priorities: 10, backoff: { type: 'none', minMs: 0, maxMs: 0, jitter: false } });
  await bench.send(
    'q',
    { text: 'low1' },
    { text: 'high', priority: 9 },
    { text: 'low2' },
    { text: 'mid', priority: 5 },
  );
  const worker = await Worker.start(bench, 'q', 2);
  assert.deepEqual(worker.texts, ['high', 'mid']);
  await worker.take()[1]?.release();
  await bench.restart('crash');
  const again = await Worker.start(bench, 'q', 10);
  assert.deepEqual(again.texts, ['mid', 'low1', 'low2']);
});

test('with order by key one message of a key is out at a time, and keys flow side by side', async () => {
  const bench = await Bench.open();
  await bench.queue('q', { order: 'key' });
  await bench.send(
    'q',
    { text: 'a1', key: 'a' },
    { text: 'a2', key: 'a' },
    { text: 'b1', key: 'b' },
    { text: 'a3', key: 'a' },
    { text: 'b2', key: 'b' },
  );
  const worker = await Worker.start(bench, 'q');
  assert.deepEqual(worker.texts, ['a1', 'b1']);
  const [a1, b1] = worker.take();
  await a1?.release();
  await b1?.ack();
  await bench.broker.settled();
  assert.deepEqual(worker.texts, ['b2']);
  await bench.advance(1000);
  assert.deepEqual(
    worker.take().map((m) => m.text),
    ['b2', 'a1'],
  );
  const stats = await bench.stats('q');
  assert.equal(stats.depth, 4);
});

test('with fair order a key with many messages does not hold up the others', async () => {
  const bench = await Bench.open();
  await bench.queue('q', { order: 'fair' });
  await bench.send('q', ...Array.from({ length: 50 }, (_, i) => ({ text: `noisy${i}`, key: 'noisy' })), {
    text: 'quiet',
    key: 'quiet',
  });
  const worker = await Worker.start(bench, 'q', 3);
  assert.ok(worker.texts.includes('quiet'), worker.texts.join());
});

test('a seek of a dead-letter queue does not delay again what was delayed when it was sent', async () => {
  const bench = await Bench.open();
  await bench.queue('q', { maxAttempts: 1 });
  await bench.queue('q.dead');
  await bench.send('q.dead', { text: 'makes the queue one that looks at times', delayMs: 1000 });
  await bench.send('q', { text: 'a', delayMs: 60_000 });
  const worker = await Worker.start(bench, 'q');
  await bench.advance(61_000);
  await worker.got[0]?.release();
  await bench.broker.settled();
  assert.deepEqual(await bench.stats('q.dead'), { ready: 2, delayed: 0, leased: 0, depth: 2 });
  await bench.session.request('seek', { topic: 'q.dead', subscription: 'q.dead', to: 'start' });
  await bench.broker.settled();
  assert.deepEqual(await bench.stats('q.dead'), { ready: 2, delayed: 0, leased: 0, depth: 2 });
});

test('a message that kills its consumers ends in the dead-letter queue, its nineteen neighbours do not', async () => {
  const bench = await Bench.open();
  await bench.queue('q', { maxCrashes: 3 });
  await bench.send('q', ...Array.from({ length: 20 }, (_, i) => (i === 7 ? 'poison' : `good${i}`)));
  const done = new Set<string>();
  for (let life = 0; life < 60 && done.size < 19; life++) {
    const session = bench.connect();
    const worker = await Worker.start(bench, 'q', 20, {}, session);
    for (let alive = true; alive && worker.got.length > 0;) {
      const batch = worker.take();
      if (batch.some((message) => message.text === 'poison')) alive = false;
      else
        for (const message of batch) {
          await message.ack();
          done.add(message.text);
        }
      await bench.broker.settled();
    }
    await session.close('lost');
    await bench.broker.settled();
  }
  assert.equal(done.size, 19);
  const { messages } = await bench.session.request('peek', { topic: 'q.dead', subscription: 'q.dead' });
  assert.deepEqual(
    messages.map((m) => asBuffer(m.envelope.body).toString()),
    ['poison'],
  );
  assert.equal(messages[0]?.history?.reason, 'crashes');
});

test('a second message with the same dedupe id within the window is not stored', async () => {
  const bench = await Bench.open();
  await bench.queue('q', {}, { dedupeWindowMs: 1000 });
  const first = await bench.send('q', { text: 'a', dedupeId: 'x' });
  const second = await bench.send(
    'q',
    { text: 'a', dedupeId: 'x' },
    { text: 'b', dedupeId: 'y' },
    { text: 'b', dedupeId: 'y' },
  );
  assert.deepEqual(
    second.runs.map((run) => [run.offset, run.duplicate ?? false]),
    [
      [0, true],
      [1, false],
      [1, true],
    ],
  );
  assert.equal(first.runs[0]?.offset, 0);
  await bench.restart('crash');
  assert.equal((await bench.send('q', { text: 'a', dedupeId: 'x' })).runs[0]?.duplicate, true);
  await bench.advance(1001);
  assert.equal((await bench.send('q', { text: 'a', dedupeId: 'x' })).runs[0]?.duplicate, undefined);
});

test('a batch that its producer sends again after a reconnect is stored once', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const request = { to: { topic: 'q' }, ...records('a', 'b'), producer: { id: 'p', sequence: 0 } };
  await bench.session.publish(request);
  await bench.restart('crash');
  const again = await bench.session.publish(request);
  assert.deepEqual(again.runs, [{ topicId: 1, partition: 0, offset: 0, count: 2, duplicate: true }]);
  assert.equal((await bench.stats('q')).depth, 2);
});

test('a full queue refuses, blocks, or drops its oldest, as its policy says', async () => {
  const bench = await Bench.open();
  await bench.queue('reject', {}, { maxMessages: 2 });
  await bench.queue('drop', {}, { maxMessages: 2, overflow: 'drop-oldest' });
  await bench.queue('bury', {}, { maxMessages: 2, overflow: 'dead-letter-oldest' });
  await bench.queue('block', {}, { maxMessages: 2, overflow: 'block' });
  const receipt = await bench.send('reject', 'a', 'b', 'c');
  assert.deepEqual([receipt.runs[0]?.count, receipt.refused?.[0]?.code], [2, 'QUEUE_FULL']);
  await assert.rejects(
    bench.send('reject', 'd'),
    (error) => RailheadError.is(error, 'QUEUE_FULL') && error.outcome === 'not-stored',
  );
  await bench.send('drop', 'a', 'b', 'c');
  assert.deepEqual((await Worker.start(bench, 'drop')).texts, ['b', 'c']);
  await bench.send('bury', 'a', 'b', 'c');
  await bench.broker.settled();
  assert.equal((await bench.stats('bury.dead')).depth, 1);
  await bench.send('block', 'a', 'b');
  let stored = false;
  const parked = bench.send('block', 'c').then(() => (stored = true));
  await bench.broker.settled();
  assert.equal(stored, false);
  const worker = await Worker.start(bench, 'block');
  await worker.got[0]?.ack();
  await parked;
  const late = assert.rejects(bench.send('block', 'd'), (error) => RailheadError.is(error, 'QUEUE_FULL'));
  await bench.advance(30_000);
  await late;
});

test('every subscription of a topic gets its own copy; one that starts in the past with a filter gets what fits', async () => {
  const bench = await Bench.open();
  const { session } = bench;
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  await session.request('declareSubscription', { topic: 't', subscription: 'all' });
  await bench.send('t', { text: 'free1', headers: { plan: 'free' } }, { text: 'pro1', headers: { plan: 'pro' } });
  await bench.send('t', { text: 'pro2', headers: { plan: 'pro' } });
  await session.request('declareSubscription', {
    topic: 't',
    subscription: 'pros',
    from: 'start',
    policy: { filter: { plan: ['pro'] } },
  });
  await bench.broker.settled();
  await bench.send('t', { text: 'free2', headers: { plan: 'free' } }, { text: 'pro3', headers: { plan: 'pro' } });
  assert.deepEqual((await Worker.start(bench, 't', 100, { subscription: 'all' })).texts, [
    'free1',
    'pro1',
    'pro2',
    'free2',
    'pro3',
  ]);
  assert.deepEqual((await Worker.start(bench, 't', 100, { subscription: 'pros' })).texts, ['pro1', 'pro2', 'pro3']);
  await bench.restart('crash');
  const { runs, next, end } = await bench.session.request('read', { topic: 't', from: 'start' });
  assert.equal(
    runs.reduce((sum, run) => sum + run.count, 0),
    5,
  );
  assert.deepEqual([next, end], [5, 5]);
});

test('a router stores one body for all its targets', async () => {
  const bench = await Bench.open();
  const { session } = bench;
  await bench.queue('eu');
  await bench.queue('all');
  await session.request('declareRouter', { name: 'orders', type: 'topic' });
  const binding = { match: null, filter: null };
  await session.request('bind', { router: 'orders', binding: { ...binding, key: 'order.eu.*', to: { topic: 'eu' } } });
  await session.request('bind', { router: 'orders', binding: { ...binding, key: '#', to: { topic: 'all' } } });
  const body = 'x'.repeat(10_000);
  const before = bench.broker.info().counters.bytes ?? 0;
  const receipt = await session.publish({ to: { router: 'orders', key: 'order.eu.new' }, ...records(body) });
  assert.equal(receipt.runs.length, 2);
  const written = (bench.broker.info().counters.bytes ?? 0) - before;
  assert.ok(written > 10_000 && written < 11_000, `${written} bytes were written`);
  const nothing = await session.publish({ to: { router: 'orders', key: 'order.us' }, ...records('y') });
  assert.equal(nothing.runs.length, 1);
  await bench.restart('crash');
  assert.deepEqual((await Worker.start(bench, 'eu')).texts, [body]);
  assert.deepEqual((await Worker.start(bench, 'all')).texts, [body, 'y']);
});

test('a transaction does all of it or nothing', async () => {
  const bench = await Bench.open();
  await bench.queue('in');
  await bench.queue('out');
  await bench.send('in', 'a');
  const worker = await Worker.start(bench, 'in');
  const [a] = worker.take();
  const ranges = [{ partition: 0, offset: 0, count: 1, token: a?.run.token ?? 0 }];
  const settlements = [{ topic: 'in', subscription: 'in', action: 'ack' as const, ranges }];
  await bench.session.commit({ settlements, publishes: [{ to: { topic: 'out' }, ...records('b') }], cursors: [] });
  assert.equal((await bench.stats('in')).depth, 0);
  assert.equal((await bench.stats('out')).depth, 1);
  const again = bench.session.commit({
    settlements,
    publishes: [{ to: { topic: 'out' }, ...records('c') }],
    cursors: [],
  });
  await assert.rejects(again, (error) => RailheadError.is(error, 'LEASE_LOST'));
  assert.equal((await bench.stats('out')).depth, 1);
});

test('a schedule sends at its times, and once for what it missed while the broker was down', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.session.request('putSchedule', {
    name: 'minutely',
    cron: '* * * * *',
    topic: 'q',
    record: records('tick').records,
  });
  await bench.advance(180_000);
  assert.equal((await bench.stats('q')).depth, 3);
  await bench.broker.settled();
  bench.clock.advance(0);
  await bench.restart('crash');
  await bench.advance(60_000);
  assert.equal((await bench.stats('q')).depth, 4);
});

test('expired messages go at their time, leased ones when they come back', async () => {
  const bench = await Bench.open();
  await bench.queue('q', {}, { ttlMs: 5000 });
  await bench.send('q', 'a', 'b');
  const worker = await Worker.start(bench, 'q', 1);
  await bench.advance(5000);
  assert.deepEqual(await bench.stats('q'), { ready: 0, delayed: 0, leased: 1, depth: 1 });
  await worker.got[0]?.release();
  await bench.broker.settled();
  assert.equal((await bench.stats('q')).depth, 0);
});

test('checkpoints and cold blocks: a small commit log holds a large backlog, and a start reads neither twice', async () => {
  const limits = { checkpointBytes: 64 << 10, coldBlockBytes: 8 << 10, recentBytes: 16 << 10 };
  const bench = await Bench.open({ limits }, { segmentBytes: 64 << 10, segments: 8 });
  await bench.queue('q');
  await bench.queue('other');
  const body = 'x'.repeat(200);
  for (let i = 0; i < 300; i++) {
    await bench.send('q', ...Array.from({ length: 20 }, (_, j) => `${i * 20 + j} ${body}`));
    if (i % 10 === 0) await bench.send('other', `${i} ${body}`);
  }
  assert.ok((bench.broker.info().counters.coldSegments ?? 0) > 0);
  await bench.restart('crash');
  assert.equal((await bench.stats('q')).depth, 6000);
  const worker = await Worker.start(bench, 'q', 6000);
  for (let i = 0; i < 200 && worker.got.length < 6000; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(worker.got.length, 6000);
  assert.deepEqual(
    worker.got.map((message) => Number(message.text.split(' ')[0])),
    Array.from({ length: 6000 }, (_, i) => i),
  );
  for (const message of worker.take()) void message.ack();
  await bench.broker.settled();
  assert.equal((await bench.stats('q')).depth, 0);
  await bench.restart('crash');
  assert.equal((await bench.stats('q')).depth, 0);
  assert.equal((await bench.stats('other')).depth, 30);
  await bench.broker.close();
  await bench.start();
  assert.equal((await Worker.start(bench, 'other')).got.length, 30);
});

test('a cold segment of which little is alive is written anew, and its disk space comes back', async () => {
  const limits = { checkpointBytes: 64 << 10, coldBlockBytes: 8 << 10, recentBytes: 16 << 10 };
  const bench = await Bench.open({ limits }, { segmentBytes: 64 << 10, segments: 8 });
  await bench.queue('q');
  const coldBytes = async (): Promise<number> =>
    (await bench.disk.list()).filter(({ name }) => name.startsWith('cold-')).reduce((sum, { bytes }) => sum + bytes, 0);
  const body = 'x'.repeat(200);
  for (let i = 0; i < 6000; i += 20) await bench.send('q', ...Array.from({ length: 20 }, (_, j) => `${i + j} ${body}`));
  const before = await coldBytes();
  const worker = await Worker.start(bench, 'q', 6000);
  while (worker.got.length < 6000) await new Promise((resolve) => setImmediate(resolve));
  for (const message of worker.take()) if (message.offset % 100 !== 0) void message.ack();
  for (let i = 0; i < 600; i++) await bench.send('q', `more ${body}`);
  await bench.broker.settled();
  const after = await coldBytes();
  assert.ok(after < before / 2, `${after} of ${before} bytes are left`);
  await bench.restart('crash');
  const { messages } = await bench.session.request('peek', { topic: 'q', subscription: 'q', limit: 60 });
  assert.deepEqual(
    messages.map((message) => Number(asBuffer(message.envelope.body).toString().split(' ')[0])),
    Array.from({ length: 60 }, (_, i) => i * 100),
  );
});

test('a compacted topic keeps the newest message of each key, in the log and in cold segments', async () => {
  const limits = { checkpointBytes: 64 << 10, coldBlockBytes: 8 << 10, recentBytes: 16 << 10 };
  const bench = await Bench.open({ limits }, { segmentBytes: 64 << 10, segments: 8 });
  await bench.session.request('declareTopic', {
    name: 't',
    kind: 'topic',
    policy: { retain: { untilSettled: false, ageMs: null, bytes: null, compact: true } },
  });
  await assert.rejects(bench.send('t', 'no key'), (error) => RailheadError.is(error, 'INVALID'));
  for (let i = 0; i < 4000; i += 20) {
    await bench.send(
      't',
      ...Array.from({ length: 20 }, (_, j) => ({ text: `${i + j} ${'x'.repeat(100)}`, key: `k${(i + j) % 50}` })),
    );
  }
  for (let turns = 0; turns < 50; turns++) await bench.broker.settled();
  const check = async (): Promise<void> => {
    const newest = new Map<string, number>();
    let seen = 0;
    for (let next = 0, end = 1; next < end;) {
      const page = await bench.session.request('read', { topic: 't', from: { offset: next }, maxMessages: 10_000 });
      for (const run of page.runs) {
        const bytes = asBuffer(run.records);
        for (let i = 0, at = 0; i < run.count; i++, at = recordEnd(bytes, at)) {
          const { key = '', body } = readRecord(bytes, at);
          newest.set(key, Number(body.toString().split(' ')[0]));
          seen++;
        }
      }
      ({ next, end } = page);
    }
    assert.deepEqual(
      [...newest.values()].sort((a, b) => a - b),
      Array.from({ length: 50 }, (_, i) => 3950 + i),
    );
    assert.ok(seen < 3000, `${seen} of 4000 are left`);
  };
  await check();
  await bench.restart('crash');
  await check();
});
