import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { RailheadError } from '../core/errors.ts';
import { SeededRandom } from '../core/random.ts';
import { readRecord, asBuffer } from '../core/records.ts';
import { bytes, protobuf, text } from './codec.ts';
import { defineQueue } from './define.ts';
import { Rail } from './rail.ts';
import type { FakeSession } from '../../test/sdk/fake-session.ts';
import { setUp, withCode } from '../../test/sdk/set-up.ts';

const emails = defineQueue('emails', { schema: z.object({ to: z.email(), copies: z.number().default(1) }) });

test('making a handle asks nothing of the broker', async () => {
  const { rail, session } = setUp();
  rail.queue(emails);
  rail.queue('by-name');
  await Promise.resolve();
  assert.deepEqual(session.requested, []);
});

test('the first send declares the queue with its policy, once for all handles', async () => {
  const { rail, session } = setUp();
  const definition = defineQueue('jobs', { lease: '10s', maxMessages: 5, backoff: { type: 'fixed', min: '2s' } });
  await Promise.all([rail.queue(definition).send(1), rail.queue(definition).send(2), rail.queue(definition).ready()]);
  const expected = {
    name: 'jobs',
    kind: 'queue',
    policy: { maxMessages: 5 },
    subscription: { leaseMs: 10_000, backoff: { type: 'fixed', minMs: 2_000, maxMs: 300_000, jitter: true } },
    ifDifferent: 'error',
  };
  assert.deepEqual(session.requested, [{ operation: 'declareTopic', args: expected }]);
});

test('a declare that failed is tried again by the next call', async () => {
  const { rail, session } = setUp();
  session.refuse = () => new RailheadError('FORBIDDEN', 'no');
  await assert.rejects(
    rail.queue(emails).send({ to: 'a@example.com' }),
    withCode('FORBIDDEN', { outcome: 'not-stored', retryable: false }),
  );
  session.refuse = undefined;
  await rail.queue(emails).send({ to: 'a@example.com' });
  assert.equal(session.topic('emails').log.length, 1);
});

test('definitions: "update" asks the broker to change a different policy', async () => {
  const { rail, session } = setUp({ definitions: 'update' });
  session.declare('jobs', 'queue');
  await rail.queue(defineQueue('jobs', { maxAttempts: 3 })).ready();
  assert.equal(session.topic('jobs').definition.subscription?.maxAttempts, 3);
});

test('definitions: "error", the default, refuses a different policy', async () => {
  const { rail, session } = setUp();
  session.declare('jobs', 'queue');
  await assert.rejects(rail.queue(defineQueue('jobs', { maxAttempts: 3 })).ready(), withCode('POLICY_MISMATCH'));
});

test('a queue by name uses what is there, and says how to declare what is not', async () => {
  const { rail, session } = setUp();
  await assert.rejects(
    rail.queue('jobs').send(1),
    (error: Error) => /defineQueue\("jobs"/.test(error.message) && withCode('NOT_FOUND')(error),
  );
  session.declare('jobs', 'queue');
  await rail.queue('jobs').send(1);
  assert.equal(session.topic('jobs').log.length, 1);
  session.declare('events', 'topic');
  await assert.rejects(rail.queue('events').send(1), (error: Error) => /rail\.topic/.test(error.message));
});

test('sends of one turn travel in one request and each gets its own id', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(emails);
  await q.ready();
  const sent = await Promise.all(['a', 'b', 'c'].map((name) => q.send({ to: `${name}@example.com` })));
  assert.equal(session.published.length, 1);
  assert.equal(session.published[0]?.count, 3);
  assert.deepEqual(
    sent.map(({ id, duplicate }) => ({ id, duplicate })),
    [0, 1, 2].map((offset) => ({ id: `1.0.${offset}`, duplicate: false })),
  );
});

test('a send carries priority, delay, key, dedupe id, headers and ttl', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(defineQueue('jobs', { priorities: 10 }));
  const when = new Date(Date.UTC(2030, 0, 1));
  await q.send('x', {
    priority: 5,
    delay: '10m',
    key: 'user-7',
    dedupeId: 'welcome-7',
    headers: { 'x-a': '1' },
    ttl: '1h',
  });
  await q.send('y', { delay: when });
  const [first, second] = session.topic('jobs').log.map((entry) => readRecord(entry.record, 0));
  const { body, ...head } = first ?? {};
  assert.deepEqual(head, {
    priority: 5,
    delayMs: 600_000,
    key: 'user-7',
    dedupeId: 'welcome-7',
    headers: { 'x-a': '1' },
    ttlMs: 3_600_000,
  });
  assert.equal(String(body), '"x"');
  assert.equal(second?.notBefore, when.getTime());
});

test('a second send with the same dedupe id is told apart and names the first', async () => {
  const { rail } = setUp();
  const q = rail.queue(defineQueue('jobs', { dedupeWindow: '5m' }));
  const first = await q.send(1, { dedupeId: 'one' });
  const second = await q.send(1, { dedupeId: 'one' });
  assert.deepEqual([first.duplicate, second.duplicate], [false, true]);
  assert.equal(second.id, first.id);
});

test('a body that does not fit the schema is refused before anything is sent', async () => {
  const { rail, session } = setUp();
  // @ts-expect-error: `to` must be there
  await assert.rejects(rail.queue(emails).send({}), withCode('SCHEMA', { outcome: 'not-stored' }));
  await assert.rejects(rail.queue(emails).sendMany([{ to: 'a@example.com' }, { to: 'nobody' }]), withCode('SCHEMA'));
  assert.equal(session.published.length, 0);
});

test('an asynchronous schema is awaited on both sides', async () => {
  const { rail } = setUp();
  const q = rail.queue(defineQueue('jobs', { schema: z.number().transform(async (n) => n * 2) }));
  await q.send(21);
  const [message] = await q.fetch();
  assert.equal(message?.body, 42);
  // @ts-expect-error: not a number
  await assert.rejects(q.send('x'), withCode('SCHEMA'));
});

test('what JSON cannot hold, and options that do not exist, are refused', async () => {
  const { rail } = setUp();
  const q = rail.queue(defineQueue('jobs'));
  await assert.rejects(q.send(undefined), withCode('INVALID'));
  await assert.rejects(q.send(1n), withCode('INVALID'));
  // @ts-expect-error: bare numbers have no unit
  await assert.rejects(q.send(1, { delay: 10 }), withCode('INVALID'));
  // @ts-expect-error: no such option
  await assert.rejects(q.send(1, { delayy: '10s' }), withCode('INVALID'));
  await assert.rejects(q.send(1, { priority: 1.5 }), withCode('INVALID'));
  await assert.rejects(q.send(1, { delay: new Date('never') }), withCode('INVALID'));
});

test('sendMany is one atomic request; above 8 MiB it is refused', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(defineQueue<{ n: number } | string>('jobs'));
  const sent = await q.sendMany([{ n: 1 }, { n: 2 }, { n: 3 }], (_, index) => ({ key: `k${index}` }));
  assert.deepEqual(
    sent.map(({ id }) => id),
    ['1.0.0', '1.0.1', '1.0.2'],
  );
  assert.deepEqual([session.published.length, session.published[0]?.count, session.published[0]?.atomic], [1, 3, true]);
  assert.deepEqual(
    session.topic('jobs').log.map((entry) => readRecord(entry.record, 0).key),
    ['k0', 'k1', 'k2'],
  );
  assert.deepEqual(await q.sendMany([]), []);
  await assert.rejects(
    q.sendMany(['x'.repeat(5 << 20), 'x'.repeat(5 << 20)]),
    withCode('TOO_LARGE', { outcome: 'not-stored' }),
  );
});

test('refused records reject their own sends and no others', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(defineQueue('jobs'));
  await q.ready();
  session.intercept = async () => ({
    topicId: 1,
    runs: [
      { topicId: 1, partition: 0, offset: 7, count: 1 },
      { topicId: 1, partition: 0, offset: 8, count: 2 },
    ],
    refused: [
      { index: 0, count: 1, code: 'QUEUE_FULL', message: 'full' },
      { index: 2, count: 1, code: 'NO_SUCH_CODE', message: 'from the future' },
    ],
  });
  const results = await Promise.allSettled([0, 1, 2, 3, 4, 5].map((n) => q.send(n)));
  const outcomes = results.map((result) => (result.status === 'fulfilled' ? result.value.id : result.reason.code));
  assert.deepEqual(outcomes, ['QUEUE_FULL', '1.0.7', 'PROTOCOL', '1.0.8', '1.0.9', 'PROTOCOL']);
  const [full, , , , , missing] = results;
  assert.equal(full?.status === 'rejected' && full.reason.outcome, 'not-stored');
  assert.equal(full?.status === 'rejected' && full.reason.retryable, true);
  assert.equal(missing?.status === 'rejected' && missing.reason.outcome, 'unknown');
});

test('after a lost connection sends are repeated in order under the same sequence and stored once', async () => {
  const { rail, session, clock } = setUp();
  const q = rail.queue(defineQueue('jobs'));
  await q.ready();
  let down = true;
  session.intercept = async (request) => {
    if (!down) return session.store(request);
    // The first one was stored, but its answer never came.
    if (session.published.length === 1) session.store(request);
    throw new RailheadError('CONNECTION_LOST', 'gone', { outcome: 'unknown' });
  };
  const sends: Promise<unknown>[] = [q.send('a'), q.sendMany(['b', 'c'])];
  await new Promise(setImmediate);
  sends.push(q.send('d'));
  clock.advance(100);
  await new Promise(setImmediate);
  down = false;
  clock.advance(5_000);
  await Promise.all(sends);
  assert.deepEqual(
    session.topic('jobs').log.map((entry) => String(readRecord(entry.record, 0).body)),
    ['"a"', '"b"', '"c"', '"d"'],
  );
  assert.deepEqual(
    session.published.map((request) => request.producer?.sequence),
    [0, 1, 0, 1, 3, 0, 1, 3],
  );
  assert.equal(new Set(session.published.map((request) => request.producer?.id)).size, 1);
});

test('a send that is not confirmed in time says that it may be stored, one that never left that it is not', async () => {
  const { rail, session, clock } = setUp({ sendTimeout: '10s' });
  const q = rail.queue(defineQueue('jobs'));
  await q.ready();
  session.intercept = () => new Promise(() => undefined);
  const underWay = q.send(1);
  await new Promise(setImmediate);
  assert.equal(session.published[0]?.waitMs, 9_500);
  // What may be in flight is full after these; the last one waits.
  const others = Array.from({ length: 47 }, (_, n) => q.sendMany([n]));
  await new Promise(setImmediate);
  const waiting = q.sendMany([9]);
  const results = Promise.allSettled([underWay, ...others, waiting]);
  clock.advance(10_000);
  const outcomes = (await results).map((result) =>
    result.status === 'rejected' ? `${result.reason.code} ${result.reason.outcome}` : 'stored',
  );
  assert.deepEqual(outcomes, [...Array.from({ length: 48 }, () => 'TIMEOUT unknown'), 'TIMEOUT not-stored']);
});

test('a send waits for a declare that hangs no longer than its timeout', async () => {
  const { session, clock } = setUp();
  const rail = new Rail({
    session: () => new Promise<FakeSession>(() => undefined),
    clock,
    random: new SeededRandom(1),
  });
  const sent = rail.queue(defineQueue('jobs')).send(1);
  await new Promise(setImmediate);
  clock.advance(30_000);
  await assert.rejects(sent, withCode('TIMEOUT', { outcome: 'not-stored', retryable: true }));
  assert.equal(session.published.length, 0);
  await rail.close();
});

test('large and many sends are split over requests of at most 512 KiB and 4,096 records', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(defineQueue('jobs'));
  await q.ready();
  await Promise.all(Array.from({ length: 10 }, () => q.send('x'.repeat(200_000))));
  await Promise.all(Array.from({ length: 5_000 }, (_, n) => q.send(n)));
  for (const request of session.published)
    assert.ok(request.records.byteLength <= 512 * 1024 && request.count <= 4_096);
  assert.equal(session.topic('jobs').log.length, 5_010);
  assert.deepEqual(
    session.published.slice(-2).map((request) => request.count),
    [4_096, 904],
  );
});

test('bytes, text and Protobuf keep their content type and come back as what they were', async () => {
  const { rail } = setUp();
  const raw = rail.queue(defineQueue<Uint8Array>('raw'));
  await raw.send(new Uint8Array([1, 2, 3]));
  const [rawMessage] = await raw.fetch();
  assert.equal(rawMessage?.contentType, 'application/octet-stream');
  assert.deepEqual([...rawMessage.body], [1, 2, 3]);

  const notes = rail.queue(defineQueue('notes', { codec: text }));
  await notes.send('grüß');
  const [note] = await notes.fetch();
  assert.deepEqual([note?.contentType, note?.body], ['text/plain; charset=utf-8', 'grüß']);

  const blobs = rail.queue(defineQueue('blobs', { codec: bytes }));
  await blobs.send(Buffer.from('b'));
  assert.equal(String((await blobs.fetch())[0]?.body), 'b');

  const Point = {
    encode: ({ x }: { x: number }) => ({ finish: () => new Uint8Array([8, x]) }),
    decode: (data: Uint8Array) => ({ x: data[1] ?? 0 }),
    verify: ({ x }: { x: number }) => (typeof x === 'number' ? null : 'x: integer expected'),
  };
  const points = rail.queue(defineQueue('points', { codec: protobuf(Point) }));
  await points.send({ x: 5 });
  assert.deepEqual((await points.fetch())[0]?.body, { x: 5 });
  // @ts-expect-error: x is a number
  await assert.rejects(points.send({ x: 'five' }), withCode('SCHEMA'));
  // A message in another form of the same queue is read by its own content type.
  await rail.queue('points').send({ x: 6 });
  assert.deepEqual((await points.fetch())[0]?.body, { x: 6 });
});

test('a closed rail refuses sends, and closing waits for those under way', async () => {
  const { rail, session } = setUp();
  const q = rail.queue(defineQueue('jobs'));
  const sent = q.send(1);
  await rail.close();
  await sent;
  assert.ok(session.closed);
  await assert.rejects(q.send(2), withCode('CLOSED', { outcome: 'not-stored' }));
  await assert.rejects(q.stats(), withCode('CLOSED'));
});

test('the record of a send is what the records codec reads', async () => {
  const { rail, session } = setUp();
  await rail.queue(emails).send({ to: 'a@example.com' });
  const request = session.published[0];
  assert.ok(request);
  assert.equal(String(readRecord(asBuffer(request.records), 0).body), '{"to":"a@example.com"}');
});
