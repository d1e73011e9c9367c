import { availableParallelism, totalmem } from 'node:os';
import { ManagementError } from './errors.ts';
import { listeners } from './health.ts';
import type { Json } from './json.ts';
import type { Management } from './management.ts';
import { countersOf, countsOf, queuesOf } from './queues.ts';
import { type Call, list, object, type Route, route } from './route.ts';

/** What tools look at to know what a broker can do: as in the handshake of AMQP. */
export const COMPATIBLE_WITH = '4.1.0';

const EXCHANGE_TYPES = ['direct', 'fanout', 'topic', 'headers', 'x-delayed-message', 'x-consistent-hash'].map(
  (name) => ({ name, description: '', enabled: true }),
);

const STARTED_MS = Date.now() - performance.now();

/** Of this process. */
export function uptimeMs(): number {
  return Math.round(Date.now() - STARTED_MS);
}

interface Totals {
  queues: number;
  exchanges: number;
  counts: { messages: number; messages_ready: number; messages_unacknowledged: number };
  stats: Record<string, number>;
}

export async function totalsOf(call: Call): Promise<Totals> {
  const totals: Totals = {
    queues: 0,
    exchanges: 0,
    counts: { messages: 0, messages_ready: 0, messages_unacknowledged: 0 },
    stats: {},
  };
  for (const vhost of await call.management.vhosts(call)) {
    totals.exchanges += 1 + (await vhost.session.request('listRouters', {})).routers.length;
    for (const facts of await queuesOf(vhost)) {
      totals.queues++;
      const { messages, ready, unacked } = countsOf(facts);
      totals.counts.messages += messages;
      totals.counts.messages_ready += ready;
      totals.counts.messages_unacknowledged += unacked;
      for (const [name, value] of Object.entries(countersOf(facts)))
        totals.stats[name] = (totals.stats[name] ?? 0) + value;
    }
  }
  return totals;
}

async function overview(call: Call): Promise<Json> {
  const { management } = call;
  const { version, info } = { version: management.options.broker.version, info: management.options.broker.info() };
  const totals = await totalsOf(call);
  const live = management.options.amqp.live();
  const channels = live.flatMap((each) => each.channels);
  return {
    management_version: COMPATIBLE_WITH,
    rabbitmq_version: COMPATIBLE_WITH,
    product_name: 'Railhead',
    product_version: version,
    cluster_name: `railhead@${info.journalId}`,
    node: management.node,
    erlang_version: '',
    rates_mode: 'basic',
    disable_stats: false,
    enable_queue_totals: false,
    sample_retention_policies: { global: [], basic: [], detailed: [] },
    exchange_types: EXCHANGE_TYPES,
    object_totals: {
      connections: live.length,
      channels: channels.length,
      consumers: channels.reduce((sum, each) => sum + each.consumers.length, 0),
      exchanges: totals.exchanges,
      queues: totals.queues,
    },
    queue_totals: management.rates.withRates(`overview\0${call.principal.name}`, totals.counts),
    message_stats: management.rates.withRates(`overview\0stats\0${call.principal.name}`, totals.stats),
    churn_rates: {},
    statistics_db_event_queue: 0,
    listeners: listeners(management).map((each) => ({ node: management.node, ip_address: '', ...each })),
    contexts: [],
  };
}

/** Publishes wait when there is no room for them, and not before. */
export const DISK_FREE_LIMIT_BYTES = 0;

export function memoryLimit(): number {
  return Math.min(process.constrainedMemory() || totalmem(), totalmem());
}

function node(management: Management): Json {
  const { counters } = management.options.broker.info();
  return {
    name: management.node,
    type: 'disc',
    running: management.options.broker.health().state === 'open',
    os_pid: String(process.pid),
    uptime: uptimeMs(),
    processors: availableParallelism(),
    rates_mode: 'basic',
    mem_used: process.memoryUsage.rss(),
    mem_limit: memoryLimit(),
    mem_alarm: false,
    disk_free: counters['journalFreeBytes'] ?? 0,
    disk_free_limit: DISK_FREE_LIMIT_BYTES,
    disk_free_alarm: management.options.broker.health().reason !== null,
    sockets_used: management.options.amqp.live().length,
    partitions: [],
    exchange_types: EXCHANGE_TYPES,
    auth_mechanisms: ['PLAIN', 'AMQPLAIN'].map((name) => ({ name, description: '', enabled: true })),
    applications: [],
    contexts: [],
    cluster_links: [],
    enabled_plugins: ['rabbitmq_management'],
  };
}

export const overviewRoutes: Route[] = [
  route('GET', '/api/overview', async (call) => object(await overview(call))),
  route('GET', '/api/cluster-name', ({ management }) =>
    object({ name: `railhead@${management.options.broker.info().journalId}` }),
  ),
  route('GET', '/api/extensions', () => list([])),
  route('GET', '/api/nodes', ({ management, access }) => {
    access.assertMonitoring();
    return list([node(management)]);
  }),
  route('GET', '/api/nodes/:node', ({ management, access, params }) => {
    access.assertMonitoring();
    if (params['node'] !== management.node) throw new ManagementError(404, 'Object Not Found', 'Not Found');
    return object(node(management));
  }),
];
