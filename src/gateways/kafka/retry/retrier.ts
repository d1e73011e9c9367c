import { backoffMs } from '../../../core/backoff.ts';
import { RailheadError } from '../../../core/errors.ts';
import type { Random } from '../../../core/random.ts';
import { asBuffer, readRecord } from '../../../core/records.ts';
import {
  type FailedRecord,
  Retries,
  type RetryPlaces,
  type RetryPolicy,
  readReference,
  retryPlaces,
} from '../../../core/retries.ts';
import type { Consumer, DeliveryRun, PublishRequest, Session, SettleAction } from '../../../core/session.ts';
import { FORMAT_KAFKA } from '../content.ts';
import { translated } from '../fetching.ts';
import { type KafkaRecord, readRecords, writeBatch } from '../record-batch.ts';
import { failedAgain, storyOf, withStory } from './story.ts';

/** Messages under way at one time. */
const WINDOW = 64;
/** What cannot be moved now is tried again after this. */
const AGAIN_MS = 1_000;

/** What becomes of one message of the queue: it goes on as that, in the same entry that settles it here, or is settled so. */
type Fate = { readonly publish: PublishRequest } | { readonly settle: SettleAction };

/** One message of the queue that is ours for now. */
interface Held {
  readonly run: DeliveryRun;
  readonly offset: number;
}

/**
 * Moves on what lies in the queue of one policy. A message there is one of three, and becomes the next by one entry of the
 * journal, so that a crash finds it in one place:
 *
 * ```
 * reference  native            handed back: becomes the record that it names, with its story
 * failed     a batch of one    on its first delivery it is put off for the backoff, or is a dead letter
 * due        the same, later   goes to the retry topic; so does at once what was redriven
 * ```
 */
export class Retrier {
  readonly #session: Session;
  readonly #random: Random;
  readonly #report: (error: unknown) => void;
  readonly #places: RetryPlaces;
  policy: RetryPolicy;
  #consumer: Consumer | undefined;
  #working: Promise<void> = Promise.resolve();
  /** Its consumer is gone: the queue was deleted. */
  ended = false;

  constructor(session: Session, policy: RetryPolicy, random: Random, report: (error: unknown) => void) {
    this.#session = session;
    this.policy = policy;
    this.#random = random;
    this.#report = report;
    this.#places = retryPlaces(policy);
  }

  async start(): Promise<void> {
    const { waiting } = this.#places;
    this.#consumer = await this.#session.consume(
      { topic: waiting, subscription: waiting, lease: 'connection', name: 'retries', formats: [FORMAT_KAFKA] },
      {
        deliver: (runs) => {
          this.#working = this.#working.then(() => this.#moveOn(runs));
        },
        ended: () => (this.ended = true),
      },
    );
    this.#consumer.credit(WINDOW);
  }

  /** Resolves when what has begun is done. What is left waits for the next. */
  async stop(): Promise<void> {
    await this.#consumer?.close();
    await this.#working;
  }

  async #moveOn(runs: readonly DeliveryRun[]): Promise<void> {
    const all = runs.flatMap((run) => Array.from({ length: run.count }, (_, i) => ({ run, offset: run.offset + i })));
    // Looked up side by side, moved in the order in which they lie.
    const fates = await Promise.all(
      all.map((held) => this.#fateOf(held).catch((error: unknown) => this.#again(error))),
    );
    await Promise.all(
      fates.map(async (fate, i) => {
        const held = all[i];
        if (held !== undefined) await this.#do(held, fate);
      }),
    );
    this.#consumer?.credit(all.length);
  }

  async #fateOf(held: Held): Promise<Fate> {
    const { waiting, retry } = this.#places;
    const { attempts: most, backoff, topic } = this.policy;
    const { run, offset } = held;
    const found = await this.#read(waiting, run.partition, offset);
    if (found === undefined) throw new Error(`Railhead bug: ${waiting} gave out ${offset} and does not have it`);
    const reference = found.format === FORMAT_KAFKA ? undefined : readReference(found.body);
    // What was redriven, maybe with an edit, begins anew.
    if (run.history !== undefined && reference === undefined) {
      const record = withStory(found.record, { ...storyOf(found.record), attempts: 0, error: '', last: false });
      return { publish: await this.#publishTo(retry, record) };
    }
    if (found.format !== FORMAT_KAFKA) return this.#resolve(reference, topic);
    const { attempts, error, last } = storyOf(found.record);
    if ((run.returned ?? 0) > 0) return { publish: await this.#publishTo(retry, found.record) };
    if (last) return { settle: { action: 'reject', reason: error } };
    if (attempts >= most) {
      const text = `failed ${attempts} of ${most} times${error === '' ? '' : `, at last: ${error}`}`;
      return { settle: { action: 'release', countAttempt: true, error: text } };
    }
    return { settle: { action: 'return', delayMs: backoffMs(backoff, attempts, this.#random.next()) } };
  }

  /** A reference becomes the record that it names, here, before anything may take that away. */
  async #resolve(reference: FailedRecord | undefined, topic: string): Promise<Fate> {
    const { waiting, retry } = this.#places;
    if (reference === undefined || (reference.topic !== topic && reference.topic !== retry))
      return { settle: { action: 'reject', reason: `This names no record of ${topic} or ${retry}.` } };
    const { partition, offset, reason } = reference;
    const failed = await this.#read(reference.topic, partition, offset);
    if (failed === undefined) {
      const gone = `The record ${offset} in partition ${partition} of ${reference.topic} is gone`;
      return { settle: { action: 'reject', reason: `${gone}; it had failed with: ${reason}` } };
    }
    const record = withStory(failed.record, failedAgain(failed.record, reference, topic));
    return { publish: publishing(waiting, 0, record) };
  }

  /** To the partition that has the number of the one where it was published first. */
  async #publishTo(retry: string, record: KafkaRecord): Promise<PublishRequest> {
    const { policy } = await this.#session.request('describeTopic', { name: retry });
    return publishing(retry, (storyOf(record).partition || 0) % policy.partitions, record);
  }

  async #do({ run: { partition, token }, offset }: Held, fate: Fate): Promise<void> {
    const { waiting } = this.#places;
    const here = { topic: waiting, subscription: waiting, ranges: [{ partition, offset, count: 1, token }] };
    try {
      if ('settle' in fate) await this.#session.settle([{ ...here, ...fate.settle }]);
      else
        await this.#session.commit({
          publishes: [fate.publish],
          settlements: [{ ...here, action: 'ack' }],
          cursors: [],
        });
    } catch (error) {
      // Somebody else has it, or nobody can do anything any more: it is in the queue.
      if (RailheadError.is(error, 'LEASE_LOST') || RailheadError.is(error, 'CLOSED')) return;
      const again = await this.#again(error);
      await this.#session.settle([{ ...here, ...again.settle }]).catch((failure: unknown) => this.#report(failure));
    }
  }

  /** What cannot be done now is no fault of the message. */
  async #again(error: unknown): Promise<{ settle: SettleAction }> {
    if (RailheadError.is(error, 'NOT_FOUND'))
      await new Retries(this.#session).makePlaces(this.policy).catch((failure: unknown) => this.#report(failure));
    else if (!RailheadError.is(error)) this.#report(error);
    return { settle: { action: 'release', countAttempt: false, delayMs: AGAIN_MS } };
  }

  /** As it lies in the log: what is delivered is translated, and would lose what only this protocol knows. */
  async #read(
    topic: string,
    partition: number,
    offset: number,
  ): Promise<{ record: KafkaRecord; format: number; body: Uint8Array } | undefined> {
    const { runs } = await this.#session.request('read', {
      topic,
      partition,
      from: { offset },
      maxMessages: 1,
      isolation: 'uncommitted',
      formats: [FORMAT_KAFKA],
    });
    const [run] = runs;
    if (run === undefined || run.offset > offset) return undefined;
    const { format } = run;
    const isBatch = format === FORMAT_KAFKA;
    const index = offset - run.offset + (run.skip ?? 0);
    const record = readRecords(isBatch ? asBuffer(run.records) : translated(run))[index];
    if (record === undefined) return undefined;
    return { record, format, body: isBatch ? Buffer.alloc(0) : readRecord(asBuffer(run.records), 0).body };
  }
}

function publishing(topic: string, partition: number, record: KafkaRecord): PublishRequest {
  return { to: { topic }, format: FORMAT_KAFKA, records: writeBatch([record]), count: 1, partition, atomic: true };
}
