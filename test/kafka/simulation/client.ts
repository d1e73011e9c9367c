import type { SeededRandom } from '../../../src/core/random.ts';
import { writeBatch } from '../../../src/gateways/kafka/record-batch.ts';
import type { Isolation, KafkaHistory, Seen } from '../../kill/kafka-history.ts';
import { numbered } from '../numbered.ts';
import { recordsOf } from '../reading.ts';
import { demandOk, type Line } from './line.ts';

export const IN = 'in';
export const OUT = 'out';
export const PARTITIONS = 2;
export const TRANSACTIONAL = 16;
const ALL = -1;
const ONE = 1;
const MOST_RECORDS = 4;

/** What a client is given. */
export interface Facts {
  /** Of the topic `in`. */
  readonly history: KafkaHistory;
  readonly random: SeededRandom;
  readonly now: () => number;
  readonly fail: (problem: string) => void;
  /** What was seen happen, so that a run in which it never does is noticed. */
  readonly count: (what: Count) => void;
}

export type Count = 'resent' | 'fenced' | 'timed out' | 'copied' | 'aborted' | 'read';

/** Somebody who lives through the lives of a broker. What it knows stays when its connection goes. */
export interface SimClient {
  readonly name: string;
  /** Does what it does, again and again, until it throws `Lost`. `pause` resolves when the seed wants it. */
  live(line: Line, pause: () => Promise<void>): Promise<void>;
}

export interface Batch {
  readonly partition: number;
  readonly values: readonly string[];
  readonly sequence: number;
}

/** @throws Lost, Refused */
export async function produce(
  line: Line,
  topic: string,
  { partition, values }: Pick<Batch, 'partition' | 'values'>,
  bytes: Buffer,
  more: { acks?: number; transactionalId?: string } = {},
): Promise<number> {
  const answer = await line.ask('produce', 9, {
    acks: ALL,
    timeoutMs: 200,
    ...more,
    topicData: [{ name: topic, partitionData: [{ index: partition, records: [bytes] }] }],
  });
  const [told] = answer.responses[0]?.partitionResponses ?? [];
  demandOk(told?.errorCode, `${values.join()} to ${topic}/${partition}`);
  return told?.baseOffset ?? NaN;
}

export function batchOf(values: readonly string[], timestamp: number, attributes = 0): Buffer {
  return writeBatch(
    values.map((value) => ({ timestamp, key: null, value: Buffer.from(value), headers: [] })),
    attributes,
  );
}

export interface Fetched {
  readonly records: Seen[];
  readonly next: number;
  readonly end: number;
}

/** @throws Lost, Refused */
export async function fetch(
  line: Line,
  topic: string,
  partition: number,
  from: number,
  { isolation, maxWaitMs, maxBytes = 2_000 }: { isolation: Isolation; maxWaitMs: number; maxBytes?: number },
): Promise<Fetched> {
  const partitions = [{ partition, fetchOffset: from, partitionMaxBytes: maxBytes }];
  const answer = await line.ask('fetch', 11, {
    maxWaitMs,
    minBytes: 1,
    isolationLevel: isolation === 'committed' ? 1 : 0,
    topics: [{ topic, topicId: '', partitions }],
  });
  const [found] = answer.responses[0]?.partitions ?? [];
  demandOk(found?.errorCode ?? answer.errorCode, `a fetch of ${topic}/${partition} at ${from}`);
  const bytes = Buffer.concat(found?.records ?? []);
  const { records, next } = recordsOf(bytes, from, found?.abortedTransactions ?? []);
  return {
    records: records.map(({ offset, value }) => ({ partition, offset, value: String(value) })),
    next,
    end: (isolation === 'committed' ? found?.lastStableOffset : found?.highWatermark) ?? 0,
  };
}

/** All of a partition, as such a reader sees it. */
export async function readAll(line: Line, topic: string, isolation: Isolation): Promise<Seen[]> {
  const all: Seen[] = [];
  for (let partition = 0; partition < PARTITIONS; partition++)
    for (let at = 0, end = Infinity; at < end;) {
      const found = await fetch(line, topic, partition, at, { isolation, maxWaitMs: 0, maxBytes: 100_000 });
      all.push(...found.records);
      end = found.end;
      if (found.next === at && at < end) throw new Error(`nothing comes of ${topic}/${partition} at ${at} of ${end}`);
      at = found.next;
    }
  return all;
}

/** By the name of a producer, numbers that rise. */
export class Values {
  readonly #name: string;
  #next = 0;

  constructor(name: string) {
    this.#name = name;
  }

  some(random: SeededRandom): string[] {
    return Array.from({ length: 1 + random.below(MOST_RECORDS) }, () => `${this.#name}:${this.#next++}`);
  }
}

/** Sends what it does not know the fate of again, under the same numbers, also to the next life of the broker. */
export class IdempotentProducer implements SimClient {
  readonly name: string;
  readonly #facts: Facts;
  readonly #values: Values;
  #producerId = -1;
  readonly #sequences: number[] = Array(PARTITIONS).fill(0);
  #unsure: Batch[] = [];

  constructor(name: string, facts: Facts) {
    this.name = name;
    this.#facts = facts;
    this.#values = new Values(name);
  }

  async live(line: Line, pause: () => Promise<void>): Promise<void> {
    const { history, random, count } = this.#facts;
    if (this.#unsure.length > 0) count('resent');
    if (this.#producerId < 0) {
      const told = await line.ask('initProducerId', 4, { transactionalId: null, transactionTimeoutMs: 0 });
      demandOk(told.errorCode, 'an id for a producer');
      this.#producerId = told.producerId;
    }
    for (;;) {
      await pause();
      for (let more = this.#unsure.length === 0 ? 1 + random.below(3) : 0; more > 0; more--) {
        const [partition, values] = [random.below(PARTITIONS), this.#values.some(random)];
        history.attempt(values);
        this.#unsure.push({ partition, values, sequence: this.#sequences[partition] ?? 0 });
        this.#sequences[partition] = (this.#sequences[partition] ?? 0) + values.length;
      }
      await this.#sendAll(line);
    }
  }

  /** At once, as clients with several requests in flight do. The first error counts: what follows it is out of order. */
  async #sendAll(line: Line): Promise<void> {
    const { history, now } = this.#facts;
    const sent = this.#unsure.map(async (batch) => {
      const { partition, values, sequence } = batch;
      const bytes = numbered(batchOf(values, now()), this.#producerId, sequence);
      history.acknowledge({ partition, baseOffset: await produce(line, IN, batch, bytes), values });
      return batch;
    });
    const results = await Promise.allSettled(sent);
    const done = new Set(results.map((result) => (result.status === 'fulfilled' ? result.value : undefined)));
    this.#unsure = this.#unsure.filter((batch) => !done.has(batch));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }
}

/** Does not know what became of what was not answered, and lets it be. */
export class PlainProducer implements SimClient {
  readonly name: string;
  readonly #facts: Facts;
  readonly #values: Values;

  constructor(name: string, facts: Facts) {
    this.name = name;
    this.#facts = facts;
    this.#values = new Values(name);
  }

  async live(line: Line, pause: () => Promise<void>): Promise<void> {
    const { history, random, now } = this.#facts;
    for (;;) {
      await pause();
      const batch = { partition: random.below(PARTITIONS), values: this.#values.some(random) };
      history.attempt(batch.values);
      const acks = random.chance(0.5) ? ALL : ONE;
      const baseOffset = await produce(line, IN, batch, batchOf(batch.values, now()), { acks });
      history.acknowledge({ ...batch, baseOffset });
    }
  }
}
