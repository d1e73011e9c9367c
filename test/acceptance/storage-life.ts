import assert from 'node:assert/strict';
import type { SeededRandom } from '../../src/core/random.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';

/** A disk as a crash left it, with what it must still hold. */
export interface Remains {
  disk: MemoryDisk;
  /** The highest sequence whose sync was confirmed before the crash. */
  confirmed: number;
  /** Up to here the engine needs no batch handed over. */
  checkpoint: number;
}

const TINY = { segmentBytes: 4096, segments: 4 };

/** A journal, what was put into it, and what was promised about it. */
export class Life {
  readonly texts: string[];
  confirmed: number;
  checkpoint: number;
  readonly disk: MemoryDisk;
  readonly journal: FileJournal;

  constructor(remains: Remains, texts: readonly string[], random: SeededRandom) {
    this.disk = remains.disk;
    this.texts = [...texts];
    this.confirmed = remains.confirmed;
    this.checkpoint = remains.checkpoint;
    this.journal = new FileJournal(remains.disk, { ...TINY, random });
  }

  remains(disk: MemoryDisk): Remains {
    return { disk, confirmed: this.confirmed, checkpoint: this.checkpoint };
  }

  /** Recovers and checks: all that was confirmed is there, in order, with nothing else than what was appended. */
  async recover(): Promise<void> {
    let next: number | undefined;
    const report = await this.journal.recover(this.checkpoint, ({ firstSequence, count, body }) => {
      assert.ok(next === undefined || next === firstSequence, `${firstSequence} follows ${next}`);
      assert.ok(
        firstSequence <= this.checkpoint + 1 || next !== undefined,
        `begins at ${firstSequence} after ${this.checkpoint}`,
      );
      assert.equal(body.toString(), this.texts.slice(firstSequence - 1, firstSequence - 1 + count).join(''));
      next = firstSequence + count;
    });
    assert.ok(report.lastSequence >= this.confirmed, `${report.lastSequence} recovered, ${this.confirmed} confirmed`);
    assert.ok(report.lastSequence <= this.texts.length, 'nothing that was never appended');
    assert.ok(next === undefined ? report.lastSequence === this.checkpoint : report.lastSequence === next - 1);
    this.texts.length = report.lastSequence;
    this.confirmed = report.lastSequence;
  }

  append(bytes: number, count: number): void {
    const first = this.texts.length + 1;
    const added = Array.from({ length: count }, (_, index) => `${first + index}.`.padEnd(bytes, String(bytes % 10)));
    this.texts.push(...added);
    const body = added.map((text) => Buffer.from(text));
    this.journal.append(
      body,
      body.reduce((sum, part) => sum + part.length, 0),
      first,
      count,
    );
  }

  async sync(): Promise<void> {
    const covered = this.texts.length;
    await this.journal.sync();
    this.confirmed = Math.max(this.confirmed, covered);
  }

  async free(): Promise<void> {
    this.checkpoint = this.confirmed;
    await this.journal.free(this.checkpoint, Infinity);
  }

  /** True while there is room for one more such batch. */
  fits(bytes: number): boolean {
    const { freeBytes, batchOverheadBytes } = this.journal.status();
    // A text is never shorter than its number.
    return freeBytes >= Math.max(bytes, 8) + batchOverheadBytes;
  }
}

/** A little of everything; ends with a clean close. */
export async function script(life: Life): Promise<void> {
  await life.recover();
  life.append(20, 1);
  await life.sync();
  life.append(700, 2);
  life.append(5, 3);
  await life.sync();
  await life.journal.idle();
  await life.journal.prepared();
  life.append(1500, 1);
  life.append(900, 1);
  await life.sync();
  await life.free();
  life.append(1800, 1);
  life.append(600, 1);
  const syncing = life.sync();
  // The append below may throw first.
  syncing.catch(() => {});
  life.append(30, 2);
  await syncing;
  await life.sync();
  await life.free();
  life.append(1300, 1);
  life.append(1200, 1);
  await life.sync();
  life.append(10, 1);
  await life.journal.close();
  life.confirmed = life.texts.length;
}

export function fresh(disk = new MemoryDisk()): Remains {
  return { disk, confirmed: 0, checkpoint: 0 };
}
