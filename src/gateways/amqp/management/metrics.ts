import { toVhost } from '../../../core/vhosts.ts';
import { Exposition, EXPOSITION_TYPE, type Labels } from '../../metrics/exposition.ts';
import { Slices } from '../../metrics/slices.ts';
import { QUEUE_COLUMNS, type QueueFigures } from './queue-series.ts';
import { countersOf, countsOf, type QueueFacts, queuesOf } from './queues.ts';
import { type Answer, type Call, type Route, route } from './route.ts';

type Figures = Record<string, number>;

function figuresOf(facts: QueueFacts): Figures {
  return { ...countsOf(facts), bytes: facts.stats.bytes, ...countersOf(facts) };
}

function sum(all: readonly Figures[]): Figures {
  const total: Figures = {};
  for (const each of all) for (const [name, value] of Object.entries(each)) total[name] = (total[name] ?? 0) + value;
  return total;
}

async function metrics(call: Call, how: 'aggregated' | 'per object'): Promise<Answer> {
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
  } else await management.queueSeries.write(exposition, queues, slices);
  const live = management.options.amqp.live();
  const channels = live.flatMap((each) => each.channels);
  const consumers = channels.reduce((count, each) => count + each.consumers.length, 0);
  out.add('rabbitmq_connections', 'gauge', 'Connections currently open', live.length);
  out.add('rabbitmq_channels', 'gauge', 'Channels currently open', channels.length);
  out.add('rabbitmq_consumers', 'gauge', 'Consumers currently connected', consumers);
  out.add('rabbitmq_queues', 'gauge', 'Queues available', queues.length);
  const unacked = channels.reduce((count, each) => count + each.unacked, 0);
  out.add('rabbitmq_channel_messages_unacked', 'gauge', 'Delivered but not yet acknowledged messages', unacked);
  const figures: [string, string, number][] = [
    ['rabbitmq_global_messages_received_total', 'Total number of messages received', total['publish'] ?? 0],
    ['rabbitmq_global_messages_delivered_total', 'Total number of messages delivered', total['deliver_get'] ?? 0],
    ['rabbitmq_global_messages_redelivered_total', 'Total number of messages redelivered', total['redeliver'] ?? 0],
    ['rabbitmq_global_messages_acknowledged_total', 'Total number of messages acknowledged', total['ack'] ?? 0],
  ];
  for (const [name, help, value] of figures) out.add(name, 'counter', help, value);
  const { broker } = management.options;
  out.add('rabbitmq_process_resident_memory_bytes', 'gauge', 'Memory used in bytes', process.memoryUsage.rss());
  const trouble = broker.health().reason === null ? 0 : 1;
  out.add('rabbitmq_alarms_free_disk_space_watermark', 'gauge', 'Storage needs a look', trouble);
  out.add('rabbitmq_build_info', 'gauge', 'What this is', 1, {
    rabbitmq_version: '4.1.0',
    product_name: 'Railhead',
    product_version: broker.version,
  });
  out.add('rabbitmq_identity_info', 'gauge', 'Which broker this is', 1, {
    rabbitmq_node: management.node,
    rabbitmq_cluster: `railhead@${broker.info().journalId}`,
  });
  return { is: 'text', type: EXPOSITION_TYPE, text: exposition.text() };
}

export const metricsRoutes: Route[] = [
  route('GET', '/metrics', (call) => metrics(call, 'aggregated')),
  route('GET', '/metrics/per-object', (call) => metrics(call, 'per object')),
];
