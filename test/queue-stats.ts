import type { SubscriptionStats, SurveyedTopic, TopicStats } from '../src/core/stats.ts';

/** The counts of a queue, none but those that are given. */
export function queue(name: string, of: Partial<SubscriptionStats> & { published?: number } = {}): TopicStats {
  const { published = 0, ...one } = of;
  const { ready = 0, delayed = 0, leased = 0 } = one;
  return {
    name,
    kind: 'queue',
    messages: ready + delayed + leased,
    bytes: 0,
    partitions: [{ start: 0, end: 0, stableEnd: 0, bytes: 0 }],
    published,
    duplicates: 0,
    refused: 0,
    maxMessages: null,
    maxBytes: null,
    subscriptions: [
      {
        topic: name,
        subscription: name,
        ready,
        delayed,
        leased,
        depth: ready + delayed + leased,
        consumers: 0,
        paused: false,
        deadLetterQueue: `${name}.dead`,
        oldestAt: null,
        delivered: 0,
        redelivered: 0,
        acked: 0,
        released: 0,
        deadLettered: 0,
        expired: 0,
        ...one,
      },
    ],
  };
}

/** As a survey shows a topic with these counts. */
export function surveyed(namespace: string, stats: TopicStats): SurveyedTopic {
  const isIdle = stats.published === 0 && stats.subscriptions.every(({ depth, acked }) => depth === 0 && acked === 0);
  return { id: 1, namespace, idle: isIdle ? stats : null, stats };
}
