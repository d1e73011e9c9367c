import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { ManualClock } from '../../core/clock.ts';
import { SeededRandom } from '../../core/random.ts';
import { nextTurn } from '../../core/real-time.ts';
import { NativeGateway } from '../../gateways/native/server.ts';
import { briefTokens } from '../../../test/native/brief-tokens.ts';
import { ScriptedSession } from '../../../test/native/scripted-session.ts';
import type { Line } from './connector.ts';
import { LoginRenewal } from './login-renewal.ts';
import { connectRemote } from './remote-session.ts';

const LIFE_MS = 60_000;

/** A broker, and a client that shows it tokens: a minute is the life of each that `next` makes. */
async function place(t: TestContext) {
  const clock = new ManualClock();
  const from = clock.now();
  const gateway = new NativeGateway({
    authenticator: briefTokens(clock),
    connect: () => new ScriptedSession(),
    broker: { version: '1.0.0', journalId: 'journal' },
    clock,
    // Beyond the time of the test.
    limits: { heartbeatMs: 86_400_000 },
    report: (error) => assert.fail(String(error)),
  });
  const asked: number[] = [];
  const world = {
    next: async (): Promise<string> => `ann:${Math.ceil(clock.now() - from) + LIFE_MS}`,
  };
  let dialled = 0;
  const session = await connectRemote({
    dial: async (): Promise<Duplex> => {
      dialled++;
      return gateway.loopback();
    },
    clock,
    random: new SeededRandom(1),
    token: () => {
      asked.push(clock.now() - from);
      return world.next();
    },
  });
  t.after(() => session.close());
  /** A second at a time, as the broker does it that ends what is over. */
  const pass = async (seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      clock.advance(1_000);
      gateway.disconnectGone();
      for (let turn = 0; turn < 10; turn++) await nextTurn();
    }
  };
  return { asked, clock, pass, session, world, dialled: () => dialled };
}

test('a newer token is shown before the login ends, and the connection goes on', async (t) => {
  const { asked, pass, session, dialled } = await place(t);
  await pass(300);
  assert.equal(dialled(), 1);
  assert.equal(session.state, 'open');
  const waits = asked.slice(1).map((at, i) => at - (asked[i] ?? 0));
  assert.ok(waits.length >= 5 && waits.every((wait) => wait >= 0.8 * LIFE_MS && wait <= 0.9 * LIFE_MS), String(waits));
});

test('a token that does not come, or is refused, is asked for again until the login ends; then there is a new connection', async (t) => {
  const { asked, pass, session, world, dialled } = await place(t);
  const good = world.next;
  const failures = [() => Promise.reject(new Error('not now')), async () => 'nonsense', async () => 'bob:9999999'];
  world.next = () => (failures.shift() ?? good)();
  await pass(100);
  assert.equal(dialled(), 1, 'the fourth was good');
  assert.ok(asked.length >= 5);
  world.next = async () => 'nonsense';
  await pass(13);
  const before = asked.length;
  world.next = good;
  await pass(70);
  assert.ok(asked.length > before);
  assert.equal(dialled(), 1);
  world.next = () => Promise.reject(new Error('not now'));
  await pass(70);
  assert.ok(dialled() === 1, 'without a token there is no connection to be made');
  world.next = good;
  await pass(10);
  assert.deepEqual([dialled(), session.state], [2, 'open']);
});

test('what a broker of version 1 says, or one whose login does not end, makes nobody ask for a token', () => {
  const clock = new ManualClock();
  const renewal = new LoginRenewal({
    clock,
    random: new SeededRandom(1),
    token: () => assert.fail('asked'),
  });
  const welcome = {
    broker: { version: '1' },
    journalId: 'j',
    sessionId: 's',
    limits: { maxFrameBytes: 1 << 20, heartbeatMs: 10_000 },
  };
  const line = (more: Pick<Line['welcome'], 'protocol' | 'loginEndsInMs'>): Line => ({
    // Nothing may be asked of it.
    connection: {} as Line['connection'],
    welcome: { ...welcome, ...more },
  });
  renewal.follow(line({ protocol: 1, loginEndsInMs: LIFE_MS }));
  assert.equal(clock.nextTimer(), undefined);
  renewal.follow(line({ protocol: 2 }));
  assert.equal(clock.nextTimer(), undefined);
  renewal.follow(line({ protocol: 2, loginEndsInMs: LIFE_MS }));
  assert.ok(clock.nextTimer() !== undefined);
  renewal.stop();
  assert.equal(clock.nextTimer(), undefined);
});
