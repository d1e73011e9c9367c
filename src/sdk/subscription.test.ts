import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { setUp, turns, withCode } from '../../test/sdk/set-up.ts';
import { RailheadError } from '../core/errors.ts';
import { defineQueue } from './define.ts';
import type { Message } from './message.ts';

const jobs = defineQueue<number>('jobs');
const ref = { topic: 'jobs', subscription: 'jobs' };

test('fetch takes what is there, up to max, and leaves the rest', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  await q.sendMany([1, 2, 3]);
  const batch = await q.fetch({ max: 2 });
  assert.deepEqual(
    batch.map((message) => message.body),
    [1, 2],
  );
  await Promise.all(batch.map((message) => message.ack()));
  assert.deepEqual(session.settled, [[{ ...ref, action: 'ack', ranges: session.settled[0]?.[0]?.ranges }]]);
  const { ready, leased, consumers } = await q.stats();
  assert.deepEqual([ready, leased, consumers], [1, 0, 0]);
});

test('fetch without wait answers at once when nothing is there, with wait it waits that long', async () => {
  const { rail, advance } = setUp();
  const q = rail.queue(jobs);
  assert.deepEqual(await q.fetch({ max: 10 }), []);
  const waiting = q.fetch({ max: 10, wait: '20s' });
  await turns();
  await advance(20_000);
  assert.deepEqual(await waiting, []);
  const filled = q.fetch({ wait: '20s' });
  await turns();
  await q.send(7);
  assert.equal((await filled)[0]?.body, 7);
});

test('fetch without wait does not wait for what another consumer has taken meanwhile', async () => {
  const { rail, session, advance } = setUp();
  const q = rail.queue(jobs);
  await q.sendMany([1, 2, 3]);
  const stats = session.request.bind(session);
  /** As many as there were a moment ago. */
  const lie = (ready: number): void => {
    session.request = async (operation, args) => {
      const answer = await stats(operation, args);
      if (operation !== 'subscriptionStats') return answer;
      session.request = stats;
      return { ...answer, ready };
    };
  };
  lie(5);
  const some = q.fetch({ max: 5 });
  await turns();
  await advance(5);
  assert.equal((await some).length, 3);
  lie(5);
  const none = q.fetch({ max: 5 });
  await turns();
  await advance(5 + 10 + 20, 5);
  assert.deepEqual(await none, []);
});

test('an aborted fetch gives back what arrived and rejects', async () => {
  const { rail } = setUp();
  const q = rail.queue(jobs);
  const controller = new AbortController();
  const waiting = q.fetch({ wait: '20s', signal: controller.signal });
  await turns();
  controller.abort();
  await assert.rejects(waiting, withCode('ABORTED'));
  await assert.rejects(q.fetch({ wait: '20s', signal: AbortSignal.abort() }), withCode('ABORTED'));
  await q.send(1);
  assert.equal((await q.stats()).ready, 1);
});

test('a fetch that waits ends when its rail is closed', async () => {
  const { rail } = setUp();
  const waiting = rail.queue(jobs).fetch({ wait: '20s' });
  await turns();
  await Promise.all([rail.close(), assert.rejects(waiting, withCode('CLOSED'))]);
});

test('a fetched message can be released with a delay, rejected and extended', async () => {
  const { rail, session, advance } = setUp();
  const q = rail.queue(defineQueue<number>('jobs', { lease: '30s' }));
  await q.sendMany([1, 2, 3]);
  const [first, second, third] = await q.fetch({ max: 3 });
  assert.ok(first && second && third);
  await first.release({ after: '10s', count: false });
  await second.reject('broken');
  await third.extend('2m');
  await advance(60_000, 10_000);
  await third.ack();
  const { ready, leased } = await q.stats();
  assert.deepEqual([ready, leased], [1, 0]);
  assert.deepEqual(
    session.settled.flat().map((settlement) => settlement.action),
    ['release', 'reject', 'extend', 'ack'],
  );
  assert.deepEqual(
    (await q.dead.peek()).map((dead) => [dead.body, dead.history?.error]),
    [[2, 'broken']],
  );
});

test('an ack after the lease is over is an error', async () => {
  const { rail, advance } = setUp();
  const q = rail.queue(defineQueue<number>('jobs', { lease: '30s' }));
  await q.send(1);
  const [message] = await q.fetch();
  await advance(30_000);
  await assert.rejects(message?.ack() ?? Promise.resolve(), withCode('LEASE_LOST'));
});

test('messages come one after the other until the loop is left, and the rest is given back', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  await q.sendMany([1, 2, 3, 4]);
  const seen: number[] = [];
  for await (const message of q.messages({ prefetch: 3 })) {
    seen.push(message.body);
    await message.ack();
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, [1, 2]);
  await turns();
  const { ready, leased, consumers } = await q.stats();
  assert.deepEqual([ready, leased, consumers], [2, 0, 0]);
  assert.ok(session.settled.flat().every((settlement) => settlement.action !== 'release' || !settlement.countAttempt));
});

test('an aborted signal ends the loop quietly', async () => {
  const { rail } = setUp();
  const q = rail.queue(jobs);
  const controller = new AbortController();
  const loop = (async () => {
    for await (const message of q.messages({ signal: controller.signal })) await message.ack();
  })();
  await turns();
  await q.send(1);
  await turns();
  controller.abort();
  await loop;
  assert.equal((await q.stats()).depth, 0);
});

test('the lease of the message in the loop body is extended, and a message that does not fit is passed over', async () => {
  const { rail, advance } = setUp();
  const q = rail.queue(defineQueue('jobs', { schema: z.number(), lease: '30s' }));
  await q.ready();
  await rail.queue('jobs').send('not a number');
  await q.send(5);
  const stream = q.messages();
  const { value } = await stream.next();
  assert.equal(value?.body, 5);
  await advance(120_000, 5_000);
  await value.ack();
  await stream.return();
  const { ready } = await q.dead.stats();
  assert.equal(ready, 1);
});

test('a loop over a queue that is not there rejects', async () => {
  const { rail } = setUp();
  const stream = rail.queue('nowhere').messages();
  await assert.rejects(stream.next(), withCode('NOT_FOUND', { message: /railhead declare nowhere/ }));
});

test('a message in a format that the broker should have converted ends the consumer with NOT_SUPPORTED', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  await q.send(1);
  session.format = 7;
  await assert.rejects(q.messages().next(), withCode('NOT_SUPPORTED'));
  assert.equal((await q.stats()).delayed, 1);
  await q.send(2);
  await assert.rejects(q.fetch({ wait: '1s' }), withCode('NOT_SUPPORTED'));
});

test('stats, peek, pause, resume, cancel, reschedule, seek and purge reach the broker', async () => {
  const { rail, clock } = setUp();
  const q = rail.queue(jobs);
  const [one, two] = await q.sendMany([1, 2, 3], (body) => ({ key: `k${body}`, headers: { n: body } }));
  assert.ok(one && two);
  assert.equal((await q.stats()).ready, 3);
  const [peeked] = await q.peek({ limit: 1 });
  assert.deepEqual(
    [peeked?.id, peeked?.body, peeked?.key, peeked?.headers, peeked?.state, peeked?.dueAt],
    [one.id, 1, 'k1', { n: 1 }, 'ready', null],
  );
  await q.pause();
  assert.deepEqual(await q.fetch(), []);
  await q.resume();
  assert.deepEqual([await q.cancel(one.id), await q.cancel(one.id)], [true, false]);
  assert.deepEqual(await q.reschedule(two.id, '1h'), new Date(clock.now() + 3_600_000));
  assert.deepEqual(await q.reschedule(two.id, new Date(clock.now() + 5)), new Date(clock.now() + 5));
  assert.equal((await q.peek({ state: 'delayed' })).length, 1);
  assert.equal(await q.purge(), 2);
  await q.seek('start');
  assert.equal((await q.stats()).ready, 3);
});

test('looking at dead letters while there are none finds nothing and makes nothing', async () => {
  const { rail, session } = setUp();
  const { dead } = rail.queue(jobs);
  assert.deepEqual(
    [await dead.peek(), await dead.drop(), await dead.purge(), (await dead.stats()).depth],
    [[], 0, 0, 0],
  );
  assert.deepEqual(await dead.redrive(), { moved: 0, matched: 0 });
  assert.deepEqual([...session.topics.keys()], ['jobs']);
  assert.deepEqual(await dead.fetch(), []);
  assert.deepEqual([...session.topics.keys()], ['jobs', 'jobs.dead']);
  await assert.rejects(rail.queue('nowhere').dead.peek(), withCode('NOT_FOUND'));
});

async function bury(q: { fetch(options: { max: number }): Promise<Message<number>[]> }): Promise<void> {
  for (const message of await q.fetch({ max: 100 })) await message.reject(`no ${message.body}`);
}

test('dead letters go back to their queue, chosen and edited; others are dropped', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(defineQueue<number>('jobs', { deadLetter: 'graveyard' }));
  await q.sendMany([1, 2, 3], { key: 'k' });
  await bury(q);
  const [first, second, third] = await q.dead.peek();
  assert.ok(first && second && third);
  assert.deepEqual(
    await q.dead.redrive({
      ids: [first.id, second.id],
      rate: '100/s',
      edit: (message) => (message.body === 2 ? { body: 20, headers: { fixed: true } } : undefined),
    }),
    { moved: 1, matched: 1 },
  );
  const redrive = session.requested.find(({ operation }) => operation === 'redrive');
  assert.deepEqual(
    Object.entries(redrive?.args ?? {}).find(([name]) => name === 'ratePerSecond'),
    ['ratePerSecond', 100],
  );
  const back = await q.peek();
  assert.deepEqual(
    back.map((message) => [message.body, message.key, message.headers]),
    [
      [1, 'k', {}],
      [20, 'k', { fixed: true }],
    ],
  );
  assert.equal(await q.dead.drop({ ids: [third.id] }), 1);
  assert.equal((await q.dead.stats()).depth, 0);
  assert.ok(session.topics.has('graveyard') && !session.topics.has('jobs.dead'));
});

test('an aborted redrive is cancelled in the broker', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  await q.send(1);
  await bury(q);
  const controller = new AbortController();
  session.refuse = (operation) => {
    if (operation === 'redrive') controller.abort();
    return undefined;
  };
  await assert.rejects(q.dead.redrive({ signal: controller.signal }), withCode('ABORTED'));
  assert.deepEqual(session.requested.at(-1), { operation: 'redriveProgress', args: { id: 'r1', cancel: true } });
});

test('a settlement that the broker refuses can be tried again', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(jobs);
  await q.send(1);
  const [message] = await q.fetch();
  assert.ok(message);
  const settle = session.settle.bind(session);
  session.settle = () => Promise.reject(new RailheadError('OUT_OF_SPACE', 'full'));
  await assert.rejects(message.ack(), withCode('OUT_OF_SPACE'));
  session.settle = settle;
  await message.ack();
  assert.equal((await q.stats()).depth, 0);
});
