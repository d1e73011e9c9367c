import type { Labels } from '../../metrics/exposition.ts';
import { type Column, SeriesGroup } from '../../metrics/series.ts';

/** Queues with series of their own. */
export const MAX_QUEUE_SERIES = 2_000;
const OTHER = 'other';

/** What is counted of one queue. */
export interface QueueFigures {
  topicId: number;
  labels: Labels;
  figures: Record<string, number>;
}

export const QUEUE_COLUMNS: readonly Column<QueueFigures>[] = [
  {
    of: ({ figures }) => figures['ready'] ?? 0,
    name: 'rabbitmq_queue_messages_ready',
    type: 'gauge',
    help: 'Messages ready to be delivered to consumers',
  },
  {
    of: ({ figures }) => figures['unacked'] ?? 0,
    name: 'rabbitmq_queue_messages_unacked',
    type: 'gauge',
    help: 'Messages delivered to consumers but not yet acknowledged',
  },
  {
    of: ({ figures }) => figures['messages'] ?? 0,
    name: 'rabbitmq_queue_messages',
    type: 'gauge',
    help: 'Sum of ready and unacknowledged messages - total queue depth',
  },
  {
    of: ({ figures }) => figures['consumers'] ?? 0,
    name: 'rabbitmq_queue_consumers',
    type: 'gauge',
    help: 'Consumers on a queue',
  },
  {
    of: ({ figures }) => figures['bytes'] ?? 0,
    name: 'rabbitmq_queue_messages_bytes',
    type: 'gauge',
    help: 'Size in bytes of ready and unacknowledged messages',
  },
  {
    of: ({ figures }) => figures['publish'] ?? 0,
    name: 'rabbitmq_queue_messages_published_total',
    type: 'counter',
    help: 'Total number of messages published to queues',
  },
];

/** Series of queues, for one broker. */
export function queueSeries(): SeriesGroup<QueueFigures> {
  return new SeriesGroup({
    columns: QUEUE_COLUMNS,
    key: ({ topicId }) => topicId,
    labels: ({ labels }) => labels,
    rank: ({ figures }) => figures['messages'] ?? 0,
    limit: MAX_QUEUE_SERIES,
    other: { vhost: OTHER, queue: OTHER },
  });
}
