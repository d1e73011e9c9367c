/** A compacted topic beside a model of it: random values, removals, times, starts, and readers that take their time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { EngineBench } from '../engine/bench.ts';
import { textsOf } from '../engine/records.ts';

const SEEDS = 12;
const STEPS = 150;
const KEYS = ['a', 'b', 'c', 'd', 'e'];
const RETENTION_MS = 10_000;

interface Put {
  readonly offset: number;
  readonly key: string;
  readonly text: string;
  readonly at: number;
}

/** Reads from the start, some messages at a time, and ends within the time for which removals stay. */
interface Reader {
  readonly begunAt: number;
  next: number;
  readonly state: Map<string, string>;
}

class Run {
  readonly bench: EngineBench;
  readonly #random: SeededRandom;
  readonly #lagMs: number;
  readonly #puts: Put[] = [];
  #readers: Reader[] = [];
  #failure: Error | undefined;
  ended = 0;
  gone = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#lagMs = this.#random.pick([0, 0, 3000]);
    const onFailure = (error: Error): void => void (this.#failure = error);
    this.bench = new EngineBench({ onFailure, limits: { compactAfterMessages: 6 } }, {}, seed);
  }

  async play(): Promise<void> {
    await this.bench.start();
    const random = this.#random;
    const maxCompactLagMs = random.pick([null, 5000]);
    await this.bench.session.request('declareTopic', {
      name: 't',
      kind: 'topic',
      policy: {
        retain: {
          untilSettled: false,
          ageMs: null,
          bytes: null,
          compact: true,
          compactLagMs: this.#lagMs,
          maxCompactLagMs,
          deleteRetentionMs: RETENTION_MS,
        },
      },
    });
    for (let step = 0; step < STEPS; step++) {
      const roll = random.next();
      if (roll < 0.45) await this.#put();
      else if (roll < 0.6) this.#readers.push({ begunAt: this.bench.clock.now(), next: 0, state: new Map() });
      else if (roll < 0.85) await this.#read();
      else if (roll < 0.97) await this.#pass(random.below(3000));
      else await this.bench.restart(random.pick(['kill', 'checkpoint', 'close', 'crash']));
      await this.bench.quiet();
      assert.equal(this.#failure, undefined);
      await this.#check();
    }
  }

  async #put(): Promise<void> {
    const key = this.#random.pick(KEYS);
    const text = this.#random.chance(0.4) ? '' : `${key}${this.#puts.length}`;
    const { runs } = await this.bench.send('t', { text, key });
    this.#puts.push({ offset: runs[0]?.offset ?? -1, key, text, at: this.bench.clock.now() });
  }

  /** Never so long that a reader has more than the time for which removals stay. */
  async #pass(ms: number): Promise<void> {
    const until = this.bench.clock.now() + ms;
    for (const reader of this.#readers)
      if (reader.begunAt + RETENTION_MS <= until) while (!(await this.#readOn(reader, 1000)));
    await this.bench.advance(ms);
  }

  async #read(): Promise<void> {
    const reader = this.#readers[this.#random.below(this.#readers.length)];
    if (reader !== undefined) await this.#readOn(reader, 1 + this.#random.below(3));
  }

  /** True when it is at the end. What it knows then is how things are. */
  async #readOn(reader: Reader, maxMessages: number): Promise<boolean> {
    const from = { offset: reader.next };
    const read = await this.bench.session.request('read', { topic: 't', from, maxMessages });
    for (const run of read.runs)
      textsOf(run).forEach((text, i) => {
        const put = this.#puts[run.offset + i];
        assert.equal(put?.text, text);
        if (text === '') reader.state.delete(put.key);
        else reader.state.set(put.key, text);
      });
    reader.next = read.next;
    if (read.next < read.end) return false;
    const expected = new Map<string, string>();
    for (const { key, text } of this.#puts) {
      if (text === '') expected.delete(key);
      else expected.set(key, text);
    }
    assert.deepEqual(Object.fromEntries(reader.state), Object.fromEntries(expected));
    this.#readers = this.#readers.filter((each) => each !== reader);
    this.ended++;
    return true;
  }

  /** What is gone was superseded by something that is old enough, or is a removal whose time is over. */
  async #check(): Promise<void> {
    const { runs } = await this.bench.session.request('read', { topic: 't', from: 'start', maxMessages: 10_000 });
    const there = new Set(runs.flatMap(({ offset, count }) => Array.from({ length: count }, (_, i) => offset + i)));
    const now = this.bench.clock.now();
    this.gone = this.#puts.length - there.size;
    for (const { offset, key, text, at } of this.#puts) {
      if (there.has(offset)) continue;
      const newer = this.#puts.find((put) => put.offset > offset && put.key === key && put.at <= now - this.#lagMs);
      if (newer === undefined) assert.ok(text === '' && at <= now - RETENTION_MS, `${offset} of ${key} is gone`);
    }
  }
}

test(`${SEEDS} seeds: who reads from the start in time knows how things are, and nothing goes too early`, async () => {
  let [ended, gone] = [0, 0];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const run = new Run(seed);
    try {
      await run.play();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
    ended += run.ended;
    gone += run.gone;
  }
  assert.ok(ended > SEEDS && gone > SEEDS, `${ended} readers came to the end, ${gone} messages went`);
});
