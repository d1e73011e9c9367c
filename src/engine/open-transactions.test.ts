import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SubscriptionPolicy, TopicPolicy } from '../core/policy.ts';
import type { ProducerRef } from '../core/open-transactions.ts';
import type { DeliveryRun, Operations, PublishReceipt, Settlement } from '../core/session.ts';
import type { FileJournalOptions } from '../storage/journal/file-journal.ts';
import type { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { type Message, records, textsOf } from '../../test/engine/records.ts';
import type { Limits } from './limits.ts';

/** A broker in memory with a clock that stands still, and the little that these tests need to talk to it. */
class Bench extends EngineBench {
  static open(limits: Partial<Limits> = {}, journal: FileJournalOptions = {}): Promise<Bench> {
    return new Bench({ limits }, journal).start();
  }

  queue(
    name: string,
    subscription: Partial<SubscriptionPolicy> = {},
    policy: Partial<TopicPolicy> = {},
  ): Promise<unknown> {
    return this.session.request('declareTopic', { name, kind: 'queue', subscription, policy });
  }

  topic(name: string, policy: Partial<TopicPolicy> = {}): Promise<unknown> {
    const retain = { untilSettled: false, ageMs: null, bytes: null, compact: false, ...policy.retain };
    return this.session.request('declareTopic', { name, kind: 'topic', policy: { ...policy, retain } });
  }

  async begin(producer: string, timeoutMs?: number): Promise<Owner> {
    const ref = await this.session.request('claimProducer', { producer, ...(timeoutMs && { timeoutMs }) });
    await this.session.request('beginTransaction', ref);
    return new Owner(this, ref);
  }

  async read(topic: string, args: Partial<Operations['read']['args']> = {}): Promise<string[]> {
    const { runs } = await this.session.request('read', { topic, from: 'start', ...args });
    return runs.flatMap(textsOf);
  }

  async log(
    topic: string,
    isolation: 'committed' | 'uncommitted' = 'committed',
  ): Promise<Operations['read']['result']> {
    return this.session.request('read', { topic, from: 'start', isolation, verbatim: true });
  }

  /** Takes what is there, and holds it. */
  async take(
    topic: string,
    subscription = topic,
    credit = 100,
    leaseMs = 3_600_000,
  ): Promise<{ text: string; run: DeliveryRun }[]> {
    return (await this.receive({ topic, subscription, leaseMs }, credit)).flatMap((run) =>
      textsOf(run).map((text, i) => ({ text, run: { ...run, offset: run.offset + i, count: 1 } })),
    );
  }

  async texts(topic: string, subscription = topic): Promise<string[]> {
    return (await this.take(topic, subscription)).map(({ text }) => text);
  }

  async depth(topic: string, subscription = topic): Promise<{ ready: number; delayed: number; depth: number }> {
    const { ready, delayed, depth } = await this.session.request('subscriptionStats', { topic, subscription });
    return { ready, delayed, depth };
  }
}

/** The owner of a named producer. */
class Owner {
  readonly #bench: Bench;
  readonly ref: ProducerRef;

  constructor(bench: Bench, ref: ProducerRef) {
    this.#bench = bench;
    this.ref = ref;
  }

  send(topic: string, ...messages: Message[]): Promise<PublishReceipt> {
    return this.#bench.session.publish({ to: { topic }, ...records(...messages), transaction: this.ref });
  }

  begin(): Promise<Operations['beginTransaction']['result']> {
    return this.#bench.session.request('beginTransaction', this.ref);
  }

  add(more: Omit<Operations['addToTransaction']['args'], keyof ProducerRef>): Promise<unknown> {
    return this.#bench.session.request('addToTransaction', { ...this.ref, ...more });
  }

  end(outcome: 'committed' | 'aborted', transaction?: number): Promise<Operations['endTransaction']['result']> {
    return this.#bench.session.request('endTransaction', {
      ...this.ref,
      outcome,
      ...(transaction !== undefined && { transaction }),
    });
  }
}

function ackOf(topic: string, runs: readonly DeliveryRun[]): Settlement {
  const ranges = runs.map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
  return { topic, subscription: topic, action: 'ack', ranges };
}

const RESTARTS = ['kill', 'checkpoint', 'close', 'crash'] as const;

test('what is published in a transaction is handed to nobody before the commit, then to all in its place', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.topic('t');
  const owner = await bench.begin('p');
  await bench.send('q', 'before');
  await owner.send('q', 'a', 'b');
  await owner.send('t', 'c');
  await bench.send('q', 'after');
  assert.deepEqual(await bench.depth('q'), { ready: 2, delayed: 0, depth: 2 });
  assert.deepEqual(await bench.read('t'), []);
  assert.deepEqual(await bench.read('t', { isolation: 'uncommitted' }), ['c']);
  await owner.end('committed');
  assert.deepEqual(await bench.texts('q'), ['before', 'a', 'b', 'after']);
  assert.deepEqual(await bench.read('t'), ['c']);
});

test('a consumer is not held up by what others have open, and gets it when it commits', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const owner = await bench.begin('p');
  await owner.send('q', 'open');
  await bench.send('q', 'free');
  assert.deepEqual(await bench.texts('q'), ['free']);
  await owner.end('committed');
  assert.deepEqual(await bench.texts('q'), ['open']);
});

test('what was aborted is delivered to nobody and read by nobody who wants committed messages', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.topic('t');
  const owner = await bench.begin('p');
  await owner.send('q', 'a');
  await owner.send('t', 'b');
  await bench.send('t', 'c');
  await owner.end('aborted');
  assert.deepEqual(await bench.texts('q'), []);
  assert.deepEqual(await bench.depth('q'), { ready: 0, delayed: 0, depth: 0 });
  assert.deepEqual(await bench.read('t'), ['c']);
  assert.deepEqual(await bench.read('t', { isolation: 'uncommitted' }), ['b', 'c']);
  const { messages } = await bench.session.request('topicStats', { name: 't' });
  assert.equal(messages, 1);
});

for (const how of RESTARTS) {
  test(`open transactions go on after a restart (${how}), and end as they are told`, async () => {
    const bench = await Bench.open();
    await bench.queue('q', { priorities: 3 });
    await bench.queue('done');
    await bench.topic('t', { partitions: 2 });
    await bench.send('done', 'task');
    const [task] = await bench.take('done');
    assert.ok(task);
    const one = await bench.begin('one');
    const two = await bench.begin('two');
    await one.send('q', 'a', { text: 'urgent', priority: 2 }, { text: 'late', delayMs: 5000 });
    await two.send('q', 'x');
    await one.send('t', { text: 'k1', key: 'a' }, { text: 'k2', key: 'b' }, { text: 'k3', key: 'c' });
    await two.send('t', { text: 'y', key: 'a' });
    await one.add({
      cursors: [{ cursor: 'group', topic: 't', partition: 0, offset: 7 }],
      settlements: [ackOf('done', [task.run])],
    });
    await bench.restart(how);
    const { open } = await bench.session.request('describeProducer', { producer: 'one' });
    assert.equal(open?.partitions.length, 3);
    assert.equal(open.cursors + open.settlements, 2);
    assert.deepEqual(await bench.texts('q'), []);
    const cursor = (): Promise<unknown> => bench.session.request('fetchCursors', { cursor: 'group', topic: 't' });
    assert.deepEqual(await cursor(), { partitions: [], pending: [{ topic: 't', partition: 0 }] });
    await one.end('committed');
    await two.end('aborted');
    await bench.restart(how);
    assert.deepEqual(await bench.depth('q'), { ready: 2, delayed: 1, depth: 3 });
    assert.deepEqual(await bench.texts('q'), ['urgent', 'a']);
    assert.deepEqual(await bench.depth('done'), { ready: 0, delayed: 0, depth: 0 });
    assert.deepEqual(await cursor(), { partitions: [{ topic: 't', partition: 0, offset: 7, metadata: '' }] });
    const read = [...(await bench.read('t', { partition: 0 })), ...(await bench.read('t', { partition: 1 }))];
    assert.deepEqual(read.sort(), ['k1', 'k2', 'k3']);
    await bench.advance(5000);
    assert.deepEqual(await bench.texts('q'), ['late']);
  });
}

test('claimed again, a producer has a higher epoch, its older owner is fenced, and what that had open is aborted', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const old = await bench.begin('p');
  await old.send('q', 'lost');
  const young = await bench.begin('p');
  assert.equal(young.ref.producerId, old.ref.producerId);
  assert.ok(young.ref.epoch > old.ref.epoch);
  await assert.rejects(old.send('q', 'zombie'), { code: 'FENCED' });
  await assert.rejects(old.begin(), { code: 'FENCED' });
  await assert.rejects(old.add({}), { code: 'FENCED' });
  await assert.rejects(old.end('committed'), { code: 'FENCED' });
  await young.send('q', 'mine');
  await young.end('committed');
  assert.deepEqual(await bench.texts('q'), ['mine']);
  await bench.restart('kill');
  await assert.rejects(old.end('committed'), { code: 'FENCED' });
});

test('a claim that follows an epoch is refused when somebody else has claimed the name since', async () => {
  const bench = await Bench.open();
  const { ref } = await bench.begin('p');
  const after = ref;
  const next = await bench.session.request('claimProducer', { producer: 'p', after });
  assert.equal(next.epoch, ref.epoch + 1);
  await assert.rejects(bench.session.request('claimProducer', { producer: 'p', after }), { code: 'FENCED' });
  await assert.rejects(bench.session.request('claimProducer', { producer: 'new', after }), { code: 'FENCED' });
});

for (const how of ['none', ...RESTARTS] as const) {
  test(`a transaction that is open for too long is aborted and its producer fenced (restart: ${how})`, async () => {
    const bench = await Bench.open();
    await bench.topic('t');
    const owner = await bench.begin('p', 5000);
    await owner.send('t', 'a');
    await bench.advance(4000);
    if (how !== 'none') await bench.restart(how);
    assert.equal((await bench.log('t')).stableEnd, 0);
    await bench.advance(999);
    await owner.send('t', 'b');
    await bench.advance(1);
    const { stableEnd, end, aborted } = await bench.log('t');
    assert.deepEqual({ stableEnd, end, aborted: aborted?.length }, { stableEnd: 3, end: 3, aborted: 1 });
    assert.deepEqual(await bench.read('t'), []);
    await assert.rejects(owner.send('t', 'c'), { code: 'FENCED', message: /too long/ });
    await assert.rejects(owner.end('committed'), { code: 'FENCED' });
    const again = await bench.session.request('claimProducer', { producer: 'p', after: owner.ref });
    assert.equal(again.epoch, owner.ref.epoch + 2);
  });
}

test('two transactions interleave on one partition; each is read or left out as a whole, below the stable end', async () => {
  const bench = await Bench.open();
  await bench.topic('t');
  const one = await bench.begin('one');
  const two = await bench.begin('two');
  await one.send('t', 'a0');
  await two.send('t', 'b1');
  await one.send('t', 'a2');
  await bench.send('t', 'c3');
  await two.send('t', 'b4');
  await two.end('aborted');
  assert.equal((await bench.log('t')).stableEnd, 0);
  await bench.send('t', 'c6');
  await one.end('committed');
  const { runs, next, end, stableEnd, aborted, markers } = await bench.log('t');
  assert.deepEqual({ next, end, stableEnd }, { next: 8, end: 8, stableEnd: 8 });
  assert.deepEqual(runs.flatMap(textsOf), ['a0', 'b1', 'a2', 'c3', 'b4', 'c6']);
  const { producerId, epoch } = two.ref;
  assert.deepEqual(aborted, [{ producerId, epoch, from: 1, marker: 5 }]);
  assert.deepEqual(markers, [
    { offset: 5, producerId, epoch, outcome: 'aborted' },
    { offset: 7, producerId: one.ref.producerId, epoch: one.ref.epoch, outcome: 'committed' },
  ]);
  assert.deepEqual(await bench.read('t'), ['a0', 'a2', 'c3', 'c6']);
});

test('aborted ranges are found by readers that come late and in small steps, also after restarts and trims', async () => {
  const bench = await Bench.open();
  await bench.topic('t');
  const long = await bench.begin('long', 900_000);
  await long.send('t', 'first');
  for (let i = 0; i < 20; i++) {
    const owner = await bench.begin(`p${i}`);
    await owner.send('t', `${i}`);
    await owner.end(i % 2 === 0 ? 'aborted' : 'committed');
  }
  await long.end('aborted');
  for (const how of ['none', 'checkpoint', 'kill'] as const) {
    if (how !== 'none') await bench.restart(how);
    for (let from = 0; from < 42; from++) {
      const page = await bench.session.request('read', {
        topic: 't',
        from: { offset: from },
        maxMessages: 3,
        verbatim: true,
      });
      const odd = (list: typeof page.aborted): number[] =>
        (list ?? []).map(({ marker }) => marker).sort((a, b) => a - b);
      const expected: number[] = [];
      for (let i = 0; i < 20; i += 2) if (1 + 2 * i < page.next && 2 + 2 * i >= from) expected.push(2 + 2 * i);
      expected.push(41);
      assert.deepEqual(odd(page.aborted), expected, `from ${from}`);
    }
  }
});

test('a reader that waits for committed messages is woken by the commit, not by the publish', async () => {
  const bench = await Bench.open();
  await bench.topic('t');
  const owner = await bench.begin('p');
  await owner.send('t', 'a');
  let answered = false;
  const waiting = bench.read('t', { waitMs: 60_000 }).finally(() => (answered = true));
  await owner.send('t', 'b');
  await bench.broker.settled();
  assert.equal(answered, false);
  await owner.end('committed');
  assert.deepEqual(await waiting, ['a', 'b']);
});

test('no message leaves before the commit of its transaction is safe on disk', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.topic('t');
  const owner = await bench.begin('p');
  await owner.send('q', 'a');
  await owner.send('t', 'b');
  const got: string[] = [];
  const sink = {
    deliver: (runs: DeliveryRun[]) => void got.push(...runs.flatMap(textsOf)),
    ended: () => {},
  };
  const consumer = await bench.session.consume({ topic: 'q', subscription: 'q', lease: 'session' }, sink);
  consumer.credit(10);
  await bench.broker.settled();
  const syncing: (() => void)[] = [];
  bench.disk.onSync = () => new Promise((resolve) => syncing.push(resolve));
  const ended = owner.end('committed');
  const read = bench.read('t').then((texts) => void got.push(...texts));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(syncing.length > 0);
  assert.deepEqual(got, []);
  bench.disk.onSync = undefined;
  for (const done of syncing) done();
  await Promise.all([ended, read, bench.broker.settled()]);
  assert.deepEqual(new Set(got), new Set(['a', 'b']));
});

test('settlements and cursors of a transaction take effect with its commit, and not with its abort', async () => {
  const bench = await Bench.open();
  await bench.queue('in');
  await bench.topic('t');
  await bench.send('in', 'a', 'b', 'c', 'd');
  const [a, b, c, d] = (await bench.take('in')).map(({ run }) => run);
  assert.ok(a && b && c && d);
  const owner = await bench.begin('p');
  const cursors = [{ cursor: 'g', topic: 't', partition: 0, offset: 4, metadata: 'm' }];
  await owner.add({ cursors, settlements: [ackOf('in', [a])] });
  await owner.end('aborted');
  assert.deepEqual(await bench.depth('in'), { ready: 0, delayed: 0, depth: 4 });
  assert.deepEqual(await bench.session.request('fetchCursors', { cursor: 'g', topic: 't' }), { partitions: [] });
  await owner.begin();
  await owner.add({ cursors, settlements: [ackOf('in', [a, b])] });
  const { ranges } = ackOf('in', [c]);
  await owner.add({
    settlements: [{ topic: 'in', subscription: 'in', ranges, action: 'release', countAttempt: false }],
  });
  const rejected = ackOf('in', [d]);
  await owner.add({
    settlements: [{ topic: 'in', subscription: 'in', ranges: rejected.ranges, action: 'reject', reason: 'no' }],
  });
  assert.deepEqual(await bench.depth('in'), { ready: 0, delayed: 0, depth: 4 });
  await owner.end('committed');
  await bench.broker.settled();
  assert.deepEqual(await bench.texts('in'), ['c']);
  assert.deepEqual(await bench.texts('in.dead'), ['d']);
  const { partitions } = await bench.session.request('fetchCursors', { cursor: 'g', topic: 't' });
  assert.deepEqual(partitions, [{ topic: 't', partition: 0, offset: 4, metadata: 'm' }]);
});

test('a lease that is lost before the commit fails it, nothing of it is done, and it can still be aborted', async () => {
  const bench = await Bench.open();
  await bench.queue('in');
  await bench.queue('out');
  await bench.send('in', 'a', 'b');
  const [a, b] = (await bench.take('in')).map(({ run }) => run);
  assert.ok(a && b);
  const owner = await bench.begin('p');
  await owner.send('out', 'result');
  await owner.add({ settlements: [ackOf('in', [a]), ackOf('in', [b])] });
  const { ranges } = ackOf('in', [b]);
  await bench.session.settle([{ topic: 'in', subscription: 'in', action: 'release', countAttempt: false, ranges }]);
  await assert.rejects(owner.end('committed'), { code: 'LEASE_LOST' });
  assert.deepEqual(await bench.depth('in'), { ready: 1, delayed: 0, depth: 2 });
  assert.deepEqual(await bench.texts('out'), []);
  await owner.end('aborted');
  assert.deepEqual(await bench.texts('out'), []);
});

test('what a transaction is to settle stays with its consumer until the transaction ends, also over a restart', async () => {
  const bench = await Bench.open();
  await bench.queue('in');
  await bench.send('in', 'a', 'b');
  const [a, b] = (await bench.take('in', 'in', 100, 5000)).map(({ run }) => run);
  assert.ok(a && b);
  const owner = await bench.begin('p');
  await owner.add({ settlements: [ackOf('in', [a])] });
  await bench.advance(6000);
  assert.deepEqual(await bench.texts('in'), ['b']);
  await bench.restart('kill');
  await bench.advance(6000);
  await owner.end('committed');
  assert.deepEqual(await bench.depth('in'), { ready: 0, delayed: 0, depth: 1 });
});

test('an end that is asked for again answers the same; another one, or of another transaction, is refused', async () => {
  const bench = await Bench.open();
  await bench.topic('t');
  const owner = await bench.begin('p');
  await owner.send('t', 'a');
  const { transaction } = await owner.begin();
  const first = await owner.end('committed');
  assert.deepEqual(await owner.end('committed'), first);
  assert.deepEqual(await owner.end('committed', transaction), first);
  await bench.restart('kill');
  assert.deepEqual(await owner.end('committed'), first);
  await assert.rejects(owner.end('aborted'), { code: 'NO_TRANSACTION' });
  await assert.rejects(owner.send('t', 'b'), { code: 'NO_TRANSACTION' });
  await assert.rejects(owner.add({}), { code: 'NO_TRANSACTION' });
  const second = await owner.begin();
  assert.notEqual(second.transaction, transaction);
  // Late, of the one before: the open one is not touched.
  assert.deepEqual(await owner.end('committed', transaction), first);
  assert.equal((await owner.begin()).transaction, second.transaction);
  await assert.rejects(owner.end('committed', 99), { code: 'NO_TRANSACTION' });
});

test('a commit over many partitions, topics and queues is there as a whole or not at all, wherever it is killed', async () => {
  const bench = await Bench.open({}, { maxBatchBytes: 256 << 10 });
  await bench.topic('t', { partitions: 5 });
  await bench.queue('q');
  await bench.queue('in');
  await bench.send('in', 'task');
  const [task] = await bench.take('in');
  assert.ok(task);
  const owner = await bench.begin('p');
  for (let partition = 0; partition < 5; partition++)
    await bench.session.publish({ to: { topic: 't' }, ...records('x'), partition, transaction: owner.ref });
  await owner.send('q', 'y');
  await owner.add({
    cursors: [{ cursor: 'g', topic: 't', partition: 0, offset: 1 }],
    settlements: [ackOf('in', [task.run])],
  });
  await bench.broker.settled();
  const disks: MemoryDisk[] = [];
  bench.disk.onCall = () => {
    disks.push(bench.disk.clone());
    for (let i = 0; i < 4; i++) disks.push(bench.disk.crash(bench.random));
  };
  await owner.end('committed');
  bench.disk.onCall = undefined;
  disks.push(bench.disk.clone());
  const outcomes = new Set<boolean>();
  for (const disk of disks) {
    bench.disk = disk;
    await bench.start();
    const facts: boolean[] = [];
    for (let partition = 0; partition < 5; partition++) facts.push((await bench.read('t', { partition })).length === 1);
    facts.push((await bench.depth('q')).depth === 1);
    facts.push((await bench.depth('in')).depth === 0);
    facts.push((await bench.session.request('fetchCursors', { cursor: 'g', topic: 't' })).partitions.length === 1);
    facts.push((await bench.session.request('describeProducer', { producer: 'p' })).open === null);
    assert.equal(new Set(facts).size, 1, JSON.stringify(facts));
    outcomes.add(facts[0] === true);
    if (facts[0] === false) {
      await owner.end('committed');
      assert.equal((await bench.depth('q')).depth, 1);
    }
  }
  assert.equal(outcomes.size, 2);
});

test('what was aborted is read by nobody, also when it goes while it is read', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const owner = await bench.begin('p');
  await owner.send('q', 'aborted');
  await bench.send('q', 'sent');
  await owner.end('aborted');
  // Nothing is in memory then: a read waits for the disk.
  await bench.restart('checkpoint');
  const reading = bench.read('q');
  const verbatim = bench.log('q');
  await bench.session.request('purge', { topic: 'q', subscription: 'q' });
  assert.deepEqual(
    (await reading).filter((text) => text !== 'sent'),
    [],
  );
  // Whoever reads the log as it lies there gets nothing that was aborted without being told.
  const { runs, aborted } = await verbatim;
  assert.deepEqual([runs.flatMap(textsOf), aborted?.map(({ from }) => from)], [[], [0]]);
});

test('who is told of an aborted range is told of its end, also when compaction takes that while it is read', async () => {
  const bench = await Bench.open();
  await bench.topic('t');
  const owner = await bench.begin('p');
  await owner.send('t', 'aborted');
  await owner.end('aborted');
  await bench.send('t', 'sent');
  // Nothing is in memory then: a read waits for the disk.
  await bench.restart('checkpoint');
  const reading = bench.log('t');
  // As an entry of a pass does it.
  bench.broker.state.topicNamed('default', 't')?.partition(0).remove(0, 2);
  const { runs, aborted, markers } = await reading;
  assert.deepEqual(
    [runs.flatMap(textsOf), aborted?.map(({ marker }) => marker), markers?.map(({ offset }) => offset)],
    [['sent'], [1], [1]],
  );
  const after = await bench.log('t');
  assert.deepEqual([after.runs.flatMap(textsOf), after.aborted, after.markers], [['sent'], [], []]);
});

test('a subscription that starts in the past, or seeks back, gets what is committed and later what commits', async () => {
  for (const policy of [{}, { order: 'key' as const }, { filter: { color: ['red'] } }]) {
    const bench = await Bench.open();
    await bench.topic('t');
    const red = (text: string): Message => ({ text, key: text, headers: { color: 'red' } });
    const one = await bench.begin('one');
    const two = await bench.begin('two');
    const three = await bench.begin('three');
    await bench.send('t', red('a'));
    await one.send('t', red('b'));
    await two.send('t', red('c'));
    await three.send('t', red('d'));
    await bench.send('t', red('e'));
    await three.end('aborted');
    await bench.session.request('declareSubscription', { topic: 't', subscription: 's', from: 'start', policy });
    for (let i = 0; i < 5; i++) await bench.broker.settled();
    assert.deepEqual(await bench.depth('t', 's'), { ready: 2, delayed: 0, depth: 2 });
    await one.end('committed');
    assert.deepEqual(await bench.texts('t', 's'), ['a', 'b', 'e']);
    await bench.session.request('seek', { topic: 't', subscription: 's', to: { offset: 1 } });
    await bench.broker.settled();
    await two.end('committed');
    await bench.broker.settled();
    assert.deepEqual(await bench.texts('t', 's'), ['b', 'c', 'e']);
    await bench.session.request('seek', { topic: 't', subscription: 's', to: 'start' });
    await bench.broker.settled();
    assert.deepEqual(await bench.texts('t', 's'), ['a', 'b', 'c', 'e']);
  }
});

test('a snapshot taken with transactions open holds what of them commits, and keeps nothing that was aborted', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const one = await bench.begin('one');
  const two = await bench.begin('two');
  await two.send('q', 'aborted');
  await one.send('q', 'committed');
  await bench.send('q', 'free');
  const ref = { topic: 'q', subscription: 'q' };
  await bench.session.request('createSnapshot', { ...ref, snapshot: 's' });
  await bench.session.request('seek', { ...ref, to: { snapshot: 's' } });
  await bench.broker.settled();
  assert.deepEqual(await bench.depth('q'), { ready: 1, delayed: 0, depth: 1 });
  await one.end('committed');
  await two.end('aborted');
  const runs = (await bench.take('q')).map(({ run }) => run);
  await bench.session.settle([ackOf('q', runs)]);
  const partition = bench.broker.state.topicNamed('default', 'q')?.partition(0);
  assert.equal(partition?.start, 1);
  await bench.restart('checkpoint');
  await bench.session.request('seek', { ...ref, to: { snapshot: 's' } });
  await bench.broker.settled();
  assert.deepEqual(await bench.texts('q'), ['committed', 'free']);
});

test('a message whose time is over before its commit expires with it, and not while it is open', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const one = await bench.begin('one');
  const two = await bench.begin('two');
  await one.send('q', { text: 'a', ttlMs: 1000 }, 'b');
  await two.send('q', { text: 'c', ttlMs: 1000 });
  const expired = async (): Promise<number> =>
    (await bench.session.request('subscriptionStats', { topic: 'q', subscription: 'q' })).expired;
  await bench.advance(2000);
  assert.equal(await expired(), 0);
  await bench.restart('checkpoint');
  await one.end('committed');
  await two.end('aborted');
  await bench.broker.settled();
  assert.deepEqual(await bench.texts('q'), ['b']);
  assert.equal(await expired(), 1);
});

test('with an order by key, what commits late waits behind the message of its key that is out', async () => {
  const bench = await Bench.open();
  await bench.queue('q', { order: 'key' });
  const owner = await bench.begin('p');
  await owner.send('q', { text: 'open', key: 'k' }, { text: 'gone', key: 'l' });
  await bench.send('q', { text: 'free', key: 'k' });
  const [free] = await bench.take('q');
  assert.equal(free?.text, 'free');
  await owner.end('committed');
  await bench.restart('checkpoint');
  assert.deepEqual(await bench.texts('q'), ['gone']);
  await bench.session.settle([ackOf('q', [free.run])]);
  assert.deepEqual(await bench.texts('q'), ['open']);
});

test('what is open stays out of the lanes of a queue over a restart, whatever their order is', async () => {
  for (const order of ['key', 'strict', 'fair', 'fifo'] as const) {
    const bench = await Bench.open();
    await bench.queue('q', { order, ...(order === 'fifo' && { priorities: 3 }) });
    const owner = await bench.begin('p');
    await bench.send('q', { text: 'first', key: 'k' });
    await owner.send('q', { text: 'open', key: 'k', ...(order === 'fifo' && { priority: 2 }) });
    await bench.restart('checkpoint');
    const [first] = await bench.take('q');
    assert.equal(first?.text, 'first', order);
    await bench.restart('checkpoint');
    await bench.session.settle([ackOf('q', [first.run])]);
    assert.deepEqual(await bench.texts('q'), [], order);
    await owner.end('committed');
    assert.deepEqual(await bench.texts('q'), ['open'], order);
  }
});

test('a transaction whose time was over while the broker was down is aborted at the start', async () => {
  const bench = await Bench.open();
  await bench.topic('t');
  const owner = await bench.begin('p', 1000);
  await owner.send('t', 'a');
  await bench.broker.settled();
  bench.disk = bench.disk.clone();
  bench.clock.advance(2000);
  await bench.start();
  assert.equal((await bench.log('t')).aborted?.length, 1);
  await assert.rejects(owner.end('committed'), { code: 'FENCED' });
});

test('peek, purge, cancel and reschedule do not reach what is not committed', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const owner = await bench.begin('p');
  await owner.send('q', 'open');
  await bench.send('q', 'free');
  const ref = { topic: 'q', subscription: 'q' };
  for (const state of [undefined, 'ready', 'settled'] as const) {
    const { messages } = await bench.session.request('peek', { ...ref, ...(state && { state }) });
    assert.equal(messages.length, state === 'settled' ? 0 : 1);
  }
  const id = `${bench.broker.state.topicNamed('default', 'q')?.id.toString(36)}.0.0`;
  assert.deepEqual(await bench.session.request('cancel', { ...ref, id }), { cancelled: false });
  await assert.rejects(bench.session.request('reschedule', { ...ref, id, delayMs: 1 }), { code: 'NOT_FOUND' });
  assert.deepEqual(await bench.session.request('purge', ref), { purged: 1 });
  await owner.end('committed');
  assert.deepEqual(await bench.texts('q'), ['open']);
});

test('what is open counts against the limits of a queue, and no longer once it is aborted', async () => {
  const bench = await Bench.open();
  await bench.queue('q', {}, { maxMessages: 2 });
  const owner = await bench.begin('p');
  await owner.send('q', 'a', 'b');
  await assert.rejects(bench.send('q', 'c'), { code: 'QUEUE_FULL' });
  await assert.rejects(owner.send('q', 'c'), { code: 'QUEUE_FULL' });
  await owner.end('aborted');
  await bench.send('q', 'd', 'e');
  assert.deepEqual(await bench.texts('q'), ['d', 'e']);
});

test('a queue that drops its oldest message does not drop what is not committed', async () => {
  const bench = await Bench.open();
  await bench.queue('q', {}, { maxMessages: 2, overflow: 'drop-oldest' });
  const owner = await bench.begin('p');
  await owner.send('q', 'a');
  await bench.send('q', 'b', 'c');
  await owner.end('committed');
  assert.deepEqual(await bench.texts('q'), ['a', 'c']);
});

test('a publish that waits for room does not join a transaction that has ended meanwhile', async () => {
  const bench = await Bench.open();
  await bench.queue('q', {}, { maxMessages: 1, overflow: 'block' });
  await bench.send('q', 'full');
  const owner = await bench.begin('p');
  const parked = owner.send('q', 'late');
  const refused = assert.rejects(parked, { code: 'NO_TRANSACTION' });
  await owner.end('committed');
  await bench.session.request('purge', { topic: 'q', subscription: 'q' });
  await refused;
  assert.deepEqual(await bench.texts('q'), []);
});

test('a publish that waits for room does not fall into the next transaction of its producer', async () => {
  const bench = await Bench.open();
  await bench.queue('q', {}, { maxMessages: 1, overflow: 'block' });
  await bench.send('q', 'full');
  const owner = await bench.begin('p');
  const refused = assert.rejects(owner.send('q', 'late'), { code: 'NO_TRANSACTION' });
  // Both before the parked publish is looked at again.
  await Promise.all([owner.end('aborted'), owner.begin()]);
  await bench.session.request('purge', { topic: 'q', subscription: 'q' });
  await refused;
  await owner.end('committed');
  assert.deepEqual(await bench.texts('q'), []);
});

test('a dedupe id counts once its transaction is committed, and never if it was aborted', async () => {
  for (const how of ['none', ...RESTARTS] as const) {
    const bench = await Bench.open();
    await bench.queue('q', {}, { dedupeWindowMs: 60_000 });
    const owner = await bench.begin('p');
    await owner.send('q', { text: 'a', dedupeId: 'x' });
    const [again] = (await owner.send('q', { text: 'a', dedupeId: 'x' })).runs;
    assert.equal(again?.duplicate, true);
    if (how !== 'none') await bench.restart(how);
    await owner.end('aborted');
    await owner.begin();
    const [stored] = (await owner.send('q', { text: 'b', dedupeId: 'x' })).runs;
    assert.equal(stored?.duplicate, undefined);
    await owner.end('committed');
    if (how !== 'none') await bench.restart(how);
    const [later] = (await bench.send('q', { text: 'c', dedupeId: 'x' })).runs;
    assert.equal(later?.duplicate, true);
    assert.deepEqual(await bench.texts('q'), ['b']);
  }
});

test('retention does not take what is not decided, and takes aborted messages and markers like others', async () => {
  const bench = await Bench.open();
  await bench.topic('t', { retain: { untilSettled: false, ageMs: 1000, bytes: null, compact: false } });
  await bench.send('t', 'old');
  const one = await bench.begin('one', 60_000);
  await one.send('t', 'a');
  const two = await bench.begin('two');
  await two.send('t', 'b');
  await two.end('aborted');
  await bench.advance(5000);
  const { runs, end } = await bench.log('t', 'uncommitted');
  assert.deepEqual(runs.flatMap(textsOf), ['a', 'b']);
  assert.equal(end, 4);
  await one.end('committed');
  assert.deepEqual(await bench.read('t'), ['a']);
  await bench.advance(5000);
  const empty = await bench.log('t', 'uncommitted');
  assert.deepEqual(
    { runs: empty.runs, aborted: empty.aborted, markers: empty.markers },
    { runs: [], aborted: [], markers: [] },
  );
  const { bytes } = await bench.session.request('topicStats', { name: 't' });
  assert.equal(bytes, 0);
});

test('a compacted topic is not compacted by what was aborted or is still open', async () => {
  const bench = await Bench.open();
  await bench.topic('t', { retain: { untilSettled: false, ageMs: null, bytes: null, compact: true } });
  await bench.send('t', { text: 'kept', key: 'a' });
  const one = await bench.begin('one');
  await one.send('t', { text: 'aborted', key: 'a' });
  await one.end('aborted');
  for (let i = 0; i < 1100; i++) await bench.send('t', { text: `b${i}`, key: 'b' });
  const two = await bench.begin('two');
  await two.send('t', { text: 'open', key: 'b' });
  for (let i = 0; i < 20; i++) {
    await bench.broker.settled();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const read = await bench.read('t', { maxMessages: 5000, isolation: 'uncommitted' });
  assert.ok(read.includes('kept') && read.includes('b1099') && read.includes('open'), read.join());
  assert.ok(!read.includes('aborted') && !read.includes('b0'), read.join());
});

test('open and aborted messages survive the way to cold blocks, and leave them when nobody needs them', async () => {
  const journal = { segmentBytes: 64 << 10, segments: 4, maxBatchBytes: 40 << 10 };
  const bench = await Bench.open({ checkpointBytes: 32 << 10, coldBlockBytes: 4 << 10, recentBytes: 8 << 10 }, journal);
  await bench.queue('q');
  await bench.topic('t');
  const one = await bench.begin('one', 900_000);
  const two = await bench.begin('two', 900_000);
  const three = await bench.begin('three', 900_000);
  await one.send('q', 'a');
  await one.send('t', 'a');
  await two.send('q', 'b');
  await two.send('t', 'b');
  await three.send('q', 'c');
  await three.send('t', 'c');
  await three.end('aborted');
  await bench.queue('filler');
  const fill = async (): Promise<void> => {
    for (let i = 0; i < 60; i++) {
      await bench.send('filler', '.'.repeat(4000));
      await bench.session.request('purge', { topic: 'filler', subscription: 'filler' });
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await fill();
  const partition = bench.broker.state.topicNamed('default', 't')?.partition(0);
  assert.deepEqual([partition?.hotEntries, partition?.cold.length], [0, 1], 'not cold yet');
  await bench.restart('kill');
  assert.deepEqual(await bench.read('t', { isolation: 'uncommitted' }), ['a', 'b', 'c']);
  await one.end('committed');
  await two.end('aborted');
  assert.deepEqual(await bench.texts('q'), ['a']);
  await fill();
  await bench.restart('checkpoint');
  assert.deepEqual(await bench.read('t'), ['a']);
  const { aborted, markers, runs } = await bench.log('t');
  assert.deepEqual(runs.flatMap(textsOf), ['a', 'b', 'c']);
  assert.deepEqual(
    [aborted?.map(({ marker }) => marker), markers?.map(({ offset }) => offset)],
    [
      [3, 5],
      [3, 4, 5],
    ],
  );
});

test('a large message is part of what is decided after it, and its file goes when it is aborted', async () => {
  const bench = await Bench.open({ largeBodyBytes: 16 << 10 });
  const files = async (): Promise<number> => {
    for (let i = 0; i < 20; i++) {
      await bench.broker.settled();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return (await bench.disk.list()).filter(({ name }) => name.startsWith('body-')).length;
  };
  await bench.queue('q');
  const owner = await bench.begin('p');
  const large = 'x'.repeat(100_000);
  for (const outcome of ['aborted', 'committed'] as const) {
    await owner.begin();
    const sent = owner.send('q', large);
    // Asked for before the body is stored.
    const [, ended] = await Promise.all([sent, owner.end(outcome)]);
    assert.equal(ended.outcome, outcome);
    assert.equal(await files(), outcome === 'aborted' ? 0 : 1);
  }
  await bench.restart('kill');
  assert.deepEqual(await bench.texts('q'), [large]);
});

test('a topic that is deleted with something open in it does not keep the transaction from ending', async () => {
  const bench = await Bench.open();
  await bench.queue('gone');
  await bench.queue('q');
  const owner = await bench.begin('p');
  await owner.send('gone', 'a');
  await owner.send('q', 'b');
  await owner.add({ cursors: [{ cursor: 'g', topic: 'gone', partition: 0, offset: 1 }] });
  await bench.session.request('deleteTopic', { name: 'gone' });
  await bench.queue('gone');
  await owner.end('committed');
  assert.deepEqual(await bench.texts('q'), ['b']);
  assert.deepEqual(await bench.texts('gone'), []);
  assert.deepEqual(await bench.session.request('fetchCursors', { cursor: 'g', topic: 'gone' }), { partitions: [] });
});

test('through a router, every queue gets it with the commit', async () => {
  const bench = await Bench.open();
  await bench.queue('a');
  await bench.queue('b');
  await bench.session.request('declareRouter', { name: 'r', type: 'fanout' });
  for (const topic of ['a', 'b'])
    await bench.session.request('bind', {
      router: 'r',
      binding: { key: '', match: null, filter: null, to: { topic } },
    });
  const owner = await bench.begin('p');
  await bench.session.publish({ to: { router: 'r', key: '' }, ...records('x'), transaction: owner.ref });
  assert.deepEqual([await bench.texts('a'), await bench.texts('b')], [[], []]);
  await owner.end('committed');
  assert.deepEqual([await bench.texts('a'), await bench.texts('b')], [['x'], ['x']]);
});

test('what would not fit into the batch of the commit is refused when it is added', async () => {
  const bench = await Bench.open({ maxTransactionPartitions: 2, maxTransactionBytes: 1000 });
  await bench.topic('t', { partitions: 3 });
  const owner = await bench.begin('p');
  const publish = (partition: number): Promise<unknown> =>
    bench.session.publish({ to: { topic: 't' }, ...records('x'), partition, transaction: owner.ref });
  await publish(0);
  await publish(1);
  await publish(1);
  await assert.rejects(publish(2), { code: 'TOO_LARGE', message: /maxTransactionPartitions/ });
  const cursor = { cursor: 'g', topic: 't', partition: 0, offset: 1 };
  for (let i = 0; i < 6; i++) await owner.add({ cursors: [cursor] });
  await assert.rejects(owner.add({ cursors: [cursor] }), { code: 'TOO_LARGE', message: /maxTransactionBytes/ });
  await owner.end('committed');
});

test('producers are listed, and those that nobody uses are forgotten when there are many', async () => {
  const bench = await Bench.open({ maxProducers: 2, producerIdleMs: 1000 });
  const a = await bench.begin('a');
  const b = await bench.begin('b');
  await a.end('aborted');
  await assert.rejects(bench.session.request('describeProducer', { producer: 'c' }), { code: 'NOT_FOUND' });
  await bench.session.request('claimProducer', { producer: 'c' });
  const names = async (open?: true): Promise<string[]> =>
    (await bench.session.request('listProducers', open ? { open } : {})).producers.map(({ producer }) => producer);
  assert.deepEqual(await names(), ['b', 'c']);
  assert.deepEqual(await names(true), ['b']);
  await assert.rejects(a.begin(), { code: 'NOT_FOUND' });
  await bench.session.request('beginTransaction', await bench.session.request('claimProducer', { producer: 'c' }));
  await assert.rejects(bench.session.request('claimProducer', { producer: 'd' }), { code: 'IN_USE' });
  await b.end('aborted');
  const fresh = await bench.session.request('claimProducer', { producer: 'a' });
  assert.notEqual(fresh.producerId, a.ref.producerId);
});

test('an epoch that two bytes cannot hold gives the producer a new number', async () => {
  const bench = await Bench.open({ maxProducerEpoch: 1 });
  const seen: [number, number][] = [];
  for (let i = 0; i < 4; i++) {
    const { producerId, epoch } = await bench.session.request('claimProducer', { producer: 'p' });
    seen.push([producerId, epoch]);
  }
  assert.deepEqual(seen, [
    [1, 0],
    [1, 1],
    [2, 0],
    [2, 1],
  ]);
});

test('a producer is used by those who may publish to its name', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const { ref } = await bench.begin('p');
  const principal = {
    name: 'somebody',
    grants: [{ namespace: 'default', resource: 'q', actions: ['publish' as const] }],
  };
  const session = bench.connect(principal);
  await assert.rejects(session.request('claimProducer', { producer: 'p' }), { code: 'FORBIDDEN' });
  await assert.rejects(session.request('endTransaction', { ...ref, outcome: 'committed' }), { code: 'FORBIDDEN' });
  await assert.rejects(session.publish({ to: { topic: 'q' }, ...records('x'), transaction: ref }), {
    code: 'FORBIDDEN',
  });
  const own = await session.request('claimProducer', { producer: 'q' });
  await session.request('beginTransaction', own);
  const cursors = [{ cursor: 'g', topic: 'q', partition: 0, offset: 1 }];
  await assert.rejects(session.request('addToTransaction', { ...own, cursors }), { code: 'FORBIDDEN' });
});
