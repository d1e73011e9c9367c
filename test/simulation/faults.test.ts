import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { RailheadError } from '../../src/core/errors.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { asBuffer, FORMAT_NATIVE, readRecord, RecordBatchWriter, recordEnd } from '../../src/core/records.ts';
import type { PublishReceipt, Session } from '../../src/core/session.ts';
import { Broker } from '../../src/engine/broker.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';

const JOURNAL = { segmentBytes: 64 << 10, segments: 6, maxBatchBytes: 24 << 10 };
const LIMITS = { checkpointBytes: 32 << 10, coldBlockBytes: 4 << 10, recentBytes: 8 << 10 };

class Bench {
  readonly disk: MemoryDisk;
  readonly clock: ManualClock;
  readonly broker: Broker;
  readonly session: Session;
  readonly failures: RailheadError[];

  private constructor(disk: MemoryDisk, clock: ManualClock, broker: Broker, failures: RailheadError[]) {
    this.disk = disk;
    this.clock = clock;
    this.broker = broker;
    this.session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
    this.failures = failures;
  }

  static async open(disk: MemoryDisk, clock = new ManualClock()): Promise<Bench> {
    const failures: RailheadError[] = [];
    const random = new SeededRandom(1);
    const broker = await Broker.open({
      journal: new FileJournal(disk, { ...JOURNAL, random }),
      blobs: await FileBlobs.open(disk),
      clock,
      random,
      limits: LIMITS,
      onFailure: (error) => failures.push(error),
    });
    return new Bench(disk, clock, broker, failures);
  }

  send(text: string, more: { waitMs?: number } = {}): Promise<PublishReceipt> {
    const writer = new RecordBatchWriter();
    writer.append({}, text);
    const { bytes, count } = writer.take();
    return this.session.publish({ to: { topic: 'q' }, format: FORMAT_NATIVE, records: bytes, count, ...more });
  }

  /** Takes and acks whatever comes, and returns the texts, until `quiet` turns bring nothing. */
  async drain(quiet = 20): Promise<string[]> {
    const texts: string[] = [];
    const consumer = await this.session.consume(
      { topic: 'q', subscription: 'q', lease: 'session' },
      {
        deliver: (runs) => {
          for (const { partition, offset, count, token, records } of runs) {
            const bytes = asBuffer(records);
            for (let i = 0, at = 0; i < count; i++, at = recordEnd(bytes, at))
              texts.push(asBuffer(readRecord(bytes, at).body).toString());
            const ranges = [{ partition, offset, count, token }];
            this.session.settle([{ topic: 'q', subscription: 'q', action: 'ack', ranges }]).catch(() => {});
          }
        },
        ended: () => {},
      },
    );
    consumer.credit(1_000_000);
    for (let idle = 0, before = -1; idle < quiet; idle++) {
      if (texts.length !== before) idle = 0;
      before = texts.length;
      await this.broker.settled();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await consumer.close();
    return texts;
  }
}

async function withQueue(disk: MemoryDisk): Promise<Bench> {
  const bench = await Bench.open(disk);
  await bench.session.request('declareTopic', { name: 'q', kind: 'queue', policy: { overflow: 'reject' } });
  return bench;
}

describe('a sync that fails', () => {
  test('fails every confirm that waits for it, stops the broker, and nothing after it is confirmed', async () => {
    const bench = await withQueue(new MemoryDisk());
    await bench.send('safe');
    bench.disk.failAt('sync', 1);
    const waiting = await Promise.allSettled([bench.send('a'), bench.send('b'), bench.send('c')]);
    for (const result of waiting) {
      assert.equal(result.status, 'rejected');
      assert.ok(RailheadError.is(result.reason, 'STORAGE_FAILED'));
    }
    assert.equal(bench.broker.health().state, 'failed');
    assert.equal(bench.failures.length, 1);
    const syncs = bench.disk.calls.get('sync');
    await assert.rejects(bench.send('d'), (error) => RailheadError.is(error, 'STORAGE_FAILED'));
    await assert.rejects(bench.session.request('allStats', {}), (error) => RailheadError.is(error, 'STORAGE_FAILED'));
    assert.equal(bench.disk.calls.get('sync'), syncs, 'a failed sync is not tried again');
    const after = await Bench.open(bench.disk.crash(new SeededRandom(1)));
    assert.ok((await after.drain()).includes('safe'));
  });

  test('at the n-th sync, whatever n: what was confirmed is there after a start, in order and once', async () => {
    let failed = 0;
    for (let n = 1; n <= 60; n++) {
      const bench = await withQueue(new MemoryDisk());
      bench.disk.failAt('sync', n);
      const sent: string[] = [];
      const confirmed: string[] = [];
      for (let i = 0; i < 40 && bench.failures.length === 0; i++) {
        const text = `${i} ${'x'.repeat(2000)}`;
        sent.push(text);
        await bench.send(text).then(
          () => confirmed.push(text),
          (error: unknown) => assert.ok(RailheadError.is(error, 'STORAGE_FAILED')),
        );
      }
      if (bench.failures.length > 0) failed++;
      // The process is started again in the same boot: the cache shows what the disk never got.
      for (const disk of [bench.disk.clone(), bench.disk.crash(new SeededRandom(n))]) {
        const got = await (await Bench.open(disk)).drain();
        assert.deepEqual(got.slice(0, confirmed.length), confirmed, `sync ${n}`);
        assert.ok(got.every((text, i) => text === sent[i]));
      }
    }
    assert.ok(failed >= 35, `${failed} runs met their fault`);
  });
});

describe('any other call that fails', () => {
  test('at the n-th call of any kind, whatever n, loses nothing that was confirmed', async () => {
    for (let n = 1; n <= 120; n += 1) {
      const bench = await withQueue(new MemoryDisk());
      bench.disk.failAt('any', n);
      const confirmed: string[] = [];
      for (let i = 0; i < 30 && bench.failures.length === 0; i++) {
        const text = `${i} ${'x'.repeat(2500)}`;
        await bench.send(text).then(
          () => confirmed.push(text),
          () => {},
        );
      }
      const after = await Bench.open(bench.disk.crash(new SeededRandom(n)));
      const got = await after.drain();
      assert.deepEqual(got.slice(0, confirmed.length), confirmed, `call ${n}`);
    }
  });
});

describe('a disk that runs full', () => {
  test('refuses publishers, lets consumers drain, and takes more once there is room, with nothing lost', async () => {
    const disk = new MemoryDisk();
    const bench = await withQueue(disk);
    await bench.broker.settled();
    // No cold segment and no checkpoint can be written any more; the journal has what it has.
    disk.capacityBytes = (await disk.list()).reduce((sum, { bytes }) => sum + bytes, 0);
    const confirmed: string[] = [];
    let refused: unknown;
    for (let i = 0; i < 400 && refused === undefined; i++) {
      const text = `${i} ${'x'.repeat(1500)}`;
      await bench.send(text, { waitMs: 0 }).then(
        () => confirmed.push(text),
        (error: unknown) => (refused = error),
      );
    }
    assert.ok(RailheadError.is(refused, 'OUT_OF_SPACE') && refused.outcome === 'not-stored', String(refused));
    assert.equal(bench.broker.health().state, 'open');
    assert.ok(confirmed.length > 50, `${confirmed.length} were taken`);
    const got = await bench.drain();
    assert.deepEqual(got, confirmed);
    assert.equal(bench.failures.length, 0, String(bench.failures[0]));
    disk.capacityBytes = Infinity;
    for (let i = 0; i < 10; i++) {
      bench.clock.advance(1000);
      await bench.broker.settled();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await bench.send('again');
    assert.deepEqual(await bench.drain(), ['again']);
    const after = await Bench.open(disk.crash(new SeededRandom(1)), bench.clock);
    assert.deepEqual(await after.drain(), []);
  });

  test('parks a publisher that can wait until there is room', async () => {
    const disk = new MemoryDisk();
    const bench = await withQueue(disk);
    await bench.broker.settled();
    disk.capacityBytes = (await disk.list()).reduce((sum, { bytes }) => sum + bytes, 0);
    const waiting: Promise<unknown>[] = [];
    let stored = 0;
    for (let i = 0; i < 300; i++)
      waiting.push(bench.send(`${i} ${'x'.repeat(1500)}`, { waitMs: 60_000 }).then(() => stored++));
    await bench.broker.settled();
    assert.ok(stored > 50 && stored < 300, `${stored} stored at once`);
    disk.capacityBytes = Infinity;
    const texts: string[] = [];
    for (let i = 0; i < 60 && stored < 300; i++) {
      bench.clock.advance(500);
      texts.push(...(await bench.drain(3)));
    }
    await Promise.all(waiting);
    texts.push(...(await bench.drain()));
    assert.deepEqual(
      texts.map((text) => Number(text.split(' ')[0])),
      Array.from({ length: 300 }, (_, i) => i),
    );
  });

  test('that says so in the middle of a batch loses nothing that was confirmed', async () => {
    for (let room = 0; room < 9000; room += 371) {
      const bench = await withQueue(new MemoryDisk());
      await bench.send('safe');
      bench.disk.shortWrite(room);
      const confirmed = ['safe'];
      for (let i = 0; i < 10; i++) {
        const text = `${i} ${'x'.repeat(1200)}`;
        await bench.send(text, { waitMs: 0 }).then(
          () => confirmed.push(text),
          (error: unknown) => assert.ok(RailheadError.is(error)),
        );
      }
      bench.disk.shortWrite(Infinity);
      const got = await (await Bench.open(bench.disk.crash(new SeededRandom(room)))).drain();
      assert.deepEqual(got.slice(0, confirmed.length), confirmed, `${room} bytes of room`);
    }
  });
});

describe('a bit that flips', () => {
  test('in a cold segment is seen when it is read: the message is not delivered wrong', async () => {
    const disk = new MemoryDisk();
    const bench = await withQueue(disk);
    const sent: string[] = [];
    for (let i = 0; i < 300; i++) {
      const text = `${i} ${'x'.repeat(1200)}`;
      sent.push(text);
      await bench.send(text);
    }
    await bench.broker.settled();
    const cold = (await disk.list()).find(({ name }) => name.startsWith('cold-'));
    assert.ok(cold !== undefined, 'something moved to a cold segment');
    await bench.broker.close();
    for (let bit = 999; bit < 30_000; bit += 2711) {
      const damaged = disk.crash(new SeededRandom(bit));
      damaged.flip(cold.name, bit);
      const after = await Bench.open(damaged);
      const got = await after.drain();
      assert.ok(
        got.every((text) => sent.includes(text)),
        `bit ${bit}: only what was sent`,
      );
      assert.match(after.failures[0]?.message ?? 'nothing was noticed', /cold|damaged|block/i, `bit ${bit}`);
    }
  });
});
