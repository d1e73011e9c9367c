import type { SubscriptionStats, TopicStats } from '../../core/stats.ts';
import type { Surveyed } from '../../engine/broker.ts';
import type { Exposition } from '../../gateways/metrics/exposition.ts';
import { type Column, type Row, SeriesGroup } from '../../gateways/metrics/series.ts';
import type { Slices } from '../../gateways/metrics/slices.ts';

const OTHER = 'other';

interface TopicColumn extends Column {
  of: (stats: TopicStats) => number;
}

const TOPIC_COLUMNS: readonly TopicColumn[] = [
  {
    name: 'railhead_topic_messages',
    type: 'gauge',
    help: 'Messages of a queue that are not settled; messages that a topic keeps.',
    of: ({ messages }) => messages,
  },
  {
    name: 'railhead_topic_bytes',
    type: 'gauge',
    help: 'Bytes of the messages that are kept.',
    of: ({ bytes }) => bytes,
  },
  {
    name: 'railhead_topic_published_total',
    type: 'counter',
    help: 'Messages stored since the broker started.',
    of: ({ published }) => published,
  },
  {
    name: 'railhead_topic_duplicates_total',
    type: 'counter',
    help: 'Messages that were there already and not stored again.',
    of: ({ duplicates }) => duplicates,
  },
  {
    name: 'railhead_topic_refused_total',
    type: 'counter',
    help: 'Messages that a limit of the topic refused.',
    of: ({ refused }) => refused,
  },
];

interface SubscriptionColumn extends Column {
  of: (stats: SubscriptionStats, now: number) => number;
}

const SUBSCRIPTION_COLUMNS: readonly SubscriptionColumn[] = [
  {
    name: 'railhead_subscription_ready',
    type: 'gauge',
    help: 'Messages that the next consumer with credit gets.',
    of: ({ ready }) => ready,
  },
  {
    name: 'railhead_subscription_delayed',
    type: 'gauge',
    help: 'Messages that wait for their time: delayed, or to be tried again.',
    of: ({ delayed }) => delayed,
  },
  {
    name: 'railhead_subscription_leased',
    type: 'gauge',
    help: 'Messages that consumers have and did not settle.',
    of: ({ leased }) => leased,
  },
  {
    name: 'railhead_subscription_oldest_seconds',
    type: 'gauge',
    help: 'Age of the oldest message that is not settled.',
    together: 'max',
    of: ({ oldestAt }, now) => (oldestAt === null ? 0 : Math.max(0, now - oldestAt) / 1000),
  },
  {
    name: 'railhead_subscription_consumers',
    type: 'gauge',
    help: 'Consumers now.',
    of: ({ consumers }) => consumers,
  },
  {
    name: 'railhead_subscription_paused',
    type: 'gauge',
    help: 'Whether it is paused.',
    of: ({ paused }) => (paused ? 1 : 0),
  },
  {
    name: 'railhead_subscription_delivered_total',
    type: 'counter',
    help: 'Messages given to consumers since the broker started.',
    of: ({ delivered }) => delivered,
  },
  {
    name: 'railhead_subscription_redelivered_total',
    type: 'counter',
    help: 'Of these, given before.',
    of: ({ redelivered }) => redelivered,
  },
  {
    name: 'railhead_subscription_acked_total',
    type: 'counter',
    help: 'Messages that consumers are done with.',
    of: ({ acked }) => acked,
  },
  {
    name: 'railhead_subscription_released_total',
    type: 'counter',
    help: 'Messages that consumers gave back.',
    of: ({ released }) => released,
  },
  {
    name: 'railhead_subscription_dead_lettered_total',
    type: 'counter',
    help: 'Messages that went to a dead-letter queue.',
    of: ({ deadLettered }) => deadLettered,
  },
  {
    name: 'railhead_subscription_expired_total',
    type: 'counter',
    help: 'Messages whose time to live ended before they were settled.',
    of: ({ expired }) => expired,
  },
];

/**
 * Series of topics and subscriptions. A queue is both: a topic, and a subscription with its name. The fullest have series
 * of their own, `limit` topics and as many subscriptions.
 */
export class TopicSeries {
  readonly #topics: SeriesGroup;
  readonly #subscriptions: SeriesGroup;

  constructor(limit: number) {
    const other = { namespace: OTHER, topic: OTHER, kind: OTHER };
    this.#topics = new SeriesGroup(TOPIC_COLUMNS, { limit, other });
    this.#subscriptions = new SeriesGroup(SUBSCRIPTION_COLUMNS, {
      limit,
      other: { ...other, subscription: OTHER },
    });
  }

  async write(out: Exposition, survey: Iterable<Surveyed>, slices: Slices, now: number): Promise<void> {
    const topics: Row[] = [];
    const subscriptions: Row[] = [];
    for (const { id, namespace, stats } of survey) {
      const labels = { namespace, topic: stats.name, kind: stats.kind };
      topics.push({
        key: String(id),
        labels,
        values: TOPIC_COLUMNS.map(({ of }) => of(stats)),
        rank: stats.messages,
      });
      for (const each of stats.subscriptions) {
        subscriptions.push({
          key: `${id}/${each.subscription}`,
          labels: { ...labels, subscription: each.subscription },
          values: SUBSCRIPTION_COLUMNS.map(({ of }) => of(each, now)),
          rank: each.depth,
        });
        if (slices.due()) await slices.rest();
      }
      if (slices.due()) await slices.rest();
    }
    await this.#topics.write(out, topics, slices);
    await this.#subscriptions.write(out, subscriptions, slices);
  }
}
