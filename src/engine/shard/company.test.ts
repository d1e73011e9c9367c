import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../core/random.ts';
import { Company } from './company.ts';

const SYNC_MS = 0.2;

/** Those who ask for one thing at a time, and for the next one when they have the answer. */
interface Clients {
  count: number;
  /** From an answer to the next request, at the least and at the most. */
  thinkMs: readonly [number, number];
  /** What each request takes of the one processor that they share. */
  workMs?: number;
}

/** A broker that answers after a sync, in virtual time. */
class Broker {
  readonly #company: Company | undefined;
  readonly #random = new SeededRandom(1);
  #now = 0;
  answers = 0;
  syncs = 0;
  /** How often somebody waited for others. */
  waits = 0;

  /** @param company without one nobody ever waits for others */
  constructor(company?: Company) {
    this.#company = company;
  }

  /** What comes of so many clients in so much time. */
  serve({ count, thinkMs, workMs = 0 }: Clients, forMs: number): this {
    const end = this.#now + forMs;
    let processorFreeAt = this.#now;
    const requestAt = (): number => {
      const at = this.#now + thinkMs[0] + this.#random.next() * (thinkMs[1] - thinkMs[0]);
      if (workMs === 0) return at;
      processorFreeAt = Math.max(processorFreeAt, at) + workMs;
      return processorFreeAt;
    };
    let coming = Array.from({ length: count }, requestAt);
    const waiting: number[] = [];
    let syncing: number | undefined;
    let syncedAt = Infinity;
    let syncBy = Infinity;
    for (;;) {
      const next = Math.min(...coming, syncedAt, syncing === undefined ? syncBy : Infinity);
      if (next > end) break;
      this.#now = next;
      if (syncing !== undefined && syncedAt === next) {
        this.answers += syncing;
        for (let i = 0; i < syncing; i++) coming.push(requestAt());
        syncing = undefined;
        syncedAt = Infinity;
      }
      waiting.push(...coming.filter((at) => at <= next));
      coming = coming.filter((at) => at > next);
      if (syncing !== undefined || waiting.length === 0) continue;
      syncBy = Math.min(syncBy, this.#company?.until(waiting.length, next) ?? next);
      if (next < syncBy) {
        this.waits++;
        continue;
      }
      this.#company?.synced(waiting.length, next);
      syncing = waiting.splice(0).length;
      syncBy = Infinity;
      syncedAt = next + SYNC_MS;
      this.syncs++;
    }
    this.#now = end;
    return this;
  }

  get perSync(): number {
    return this.answers / this.syncs;
  }
}

/** With company and without. */
function both(clients: Clients, forMs: number): { answers: number; perSync: number } {
  const [having, lacking] = [new Broker(new Company()).serve(clients, forMs), new Broker().serve(clients, forMs)];
  return { answers: having.answers / lacking.answers, perSync: having.perSync / lacking.perSync };
}

/** As clients over bare sockets do. */
const AT_ONCE = [0.05, 0.15] as const;

test('a client that asks for one thing after the other goes on as it did', () => {
  const { answers, perSync } = both({ count: 1, thinkMs: AT_ONCE }, 60_000);
  assert.ok(answers > 0.995 && answers <= 1, `${answers}`);
  assert.ok(perSync < 1.001, `${perSync}`);
});

for (const count of [2, 3, 4, 5, 6, 7, 8, 12, 16])
  test(`${count} clients that ask for the next thing at once share each sync, and are no slower`, () => {
    const company = new Company();
    const broker = new Broker(company).serve({ count, thinkMs: AT_ONCE }, 10_000);
    assert.ok(broker.perSync > 0.6 * count, `${broker.perSync}`);
    const { answers } = both({ count, thinkMs: AT_ONCE }, 60_000);
    assert.ok(answers > 0.95, `${answers}`);
  });

test('sixteen requests of clients with one processor share syncs, and are no slower', () => {
  const { answers, perSync } = both({ count: 16, thinkMs: [0, 0], workMs: 0.35 }, 20_000);
  assert.ok(answers > 0.99, `${answers}`);
  assert.ok(perSync > 3, `${perSync}`);
});

test('two clients that have something else to do between two requests are not held up', () => {
  const { answers } = both({ count: 2, thinkMs: [0.5, 1.5] }, 60_000);
  assert.ok(answers > 0.9, `${answers}`);
});

test('nobody waits while there are few syncs to spare', () => {
  const broker = new Broker(new Company()).serve({ count: 8, thinkMs: [20, 40] }, 60_000);
  assert.ok(broker.answers > 15_000);
  assert.equal(broker.waits, 0);
});

test('nobody waits where many share syncs by themselves', () => {
  const broker = new Broker(new Company()).serve({ count: 64, thinkMs: AT_ONCE }, 10_000);
  assert.ok(broker.perSync > 16);
  assert.equal(broker.waits, 0);
});

test('nobody waits while time stands still', () => {
  const company = new Company();
  for (let i = 0; i < 100_000; i++) {
    assert.equal(company.until(1, 7), 7);
    company.synced(1, 7);
  }
});

test('syncs that nobody waits for say nothing', () => {
  const [silent, company] = [new Company(), new Company()];
  for (let ms = 0; ms < 10_000; ms++) {
    assert.equal(company.until(1, ms), silent.until(1, ms));
    silent.synced(1, ms);
    company.synced(1, ms);
    company.synced(0, ms);
  }
});

test('a client that is left alone after many is as quick as before within a fifth of a second', () => {
  const broker = new Broker(new Company()).serve({ count: 16, thinkMs: AT_ONCE }, 10_000);
  broker.serve({ count: 1, thinkMs: AT_ONCE }, 200);
  const { answers } = broker;
  broker.serve({ count: 1, thinkMs: AT_ONCE }, 300);
  assert.ok(broker.answers - answers > 0.9 * (300 / 0.3), `${broker.answers - answers}`);
});

test('whoever comes and goes, they have nearly as much done as if nobody waited, with fewer syncs', () => {
  const gains = Array.from({ length: 20 }, (_, seed) => {
    const random = new SeededRandom(seed);
    const [having, lacking] = [new Broker(new Company()), new Broker()];
    for (let phase = 0; phase < 20; phase++) {
      const quick = random.next() * 0.3;
      const clients = {
        count: 1 + random.below(20),
        thinkMs: [quick, quick + random.next() * 2] as const,
        workMs: random.chance(0.5) ? 0 : random.next() * 0.4,
      };
      const forMs = 500 + random.below(4000);
      having.serve(clients, forMs);
      lacking.serve(clients, forMs);
    }
    const answers = having.answers / lacking.answers;
    assert.ok(answers > 0.9, `seed ${seed}: ${answers} of the answers`);
    return having.perSync / lacking.perSync;
  });
  const mean = gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
  assert.ok(mean > 1.4, `${mean} times as many answers a sync`);
});
