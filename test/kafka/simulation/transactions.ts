import type { Transaction } from '../../kill/kafka-history.ts';
import { numbered } from '../numbered.ts';
import {
  batchOf,
  type Facts,
  fetch,
  IN,
  OUT,
  PARTITIONS,
  produce,
  type SimClient,
  TRANSACTIONAL,
  Values,
} from './client.ts';
import { demandOk, type Line, Lost, Refused } from './line.ts';

export const TIMEOUT_MS = 150;
/** Long enough that somebody else, or time, ends what is open. */
const LONG_PAUSES = 12;

/** Everybody who goes under one transactional id: whoever comes later fences who was there before. */
export class TransactionalId {
  readonly id: string;
  claims = 0;

  constructor(id: string) {
    this.id = id;
  }
}

/** What one who has claimed a transactional id knows of it. */
class Claim {
  readonly #line: Line;
  readonly #of: TransactionalId;
  readonly #facts: Facts;
  readonly #number: number;
  readonly #who: { producerId: number; producerEpoch: number };
  readonly #sequences = new Map<string, number>();
  #begunAt = Infinity;

  private constructor(
    line: Line,
    of: TransactionalId,
    facts: Facts,
    number: number,
    who: { producerId: number; producerEpoch: number },
  ) {
    this.#line = line;
    this.#of = of;
    this.#facts = facts;
    this.#number = number;
    this.#who = who;
  }

  static async of(line: Line, of: TransactionalId, facts: Facts): Promise<Claim> {
    const number = ++of.claims;
    const told = await line.ask('initProducerId', 4, { transactionalId: of.id, transactionTimeoutMs: TIMEOUT_MS });
    demandOk(told.errorCode, `a claim of ${of.id}`);
    return new Claim(line, of, facts, number, told);
  }

  async begin(topic: string, partitions: readonly number[]): Promise<void> {
    this.#begunAt = this.#facts.now();
    const told = await this.#line.ask('addPartitionsToTxn', 3, {
      v3AndBelowTransactionalId: this.#of.id,
      v3AndBelowProducerId: this.#who.producerId,
      v3AndBelowProducerEpoch: this.#who.producerEpoch,
      v3AndBelowTopics: [{ name: topic, partitions: [...partitions] }],
    });
    for (const { resultsByPartition } of told.resultsByTopicV3AndBelow)
      for (const { partitionErrorCode } of resultsByPartition)
        demandOk(partitionErrorCode, `a begin of ${this.#of.id}`);
  }

  async produce(topic: string, partition: number, values: readonly string[]): Promise<number> {
    const place = `${topic}/${partition}`;
    const sequence = this.#sequences.get(place) ?? 0;
    this.#sequences.set(place, sequence + values.length);
    const { producerId, producerEpoch } = this.#who;
    const batch = batchOf(values, this.#facts.now(), TRANSACTIONAL);
    const bytes = numbered(batch, producerId, sequence, producerEpoch);
    return produce(this.#line, topic, { partition, values }, bytes, { transactionalId: this.#of.id });
  }

  async commitOffset(group: string, partition: number, offset: number): Promise<void> {
    const who = { transactionalId: this.#of.id, groupId: group, ...this.#who };
    demandOk((await this.#line.ask('addOffsetsToTxn', 3, who)).errorCode, `offsets in ${this.#of.id}`);
    const partitions = [{ partitionIndex: partition, committedOffset: offset, committedMetadata: '' }];
    const told = await this.#line.ask('txnOffsetCommit', 3, { ...who, topics: [{ name: IN, partitions }] });
    demandOk(told.topics[0]?.partitions[0]?.errorCode, `an offset in ${this.#of.id}`);
  }

  async end(committed: boolean): Promise<void> {
    const told = await this.#line.ask('endTxn', 3, { transactionalId: this.#of.id, ...this.#who, committed });
    demandOk(told.errorCode, `the end of a transaction of ${this.#of.id}`);
  }

  /** Whether the broker may say no: somebody came after, or it took too long. */
  excuse(): 'fenced' | 'timed out' | undefined {
    if (this.#of.claims > this.#number) return 'fenced';
    return this.#facts.now() - this.#begunAt >= TIMEOUT_MS ? 'timed out' : undefined;
  }
}

const NOT_ANY_MORE = new Set(['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'INVALID_TXN_STATE']);

/** @throws what is no refusal of one who came too late */
function note(error: unknown, claim: Claim, { fail, count }: Facts): void {
  if (!(error instanceof Refused)) throw error;
  const excuse = claim.excuse();
  if (excuse === undefined || !NOT_ANY_MORE.has(error.error)) fail(`${error.message}, for no reason that is known`);
  else count(excuse);
}

/** Publishes in transactions, some of which it aborts, leaves open for too long, or loses to a rival. */
export class TransactionalProducer implements SimClient {
  readonly name: string;
  readonly #facts: Facts;
  readonly #id: TransactionalId;
  readonly #values: Values;
  #open: Transaction | undefined;

  constructor(name: string, id: TransactionalId, facts: Facts) {
    this.name = name;
    this.#facts = facts;
    this.#id = id;
    this.#values = new Values(name);
  }

  async live(line: Line, pause: () => Promise<void>): Promise<void> {
    const { random } = this.#facts;
    const claim = await Claim.of(line, this.#id, this.#facts);
    // Whatever was open under this id is over now.
    this.#close();
    for (;;) {
      await pause();
      const transaction = (this.#open = this.#facts.history.begin());
      try {
        await this.#transact(claim, transaction, pause);
      } catch (error) {
        note(error, claim, this.#facts);
        transaction.outcome = 'dead';
        for (let rest = random.below(LONG_PAUSES); rest > 0; rest--) await pause();
        throw new Lost();
      }
    }
  }

  #close(): void {
    if (this.#open?.outcome === 'open') this.#open.outcome = 'dead';
    this.#open = undefined;
  }

  async #transact(claim: Claim, transaction: Transaction, pause: () => Promise<void>): Promise<void> {
    const { history, random, count } = this.#facts;
    await claim.begin(IN, [0, 1]);
    for (let batches = 1 + random.below(3); batches > 0; batches--) {
      const [partition, values] = [random.below(PARTITIONS), this.#values.some(random)];
      history.attempt(values, transaction);
      history.acknowledge({ partition, baseOffset: await claim.produce(IN, partition, values), values });
      await pause();
    }
    if (random.chance(0.2)) for (let more = LONG_PAUSES; more > 0; more--) await pause();
    const commits = random.chance(0.7);
    transaction.outcome = commits ? 'asked' : 'dead';
    await claim.end(commits);
    if (commits) transaction.outcome = 'committed';
    else count('aborted');
  }
}

const GROUP = 'copier';

/** Copies one topic to another, record by record once: what it publishes and how far it is are one transaction. */
export class Copier implements SimClient {
  readonly name = 'copier';
  readonly #facts: Facts;
  readonly #id = new TransactionalId('copier');
  draining = false;

  constructor(facts: Facts) {
    this.#facts = facts;
  }

  async live(line: Line, pause: () => Promise<void>): Promise<void> {
    const claim = await Claim.of(line, this.#id, this.#facts);
    const positions = await this.#positions(line, pause);
    for (let partition = 0, idle = 0; ; partition = (partition + 1) % PARTITIONS) {
      await pause();
      const from = positions[partition] ?? 0;
      const maxWaitMs = this.draining ? 0 : 20;
      const found = await fetch(line, IN, partition, from, { isolation: 'committed', maxWaitMs, maxBytes: 500 });
      if (found.next > from) {
        idle = 0;
        try {
          await this.#copy(
            claim,
            partition,
            found.records.map(({ value }) => value),
            found.next,
          );
          positions[partition] = found.next;
        } catch (error) {
          note(error, claim, this.#facts);
          throw new Lost();
        }
      } else if (this.draining && ++idle > PARTITIONS) return;
    }
  }

  /** An offset that a transaction commits which is not over yet is asked for again. */
  async #positions(line: Line, pause: () => Promise<void>): Promise<number[]> {
    for (;;) {
      const told = await line.ask('offsetFetch', 7, {
        groupId: GROUP,
        topics: [{ name: IN, partitionIndexes: [0, 1] }],
        requireStable: true,
      });
      demandOk(told.errorCode, 'the offsets of the copier');
      const partitions = told.topics[0]?.partitions ?? [];
      if (partitions.every(({ errorCode }) => errorCode === 0))
        return partitions.map(({ committedOffset }) => Math.max(0, committedOffset));
      await pause();
    }
  }

  async #copy(claim: Claim, partition: number, values: readonly string[], next: number): Promise<void> {
    const { random, count } = this.#facts;
    await claim.begin(OUT, [partition]);
    if (values.length > 0) await claim.produce(OUT, partition, values);
    await claim.commitOffset(GROUP, partition, next);
    const commits = this.draining || random.chance(0.85);
    await claim.end(commits);
    count(commits ? 'copied' : 'aborted');
    if (!commits) throw new Lost();
  }
}
