import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RailheadError } from '../../src/core/errors.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { SYNC_EVERY_BYTES } from '../../src/storage/disk.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk, type DiskCall } from '../../src/storage/memory/memory-disk.ts';
import { sealText } from './blobs.ts';
import { appendText, openJournal } from './journal.ts';
import { fresh, Life, script } from './storage-life.ts';

const TINY = { segmentBytes: 4096, segments: 4 };

/** The error of what is to fail, which must be one of ours. */
async function failure(work: Promise<unknown>): Promise<RailheadError | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (!RailheadError.is(error)) throw error;
    return error;
  }
}

describe('journal and a failing disk', () => {
  test('an error of any disk call stops the journal for good, and a restart finds all that was confirmed', async () => {
    const random = new SeededRandom(1);
    const dry = new Life(fresh(), [], random);
    await script(dry);
    const total = [...dry.disk.calls.values()].reduce((sum, count) => sum + count, 0);
    let stopped = 0;
    for (let nth = 1; nth <= total; nth++) {
      const disk = new MemoryDisk();
      disk.failAt('any', nth);
      const life = new Life(fresh(disk), [], random);
      const error = await failure(script(life));
      if (error === undefined) continue;
      stopped++;
      assert.equal(error.code, 'STORAGE_FAILED', `call ${nth}: ${error.message}`);
      if (life.texts.length > 0) {
        assert.throws(() => life.append(1, 1), { code: 'STORAGE_FAILED' });
        life.texts.pop();
        await assert.rejects(life.journal.sync(), { code: 'STORAGE_FAILED' });
        await assert.rejects(life.journal.idle(), { code: 'STORAGE_FAILED' });
        await assert.rejects(life.journal.free(1, 1), { code: 'STORAGE_FAILED' });
      }
      await life.journal.close();
      // The machine was not restarted: reads show what the disk never got.
      const next = new Life(life.remains(disk.clone()), life.texts, random);
      await next.recover();
      const later = new Life(next.remains(next.disk.crash(random)), next.texts, random);
      await later.recover();
      assert.equal(later.texts.length, next.texts.length);
    }
    assert.ok(stopped > total * 0.9, `${stopped} of ${total}`);
  });

  test('after a failed sync, a restart in the same boot makes durable what it reads before it serves it', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = new SeededRandom(seed);
      const life = new Life(fresh(), [], random);
      await life.recover();
      life.append(100, 1);
      await life.sync();
      life.append(700, 2);
      life.disk.failAt('sync', 1);
      await assert.rejects(life.sync(), { code: 'STORAGE_FAILED' });
      assert.equal(life.confirmed, 1);
      const next = new Life(life.remains(life.disk.clone()), life.texts, random);
      await next.recover();
      assert.equal(next.texts.length, 3, 'the cache shows them');
      const later = new Life(next.remains(next.disk.crash(random)), next.texts, random);
      await later.recover();
      assert.equal(later.texts.length, 3, 'and so does the disk');
    }
  });

  test('an append while a sync fails is not confirmed by a later sync', async () => {
    const life = new Life(fresh(), [], new SeededRandom(1));
    await life.recover();
    life.append(10, 1);
    life.disk.failAt('sync', 1);
    const failing = life.sync();
    life.append(10, 1);
    const following = life.sync();
    await assert.rejects(failing, { code: 'STORAGE_FAILED' });
    await assert.rejects(following, { code: 'STORAGE_FAILED' });
    assert.equal(life.disk.calls.get('sync'), 2, 'the failed sync is not tried again');
  });

  test('a sync covers only what was appended before it began', async () => {
    const random = new SeededRandom(1);
    const life = new Life(fresh(), [], random);
    await life.recover();
    await life.journal.prepared();
    let finish = (): void => {};
    life.disk.onSync = () => new Promise((resolve) => (finish = resolve));
    life.append(10, 1);
    let done = false;
    const syncing = life.sync().then(() => (done = true));
    await turn();
    life.append(10, 1);
    assert.equal(done, false);
    finish();
    await syncing;
    assert.equal(life.confirmed, 1);
    let kept = 2;
    for (let tries = 0; tries < 50; tries++) {
      const { report } = await openJournal(new FileJournal(life.disk.crash(random), TINY));
      kept = Math.min(kept, report.lastSequence);
    }
    assert.equal(kept, 1);
  });

  test('a disk that is full at the start says so, and the next start with room works', async () => {
    const disk = new MemoryDisk({ capacityBytes: 1000 });
    const error = await failure(openJournal(new FileJournal(disk, TINY)));
    assert.equal(error?.code, 'OUT_OF_SPACE');
    disk.capacityBytes = Infinity;
    const { journal } = await openJournal(new FileJournal(disk, TINY));
    appendText(journal, 'x', 1);
    await journal.close();
  });

  test('a start waits for a first segment that is small, and the journal has its full size soon after', async () => {
    const disk = new MemoryDisk();
    const MiB = 2 ** 20;
    const journal = new FileJournal(disk, { segmentBytes: 32 * MiB, segments: 3 });
    await openJournal(journal);
    const sizes = async (): Promise<number[]> =>
      (await disk.list()).map(({ bytes }) => bytes / MiB).sort((a, b) => b - a);
    const { freeBytes } = journal.status();
    assert.ok(freeBytes < 4 * MiB && freeBytes > 4 * MiB - 10_000, `${freeBytes}`);
    await journal.prepared();
    assert.deepEqual(await sizes(), [32, 32, 4]);
    const large = Buffer.alloc(9 * MiB);
    let sequence = 0;
    while (journal.status().freeBytes >= large.byteLength) journal.append([large], large.byteLength, ++sequence, 1);
    assert.equal(sequence, 6, 'none in the first one, three in each of the others');
    await journal.sync();
    await journal.free(sequence, journal.status().currentGeneration);
    await journal.prepared();
    assert.deepEqual(await sizes(), [32, 32, 32]);
    await journal.close();
    const again = await openJournal(new FileJournal(disk, { segmentBytes: 32 * MiB, segments: 3 }), sequence);
    assert.equal(again.report.lastSequence, sequence);
    await again.journal.close();
  });

  test('a disk that fills up while segments are made ahead only makes the journal smaller', async () => {
    const disk = new MemoryDisk({ capacityBytes: 2 * 4096 + 1000 });
    const journal = new FileJournal(disk, TINY);
    await openJournal(journal);
    await journal.prepared();
    const { freeBytes } = journal.status();
    assert.ok(freeBytes > 3000 && freeBytes < 2 * 4096, `${freeBytes}`);
    let sequence = 0;
    for (let round = 0; round < 10; round++) {
      while (journal.status().freeBytes >= 500 + 84) appendText(journal, 'x'.repeat(500), ++sequence);
      await journal.sync();
      await journal.free(sequence, Infinity);
    }
    assert.ok(sequence > 30);
    disk.capacityBytes = Infinity;
    await journal.free(sequence, Infinity);
    appendText(journal, 'x', ++sequence);
    await journal.sync();
    const before = journal.status().freeBytes;
    while (journal.status().currentGeneration === journal.status().oldestGeneration)
      appendText(journal, 'x'.repeat(300), ++sequence);
    await journal.sync();
    await journal.free(sequence, Infinity);
    await journal.prepared();
    assert.ok(journal.status().freeBytes > before, 'with room again, the missing segments are made');
    await journal.close();
    assert.equal((await openJournal(new FileJournal(disk, TINY), sequence)).report.lastSequence, sequence);
  });

  test('a write that the full disk takes only in part ends the journal with OUT_OF_SPACE and is cut at the next start', async () => {
    // A file system can need new blocks for old ones (snapshots, compression): space taken ahead is no promise there.
    for (const room of [0, 1, 83, 84, 100, 583]) {
      const disk = new MemoryDisk();
      const journal = new FileJournal(disk, { segmentBytes: 4096, segments: 2 });
      await openJournal(journal);
      await journal.prepared();
      appendText(journal, 'one', 1);
      await journal.sync();
      disk.shortWrite(room);
      assert.throws(() => appendText(journal, 'x'.repeat(500), 2), { code: 'OUT_OF_SPACE' });
      assert.throws(() => appendText(journal, 'x', 2), { code: 'STORAGE_FAILED' });
      await journal.close();
      const { report } = await openJournal(new FileJournal(disk.clone(), TINY));
      assert.equal(report.lastSequence, 1);
    }
  });

  test('a write taken in parts is written whole', async () => {
    const disk = new MemoryDisk();
    const { journal } = await openJournal(new FileJournal(disk, TINY));
    const body = Array.from({ length: 20 }, (_, index) => Buffer.alloc(index, index));
    disk.partialWrites = 7;
    const position = journal.append(body, 190, 1, 1);
    disk.partialWrites = Infinity;
    assert.deepEqual(await journal.read(position, 190), Buffer.concat(body));
    await journal.close();
  });
});

describe('blobs and a failing disk', () => {
  test('a power cut before any disk call keeps what was sealed, whole, and shows nothing half-made', async () => {
    const random = new SeededRandom(5);
    const crashes: { disk: MemoryDisk; sealed: Map<string, string>; begun: Map<string, string> }[] = [];
    const disk = new MemoryDisk();
    const sealed = new Map<string, string>();
    const begun = new Map<string, string>();
    const take = (): void => {
      for (let variant = 0; variant < 20; variant++) {
        crashes.push({ disk: disk.crash(random), sealed: new Map(sealed), begun: new Map(begun) });
      }
    };
    disk.onCall = take;
    const blobs = await FileBlobs.open(disk);
    for (let index = 0; index < 6; index++) {
      const name = `blob-${index}`;
      const text = name.repeat(300 * index + 1);
      begun.set(name, text);
      const writer = await blobs.create(name);
      await writer.write(Buffer.from(text.slice(0, 1000)));
      await writer.write(Buffer.from(text.slice(1000)));
      await writer.seal();
      sealed.set(name, text);
      if (index === 3) {
        sealed.delete('blob-1');
        await blobs.remove('blob-1');
      }
    }
    take();
    for (const crash of crashes) {
      const found = await FileBlobs.open(crash.disk);
      const names = new Set((await found.list()).map(({ name }) => name));
      for (const name of crash.sealed.keys()) assert.ok(names.has(name), `${name} was sealed`);
      for (const name of names) {
        assert.equal((await found.read(name, 0, 2 ** 20)).toString(), crash.begun.get(name));
      }
    }
  });

  test('an error of any call leaves no half blob, and the other blobs are there after a restart', async () => {
    for (const call of ['create', 'write', 'sync', 'rename', 'syncDir'] satisfies DiskCall[]) {
      const disk = new MemoryDisk();
      const blobs = await FileBlobs.open(disk);
      await sealText(blobs, 'good', 'good');
      disk.failAt(call, 1, call === 'write' ? 'ENOSPC' : 'EIO');
      const error = await failure(sealText(blobs, 'bad', 'bad'));
      assert.equal(error?.code, call === 'write' ? 'OUT_OF_SPACE' : 'STORAGE_FAILED', call);
      assert.deepEqual(await blobs.list(), [{ name: 'good', bytes: 4 }]);
      const found = await FileBlobs.open(disk.clone());
      assert.equal((await found.read('good', 0, 9)).toString(), 'good');
    }
  });

  test('a long blob is synced in pieces, so that a batch of the journal waits for one of them', async () => {
    const disk = new MemoryDisk();
    const blobs = await FileBlobs.open(disk);
    const piece = Buffer.alloc(300_000, 'x');
    const writer = await blobs.create('long');
    let [synced, most] = [0, 0];
    disk.onCall = (call) => {
      if (call !== 'sync') return;
      most = Math.max(most, disk.usedBytes - synced);
      synced = disk.usedBytes;
    };
    for (let i = 0; i < 50; i++) await writer.write(piece);
    await writer.seal();
    assert.equal(synced, 50 * piece.byteLength);
    assert.ok(most < SYNC_EVERY_BYTES + piece.byteLength, `${most} bytes in one sync`);
  });

  test('a long blob of which a piece cannot be synced is not sealed', async () => {
    const disk = new MemoryDisk();
    const blobs = await FileBlobs.open(disk);
    const writer = await blobs.create('long');
    disk.failAt('sync', 2);
    await writer.write(Buffer.alloc(SYNC_EVERY_BYTES));
    assert.equal((await failure(writer.write(Buffer.alloc(SYNC_EVERY_BYTES))))?.code, 'STORAGE_FAILED');
    await writer.abort();
    assert.deepEqual([await blobs.list(), await disk.list()], [[], []]);
  });

  test('a failed writer is aborted and its name is free again', async () => {
    const disk = new MemoryDisk();
    const blobs = await FileBlobs.open(disk);
    for (const call of ['write', 'sync', 'rename', 'syncDir'] satisfies DiskCall[]) {
      const writer = await blobs.create('again');
      disk.failAt(call, 1, 'ENOSPC');
      assert.equal((await failure(writer.write(Buffer.from('x')).then(() => writer.seal())))?.code, 'OUT_OF_SPACE');
      await writer.abort();
      await writer.abort();
      assert.deepEqual(await disk.list(), []);
    }
    await sealText(blobs, 'again', 'whole');
    assert.equal((await blobs.read('again', 0, 9)).toString(), 'whole');
  });
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
