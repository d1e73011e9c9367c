import { type Column, SeriesGroup } from '../../metrics/series.ts';

/** Queues with series of their own. */
const MAX_QUEUE_SERIES = 2_000;
const OTHER = 'other';

export const QUEUE_COLUMNS: readonly (Column & { field: string })[] = [
  {
    field: 'ready',
    name: 'rabbitmq_queue_messages_ready',
    type: 'gauge',
    help: 'Messages ready to be delivered to consumers',
  },
  {
    field: 'unacked',
    name: 'rabbitmq_queue_messages_unacked',
    type: 'gauge',
    help: 'Messages delivered to consumers but not yet acknowledged',
  },
  {
    field: 'messages',
    name: 'rabbitmq_queue_messages',
    type: 'gauge',
    help: 'Sum of ready and unacknowledged messages - total queue depth',
  },
  { field: 'consumers', name: 'rabbitmq_queue_consumers', type: 'gauge', help: 'Consumers on a queue' },
  {
    field: 'bytes',
    name: 'rabbitmq_queue_messages_bytes',
    type: 'gauge',
    help: 'Size in bytes of ready and unacknowledged messages',
  },
  {
    field: 'publish',
    name: 'rabbitmq_queue_messages_published_total',
    type: 'counter',
    help: 'Total number of messages published to queues',
  },
];

/** Series of queues, for one broker. */
export function queueSeries(): SeriesGroup {
  return new SeriesGroup(QUEUE_COLUMNS, { limit: MAX_QUEUE_SERIES, other: { vhost: OTHER, queue: OTHER } });
}
