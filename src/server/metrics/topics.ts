import type { SubscriptionStats, SurveyedTopic } from '../../core/stats.ts';
import type { Exposition, Labels } from '../../gateways/metrics/exposition.ts';
import { type Column, SeriesGroup } from '../../gateways/metrics/series.ts';
import type { Slices } from '../../gateways/metrics/slices.ts';

const OTHER = 'other';
/** Queues between two looks at the time. */
const STEP = 8;

const TOPIC_COLUMNS: readonly Column<SurveyedTopic>[] = [
  {
    name: 'railhead_topic_messages',
    type: 'gauge',
    help: 'Messages of a queue that are not settled; messages that a topic keeps.',
    of: ({ stats }) => stats.messages,
  },
  {
    name: 'railhead_topic_bytes',
    type: 'gauge',
    help: 'Bytes of the messages that are kept.',
    of: ({ stats }) => stats.bytes,
  },
  {
    name: 'railhead_topic_published_total',
    type: 'counter',
    help: 'Messages stored since the broker started.',
    of: ({ stats }) => stats.published,
  },
  {
    name: 'railhead_topic_duplicates_total',
    type: 'counter',
    help: 'Messages that were there already and not stored again.',
    of: ({ stats }) => stats.duplicates,
  },
  {
    name: 'railhead_topic_refused_total',
    type: 'counter',
    help: 'Messages that a limit of the topic refused.',
    of: ({ stats }) => stats.refused,
  },
];

interface Subscribed {
  of: SurveyedTopic;
  stats: SubscriptionStats;
  now: number;
}

const SUBSCRIPTION_COLUMNS: readonly Column<Subscribed>[] = [
  {
    name: 'railhead_subscription_ready',
    type: 'gauge',
    help: 'Messages that the next consumer with credit gets.',
    of: ({ stats }) => stats.ready,
  },
  {
    name: 'railhead_subscription_delayed',
    type: 'gauge',
    help: 'Messages that wait for their time: delayed, or to be tried again.',
    of: ({ stats }) => stats.delayed,
  },
  {
    name: 'railhead_subscription_leased',
    type: 'gauge',
    help: 'Messages that consumers have and did not settle.',
    of: ({ stats }) => stats.leased,
  },
  {
    name: 'railhead_subscription_oldest_seconds',
    type: 'gauge',
    help: 'Age of the oldest message that is not settled.',
    together: 'max',
    of: ({ stats: { oldestAt }, now }) => (oldestAt === null ? 0 : Math.max(0, now - oldestAt) / 1000),
  },
  {
    name: 'railhead_subscription_consumers',
    type: 'gauge',
    help: 'Consumers now.',
    of: ({ stats }) => stats.consumers,
  },
  {
    name: 'railhead_subscription_paused',
    type: 'gauge',
    help: 'Whether it is paused.',
    of: ({ stats }) => (stats.paused ? 1 : 0),
  },
  {
    name: 'railhead_subscription_delivered_total',
    type: 'counter',
    help: 'Messages given to consumers since the broker started.',
    of: ({ stats }) => stats.delivered,
  },
  {
    name: 'railhead_subscription_redelivered_total',
    type: 'counter',
    help: 'Of these, given before.',
    of: ({ stats }) => stats.redelivered,
  },
  {
    name: 'railhead_subscription_acked_total',
    type: 'counter',
    help: 'Messages that consumers are done with.',
    of: ({ stats }) => stats.acked,
  },
  {
    name: 'railhead_subscription_released_total',
    type: 'counter',
    help: 'Messages that consumers gave back.',
    of: ({ stats }) => stats.released,
  },
  {
    name: 'railhead_subscription_dead_lettered_total',
    type: 'counter',
    help: 'Messages that went to a dead-letter queue.',
    of: ({ stats }) => stats.deadLettered,
  },
  {
    name: 'railhead_subscription_expired_total',
    type: 'counter',
    help: 'Messages whose time to live ended before they were settled.',
    of: ({ stats }) => stats.expired,
  },
];

/**
 * Series of topics and subscriptions. A queue is both: a topic, and a subscription with its name. The fullest have series
 * of their own, `limit` topics and as many subscriptions.
 */
export class TopicSeries {
  readonly #topics: SeriesGroup<SurveyedTopic>;
  readonly #subscriptions: SeriesGroup<Subscribed>;

  constructor(limit: number) {
    const other = { namespace: OTHER, topic: OTHER, kind: OTHER };
    this.#topics = new SeriesGroup({
      columns: TOPIC_COLUMNS,
      key: ({ id }) => id,
      labels: labelsOf,
      isBlank: ({ stats }) =>
        stats.messages === 0 &&
        stats.bytes === 0 &&
        stats.published === 0 &&
        stats.duplicates === 0 &&
        stats.refused === 0,
      rank: ({ stats }) => stats.messages,
      limit,
      other,
    });
    this.#subscriptions = new SeriesGroup({
      columns: SUBSCRIPTION_COLUMNS,
      key: ({ of, stats }) => `${of.id}/${stats.subscription}`,
      labels: ({ of, stats }) => ({ ...labelsOf(of), subscription: stats.subscription }),
      isBlank: ({ stats }) =>
        stats.depth === 0 &&
        stats.oldestAt === null &&
        stats.consumers === 0 &&
        !stats.paused &&
        stats.delivered === 0 &&
        stats.redelivered === 0 &&
        stats.acked === 0 &&
        stats.released === 0 &&
        stats.deadLettered === 0 &&
        stats.expired === 0,
      rank: ({ stats }) => stats.depth,
      limit,
      other: { ...other, subscription: OTHER },
    });
  }

  async write(out: Exposition, survey: Iterable<SurveyedTopic>, slices: Slices, now: number): Promise<void> {
    const topics = this.#topics.finder();
    const subscriptions = this.#subscriptions.finder();
    for (const of of survey) {
      topics.add(of);
      for (const stats of of.stats.subscriptions) subscriptions.add({ of, stats, now });
      // To ask for the time costs a fifth of what a queue does.
      if (topics.total % STEP === 0 && slices.due()) await slices.rest();
    }
    await this.#topics.write(out, topics, slices);
    await this.#subscriptions.write(out, subscriptions, slices);
  }
}

function labelsOf({ namespace, stats }: SurveyedTopic): Labels {
  return { namespace, topic: stats.name, kind: stats.kind };
}
