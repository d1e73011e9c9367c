import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { RailheadError } from '../../src/core/errors.ts';
import { generationOf, type Journal, type RecoveryReport } from '../../src/engine/ports.ts';

/** What every backend of the `Journal` port passes. */
export interface JournalBackend {
  readonly name: string;
  /** An empty place for a journal. */
  place(): Promise<JournalPlace>;
}

export interface JournalPlace {
  /** A journal over this place, not recovered yet. The one before was closed, or is dead and never used again. */
  journal(): Journal;
  /** What is left after a kill of the process: everything appended. The journals before are dead. */
  kill(): Promise<void>;
  /** Waits until this place's newest journal has made all the room it wants to have ahead. */
  prepared(): Promise<void>;
  remove(): Promise<void>;
}

export interface Opened {
  journal: Journal;
  report: RecoveryReport;
  /** The bodies handed over, by first sequence. */
  batches: Map<number, string>;
}

export async function openJournal(journal: Journal, from = 0): Promise<Opened> {
  const batches = new Map<number, string>();
  let next: number | undefined;
  const report = await journal.recover(from, (batch) => {
    assert.ok(next === undefined || batch.firstSequence === next, `batch ${batch.firstSequence} follows ${next}`);
    next = batch.firstSequence + batch.count;
    batches.set(batch.firstSequence, batch.body.toString());
  });
  if (next !== undefined) assert.equal(report.lastSequence, next - 1);
  return { journal, report, batches };
}

export function appendText(journal: Journal, text: string, firstSequence: number, count = 1): number {
  return journal.append([Buffer.from(text)], Buffer.byteLength(text), firstSequence, count);
}

export function journalAcceptance(backend: JournalBackend): void {
  describe(`journal on ${backend.name}`, () => {
    const places: JournalPlace[] = [];
    const place = async (): Promise<JournalPlace> => {
      const made = await backend.place();
      places.push(made);
      return made;
    };
    after(async () => {
      for (const made of places) await made.remove();
    });

    test('a new journal is empty and has an id and an epoch', async () => {
      const { journal, report, batches } = await openJournal((await place()).journal());
      assert.equal(report.lastSequence, 0);
      assert.ok(report.epoch > 0);
      assert.match(report.journalId, /^[0-9a-f]{32}$/);
      assert.equal(batches.size, 0);
      await journal.close();
    });

    test('what was appended comes back in order after a close', async () => {
      const where = await place();
      const first = await openJournal(where.journal());
      appendText(first.journal, 'one', 1);
      first.journal.append([Buffer.from('t'), Buffer.from('wo'), Buffer.from('three')], 8, 2, 2);
      await first.journal.close();
      const second = await openJournal(where.journal());
      assert.deepEqual(
        [...second.batches],
        [
          [1, 'one'],
          [2, 'twothree'],
        ],
      );
      assert.equal(second.report.lastSequence, 3);
      assert.equal(second.report.journalId, first.report.journalId);
      assert.equal(second.report.cut, null);
      assert.ok(second.report.epoch > first.report.epoch);
      await second.journal.close();
    });

    test('what was appended and never synced survives the death of the process', async () => {
      const where = await place();
      const { journal } = await openJournal(where.journal());
      appendText(journal, 'one', 1);
      appendText(journal, 'two', 2);
      await where.kill();
      const { batches, journal: next } = await openJournal(where.journal());
      assert.deepEqual([...batches.values()], ['one', 'two']);
      await next.close();
    });

    test('recover hands over only batches with an entry above the given sequence', async () => {
      const where = await place();
      const { journal } = await openJournal(where.journal());
      appendText(journal, 'a', 1, 3);
      appendText(journal, 'b', 4, 3);
      appendText(journal, 'c', 7, 3);
      await journal.close();
      for (const [from, expected] of [
        [0, 'abc'],
        [2, 'abc'],
        [3, 'bc'],
        [5, 'bc'],
        [8, 'c'],
        [9, ''],
      ] as const) {
        const opened = await openJournal(where.journal(), from);
        assert.equal([...opened.batches.values()].join(''), expected);
        await opened.journal.close();
      }
    });

    test('a journal that does not reach up to the checkpoint is refused', async () => {
      const where = await place();
      const { journal } = await openJournal(where.journal());
      appendText(journal, 'a', 1);
      await journal.close();
      await assert.rejects(openJournal(where.journal(), 2), { code: 'JOURNAL_CORRUPT' });
    });

    test('entries are read back by position, before and after a restart', async () => {
      const where = await place();
      const { journal } = await openJournal(where.journal());
      const one = appendText(journal, 'hello world', 1);
      const two = appendText(journal, 'second', 2);
      assert.equal((await journal.read(one, 11)).toString(), 'hello world');
      assert.equal((await journal.read(one + 6, 5)).toString(), 'world');
      await journal.sync();
      await journal.close();
      const next = await openJournal(where.journal());
      assert.equal((await next.journal.read(two + 2, 4)).toString(), 'cond');
      assert.equal((await next.journal.read(one, 0)).length, 0);
      await next.journal.close();
    });

    test('a read that leaves its batch is refused', async () => {
      const { journal } = await openJournal((await place()).journal());
      const one = appendText(journal, 'hello', 1);
      appendText(journal, 'world', 2);
      await assert.rejects(journal.read(one, 6));
      await journal.close();
    });

    test('an append with a gap in the sequences is refused and changes nothing', async () => {
      const { journal } = await openJournal((await place()).journal());
      assert.throws(() => appendText(journal, 'x', 2));
      assert.throws(() => appendText(journal, 'x', 1, 0));
      appendText(journal, 'x', 1);
      await journal.close();
    });

    test('a batch above the limit is refused with TOO_LARGE and the journal goes on', async () => {
      const { journal } = await openJournal((await place()).journal());
      const { maxBatchBytes } = journal.status();
      assert.throws(() => journal.append([Buffer.alloc(maxBatchBytes + 1)], maxBatchBytes + 1, 1, 1), {
        code: 'TOO_LARGE',
      });
      const position = journal.append([Buffer.alloc(maxBatchBytes, 7)], maxBatchBytes, 1, 1);
      await journal.sync();
      assert.equal(
        (await journal.read(position, maxBatchBytes)).every((byte) => byte === 7),
        true,
      );
      await journal.close();
    });

    test('a full journal refuses with OUT_OF_SPACE, keeps what it has, and takes more after a free', async () => {
      const where = await place();
      const { journal } = await openJournal(where.journal());
      const { maxBatchBytes, currentGeneration } = journal.status();
      const body = Buffer.alloc(Math.floor(maxBatchBytes / 3), 1);
      let sequence = 0;
      await where.prepared();
      assert.throws(
        () => {
          for (;;) {
            journal.append([body], body.length, sequence + 1, 1);
            sequence++;
          }
        },
        (error) => RailheadError.is(error, 'OUT_OF_SPACE'),
      );
      assert.throws(() => journal.append([body], body.length, sequence + 1, 1), { code: 'STORAGE_FAILED' });
      await where.kill();
      const next = await openJournal(where.journal());
      assert.equal(next.report.lastSequence, sequence);
      await next.journal.free(sequence, currentGeneration + 1);
      assert.equal(next.journal.status().oldestGeneration, currentGeneration + 1);
      next.journal.append([body], body.length, sequence + 1, 1);
      await next.journal.close();
    });

    test('as many bytes as status calls free can be appended', async () => {
      const where = await place();
      const { journal } = await openJournal(where.journal());
      await where.prepared();
      const { freeBytes, maxBatchBytes, batchOverheadBytes } = journal.status();
      assert.ok(freeBytes > 2 * maxBatchBytes, `${freeBytes} free`);
      let sequence = 1;
      for (let left = freeBytes; left > batchOverheadBytes; sequence++) {
        // Sizes that do not divide a segment: a border between two wastes nearly a batch.
        const bytes = Math.min(left - batchOverheadBytes, maxBatchBytes - (sequence % 7));
        journal.append([Buffer.alloc(bytes)], bytes, sequence, 1);
        left -= bytes + batchOverheadBytes;
      }
      await journal.close();
    });

    test('a segment is given back only when all of it is synced, settled and before the generation', async () => {
      const where = await place();
      const { journal } = await openJournal(where.journal());
      await where.prepared();
      const positions = fill(journal, 3);
      const last = positions.length;
      const oldest = journal.status().oldestGeneration;
      const free = async (sequence: number, generation: number): Promise<number> => {
        await journal.free(sequence, generation);
        return journal.status().oldestGeneration;
      };
      assert.equal(await free(last, oldest + 9), oldest, 'nothing is synced yet');
      await journal.sync();
      assert.equal(await free(0, oldest + 9), oldest, 'nothing is settled yet');
      assert.equal(await free(last, oldest), oldest, 'the generation is still needed');
      assert.equal(await free(last, oldest + 1), oldest + 1);
      assert.equal(await free(last, oldest + 1), oldest + 1, 'freeing again is no error');
      await assert.rejects(journal.read(positions[0] ?? 0, 1), { code: 'NOT_FOUND' });
      const needed = positions.findIndex((position) => generationOf(position) === oldest + 1);
      assert.equal((await journal.read(positions[needed] ?? 0, 1)).length, 1);
      await journal.close();
      const next = await openJournal(where.journal(), needed);
      assert.equal(next.report.lastSequence, last);
      await next.journal.close();
    });

    test('entries survive many rounds of filling and giving back', async () => {
      const where = await place();
      let opened = await openJournal(where.journal());
      let sequence = 0;
      let kept: { position: number; text: string }[] = [];
      for (let round = 0; round < 12; round++) {
        const { journal } = opened;
        await where.prepared();
        const begin = sequence;
        const { currentGeneration } = journal.status();
        while (journal.status().currentGeneration < currentGeneration + 2) {
          sequence++;
          const text = `${round}:${sequence}:`.padEnd(
            Math.floor(journal.status().maxBatchBytes / 5) + (sequence % 50),
            'x',
          );
          kept.push({ position: appendText(journal, text, sequence), text });
        }
        await journal.sync();
        for (const { position, text } of kept)
          assert.equal((await journal.read(position, text.length)).toString(), text);
        await journal.free(begin, currentGeneration);
        const { oldestGeneration } = journal.status();
        kept = kept.filter(({ position }) => generationOf(position) >= oldestGeneration);
        if (round % 3 === 2) {
          await (round % 2 === 0 ? journal.close() : where.kill());
          opened = await openJournal(where.journal(), begin);
          assert.equal(opened.report.lastSequence, sequence);
          for (const [first, body] of opened.batches) assert.match(body, new RegExp(`^\\d+:${first}:x`));
        }
      }
      await opened.journal.close();
    });

    test('idle and close leave nothing to doubt at the end', async () => {
      const where = await place();
      const { journal } = await openJournal(where.journal());
      appendText(journal, 'one', 1);
      await journal.idle();
      await journal.sync();
      const before = journal.status().usedBytes;
      await journal.idle();
      assert.ok(journal.status().usedBytes > before);
      const recorded = journal.status().usedBytes;
      await journal.idle();
      await journal.idle();
      assert.equal(journal.status().usedBytes, recorded);
      await journal.close();
      await journal.close();
      assert.throws(() => appendText(journal, 'two', 2), { code: 'CLOSED' });
    });

    test('opening again and again does not fill the journal', async () => {
      const where = await place();
      const first = await openJournal(where.journal());
      await where.prepared();
      const last = fill(first.journal, 2).length;
      await first.journal.close();
      for (let times = 0; times < 40; times++) {
        const { journal, report } = await openJournal(where.journal(), last);
        await journal.free(report.lastSequence, journal.status().currentGeneration);
        await journal.close();
      }
      const end = await openJournal(where.journal(), last);
      appendText(end.journal, 'still', last + 1);
      await end.journal.close();
    });
  });
}

/** Appends until so many more segments are begun; returns the positions by sequence - 1. */
function fill(journal: Journal, segments: number): number[] {
  const positions: number[] = [];
  const until = journal.status().currentGeneration + segments;
  const body = Buffer.alloc(Math.floor(journal.status().maxBatchBytes / 3), 5);
  while (journal.status().currentGeneration < until) {
    positions.push(journal.append([body], body.length, positions.length + 1, 1));
  }
  return positions;
}
