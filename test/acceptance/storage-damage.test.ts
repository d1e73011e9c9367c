import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RailheadError } from '../../src/core/errors.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { inspectJournal, type InspectedBatch } from '../../src/storage/journal/inspect.ts';
import { repairJournal } from '../../src/storage/journal/repair.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { appendText, openJournal, type Opened } from './journal.ts';

const TINY = { segmentBytes: 4096, segments: 4 };

function journalOn(disk: MemoryDisk, seed = 7): FileJournal {
  return new FileJournal(disk, { ...TINY, random: new SeededRandom(seed) });
}

function open(disk: MemoryDisk, from = 0): Promise<Opened> {
  return openJournal(journalOn(disk), from);
}

/**
 * A journal over two segments, some of it in an earlier epoch. Sequences 1 to 8 are known as synced (the last batches
 * are 9 and 10); entries have 60 to 1,500 bytes.
 */
async function sample(): Promise<{ disk: MemoryDisk; batches: InspectedBatch[] }> {
  const disk = new MemoryDisk();
  const first = await open(disk);
  await first.journal.sync();
  appendText(first.journal, 'a'.repeat(60), 1);
  appendText(first.journal, 'b'.repeat(70), 2, 2);
  await first.journal.close();
  const { journal } = await open(disk);
  await (journal instanceof FileJournal ? journal.prepared() : undefined);
  appendText(journal, 'c'.repeat(1500), 4);
  appendText(journal, 'd'.repeat(1300), 5);
  appendText(journal, 'e'.repeat(900), 6);
  await journal.sync();
  appendText(journal, 'f'.repeat(61), 7);
  appendText(journal, 'g'.repeat(62), 8);
  await journal.sync();
  appendText(journal, 'h'.repeat(63), 9);
  appendText(journal, 'i'.repeat(64), 10);
  await journal.sync();
  return { disk, batches: await list(disk) };
}

async function list(disk: MemoryDisk): Promise<InspectedBatch[]> {
  const batches: InspectedBatch[] = [];
  await inspectJournal(disk.clone(), (batch) => batches.push(batch));
  return batches;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'ok';
  } catch (error) {
    assert.ok(RailheadError.is(error), String(error));
    return error.code;
  }
}

describe('journal damage', () => {
  test('the sample is what the tests below think it is', async () => {
    const { batches } = await sample();
    const shape = batches.map(
      (batch) =>
        `${batch.file.slice(9, 10)} ${batch.kind} ${batch.firstSequence}-${batch.lastSequence} ${batch.syncedTo}`,
    );
    assert.deepEqual(shape, [
      '1 empty 1-0 0',
      '1 entries 1-1 0',
      '1 entries 2-3 0',
      '1 empty 4-3 3',
      '1 empty 4-3 3',
      '1 entries 4-4 3',
      '1 entries 5-5 3',
      '2 entries 6-6 3',
      '2 entries 7-7 6',
      '2 entries 8-8 6',
      '2 entries 9-9 8',
      '2 entries 10-10 8',
    ]);
  });

  test('every single flipped bit at or below what is known as synced stops the start; above it the tail is cut and reported', async () => {
    const { disk, batches } = await sample();
    let detected = 0;
    let cut = 0;
    for (const batch of batches) {
      for (let bit = batch.byte * 8; bit < (batch.byte + batch.bytes) * 8; bit++) {
        const at = `bit ${bit} of ${batch.file}, batch ${batch.firstSequence}`;
        if (batch.firstSequence <= 8) {
          disk.flip(batch.file, bit);
          assert.equal((await inspectJournal(disk)).ok, false, at);
          if (bit % 16 === 0) assert.equal(await codeOf(open(disk.clone())), 'JOURNAL_CORRUPT', at);
          disk.flip(batch.file, bit);
          detected++;
        } else {
          const damaged = disk.clone();
          damaged.flip(batch.file, bit);
          const { report, batches: found } = await open(damaged);
          assert.equal(report.lastSequence, batch.firstSequence - 1, at);
          assert.equal(found.size, batch.firstSequence - 2, at);
          assert.deepEqual([report.cut?.generation, report.cut?.byte], [2, batch.byte], at);
          assert.ok((report.cut?.bytes ?? 0) >= 84);
          assert.match(report.notices.join(), /torn end/);
          cut++;
        }
      }
    }
    assert.ok(detected > 30_000 && cut > 2000, `${detected} detected, ${cut} cut`);
  });

  test('after a clean close every flipped bit below the last empty batch is detected', async () => {
    const { disk } = await sample();
    const { journal } = await open(disk);
    await journal.close();
    const batches = await list(disk);
    const random = new SeededRandom(1);
    for (const batch of batches.slice(0, -1)) {
      for (let tries = 0; tries < 40; tries++) {
        const damaged = disk.clone();
        damaged.flip(batch.file, batch.byte * 8 + random.below(batch.bytes * 8));
        // The empty batches of epoch and close after the last entry hold nothing that could be lost.
        if (batch.firstSequence <= 10) assert.equal(await codeOf(open(damaged)), 'JOURNAL_CORRUPT');
        else assert.equal((await open(damaged)).report.lastSequence, 10);
      }
    }
  });

  test('the error names the file, the byte and the commands, and nothing is changed', async () => {
    const { disk, batches } = await sample();
    const batch = batches.find((one) => one.firstSequence === 6);
    assert.ok(batch);
    disk.flip(batch.file, (batch.byte + 100) * 8);
    disk.onCall = (call) => assert.ok(call === 'list' || call === 'open' || call === 'read', `${call} while damaged`);
    await assert.rejects(open(disk), (error) => {
      assert.ok(RailheadError.is(error, 'JOURNAL_CORRUPT'));
      for (const part of [
        batch.file,
        `byte ${batch.byte}`,
        'sequence 6',
        'railhead journal inspect',
        'railhead journal repair',
      ]) {
        assert.ok(error.message.includes(part), `${part} in: ${error.message}`);
      }
      return true;
    });
  });

  test('a flipped bit is found when the batch is read back', async () => {
    const { disk, batches } = await sample();
    const { journal } = await open(disk);
    const batch = batches.find((one) => one.firstSequence === 6);
    assert.ok(batch);
    const position = 2 * 2 ** 28 + batch.byte + 84;
    disk.flip(batch.file, (batch.byte + 200) * 8);
    await assert.rejects(journal.read(position, 5), { code: 'JOURNAL_CORRUPT' });
    disk.flip(batch.file, (batch.byte + 200) * 8);
    assert.equal((await journal.read(position, 5)).toString(), 'eeeee');
  });

  test('a segment of another journal is refused and named', async () => {
    const { disk } = await sample();
    const other = new MemoryDisk();
    const { journal } = await openJournal(journalOn(other, 8));
    appendText(journal, 'x', 1);
    await journal.close();
    await copyFile(other, '0000000001.journal', disk, '0000000009.journal');
    await assert.rejects(open(disk), {
      code: 'JOURNAL_CORRUPT',
      message: /0000000009.journal belong|belongs to journal/,
    });
    await disk.remove('0000000009.journal');
    await copyFile(other, '0000000001.journal', disk, '0000000001.journal');
    await assert.rejects(open(disk), { code: 'JOURNAL_CORRUPT' });
  });

  test('a missing segment is refused and named, first or last', async () => {
    for (const name of ['0000000001.journal', '0000000002.journal']) {
      const { disk } = await sample();
      const { journal } = await open(disk);
      await (journal instanceof FileJournal ? journal.prepared() : undefined);
      for (let sequence = 11; sequence <= 14; sequence++) appendText(journal, 'j'.repeat(1500), sequence);
      await journal.close();
      await disk.remove(name);
      await assert.rejects(open(disk), { code: 'JOURNAL_CORRUPT', message: new RegExp(`${name}.* missing`) });
    }
  });

  test('a journal whose segments are all gone does not start empty under a checkpoint', async () => {
    const { disk } = await sample();
    for (const { name } of await disk.list()) await disk.remove(name);
    await assert.rejects(open(disk, 8), { code: 'JOURNAL_CORRUPT' });
  });

  test('swapped, truncated and zeroed segments are refused', async () => {
    const swapped = (await sample()).disk;
    await swapped.rename('0000000001.journal', 'x');
    await swapped.rename('0000000002.journal', '0000000001.journal');
    await swapped.rename('x', '0000000002.journal');
    await assert.rejects(open(swapped), { code: 'JOURNAL_CORRUPT' });

    const truncated = (await sample()).disk;
    const start = await (await truncated.open('0000000001.journal')).read(0, 2000);
    await truncated.remove('0000000001.journal');
    (await truncated.create('0000000001.journal')).writev([start], 0);
    await assert.rejects(open(truncated), { code: 'JOURNAL_CORRUPT' });

    const zeroed = (await sample()).disk;
    (await zeroed.open('0000000001.journal')).writev([Buffer.alloc(4096)], 0);
    await assert.rejects(open(zeroed), { code: 'JOURNAL_CORRUPT' });
  });

  test('a segment out of another history of the same journal is refused', async () => {
    const { disk } = await sample();
    const other = disk.clone();
    for (const [where, letter] of [
      [disk, 'x'],
      [other, 'y'],
    ] as const) {
      const { journal } = await open(where);
      await (journal instanceof FileJournal ? journal.prepared() : undefined);
      for (let sequence = 11; sequence <= 14; sequence++) appendText(journal, letter.repeat(1500), sequence);
      await journal.close();
    }
    await copyFile(other, '0000000003.journal', disk, '0000000003.journal');
    await assert.rejects(open(disk), { code: 'JOURNAL_CORRUPT', message: /0000000003.journal at byte 0/ });
  });

  test('a newer format is refused with its version and not taken for damage', async () => {
    const { crc32 } = await import('node:zlib');
    const { disk } = await sample();
    const file = await disk.open('0000000001.journal');
    const header = await file.read(0, 84);
    header.writeUInt16LE(2, 4);
    header.writeUInt32LE(crc32(header.subarray(0, 80)), 80);
    file.writev([header], 0);
    await assert.rejects(open(disk), { code: 'FORMAT_TOO_NEW', message: /format 2/ });
    header.writeUInt16LE(3, 4);
    file.writev([header], 0);
    await assert.rejects(open(disk), { code: 'JOURNAL_CORRUPT' });
  });

  test('a torn batch is not skipped for a whole one behind it that gives back all before', async () => {
    const disk = new MemoryDisk();
    const { journal } = await open(disk);
    await (journal instanceof FileJournal ? journal.prepared() : undefined);
    for (let sequence = 1; sequence <= 3; sequence++) appendText(journal, 'x'.repeat(1000), sequence);
    await journal.sync();
    appendText(journal, 'torn'.repeat(300), 4);
    let cut: MemoryDisk | undefined;
    disk.onCall = (call) => {
      if (call === 'sync') cut ??= disk.clone();
    };
    await journal.free(3, Infinity);
    assert.ok(cut);
    assert.deepEqual(
      (await list(cut)).slice(-2).map(({ file, kind, byte }) => [file, kind, byte > 0]),
      [
        ['0000000002.journal', 'entries', false],
        ['0000000002.journal', 'empty', true],
      ],
    );
    cut.flip('0000000002.journal', 900 * 8);
    const { report } = await open(cut);
    assert.equal(report.lastSequence, 3);
    assert.ok(report.cut);
  });

  test('batches of a former life of a file are never taken for new ones', async () => {
    const disk = new MemoryDisk();
    let { journal } = await open(disk);
    let sequence = 0;
    // Batches of one size, so that old headers lie exactly where new ones would.
    for (let round = 0; round < 40; round++) {
      await (journal instanceof FileJournal ? journal.prepared() : undefined);
      for (let times = 0; times < 3; times++) appendText(journal, String(++sequence).padEnd(900, '.'), sequence);
      await journal.sync();
      await journal.free(sequence - 1, Infinity);
      if (round % 4 === 3) {
        const opened = await open(disk.clone(), sequence - 1);
        assert.equal(opened.report.lastSequence, sequence);
        assert.equal(opened.report.cut, null);
        for (const [first, text] of opened.batches) assert.equal(text, String(first).padEnd(900, '.'));
        await journal.close();
        ({ journal } = await open(disk, sequence - 1));
      }
    }
  });
});

describe('journal repair', () => {
  test('without acceptLoss it refuses and changes nothing; with no damage it does nothing', async () => {
    const { disk, batches } = await sample();
    assert.deepEqual(await repairJournal(disk, { acceptLoss: true }), { repaired: [], copies: [] });
    flipIn(disk, batches, 4);
    const before = await disk.list();
    await assert.rejects(repairJournal(disk, { acceptLoss: false }), { code: 'JOURNAL_CORRUPT' });
    assert.deepEqual(await disk.list(), before);
    assert.equal((await inspectJournal(disk)).ok, false);
  });

  test('each batch in turn: exactly its entries are given up, the file is kept as it was, and the journal goes on', async () => {
    const { batches } = await sample();
    for (const batch of batches) {
      for (const offset of [0, 20, 40, 80, batch.bytes - 1]) {
        const { disk } = await sample();
        disk.flip(batch.file, (batch.byte + offset) * 8 + 3);
        if ((await inspectJournal(disk)).ok) continue;
        const before = await bytesOf(disk, batch.file);
        const report = await repairJournal(disk, { acceptLoss: true });
        assert.equal(report.repaired.length, 1);
        assert.deepEqual(report.copies, [`${batch.file}.damaged-1`]);
        assert.deepEqual(await bytesOf(disk, `${batch.file}.damaged-1`), before);
        const [place] = report.repaired;
        const lost = batch.kind === 'empty' ? null : { first: batch.firstSequence, last: batch.lastSequence };
        assert.deepEqual(place?.lost, lost);
        assert.deepEqual(place.raw, before.subarray(batch.byte, batch.byte + batch.bytes));
        assert.equal((await inspectJournal(disk)).ok, true);

        const journal = journalOn(disk);
        const found: number[] = [];
        const recovered = await journal.recover(0, ({ firstSequence }) => found.push(firstSequence));
        const expected = batches
          .filter((one) => one.kind === 'entries' && one !== batch)
          .map((one) => one.firstSequence);
        assert.deepEqual(found, expected);
        assert.deepEqual(recovered.lost, lost === null ? [] : [lost]);
        assert.equal(recovered.lastSequence, 10);
        appendText(journal, 'on', 11);
        await journal.close();
        assert.equal((await inspectJournal(disk)).lastSequence, 11);
      }
    }
  });

  test('damage in many places, across segments and in missing files is repaired in one call', async () => {
    const random = new SeededRandom(4);
    for (let round = 0; round < 200; round++) {
      const { disk, batches } = await sample();
      const { journal } = await open(disk);
      await (journal instanceof FileJournal ? journal.prepared() : undefined);
      for (let sequence = 11; sequence <= 14; sequence++) appendText(journal, 'j'.repeat(1500), sequence);
      await journal.close();
      const all = await list(disk);
      const hit = new Set<InspectedBatch>();
      for (let flips = 1 + random.below(4); flips > 0; flips--) {
        const batch = random.pick(all.slice(0, -1));
        disk.flip(batch.file, batch.byte * 8 + random.below(batch.bytes * 8));
        hit.add(batch);
      }
      const missing = random.chance(0.3) ? `000000000${1 + random.below(3)}.journal` : '';
      await disk.remove(missing);
      const whole = all.filter((batch) => batch.kind === 'entries' && !hit.has(batch) && batch.file !== missing);
      await repairJournal(disk, { acceptLoss: true });
      const found: number[] = [];
      const again = journalOn(disk);
      const report = await again.recover(0, ({ firstSequence }) => found.push(firstSequence));
      const expected = whole.map((batch) => batch.firstSequence);
      assert.deepEqual(found, expected, `round ${round}, ${batches.length}`);
      await again.close();
      assert.ok(report.lastSequence <= 14);
      assert.equal((await inspectJournal(disk)).lastSequence, report.lastSequence);
    }
  });
});

function flipIn(disk: MemoryDisk, batches: InspectedBatch[], firstSequence: number): void {
  const batch = batches.find((one) => one.firstSequence === firstSequence && one.kind === 'entries');
  assert.ok(batch);
  disk.flip(batch.file, (batch.byte + batch.bytes - 3) * 8);
}

async function bytesOf(disk: MemoryDisk, name: string): Promise<Buffer> {
  const file = await disk.open(name);
  return file.read(0, file.size());
}

async function copyFile(from: MemoryDisk, name: string, to: MemoryDisk, as: string): Promise<void> {
  const bytes = await bytesOf(from, name);
  await to.remove(as);
  (await to.create(as)).writev([bytes], 0);
}
