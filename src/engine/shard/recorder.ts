import type { MessageHistory, PublishReceipt } from '../../core/session.ts';
import type { PublishEntry, Target } from '../entries.ts';
import type { Topic } from '../machine/topic.ts';
import type { Evictor } from './evictor.ts';
import type { Feeds } from './feeds.ts';
import type { Part, Plan } from './planner.ts';
import { mergeable, type NumberedRun, pushRuns, resolveTwin, withoutFirst } from './runs.ts';
import type { Shard } from './shard.ts';

/** Of a topic, since the start, for people. */
export interface TopicCounters {
  published: number;
  duplicates: number;
  refused: number;
}

const NOTHING: Readonly<TopicCounters> = { published: 0, duplicates: 0, refused: 0 };

/** Writes down what publishes were found to store: one entry for each run of records with the same fate. */
export class Recorder {
  readonly #shard: Shard;
  readonly #feeds: Feeds;
  readonly #evictor: Evictor;
  readonly #counters = new WeakMap<Topic, TopicCounters>();
  /** Called when a topic that keeps only so many bytes has more. */
  onGrown: (topic: Topic) => void = () => {};

  constructor(shard: Shard, feeds: Feeds, evictor: Evictor) {
    this.#shard = shard;
    this.#feeds = feeds;
    this.#evictor = evictor;
  }

  /** Does what was planned, and says where it went. */
  record(plans: readonly Plan[], topicId: number, history?: MessageHistory): PublishReceipt {
    const now = this.#shard.clock.now();
    const runs: NumberedRun[] = [];
    const refused: NonNullable<PublishReceipt['refused']> = [];
    const shared = mergeable(plans);
    const [first] = plans;
    if (shared !== null && first !== undefined) {
      const topics = plans.map((plan) => plan.topic);
      this.#store(topics, shared, first, now, history, runs);
    }
    for (const plan of plans) {
      for (const part of plan.parts) {
        if (part.kind === 'duplicate') {
          this.counter(plan.topic).duplicates += part.count;
          runs.push({
            topicId: plan.topic.id,
            ...resolveTwin(part, plan, runs),
            count: part.count,
            duplicate: true,
            first: part.first,
          });
        } else if (part.kind === 'store' && shared === null) {
          this.#store([plan.topic], part, plan, now, history, runs);
        } else if (part.kind === 'refused') {
          const { code, message } = part.error;
          refused.push({ index: part.first, count: part.count, code, message });
        }
      }
      this.#evictor.outgrow(plan.topic);
      if (plan.topic.policy.retain.bytes !== null && plan.stored > 0) this.onGrown(plan.topic);
    }
    runs.sort((a, b) => a.first - b.first);
    return { topicId, runs: runs.map(withoutFirst), ...(refused.length > 0 && { refused }) };
  }

  #store(
    topics: readonly Topic[],
    part: Part & { kind: 'store' },
    { format, producer, transaction }: Pick<Plan, 'format' | 'producer' | 'transaction'>,
    now: number,
    history: MessageHistory | undefined,
    runs: NumberedRun[],
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
    if (producer) entry.producer = part.indexes === null ? producer : { ...producer, indexes: part.indexes };
    if (history) entry.history = history;
    if (transaction !== undefined) entry.transaction = transaction;
    if (part.body) entry.body = part.body.body;
    this.#shard.record(entry);
    part.body?.published();
    targets.forEach((target, i) => {
      if (part.indexes === null) runs.push({ ...target, count: part.count, first: part.first });
      else pushRuns(runs, target, part.indexes);
      const topic = topics[i];
      if (topic === undefined) return;
      this.counter(topic).published += part.count;
      this.#feeds.touchTopic(topic, due !== undefined || expires !== undefined);
      for (const time of expires ?? []) if (time > 0 && time <= now) this.#feeds.touchFleeting(topic, time);
    });
  }

  /** What its topic was given, to be counted on. */
  counter(topic: Topic): TopicCounters {
    let counter = this.#counters.get(topic);
    if (counter === undefined) this.#counters.set(topic, (counter = { ...NOTHING }));
    return counter;
  }

  countersOf(topic: Topic): Readonly<TopicCounters> {
    return this.#counters.get(topic) ?? NOTHING;
  }
}
