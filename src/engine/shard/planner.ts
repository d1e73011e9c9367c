import { RailheadError } from '../../core/errors.ts';
import { asBuffer, type Envelope } from '../../core/records.ts';
import type { PublishRequest } from '../../core/session.ts';
import { DEFAULT_DEDUPE_WINDOW_MS, seenBefore } from '../machine/dedupe.ts';
import type { Topic } from '../machine/topic.ts';
import { assertKeys, type Examined, examine, isPlainTopic } from './columns.ts';
import { assertParts, noTransaction, openTransaction } from './fencing.ts';
import type { Incoming } from './large-bodies.ts';
import type { Shard } from './shard.ts';
import type { StagedPublish } from './staging.ts';

/** What will be written for one topic, worked out without changing anything. */
export interface Plan {
  topic: Topic;
  format: number;
  /** Groups of records with one fate, in the order of the request. */
  parts: Part[];
  /** Stored messages and bytes, for limits. */
  stored: number;
  bytes: number;
  /** In blobs of their own, beside `bytes`. */
  apartBytes: number;
  producer: PublishRequest['producer'];
  /** The open transaction that they are part of. */
  transaction: number | undefined;
}

export type Part =
  | {
      kind: 'store';
      partition: number;
      records: Buffer;
      count: number;
      examined: Examined;
      indexes: number[] | null;
      first: number;
      /** Of the one record, when it is large. */
      body?: Pick<Incoming, 'body' | 'published'> | undefined;
    }
  | { kind: 'duplicate'; partition: number; offset: number; count: number; first: number }
  | { kind: 'refused'; count: number; first: number; error: RailheadError };

/** Looks at what a publish brings: sizes, partitions, duplicates, times and keys. Changes nothing. */
export class Planner {
  readonly #shard: Shard;
  readonly #nextPartition = new WeakMap<Topic, number>();

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /**
   * Works out what a publish would store.
   *
   * @throws what refuses it for good: INVALID, TOO_LARGE, OUT_OF_ORDER, NOT_SUPPORTED, FENCED, NO_TRANSACTION
   */
  plan(topic: Topic, request: StagedPublish): Plan {
    if (request.transaction === undefined) return this.#plan(topic, request, undefined);
    const { transaction } = openTransaction(this.#shard.state, topic.namespace, request.transaction);
    if (request.within !== undefined && request.within !== transaction)
      throw noTransaction(request.transaction.producer, 'it ended while the publish waited for room');
    const plan = this.#plan(topic, request, transaction);
    const isNew = (part: Part): boolean =>
      part.kind === 'store' && topic.partition(part.partition).transactions?.firstOf(transaction) === undefined;
    const more = plan.parts.filter(isNew).length;
    if (more > 0) assertParts(this.#shard, transaction, more);
    return plan;
  }

  #plan(topic: Topic, given: StagedPublish, transaction: number | undefined): Plan {
    const request = given.producer?.serial === true ? numbered(topic, given, given.producer) : given;
    const { count, apart } = request;
    const { limits } = this.#shard;
    if (!Number.isInteger(count) || count < 1 || count > limits.maxRecordsPerPublish) {
      throw new RailheadError(
        'INVALID',
        `A publish of ${count} records; allowed are 1 to ${limits.maxRecordsPerPublish}.`,
      );
    }
    const format = this.#shard.formats.get(request.format);
    const records = asBuffer(request.records);
    const plain = apart === undefined && format.check(records, count);
    const bounds = (): Uint32Array | null => apart?.bounds ?? format.bounds(records, count);
    const apartBytes = apart === undefined ? 0 : sumOf([...apart.bodies.keys()], request);
    if (records.byteLength + apartBytes > topic.policy.maxMessageBytes) this.#assertSizes(topic, bounds(), request);
    const plan: Plan = {
      topic,
      format: request.format,
      parts: [],
      stored: count,
      bytes: records.byteLength,
      apartBytes,
      producer: request.producer,
      transaction,
    };
    const repeated = this.#repeated(topic, request, records, transaction);
    if (repeated !== null) return { ...plan, parts: repeated, stored: 0, bytes: 0, apartBytes: 0, producer: undefined };
    if (request.partition !== undefined && topic.partitions[request.partition] === undefined) {
      throw new RailheadError(
        'INVALID',
        `Partition ${request.partition} of ${JSON.stringify(topic.name)}; it has ${topic.partitions.length}, from 0.`,
      );
    }
    const hasPlace = request.partition !== undefined || topic.policy.partitions === 1;
    if (plain && hasPlace && isPlainTopic(topic, format.plainHasKeys === true ? 'unseen' : 'none')) {
      plan.parts.push({
        kind: 'store',
        partition: request.partition ?? 0,
        records,
        count,
        examined: {},
        indexes: null,
        first: 0,
      });
      return plan;
    }
    const now = this.#shard.clock.now();
    const envelopes = apart?.envelopes ?? format.envelopes(records, count);
    assertKeys(topic, envelopes);
    const fates = this.#fates(plan, envelopes, request, now);
    if (fates === null) {
      const partition = request.partition ?? this.partitionFor(topic, envelopes[0]?.key);
      plan.parts.push({
        kind: 'store',
        partition,
        records,
        count,
        examined: examine(topic, envelopes, now, true),
        indexes: null,
        first: 0,
        body: apart?.bodies.get(0),
      });
      return plan;
    }
    this.#split(plan, request, bounds(), envelopes, fates, now);
    return plan;
  }

  /**
   * For each record its partition (≥ 0) or where its first copy is; null when all are new and go to one partition in
   * one entry.
   */
  #fates(
    { topic, transaction }: Plan,
    envelopes: readonly Envelope[],
    request: StagedPublish,
    now: number,
  ): (number | { partition: number; offset: number })[] | null {
    let partitionOfAll: number | undefined;
    const inBatch = new Map<string, number>();
    const roundRobin = request.partition ?? this.partitionFor(topic, undefined);
    const oldest = now - (topic.policy.dedupeWindowMs ?? DEFAULT_DEDUPE_WINDOW_MS);
    const fates = envelopes.map((envelope, i) => {
      if (envelope.dedupeId !== undefined) {
        const seen = seenBefore(topic, envelope.dedupeId, transaction);
        if (seen !== undefined && seen.at > oldest) {
          return { partition: seen.partition, offset: seen.offset };
        }
        const twin = inBatch.get(envelope.dedupeId);
        if (twin !== undefined) {
          return { partition: -1, offset: twin };
        }
        inBatch.set(envelope.dedupeId, i);
      }
      const partition =
        request.partition ?? (envelope.key === undefined ? roundRobin : this.partitionFor(topic, envelope.key));
      partitionOfAll ??= partition;
      return partition;
    });
    const together = request.apart === undefined || request.count === 1;
    return together && fates.every((fate) => fate === partitionOfAll) ? null : fates;
  }

  #split(
    plan: Plan,
    request: StagedPublish,
    bounds: Uint32Array | null,
    envelopes: readonly Envelope[],
    fates: readonly (number | { partition: number; offset: number })[],
    now: number,
  ): void {
    const records = asBuffer(request.records);
    if (bounds === null)
      throw new RailheadError(
        'NOT_SUPPORTED',
        'A compressed batch cannot be split over partitions or deduplicated; send its records one by one.',
      );
    const groups: { partition: number; indexes: number[] }[] = [];
    const newest = new Map<number, { partition: number; indexes: number[] }>();
    // A large one has an entry of its own, between those of what came before and after it in its partition.
    const isLarge = (i: number | undefined): boolean => i !== undefined && request.apart?.bodies.has(i) === true;
    const duplicates = new Map<number, { partition: number; offset: number }>();
    fates.forEach((fate, i) => {
      if (typeof fate !== 'number') duplicates.set(i, fate);
      else {
        const last = newest.get(fate);
        if (last !== undefined && !isLarge(i) && !isLarge(last.indexes[0])) last.indexes.push(i);
        else {
          const group = { partition: fate, indexes: [i] };
          newest.set(fate, group);
          groups.push(group);
        }
      }
    });
    plan.stored = envelopes.length - duplicates.size;
    plan.bytes = 0;
    plan.apartBytes = sumOf(
      groups.map(({ indexes }) => indexes[0] ?? 0),
      request,
    );
    for (const { partition, indexes } of groups) {
      const bytes = Buffer.concat(indexes.map((i) => records.subarray(bounds[i] ?? 0, bounds[i + 1] ?? 0)));
      const chosen = indexes.flatMap((i) => envelopes[i] ?? []);
      plan.bytes += bytes.byteLength;
      plan.parts.push({
        kind: 'store',
        partition,
        records: bytes,
        count: indexes.length,
        examined: examine(plan.topic, chosen, now, true),
        indexes,
        first: indexes[0] ?? 0,
        body: request.apart?.bodies.get(indexes[0] ?? 0),
      });
    }
    for (const [i, { partition, offset }] of duplicates)
      plan.parts.push({ kind: 'duplicate', partition, offset, count: 1, first: i });
  }

  /** A batch that a producer sends again after a reconnect: answered with where it went the first time. */
  #repeated(topic: Topic, request: StagedPublish, records: Buffer, transaction: number | undefined): Part[] | null {
    const { producer, count } = request;
    if (producer === undefined) return null;
    const seen = topic.producers.get(producer.id);
    if (seen === undefined || producer.sequence >= seen.next) return null;
    const places = seen.placesOf(producer.sequence, count);
    const error = new RailheadError(
      'OUT_OF_ORDER',
      `Producer ${JSON.stringify(producer.id)} sends sequence ${producer.sequence} again, but ${seen.next} is next and the old batch is no longer remembered. It was stored or refused then.`,
    );
    if (places.length === 0) throw error;
    // Records with a dedupe id may have been stored under another sequence.
    const decode = (): readonly Envelope[] =>
      request.apart?.envelopes ?? this.#shard.formats.get(request.format).envelopes(records, count);
    const envelopes = topic.dedupe.size + topic.undecidedIds.size > 0 ? decode() : [];
    const parts: Part[] = [];
    for (let first = 0; first < count; first++) {
      const id = envelopes[first]?.dedupeId;
      const place = places[first] ?? (id === undefined ? undefined : seenBefore(topic, id, transaction));
      const last = parts.at(-1);
      if (place === undefined) parts.push({ kind: 'refused', count: 1, first, error });
      else if (
        last?.kind === 'duplicate' &&
        last.partition === place.partition &&
        last.offset + last.count === place.offset
      )
        last.count++;
      else parts.push({ kind: 'duplicate', partition: place.partition, offset: place.offset, count: 1, first });
    }
    return parts;
  }

  #assertSizes(topic: Topic, bounds: Uint32Array | null, request: StagedPublish): void {
    let largest = bounds === null ? request.records.byteLength : 0;
    for (let i = 0; bounds !== null && i < request.count; i++)
      largest = Math.max(largest, (bounds[i + 1] ?? 0) - (bounds[i] ?? 0) + sumOf([i], request));
    assertSize(topic, largest);
  }

  /** By key, so that one key stays in one partition; without a key in turn. */
  partitionFor(topic: Topic, key: string | undefined): number {
    const { partitions } = topic.policy;
    if (partitions === 1) return 0;
    if (key !== undefined) return hashKey(key) % partitions;
    const next = this.#nextPartition.get(topic) ?? 0;
    this.#nextPartition.set(topic, (next + 1) % partitions);
    return next;
  }
}

const SERIAL_NUMBERS = 2 ** 31;

/** A serial number as the engine counts: one that goes on beyond 31 bits. @throws OUT_OF_ORDER for a gap */
function numbered(
  topic: Topic,
  request: StagedPublish,
  { id, sequence }: { id: string; sequence: number },
): StagedPublish {
  const next = topic.producers.get(id)?.next ?? sequence;
  const ahead = (((sequence - next) % SERIAL_NUMBERS) + SERIAL_NUMBERS) % SERIAL_NUMBERS;
  const behind = ahead < SERIAL_NUMBERS / 2 ? 0 : SERIAL_NUMBERS - ahead;
  if (ahead === 0 || (behind > 0 && behind <= next)) return { ...request, producer: { id, sequence: next - behind } };
  throw new RailheadError(
    'OUT_OF_ORDER',
    `Producer ${JSON.stringify(id)} sends sequence ${sequence}, but ${next % SERIAL_NUMBERS} is next. Something before it was lost; send that first.`,
    { outcome: 'not-stored' },
  );
}

/** @throws TOO_LARGE for a message that the topic does not take */
export function assertSize(topic: Topic, bytes: number): void {
  const limit = topic.policy.maxMessageBytes;
  if (bytes <= limit) return;
  throw new RailheadError(
    'TOO_LARGE',
    `A message of ${bytes} bytes; ${JSON.stringify(topic.name)} takes up to ${limit} (maxMessageBytes).`,
    { outcome: 'not-stored' },
  );
}

/** Bytes of the large bodies of some records. */
function sumOf(indexes: readonly number[], { apart }: StagedPublish): number {
  let bytes = 0;
  for (const i of indexes) bytes += apart?.bodies.get(i)?.body.bytes ?? 0;
  return bytes;
}

/** What the entries of a plan take at most: columns and ids of each message beside its record. */
export function entryBound(plan: Plan): number {
  const texts = plan.parts.some(
    (part) => part.kind === 'store' && (part.examined.keys ?? part.examined.dedupeIds) !== undefined,
  );
  return plan.bytes * (texts ? 2 : 1) + plan.stored * (plan.apartBytes > 0 ? 256 : 24) + 256;
}

/** FNV-1a over UTF-16 units: quick, spreads well enough, and the same in every version, since keys must stay in their partition. */
export function hashKey(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
