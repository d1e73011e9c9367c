/** Everything that the SDK offers, end to end, on every way to have a broker. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import {
  bytes,
  connect,
  defineQueue,
  defineTopic,
  open,
  RailheadError,
  Reject,
  Retry,
  text,
  type Rail,
} from 'railhead';
import { testBroker } from 'railhead/testing';
import { z } from 'zod';
import { eventually } from '../eventually.ts';
import { directory } from './processes.ts';

const quick = { type: 'fixed', min: '10ms', max: '10ms', jitter: false } as const;

const emails = defineQueue('emails', {
  schema: z.object({ to: z.email(), tries: z.number().default(3) }),
  maxAttempts: 2,
  backoff: quick,
  lease: '30s',
  priorities: 10,
  order: 'key',
  maxMessages: 1_000,
  overflow: 'block',
  publishRate: '2000/s',
  consumeRate: '500/s',
  ttl: '7d',
  dedupeWindow: '5m',
  durability: 'fsync',
});
const SignedUp = z.object({ userId: z.string(), at: z.iso.datetime().transform((at) => new Date(at)) });
const signups = defineTopic('user.signed-up', {
  schema: SignedUp,
  retain: { age: '7d', bytes: '10GB' },
  partitions: 4,
});
const orders = defineQueue<{ order: number }>('orders', { retain: '1h', backoff: quick });

interface Way {
  rail: Rail;
  /** So much time passes. */
  later: (ms: number) => Promise<void>;
  /** Before the directory is removed. */
  end?: () => Promise<void>;
}

const ways = new Map<string, (t: TestContext) => Promise<Way>>([
  [
    'open',
    async (t) => {
      const rail = await open({ dir: await directory(t) });
      return { rail, later: pause };
    },
  ],
  [
    'open beside an owner',
    async (t) => {
      const dir = await directory(t);
      const owner = await open({ dir });
      const rail = await open({ dir, own: false });
      return { rail, later: pause, end: () => owner.close() };
    },
  ],
  [
    'testBroker',
    async (t) => {
      const broker = await testBroker();
      t.after(() => broker.close());
      return { rail: broker.rail, later: (ms) => broker.clock.advance(`${ms}ms`) };
    },
  ],
  [
    'connect',
    async (t) => {
      const broker = await testBroker();
      t.after(() => broker.close());
      const rail = await connect(broker.url, { clock: broker.clock });
      return { rail, later: (ms) => broker.clock.advance(`${ms}ms`) };
    },
  ],
]);

for (const [name, start] of ways) {
  const walk = (what: string, run: (way: Way) => Promise<void>): void => {
    test(`${name}: ${what}`, async (t) => {
      const way = await start(t);
      try {
        await run(way);
      } finally {
        await way.rail.close();
        await way.end?.();
      }
    });
  };

  walk('a schema checks what is sent, and its defaults reach the handler', async ({ rail }) => {
    const q = rail.queue(emails);
    // @ts-expect-error the type of the schema is that of the queue
    await assert.rejects(q.send({ to: 7 }), { code: 'SCHEMA', outcome: 'not-stored' });
    await q.send({ to: 'user@example.com' });
    const [message] = await q.fetch({ max: 1, wait: '5s' });
    const body: { to: string; tries: number } | undefined = message?.body;
    assert.deepEqual(body, { to: 'user@example.com', tries: 3 });
    await message?.ack();
  });

  walk('a repeated dedupeId is not stored, and says so', async ({ rail }) => {
    const q = rail.queue(emails);
    const first = await q.send({ to: 'a@example.com' }, { dedupeId: 'welcome-7', headers: { 'x-a': '1' } });
    const second = await q.send({ to: 'a@example.com' }, { dedupeId: 'welcome-7' });
    assert.deepEqual([first.duplicate, second.duplicate, second.id], [false, true, first.id]);
    assert.equal((await q.stats()).depth, 1);
  });

  walk('a delay is waited for; reschedule, cancel, peek and purge act on what waits', async ({ rail, later }) => {
    const q = rail.queue(emails);
    const soon = await q.send({ to: 'soon@example.com' }, { delay: '100ms' });
    const never = await q.send({ to: 'never@example.com' }, { delay: new Date(Date.UTC(2126, 0, 1)) });
    const hour = await q.send({ to: 'hour@example.com' }, { delay: '1h' });
    assert.equal((await q.fetch({ max: 10 })).length, 0);
    assert.deepEqual((await q.peek({ state: 'delayed' })).length, 3);
    assert.equal(await q.cancel(never.id), true);
    assert.equal(await q.cancel(never.id), false);
    await q.reschedule(hour.id, '50ms');
    await later(150);
    await eventually('both are ready', async () => (await q.stats()).ready === 2);
    const ids = (await q.peek()).map(({ id, body }) => [id, body]);
    assert.deepEqual(new Set(ids.map(([id]) => id)), new Set([soon.id, hour.id]));
    assert.equal(await q.purge(), 2);
    assert.equal((await q.stats()).depth, 0);
  });

  walk('higher priorities come first; sendMany is all or nothing', async ({ rail }) => {
    const q = rail.queue(emails);
    await q.sendMany(
      [1, 5, 3].map((n) => ({ to: `p${n}@example.com` })),
      ({ to }) => ({ priority: Number(to[1]) }),
    );
    await assert.rejects(q.sendMany([{ to: 'ok@example.com' }, { to: 'not an address' }]), { code: 'SCHEMA' });
    const batch = await q.fetch({ max: 10, wait: '1s' });
    assert.deepEqual(
      batch.map(({ body }) => body.to[1]),
      ['5', '3', '1'],
    );
    await Promise.all(batch.map((message) => message.ack()));
  });

  walk('messages of one key are worked on one at a time and in order, other keys beside them', async ({ rail }) => {
    const q = rail.queue(emails);
    for (let i = 0; i < 30; i++) await q.send({ to: `u${i}@example.com` }, { key: `k${i % 3}` });
    const busy = new Set<string>();
    const seen = new Map<string, number[]>();
    let most = 0;
    const worker = q.work(
      async ({ key = '', body }) => {
        assert.ok(!busy.has(key));
        busy.add(key);
        most = Math.max(most, busy.size);
        await pause(1);
        busy.delete(key);
        seen.set(key, [...(seen.get(key) ?? []), Number.parseInt(body.to.slice(1), 10)]);
      },
      { concurrency: 20, timeout: '2m' },
    );
    await eventually('all are done', async () => (await q.stats()).depth === 0);
    await worker.close();
    assert.ok(most > 1);
    for (const order of seen.values())
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
      );
  });

  walk(
    'a failed handler is tried again, and ends as a dead letter; redrive with an edit brings it back',
    async (way) => {
      const { rail, later } = way;
      const q = rail.queue(emails);
      const attempts: number[] = [];
      const worker = q.work(({ attempt, body }) => {
        attempts.push(attempt);
        if (body.to === 'poison@example.com') throw new Error('cannot be done');
      });
      await q.send({ to: 'poison@example.com' });
      await eventually('it is dead', async () => {
        await later(20);
        return (await q.dead.stats()).ready === 1;
      });
      assert.deepEqual(attempts, [1, 2]);
      const [dead] = await q.dead.peek();
      assert.equal(dead?.history?.error, 'cannot be done');
      assert.equal(dead.history.attempts, 2);
      const { moved } = await q.dead.redrive({ rate: '100/s', edit: () => ({ body: { to: 'fine@example.com' } }) });
      assert.equal(moved, 1);
      await eventually('it is done', async () => (await q.stats()).depth === 0);
      assert.equal((await q.dead.stats()).depth, 0);
      await worker.close();
    },
  );

  walk('Retry says when, and whether it counts; Reject gives up at once; drop removes', async ({ rail, later }) => {
    const q = rail.queue(orders);
    const attempts: number[] = [];
    const worker = q.work(({ attempt, body }) => {
      if (body.order === 2) throw new Reject('no such customer');
      attempts.push(attempt);
      if (attempts.length < 4) throw new Retry({ after: '10ms', count: false });
    });
    await q.sendMany([{ order: 1 }, { order: 2 }]);
    await eventually('one is done and one dead', async () => {
      await later(20);
      return (await q.stats()).depth === 0 && (await q.dead.stats()).depth === 1;
    });
    assert.equal(attempts.length, 4);
    const [dead] = await q.dead.peek();
    assert.deepEqual([dead?.history?.reason, dead?.history?.error], ['rejected', 'no such customer']);
    assert.equal(await q.dead.drop(), 1);
    await worker.close();
  });

  walk('what a handler sends and publishes is stored with its ack, or not at all', async ({ rail, later }) => {
    const q = rail.queue(orders);
    const audit = rail.topic(signups).subscription('audit', { from: 'start' });
    await audit.ready();
    let tries = 0;
    const worker = q.work(({ body }, ctx) => {
      ctx.send(emails, { to: `order${body.order}@example.com` });
      ctx.publish(signups, { userId: `u${body.order}`, at: new Date(0).toISOString() });
      if (++tries === 1) throw new Error('after sending');
    });
    await q.send({ order: 1 });
    await eventually('it is done', async () => {
      await later(20);
      return (await q.stats()).depth === 0;
    });
    await worker.close();
    assert.equal(tries, 2);
    assert.equal((await rail.queue(emails).stats()).depth, 1);
    assert.equal((await audit.stats()).depth, 1);
  });

  walk('a transaction does all or nothing', async ({ rail }) => {
    const q = rail.queue(orders);
    await rail.queue(emails).ready();
    await q.send({ order: 1 });
    const [message] = await q.fetch({ max: 1, wait: '5s' });
    assert.ok(message !== undefined);
    const failure = new Error('changed my mind');
    await assert.rejects(
      rail.transaction((tx) => {
        tx.ack(message);
        tx.send(emails, { to: 'never@example.com' });
        throw failure;
      }),
      failure,
    );
    assert.equal((await rail.queue(emails).stats()).depth, 0);
    await rail.transaction((tx) => {
      tx.ack(message);
      tx.send(emails, { to: 'user@example.com' });
      tx.publish(signups, { userId: 'u1', at: new Date(0).toISOString() });
    });
    assert.equal((await q.stats()).depth, 0);
    assert.equal((await rail.queue(emails).stats()).depth, 1);
    assert.equal((await rail.topic(signups).stats()).messages, 1);
    await assert.rejects(message.ack(), { code: 'INVALID' });
  });

  walk('every subscription has its own copy, filtered; a new one replays; read settles nothing', async ({ rail }) => {
    const topic = rail.topic(signups);
    const pro = topic.subscription('pro', { filter: { plan: ['pro'] } });
    await pro.ready();
    const at = new Date(1_000_000).toISOString();
    for (let i = 0; i < 6; i++) {
      const plan = i % 2 === 0 ? 'pro' : 'free';
      await topic.publish({ userId: `u${i}`, at }, { key: `u${i}`, headers: { plan } });
    }
    const analytics = topic.subscription('analytics', { from: 'start' });
    const all = await analytics.fetch({ max: 10, wait: '5s' });
    assert.equal(all.length, 6);
    assert.ok(all[0]?.body.at instanceof Date);
    await Promise.all(all.map((message) => message.ack()));
    const some = await pro.fetch({ max: 10, wait: '5s' });
    assert.deepEqual(some.map(({ body }) => body.userId).toSorted(), ['u0', 'u2', 'u4']);
    await Promise.all(some.map((message) => message.ack()));
    const read: string[] = [];
    for await (const event of topic.read({ from: new Date('2020-01-01') })) read.push(event.body.userId);
    assert.equal(read.length, 6);
    await analytics.seek('start');
    assert.equal((await analytics.stats()).ready, 6);
    const [first] = await analytics.fetch({ max: 1, wait: '5s' });
    await first?.ack();
    const { depth } = await analytics.snapshot('before', { expires: '1h' });
    assert.equal(depth, 5);
    await analytics.purge();
    await analytics.seek({ snapshot: 'before' });
    assert.equal((await analytics.stats()).ready, 5);
    assert.deepEqual(
      (await pro.snapshots()).map(({ name, subscription }) => [name, subscription]),
      [['before', 'analytics']],
    );
    assert.equal(await analytics.deleteSnapshot('before'), true);
    await assert.rejects(analytics.seek({ snapshot: 'before' }), { code: 'NOT_FOUND' });
  });

  walk('pause stops delivery and resume goes on; for await takes and acks', async ({ rail }) => {
    const q = rail.queue(orders);
    await q.sendMany([{ order: 1 }, { order: 2 }, { order: 3 }]);
    await q.pause();
    assert.equal((await q.fetch({ max: 3 })).length, 0);
    await q.resume();
    const got: number[] = [];
    for await (const message of q.messages({ prefetch: 50 })) {
      got.push(message.body.order);
      await message.ack();
      if (got.length === 3) break;
    }
    assert.deepEqual(got, [1, 2, 3]);
    // Settled messages stay visible for an hour: `retain`.
    assert.equal((await q.peek({ state: 'settled' })).length, 3);
  });

  walk('a schedule sends by cron, shows itself, and goes', async ({ rail }) => {
    const next = await rail.schedule('nightly', { cron: '0 3 * * *', timezone: 'Europe/Berlin' }, emails, {
      to: 'ops@example.com',
    });
    assert.ok(next !== null);
    assert.match(next.toLocaleTimeString('de-DE', { timeZone: 'Europe/Berlin' }), /^03:00:00$/);
    const [schedule] = await rail.schedules();
    assert.deepEqual([schedule?.name, schedule?.to, schedule?.body], ['nightly', 'emails', { to: 'ops@example.com' }]);
    assert.equal(await rail.unschedule('nightly'), true);
    assert.deepEqual(await rail.schedules(), []);
  });

  walk('text and bytes travel as they are', async ({ rail }) => {
    const lines = rail.queue(defineQueue('lines', { codec: text }));
    const blobs = rail.queue(defineQueue('blobs', { codec: bytes }));
    await lines.send('grüße 🚂');
    await blobs.send(new Uint8Array([0, 255, 7]));
    const [line] = await lines.fetch({ max: 1, wait: '5s' });
    const [blob] = await blobs.fetch({ max: 1, wait: '5s' });
    assert.equal(line?.body, 'grüße 🚂');
    assert.deepEqual([...(blob?.body ?? [])], [0, 255, 7]);
    await line.ack();
    await blob?.ack();
  });

  walk('a router sends copies by pattern', async ({ rail }) => {
    const router = rail.router('events', { type: 'topic' });
    await rail.queue(orders).ready();
    await router.bind(rail.queue(orders), { routingKey: 'order.*' });
    assert.equal((await router.publish({ order: 9 }, { routingKey: 'order.created' })).ids.length, 1);
    assert.equal((await router.publish({ order: 9 }, { routingKey: 'user.created' })).ids.length, 0);
  });

  walk('dead letters go through a router, and a binding may ask for a header of any value', async ({ rail }) => {
    const dlx = rail.router('dlx', { type: 'headers' });
    const flagged = rail.queue(defineQueue('flagged'));
    await dlx.bind(flagged, { present: ['x-flag'] });
    const q = rail.queue(defineQueue<number>('risky', { deadLetter: { router: 'dlx' } }));
    await q.send(1, { headers: { 'x-flag': '' } });
    await q.send(2);
    for (const message of await q.fetch({ max: 2, wait: '5s' })) await message.reject('no good');
    const [dead] = await flagged.fetch({ max: 2, wait: '5s' });
    assert.deepEqual([dead?.body, dead?.history?.topic, dead?.history?.error], [1, 'risky', 'no good']);
    const [left] = await q.dead.fetch({ max: 2, wait: '5s' });
    assert.equal(left?.body, 2);
    assert.equal(await dlx.unbind(flagged, { present: ['x-flag'] }), true);
  });

  walk('another policy for what is there is refused, naming the difference', async ({ rail }) => {
    await rail.queue(orders).ready();
    const other = rail.queue(defineQueue('orders', { retain: '1h', backoff: quick, maxAttempts: 3 }));
    await assert.rejects(other.ready(), (error: unknown) => {
      assert.ok(RailheadError.is(error, 'POLICY_MISMATCH'));
      assert.match(error.message, /maxAttempts/);
      return true;
    });
  });

  walk('what is held may be extended, released and rejected by hand; an ack after that is an error', async (way) => {
    const { rail, later } = way;
    const q = rail.queue(orders);
    await q.sendMany([{ order: 1 }, { order: 2 }]);
    const [one, two] = await q.fetch({ max: 2, wait: '5s' });
    assert.ok(one !== undefined && two !== undefined);
    await one.extend('1m');
    await later(20);
    await one.release({ after: '10ms', count: false });
    await assert.rejects(one.ack(), (error: unknown) => RailheadError.is(error));
    await two.reject('not today');
    await later(50);
    const again = await q.fetch({ max: 2, wait: '5s' });
    assert.deepEqual(
      again.map(({ body, attempt }) => [body.order, attempt]),
      [[1, 1]],
    );
    await again[0]?.ack();
    assert.equal((await q.dead.stats()).depth, 1);
  });
}
