import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { fresh, Life, script, type Remains } from './storage-life.ts';

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
    // RAILHEAD_LIVES=60000 is the long run; the last four seeds failed once.
    const count = Number(process.env['RAILHEAD_LIVES'] ?? 300);
    const seeds = [...Array.from({ length: count }, (_, index) => index + 1), 1200, 16704, 17311, 17323];
    for (const seed of seeds) {
      await manyLives(seed).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error });
      });
    }
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
