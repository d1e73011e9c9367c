import { RailheadError } from './errors.ts';
import type { Backoff } from './policy.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from './records.ts';
import type { Session } from './session.ts';

/**
 * Retries for readers that count offsets (groups of Kafka), which cannot give one record back: a policy for a group and
 * a topic, and three places beside the topic.
 *
 * ```
 * TOPIC.GROUP.retry           topic   what is to be tried again, once its time has come: the group reads it too
 * TOPIC.GROUP.retry.waiting   queue   what was handed back, until its time comes
 * TOPIC.GROUP.dead            queue   dead letters of that queue: what failed as often as the policy allows
 *
 * TOPIC ──read──▶ group ──handed back──▶ waiting ──after the backoff──▶ retry ──read──▶ group ──handed back──▶ waiting …
 *                                           └──after the last attempt──▶ dead ──redrive──▶ waiting
 * ```
 *
 * What is handed back is a reference: where the record lies, and why it failed. Who moves it on reads it there.
 */
export interface RetryPolicy {
  readonly topic: string;
  readonly group: string;
  /** How often a record is given to the group, the first time included. */
  readonly attempts: number;
  /** How long it waits after each failure. */
  readonly backoff: Backoff;
}

/** A record that somebody could not work on. */
export interface FailedRecord {
  /** Where it lies: the topic, or its retry topic. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly reason: string;
  /** It is no use to try again: it is a dead letter now. */
  readonly last?: boolean;
}

export interface RetryPlaces {
  readonly retry: string;
  readonly waiting: string;
  readonly dead: string;
}

/** Kind of the documents in which policies are kept, named by topic and group. */
export const RETRY_DOCUMENT = 'kafkaRetry';
/** Attribute of a retry topic: of which topic and group it is, as JSON. */
export const RETRY_OF = 'railhead.retry';

export const MAX_REASON = 2_000;
const MAX_ATTEMPTS = 100;
const MAX_BACKOFF_MS = 30 * 86_400_000;
/** What the story of a record may take beside it. */
const STORY_BYTES = 64 * 1024;
const WEEK_MS = 7 * 86_400_000;
/** Only the broker takes from the queue, for moments. */
const LEASE_MS = 3_600_000;
/** A name that Kafka's clients take. */
const LEGAL_NAME = /^[a-zA-Z0-9._-]{1,249}$/;

const RETRY_SUFFIX = '.retry';

/** Whether a topic of that name may become the retry topic of a group by a policy that is set later. */
export function isRetryName(topic: string): boolean {
  return topic.endsWith(RETRY_SUFFIX);
}

export function retryPlaces({ topic, group }: Pick<RetryPolicy, 'topic' | 'group'>): RetryPlaces {
  const name = `${topic}.${group}`;
  return { retry: `${name}${RETRY_SUFFIX}`, waiting: `${name}${RETRY_SUFFIX}.waiting`, dead: `${name}.dead` };
}

/** Of the attribute of a retry topic. */
export function retryOf(attribute: string): Pick<RetryPolicy, 'topic' | 'group'> {
  // What `Retries` has written.
  const [topic, group] = JSON.parse(attribute) as [string, string];
  return { topic, group };
}

/** References to records, as they are handed back. */
export function toReferences(failures: readonly FailedRecord[]): { bytes: Buffer; count: number } {
  const writer = new RecordBatchWriter();
  for (const { topic, partition, offset, reason, last = false } of failures)
    writer.append(
      {},
      JSON.stringify({ topic, partition, offset, reason: reason.slice(0, MAX_REASON), ...(last && { last }) }),
    );
  return writer.take();
}

/** Undefined for what is no reference. */
export function readReference(body: Uint8Array): FailedRecord | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString());
    return isReference(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isReference(value: unknown): value is FailedRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { topic, partition, offset, reason } = value as Partial<Record<keyof FailedRecord, unknown>>;
  const isPlace = Number.isSafeInteger(partition) && Number.isSafeInteger(offset);
  return typeof topic === 'string' && isPlace && typeof reason === 'string';
}

/**
 * Hands back a record that a group could not work on. Resolves when that is as durable as the topic.
 *
 * @throws NOT_FOUND without a policy, OFFSET_OUT_OF_RANGE for a record that is not there
 */
export async function failRecord(
  session: Pick<Session, 'request' | 'publish'>,
  group: string,
  failure: FailedRecord,
): Promise<void> {
  const { topic, partition, offset } = failure;
  const { partitions } = await session.request('topicStats', { name: topic });
  const bounds = partitions[partition];
  if (bounds === undefined || offset < bounds.start || offset >= bounds.end)
    throw new RailheadError(
      'OFFSET_OUT_OF_RANGE',
      `There is no record ${offset} in partition ${partition} of ${JSON.stringify(topic)}${bounds === undefined ? '' : `, which has ${bounds.start} to ${bounds.end - 1}`}.`,
    );
  const { attributes = {} } = await session.request('describeTopic', { name: topic });
  const attribute = attributes[RETRY_OF];
  const of = attribute === undefined ? { topic, group } : retryOf(attribute);
  if (of.group !== group)
    throw new RailheadError('INVALID', `${JSON.stringify(topic)} is the retry topic of the group ${of.group}.`);
  const { bytes: records, count } = toReferences([failure]);
  const to = { topic: retryPlaces(of).waiting };
  try {
    await session.publish({ to, format: FORMAT_NATIVE, records, count });
  } catch (error) {
    if (RailheadError.is(error, 'NOT_FOUND')) throw noPolicy(of);
    throw error;
  }
}

function noPolicy({ topic, group }: Pick<RetryPolicy, 'topic' | 'group'>): RailheadError {
  return new RailheadError(
    'NOT_FOUND',
    `The group ${JSON.stringify(group)} has no retry policy for ${JSON.stringify(topic)}. Set one with railhead retry set.`,
  );
}

/** The policies of a namespace. To change them takes the right `admin`, as they are documents. */
export class Retries {
  readonly #session: Pick<Session, 'request'>;

  constructor(session: Pick<Session, 'request'>) {
    this.#session = session;
  }

  async list(): Promise<RetryPolicy[]> {
    const { documents } = await this.#session.request('listDocuments', { kind: RETRY_DOCUMENT });
    return documents.map(({ name, value }) => {
      // What `put` has written.
      const [topic, group] = JSON.parse(name) as [string, string];
      return { topic, group, ...(JSON.parse(value) as Pick<RetryPolicy, 'attempts' | 'backoff'>) };
    });
  }

  /** Sets it, in place of the one before, and makes the places beside the topic. @throws INVALID, NOT_FOUND */
  async put(policy: RetryPolicy): Promise<{ created: boolean }> {
    check(policy);
    const { topic, group, attempts, backoff } = policy;
    const { retry } = retryPlaces(policy);
    const other = (await this.list()).find(
      (each) => retryPlaces(each).retry === retry && (each.topic !== topic || each.group !== group),
    );
    if (other !== undefined)
      throw new RailheadError(
        'INVALID',
        `The retry topic would be ${JSON.stringify(retry)}, which is that of the group ${JSON.stringify(other.group)} and ${JSON.stringify(other.topic)} already.`,
      );
    await this.makePlaces(policy);
    const value = JSON.stringify({ attempts, backoff });
    return this.#session.request('putDocument', { kind: RETRY_DOCUMENT, name: JSON.stringify([topic, group]), value });
  }

  /** The queue and the retry topic, where they are not there. */
  async makePlaces(policy: Pick<RetryPolicy, 'topic' | 'group'>): Promise<void> {
    const { retry, waiting, dead } = retryPlaces(policy);
    const source = await this.#session.request('describeTopic', { name: policy.topic });
    if (source.kind === 'queue')
      throw new RailheadError(
        'NOT_SUPPORTED',
        `${JSON.stringify(policy.topic)} is a queue: its subscription has retries.`,
      );
    const { durability, partitions, retain } = source.policy;
    const maxMessageBytes = source.policy.maxMessageBytes + STORY_BYTES;
    await this.#session.request('declareTopic', {
      name: waiting,
      kind: 'queue',
      policy: { durability, maxMessageBytes },
      subscription: {
        leaseMs: LEASE_MS,
        maxAttempts: 1,
        maxCrashes: 0,
        backoff: { type: 'none', minMs: 0, maxMs: 0, jitter: false },
        deadLetter: dead,
      },
      ifDifferent: 'update',
    });
    const { created, definition } = await this.#session.request('declareTopic', {
      name: retry,
      kind: 'topic',
      policy: {
        partitions,
        durability,
        maxMessageBytes,
        // Of a topic from which everything may go at once a retry may not go before its group has come to it.
        retain: { untilSettled: false, ageMs: retain.ageMs || WEEK_MS, bytes: null, compact: false },
      },
      attributes: { [RETRY_OF]: JSON.stringify([policy.topic, policy.group]) },
      ifDifferent: 'keep',
    });
    // One that a client has made by asking for it.
    if (!created && definition.attributes?.[RETRY_OF] === undefined)
      await this.#session.request('declareTopic', {
        name: retry,
        kind: 'topic',
        attributes: { ...definition.attributes, [RETRY_OF]: JSON.stringify([policy.topic, policy.group]) },
        ifDifferent: 'update',
      });
  }

  /**
   * Takes it away, with the retry topic and the queue. Dead letters stay.
   *
   * @throws NOT_FOUND, IN_USE while something waits for its retry
   */
  async delete(policy: Pick<RetryPolicy, 'topic' | 'group'>): Promise<void> {
    const { topic, group } = policy;
    if (!(await this.list()).some((each) => each.topic === topic && each.group === group)) throw noPolicy(policy);
    const { retry, waiting } = retryPlaces(policy);
    await this.#session.request('deleteTopic', { name: waiting, ifEmpty: true });
    await this.#session.request('deleteDocument', { kind: RETRY_DOCUMENT, name: JSON.stringify([topic, group]) });
    await this.#session.request('deleteTopic', { name: retry });
  }
}

/** @throws INVALID */
function check(policy: RetryPolicy): void {
  const { attempts, backoff } = policy;
  const { waiting } = retryPlaces(policy);
  const refuse = (why: string): never => {
    throw new RailheadError('INVALID', why);
  };
  if (!LEGAL_NAME.test(waiting))
    refuse(
      `The names of topic and group make ${JSON.stringify(waiting.slice(0, 300))}; Kafka's clients take 1 to 249 of a-z, A-Z, 0-9, dot, underscore and dash.`,
    );
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > MAX_ATTEMPTS)
    refuse(`attempts is ${attempts}; write a whole number from 1 to ${MAX_ATTEMPTS}.`);
  const { minMs, maxMs } = backoff;
  if (!(minMs >= 0 && maxMs >= minMs && maxMs <= MAX_BACKOFF_MS))
    refuse(`The backoff goes from ${minMs} to ${maxMs} ms; allowed are 0 to ${MAX_BACKOFF_MS}, the smaller first.`);
}
