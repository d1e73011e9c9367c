import type { RailheadError } from '../../core/errors.ts';
import { type Durability, safer } from '../../core/policy.ts';
import { asBuffer, type Envelope } from '../../core/records.ts';
import type { Shortage } from '../../core/broker-info.ts';
import type { MessageHistory, PublishReceipt } from '../../core/session.ts';
import type { LargeBody } from '../entries.ts';
import type { Topic } from '../machine/topic.ts';
import { Admission, type Freed } from './admission.ts';
import { examine } from './columns.ts';
import { openTransaction } from './fencing.ts';
import { type Obstacle, Parking } from './parking.ts';
import type { Returns } from './returns.ts';
import { entryBound, type Plan, Planner } from './planner.ts';
import type { Recorder } from './recorder.ts';
import { noTopic, type RouteGroup, Routes, singly } from './routes.ts';
import { sliceOf, type StagedPublish } from './staging.ts';
import type { Shard } from './shard.ts';

const NOTHING_FREED: Freed = new Map();

/**
 * Takes messages in: checks, routes, plans and applies the limits; what is to be stored, `Recorder` writes down.
 *
 * A publish that would go over a limit with `overflow: 'block'`, or for which the commit log has no room at the moment,
 * is parked: its promise waits, the connection goes on. Later publishes to the same topic wait behind it.
 */
export class Publisher {
  readonly #shard: Shard;
  readonly #returns: Returns;
  readonly #parking: Parking;
  readonly #planner: Planner;
  readonly #admission: Admission;
  readonly #routes: Routes;
  readonly #recorder: Recorder;

  constructor(shard: Shard, returns: Returns, recorder: Recorder) {
    this.#shard = shard;
    this.#returns = returns;
    this.#recorder = recorder;
    this.#planner = new Planner(shard);
    this.#routes = new Routes(shard);
    this.#admission = new Admission(shard);
    this.#parking = new Parking(shard, this.#admission);
  }

  publish(namespace: string, request: StagedPublish): Promise<PublishReceipt> {
    const { to } = request;
    if ('router' in to) return this.#publishRouted(namespace, request);
    return this.#publishTo(namespace, this.#routes.topic(namespace, to.topic), request);
  }

  /**
   * Checks the publishes of a transaction, all together; `publish` does them all. `bytes` is what their entries take at
   * most.
   *
   * @param head the topic whose turn it is, for one that waited
   * @param freed what the acks of the same transaction take away
   * @returns what it has to wait for, when it does
   * @throws what would refuse one of them
   */
  prepare(
    namespace: string,
    requests: readonly StagedPublish[],
    head: Topic | null,
    freed: Freed = NOTHING_FREED,
  ): Obstacle | Prepared {
    const prepared = requests.map((request) => {
      const whole = { ...request, atomic: true };
      const topics = this.#routes.forAll(namespace, whole);
      return { whole, topics, plans: topics.map((topic) => this.#planner.plan(topic, whole)) };
    });
    const plans = prepared.flatMap((one) => one.plans);
    const bytes = plans.reduce((sum, plan) => sum + entryBound(plan), 0);
    const obstacle = this.#allOrNone(plans, bytes, head, freed);
    if (obstacle !== null) return obstacle;
    const published = new Set<Topic>();
    const planAgain = ({ whole, topics, plans: planned }: (typeof prepared)[number]): readonly Plan[] => {
      // One before it may have stored the same dedupe id. A numbered batch would be taken for one that is sent again.
      const repeats = topics.some((topic) => published.has(topic));
      for (const topic of topics) published.add(topic);
      if (!repeats || whole.producer !== undefined) return planned;
      return topics.map((topic) => this.#planner.plan(topic, whole));
    };
    return {
      bytes,
      publish: () => prepared.map((one) => this.#recorder.record(planAgain(one), one.topics[0]?.id ?? 0)),
    };
  }

  /** Waits with a transaction for the room that its publishes need. */
  parkTogether<T>(
    requests: readonly StagedPublish[],
    obstacle: Obstacle,
    attempt: (head: Topic) => Promise<T> | Obstacle,
  ): Promise<T> {
    const waits = requests.flatMap(({ waitMs }) => waitMs ?? []);
    const waitMs = waits.length === 0 ? undefined : Math.min(...waits);
    const bytes = requests.reduce((sum, { records }) => sum + records.byteLength, 0);
    const messages = requests.reduce((sum, { count }) => sum + count, 0);
    return this.#parking.park({ waitMs, bytes, messages, attempt }, obstacle);
  }

  /** Stores a message that was published before (dead letter, redrive) in each of them, whatever the limits say. */
  republish(
    topics: readonly Topic[],
    { format, record, body }: Republished,
    envelope: Envelope,
    history: MessageHistory | undefined,
  ): void {
    this.#shard.beginCommand(record.byteLength * 2 * topics.length);
    // The state has a large body already: it is only named once more.
    const named = body === undefined ? undefined : { body, published: () => {} };
    const plans = topics.map((topic): Plan => {
      const examined = examine(topic, [envelope], this.#shard.clock.now(), false);
      delete examined.dedupeIds;
      const partition = this.#planner.partitionFor(topic, envelope.key);
      return {
        topic,
        format,
        parts: [
          { kind: 'store', partition, records: record, count: 1, examined, indexes: null, first: 0, body: named },
        ],
        stored: 1,
        bytes: record.byteLength,
        apartBytes: body?.bytes ?? 0,
        producer: undefined,
        transaction: undefined,
      };
    });
    this.#recorder.record(plans, topics[0]?.id ?? 0, history);
  }

  /** Lets parked publishes in for which there is room now, and gives up those that waited too long. */
  retryParked(): void {
    this.#parking.retry();
  }

  /** What keeps publishers waiting, beside the limits of their topics. */
  lack(): Shortage | null {
    const bytes = this.#parking.spaceWanted;
    if (this.#admission.hasSpace(bytes)) return null;
    return this.#shard.ledger.hasRoom(bytes) ? 'disk' : 'memory';
  }

  /** The shard failed or closes: nobody waits for nothing. */
  rejectParked(error: RailheadError): void {
    this.#parking.rejectAll(error);
  }

  // ---- Through a router -------------------------------------------------------------------------------------------

  async #publishRouted(namespace: string, request: StagedPublish): Promise<PublishReceipt> {
    const result = this.#attemptRouted(namespace, request, null);
    return result instanceof Promise
      ? result
      : this.#park(namespace, request, result, (held, head) => this.#attemptRouted(namespace, held, head));
  }

  /**
   * Through a router: runs of records with the same targets are stored together, a body once for all its targets. While
   * one of them is full and blocks, nothing is stored in any.
   *
   * @param head the topic whose turn it is, for one that waited
   */
  #attemptRouted(namespace: string, request: StagedPublish, head: Topic | null): Promise<PublishReceipt> | Obstacle {
    const { count } = request;
    const records = asBuffer(request.records);
    const format = this.#shard.formats.get(request.format);
    if (request.apart === undefined) format.check(records, count);
    const whole = this.#routes.groups(namespace, request);
    const boundsOf = (groups: readonly RouteGroup[]): Uint32Array | null =>
      groups.length > 1 ? (request.apart?.bounds ?? format.bounds(records, count)) : null;
    const plansOf = (groups: readonly RouteGroup[], bounds: Uint32Array | null): Plan[][] =>
      groups.map(({ topics, from, to }) => {
        const part = sliceOf(request, bounds, from, to);
        return topics.map((topic) => this.#planner.plan(topic, part));
      });
    let groups = whole;
    let bounds = boundsOf(groups);
    // First everything that can refuse: what is refused must not be stored in part.
    let checked = plansOf(groups, bounds);
    if (request.atomic !== true && this.#admission.takesPart(checked.flat())) {
      groups = singly(whole);
      bounds = boundsOf(groups);
      checked = plansOf(groups, bounds);
    }
    const receipt: PublishReceipt = { topicId: groups[0]?.topics[0]?.id ?? 0, runs: [] };
    let level: Durability = 'memory';
    const plans = checked.flat();
    const bytes = plans.reduce((sum, plan) => sum + entryBound(plan), 0);
    const { atomic = false } = request;
    const obstacle = atomic ? this.#allOrNone(plans, bytes, head) : this.#obstacle(plans, bytes, head);
    if (obstacle !== null) return obstacle;
    if (!atomic) this.#admission.take(plans, 'those that block');
    this.#shard.beginCommand(bytes);
    for (const [i, group] of groups.entries()) {
      const { from, to } = group;
      // Planned anew after the groups before it, which may hold the same dedupe ids.
      const planned = i === 0 ? (checked[0] ?? []) : (plansOf([group], bounds)[0] ?? []);
      const dying = new Set<number>();
      const open = planned.filter((plan) => {
        const { overflow } = plan.topic.policy;
        if (overflow === 'block' || atomic) return true;
        const why = this.#admission.refusal(plan);
        if (why === null) return true;
        (receipt.refused ??= []).push({ index: from, count: to - from, code: why.code, message: why.message });
        const buried = overflow === 'dead-letter-newest' && this.#mayBury(plan, why);
        if (buried) dying.add(plan.topic.id);
        return buried;
      });
      for (const run of this.#recorder.record(open, receipt.topicId).runs) {
        const topic = dying.has(run.topicId) ? this.#shard.state.topics.get(run.topicId) : undefined;
        if (topic === undefined) receipt.runs.push(run);
        else if (run.duplicate !== true) this.#bury(topic, run.partition, run.offset, run.count);
      }
      for (const plan of open) level = safer(level, plan.topic.policy.durability);
    }
    this.#shard.endCommand();
    return this.#shard.durable(receipt, level);
  }

  #park(
    namespace: string,
    request: StagedPublish,
    obstacle: Obstacle,
    attempt: (held: StagedPublish, head: Topic) => Promise<PublishReceipt> | Obstacle,
  ): Promise<PublishReceipt> {
    const { transaction: ref, waitMs, records, count } = request;
    const held =
      ref === undefined
        ? request
        : { ...request, within: openTransaction(this.#shard.state, namespace, ref).transaction };
    const waiting = { waitMs, bytes: records.byteLength, messages: count };
    return this.#parking.park({ ...waiting, attempt: (head) => attempt(held, head) }, obstacle);
  }

  /** As `#obstacle`, for what is stored in all its topics or in none; then all its tokens are taken. @throws what refuses it */
  #allOrNone(plans: readonly Plan[], bytes: number, head: Topic | null, freed: Freed = NOTHING_FREED): Obstacle | null {
    const refusal = this.#admission.refusalOfAll(plans, freed);
    if (refusal !== null) {
      for (const { topic, stored } of plans) this.#recorder.counter(topic).refused += stored;
      throw refusal;
    }
    const obstacle = this.#obstacle(plans, bytes, head, freed);
    if (obstacle === null) this.#admission.take(plans, 'all');
    return obstacle;
  }

  /** What publishes to several topics have to wait for; null when nothing is in their way. */
  #obstacle(plans: readonly Plan[], bytes: number, head: Topic | null, freed: Freed = NOTHING_FREED): Obstacle | null {
    const [first] = plans;
    if (first === undefined) return null;
    for (const { topic } of plans) {
      // Those before it may wait for the very messages that it acks, so that it must not wait for them.
      const queued = topic === head || freed.has(topic) ? undefined : this.#parking.queued(topic);
      if (queued !== undefined) return queued;
    }
    const noSpace = this.#admission.noSpace(bytes);
    if (noSpace !== null) return { topic: head ?? first.topic, why: noSpace };
    return this.#admission.blocked(plans, freed);
  }

  // ---- One topic --------------------------------------------------------------------------------------------------

  #publishTo(namespace: string, topic: Topic, request: StagedPublish): Promise<PublishReceipt> {
    const result = this.#parking.queued(topic) ?? this.#attempt(topic, request);
    if (result instanceof Promise) return result;
    return this.#park(namespace, request, result, (held, head) => {
      if (this.#shard.state.topics.get(head.id) !== head) throw noTopic(head.name);
      return this.#attempt(head, held);
    });
  }

  /** Stores it, or returns why it must wait. Throws what refuses it for good. */
  #attempt(topic: Topic, request: StagedPublish): Promise<PublishReceipt> | Obstacle {
    const { policy } = topic;
    const noSpace = this.#admission.noSpace(request.records.byteLength);
    if (noSpace !== null) return { topic, why: noSpace };
    const plan = this.#planner.plan(topic, request);
    this.#shard.beginCommand(entryBound(plan));
    const limited =
      policy.overflow === 'block'
        ? this.#admission.refusal(plan)
        : (this.#admission.rateLimited(topic, plan.stored) ?? this.#admission.overLimit(plan));
    if (limited !== null) {
      if (policy.overflow === 'block') return { topic, why: limited };
      if (policy.overflow === 'dead-letter-newest' && this.#mayBury(plan, limited))
        return this.#buryExcess(plan, request, limited);
      if (policy.overflow === 'reject' || policy.overflow === 'dead-letter-newest' || limited.code === 'RATE_LIMITED')
        return this.#refuseExcess(plan, request, limited);
    }
    const receipt = this.#recorder.record([plan], topic.id);
    this.#shard.endCommand();
    return this.#shard.durable(receipt, policy.durability);
  }

  /** Without `atomic`, the records that fit are stored and the others refused. */
  #refuseExcess(plan: Plan, request: StagedPublish, why: RailheadError): Promise<PublishReceipt> {
    const { topic } = plan;
    const counter = this.#recorder.counter(topic);
    const room =
      topic.policy.maxMessages === null || why.code === 'RATE_LIMITED' ? 0 : topic.policy.maxMessages - topic.depth;
    if (
      request.atomic === true ||
      request.apart !== undefined ||
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
    const receipt = this.#recorder.record([this.#planner.plan(topic, fitting)], topic.id);
    receipt.refused = [{ index: room, count: request.count - room, code: why.code, message: why.message }];
    this.#shard.endCommand();
    return this.#shard.durable(receipt, topic.policy.durability);
  }

  /** What an open transaction publishes is nobody's yet, and what comes too fast is to come again. */
  #mayBury({ transaction }: Plan, why: RailheadError): boolean {
    return transaction === undefined && why.code === 'QUEUE_FULL';
  }

  /** What fits is stored and the others are dead letters: stored too, and dying before anybody gets them. */
  #buryExcess(plan: Plan, request: StagedPublish, why: RailheadError): Promise<PublishReceipt> {
    const { topic, parts } = plan;
    const [part] = parts;
    const alone = parts.length === 1 && part?.kind === 'store' && request.atomic !== true;
    const room = alone && topic.policy.maxMessages !== null ? Math.max(0, topic.policy.maxMessages - topic.depth) : 0;
    const receipt = this.#recorder.record([plan], topic.id);
    const kept: PublishReceipt['runs'] = [];
    let index = 0;
    for (const run of receipt.runs) {
      const fits = run.duplicate === true ? run.count : Math.min(run.count, Math.max(0, room - index));
      if (fits > 0) kept.push({ ...run, count: fits });
      if (fits < run.count) {
        (receipt.refused ??= []).push({
          index: index + fits,
          count: run.count - fits,
          code: why.code,
          message: why.message,
        });
        this.#bury(topic, run.partition, run.offset + fits, run.count - fits);
      }
      index += run.count;
    }
    receipt.runs = kept;
    this.#shard.endCommand();
    return this.#shard.durable(receipt, topic.policy.durability);
  }

  #bury(topic: Topic, partition: number, offset: number, count: number): void {
    this.#recorder.counter(topic).refused += count;
    const offsets = Array.from({ length: count }, (_, i) => offset + i);
    for (const subscription of topic.subscriptions.values())
      this.#returns.sendToDead(subscription, partition, offsets, 'overflow', undefined);
  }
}

/** The publishes of a transaction, for which there is room. */
interface Prepared {
  bytes: number;
  publish: () => PublishReceipt[];
}

/** A message as it was stored. */
interface Republished {
  format: number;
  record: Buffer;
  body?: LargeBody | undefined;
}
