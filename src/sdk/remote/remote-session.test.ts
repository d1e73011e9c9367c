import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { ManualClock, SystemClock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { SeededRandom } from '../../core/random.ts';
import type {
  DeliveryRun,
  DeliverySink,
  LeaseRange,
  Operations,
  PublishReceipt,
  PublishRequest,
} from '../../core/session.ts';
import { Listener } from '../../gateways/listener.ts';
import { NativeGateway } from '../../gateways/native/server.ts';
import { ARGUMENTS } from '../../wire/requests.ts';
import { receipt, run, ScriptedSession } from '../../../test/native/scripted-session.ts';
import { connectRemote, type RemoteOptions, type RemoteSession, type RemoteState } from './remote-session.ts';

/** A broker that a test can cut off and bring back, and a client whose time stands still. */
class World {
  readonly clock = new ManualClock();
  readonly sessions: ScriptedSession[] = [];
  readonly states: RemoteState[] = [];
  journalId = 'journal';
  refuse: RailheadError | undefined;
  down = false;
  #sockets: Duplex[] = [];
  #onState: (() => void)[] = [];
  /** Called with each new session, before the client can ask anything of it. */
  prepare: (session: ScriptedSession) => void = () => {};

  gateway(): NativeGateway {
    return new NativeGateway({
      authenticator: {
        required: true,
        authenticate: async () => {
          if (this.refuse !== undefined) throw this.refuse;
          return LOCAL_PRINCIPAL;
        },
      },
      connect: () => {
        const session = new ScriptedSession();
        this.sessions.push(session);
        this.prepare(session);
        return session;
      },
      broker: { version: '1.0.0', journalId: this.journalId },
      clock: new SystemClock(),
      report: (error) => assert.fail(String(error)),
    });
  }

  async join(options: Partial<RemoteOptions> = {}): Promise<RemoteSession> {
    return connectRemote({
      dial: async () => {
        if (this.down) throw new RailheadError('CONNECTION_LOST', 'Nobody there.', { outcome: 'not-stored' });
        const socket = this.gateway().loopback();
        this.#sockets.push(socket);
        return socket;
      },
      clock: this.clock,
      random: new SeededRandom(1),
      onStateChange: (state) => {
        this.states.push(state);
        for (const each of this.#onState.splice(0)) each();
      },
      ...options,
    });
  }

  get session(): ScriptedSession {
    const session = this.sessions.at(-1);
    assert.ok(session !== undefined);
    return session;
  }

  /** Breaks the connection; resolves when the client has noticed. */
  async cut(): Promise<void> {
    this.#sockets.at(-1)?.destroy();
    await this.state('reconnecting');
  }

  async state(state: RemoteState): Promise<void> {
    while (this.states.at(-1) !== state) await new Promise<void>((resolve) => this.#onState.push(resolve));
  }

  /** Lets the client connect again. */
  async back(): Promise<void> {
    this.clock.advance(5_000);
    await this.state('open');
  }
}

const publish = (text: string, producer?: PublishRequest['producer']): PublishRequest => ({
  to: { topic: 'q' },
  format: 1,
  records: Buffer.from(text),
  count: 1,
  ...(producer !== undefined && { producer }),
});

class Sink implements DeliverySink {
  readonly runs: DeliveryRun[] = [];
  readonly leases: LeaseRange[] = [];
  readonly reasons: string[] = [];
  #changed: (() => void)[] = [];

  deliver(runs: DeliveryRun[]): void {
    this.runs.push(...runs.map((each) => ({ ...each, records: Buffer.from(each.records) })));
    this.#change();
  }

  lost(leases: LeaseRange[]): void {
    this.leases.push(...leases);
    this.#change();
  }

  ended(reason: string): void {
    this.reasons.push(reason);
    this.#change();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }

  #change(): void {
    for (const each of this.#changed.splice(0)) each();
  }
}

const consume = { topic: 'q', subscription: 'q', lease: 'session' } as const;

test('publish, settle and commit reach the session of the broker and come back as they are', async () => {
  const world = new World();
  const session = await world.join();
  const refused: PublishReceipt = {
    topicId: 7,
    runs: [],
    refused: [{ index: 0, count: 1, code: 'TOO_LARGE', message: 'too large' }],
  };
  assert.deepEqual(await session.publish(publish('a', { id: 'p', sequence: 1 })), receipt(0, 1));
  world.session.answers.publish = () => refused;
  assert.deepEqual(await session.publish(publish('b')), refused);
  assert.deepEqual(world.session.published[0], publish('a', { id: 'p', sequence: 1 }));
  const ranges = [{ partition: 0, offset: 5, count: 1, token: 9 }];
  const lost = [{ topic: 'q', subscription: 'q', partition: 0, offset: 5, count: 1, token: 9 }];
  world.session.answers.settle = () => ({ lost });
  assert.deepEqual(await session.settle([{ topic: 'q', subscription: 'q', ranges, action: 'reject', reason: 'bad' }]), {
    lost,
  });
  assert.deepEqual(world.session.settled, [
    [{ topic: 'q', subscription: 'q', ranges, action: 'reject', reason: 'bad' }],
  ]);
  assert.deepEqual(await session.commit({ publishes: [publish('c')], settlements: [], cursors: [] }), [receipt(0, 1)]);
  await session.close();
  assert.equal(world.session.closed, true);
  await assert.rejects(session.publish(publish('late')), { code: 'CLOSED', outcome: 'not-stored' });
});

const ref = { topic: 't', subscription: 's' };
const owner = { producer: 'p', producerId: 2, epoch: 3 };
const filter = { plan: ['pro', { prefix: 'p' }] } as const;
const EXAMPLES: { [O in keyof Operations]: Operations[O]['args'] } = {
  declareTopic: {
    name: 'q',
    kind: 'queue',
    policy: { ttlMs: null, publishRate: { count: 5, perMs: 1000 } },
    subscription: { order: 'key', filter },
    ifDifferent: 'update',
  },
  declareSubscription: {
    ...ref,
    policy: { deadLetter: { router: 'r', key: null, unrouted: 'drop' } },
    from: { time: 1.5 },
    ifDifferent: 'keep',
  },
  declareRouter: { name: 'r', type: 'headers', alternate: null },
  bind: {
    router: 'r',
    binding: {
      key: 'a.*',
      match: { headers: { x: [1, { y: null }] }, present: ['z'], mode: 'any' },
      filter: null,
      to: { topic: 't' },
    },
  },
  unbind: { router: 'r', binding: { key: '', match: null, filter, to: { router: 'x' } } },
  deleteTopic: { name: 'q', ifEmpty: true, ifUnused: false },
  deleteSubscription: ref,
  deleteRouter: { name: 'r' },
  describeTopic: { name: 'q' },
  describeRouter: { name: 'r' },
  traceRoute: { router: 'r', key: 'a.b', headers: { x: 1 }, messageKey: 'k', contentType: 'text/plain' },
  listTopics: { prefix: 'a', after: 'b', limit: 10 },
  listRouters: {},
  topicStats: { name: 'q' },
  subscriptionStats: ref,
  allStats: {},
  listConsumers: ref,
  peek: { ...ref, limit: 5, state: 'delayed', after: '1.0.5' },
  purge: ref,
  trimTopic: { topic: 't', partition: 0, before: 3 },
  pause: ref,
  resume: ref,
  cancel: { ...ref, id: '1.0.5' },
  reschedule: { ...ref, id: '1.0.5', delayMs: 10 },
  redrive: {
    ...ref,
    ids: ['1.0.5'],
    filter,
    to: 'x',
    limit: 1,
    ratePerSecond: 0.5,
    edits: [{ id: '1.0.5', record: Buffer.from('r') }],
  },
  redriveProgress: { id: 'x', cancel: true },
  drop: { ...ref, filter },
  seek: { ...ref, to: { snapshot: 'x' } },
  createSnapshot: { ...ref, snapshot: 'x', expiresAfterMs: 1000 },
  listSnapshots: { topic: 't' },
  deleteSnapshot: { topic: 't', snapshot: 'x' },
  read: {
    topic: 't',
    partition: 1,
    from: { offset: 5 },
    maxMessages: 1,
    maxBytes: 2,
    waitMs: 3,
    isolation: 'uncommitted',
    verbatim: true,
    bodies: 'apart',
  },
  awaitRecords: { places: [{ topic: 't', partition: 0, offset: 7 }], isolation: 'uncommitted', waitMs: 9 },
  readBody: { topic: 't', partition: 0, offset: 7, from: 3, maxBytes: 9 },
  fetchCursors: { cursor: 'c', topic: 't' },
  listCursors: { prefix: 'p', after: 'pa', limit: 3 },
  deleteCursor: { cursor: 'c', topic: 't', partition: 1 },
  claimProducer: { producer: 'p', timeoutMs: 5000, after: owner },
  beginTransaction: { ...owner, timeoutMs: 1000 },
  addToTransaction: {
    ...owner,
    cursors: [{ cursor: 'c', topic: 't', partition: 1, offset: 5, metadata: 'm' }],
    settlements: [{ ...ref, action: 'ack', ranges: [{ partition: 0, offset: 1, count: 2, token: 3 }] }],
  },
  endTransaction: { ...owner, outcome: 'committed', transaction: 7 },
  describeProducer: { producer: 'p' },
  listProducers: { prefix: 'a', after: 'b', limit: 10, open: true },
  putSchedule: { name: 's', cron: '* * * * *', timezone: 'Europe/Berlin', topic: 't', record: Buffer.from('r') },
  deleteSchedule: { name: 's' },
  listSchedules: {},
  putDocument: { kind: 'k', name: 'n', value: 'v' },
  deleteDocument: { kind: 'k', name: 'n' },
  listDocuments: { kind: 'k' },
  seal: { purpose: 'p', text: 't' },
  holdStorage: { forMs: 5 },
  releaseStorage: { hold: 1 },
  info: {},
  shortage: { was: null, waitMs: 5 },
};

test('every operation carries its arguments there and its result back', async () => {
  const world = new World();
  const session = await world.join();
  const names = Object.keys(EXAMPLES) as (keyof Operations)[];
  assert.deepEqual(names.sort(), Object.keys(ARGUMENTS).sort());
  for (const name of names) {
    const result = { of: name, none: null, runs: [{ records: Buffer.from([0, 255]) }], at: 1.5e12 };
    world.session.answers.request = () => result;
    assert.deepEqual(await session.request(name, EXAMPLES[name]), result);
    assert.deepEqual(world.session.requested.at(-1), { operation: name, args: EXAMPLES[name] });
  }
  world.session.answers.request = () =>
    Promise.reject(new RailheadError('NOT_FOUND', 'No such queue.', { details: { name: 'q' } }));
  await assert.rejects(session.request('topicStats', { name: 'q' }), {
    code: 'NOT_FOUND',
    message: 'No such queue.',
    details: { name: 'q' },
  });
  await session.close();
});

test('a consumer gets what it has credit for, hears of lost leases, and ends', async () => {
  const world = new World();
  const session = await world.join();
  const sink = new Sink();
  const consumer = await session.consume({ ...consume, leaseMs: 5000, name: 'worker', exclusive: true }, sink);
  const there = world.session.consumers[0];
  assert.ok(there !== undefined);
  assert.deepEqual(there.request, { ...consume, leaseMs: 5000, name: 'worker', exclusive: true, bodies: 'apart' });
  assert.equal(there.credit, 0);
  consumer.credit(1);
  consumer.credit(2);
  await world.session.until(() => there.credit === 3);
  there.sink.deliver([run(0), run(1)]);
  there.sink.lost?.([{ partition: 0, offset: 1, count: 1, token: 1001 }]);
  await sink.until(() => sink.leases.length === 1);
  assert.deepEqual(sink.runs, [run(0), run(1)]);
  await consumer.close({ release: true });
  assert.deepEqual(there.closed, { release: true });
  const other = await session.consume(consume, sink);
  world.session.consumers[1]?.sink.ended('deleted');
  await sink.until(() => sink.reasons.length === 1);
  assert.deepEqual(sink.reasons, ['deleted']);
  await other.close();
  world.session.answers.consume = () => Promise.reject(new RailheadError('IN_USE', 'Taken.'));
  await assert.rejects(session.consume(consume, sink), { code: 'IN_USE' });
  await session.close();
  assert.deepEqual(sink.reasons, ['deleted']);
});

test('what cannot be sent is refused without harm to what can', async () => {
  const world = new World();
  const session = await world.join();
  await assert.rejects(session.publish({ ...publish('x'), records: Buffer.alloc(17 << 20) }), {
    code: 'TOO_LARGE',
    outcome: 'not-stored',
  });
  await assert.rejects(session.publish({ ...publish('x'), partition: -1 }), { code: 'INVALID' });
  await assert.rejects(session.publish({ ...publish('x'), to: { topic: 'x'.repeat(70_000) } }), { code: 'TOO_LARGE' });
  await assert.rejects(
    session.settle([{ topic: 'q', subscription: 'q', ranges: [], action: 'extend', leaseMs: Number.NaN }]),
    { code: 'INVALID' },
  );
  assert.deepEqual(await session.publish(publish('fine')), receipt(0, 1));
  await session.close();
});

test('the first attempt fails for what the broker says, later ones are repeated', async () => {
  const world = new World();
  world.refuse = new RailheadError('UNAUTHENTICATED', 'Who are you?');
  await assert.rejects(world.join(), { code: 'UNAUTHENTICATED', message: 'Who are you?' });
  world.down = true;
  await assert.rejects(world.join(), { code: 'CONNECTION_LOST' });
  assert.deepEqual(world.states, ['closed', 'closed']);
});

test('an attempt that takes too long is given up', async () => {
  const clock = new ManualClock();
  const { promise, resolve } = Promise.withResolvers<void>();
  const joining = connectRemote({
    dial: () => {
      resolve();
      return new Promise(() => {});
    },
    clock,
    connectTimeoutMs: 3_000,
  });
  await promise;
  clock.advance(3_000);
  await assert.rejects(joining, { code: 'CONNECTION_LOST', message: /3000 ms/ });
});

test('after a break, publishes with a producer are sent again in order, and those without are reported as unknown', async () => {
  const world = new World();
  world.prepare = (session) => (session.answers.publish = () => new Promise(() => {}));
  const session = await world.join();
  const numbered = [1, 2, 3].map((sequence) => session.publish(publish(`p${sequence}`, { id: 'p', sequence })));
  const plain = session.publish(publish('plain'));
  await world.session.until(() => world.session.published.length === 4);
  const former = world.session;
  world.prepare = () => {};
  await world.cut();
  await assert.rejects(plain, { code: 'CONNECTION_LOST', outcome: 'unknown' });
  const whileAway = session.publish(publish('while away'));
  await world.back();
  assert.deepEqual(await Promise.all(numbered), [receipt(0, 1), receipt(1, 1), receipt(2, 1)]);
  assert.deepEqual(await whileAway, receipt(3, 1));
  assert.notEqual(world.session, former);
  assert.deepEqual(
    world.session.published.map((each) => [each.records.toString(), each.producer?.sequence]),
    [
      ['p1', 1],
      ['p2', 2],
      ['p3', 3],
      ['while away', undefined],
    ],
  );
  assert.deepEqual(world.states, ['open', 'reconnecting', 'open']);
  await session.close();
});

test('another journal behind the same address knows nothing of what was sent: the outcome is unknown', async () => {
  const world = new World();
  world.prepare = (session) => (session.answers.publish = () => new Promise(() => {}));
  const session = await world.join();
  const sent = session.publish(publish('p', { id: 'p', sequence: 1 }));
  await world.session.until(() => world.session.published.length === 1);
  world.journalId = 'another';
  await world.cut();
  world.clock.advance(5_000);
  await assert.rejects(sent, { code: 'CONNECTION_LOST', outcome: 'unknown' });
  await world.state('open');
  assert.equal(world.session.published.length, 0);
  await session.close();
});

test('after a break, reads are asked again and changes are reported as unknown', async () => {
  const world = new World();
  world.prepare = (session) => (session.answers.request = () => new Promise(() => {}));
  const session = await world.join();
  const read = session.request('topicStats', { name: 'q' });
  const change = session.request('purge', ref);
  const transaction = session.commit({ publishes: [publish('x')], settlements: [], cursors: [] });
  await world.session.until(() => world.session.requested.length === 2);
  world.prepare = (next) => (next.answers.request = () => ({ name: 'q' }));
  await Promise.all([
    world.cut(),
    assert.rejects(change, { code: 'CONNECTION_LOST', outcome: 'unknown' }),
    // Answered before the cut, or cut off.
    transaction.catch((error: unknown) => assert.ok(RailheadError.is(error, 'CONNECTION_LOST'))),
  ]);
  await world.back();
  assert.deepEqual(await read, { name: 'q' });
  assert.deepEqual(
    world.session.requested.map((each) => each.operation),
    ['topicStats'],
  );
  await session.close();
});

test('after a break, consumers start again with the credit they had left, and their leases are lost', async () => {
  const world = new World();
  const session = await world.join();
  const sink = new Sink();
  const consumer = await session.consume(consume, sink);
  const closed = await session.consume(consume, new Sink());
  consumer.credit(3);
  const first = world.session.consumers[0];
  assert.ok(first !== undefined);
  await world.session.until(() => first.credit === 3);
  await closed.close();
  first.sink.deliver([run(0, { count: 2 })]);
  await sink.until(() => sink.runs.length === 1);
  await session.settle([
    { topic: 'q', subscription: 'q', ranges: [{ partition: 0, offset: 0, count: 1, token: 1000 }], action: 'ack' },
  ]);
  assert.equal(sink.leases.length, 0);
  await world.cut();
  assert.deepEqual(sink.leases, [{ partition: 0, offset: 0, count: 2, token: 1000 }]);
  consumer.credit(5);
  await world.back();
  await world.session.until(() => world.session.consumers.length === 1);
  const again = world.session.consumers[0];
  assert.ok(again !== undefined);
  assert.deepEqual(again.request, { ...consume, bodies: 'apart' });
  await world.session.until(() => again.credit === 4);
  again.sink.deliver([run(7, { count: 4 })]);
  await sink.until(() => sink.runs.length === 2);
  // The rest of 6: 3 + 5 - 2 - 4.
  await world.session.until(() => again.credit === 6);
  await session.close();
});

test('settled messages are not reported as lost when the connection breaks', async () => {
  const world = new World();
  const session = await world.join();
  const sink = new Sink();
  const consumer = await session.consume(consume, sink);
  consumer.credit(2);
  await world.session.until(() => world.session.consumers[0]?.credit === 2);
  world.session.consumers[0]?.sink.deliver([run(0), run(1)]);
  await sink.until(() => sink.runs.length === 2);
  await session.settle([
    { topic: 'q', subscription: 'q', ranges: [{ partition: 0, offset: 0, count: 1, token: 1000 }], action: 'ack' },
  ]);
  await world.cut();
  assert.deepEqual(
    sink.leases.map((lease) => lease.token),
    [1001],
  );
  await session.close();
});

test('a settlement under way when the connection breaks is asked again: the broker knows what is lost', async () => {
  const world = new World();
  world.prepare = (session) => (session.answers.settle = () => new Promise(() => {}));
  const session = await world.join();
  const sink = new Sink();
  const consumer = await session.consume(consume, sink);
  consumer.credit(1);
  await world.session.until(() => world.session.consumers[0]?.credit === 1);
  world.session.consumers[0]?.sink.deliver([run(0)]);
  await sink.until(() => sink.runs.length === 1);
  const own = { partition: 0, offset: 0, count: 1, token: 1000 };
  const timed = { partition: 0, offset: 9, count: 1, token: 77 };
  const settling = session.settle([{ topic: 'q', subscription: 'q', ranges: [own, timed], action: 'ack' }]);
  const onlyOwn = session.settle([{ topic: 'q', subscription: 'q', ranges: [own], action: 'ack' }]);
  await world.session.until(() => world.session.settled.length === 2);
  const lost = [{ topic: 'q', subscription: 'q', ...own }];
  world.prepare = (again) => (again.answers.settle = () => ({ lost }));
  await world.cut();
  await world.back();
  assert.deepEqual(await settling, { lost });
  assert.deepEqual(await onlyOwn, { lost });
  assert.deepEqual(world.session.settled, [
    [{ topic: 'q', subscription: 'q', ranges: [own, timed], action: 'ack' }],
    [{ topic: 'q', subscription: 'q', ranges: [own], action: 'ack' }],
  ]);
  assert.deepEqual(sink.leases, []);
  await session.close();
});

test('what a consumer held when the connection broke is given back to the next broker, at once and uncounted', async () => {
  const world = new World();
  const session = await world.join();
  const sink = new Sink();
  const consumer = await session.consume(consume, sink);
  consumer.credit(1);
  await world.session.until(() => world.session.consumers[0]?.credit === 1);
  world.session.consumers[0]?.sink.deliver([run(0)]);
  await sink.until(() => sink.runs.length === 1);
  await world.cut();
  assert.equal(sink.leases.length, 1);
  await world.back();
  await world.session.until(() => world.session.settled.length === 1);
  const own = { partition: 0, offset: 0, count: 1, token: 1000 };
  assert.deepEqual(world.session.settled, [
    [{ topic: 'q', subscription: 'q', ranges: [own], action: 'release', countAttempt: false, delayMs: 0 }],
  ]);
  await session.close();
});

test('the tokens of one broker are never shown to another', async () => {
  const world = new World();
  world.prepare = (each) => (each.answers.settle = () => new Promise(() => {}));
  const session = await world.join();
  const sink = new Sink();
  const consumer = await session.consume(consume, sink);
  consumer.credit(1);
  await world.session.until(() => world.session.consumers[0]?.credit === 1);
  world.session.consumers[0]?.sink.deliver([run(0)]);
  await sink.until(() => sink.runs.length === 1);
  const timed = { partition: 0, offset: 9, count: 1, token: 77 };
  const settling = session.settle([{ topic: 'q', subscription: 'q', ranges: [timed], action: 'ack' }]);
  await world.session.until(() => world.session.settled.length === 1);
  world.journalId = 'another';
  await world.cut();
  await world.back();
  assert.deepEqual(await settling, { lost: [{ topic: 'q', subscription: 'q', ...timed }] });
  assert.deepEqual(world.session.settled, []);
  await session.close();
});

test('a consumer whose subscription is gone when the broker is back ends with the reason', async () => {
  const world = new World();
  const session = await world.join();
  const sink = new Sink();
  await session.consume(consume, sink);
  world.prepare = (next) =>
    (next.answers.consume = () => Promise.reject(new RailheadError('NOT_FOUND', 'No subscription q.')));
  await world.cut();
  await world.back();
  await sink.until(() => sink.reasons.length === 1);
  assert.match(sink.reasons[0] ?? '', /No subscription q/);
  await session.close();
});

test('requests wait at most 30 s for a broker that is away; consumers wait as long as it takes', async () => {
  const world = new World();
  const session = await world.join();
  const sink = new Sink();
  const consumer = await session.consume(consume, sink);
  consumer.credit(1);
  await world.cut();
  world.down = true;
  const waiting = session.publish(publish('x'));
  let failed = false;
  waiting.catch(() => (failed = true));
  for (let i = 0; i < 40; i++) {
    world.clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
    if (i === 25) assert.equal(failed, false);
  }
  await assert.rejects(waiting, { code: 'CONNECTION_LOST', outcome: 'not-stored' });
  world.clock.advance(600_000);
  await new Promise((resolve) => setImmediate(resolve));
  world.down = false;
  await world.back();
  await world.session.until(() => world.session.consumers[0]?.credit === 1);
  assert.deepEqual(sink.reasons, []);
  await session.close();
});

test('a login that is refused while connecting again ends the session, its consumers and its requests', async () => {
  const world = new World();
  const session = await world.join();
  const sink = new Sink();
  await session.consume(consume, sink);
  await world.cut();
  world.refuse = new RailheadError('UNAUTHENTICATED', 'Revoked.');
  const waiting = session.publish(publish('x'));
  world.clock.advance(5_000);
  await assert.rejects(waiting, { code: 'UNAUTHENTICATED' });
  assert.deepEqual(sink.reasons, ['Revoked.']);
  assert.equal(session.state, 'closed');
  await assert.rejects(session.request('info', {}), { code: 'UNAUTHENTICATED' });
});

test('a broker that is silent for three heartbeats is left', async () => {
  const world = new World();
  const session = await world.join();
  world.clock.advance(30_000);
  await world.state('reconnecting');
  await world.back();
  assert.deepEqual(await session.publish(publish('x')), receipt(0, 1));
  await session.close();
});

test('publish waits while 32 MiB are unconfirmed, in order, and goes on with each confirm', async () => {
  const world = new World();
  const confirms: (() => void)[] = [];
  world.prepare = (next) => {
    next.answers.publish = () => new Promise((resolve) => confirms.push(() => resolve(receipt(0, 1))));
  };
  const session = await world.join({ maxInFlightBytes: 10_000 });
  const done: number[] = [];
  const all = Array.from({ length: 9 }, (_, i) =>
    session.publish({ ...publish('x'), records: Buffer.alloc(3_000, i) }).then(() => done.push(i)),
  );
  await world.session.until(() => world.session.published.length === 3);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(world.session.published.length, 3);
  for (let i = 0; i < 9; i++) {
    await world.session.until(() => confirms.length > i);
    confirms[i]?.();
  }
  await Promise.all(all);
  assert.deepEqual(
    world.session.published.map((each) => each.records[0]),
    [0, 1, 2, 3, 4, 5, 6, 7, 8],
  );
  // One that is larger than the limit goes when nothing else is under way.
  world.session.answers.publish = () => receipt(9, 1);
  assert.deepEqual(await session.publish({ ...publish('x'), records: Buffer.alloc(20_000) }), receipt(9, 1));
  await session.close();
});

test('close lets the broker answer, resolves when it has given everything back, and refuses what waits', async () => {
  const world = new World();
  const confirms: (() => void)[] = [];
  world.prepare = (next) => {
    next.answers.publish = () => new Promise((resolve) => confirms.push(() => resolve(receipt(4, 1))));
  };
  const session = await world.join({ maxInFlightBytes: 10 });
  const sent = session.publish(publish('sent'));
  const waiting = session.publish(publish('waiting'));
  await world.session.until(() => confirms.length === 1);
  const closing = session.close();
  await assert.rejects(waiting, { code: 'CLOSED', outcome: 'not-stored' });
  await world.session.until(() => world.session.closed);
  confirms[0]?.();
  assert.deepEqual(await sent, receipt(4, 1));
  await closing;
  await session.close();
  assert.equal(world.states.at(-1), 'closed');
});

test('close gives up after 5 s on a broker that does not answer', async () => {
  const world = new World();
  world.prepare = (next) => (next.answers.publish = () => new Promise(() => {}));
  const session = await world.join();
  const sent = session.publish(publish('sent'));
  await world.session.until(() => world.session.published.length === 1);
  const closing = session.close();
  world.clock.advance(5_000);
  await closing;
  await assert.rejects(sent, { code: 'CLOSED', outcome: 'unknown' });
});

test('the same over TCP upgraded from HTTP, over TLS and over a Unix socket', async (t) => {
  const world = new World();
  const gateway = world.gateway();
  const file = (name: string): Promise<Buffer> =>
    readFile(new URL(`../../../test/fixtures/tls/localhost.${name}`, import.meta.url));
  const [key, cert] = [await file('key'), await file('crt')];
  const dir = await mkdtemp(join(tmpdir(), 'railhead-remote-'));
  t.after(() => rm(dir, { recursive: true }));
  const listener = new Listener({ gateway, clock: new SystemClock() });
  await listener.listen({ path: join(dir, 'socket') });
  const urls = [`unix:${join(dir, 'socket')}`];
  const servers = [createServer(), createTlsServer({ key, cert })];
  for (const [i, server] of servers.entries()) {
    server.on('upgrade', (request, socket, head) => {
      if (!gateway.upgrade(request, socket, head)) socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    urls.push(`${i === 0 ? 'railhead' : 'railheads'}://127.0.0.1:${(server.address() as AddressInfo).port}/tenant`);
  }
  for (const url of urls) {
    const session = await connectRemote({ url, tls: { ca: cert } });
    const body = Buffer.alloc(3 << 20, 'x');
    await session.publish({ ...publish('x'), records: body });
    assert.ok(body.equals(world.session.published[0]?.records ?? Buffer.alloc(0)), url);
    const many = await Promise.all(Array.from({ length: 2_000 }, (_, i) => session.publish(publish(`message ${i}`))));
    assert.equal(many.length, 2_000);
    assert.deepEqual(
      world.session.published.slice(1).map((each) => each.records.toString()),
      Array.from({ length: 2_000 }, (_, i) => `message ${i}`),
    );
    const sink = new Sink();
    const consumer = await session.consume(consume, sink);
    consumer.credit(500);
    const there = world.session.consumers[0];
    for (let i = 0; i < 500; i++) {
      await world.session.until(() => (there?.credit ?? 0) > i);
      there?.sink.deliver([run(i, { records: Buffer.alloc(i * 37, i) })]);
    }
    await sink.until(() => sink.runs.length === 500);
    assert.ok(sink.runs.every((each, i) => each.offset === i && Buffer.alloc(i * 37, i).equals(each.records)));
    await session.close();
  }
  await assert.rejects(
    connectRemote({ url: urls[2] ?? '' }),
    { code: 'CONNECTION_LOST' },
    'a certificate that nobody vouches for',
  );
  await listener.close();
  await gateway.close();
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
});

test('an idle client lets the process end, a worker with credit keeps it alive', async (t) => {
  const world = new World();
  const credited = Promise.withResolvers<ScriptedSession>();
  world.prepare = (session) =>
    void session.until(() => (session.consumers[0]?.credit ?? 0) > 0).then(() => credited.resolve(session));
  const dir = await mkdtemp(join(tmpdir(), 'railhead-idle-'));
  t.after(() => rm(dir, { recursive: true }));
  const listener = new Listener({ gateway: world.gateway(), clock: new SystemClock() });
  const path = join(dir, 'socket');
  await listener.listen({ path });
  const script = (rest: string): Promise<{ stdout: string }> =>
    promisify(execFile)(process.execPath, [
      '--input-type=module',
      '-e',
      `import { connectRemote } from ${JSON.stringify(new URL('./remote-session.ts', import.meta.url).href)};
       const session = await connectRemote({ socketPath: ${JSON.stringify(path)} });
       await session.publish({ to: { topic: 'q' }, format: 1, records: Buffer.from('x'), count: 1 });
       const sink = { deliver: () => { console.log('delivered'); process.exit(0); }, ended: () => {} };
       ${rest}`,
    ]);
  // Both end by themselves, or this test does not.
  await script('');
  const waiting = await script(
    `await session.consume({ topic: 'q', subscription: 'q', lease: 'session' }, sink);
     console.log(process.getActiveResourcesInfo().join());`,
  );
  assert.doesNotMatch(waiting.stdout, /Timeout/);
  const worker = script(
    `(await session.consume({ topic: 'q', subscription: 'q', lease: 'session' }, sink)).credit(1);
     console.log(process.getActiveResourcesInfo().join());`,
  );
  const session = await credited.promise;
  session.consumers[0]?.sink.deliver([run(0)]);
  // What keeps it alive is there at once, whatever comes.
  assert.match((await worker).stdout, /Timeout.*\ndelivered/);
  await listener.close();
});
