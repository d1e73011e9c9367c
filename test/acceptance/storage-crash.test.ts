import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';

/** A disk as a crash left it, with what it must still hold. */
interface Remains {
  disk: MemoryDisk;
  /** The highest sequence whose sync was confirmed before the crash. */
  confirmed: number;
  /** Up to here the engine needs no batch handed over. */
  checkpoint: number;
}

const TINY = { segmentBytes: 4096, segments: 4 };

/** A journal, what was put into it, and what was promised about it. */
class Life {
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
    return freeBytes >= bytes + batchOverheadBytes;
  }
}

async function script(life: Life): Promise<void> {
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

function fresh(): Remains {
  return { disk: new MemoryDisk(), confirmed: 0, checkpoint: 0 };
}

describe('journal and power cuts', () => {
  test('a power cut before any disk call of a script, torn in every way the seeds give, loses nothing confirmed', async () => {
    const crashes: { remains: Remains; texts: string[] }[] = [];
    const random = new SeededRandom(1);
    const life = new Life(fresh(), [], random);
    life.disk.onCall = () => {
      for (let variant = 0; variant < 30; variant++) {
        crashes.push({ remains: life.remains(life.disk.crash(random)), texts: life.texts });
      }
    };
    await script(life);
    assert.ok(crashes.length > 1500, `${crashes.length} crashes`);
    let torn = 0;
    for (const { remains, texts } of crashes) {
      const next = new Life(remains, texts, random);
      await next.recover();
      torn += next.texts.length > remains.confirmed ? 1 : 0;
      const kept = next.texts.length;
      // Recovering is repeatable: what was handed over once stays, whatever the next cut does.
      const again = new Life(next.remains(next.disk.crash(random)), next.texts, random);
      await again.recover();
      assert.equal(again.texts.length, kept);
    }
    assert.ok(torn > 50, 'cuts that keep more than was confirmed are among them');
  });

  test('a power cut before any disk call of a recovery loses nothing that was confirmed before', async () => {
    const random = new SeededRandom(2);
    const starts: { remains: Remains; texts: string[] }[] = [];
    const life = new Life(fresh(), [], random);
    life.disk.onCall = (call) => {
      if (call === 'write' || call === 'sync')
        starts.push({ remains: life.remains(life.disk.crash(random)), texts: life.texts });
    };
    await script(life);
    for (const start of starts) {
      const crashes: Remains[] = [];
      const first = new Life(start.remains, start.texts, random);
      first.disk.onCall = () => {
        for (let variant = 0; variant < 3; variant++)
          crashes.push({ ...start.remains, disk: first.disk.crash(random) });
      };
      await first.recover();
      await first.journal.prepared();
      for (const crash of crashes) await new Life(crash, start.texts, random).recover();
    }
  });

  test('life after life, each cut at a random disk call, the journal keeps order and promises', async () => {
    for (let seed = 1; seed <= 150; seed++)
      await manyLives(seed).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error });
      });
  });

  test('a kill of the process at any disk call keeps everything appended', async () => {
    const random = new SeededRandom(3);
    const kills: { remains: Remains; texts: string[]; appended: number }[] = [];
    const life = new Life(fresh(), [], random);
    life.disk.onCall = (call) => {
      // Inside a write, the batch that is being written is not there yet.
      if (call !== 'write')
        kills.push({ remains: life.remains(life.disk.clone()), texts: life.texts, appended: life.texts.length });
    };
    await script(life);
    for (const { remains, texts, appended } of kills) {
      const next = new Life(remains, texts, random);
      await next.recover();
      assert.ok(next.texts.length >= appended, `${next.texts.length} of ${appended}`);
    }
  });
});

async function manyLives(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  let remains = fresh();
  let texts: string[] = [];
  for (let lives = 0; lives < 12; lives++) {
    const life = new Life(remains, texts, random);
    let calls = 1 + random.below(lives === 0 ? 60 : 40);
    let next: Remains | undefined;
    life.disk.onCall = () => {
      if (--calls === 0) next = life.remains(random.chance(0.8) ? life.disk.crash(random) : life.disk.clone());
    };
    await life.recover();
    if (random.chance(0.5)) await life.journal.prepared();
    let running: Promise<void> | undefined;
    for (let step = 0; step < 30 && next === undefined; step++) {
      const bytes = 1 + random.below(random.chance(0.2) ? 1500 : 200);
      const choice = random.below(12);
      if (choice < 6 && life.fits(bytes)) life.append(bytes, 1);
      else if (choice < 9) {
        await running;
        running = life.sync();
        if (random.chance(0.5)) await running;
      } else if (choice === 9) await life.free();
      else if (choice === 10) await life.journal.idle();
      else await life.journal.prepared();
    }
    await running;
    if (next === undefined) {
      await life.journal.close();
      next = { ...life.remains(life.disk.crash(random)), confirmed: life.texts.length };
    }
    remains = next;
    texts = life.texts;
  }
}
