import { toVhost } from '../../../core/vhosts.ts';
import { Exposition, EXPOSITION_TYPE, type Labels } from '../../metrics/exposition.ts';
import { Slices } from '../../metrics/slices.ts';
import { bad } from './errors.ts';
import { fileDescriptors } from './file-descriptors.ts';
import type { Management } from './management.ts';
import { COMPATIBLE_WITH, DISK_FREE_LIMIT_BYTES, memoryLimit, uptimeMs } from './overview.ts';
import { MAX_QUEUE_SERIES, QUEUE_COLUMNS, type QueueFigures } from './queue-series.ts';
import { countersOf, countsOf, type QueueFacts, queuesOf } from './queues.ts';
import { type Answer, type Call, type Route, route } from './route.ts';
import type { Traffic } from '../traffic.ts';

type Figures = Record<string, number>;

/** Of AMQP clients alone: what those of other protocols do is in the metrics of queues, and in our own. */
const TRAFFIC: readonly (readonly [name: string, help: string, of: Exclude<keyof Traffic, 'sizes'>])[] = [
  ['rabbitmq_connections_opened_total', 'Connections opened', 'connectionsOpened'],
  ['rabbitmq_connections_closed_total', 'Connections closed', 'connectionsClosed'],
  ['rabbitmq_channels_closed_total', 'Channels closed', 'channelsClosed'],
  ['rabbitmq_channels_opened_total', 'Channels opened', 'channelsOpened'],
  ['rabbitmq_queues_declared_total', 'Queues declared', 'queuesDeclared'],
  ['rabbitmq_queues_created_total', 'Queues created', 'queuesCreated'],
  ['rabbitmq_queues_deleted_total', 'Queues deleted', 'queuesDeleted'],
  ['rabbitmq_global_messages_received_total', 'Messages received from publishers', 'received'],
  ['rabbitmq_global_messages_received_confirm_total', 'Messages received, to be confirmed', 'receivedToConfirm'],
  ['rabbitmq_global_messages_confirmed_total', 'Messages confirmed to publishers', 'confirmed'],
  ['rabbitmq_global_messages_unroutable_returned_total', 'Unroutable messages returned to publishers', 'returned'],
  ['rabbitmq_global_messages_unroutable_dropped_total', 'Unroutable messages dropped', 'dropped'],
  ['rabbitmq_global_messages_delivered_consume_manual_ack_total', 'Delivered to consumers that ack', 'delivered'],
  ['rabbitmq_global_messages_delivered_consume_auto_ack_total', 'Delivered, acked by that', 'deliveredAutoAck'],
  ['rabbitmq_global_messages_delivered_get_manual_ack_total', 'Answers to basic.get, to be acked', 'got'],
  ['rabbitmq_global_messages_delivered_get_auto_ack_total', 'Answers to basic.get, acked by that', 'gotAutoAck'],
  ['rabbitmq_global_messages_get_empty_total', 'basic.get that found nothing', 'gotNone'],
];

const QUEUE_PREFIX = 'rabbitmq_queue_';

function figuresOf(facts: QueueFacts): Figures {
  return { ...countsOf(facts), bytes: facts.stats.bytes, ...countersOf(facts) };
}

function sum(all: readonly Figures[]): Figures {
  const total: Figures = {};
  for (const each of all) for (const [name, value] of Object.entries(each)) total[name] = (total[name] ?? 0) + value;
  return total;
}

async function metrics(call: Call, how: 'aggregated' | 'per-object'): Promise<Answer> {
  call.access.assertMonitoring();
  const { management } = call;
  const exposition = new Exposition();
  const out = {
    add: (name: string, type: 'gauge' | 'counter', help: string, value: number, labels: Labels = {}): void =>
      exposition.add({ name, type, help }, value, labels),
  };
  const slices = new Slices();
  const queues: QueueFigures[] = [];
  for (const vhost of await management.vhosts(call)) {
    for (const facts of await queuesOf(vhost)) {
      const labels = { vhost: toVhost(vhost.namespace), queue: facts.definition.name };
      queues.push({ topicId: facts.definition.topicId, labels, figures: figuresOf(facts) });
      if (slices.due()) await slices.rest();
    }
  }
  const total = sum(queues.map(({ figures }) => figures));
  if (how === 'aggregated') {
    const all = { topicId: 0, labels: {}, figures: total };
    for (const column of QUEUE_COLUMNS) exposition.add(column, column.of(all));
  } else await management.queueSeries.write(exposition, { total: queues.length, things: queues }, slices);
  const live = management.options.amqp.live();
  const channels = live.flatMap((each) => each.channels);
  const consumers = channels.reduce((count, each) => count + each.consumers.length, 0);
  out.add('rabbitmq_connections', 'gauge', 'Connections currently open', live.length);
  out.add('rabbitmq_channels', 'gauge', 'Channels currently open', channels.length);
  out.add('rabbitmq_consumers', 'gauge', 'Consumers currently connected', consumers);
  out.add('rabbitmq_queues', 'gauge', 'Queues available', queues.length);
  const unacked = channels.reduce((count, each) => count + each.unacked, 0);
  out.add('rabbitmq_channel_messages_unacked', 'gauge', 'Delivered but not yet acknowledged messages', unacked);
  const { traffic } = management.options.amqp;
  const figures: [string, string, number][] = [
    ...TRAFFIC.map(([name, help, of]): [string, string, number] => [name, help, traffic[of]]),
    ['rabbitmq_global_messages_routed_total', 'Total number of messages routed to queues', total['publish'] ?? 0],
    ['rabbitmq_global_messages_delivered_total', 'Total number of messages delivered', total['deliver_get'] ?? 0],
    ['rabbitmq_global_messages_redelivered_total', 'Total number of messages redelivered', total['redeliver'] ?? 0],
    ['rabbitmq_global_messages_acknowledged_total', 'Total number of messages acknowledged', total['ack'] ?? 0],
  ];
  for (const [name, help, value] of figures) out.add(name, 'counter', help, value);
  const { broker } = management.options;
  out.add('rabbitmq_process_resident_memory_bytes', 'gauge', 'Memory used in bytes', process.memoryUsage.rss());
  out.add('rabbitmq_resident_memory_limit_bytes', 'gauge', 'Memory that there is in bytes', memoryLimit());
  const free = broker.info().counters['journalFreeBytes'] ?? 0;
  out.add('rabbitmq_disk_space_available_bytes', 'gauge', 'Disk space available in bytes', free);
  out.add('rabbitmq_disk_space_available_limit_bytes', 'gauge', 'No publishes below it', DISK_FREE_LIMIT_BYTES);
  const descriptors = await fileDescriptors();
  if (descriptors !== undefined) {
    out.add('rabbitmq_process_open_fds', 'gauge', 'Open file descriptors', descriptors.open);
    out.add('rabbitmq_process_max_fds', 'gauge', 'Open file descriptors limit', descriptors.most);
  }
  out.add('rabbitmq_erlang_uptime_seconds', 'gauge', 'Node uptime', uptimeMs() / 1000);
  out.add('rabbitmq_global_consumers', 'gauge', 'Consumers currently connected', consumers);
  const publishers = channels.filter(({ publishes }) => publishes).length;
  out.add('rabbitmq_global_publishers', 'gauge', 'Channels that published', publishers);
  exposition.histogram(
    'rabbitmq_message_size_bytes',
    'Size of messages received from publishers',
    traffic.sizes,
    {},
    sizeBound,
  );
  const trouble = broker.health().reason === null ? 0 : 1;
  out.add('rabbitmq_alarms_free_disk_space_watermark', 'gauge', 'Storage needs a look', trouble);
  identify(exposition, management, how);
  return { is: 'text', type: EXPOSITION_TYPE, text: exposition.text() };
}

/** As Prometheus writes numbers, and dashboards ask for them: `100.0`, `1e+06`. */
function sizeBound(bytes: number): string {
  return bytes < 1e6 ? `${bytes}.0` : bytes.toExponential().replace(/\+(\d)$/, '+0$1');
}

/** What every query of RabbitMQ's dashboards is joined with, by where it was scraped. */
function identify(out: Exposition, management: Management, endpoint: 'aggregated' | 'per-object' | 'detailed'): void {
  const { broker } = management.options;
  out.add({ name: 'rabbitmq_build_info', type: 'gauge', help: 'What this is' }, 1, {
    rabbitmq_version: COMPATIBLE_WITH,
    product_name: 'Railhead',
    product_version: broker.version,
  });
  const { journalId } = broker.info();
  out.add({ name: 'rabbitmq_identity_info', type: 'gauge', help: 'Which broker this is' }, 1, {
    rabbitmq_node: management.node,
    rabbitmq_cluster: `railhead@${journalId}`,
    rabbitmq_cluster_permanent_id: journalId,
    rabbitmq_endpoint: endpoint,
  });
}

/** What RabbitMQ calls families, of those that are about queues: the columns that each has. */
const FAMILIES: ReadonlyMap<string, readonly string[]> = new Map([
  ['queue_coarse_metrics', ['messages_ready', 'messages_unacked', 'messages']],
  ['queue_consumer_count', ['consumers']],
  ['queue_metrics', ['consumers', 'messages_bytes', 'messages_published_total']],
]);

/** Series of each queue, only of the families and virtual hosts that were asked for, under names of their own. */
async function detailed(call: Call): Promise<Answer> {
  call.access.assertMonitoring();
  const { query, management } = call;
  const wanted = new Set(query.getAll('family').flatMap((family) => FAMILIES.get(family) ?? []));
  const columns = QUEUE_COLUMNS.filter(({ name }) => wanted.has(name.slice(QUEUE_PREFIX.length)));
  const vhosts = query.getAll('vhost');
  const exposition = new Exposition();
  const slices = new Slices();
  let left = MAX_QUEUE_SERIES;
  for (const vhost of columns.length === 0 ? [] : await management.vhosts(call)) {
    const name = toVhost(vhost.namespace);
    if (vhosts.length > 0 && !vhosts.includes(name)) continue;
    for (const facts of await queuesOf(vhost)) {
      if (left-- === 0)
        throw bad(`there are more than ${MAX_QUEUE_SERIES} queues; name a virtual host, or scrape /metrics/per-object`);
      const figures = { topicId: 0, labels: {}, figures: figuresOf(facts) };
      const labels = { vhost: name, queue: facts.definition.name };
      for (const column of columns)
        exposition.add(
          { ...column, name: `rabbitmq_detailed_${column.name.slice('rabbitmq_'.length)}` },
          column.of(figures),
          labels,
        );
      if (slices.due()) await slices.rest();
    }
  }
  identify(exposition, management, 'detailed');
  return { is: 'text', type: EXPOSITION_TYPE, text: exposition.text() };
}

export const metricsRoutes: Route[] = [
  route('GET', '/metrics/detailed', detailed),
  route('GET', '/metrics', (call) => metrics(call, 'aggregated')),
  route('GET', '/metrics/per-object', (call) => metrics(call, 'per-object')),
];
