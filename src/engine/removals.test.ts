/** Compaction in time: what is too young for it, what has waited for as long as it may, and how long removals outlive their keys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench, STARTS } from '../../test/engine/bench.ts';
import { type Message, textsOf } from '../../test/engine/records.ts';
import type { Retention } from '../core/policy.ts';

const COMPACT = { untilSettled: false, ageMs: null, bytes: null, compact: true };
const SECOND = 1000;
const HOUR = 3_600_000;

class Bench extends EngineBench {
  readonly failures: readonly Error[];

  constructor(failures: Error[], compactAfterMessages: number) {
    super({ onFailure: (error) => failures.push(error), limits: { compactAfterMessages } });
    this.failures = failures;
  }

  static async open(retain: Partial<Retention>, compactAfterMessages = 4): Promise<Bench> {
    const bench = await new Bench([], compactAfterMessages).start();
    await bench.declare(retain);
    return bench;
  }

  async declare(retain: Partial<Retention>): Promise<void> {
    const policy = { retain: { ...COMPACT, ...retain } };
    await this.session.request('declareTopic', { name: 't', kind: 'topic', policy, ifDifferent: 'update' });
  }

  async put(...texts: readonly string[]): Promise<void> {
    await this.send('t', ...texts.map(messageOf));
    await this.quiet();
  }

  async pass(ms: number): Promise<void> {
    await this.advance(ms);
    await this.quiet();
  }

  async texts(): Promise<string> {
    const { runs } = await this.session.request('read', { topic: 't', from: 'start', maxMessages: 10_000 });
    return runs.flatMap(textsOf).join(' ');
  }
}

/** `k1` is a value of `k`, and `-k` says that there is none. */
function messageOf(text: string): Message {
  return text.startsWith('-') ? { text: '', key: text.slice(1) } : { text, key: text.slice(0, 1) };
}

test('what is younger than the lag stays, and what it alone supersedes stays with it', async () => {
  const bench = await Bench.open({ compactLagMs: HOUR });
  await bench.put('k1', 'k2', 'k3', 'k4', 'k5');
  assert.equal(await bench.texts(), 'k1 k2 k3 k4 k5');
  await bench.pass(HOUR / 2);
  await bench.put('k6', 'k7', 'k8', 'k9');
  await bench.pass(HOUR / 2 - 1);
  assert.equal(await bench.texts(), 'k1 k2 k3 k4 k5 k6 k7 k8 k9');
  await bench.pass(2);
  assert.equal(await bench.texts(), 'k5 k6 k7 k8 k9');
  await bench.pass(HOUR / 2);
  assert.equal(await bench.texts(), 'k9');
});

test('a lag that is made shorter counts from then on, without a new message', async () => {
  const bench = await Bench.open({ compactLagMs: HOUR });
  await bench.put('k1', 'k2', 'k3', 'k4', 'k5');
  await bench.pass(SECOND);
  await bench.declare({ compactLagMs: SECOND / 2 });
  await bench.quiet();
  assert.equal(await bench.texts(), 'k5');
});

for (const [start, how] of STARTS)
  test(`what has waited for the longest lag is compacted however little it is, also after a start from ${start}`, async () => {
    const bench = await Bench.open({ maxCompactLagMs: HOUR }, 1000);
    await bench.put('k1', 'k2', 'l1');
    await bench.pass(HOUR - 1);
    assert.equal(await bench.texts(), 'k1 k2 l1');
    await bench.restart(how);
    await bench.pass(1);
    assert.equal(await bench.texts(), 'k2 l1');
    await bench.put('k3');
    await bench.pass(HOUR - 1);
    assert.equal(await bench.texts(), 'k2 l1 k3');
    await bench.pass(1);
    assert.equal(await bench.texts(), 'l1 k3');
  });

for (const [start, how] of STARTS)
  test(`a removal goes so long after what it removed, also over a start from ${start}, and once`, async () => {
    const bench = await Bench.open({ deleteRetentionMs: HOUR });
    await bench.put('k1', 'l1', '-k', 'm1');
    assert.equal(await bench.texts(), 'l1  m1');
    await bench.pass(HOUR / 2);
    await bench.restart(how);
    await bench.pass(HOUR / 2 - 1);
    assert.equal(await bench.texts(), 'l1  m1');
    await bench.pass(1);
    assert.equal(await bench.texts(), 'l1 m1');
    await bench.restart(how);
    await bench.pass(2 * HOUR);
    assert.equal(await bench.texts(), 'l1 m1');
    assert.deepEqual(bench.failures, []);
  });

test('a removal counts from the moment at which the last of its key went, not from its own', async () => {
  const bench = await Bench.open({ deleteRetentionMs: HOUR });
  await bench.put('k1', '-k', 'l1');
  // So old that it could go: but somebody may have read what it removes a moment ago.
  await bench.pass(2 * HOUR);
  await bench.put('l2');
  assert.equal(await bench.texts(), ' l2');
  await bench.pass(HOUR - 1);
  assert.equal(await bench.texts(), ' l2');
  await bench.pass(1);
  assert.equal(await bench.texts(), 'l2');
});

test('a removal that comes after a pass waits for its own time, and those before it do not wait for it', async () => {
  const bench = await Bench.open({ deleteRetentionMs: HOUR });
  await bench.put('k1', '-k', 'l1', 'l2');
  await bench.pass(HOUR / 2);
  await bench.put('m1', '-m', 'n1', 'n2');
  assert.equal(await bench.texts(), ' l2  n2');
  await bench.pass(HOUR / 2);
  assert.equal(await bench.texts(), 'l2  n2');
  await bench.pass(HOUR);
  assert.equal(await bench.texts(), 'l2 n2');
});

test('a key that comes again after its removal is there, and what was its removal is not', async () => {
  const bench = await Bench.open({ deleteRetentionMs: HOUR });
  await bench.put('k1', '-k', 'k2', 'l1');
  assert.equal(await bench.texts(), 'k2 l1');
  await bench.pass(2 * HOUR);
  assert.equal(await bench.texts(), 'k2 l1');
});

test('a removal stays as long as a consumer has what it removes', async () => {
  const bench = await Bench.open({ deleteRetentionMs: HOUR }, 1000);
  await bench.session.request('declareSubscription', { topic: 't', subscription: 's' });
  await bench.put('k1', '-k', 'l1');
  const ref = { topic: 't', subscription: 's' };
  const leases = await bench.receive({ ...ref, lease: 'timed', leaseMs: 10 * HOUR }, 1);
  // From here on a pass is due.
  await bench.declare({ deleteRetentionMs: HOUR, maxCompactLagMs: 1 });
  await bench.pass(3 * HOUR);
  assert.equal(await bench.texts(), 'k1  l1');
  const ranges = leases.map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
  await bench.session.settle([{ ...ref, action: 'ack', ranges }]);
  await bench.pass(HOUR);
  assert.equal(await bench.texts(), ' l1');
  await bench.pass(HOUR);
  assert.equal(await bench.texts(), 'l1');
});

test('the last message of a partition stays, though it is a removal, so that the log ends where it does', async () => {
  const bench = await Bench.open({ deleteRetentionMs: HOUR });
  await bench.put('k1', 'k2', 'k3', '-k');
  await bench.pass(3 * HOUR);
  const { runs, end } = await bench.session.request('read', { topic: 't', from: 'start' });
  assert.deepEqual([runs.flatMap(textsOf), end], [[''], 4]);
});

test('the null of JSON is a removal, an empty text or list is none', async () => {
  const bench = await Bench.open({ deleteRetentionMs: HOUR });
  const messages = ['null', '""', '[]'].map((text, i) => ({ text, key: `${i}` }));
  await bench.send('t', ...messages, { text: 'null', key: 'text', contentType: 'text/plain' }, { text: '1', key: 'z' });
  await bench.quiet();
  await bench.pass(HOUR);
  assert.equal(await bench.texts(), '"" [] null 1');
});

test('a large message is no removal, though its body lies elsewhere', async () => {
  const bench = await Bench.open({ deleteRetentionMs: 0 });
  await bench.session.request('declareTopic', {
    name: 't',
    kind: 'topic',
    policy: { maxMessageBytes: 4 << 20 },
    ifDifferent: 'update',
  });
  await bench.put(`k${'.'.repeat(3 << 20)}`, 'l1', 'l2', 'l3', 'l4');
  await bench.pass(HOUR);
  assert.match(await bench.texts(), /^k\.+$/);
  const { runs } = await bench.session.request('read', { topic: 't', from: { offset: 1 } });
  assert.deepEqual(runs.flatMap(textsOf), ['l4']);
});

test('what cannot be is refused, and what is as by default is not said', async () => {
  const bench = await Bench.open({});
  const refused = { code: 'INVALID' };
  await assert.rejects(bench.declare({ compactLagMs: -1 }), refused);
  await assert.rejects(bench.declare({ compactLagMs: 2000, maxCompactLagMs: 1000 }), refused);
  await assert.rejects(bench.declare({ deleteRetentionMs: 0.5 }), refused);
  await bench.declare({ compactLagMs: 0, maxCompactLagMs: null, deleteRetentionMs: 24 * HOUR });
  const { policy } = await bench.session.request('describeTopic', { name: 't' });
  assert.deepEqual(policy.retain, COMPACT);
});
