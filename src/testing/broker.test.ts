import assert from 'node:assert/strict';
import { mock, test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { nextTurn } from '../core/real-time.ts';
import { connect } from '../sdk/connect.ts';
import { defineQueue, defineTopic } from '../sdk/define.ts';
import { Reject } from '../sdk/outcome.ts';
import { testBroker, type TestBroker, type TestBrokerOptions } from './broker.ts';

interface Job {
  n: number;
}

const jobs = defineQueue<Job>('jobs', {
  maxAttempts: 3,
  backoff: { type: 'fixed', min: '1m', max: '1m', jitter: false },
});

async function start(t: TestContext, options?: TestBrokerOptions): Promise<TestBroker> {
  const broker = await testBroker(options);
  t.after(() => broker.close());
  return broker;
}

const numbers = (messages: readonly { body: Job }[]): number[] => messages.map(({ body }) => body.n);

// ---- Time ---------------------------------------------------------------------------------------------------------

test('advance makes what is delayed ready, and only that', async (t) => {
  const broker = await start(t);
  const queue = broker.rail.queue(jobs);
  await queue.send({ n: 1 }, { delay: '10m' });
  await queue.send({ n: 2 }, { delay: '20m' });
  await broker.clock.advance('15m');
  const { ready, delayed } = await broker.inspect(jobs);
  assert.deepEqual([numbers(ready), numbers(delayed)], [[1], [2]]);
});

test('what comes due in a jump is worked on in the order of its time, at its time', async (t) => {
  const broker = await start(t, { clock: 'manual', startAt: new Date('2026-01-01T00:00:00Z') });
  const queue = broker.rail.queue(jobs);
  const seen: string[] = [];
  queue.work(({ body }) => void seen.push(`${body.n} ${new Date(broker.clock.now()).toISOString().slice(11, 16)}`));
  await queue.sendMany([{ n: 3 }, { n: 1 }, { n: 2 }], ({ n }) => ({ delay: `${n}h` }));
  await broker.clock.advance('5h');
  assert.deepEqual(seen, ['1 01:00', '2 02:00', '3 03:00']);
  assert.equal(broker.clock.now(), Date.UTC(2026, 0, 1, 5));
});

test('a handler that fails is tried again after its backoff, and ends in the dead-letter queue', async (t) => {
  const broker = await start(t, { clock: 'manual' });
  const queue = broker.rail.queue(jobs);
  let attempts = 0;
  queue.work(() => {
    attempts++;
    throw new Error('no luck');
  });
  await queue.send({ n: 1 });
  await broker.idle(jobs);
  assert.equal(attempts, 1);
  await broker.clock.advance('59s');
  assert.equal(attempts, 1);
  await broker.clock.advance('1s');
  assert.equal(attempts, 2);
  await broker.clock.advance('1m');
  assert.equal(attempts, 3);
  const { dead, delayed } = await broker.inspect(jobs);
  assert.equal(delayed.length, 0);
  assert.deepEqual(numbers(dead), [1]);
  assert.equal(dead[0]?.history?.error, 'no luck');
});

test('a lease that nobody extends ends in a jump, and the message is delivered again', async (t) => {
  const broker = await start(t);
  await using other = await connect(broker.url);
  const queue = other.queue(jobs);
  await queue.send({ n: 1 });
  const [first] = await queue.fetch({ max: 1 });
  assert.equal((await broker.inspect(jobs)).leased.length, 1);
  await broker.clock.advance('31s');
  await assert.rejects(async () => first?.ack(), { code: 'LEASE_LOST' });
  const contents = await broker.inspect(jobs);
  assert.deepEqual([numbers(contents.delayed), numbers(contents.leased)], [[1], []]);
  await broker.clock.advance('1m');
  assert.equal((await queue.fetch({ max: 1 })).length, 1);
});

test('a message of the broker under test expires in a jump', async (t) => {
  const broker = await start(t);
  await broker.rail.queue(jobs).send({ n: 1 }, { ttl: '1h' });
  await broker.clock.advance('61m');
  assert.deepEqual(await broker.inspect(jobs), { ready: [], delayed: [], leased: [], dead: [] });
});

test('a cron schedule fires once for each of its times in a jump', async (t) => {
  const broker = await start(t, { startAt: new Date('2026-03-01T12:00:00Z') });
  await broker.rail.schedule('nightly', { cron: '0 3 * * *' }, jobs, { n: 9 });
  await broker.clock.advance('3d');
  assert.deepEqual(numbers((await broker.inspect(jobs)).ready), [9, 9, 9]);
});

test('a jump over a month, with retention looked after every minute, removes what is too old', async (t) => {
  const broker = await start(t, { clock: 'manual' });
  const topic = broker.rail.topic(defineTopic('events', { retain: { age: '7d' } }));
  await topic.publish({ n: 1 });
  await broker.clock.advance('6d');
  assert.equal((await topic.stats()).messages, 1);
  await broker.clock.advance('24d');
  assert.equal((await topic.stats()).messages, 0);
});

test('time flows by itself, and with a manual clock it does not', async (t) => {
  const flowing = await start(t);
  const manual = await start(t, { clock: 'manual' });
  for (const broker of [flowing, manual]) await broker.rail.queue(jobs).send({ n: 1 }, { delay: '20ms' });
  await pause(60);
  assert.equal((await flowing.inspect(jobs)).ready.length, 1);
  assert.equal((await manual.inspect(jobs)).ready.length, 0);
  assert.equal((await manual.inspect(jobs)).delayed.length, 1);
});

test('jumps that are asked for at the same time happen one after the other', async (t) => {
  const broker = await start(t, { clock: 'manual', startAt: new Date(0) });
  await Promise.all([broker.clock.advance('1h'), broker.clock.advance('2h')]);
  assert.equal(broker.clock.now(), 3 * 3_600_000);
  await broker.clock.advanceTo(new Date(4 * 3_600_000));
  await assert.rejects(broker.clock.advanceTo(new Date(0)), { code: 'INVALID' });
});

test('fake timers of the test runner stop nothing', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] });
  t.after(() => mock.timers.reset());
  const broker = await start(t);
  const queue = broker.rail.queue(jobs);
  await queue.send({ n: 1 });
  await queue.send({ n: 2 }, { delay: '1h' });
  const got: number[] = [];
  const worker = queue.work(({ body }) => void got.push(body.n));
  await broker.clock.advance('1h');
  await broker.idle(jobs);
  await worker.close();
  assert.deepEqual(got, [1, 2]);
  const response = await fetch(`${(await broker.endpoint('http')).url}/readyz`);
  assert.equal(response.status, 200);
});

// ---- Looking ------------------------------------------------------------------------------------------------------

test('inspect takes nothing, and shows where every message stands', async (t) => {
  const broker = await start(t);
  const queue = broker.rail.queue(jobs);
  await queue.send({ n: 1 }, { key: 'k', headers: { a: 'b' } });
  await queue.send({ n: 2 });
  await queue.send({ n: 3 }, { delay: '1h' });
  await queue.send({ n: 4 });
  const [first, second] = await queue.fetch({ max: 2 });
  assert.ok(first !== undefined);
  await second?.reject('broken');
  for (const target of ['jobs', jobs, queue, { topic: 'jobs', subscription: 'jobs' }]) {
    const contents = await broker.inspect<Job>(target);
    assert.deepEqual(numbers(contents.leased), [1]);
    assert.deepEqual(numbers(contents.dead), [2]);
    assert.deepEqual(numbers(contents.delayed), [3]);
    assert.deepEqual(numbers(contents.ready), [4]);
    assert.deepEqual([contents.leased[0]?.key, contents.leased[0]?.headers], ['k', { a: 'b' }]);
    assert.equal(contents.dead[0]?.history?.error, 'broken');
  }
  await first.ack();
});

test('idle waits for the workers, and says what is left when there are none', async (t) => {
  const broker = await start(t);
  const queue = broker.rail.queue(jobs);
  await queue.sendMany(Array.from({ length: 50 }, (_, n) => ({ n })));
  await assert.rejects(broker.idle(jobs, { timeout: '30ms' }), /After 30ms: "jobs" has 50 ready and 0 in flight/);
  const done: number[] = [];
  queue.work(
    async ({ body }) => {
      await pause(2);
      done.push(body.n);
    },
    { concurrency: 10 },
  );
  await broker.idle();
  assert.equal(done.length, 50);
  await assert.rejects(broker.idle('nobody'), { code: 'NOT_FOUND' });
});

test('waitFor finds what was sent before and is consumed, and what comes later', async (t) => {
  const broker = await start(t);
  const queue = broker.rail.queue(jobs);
  queue.work(() => undefined);
  await queue.send({ n: 1 });
  await broker.idle(jobs);
  assert.equal((await broker.waitFor(jobs, ({ body }) => body.n === 1)).body.n, 1);
  const later = broker.waitFor(jobs, ({ body }) => body.n === 2);
  await queue.send({ n: 2 });
  assert.equal((await later).body.n, 2);
  await assert.rejects(
    broker.waitFor(jobs, ({ body }) => body.n === 3, { timeout: '30ms' }),
    /After 30ms: None of the 2 messages that were sent to "jobs" matches/,
  );
  await assert.rejects(broker.waitFor('nobody', undefined, { timeout: '30ms' }), { code: 'NOT_FOUND' });
});

test('waitFor sees what a schedule, a router and a dead letter brought', async (t) => {
  const broker = await start(t, { startAt: new Date('2026-03-01T12:00:00Z') });
  const queue = broker.rail.queue(jobs);
  await queue.ready();
  const router = broker.rail.router('all', { type: 'fanout' });
  await router.bind(queue);
  await router.publish({ n: 1 });
  await broker.waitFor(jobs, ({ body }) => body.n === 1);
  queue.work(() => {
    throw new Reject('no');
  });
  await broker.waitFor<Job>('jobs.dead', ({ body }) => body.n === 1);
});

// ---- Connections --------------------------------------------------------------------------------------------------

test('clients reach it by url, env and endpoints; a protocol that it does not speak is refused by name', async (t) => {
  const broker = await start(t);
  assert.deepEqual(broker.env(), { RAILHEAD_URL: broker.url });
  await using other = await connect(broker.url);
  await other.queue(jobs).send({ n: 5 });
  assert.equal((await broker.endpoint('native')).url, broker.url);
  const { url } = await broker.endpoint('http');
  const response = await fetch(`${url}/api/v1/queues/jobs/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ body: { n: 6 } }),
  });
  assert.ok(response.ok, await response.text());
  assert.deepEqual(numbers((await broker.inspect(jobs)).ready), [5, 6]);
  await assert.rejects(broker.endpoint('mqtt'), {
    code: 'NOT_SUPPORTED',
    message: /does not speak "mqtt". It speaks native, http, amqp, aws and kafka/,
  });
});

test('two brokers at the same time do not know each other', async (t) => {
  const one = await start(t);
  const two = await start(t);
  await one.rail.queue(jobs).send({ n: 1 });
  await assert.rejects(two.inspect(jobs), { code: 'NOT_FOUND' });
});

test('after reset nothing is there; handles, workers and connections go on', async (t) => {
  const broker = await start(t);
  await using other = await connect(broker.url);
  const queue = broker.rail.queue(jobs);
  const got: number[] = [];
  const worker = queue.work(({ body }) => void got.push(body.n));
  await other.queue(jobs).send({ n: 1 });
  await broker.idle(jobs);
  await broker.rail.queue(defineQueue('more')).send({ x: 1 });
  await broker.rail.schedule('nightly', { cron: '0 3 * * *' }, jobs, { n: 9 });
  await worker.close();
  const again = queue.work(({ body }) => void got.push(body.n));
  await broker.waitFor(jobs);

  await broker.reset();
  assert.deepEqual(await broker.rail.schedules(), []);
  await assert.rejects(broker.inspect('more'), { code: 'NOT_FOUND' });
  await other.queue(jobs).send({ n: 2 });
  await broker.idle(jobs);
  assert.deepEqual(got, [1, 2]);
  await again.close();

  await broker.reset();
  await broker.reset();
  await assert.rejects(broker.inspect(jobs), { code: 'NOT_FOUND' });
  await broker.rail.queue(defineQueue<Job>('jobs', { maxAttempts: 7 })).send({ n: 3 });
  assert.deepEqual(numbers((await broker.inspect(jobs)).ready), [3]);
});

test('a reset may come while workers start and clients send', async (t) => {
  const broker = await start(t);
  await using other = await connect(broker.url);
  for (let turns = 0; turns < 8; turns++) {
    const queue = broker.rail.queue(defineQueue<Job>(`jobs-${turns}`));
    const got: number[] = [];
    const worker = queue.work(({ body }) => void got.push(body.n));
    const sent = other.queue(defineQueue<Job>(`jobs-${turns}`)).send({ n: 1 });
    for (let turn = 0; turn < turns; turn++) await nextTurn();
    await Promise.all([broker.reset(), broker.reset(), sent]);
    await queue.send({ n: 2 });
    await broker.idle(queue);
    assert.equal(got.at(-1), 2);
    await worker.close();
  }
});

test('a topic, its subscriptions and a router come back after reset when they are used', async (t) => {
  const broker = await start(t);
  const topic = broker.rail.topic(defineTopic<Job>('events'));
  const audit = topic.subscription('audit');
  const queue = broker.rail.queue(jobs);
  const router = broker.rail.router('all', { type: 'fanout' });
  await audit.ready();
  await router.bind(queue);
  await router.bind(topic);
  await broker.reset();
  const { ids } = await router.publish({ n: 1 });
  assert.equal(ids.length, 2);
  assert.equal((await broker.inspect(audit)).ready.length, 1);
  assert.deepEqual(numbers((await broker.inspect(jobs)).ready), [1]);
});

// ---- Faults -------------------------------------------------------------------------------------------------------

test('with redeliver, a message that was acked comes again', async (t) => {
  const broker = await start(t);
  const queue = broker.rail.queue(jobs);
  const got: number[] = [];
  queue.work(({ body }) => void got.push(body.n));
  broker.faults.redeliver({ next: 1 });
  await queue.send({ n: 1 });
  await broker.idle(jobs);
  assert.deepEqual(got, [1, 1]);
  broker.faults.redeliver(0.5);
  await queue.sendMany(Array.from({ length: 100 }, (_, n) => ({ n: n + 2 })));
  await broker.idle(jobs);
  assert.ok(got.length > 120, `${got.length}`);
  assert.throws(() => broker.faults.redeliver(2), { code: 'INVALID' });
});

test('with reorder, messages overtake each other and none is lost', async (t) => {
  const broker = await start(t);
  const queue = broker.rail.queue(jobs);
  broker.faults.reorder(0.5);
  const got: number[] = [];
  queue.work(({ body }) => void got.push(body.n), { concurrency: 1, prefetch: 20 });
  const sent = Array.from({ length: 100 }, (_, n) => n);
  await queue.sendMany(sent.map((n) => ({ n })));
  await broker.idle(jobs);
  assert.notDeepEqual(got, sent);
  assert.deepEqual(
    got.toSorted((a, b) => a - b),
    sent,
  );
});

test('the same seed brings the same faults', async (t) => {
  const runs: number[][] = [];
  for (const seed of [7, 7, 8]) {
    const broker = await start(t, { seed, clock: 'manual' });
    const queue = broker.rail.queue(jobs);
    await queue.sendMany(Array.from({ length: 40 }, (_, n) => ({ n })));
    broker.faults.reorder(0.5);
    const got: number[] = [];
    queue.work(({ body }) => void got.push(body.n), { prefetch: 40 });
    await broker.idle(jobs);
    runs.push(got);
  }
  assert.deepEqual(runs[0], runs[1]);
  assert.notDeepEqual(runs[0], runs[2]);
});

test('cut connections cost neither messages nor workers', async (t) => {
  const broker = await start(t);
  await using other = await connect(broker.url);
  const queue = other.queue(jobs);
  const got = new Set<number>();
  queue.work(({ body }) => void got.add(body.n), { concurrency: 4, onError: () => undefined });
  const sends: Promise<unknown>[] = [];
  for (let n = 0; n < 60; n++) {
    sends.push(broker.rail.queue(jobs).send({ n }));
    if (n % 20 === 10) broker.faults.dropConnections();
    await pause(1);
  }
  await Promise.all(sends);
  await broker.idle(jobs);
  assert.equal(got.size, 60);
  assert.equal((await broker.rail.request('topicStats', { name: 'jobs' })).published, 60);
});

for (const powerCut of [false, true]) {
  test(`after a ${powerCut ? 'power cut' : 'crash'} every confirmed message is there and clients go on`, async (t) => {
    const broker = await start(t, { clock: 'manual' });
    const queue = broker.rail.queue(jobs);
    const got = new Set<number>();
    queue.work(({ body }) => void got.add(body.n), { onError: () => undefined });
    await queue.send({ n: -1 });
    await queue.send({ n: -2 }, { delay: '1h' });
    for (let round = 0; round < 3; round++) {
      const sends = Array.from({ length: 20 }, (_, i) => queue.send({ n: round * 20 + i }));
      await broker.faults.crashAndRecover({ powerCut });
      await Promise.all(sends);
    }
    await broker.idle(jobs);
    await broker.clock.advance('1h');
    await broker.idle(jobs);
    assert.equal(got.size, 62);
  });
}
