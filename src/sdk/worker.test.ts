import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { setUp, turns, withCode } from '../../test/sdk/set-up.ts';
import { RailheadError } from '../core/errors.ts';
import { defineQueue, defineTopic } from './define.ts';
import type { Message } from './message.ts';
import { Reject, Retry } from './outcome.ts';

const jobs = defineQueue<number>('jobs');

test('a handler that returns acknowledges, and neighbours become one range of one settlement', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  await q.sendMany([1, 2, 3]);
  const seen: number[] = [];
  const worker = q.work((message) => void seen.push(message.body), { concurrency: 3 });
  await turns();
  assert.deepEqual(seen, [1, 2, 3]);
  assert.equal((await q.stats()).depth, 0);
  const acks = session.settled.flat().filter((settlement) => settlement.action === 'ack');
  assert.equal(
    acks.flatMap((ack) => ack.ranges).reduce((sum, range) => sum + range.count, 0),
    3,
  );
  await worker.close();
});

test('a handler that does not wait gets through any number of messages', async () => {
  const { rail } = setUp();
  const q = rail.queue(jobs);
  const bodies = Array.from({ length: 20_000 }, (_, n) => n);
  await q.sendMany(bodies);
  const seen: number[] = [];
  const worker = q.work((message) => void seen.push(message.body), { prefetch: 20_000 });
  await turns();
  assert.deepEqual(seen, bodies);
  await worker.close();
});

test('never more handlers run at once than the concurrency says, and slow ones leave the rest to others', async () => {
  const { rail } = setUp();
  const q = rail.queue(jobs);
  await q.sendMany([1, 2, 3, 4, 5]);
  const ends: (() => void)[] = [];
  const worker = q.work(() => new Promise<void>((resolve) => ends.push(resolve)), { concurrency: 2 });
  await turns();
  assert.equal(worker.running, 2);
  assert.deepEqual([(await q.stats()).leased, (await q.stats()).ready], [2, 3]);
  ends.shift()?.();
  await turns();
  assert.equal(worker.running, 2);
  const closed = worker.close();
  for (const end of ends) end();
  await closed;
  assert.deepEqual([(await q.stats()).leased, (await q.stats()).ready], [0, 2]);
});

test('a handler that throws gives the message back as a counted attempt, with the error', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(defineQueue('jobs', { maxAttempts: 2 }));
  await q.send(1);
  const attempts: number[] = [];
  const errors: unknown[] = [];
  const worker = q.work(
    (message) => {
      attempts.push(message.attempt);
      throw new TypeError('no such mailbox');
    },
    { onError: (error) => errors.push(error) },
  );
  await turns();
  assert.deepEqual(attempts, [1, 2]);
  assert.equal(errors.length, 2);
  const [dead] = await q.dead.peek();
  assert.deepEqual(
    [dead?.history?.reason, dead?.history?.error, dead?.history?.attempts],
    ['attempts', 'TypeError: no such mailbox', 2],
  );
  assert.deepEqual(session.settled[0]?.[0]?.action, 'release');
  await worker.close();
});

test('Retry says when, and whether it counts; Reject goes to the dead-letter queue at once', async () => {
  const { rail, session, clock } = setUp();
  const q = rail.queue(defineQueue<string>('jobs'));
  await q.sendMany(['later', 'date', 'never']);
  const worker = q.work((message) => {
    if (message.body === 'later') throw new Retry({ after: '10m', count: false, reason: 'busy' });
    if (message.body === 'date') throw new Retry({ after: new Date(clock.now() + 5_000) });
    throw new Reject('no such user');
  });
  await turns();
  const [later, date, never] = session.settled.flat();
  assert.deepEqual(
    { ...later, ranges: 0 },
    {
      topic: 'jobs',
      subscription: 'jobs',
      ranges: 0,
      action: 'release',
      countAttempt: false,
      error: 'Retry: busy',
      delayMs: 600_000,
    },
  );
  assert.deepEqual(
    { ...date, ranges: 0 },
    {
      topic: 'jobs',
      subscription: 'jobs',
      ranges: 0,
      action: 'release',
      countAttempt: true,
      error: 'Retry: Retry',
      delayMs: 5_000,
    },
  );
  assert.deepEqual(
    { ...never, ranges: 0 },
    { topic: 'jobs', subscription: 'jobs', ranges: 0, action: 'reject', reason: 'no such user' },
  );
  assert.equal((await q.dead.peek())[0]?.history?.error, 'no such user');
  await worker.close();
});

test('a message that does not fit the schema never reaches the handler and is rejected with the reason', async () => {
  const { rail } = setUp();
  const q = rail.queue(defineQueue('jobs', { schema: z.object({ to: z.email() }) }));
  await q.ready();
  await rail.queue('jobs').send({ to: 'nobody' });
  await q.send({ to: 'a@example.com' });
  const seen: string[] = [];
  const worker = q.work((message) => void seen.push(message.body.to), { onError: () => undefined });
  await turns();
  assert.deepEqual(seen, ['a@example.com']);
  const [dead] = await q.dead.peek();
  assert.equal(dead?.history?.reason, 'rejected');
  assert.match(dead.history.error ?? '', /does not fit its schema: to: /);
  await worker.close();
});

test('a body that is not what its content type says is rejected when the handler reads it', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  await q.send(1);
  session.topic('jobs').log[0]?.record.fill('{', 5);
  const worker = q.work((message) => message.body + 1, { onError: () => undefined });
  await turns();
  assert.match((await q.dead.peek())[0]?.history?.error ?? '', /not the application\/json/);
  await worker.close();
});

test('the schema gives the handler its output', async () => {
  const { rail } = setUp();
  const q = rail.queue(
    defineQueue('jobs', {
      schema: z.object({ at: z.string().transform((text) => new Date(text)), times: z.number().default(3) }),
    }),
  );
  await q.send({ at: '2026-11-01T00:00:00Z' });
  const seen: [number, number][] = [];
  const worker = q.work(({ body }) => void seen.push([body.at.getUTCMonth(), body.times]));
  await turns();
  assert.deepEqual(seen, [[10, 3]]);
  await worker.close();
});

test('the lease is extended for as long as the handler runs', async () => {
  const { rail, advance } = setUp();
  const q = rail.queue(defineQueue('jobs', { lease: '30s' }));
  await q.send(1);
  let end = (): void => undefined;
  const attempts: number[] = [];
  const worker = q.work((message, { signal }) => {
    attempts.push(message.attempt);
    return new Promise<void>((resolve) => (end = () => (assert.ok(!signal.aborted), resolve())));
  });
  await turns();
  await advance(10 * 60_000, 5_000);
  end();
  await turns();
  assert.deepEqual(attempts, [1]);
  assert.equal((await q.stats()).depth, 0);
  await worker.close();
});

test('a lost lease aborts the signal, is reported, and its ack is an error', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  await q.send(1);
  const errors: unknown[] = [];
  const outcomes: string[] = [];
  const worker = q.work(
    async (message, { signal }) => {
      if (message.attempt > 1) return;
      session.subscription({ topic: 'jobs', subscription: 'jobs' }).lose(0);
      outcomes.push(RailheadError.is(signal.reason) ? signal.reason.code : 'none');
      await assert.rejects(message.ack(), withCode('LEASE_LOST'));
    },
    { concurrency: 1, onError: (error) => errors.push(error) },
  );
  await turns();
  assert.deepEqual(outcomes, ['LEASE_LOST']);
  assert.equal(errors.length, 1);
  assert.equal((await q.stats()).depth, 0);
  await worker.close();
});

test('a handler that takes longer than its timeout is aborted, and its place is free', async () => {
  const { rail, session, advance } = setUp();
  const q = rail.queue(jobs);
  await q.sendMany([1, 2]);
  const seen: number[] = [];
  const aborts: unknown[] = [];
  const worker = q.work(
    (message, { signal }) => {
      seen.push(message.body);
      signal.addEventListener('abort', () => aborts.push(RailheadError.is(signal.reason) && signal.reason.code));
      return message.body === 1 ? new Promise(() => undefined) : undefined;
    },
    { timeout: '2m', onError: () => undefined },
  );
  await turns();
  await advance(120_000, 10_000);
  assert.deepEqual(aborts[0], 'TIMEOUT');
  assert.deepEqual(seen.slice(0, 3), [1, 1, 2].slice(0, seen.length));
  const release = session.settled.flat().find((settlement) => settlement.action === 'release');
  assert.match(release?.action === 'release' ? (release.error ?? '') : '', /timeout of 2m/);
  await worker.close({ drain: '0ms' });
});

test('what a handler sends is stored with its ack in one commit, and not when it throws', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  const orders = defineQueue<string>('orders');
  const events = defineTopic<string>('events');
  await q.sendMany([1, 2]);
  const worker = q.work(
    (message, ctx) => {
      ctx.send(orders, `order ${message.body}`);
      ctx.publish(events, `event ${message.body}`);
      if (message.body === 2) throw new Reject('no');
    },
    { onError: () => undefined },
  );
  await turns();
  assert.equal(session.committed.length, 1);
  const [commit] = session.committed;
  assert.deepEqual(
    commit?.publishes.map((publish) => publish.to),
    [{ topic: 'orders' }, { topic: 'events' }],
  );
  assert.deepEqual(
    commit.settlements.map(({ action, ranges }) => [action, ranges.length]),
    [['ack', 1]],
  );
  assert.equal(session.topic('orders').log.length, 1);
  assert.equal((await q.stats()).depth, 0);
  await worker.close();
});

test('a commit that is refused gives the message back with its error', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  await q.send(1);
  let full = true;
  session.intercept = (request) => {
    const refuse = full && 'topic' in request.to && request.to.topic === 'orders';
    return refuse ? Promise.reject(new RailheadError('QUEUE_FULL', 'orders is full')) : undefined;
  };
  const attempts: number[] = [];
  const worker = q.work(
    (message, ctx) => {
      attempts.push(message.attempt);
      if (message.attempt === 3) full = false;
      ctx.send(defineQueue('orders'), message.body);
    },
    { onError: () => undefined },
  );
  await turns(10);
  assert.deepEqual(attempts, [1, 2, 3]);
  assert.equal(session.topic('orders').log.length, 1);
  await worker.close();
});

test('close gives back what was not begun, waits for what runs, then aborts it after the drain time', async () => {
  const { rail, session, advance } = setUp();
  const q = rail.queue(jobs);
  await q.sendMany([1, 2, 3, 4]);
  const aborts: unknown[] = [];
  const worker = q.work(
    (_, { signal }) => new Promise(() => signal.addEventListener('abort', () => aborts.push(signal.reason))),
    { concurrency: 1, prefetch: 2 },
  );
  await turns();
  assert.equal((await q.stats()).leased, 3);
  const closed = worker.close({ drain: '20s' });
  await turns();
  assert.equal((await q.stats()).leased, 1);
  assert.equal(aborts.length, 0);
  await advance(20_000, 5_000);
  await closed;
  assert.equal(aborts.length, 1);
  const releases = session.settled.flat().filter((settlement) => settlement.action === 'release');
  assert.ok(releases.every((release) => !release.countAttempt));
  assert.equal((await q.stats()).leased, 0);
});

test('an aborted signal closes the worker, and so does await using', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  const controller = new AbortController();
  const worker = q.work(() => undefined, { signal: controller.signal });
  await turns();
  assert.equal(session.subscription({ topic: 'jobs', subscription: 'jobs' }).consumers.size, 1);
  controller.abort();
  await worker.finished;
  {
    await using second = q.work(() => undefined);
    await turns();
    assert.equal(second.running, 0);
    assert.equal(session.subscription({ topic: 'jobs', subscription: 'jobs' }).consumers.size, 1);
  }
  assert.equal(session.subscription({ topic: 'jobs', subscription: 'jobs' }).consumers.size, 0);
});

test('a worker that the broker ended subscribes again and carries on', async () => {
  const { rail, session, advance } = setUp();
  const q = rail.queue(jobs);
  const seen: number[] = [];
  const worker = q.work((message) => void seen.push(message.body));
  await turns();
  session.subscription({ topic: 'jobs', subscription: 'jobs' }).end('the broker moved');
  await q.send(1);
  await advance(100);
  assert.deepEqual(seen, [1]);
  await worker.close();
});

test('a worker whose queue cannot be declared rejects finished and tells onError', async () => {
  const { rail, session } = setUp();
  session.refuse = () => new RailheadError('FORBIDDEN', 'no');
  const errors: unknown[] = [];
  const worker = rail.queue(jobs).work(() => undefined, { onError: (error) => errors.push(error) });
  await assert.rejects(worker.finished, withCode('FORBIDDEN'));
  assert.equal(errors.length, 1);
  await worker.close();
});

test('a message that the handler settled itself is not settled again', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  await q.sendMany([1, 2, 3]);
  const worker = q.work(async (message) => {
    if (message.body === 1) await message.ack();
    if (message.body === 2) await message.reject('by hand');
    if (message.body === 3 && message.attempt === 1) await message.release();
    if (message.body === 1) await assert.rejects(message.ack(), withCode('INVALID'));
  });
  await turns();
  const actions = session.settled.flat().map((settlement) => settlement.action);
  assert.deepEqual(actions, ['ack', 'reject', 'release', 'ack']);
  await worker.close();
});

test('messages that wait too long behind slow handlers are given back uncounted', async () => {
  const { rail, session, advance } = setUp();
  const q = rail.queue(defineQueue<number>('jobs', { lease: '30s' }));
  await q.sendMany([1, 2]);
  const worker = q.work(() => new Promise(() => undefined), { prefetch: 1 });
  await turns();
  await advance(20_000, 5_000);
  const releases = session.settled.flat().filter((settlement) => settlement.action === 'release');
  assert.deepEqual(
    releases.map((release) => [release.ranges[0]?.offset, release.countAttempt]),
    [[1, false]],
  );
  await worker.close({ drain: '0ms' });
});

test('options that make no sense are refused at once', () => {
  const { rail } = setUp();
  const q = rail.queue(jobs);
  assert.throws(() => q.work(() => undefined, { concurrency: 0 }), withCode('INVALID'));
  assert.throws(() => q.work(() => undefined, { prefetch: -1 }), withCode('INVALID'));
  // @ts-expect-error: a duration has a unit
  assert.throws(() => q.work(() => undefined, { timeout: 5 }), withCode('INVALID'));
});

test('a message knows its id, key, headers, attempt, age and history', async () => {
  const { rail, clock } = setUp();
  const q = rail.queue(jobs);
  const { id } = await q.send(7, { key: 'k', headers: { a: 1 } });
  const [message] = await q.fetch();
  assert.ok(message);
  const facts = (each: Message<number>) => [
    each.id,
    each.body,
    each.key,
    each.headers,
    each.attempt,
    each.publishedAt.getTime(),
    each.history,
  ];
  assert.deepEqual(facts(message), [id, 7, 'k', { a: 1 }, 1, clock.now(), undefined]);
});

test('closing the rail closes its workers first', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  await q.send(1);
  const ended: string[] = [];
  q.work(async () => {
    await turns();
    ended.push(session.closed ? 'after' : 'before');
  });
  await turns(1);
  await rail.close();
  assert.deepEqual([ended, session.closed], [['before'], true]);
  assert.equal(session.settled.flat()[0]?.action, 'ack');
});

test('an idle rail lets the process end; a worker and a send under way do not', async () => {
  const holding = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  const before = holding();
  await q.send(1);
  assert.equal(holding(), before);
  const worker = q.work(() => undefined);
  assert.equal(holding(), before + 1);
  await worker.close();
  assert.equal(holding(), before);
  const answer = Promise.withResolvers<Awaited<ReturnType<typeof session.publish>>>();
  session.intercept = () => answer.promise;
  const sent = q.send(2);
  await turns();
  assert.equal(holding(), before + 1);
  answer.resolve({ topicId: 1, runs: [{ topicId: 1, partition: 0, offset: 1, count: 1 }] });
  await sent;
  await turns();
  assert.equal(holding(), before);
});
