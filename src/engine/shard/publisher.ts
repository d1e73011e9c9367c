import { RailheadError } from '../../core/errors.ts';
import type { Durability } from '../../core/policy.ts';
import { asBuffer, type Envelope } from '../../core/records.ts';
import type { MessageHistory, PublishReceipt, PublishRequest } from '../../core/session.ts';
import type { PublishEntry, Target } from '../entries.ts';
import { DEFAULT_DEDUPE_WINDOW_MS } from '../machine/state.ts';
import type { Topic } from '../machine/topic.ts';
import { routeThrough } from '../routing/router.ts';
import { RateLimiter } from '../structures/rate-limiter.ts';
import { type Examined, examine, isPlainTopic } from './columns.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Shard } from './shard.ts';

/** How soon a publish that waits for room in the commit log looks again. */
const SPACE_RETRY_MS = 20;

/** What will be written for one topic, worked out without changing anything. */
interface Plan {
  topic: Topic;
  format: number;
  /** Groups of records with one fate, in the order of the request. */
  parts: Part[];
  /** Stored messages and bytes, for limits. */
  stored: number;
  bytes: number;
  producer: PublishRequest['producer'];
}

type Part =
  | {
      kind: 'store';
      partition: number;
      records: Buffer;
      count: number;
      examined: Examined;
      indexes: number[] | null;
      first: number;
    }
  | { kind: 'duplicate'; partition: number; offset: number; count: number; first: number }
  | { kind: 'refused'; count: number; first: number; error: RailheadError };

interface Parked {
  namespace: string;
  request: PublishRequest;
  topic: Topic;
  until: number;
  bytes: number;
  resolve: (receipt: Promise<PublishReceipt>) => void;
  reject: (error: unknown) => void;
  why: RailheadError;
}

/**
 * Takes messages in: checks, routes, deduplicates, applies the limits, and records one entry for each batch.
 *
 * A publish that would go over a limit with `overflow: 'block'`, or for which the commit log has no room at the moment,
 * is parked: its promise waits, the connection goes on. Later publishes to the same topic wait behind it.
 */
export class Publisher {
  readonly #shard: Shard;
  readonly #dispatcher: Dispatcher;
  readonly #parked = new Map<Topic, Parked[]>();
  readonly #rates = new WeakMap<object, RateLimiter>();
  readonly #nextPartition = new WeakMap<Topic, number>();
  #parkedBytes = 0;
  /** Of topics, since the start, for people. */
  readonly counters = new WeakMap<Topic, { published: number; duplicates: number; refused: number }>();

  constructor(shard: Shard, dispatcher: Dispatcher) {
    this.#shard = shard;
    this.#dispatcher = dispatcher;
  }

  publish(namespace: string, request: PublishRequest): Promise<PublishReceipt> {
    const topics = this.#targets(namespace, request);
    if (topics !== null && topics.length === 1 && topics[0] !== undefined)
      return this.#publishTo(namespace, topics[0], request);
    return this.#publishRouted(namespace, request);
  }

  /**
   * Checks a publish that is part of a transaction. Throws what would refuse it; `publish` does it. `bytes` is what
   * its entries take at most.
   */
  prepare(namespace: string, request: PublishRequest): { bytes: number; publish: () => PublishReceipt } {
    const whole = { ...request, atomic: true };
    const topics = this.#targets(namespace, whole) ?? this.#routedTopics(namespace, whole);
    const plans = topics.map((topic) => this.#plan(topic, whole));
    for (const plan of plans) {
      this.#assertSpace(plan.bytes);
      const full = this.#overLimit(plan);
      if (full !== null && (plan.topic.policy.overflow === 'block' || plan.topic.policy.overflow === 'reject'))
        throw full;
    }
    const bytes = plans.reduce((sum, plan) => sum + entryBound(plan), 0);
    return { bytes, publish: () => this.#execute(plans, topics[0]?.id ?? 0) };
  }

  /** Stores a message that was published before (dead letter, redrive), whatever the limits say. */
  republish(
    topic: Topic,
    format: number,
    record: Buffer,
    envelope: Envelope,
    history: MessageHistory | undefined,
  ): void {
    this.#shard.beginCommand(record.byteLength * 2);
    const examined = examine(topic, [envelope], this.#shard.clock.now(), false);
    delete examined.dedupeIds;
    const plan: Plan = {
      topic,
      format,
      parts: [
        {
          kind: 'store',
          partition: this.#partitionFor(topic, envelope.key),
          records: record,
          count: 1,
          examined,
          indexes: null,
          first: 0,
        },
      ],
      stored: 1,
      bytes: record.byteLength,
      producer: undefined,
    };
    this.#execute([plan], topic.id, history);
  }

  /** Lets parked publishes in for which there is room now, and gives up those that waited too long. */
  retryParked(): void {
    if (this.#parked.size === 0) return;
    const now = this.#shard.clock.now();
    for (const [topic, queue] of this.#parked) {
      while (queue.length > 0) {
        const parked = queue[0];
        if (parked === undefined) break;
        const gone = this.#shard.state.topics.get(topic.id) !== topic;
        if (gone) this.#unpark(queue, parked).reject(notFound(topic.name));
        else if (parked.until <= now) this.#unpark(queue, parked).reject(parked.why);
        else {
          const receipt = this.#attempt(topic, parked.request);
          if (receipt instanceof RailheadError) break;
          this.#unpark(queue, parked).resolve(receipt);
        }
      }
      if (queue.length === 0) this.#parked.delete(topic);
      else if (queue[0] !== undefined) this.#armParked(topic, queue[0].until, queue[0].request.count, queue[0].why);
    }
  }

  /** Room in a queue comes with a settlement, which is a turn. Room in the commit log and tokens of a rate come by themselves. */
  #armParked(topic: Topic, until: number, count: number, why: RailheadError): void {
    const now = this.#shard.clock.now();
    const again = why.code === 'OUT_OF_SPACE' ? now + SPACE_RETRY_MS : this.#rateWait(topic, count);
    this.#shard.agenda.atLatest(`parked:${topic.id}`, Math.min(until, Math.max(again, now + 1)), () => {});
  }

  /** The shard failed or closes: nobody waits for nothing. */
  rejectParked(error: RailheadError): void {
    for (const queue of this.#parked.values()) for (const parked of queue) parked.reject(error);
    this.#parked.clear();
    this.#parkedBytes = 0;
  }

  // ---- Where to ---------------------------------------------------------------------------------------------------

  /** The one topic of the request, or null for a router. */
  #targets(namespace: string, request: PublishRequest): Topic[] | null {
    if ('router' in request.to) return null;
    const topic = this.#shard.state.topicNamed(namespace, request.to.topic);
    if (topic === undefined) throw notFound(request.to.topic);
    return [topic];
  }

  #routedTopics(namespace: string, request: PublishRequest): Topic[] {
    const sets = this.#routeEach(namespace, request);
    const first = sets[0] ?? [];
    if (sets.some((set) => set.length !== first.length || set.some((topic, i) => topic !== first[i]))) {
      throw new RailheadError(
        'NOT_SUPPORTED',
        'A batch in a transaction whose records are routed to different queues; publish them one by one.',
      );
    }
    return first;
  }

  #routeEach(namespace: string, request: PublishRequest): Topic[][] {
    const { to } = request;
    if (!('router' in to)) return [];
    const routers = this.#shard.state.routersOf(namespace);
    if (!routers.has(to.router)) {
      throw new RailheadError(
        'NOT_FOUND',
        `There is no router ${JSON.stringify(to.router)}. Declare it, or check the name.`,
      );
    }
    const envelopes = this.#shard.formats.get(request.format).envelopes(asBuffer(request.records), request.count);
    return envelopes.map((envelope) => {
      const names = routeThrough(routers, to.router, to.key, envelope);
      const topics: Topic[] = [];
      for (const name of names) {
        const topic = this.#shard.state.topicNamed(namespace, name);
        if (topic !== undefined) topics.push(topic);
      }
      return topics;
    });
  }

  /** Through a router: runs of records with the same targets are stored together, a body once for all its targets. */
  async #publishRouted(namespace: string, request: PublishRequest): Promise<PublishReceipt> {
    const { count } = request;
    const records = asBuffer(request.records);
    const format = this.#shard.formats.get(request.format);
    format.check(records, count);
    const sets = this.#routeEach(namespace, request);
    const groups: { topics: Topic[]; from: number; to: number }[] = [];
    sets.forEach((topics, i) => {
      const last = groups.at(-1);
      if (
        last !== undefined &&
        last.topics.length === topics.length &&
        last.topics.every((topic, j) => topic === topics[j])
      )
        last.to = i + 1;
      else groups.push({ topics, from: i, to: i + 1 });
    });
    const bounds = groups.length > 1 ? format.bounds(records, count) : null;
    const receipt: PublishReceipt = { topicId: groups[0]?.topics[0]?.id ?? 0, runs: [] };
    let level: Durability = 'memory';
    for (const { topics, from, to } of groups) {
      const part: PublishRequest = {
        ...request,
        count: to - from,
        records: bounds === null ? records : records.subarray(bounds[from] ?? 0, bounds[to] ?? 0),
      };
      const plans = topics.map((topic) => this.#plan(topic, part));
      const bytes = plans.reduce((sum, plan) => sum + entryBound(plan), 0);
      this.#assertSpace(bytes);
      this.#shard.beginCommand(bytes);
      const open = plans.filter((plan) => {
        const full = this.#overLimit(plan);
        if (full === null) return true;
        const { overflow } = plan.topic.policy;
        if (overflow === 'drop-oldest' || overflow === 'dead-letter-oldest') return true;
        (receipt.refused ??= []).push({ index: from, count: to - from, code: full.code, message: full.message });
        return false;
      });
      receipt.runs.push(...this.#execute(open, receipt.topicId).runs);
      for (const plan of open) level = safer(level, plan.topic.policy.durability);
    }
    this.#shard.endCommand();
    return this.#shard.durable(receipt, level);
  }

  // ---- One topic --------------------------------------------------------------------------------------------------

  #publishTo(namespace: string, topic: Topic, request: PublishRequest): Promise<PublishReceipt> {
    const waiting = this.#parked.get(topic);
    if (waiting === undefined) {
      const receipt = this.#attempt(topic, request);
      if (!(receipt instanceof RailheadError)) return receipt;
      return this.#park(namespace, topic, request, receipt);
    }
    return this.#park(namespace, topic, request, full(topic, 'Publishes that came before wait for room'));
  }

  /** Stores it, or returns why it must wait. Throws what refuses it for good. */
  #attempt(topic: Topic, request: PublishRequest): Promise<PublishReceipt> | RailheadError {
    const { policy } = topic;
    const noSpace = this.#noSpace(request.records.byteLength);
    if (noSpace !== null) return noSpace;
    const plan = this.#plan(topic, request);
    this.#shard.beginCommand(entryBound(plan));
    const limited = this.#rateLimited(topic, plan.stored) ?? this.#overLimit(plan);
    if (limited !== null) {
      if (policy.overflow === 'block') return limited;
      if (policy.overflow === 'reject' || limited.code === 'RATE_LIMITED')
        return this.#refuseExcess(plan, request, limited);
    }
    const receipt = this.#execute([plan], topic.id);
    this.#shard.endCommand();
    return this.#shard.durable(receipt, policy.durability);
  }

  /** Without `atomic`, the records that fit are stored and the others refused. */
  #refuseExcess(plan: Plan, request: PublishRequest, why: RailheadError): Promise<PublishReceipt> {
    const { topic } = plan;
    const counter = this.#counter(topic);
    const room =
      topic.policy.maxMessages === null || why.code === 'RATE_LIMITED' ? 0 : topic.policy.maxMessages - topic.depth;
    if (
      request.atomic === true ||
      room <= 0 ||
      plan.parts.some((part) => part.kind !== 'store') ||
      plan.parts.length !== 1
    ) {
      counter.refused += request.count;
      throw why;
    }
    const format = this.#shard.formats.get(request.format);
    const records = asBuffer(request.records);
    const bounds = format.bounds(records, request.count);
    if (bounds === null) throw why;
    counter.refused += request.count - room;
    const fitting = { ...request, count: room, records: records.subarray(0, bounds[room] ?? 0) };
    const receipt = this.#execute([this.#plan(topic, fitting)], topic.id);
    receipt.refused = [{ index: room, count: request.count - room, code: why.code, message: why.message }];
    this.#shard.endCommand();
    return this.#shard.durable(receipt, topic.policy.durability);
  }

  #park(namespace: string, topic: Topic, request: PublishRequest, why: RailheadError): Promise<PublishReceipt> {
    const waitMs = Math.min(request.waitMs ?? this.#shard.limits.parkMs, 3_600_000);
    const bytes = request.records.byteLength;
    if (waitMs <= 0 || this.#parkedBytes + bytes > this.#shard.limits.parkedBytes) throw why;
    const until = this.#shard.clock.now() + waitMs;
    return new Promise<PublishReceipt>((resolve, reject) => {
      let queue = this.#parked.get(topic);
      if (queue === undefined) this.#parked.set(topic, (queue = []));
      queue.push({ namespace, request, topic, until, bytes, resolve, reject, why });
      this.#parkedBytes += bytes;
      this.#armParked(topic, until, request.count, why);
      this.#shard.wake();
    });
  }

  #unpark(queue: Parked[], parked: Parked): Parked {
    queue.shift();
    this.#parkedBytes -= parked.bytes;
    return parked;
  }

  // ---- Plan -------------------------------------------------------------------------------------------------------

  #plan(topic: Topic, request: PublishRequest): Plan {
    const { count } = request;
    const { limits } = this.#shard;
    if (!Number.isInteger(count) || count < 1 || count > limits.maxRecordsPerPublish) {
      throw new RailheadError(
        'INVALID',
        `A publish of ${count} records; allowed are 1 to ${limits.maxRecordsPerPublish}.`,
      );
    }
    const format = this.#shard.formats.get(request.format);
    const records = asBuffer(request.records);
    const plain = format.check(records, count);
    if (records.byteLength > topic.policy.maxMessageBytes)
      this.#assertSizes(topic, format.bounds(records, count), records.byteLength);
    const plan: Plan = {
      topic,
      format: request.format,
      parts: [],
      stored: count,
      bytes: records.byteLength,
      producer: request.producer,
    };
    const repeated = this.#repeated(topic, request);
    if (repeated !== null) return { ...plan, parts: repeated, stored: 0, bytes: 0, producer: undefined };
    if (request.partition !== undefined && topic.partitions[request.partition] === undefined) {
      throw new RailheadError(
        'INVALID',
        `Partition ${request.partition} of ${JSON.stringify(topic.name)}; it has ${topic.partitions.length}, from 0.`,
      );
    }
    if (plain && isPlainTopic(topic)) {
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
    const envelopes = format.envelopes(records, count);
    const fates = this.#fates(topic, envelopes, request, now);
    if (fates === null) {
      const partition = request.partition ?? this.#partitionFor(topic, envelopes[0]?.key);
      plan.parts.push({
        kind: 'store',
        partition,
        records,
        count,
        examined: examine(topic, envelopes, now, true),
        indexes: null,
        first: 0,
      });
      return plan;
    }
    this.#split(plan, records, envelopes, fates, now);
    return plan;
  }

  /** For each record its partition (≥ 0) or where its first copy is; null when all are new and go to one partition. */
  #fates(
    topic: Topic,
    envelopes: readonly Envelope[],
    request: PublishRequest,
    now: number,
  ): (number | { partition: number; offset: number })[] | null {
    let uniform = true;
    let partitionOfAll: number | undefined;
    const inBatch = new Map<string, number>();
    const roundRobin = request.partition ?? this.#partitionFor(topic, undefined);
    const oldest = now - (topic.policy.dedupeWindowMs ?? DEFAULT_DEDUPE_WINDOW_MS);
    const fates = envelopes.map((envelope, i) => {
      if (envelope.dedupeId !== undefined) {
        const seen = topic.dedupe.get(envelope.dedupeId);
        if (seen !== undefined && seen.at > oldest) {
          uniform = false;
          return { partition: seen.partition, offset: seen.offset };
        }
        const twin = inBatch.get(envelope.dedupeId);
        if (twin !== undefined) {
          uniform = false;
          return { partition: -1, offset: twin };
        }
        inBatch.set(envelope.dedupeId, i);
      }
      const partition =
        request.partition ?? (envelope.key === undefined ? roundRobin : this.#partitionFor(topic, envelope.key));
      partitionOfAll ??= partition;
      if (partition !== partitionOfAll) uniform = false;
      return partition;
    });
    return uniform ? null : fates;
  }

  #split(
    plan: Plan,
    records: Buffer,
    envelopes: readonly Envelope[],
    fates: readonly (number | { partition: number; offset: number })[],
    now: number,
  ): void {
    const bounds = this.#shard.formats.get(plan.format).bounds(records, envelopes.length);
    if (bounds === null)
      throw new RailheadError(
        'NOT_SUPPORTED',
        'A compressed batch cannot be split over partitions or deduplicated; send its records one by one.',
      );
    const byPartition = new Map<number, number[]>();
    const duplicates = new Map<number, { partition: number; offset: number }>();
    fates.forEach((fate, i) => {
      if (typeof fate !== 'number') duplicates.set(i, fate);
      else {
        const indexes = byPartition.get(fate);
        if (indexes === undefined) byPartition.set(fate, [i]);
        else indexes.push(i);
      }
    });
    plan.stored = envelopes.length - duplicates.size;
    plan.bytes = 0;
    for (const [partition, indexes] of byPartition) {
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
      });
    }
    for (const [i, { partition, offset }] of duplicates)
      plan.parts.push({ kind: 'duplicate', partition, offset, count: 1, first: i });
  }

  /** A batch that a producer sends again after a reconnect: answered with where it went the first time. */
  #repeated(topic: Topic, request: PublishRequest): Part[] | null {
    const { producer, count } = request;
    if (producer === undefined) return null;
    const seen = topic.producers.get(producer.id);
    if (seen === undefined || producer.sequence >= seen.next) return null;
    const parts: Part[] = [];
    for (const batch of seen.recent) {
      const from = Math.max(batch.sequence, producer.sequence);
      const to = Math.min(batch.sequence + batch.count, producer.sequence + count);
      if (from < to) {
        parts.push({
          kind: 'duplicate',
          partition: batch.partition,
          offset: batch.offset + from - batch.sequence,
          count: to - from,
          first: from - producer.sequence,
        });
      }
    }
    if (parts.length > 0) return parts;
    throw new RailheadError(
      'OUT_OF_ORDER',
      `Producer ${JSON.stringify(producer.id)} sends sequence ${producer.sequence} again, but ${seen.next} is next and the old batch is no longer remembered. It was stored or refused then.`,
    );
  }

  #assertSizes(topic: Topic, bounds: Uint32Array | null, bytes: number): void {
    const limit = topic.policy.maxMessageBytes;
    const sizes = bounds === null ? [bytes] : [...bounds.subarray(1)].map((end, i) => end - (bounds[i] ?? 0));
    const largest = Math.max(...sizes);
    if (largest > limit) {
      throw new RailheadError(
        'TOO_LARGE',
        `A message of ${largest} bytes; ${JSON.stringify(topic.name)} takes up to ${limit} (maxMessageBytes).`,
      );
    }
  }

  #partitionFor(topic: Topic, key: string | undefined): number {
    const { partitions } = topic.policy;
    if (partitions === 1) return 0;
    if (key !== undefined) return hashKey(key) % partitions;
    const next = this.#nextPartition.get(topic) ?? 0;
    this.#nextPartition.set(topic, (next + 1) % partitions);
    return next;
  }

  // ---- Limits -----------------------------------------------------------------------------------------------------

  #noSpace(bytes: number): RailheadError | null {
    const { freeBytes, capacityBytes } = this.#shard.journal.status();
    if (freeBytes - bytes - 4096 >= capacityBytes * this.#shard.limits.reservedShare) return null;
    return new RailheadError(
      'OUT_OF_SPACE',
      `The commit log has ${freeBytes} bytes free and keeps ${this.#shard.limits.reservedShare * 100} % for consumers. Free disk space, or wait until messages have moved to cold storage.`,
      { outcome: 'not-stored' },
    );
  }

  #assertSpace(bytes: number): void {
    const error = this.#noSpace(bytes);
    if (error !== null) throw error;
  }

  #overLimit(plan: Plan): RailheadError | null {
    const { topic } = plan;
    const { maxMessages, maxBytes } = topic.policy;
    if (maxMessages !== null) {
      const depth = topic.depth;
      if (depth + plan.stored > maxMessages)
        return full(topic, `It holds ${depth} messages of at most ${maxMessages} (maxMessages)`);
    }
    if (maxBytes !== null) {
      const bytes = bytesOf(topic);
      if (bytes + plan.bytes > maxBytes)
        return full(topic, `It holds ${bytes} bytes of at most ${maxBytes} (maxBytes)`);
    }
    return null;
  }

  #rateLimited(topic: Topic, count: number): RailheadError | null {
    const { publishRate } = topic.policy;
    if (publishRate === null || this.#limiter(topic)?.tryTake(count, this.#shard.clock.now()) !== false) return null;
    return new RailheadError(
      'RATE_LIMITED',
      `More than ${publishRate.count} messages per ${publishRate.perMs} ms for ${JSON.stringify(topic.name)} (publishRate). Send slower.`,
      { outcome: 'not-stored' },
    );
  }

  #limiter(topic: Topic): RateLimiter | undefined {
    const { publishRate } = topic.policy;
    if (publishRate === null) return undefined;
    let limiter = this.#rates.get(publishRate);
    if (limiter === undefined) this.#rates.set(publishRate, (limiter = new RateLimiter(publishRate)));
    return limiter;
  }

  #rateWait(topic: Topic, count: number): number {
    const now = this.#shard.clock.now();
    return topic.policy.publishRate === null ? Infinity : now + (this.#limiter(topic)?.waitMs(count, now) ?? 0);
  }

  // ---- Do ---------------------------------------------------------------------------------------------------------

  #execute(plans: readonly Plan[], topicId: number, history?: MessageHistory): PublishReceipt {
    const now = this.#shard.clock.now();
    const runs: (PublishReceipt['runs'][number] & { first: number })[] = [];
    const shared = mergeable(plans);
    if (shared !== null)
      this.#store(
        plans.map((plan) => plan.topic),
        shared,
        plans[0]?.format ?? 0,
        now,
        undefined,
        history,
        runs,
      );
    for (const plan of plans) {
      for (const part of plan.parts) {
        if (part.kind === 'duplicate') {
          this.#counter(plan.topic).duplicates += part.count;
          runs.push({
            topicId: plan.topic.id,
            ...resolveTwin(part, plan, runs),
            count: part.count,
            duplicate: true,
            first: part.first,
          });
        } else if (part.kind === 'store' && shared === null) {
          const producer = part.indexes === null ? plan.producer : undefined;
          this.#store([plan.topic], part, plan.format, now, producer, history, runs);
        }
      }
      this.#makeRoom(plan);
    }
    runs.sort((a, b) => a.first - b.first);
    return { topicId, runs: runs.map(({ first: _, ...run }) => run) };
  }

  #store(
    topics: readonly Topic[],
    part: Part & { kind: 'store' },
    format: number,
    now: number,
    producer: PublishRequest['producer'],
    history: MessageHistory | undefined,
    runs: (PublishReceipt['runs'][number] & { first: number })[],
  ): void {
    const targets: Target[] = topics.map((topic) => ({
      topicId: topic.id,
      partition: part.partition,
      offset: topic.partition(part.partition).end,
    }));
    const entry: PublishEntry = {
      type: 'publish',
      targets,
      format,
      count: part.count,
      publishedAt: now,
      records: part.records,
    };
    const { priorities, due, expires, keys, dedupeIds, excluded } = part.examined;
    if (priorities) entry.priorities = priorities;
    if (due) entry.due = due;
    if (expires) entry.expires = expires;
    if (keys) entry.keys = [...keys];
    if (dedupeIds) entry.dedupeIds = dedupeIds;
    if (excluded) entry.excluded = excluded;
    if (producer) entry.producer = producer;
    if (history) entry.history = history;
    this.#shard.record(entry);
    targets.forEach((target, i) => {
      if (part.indexes === null) runs.push({ ...target, count: part.count, first: part.first });
      else pushRuns(runs, target, part.indexes);
      const topic = topics[i];
      if (topic === undefined) return;
      this.#counter(topic).published += part.count;
      this.#dispatcher.touchTopic(topic, due !== undefined || expires !== undefined);
    });
  }

  /** `drop-oldest` and `dead-letter-oldest`: the newest stay, whatever came first goes. */
  #makeRoom({ topic }: Plan): void {
    const { overflow, maxMessages, maxBytes } = topic.policy;
    if (overflow !== 'drop-oldest' && overflow !== 'dead-letter-oldest') return;
    let excess = maxMessages === null ? 0 : topic.depth - maxMessages;
    if (maxBytes !== null) {
      const bytes = bytesOf(topic);
      const depth = topic.depth;
      if (bytes > maxBytes && depth > 0) excess = Math.max(excess, Math.ceil((bytes - maxBytes) / (bytes / depth)));
    }
    if (excess > 0) this.#dispatcher.evictOldest(topic, excess, overflow === 'dead-letter-oldest');
  }

  #counter(topic: Topic): { published: number; duplicates: number; refused: number } {
    let counter = this.counters.get(topic);
    if (counter === undefined) this.counters.set(topic, (counter = { published: 0, duplicates: 0, refused: 0 }));
    return counter;
  }
}

/** One body for several topics, if nothing sets the copies apart but their filters. */
function mergeable(plans: readonly Plan[]): (Part & { kind: 'store' }) | null {
  if (plans.length < 2) return null;
  const excluded: NonNullable<Examined['excluded']> = [];
  let first: (Part & { kind: 'store' }) | undefined;
  for (const plan of plans) {
    const part = plan.parts[0];
    if (
      plan.parts.length !== 1 ||
      part?.kind !== 'store' ||
      part.partition !== 0 ||
      part.examined.dedupeIds !== undefined
    )
      return null;
    first ??= part;
    if (part.records !== first.records || !sameTimes(part.examined.expires, first.examined.expires)) return null;
    if ((part.examined.keys === undefined) !== (first.examined.keys === undefined)) return null;
    excluded.push(...(part.examined.excluded ?? []));
  }
  if (first === undefined) return null;
  return excluded.length === 0 ? first : { ...first, examined: { ...first.examined, excluded } };
}

function sameTimes(a: Float64Array | undefined, b: Float64Array | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.every((time, i) => time === b[i]));
}

/** A duplicate within its own batch points to where its twin has just gone. */
function resolveTwin(
  part: { partition: number; offset: number },
  plan: Plan,
  runs: readonly (PublishReceipt['runs'][number] & { first: number })[],
): { partition: number; offset: number } {
  if (part.partition >= 0) return { partition: part.partition, offset: part.offset };
  const run = runs.find(
    (r) => r.topicId === plan.topic.id && part.offset >= r.first && part.offset < r.first + r.count,
  );
  return { partition: run?.partition ?? 0, offset: (run?.offset ?? 0) + part.offset - (run?.first ?? 0) };
}

function pushRuns(
  runs: (PublishReceipt['runs'][number] & { first: number })[],
  target: Target,
  indexes: readonly number[],
): void {
  indexes.forEach((index, i) => {
    const last = runs.at(-1);
    if (i > 0 && last !== undefined && last.first + last.count === index) last.count++;
    else
      runs.push({
        topicId: target.topicId,
        partition: target.partition,
        offset: target.offset + i,
        count: 1,
        first: index,
      });
  });
}

/** What the entries of a plan take at most: columns and ids of each message beside its record. */
function entryBound(plan: Plan): number {
  const texts = plan.parts.some(
    (part) => part.kind === 'store' && (part.examined.keys ?? part.examined.dedupeIds) !== undefined,
  );
  return plan.bytes * (texts ? 2 : 1) + plan.stored * 24 + 256;
}

function bytesOf(topic: Topic): number {
  let bytes = 0;
  for (const partition of topic.partitions) bytes += partition.bytes;
  return bytes;
}

function safer(a: Durability, b: Durability): Durability {
  return a === 'fsync' || b === 'fsync' ? 'fsync' : a === 'write' || b === 'write' ? 'write' : 'memory';
}

function full(topic: Topic, why: string): RailheadError {
  return new RailheadError(
    'QUEUE_FULL',
    `${JSON.stringify(topic.name)} is full. ${why}. Consume faster, raise the limit, or choose another overflow.`,
    { outcome: 'not-stored' },
  );
}

function notFound(name: string): RailheadError {
  return new RailheadError(
    'NOT_FOUND',
    `There is no topic or queue ${JSON.stringify(name)}. Declare it first, or check the name and the namespace.`,
  );
}

/** FNV-1a over UTF-16 units: quick, spreads well enough, and the same in every version, since keys must stay in their partition. */
export function hashKey(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
