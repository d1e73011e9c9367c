import { RailheadError } from '../../core/errors.ts';
import { asBuffer, FORMAT_NATIVE } from '../../core/records.ts';
import type { ScheduleDefinition } from '../../core/schedules.ts';
import type { Operations } from '../../core/session.ts';
import type { Schedule } from '../machine/directory.ts';
import { scoped } from '../machine/scoped.ts';
import type { Unsettled } from '../machine/snapshot.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import { nextRun } from '../schedule/cron.ts';
import type { Bodies } from './bodies.ts';
import { examine } from './columns.ts';
import type { Definitions } from './definitions.ts';
import type { Feeds } from './feeds.ts';
import type { Publisher } from './publisher.ts';
import type { Shard } from './shard.ts';

/** How often retention by age is looked at, as a part of the age, and its bounds. */
const RETENTION_PART = 20;
const RETENTION_MIN_MS = 100;
const RETENTION_MAX_MS = 60_000;
const FILL_BYTES = 1 << 20;
/** What an offer takes in the journal for a message, as a rule. */
const OFFER_BYTES = 128;
/** What the next time of a schedule takes, beside its message. */
const FIRE_BYTES = 4096;

/**
 * What happens by itself: retention by age and size, queues that nobody uses, cron schedules, and old messages that are
 * looked through for a subscription that starts in the past. Everything by appointment, nothing by polling.
 */
export class Caretaker {
  readonly #shard: Shard;
  readonly #feeds: Feeds;
  readonly #publisher: Publisher;
  readonly #definitions: Definitions;
  readonly #bodies: Bodies;
  readonly #filling = new Set<Subscription>();
  /** Topics that keep only the newest message of each key. */
  readonly compacted = new Set<Topic>();

  constructor(shard: Shard, feeds: Feeds, publisher: Publisher, definitions: Definitions, bodies: Bodies) {
    this.#shard = shard;
    this.#feeds = feeds;
    this.#publisher = publisher;
    this.#definitions = definitions;
    this.#bodies = bodies;
  }

  /** After a start. */
  arm(): void {
    for (const topic of this.#shard.state.topics.values()) this.watch(topic);
    for (const schedule of this.#shard.state.directory.schedules.values()) this.#armSchedule(schedule);
  }

  /** A topic was declared or its policy changed. */
  watch(topic: Topic): void {
    const { retain, expireUnusedMs } = topic.policy;
    if (retain.compact && this.#shard.state.topics.get(topic.id) === topic) this.compacted.add(topic);
    else this.compacted.delete(topic);
    const ages = [retain.ageMs ?? Infinity, retainSettledMs(topic) || Infinity];
    const age = Math.min(...ages);
    if (age < Infinity) this.#watchAge(topic, age);
    this.#forgetSettled(topic);
    if (retain.bytes !== null) this.checkBytes(topic);
    if (expireUnusedMs !== null) this.#watchUnused(topic, expireUnusedMs);
    for (const subscription of topic.subscriptions.values()) this.fill(subscription);
  }

  // ---- Retention --------------------------------------------------------------------------------------------------

  #watchAge(topic: Topic, ageMs: number): void {
    const every = Math.min(Math.max(ageMs / RETENTION_PART, RETENTION_MIN_MS), RETENTION_MAX_MS);
    this.#shard.agenda.set(`age:${topic.id}`, this.#shard.clock.now() + every, () => {
      if (this.#shard.state.topics.get(topic.id) !== topic) return;
      this.#trimAge(topic);
      this.#forgetSettled(topic);
      this.watch(topic);
    });
  }

  #trimAge(topic: Topic): void {
    const now = this.#shard.clock.now();
    const { retain } = topic.policy;
    if (retain.ageMs === null) return;
    const before = now - retain.ageMs;
    topic.partitions.forEach((partition, index) => {
      let start = partition.startForAge(before);
      if (retain.untilSettled) start = Math.min(start, topic.floor(index));
      this.#trim(topic, index, start);
    });
  }

  /** What was settled long enough ago need not be kept any more. */
  #forgetSettled(topic: Topic): void {
    for (const { id, policy, backlogs } of topic.subscriptions.values()) {
      const before = this.#shard.clock.now() - policy.retainSettledMs;
      if (!backlogs.some(({ retained }) => retained.hasOlder(before))) continue;
      this.#shard.record({ type: 'forgotten', topicId: topic.id, subscriptionId: id, before });
    }
  }

  /** After a publish to a topic that is bounded by size. */
  checkBytes(topic: Topic): void {
    const { retain } = topic.policy;
    if (retain.bytes === null) return;
    const limit = retain.bytes / topic.partitions.length;
    topic.partitions.forEach((partition, index) => {
      if (partition.bytes <= limit) return;
      let start = partition.startForBytes(limit);
      if (retain.untilSettled) start = Math.min(start, topic.floor(index));
      this.#trim(topic, index, start);
    });
  }

  /** Because somebody wants it so. */
  trim(topic: Topic, { partition, before }: Operations['trimTopic']['args']): Operations['trimTopic']['result'] {
    if (topic.kind === 'queue')
      throw new RailheadError('INVALID', `${JSON.stringify(topic.name)} is a queue; purge it, or cancel its messages.`);
    const found = topic.partitions[partition];
    if (found === undefined)
      throw new RailheadError(
        'INVALID',
        `Partition ${partition} of ${JSON.stringify(topic.name)}; it has ${topic.partitions.length}, from 0.`,
      );
    if (!Number.isInteger(before) || before < 0 || before > found.end)
      throw new RailheadError(
        'OFFSET_OUT_OF_RANGE',
        `The messages before ${before} of a partition that ends at ${found.end}.`,
      );
    this.#trim(topic, partition, before);
    return { start: found.start };
  }

  /** Not beyond what is decided: a transaction that commits must not find its messages gone. */
  #trim(topic: Topic, partition: number, wanted: number): void {
    const start = Math.min(wanted, topic.partition(partition).stableEnd);
    if (start <= topic.partition(partition).start) return;
    this.#shard.record({ type: 'trim', topicId: topic.id, partition, start });
    for (const subscription of topic.subscriptions.values()) this.#feeds.recount(subscription);
    this.#feeds.touchTopic(topic, false);
  }

  #watchUnused(topic: Topic, unusedMs: number): void {
    const last = Math.max(topic.createdAt, ...[...topic.subscriptions.values()].map((s) => this.#feeds.lastUsed(s)));
    const now = this.#shard.clock.now();
    if (last + unusedMs <= now) this.#definitions.deleteTopic(topic.namespace, { name: topic.name });
    else
      this.#shard.agenda.set(`unused:${topic.id}`, last + unusedMs, () => {
        if (this.#shard.state.topics.get(topic.id) === topic) this.watch(topic);
      });
  }

  // ---- Old messages for a new subscription ------------------------------------------------------------------------

  /** Looks through what the topic kept, in pieces, until the subscription has caught up. */
  fill(subscription: Subscription): void {
    if (this.#filling.has(subscription) || subscription.backlogs.every((backlog) => backlog.fillFrom === null)) return;
    this.#filling.add(subscription);
    this.#fillAll(subscription)
      .catch((error: unknown) => this.#shard.fail(error))
      .finally(() => this.#filling.delete(subscription));
  }

  async #fillAll(subscription: Subscription): Promise<void> {
    const { topic } = subscription;
    // A seek may send a partition back that was done already.
    for (
      let partition = 0;
      partition >= 0;
      partition = subscription.backlogs.findIndex((one) => one.fillFrom !== null)
    ) {
      const backlog = subscription.backlogs[partition];
      while (backlog !== undefined && backlog.fillFrom !== null) {
        const from = backlog.fillFrom;
        const { restoring } = backlog;
        const first = restoring?.next(from) ?? from;
        const bodies = await this.#bodies.load(topic, partition, first, topic.partition(partition).end, FILL_BYTES);
        const messages = bodies.reduce((sum, { count }) => sum + count, 0);
        const room = OFFER_BYTES * (1 + messages);
        if (!this.#shard.hasRoom(room) && !(await this.#shard.roomInTime(room))) return;
        if (
          this.#shard.failure !== null ||
          this.#shard.closing ||
          topic.subscriptions.get(subscription.id) !== subscription
        )
          return;
        if (backlog.fillFrom === from && backlog.restoring === restoring)
          this.#offer(subscription, partition, from, bodies);
        await this.#shard.durable(null, 'memory');
      }
    }
  }

  #offer(
    subscription: Subscription,
    partition: number,
    from: number,
    bodies: Awaited<ReturnType<Bodies['load']>>,
  ): void {
    const { topic } = subscription;
    const ids = { topicId: topic.id, subscriptionId: subscription.id, partition };
    const now = this.#shard.clock.now();
    let at = from;
    const end = topic.partition(partition).end;
    const restoring = subscription.backlogs[partition]?.restoring ?? null;
    for (const body of bodies) {
      if (topic.partition(partition).isHidden(body.offset)) {
        at = body.offset + body.count;
        this.#shard.record({ type: 'offer', ...ids, from: body.offset, count: 0, next: at >= end ? null : at });
        this.#shard.endCommand();
        continue;
      }
      const envelopes = this.#bodies.envelopes(body);
      // The delay and the life that its sender gave a message were over before it became a dead letter.
      const examined = examine(topic, envelopes, body.publishedAt, body.history === undefined);
      const expired =
        examined.expires === undefined
          ? []
          : [...examined.expires].flatMap((time, i) => (time > 0 && time <= now ? [i] : []));
      const refused = examined.excluded?.find((x) => x.subscriptionId === subscription.id)?.indexes ?? [];
      const settled = restoring === null ? [] : settledIn(restoring, body.offset, body.count);
      const excluded = [...new Set([...refused, ...expired, ...settled])].sort((a, b) => a - b);
      at = body.offset + body.count;
      const keys = envelopes.some((envelope) => envelope.key !== undefined)
        ? envelopes.map((envelope) => envelope.key ?? null)
        : undefined;
      this.#shard.record({
        type: 'offer',
        ...ids,
        from: body.offset,
        count: body.count,
        next: at >= end ? null : at,
        ...(examined.priorities && { priorities: examined.priorities }),
        ...(examined.due && { due: [...examined.due] }),
        ...(examined.expires && { expires: [...examined.expires] }),
        ...(keys && { keys }),
        ...(excluded.length > 0 && { excluded }),
      });
      // Each says where to go on: together they may be more than one batch takes.
      this.#shard.endCommand();
    }
    if (bodies.length === 0) this.#shard.record({ type: 'offer', ...ids, from, count: 0, next: null });
    this.#feeds.touchTopic(topic, true);
    this.#shard.endCommand();
  }

  // ---- Schedules --------------------------------------------------------------------------------------------------

  putSchedule(namespace: string, args: Operations['putSchedule']['args']): Operations['putSchedule']['result'] {
    const { name, cron, topic } = args;
    const timezone = args.timezone ?? 'UTC';
    this.#definitions.topic(namespace, topic);
    const record = asBuffer(args.record);
    this.#shard.formats.get(FORMAT_NATIVE).check(record, 1);
    this.#shard.assertKept(record, 'The message of a schedule');
    const nextAt = nextRun(cron, timezone, this.#shard.clock.now());
    const before = this.#shard.state.directory.schedules.get(scoped(namespace, name));
    const same =
      before !== undefined &&
      before.cron === cron &&
      before.timezone === timezone &&
      before.topic === topic &&
      record.equals(asBuffer(before.record));
    if (same) return { created: false, nextAt: before.nextAt };
    this.#shard.record({
      type: 'schedule',
      namespace,
      name,
      cron,
      timezone,
      topic,
      record,
      nextAt,
      lastAt: before?.lastAt ?? null,
    });
    const schedule = this.#shard.state.directory.schedules.get(scoped(namespace, name));
    if (schedule !== undefined) this.#armSchedule(schedule);
    return { created: before === undefined, nextAt };
  }

  deleteSchedule(namespace: string, name: string): { deleted: boolean } {
    const key = scoped(namespace, name);
    if (!this.#shard.state.directory.schedules.has(key)) return { deleted: false };
    this.#shard.record({ type: 'scheduleGone', namespace, name });
    this.#shard.agenda.cancel(`cron:${key}`);
    return { deleted: true };
  }

  listSchedules(namespace: string): { schedules: ScheduleDefinition[] } {
    const schedules: ScheduleDefinition[] = [];
    for (const { namespace: own, ...schedule } of this.#shard.state.directory.schedules.values())
      if (own === namespace) schedules.push(schedule);
    return { schedules };
  }

  #armSchedule(schedule: Schedule): void {
    const key = scoped(schedule.namespace, schedule.name);
    if (schedule.nextAt === null) return;
    this.#shard.agenda.set(`cron:${key}`, schedule.nextAt, () => this.#fire(key));
  }

  /** One message and the next time in one batch: after a crash it has either been sent or will be. What was missed while the broker was down is sent once. */
  #fire(key: string): void {
    const schedule = this.#shard.state.directory.schedules.get(key);
    const now = this.#shard.clock.now();
    if (schedule === undefined || schedule.nextAt === null || schedule.nextAt > now) return;
    if (!this.#shard.hasRoom(FIRE_BYTES)) {
      void this.#shard.roomInTime(FIRE_BYTES).then((there) => there && this.#fire(key));
      return;
    }
    const { namespace, name } = schedule;
    const topic = this.#shard.state.topicNamed(namespace, schedule.topic);
    if (topic !== undefined) {
      try {
        const message = { to: { topic: schedule.topic }, format: FORMAT_NATIVE, records: schedule.record, count: 1 };
        const prepared = this.#publisher.prepare(namespace, [message], null);
        // A run that finds no room is left out, whatever the overflow: the next one is tried at its time.
        if (!('why' in prepared)) {
          this.#shard.beginCommand(prepared.bytes);
          prepared.publish();
        }
      } catch (error) {
        if (!RailheadError.is(error)) throw error;
      }
    }
    const nextAt = nextRun(schedule.cron, schedule.timezone, now);
    this.#shard.record({ type: 'schedule', ...schedule, nextAt, lastAt: now });
    const next = this.#shard.state.directory.schedules.get(scoped(namespace, name));
    if (next !== undefined) this.#armSchedule(next);
  }
}

/** Indexes of those of a body that the snapshot had settled. */
function settledIn(unsettled: Unsettled, offset: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => i).filter((i) => !unsettled.has(offset + i));
}

function retainSettledMs(topic: Topic): number {
  let longest = 0;
  for (const { policy } of topic.subscriptions.values()) longest = Math.max(longest, policy.retainSettledMs);
  return longest;
}
