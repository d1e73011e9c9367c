import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../core/random.ts';
import { asBuffer, type Envelope, FORMAT_NATIVE, recordHead, RecordBatchWriter, readRecord } from '../core/records.ts';
import type { DeliveryRun, PublishRequest } from '../core/session.ts';
import type { FileJournalOptions } from '../storage/journal/file-journal.ts';
import type { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import type { Limits } from './limits.ts';

const MIB = 1 << 20;
const KIB = 1 << 10;

/** A broker in memory for which everything above 16 KiB is large, so that a body of four pieces is a megabyte. */
class Bench extends EngineBench {
  static open(limits: Partial<Limits> = {}, journal: FileJournalOptions = {}): Promise<Bench> {
    return new Bench({ limits: { largeBodyBytes: 16 * KIB, ...limits } }, journal, 7).start();
  }

  queue(name: string, policy = {}, subscription = {}): Promise<unknown> {
    return this.session.request('declareTopic', { name, kind: 'queue', policy, subscription });
  }

  /** Names of the blobs with large bodies. */
  async blobs(): Promise<string[]> {
    await this.quiet();
    return (await this.disk.list()).flatMap(({ name }) => (name.startsWith('body-') ? [name] : []));
  }

  publish(topic: string, ...bodies: (Buffer | { body: Buffer; envelope: Omit<Envelope, 'body'> })[]) {
    return this.session.publish({ to: { topic }, ...whole(...bodies) });
  }

  /** Hands it over in pieces of an odd size. */
  async upload(to: PublishRequest['to'], body: Buffer, session = this.session): Promise<number> {
    const writer = await session.body(to, body.byteLength);
    for (let at = 0; at < body.byteLength; at += 100_001) await writer.write(body.subarray(at, at + 100_001));
    await writer.end();
    return writer.id;
  }

  take(topic: string, credit = 100, options = {}, subscription = topic): Promise<DeliveryRun[]> {
    return this.receive({ topic, subscription, ...options }, credit);
  }

  ack(topic: string, runs: readonly DeliveryRun[]) {
    return this.session.settle([{ topic, subscription: topic, action: 'ack', ranges: [...runs] }]);
  }
}

function whole(...bodies: (Buffer | { body: Buffer; envelope: Omit<Envelope, 'body'> })[]) {
  const writer = new RecordBatchWriter();
  for (const each of bodies) {
    if (Buffer.isBuffer(each)) writer.append({}, each);
    else writer.append(each.envelope, each.body);
  }
  const { bytes, count } = writer.take();
  return { format: FORMAT_NATIVE, records: bytes, count };
}

function noise(bytes: number, seed: number): Buffer {
  const random = new SeededRandom(seed);
  const body = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) body.writeUInt32LE(random.below(2 ** 32), at);
  return body;
}

function bodyOf(run: DeliveryRun | undefined): Buffer {
  assert.ok(run !== undefined, 'nothing was delivered');
  return asBuffer(readRecord(asBuffer(run.records), 0).body);
}

test('a large message comes back byte for byte, leaves the journal small, and its file goes when it is settled', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  for (const bytes of [16 * KIB, 17 * KIB, 256 * KIB, 256 * KIB + 1, 5 * MIB + 3]) {
    const body = noise(bytes, bytes);
    const before = bench.broker.info().counters['bytes'] ?? 0;
    await bench.publish('q', { body, envelope: { key: 'k', headers: { a: 1 } } });
    assert.equal((await bench.blobs()).length, bytes > 16 * KIB ? 1 : 0, `${bytes} bytes`);
    assert.ok((bench.broker.info().counters['bytes'] ?? 0) - before < 18 * KIB);
    const [run, ...rest] = await bench.take('q');
    assert.deepEqual([run?.count, run?.bodyBytes, rest.length], [1, undefined, 0]);
    const { key, headers } = readRecord(asBuffer(run?.records ?? Buffer.alloc(0)), 0);
    assert.deepEqual([key, headers], ['k', { a: 1 }]);
    assert.ok(bodyOf(run).equals(body), `${bytes} bytes differ`);
    await bench.ack('q', run === undefined ? [] : [run]);
    assert.deepEqual(await bench.blobs(), []);
  }
  await bench.broker.close();
});

test('a body handed over in pieces is the same message as one handed over whole', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const body = noise(MIB + 77, 1);
  const id = await bench.upload({ topic: 'q' }, body);
  const records = recordHead({ key: 'k' }, body.byteLength);
  await bench.session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records, count: 1, body: id });
  await bench.publish('q', { body, envelope: { key: 'k' } });
  const runs = await bench.take('q');
  assert.equal(runs.length, 2);
  assert.ok(asBuffer(runs[0]?.records ?? records).equals(asBuffer(runs[1]?.records ?? records)));
  assert.ok(bodyOf(runs[0]).equals(body));
  await bench.broker.close();
});

test('with bodies apart a delivery has the head, and the body is read in pieces until it is settled', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const body = noise(MIB + 999, 2);
  await bench.publish('q', { body, envelope: { key: 'k' } });
  const [run] = await bench.take('q', 1, { bodies: 'apart' });
  assert.equal(run?.bodyBytes, body.byteLength);
  assert.ok(run.records.byteLength < 100);
  const args = { topic: 'q', partition: 0, offset: run.offset };
  for (const [from, maxBytes] of [
    [0, 10],
    [262_140, 9],
    [262_144, 1],
    [1000, 900_000],
    [MIB, 5000],
  ] as const) {
    const { bytes, total } = await bench.session.request('readBody', { ...args, from, maxBytes });
    assert.equal(total, body.byteLength);
    assert.ok(asBuffer(bytes).equals(body.subarray(from, from + maxBytes)), `from ${from}`);
  }
  assert.equal((await bench.session.request('readBody', { ...args, from: 2 * MIB, maxBytes: 5 })).bytes.byteLength, 0);
  const { messages } = await bench.session.request('peek', { topic: 'q', subscription: 'q' });
  assert.deepEqual([messages[0]?.bodyBytes, messages[0]?.envelope.key], [body.byteLength, 'k']);
  await bench.ack('q', [run]);
  await bench.quiet();
  await assert.rejects(bench.session.request('readBody', { ...args, from: 0, maxBytes: 1 }), { code: 'NOT_FOUND' });
  await bench.broker.close();
});

test('what is short, too long, unknown, unfinished or does not fit its head is refused and leaves nothing', async () => {
  const bench = await Bench.open();
  await bench.queue('q', { maxMessageBytes: MIB });
  const to = { topic: 'q' };
  const name = (body: number, bytes: number, count = 1): Promise<unknown> =>
    bench.session.publish({ to, format: FORMAT_NATIVE, records: recordHead({}, bytes), count, body });
  await assert.rejects(bench.session.body(to, MIB + 1), { code: 'TOO_LARGE', message: /up to 1048576/ });
  await assert.rejects(bench.session.body(to, -1), { code: 'TOO_LARGE' });
  await assert.rejects(bench.session.body({ topic: 'nobody' }, 1), { code: 'NOT_FOUND' });
  const short = await bench.session.body(to, 10);
  await short.write(Buffer.alloc(9));
  await assert.rejects(name(short.id, 10), { code: 'INVALID', message: /not complete/ });
  await assert.rejects(short.end(), { code: 'INVALID', message: /after 9 of 10/ });
  await assert.rejects(short.write(Buffer.alloc(1)), { code: 'ABORTED' });
  const long = await bench.session.body(to, 10);
  await assert.rejects(long.write(Buffer.alloc(11)), { code: 'INVALID' });
  await assert.rejects(name(long.id, 10), { code: 'NOT_FOUND' });
  const good = await bench.upload(to, Buffer.alloc(MIB - 5));
  await assert.rejects(name(good, MIB - 6), { code: 'INVALID', message: /size/ });
  await assert.rejects(name(good, MIB - 5, 2), { code: 'INVALID' });
  const early = Buffer.concat([recordHead({ key: 'k' }, MIB - 5)]).subarray(0, 7);
  const cut = { to, format: FORMAT_NATIVE, records: early, count: 1, body: good };
  await assert.rejects(bench.session.publish(cut), { code: 'INVALID' });
  await assert.rejects(bench.connect().publish({ ...cut, records: recordHead({}, MIB - 5) }), { code: 'NOT_FOUND' });
  assert.equal((await bench.blobs()).length, 1);
  await name(good, MIB - 5);
  await assert.rejects(name(good, MIB - 5), { code: 'NOT_FOUND' });
  const over = await bench.upload(to, Buffer.alloc(MIB));
  await assert.rejects(name(over, MIB), { code: 'TOO_LARGE' });
  await bench.session.close();
  assert.equal((await bench.blobs()).length, 1);
  assert.equal(bench.broker.info().counters['unfinishedBodyBytes'], 0);
  await bench.broker.close();
});

test('messages of one session keep their order, whatever their size', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const producer = (sequence: number) => ({ producer: { id: 'p', sequence } });
  const to = { topic: 'q' };
  await Promise.all([
    bench.session.publish({ to, ...whole(Buffer.from('a')), ...producer(0) }),
    bench.session.publish({ to, ...whole(noise(MIB, 1)), ...producer(1) }),
    bench.session.publish({ to, ...whole(Buffer.from('c')), ...producer(2) }),
    bench.session.publish({ to, ...whole(noise(20 * KIB, 1)), ...producer(3) }),
    bench.session.commit({ publishes: [{ to, ...whole(Buffer.from('e')) }], settlements: [], cursors: [] }),
  ]);
  const runs = await bench.take('q');
  assert.deepEqual(
    runs.map((run) => bodyOf(run).byteLength),
    [1, MIB, 1, 20 * KIB, 1],
  );
  const again = await bench.session.publish({ to, ...whole(noise(MIB, 1)), ...producer(1) });
  assert.deepEqual(again.runs, [{ topicId: 1, partition: 0, offset: 1, count: 1, duplicate: true }]);
  assert.equal((await bench.blobs()).length, 2);
  await bench.broker.close();
});

test('of an atomic batch only the large ones lie apart, each where it belongs, in every partition', async () => {
  const bench = await Bench.open();
  await bench.session.request('declareTopic', { name: 't', kind: 'topic', policy: { partitions: 3 } });
  const messages = Array.from({ length: 24 }, (_, i) => ({
    envelope: { key: `key ${i % 7}`, dedupeId: `${i % 20}` },
    body: noise(i % 3 === 1 ? 20 * KIB + i : 10 + i, i),
  }));
  const receipt = await bench.session.publish({ to: { topic: 't' }, ...whole(...messages), atomic: true });
  assert.equal(
    receipt.runs.reduce((sum, run) => sum + run.count, 0),
    24,
  );
  assert.equal((await bench.blobs()).length, 7);
  let found = 0;
  const order = new Map<string, number>();
  for (const partition of [0, 1, 2]) {
    const { runs } = await bench.session.request('read', { topic: 't', partition, from: 'start' });
    for (const run of runs) {
      for (let i = 0, at = 0; i < run.count; i++) {
        const records = asBuffer(run.records);
        const { key = '', dedupeId, body } = readRecord(records, at);
        at += 4 + records.readUInt32LE(at);
        const index = Number(dedupeId);
        assert.ok(asBuffer(body).equals(messages[index]?.body ?? Buffer.alloc(0)));
        assert.ok((order.get(key) ?? -1) < index, 'the order of a key');
        order.set(key, index);
        found++;
      }
    }
  }
  assert.equal(found, 20);
  await bench.broker.close();
});

test('a read stops at its bytes and goes on behind a large message', async () => {
  const bench = await Bench.open();
  await bench.session.request('declareTopic', { name: 't', kind: 'topic' });
  for (let i = 0; i < 5; i++) await bench.publish('t', noise(100 * KIB, i), Buffer.from([i]));
  let from = 0;
  const sizes: number[] = [];
  while (from < 10) {
    const { runs, next } = await bench.session.request('read', {
      topic: 't',
      from: { offset: from },
      maxBytes: 150 * KIB,
    });
    assert.ok(next > from);
    for (const run of runs) sizes.push(bodyOf(run).byteLength);
    from = next;
  }
  assert.deepEqual(
    sizes,
    [1, 2, 3, 4, 5].flatMap(() => [100 * KIB, 1]),
  );
  await bench.broker.close();
});

test('a body for several queues is stored once and goes with the last of them', async () => {
  const bench = await Bench.open();
  await bench.session.request('declareRouter', { name: 'r', type: 'fanout' });
  for (const topic of ['a', 'b', 'c']) {
    await bench.queue(topic, topic === 'c' ? { ttlMs: 1e6 } : {});
    const binding = { key: '', match: null, filter: null, to: { topic } };
    await bench.session.request('bind', { router: 'r', binding });
  }
  const body = noise(MIB, 3);
  await bench.session.publish({ to: { router: 'r', key: '' }, ...whole(body) });
  assert.equal((await bench.blobs()).length, 1);
  for (const topic of ['a', 'b', 'c']) {
    assert.equal((await bench.blobs()).length, 1, `before ${topic}`);
    const runs = await bench.take(topic);
    assert.ok(bodyOf(runs[0]).equals(body));
    await bench.ack(topic, runs);
  }
  assert.deepEqual(await bench.blobs(), []);
  await bench.broker.close();
});

test('a dead letter keeps its body without a copy, also over a redrive and restarts', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const body = noise(MIB, 4);
  await bench.publish('q', body);
  const [run] = await bench.take('q', 1);
  const ranges = run === undefined ? [] : [run];
  await bench.session.settle([{ topic: 'q', subscription: 'q', action: 'reject', reason: 'no', ranges }]);
  const stored = await bench.blobs();
  assert.equal(stored.length, 1);
  await bench.start(bench.disk.crash(bench.random));
  const dead = { topic: 'q.dead', subscription: 'q.dead' };
  const { messages } = await bench.session.request('peek', dead);
  assert.deepEqual([messages[0]?.bodyBytes, messages[0]?.history?.reason], [MIB, 'rejected']);
  await bench.session.request('redrive', dead);
  assert.deepEqual(await bench.blobs(), stored);
  await bench.start(bench.disk.crash(bench.random));
  const again = await bench.take('q');
  assert.ok(bodyOf(again[0]).equals(body));
  await bench.ack('q', again);
  assert.deepEqual(await bench.blobs(), []);
  await bench.broker.close();
});

test('a large message that is settled before older ones frees its file, and a seek finds a hole', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.publish('q', Buffer.from('old'));
  await bench.publish('q', noise(MIB, 1), Buffer.from('between'), noise(MIB, 2));
  const runs = await bench.take('q');
  await bench.ack('q', runs.slice(1));
  assert.deepEqual(await bench.blobs(), []);
  const { bytes } = await bench.session.request('topicStats', { name: 'q' });
  assert.ok(bytes < KIB, `${bytes} bytes are counted`);
  for (const how of ['journal', 'checkpoint']) {
    if (how === 'checkpoint') await bench.broker.checkpoint();
    await bench.start(bench.disk.crash(bench.random));
    await bench.session.request('seek', { topic: 'q', subscription: 'q', to: 'start' });
    const found = (await bench.take('q')).map((run) => bodyOf(run).toString());
    assert.deepEqual(found, ['old', 'between'], `from the ${how}`);
  }
  await bench.broker.close();
});

test('published bodies survive restarts, unpublished ones are gone after one', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const body = noise(MIB, 5);
  const to = { topic: 'q' };
  const late = await bench.session.body(to, MIB);
  await late.write(body.subarray(0, 300_000));
  await bench.publish('q', body);
  await bench.upload(to, noise(MIB, 6));
  await bench.broker.checkpoint();
  await late.write(body.subarray(300_000));
  await late.end();
  const records = recordHead({}, MIB);
  await bench.session.publish({ to, format: FORMAT_NATIVE, records, count: 1, body: late.id });
  await bench.session.body(to, MIB);
  assert.equal((await bench.blobs()).length, 4);
  await bench.start(bench.disk.crash(bench.random));
  assert.equal((await bench.blobs()).length, 2);
  await bench.broker.checkpoint();
  await bench.broker.checkpoint();
  await bench.start(bench.disk.crash(bench.random));
  const runs = await bench.take('q');
  assert.deepEqual(
    runs.map((run) => bodyOf(run).equals(body)),
    [true, true],
  );
  await bench.ack('q', runs);
  await bench.start(bench.disk.crash(bench.random));
  assert.deepEqual(await bench.blobs(), []);
  await bench.broker.close();
});

test('a power cut at any moment leaves large messages whole or not at all, and all that were confirmed', async () => {
  let promised = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const bench = await Bench.open();
    await bench.queue('q');
    const random = new SeededRandom(seed);
    const confirmed = new Set<number>();
    let cut: MemoryDisk | undefined;
    let calls = random.below(70);
    const confirmedThen = new Set<number>();
    // Slower than the journal: an entry that did not wait for the body it names would be on disk before it.
    bench.disk.onSync = async (name) => {
      for (let turns = name.startsWith('body-') ? 40 : 0; turns > 0; turns--)
        await new Promise((resolve) => setImmediate(resolve));
    };
    bench.disk.onCall = () => {
      if (calls-- > 0 || cut !== undefined) return;
      for (const each of confirmed) confirmedThen.add(each);
      cut = bench.disk.crash(random);
    };
    const sent = [0, 3].map(async (first) => {
      for (let i = first; i < first + 3; i++) {
        await bench.publish('q', noise(17 * KIB + i * 60 * KIB, i));
        confirmed.add(i);
      }
    });
    await Promise.all(sent);
    bench.disk.onCall = undefined;
    bench.disk.onSync = undefined;
    await bench.broker.close();
    await bench.start(cut ?? bench.disk.crash(random));
    const runs = await bench.take('q');
    const found = runs.map((run) => (bodyOf(run).byteLength - 17 * KIB) / (60 * KIB));
    for (const [at, i] of found.entries()) assert.ok(bodyOf(runs[at]).equals(noise(17 * KIB + i * 60 * KIB, i)));
    promised += confirmedThen.size;
    for (const i of confirmedThen) assert.ok(found.includes(i), `seed ${seed}: ${i} was confirmed and is lost`);
    assert.equal((await bench.blobs()).length, found.length, `seed ${seed}: files without a message`);
    await bench.broker.close();
  }
  assert.ok(promised > 20, `only ${promised} messages were confirmed before a cut`);
});

test('a transaction stores large messages with its settlements or not at all', async () => {
  const bench = await Bench.open();
  await bench.queue('in');
  await bench.queue('out');
  await bench.publish('in', noise(MIB, 1));
  const [run] = await bench.take('in', 1);
  assert.ok(run !== undefined);
  const ranges = [run];
  const settlements = [{ topic: 'in', subscription: 'in', action: 'ack' as const, ranges }];
  const to = { topic: 'out' };
  const body = await bench.upload(to, noise(MIB, 2));
  const named = { to, format: FORMAT_NATIVE, records: recordHead({}, MIB), count: 1, body };
  const publishes = [{ to, ...whole(noise(MIB, 3)) }, named];
  const lost = [
    { ...settlements[0], topic: 'in', subscription: 'in', action: 'ack' as const, ranges: [{ ...run, token: 1 }] },
  ];
  await assert.rejects(bench.session.commit({ publishes, settlements: lost, cursors: [] }), { code: 'LEASE_LOST' });
  assert.equal((await bench.blobs()).length, 2);
  await bench.session.commit({ publishes, settlements, cursors: [] });
  assert.equal((await bench.blobs()).length, 2);
  assert.ok(bodyOf((await bench.take('out'))[1]).equals(noise(MIB, 2)));
  await bench.broker.close();
});

test('an open transaction shows its large messages when it commits, and frees them when it aborts', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  const to = { topic: 'q' };
  const publish = async (outcome: 'committed' | 'aborted'): Promise<void> => {
    const transaction = await bench.session.request('claimProducer', { producer: 'p' });
    await bench.session.request('beginTransaction', transaction);
    await bench.session.publish({ to, ...whole(noise(MIB, 1)), transaction });
    const body = await bench.upload(to, noise(MIB, 2));
    const records = recordHead({}, MIB);
    await bench.session.publish({ to, format: FORMAT_NATIVE, records, count: 1, body, transaction });
    await bench.session.request('endTransaction', { ...transaction, outcome });
  };
  await bench.publish('q', Buffer.from('older'));
  await publish('aborted');
  assert.deepEqual(await bench.blobs(), []);
  await publish('committed');
  await bench.start(bench.disk.crash(bench.random));
  assert.equal((await bench.blobs()).length, 2);
  const runs = await bench.take('q');
  assert.deepEqual(
    runs.map((run) => bodyOf(run).byteLength),
    [5, MIB, MIB],
  );
  assert.ok(bodyOf(runs[2]).equals(noise(MIB, 2)));
  await bench.broker.close();
});

test('a snapshot keeps large messages that were settled after it was taken', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.publish('q', Buffer.from('older'), noise(MIB, 1));
  const ref = { topic: 'q', subscription: 'q' };
  await bench.session.request('createSnapshot', { ...ref, snapshot: 's' });
  await bench.ack('q', (await bench.take('q')).slice(1));
  assert.equal((await bench.blobs()).length, 1);
  await bench.session.request('seek', { ...ref, to: { snapshot: 's' } });
  const again = await bench.take('q');
  assert.ok(again.some((run) => bodyOf(run).equals(noise(MIB, 1))));
  await bench.ack(
    'q',
    again.filter((run) => bodyOf(run).byteLength === MIB),
  );
  assert.equal((await bench.blobs()).length, 1);
  await bench.session.request('deleteSnapshot', { topic: 'q', snapshot: 's' });
  assert.deepEqual(await bench.blobs(), []);
  await bench.broker.close();
});

test('unfinished bodies have a budget: who comes then waits, and what shows no sign of life is given up', async () => {
  const bench = await Bench.open({ maxMessageBytes: 4 * MIB, unfinishedBodyBytes: 5 * MIB, unfinishedBodies: 3 });
  await bench.queue('q', { maxMessageBytes: 4 * MIB });
  const to = { topic: 'q' };
  const first = await bench.session.body(to, 3 * MIB);
  let entered = false;
  const second = bench.connect().body(to, 3 * MIB);
  void second.then(() => (entered = true));
  const third = bench.session.body(to, MIB);
  await bench.quiet();
  assert.equal(entered, false);
  bench.clock.advance(59_000);
  await first.write(Buffer.alloc(10));
  await bench.quiet();
  bench.clock.advance(59_000);
  await bench.quiet();
  assert.equal(entered, false);
  bench.clock.advance(1_000);
  await bench.quiet();
  assert.equal(entered, true);
  await assert.rejects(first.write(Buffer.alloc(10)), { code: 'ABORTED' });
  await (await third).abort();
  await bench.session.body(to, 0);
  await bench.session.body(to, 0);
  await bench.session.body(to, 0);
  await assert.rejects(bench.session.body(to, 0), { code: 'QUEUE_FULL' });
  const waits = bench.connect();
  const never = waits.body(to, 4 * MIB);
  await bench.quiet();
  await waits.close();
  await assert.rejects(never, { code: 'CLOSED' });
  assert.equal(bench.broker.info().counters['unfinishedBodyBytes'], 3 * MIB);
  await bench.broker.close();
});

test('a parked publish keeps its large body until there is room', async () => {
  const bench = await Bench.open();
  await bench.queue('q', { maxBytes: MIB + 64 * KIB, overflow: 'block' });
  await bench.publish('q', noise(MIB, 1));
  const to = { topic: 'q' };
  const body = await bench.upload(to, noise(MIB, 2));
  const request = { to, format: FORMAT_NATIVE, records: recordHead({}, MIB), count: 1, body, waitMs: 3_000_000 };
  const parked = bench.session.publish(request);
  bench.clock.advance(900_000);
  await bench.quiet();
  await bench.ack('q', await bench.take('q'));
  assert.equal((await parked).runs.length, 1);
  assert.ok(bodyOf((await bench.take('q'))[0]).equals(noise(MIB, 2)));
  await bench.broker.close();
});

test('large messages far beyond the commit log pass through it: their heads move to cold blocks', async () => {
  const journal = { segmentBytes: 64 * KIB, segments: 4, maxBatchBytes: 32 * KIB };
  const bench = await Bench.open({ checkpointBytes: 16 * KIB, coldBlockBytes: 2 * KIB }, journal);
  await bench.queue('q', { maxMessageBytes: 4 * MIB });
  const kept = noise(2 * MIB, 1);
  await bench.publish('q', kept);
  for (let i = 0; i < 400; i++)
    await bench.publish('q', Buffer.alloc(2000, i), ...(i % 40 === 0 ? [noise(70 * KIB, i)] : []));
  await bench.quiet();
  assert.ok((bench.broker.info().counters['coldSegments'] ?? 0) > 0);
  const [run] = await bench.take('q', 1);
  assert.ok(bodyOf(run).equals(kept));
  await bench.start(bench.disk.crash(bench.random));
  assert.equal((await bench.blobs()).length, 11);
  const { bytes } = await bench.session.request('topicStats', { name: 'q' });
  assert.ok(bytes > 2.5 * MIB && bytes < 4 * MIB, `${bytes}`);
  await bench.session.request('deleteTopic', { name: 'q' });
  assert.deepEqual(await bench.blobs(), []);
  await bench.broker.close();
});

test('a damaged body is seen, and not delivered', async () => {
  const bench = await Bench.open();
  await bench.queue('q');
  await bench.publish('q', noise(MIB, 1));
  const [name = ''] = await bench.blobs();
  bench.disk.flip(name, 8 * 300_000);
  await bench.start();
  const args = { topic: 'q', partition: 0, offset: 0, maxBytes: 10 };
  await bench.session.request('readBody', { ...args, from: 0 });
  await assert.rejects(bench.session.request('readBody', { ...args, from: 299_000 }), {
    code: 'JOURNAL_CORRUPT',
    message: /byte 262148 of body-/,
  });
});

test('a topic may take messages up to the limit of the shard and no larger', async () => {
  const bench = await Bench.open();
  await bench.queue('q', { maxMessageBytes: 512 * MIB });
  await assert.rejects(bench.queue('r', { maxMessageBytes: 512 * MIB + 1 }), {
    code: 'INVALID',
    message: /maxMessageBytes is 536870913; allowed are whole numbers from 1 to 536870912/,
  });
  const record = whole(noise(17 * KIB, 1)).records;
  const schedule = { name: 's', cron: '* * * * *', topic: 'q', record };
  await assert.rejects(bench.session.request('putSchedule', schedule), { code: 'TOO_LARGE' });
  await bench.broker.close();
});

test('delay, priority, expiry and dedupe id of a large message hold', async () => {
  const bench = await Bench.open();
  await bench.queue('q', {}, { priorities: 3 });
  const large = (envelope: Omit<Envelope, 'body'>) => bench.publish('q', { body: noise(MIB, 1), envelope });
  await large({ delayMs: 5_000, dedupeId: 'd' });
  assert.equal((await large({ dedupeId: 'd' })).runs[0]?.duplicate, true);
  await large({ ttlMs: 3_000 });
  await bench.publish('q', Buffer.from('plain'));
  await large({ priority: 2 });
  assert.equal((await bench.blobs()).length, 3);
  bench.clock.advance(3_500);
  await bench.quiet();
  const runs = await bench.take('q');
  assert.deepEqual(
    runs.map((run) => run.offset),
    [3, 2],
  );
  assert.equal((await bench.blobs()).length, 2);
  bench.clock.advance(2_000);
  await bench.quiet();
  assert.equal((await bench.take('q'))[0]?.offset, 0);
  await bench.broker.close();
});

test('what is larger than a topic keeps by size goes, and only that', async () => {
  const bench = await Bench.open();
  const retain = { untilSettled: false, ageMs: null, bytes: 2 * MIB, compact: false };
  await bench.session.request('declareTopic', { name: 't', kind: 'topic', policy: { retain } });
  for (let i = 0; i < 6; i++) await bench.publish('t', noise(900 * KIB, i), Buffer.from([i]));
  bench.clock.advance(120_000);
  await bench.quiet();
  const { bytes } = await bench.session.request('topicStats', { name: 't' });
  assert.ok(bytes > 900 * KIB && bytes <= 2 * MIB, `${bytes} bytes are kept`);
  assert.equal((await bench.blobs()).length, 2);
  await bench.broker.close();
});
