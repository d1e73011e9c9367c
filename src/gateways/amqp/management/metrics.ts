import { toVhost } from '../translate.ts';
import { countersOf, countsOf, type QueueFacts, queuesOf } from './queues.ts';
import { type Answer, type Call, type Route, route } from './route.ts';

/** Queues with series of their own; the others are one together, so that many queues do not choke a scraper. */
const MAX_QUEUE_SERIES = 2_000;
const OTHER = 'other';

type Labels = Readonly<Record<string, string>>;

/** The text format of Prometheus. */
class Exposition {
  readonly #families = new Map<string, { type: string; help: string; lines: string[] }>();

  add(name: string, type: 'gauge' | 'counter', help: string, value: number, labels: Labels = {}): void {
    let family = this.#families.get(name);
    if (family === undefined) this.#families.set(name, (family = { type, help, lines: [] }));
    const text = Object.entries(labels).map(([label, each]) => `${label}="${escaped(each)}"`);
    family.lines.push(`${name}${text.length === 0 ? '' : `{${text.join(',')}}`} ${value}`);
  }

  text(): string {
    const parts: string[] = [];
    for (const [name, { type, help, lines }] of this.#families)
      parts.push(`# TYPE ${name} ${type}`, `# HELP ${name} ${help}`, ...lines);
    return `${parts.join('\n')}\n`;
  }
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

type Figures = Record<string, number>;

const QUEUE_FAMILIES: readonly [field: string, name: string, type: 'gauge' | 'counter', help: string][] = [
  ['ready', 'rabbitmq_queue_messages_ready', 'gauge', 'Messages ready to be delivered to consumers'],
  ['unacked', 'rabbitmq_queue_messages_unacked', 'gauge', 'Messages delivered to consumers but not yet acknowledged'],
  ['messages', 'rabbitmq_queue_messages', 'gauge', 'Sum of ready and unacknowledged messages - total queue depth'],
  ['consumers', 'rabbitmq_queue_consumers', 'gauge', 'Consumers on a queue'],
  ['bytes', 'rabbitmq_queue_messages_bytes', 'gauge', 'Size in bytes of ready and unacknowledged messages'],
  ['publish', 'rabbitmq_queue_messages_published_total', 'counter', 'Total number of messages published to queues'],
];

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
  const out = new Exposition();
  const queues: { labels: Labels; figures: Figures }[] = [];
  for (const vhost of await management.vhosts(call)) {
    for (const facts of await queuesOf(vhost)) {
      const labels = { vhost: toVhost(vhost.namespace), queue: facts.definition.name };
      queues.push({ labels, figures: figuresOf(facts) });
    }
  }
  const total = sum(queues.map(({ figures }) => figures));
  const shown = how === 'aggregated' ? [{ labels: {}, figures: total }] : bounded(queues);
  for (const [field, name, type, help] of QUEUE_FAMILIES)
    for (const { labels, figures } of shown) out.add(name, type, help, figures[field] ?? 0, labels);
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
  return { is: 'text', type: 'text/plain; version=0.0.4; charset=utf-8', text: out.text() };
}

/** The fullest have series of their own. */
function bounded(queues: readonly { labels: Labels; figures: Figures }[]): { labels: Labels; figures: Figures }[] {
  const ranked = queues.toSorted((a, b) => (b.figures['messages'] ?? 0) - (a.figures['messages'] ?? 0));
  const rest = ranked.slice(MAX_QUEUE_SERIES);
  if (rest.length === 0) return [...queues];
  const other = { labels: { vhost: OTHER, queue: OTHER }, figures: sum(rest.map(({ figures }) => figures)) };
  return [...ranked.slice(0, MAX_QUEUE_SERIES), other];
}

export const metricsRoutes: Route[] = [
  route('GET', '/metrics', (call) => metrics(call, 'aggregated')),
  route('GET', '/metrics/per-object', (call) => metrics(call, 'per object')),
];
