import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { setUp, turns, withCode } from '../../test/sdk/set-up.ts';
import { RailheadError } from '../core/errors.ts';
import { defineQueue, defineTopic } from './define.ts';

const events = defineTopic('events', {
  schema: z.object({ user: z.string(), plan: z.string().default('free') }),
  retain: { age: '7d', bytes: '10GB' },
  partitions: 1,
});

test('every subscription of a topic sees every message, from where it began', async () => {
  const { rail } = setUp();
  const topic = rail.topic(events);
  await topic.publish({ user: 'a' }, { key: 'a' });
  const all = topic.subscription('all', { from: 'start' });
  const later = topic.subscription('later');
  await Promise.all([all.ready(), later.ready()]);
  await topic.publishMany([{ user: 'b', plan: 'pro' }, { user: 'c' }]);
  const bodies = async (subscription: typeof all) =>
    (await subscription.fetch({ max: 10 })).map(({ body }) => `${body.user} ${body.plan}`);
  assert.deepEqual(await bodies(all), ['a free', 'b pro', 'c free']);
  assert.deepEqual(await bodies(later), ['b pro', 'c free']);
});

test('a subscription is declared with its policy, after its topic', async () => {
  const { rail, session } = setUp();
  await rail
    .topic(events)
    .subscription('analytics', { from: new Date(5), filter: { plan: ['pro'] }, maxAttempts: 3 })
    .ready();
  assert.deepEqual(
    session.requested.map(({ args }) => args),
    [
      {
        name: 'events',
        kind: 'topic',
        policy: { partitions: 1, retain: { untilSettled: false, ageMs: 604_800_000, bytes: 10e9, compact: false } },
        ifDifferent: 'error',
      },
      {
        topic: 'events',
        subscription: 'analytics',
        policy: { maxAttempts: 3, filter: { plan: ['pro'] } },
        from: { time: 5 },
        ifDifferent: 'error',
      },
    ],
  );
});

test('the dead letters of a subscription have a queue of their own', async () => {
  const { rail, session } = setUp();
  const analytics = rail.topic(events).subscription('analytics', { from: 'start' });
  await rail.topic(events).publish({ user: 'a' });
  const [message] = await analytics.fetch();
  await message?.reject('no');
  assert.deepEqual(
    (await analytics.dead.peek()).map((dead) => dead.history?.error),
    ['no'],
  );
  assert.ok(session.topics.has('events.analytics.dead'));
});

test('reading begins where it is told, ends at the end, and settles nothing', async () => {
  const { rail, clock, session } = setUp();
  const topic = rail.topic(events);
  await topic.publish({ user: 'a' });
  clock.advance(60_000);
  const noon = new Date(clock.now());
  await topic.publishMany([{ user: 'b' }, { user: 'c' }, { user: 'd' }]);
  const read = async (options: Parameters<typeof topic.read>[0]) => {
    const users: string[] = [];
    for await (const { body, offset } of topic.read(options)) users.push(`${offset}${body.user}`);
    return users.join(' ');
  };
  assert.equal(await read({}), '0a 1b 2c 3d');
  assert.equal(await read({ from: noon }), '1b 2c 3d');
  assert.equal(await read({ from: { offset: 3 } }), '3d');
  assert.equal(await read({ from: 'end' }), '');
  await assert.rejects(read({ partition: 1 }), withCode('INVALID'));
  assert.deepEqual(session.settled, []);
});

test('what is published during a read is not part of it, unless it follows', async () => {
  const { rail } = setUp();
  const topic = rail.topic(events);
  await topic.publishMany([{ user: 'a' }, { user: 'b' }, { user: 'c' }]);
  const seen: string[] = [];
  for await (const { body } of topic.read()) {
    seen.push(body.user);
    await topic.publish({ user: 'late' });
  }
  assert.deepEqual(seen, ['a', 'b', 'c']);
  const controller = new AbortController();
  const followed: string[] = [];
  for await (const { body } of topic.read({ from: { offset: 5 }, follow: true, signal: controller.signal })) {
    followed.push(body.user);
    if (followed.length === 1) void topic.publish({ user: 'new' });
    if (body.user === 'new') controller.abort();
  }
  assert.deepEqual(followed, ['late', 'new']);
});

test('a body that does not fit the schema does not end a read: it throws when it is looked at', async () => {
  const { rail } = setUp();
  await rail.topic(events).publish({ user: 'a' });
  await rail.topic('events').publish({ user: 1 });
  const outcomes: string[] = [];
  for await (const message of rail.topic(events).read()) {
    try {
      outcomes.push(message.body.user);
    } catch (error) {
      outcomes.push(RailheadError.is(error) ? error.code : 'other');
    }
  }
  assert.deepEqual(outcomes, ['a', 'SCHEMA']);
});

test('a transaction acks, sends and publishes as one entry', async () => {
  const { rail, session } = setUp();
  const jobs = rail.queue(defineQueue<number>('jobs'));
  const orders = defineQueue<string>('orders');
  await jobs.sendMany([1, 2]);
  const [first, second] = await jobs.fetch({ max: 2 });
  assert.ok(first && second);
  const result = await rail.transaction(async (tx) => {
    tx.ack(first);
    tx.reject(second, 'unfit');
    tx.send(orders, 'o1');
    tx.send(rail.queue(orders), 'o2', { key: 'k' });
    tx.publish(events, { user: 'a' });
    await turns(1);
    return 42;
  });
  assert.equal(result, 42);
  const [commit] = session.committed;
  assert.deepEqual(
    commit?.publishes.map(({ to, count }) => [to, count]),
    [
      [{ topic: 'orders' }, 2],
      [{ topic: 'events' }, 1],
    ],
  );
  assert.deepEqual(
    commit.settlements.map(({ action }) => action),
    ['ack', 'reject'],
  );
  assert.equal((await jobs.stats()).depth, 0);
  await assert.rejects(first.ack(), withCode('INVALID'));
});

test('a transaction whose function throws, or that the broker refuses, changes nothing', async () => {
  const { rail, session } = setUp();
  const jobs = rail.queue(defineQueue<number>('jobs'));
  await jobs.send(1);
  const [message] = await jobs.fetch();
  assert.ok(message);
  await assert.rejects(
    rail.transaction((tx) => {
      tx.ack(message);
      throw new Error('changed my mind');
    }),
    /changed my mind/,
  );
  session.intercept = () => Promise.reject(new RailheadError('QUEUE_FULL', 'full'));
  const refused = rail.transaction((tx) => {
    tx.ack(message);
    tx.send('jobs', 2);
  });
  await assert.rejects(refused, withCode('QUEUE_FULL', { outcome: 'not-stored', retryable: true }));
  session.intercept = undefined;
  assert.equal((await jobs.stats()).leased, 1);
  await message.ack();
});

test('a transaction refuses a message twice, a lost lease, a bad body, and anything after its end', async () => {
  const { rail, session } = setUp();
  const jobs = rail.queue(defineQueue<number>('jobs'));
  await jobs.sendMany([1, 2]);
  const [first, second] = await jobs.fetch({ max: 2 });
  assert.ok(first && second);
  let kept: Parameters<Parameters<typeof rail.transaction>[0]>[0] | undefined;
  await rail.transaction((tx) => {
    kept = tx;
    tx.ack(first);
    assert.throws(() => tx.ack(first), withCode('INVALID'));
    // @ts-expect-error: user is a text
    assert.throws(() => tx.publish(events, { user: 1 }), withCode('SCHEMA'));
  });
  assert.throws(() => kept?.ack(second), withCode('INVALID'));
  session.subscription({ topic: 'jobs', subscription: 'jobs' }).lose(1);
  await assert.rejects(
    rail.transaction((tx) => tx.ack(second)),
    withCode('LEASE_LOST'),
  );
});

test('a schedule keeps one record, is listed with its body, and can be taken away', async () => {
  const { rail, clock } = setUp();
  const emails = defineQueue('emails', { schema: z.object({ to: z.email() }) });
  const next = await rail.schedule(
    'nightly',
    { cron: '0 3 * * *', timezone: 'Europe/Berlin' },
    emails,
    { to: 'ops@example.com' },
    { key: 'k' },
  );
  assert.deepEqual(next, new Date(clock.now() + 60_000));
  const [schedule] = await rail.schedules();
  assert.deepEqual(
    [schedule?.name, schedule?.cron, schedule?.timezone, schedule?.to, schedule?.body],
    ['nightly', '0 3 * * *', 'Europe/Berlin', 'emails', { to: 'ops@example.com' }],
  );
  assert.deepEqual([await rail.unschedule('nightly'), await rail.unschedule('nightly')], [true, false]);
  await assert.rejects(rail.schedule('bad', { cron: '* * * * *' }, emails, { to: 'nobody' }), withCode('SCHEMA'));
  await assert.rejects(rail.schedule('bad', { cron: '* * * * *' }, 'nowhere', 1), withCode('NOT_FOUND'));
});

test('a router sends copies to what is bound to it', async () => {
  const { rail, session } = setUp();
  const emails = rail.queue(defineQueue('emails'));
  const audit = rail.queue(defineQueue('audit'));
  const router = rail.router('orders', { type: 'direct' });
  await router.bind(emails, { routingKey: 'created' });
  await router.bind(audit, { routingKey: 'created' });
  await router.bind(rail.router('other', { type: 'fanout' }), {
    routingKey: 'created',
    headers: { a: 1 },
    match: 'any',
  });
  const { ids } = await router.publish({ n: 1 }, { routingKey: 'created', key: 'k' });
  assert.deepEqual(ids, ['1.0.0', '2.0.0']);
  assert.deepEqual((await router.publish({ n: 1 }, { routingKey: 'cancelled' })).ids, []);
  assert.deepEqual(
    [await router.unbind(audit, { routingKey: 'created' }), await router.unbind(audit, { routingKey: 'created' })],
    [true, false],
  );
  assert.equal((await router.publish({ n: 2 }, { routingKey: 'created' })).ids.length, 1);
  assert.deepEqual(session.published.at(-1)?.to, { router: 'orders', key: 'created' });
  await assert.rejects(rail.router('nowhere').publish(1), withCode('NOT_FOUND', { outcome: 'not-stored' }));
});
