import type { TopicDefinition } from '../../../core/definitions.ts';
import type { Operations } from '../../../core/session.ts';
import type { TopicStats } from '../../../core/stats.ts';
import { toVhost } from '../../../core/vhosts.ts';
import type { PolicySet } from '../../policies.ts';
import { queueTarget } from '../policies.ts';
import { queueTypeOf } from '../queue-arguments.ts';
import { existingQueue, isQueue } from '../translate.ts';
import type { Vhost } from '../vhost.ts';
import { consumersOf } from './connections.ts';
import { notFound } from './errors.ts';
import { flag, param } from './fields.ts';
import { fromTable, type Json, toTable } from './json.ts';
import type { Management } from './management.ts';
import { type Call, done, list, object, put, type Route, route } from './route.ts';

/** Queues of the engine, as RabbitMQ shows its own. A queue that no AMQP client declared is shown as a classic one. */
export interface QueueFacts {
  readonly vhost: Vhost;
  readonly definition: TopicDefinition;
  readonly stats: TopicStats;
}

const MAX_QUEUES = 10_000;

/** All queues of a virtual host, by name. */
export async function queuesOf(vhost: Vhost): Promise<QueueFacts[]> {
  const { session } = vhost;
  const { topics } = await session.request('allStats', { limit: MAX_QUEUES });
  const stats = new Map(topics.map((each) => [each.name, each]));
  const found: QueueFacts[] = [];
  for (let after: string | null | undefined; after !== null;) {
    const page: Operations['listTopics']['result'] = await session.request('listTopics', {
      ...(after !== undefined && { after }),
    });
    for (const definition of page.topics) {
      const own = stats.get(definition.name);
      if (isQueue(definition) && own !== undefined) found.push({ vhost, definition, stats: own });
    }
    after = page.next;
  }
  return found;
}

export interface Counts {
  messages: number;
  ready: number;
  unacked: number;
  consumers: number;
}

/** What RabbitMQ counts: messages that wait for their time are in no queue there. */
export function countsOf({ definition, stats }: QueueFacts): Counts {
  if (definition.kind === 'topic') return { messages: stats.messages, ready: stats.messages, unacked: 0, consumers: 0 };
  const [own] = stats.subscriptions;
  const [ready, unacked] = [own?.ready ?? 0, own?.leased ?? 0];
  return { messages: ready + unacked, ready, unacked, consumers: own?.consumers ?? 0 };
}

/** Counters since the broker started. What is published counts once for each queue; `get` is not told from `deliver`. */
export function countersOf({ stats }: QueueFacts): Record<string, number> {
  const [own] = stats.subscriptions;
  const delivered = own?.delivered ?? 0;
  return {
    publish: stats.published,
    deliver_get: delivered,
    deliver: delivered,
    redeliver: own?.redelivered ?? 0,
    ack: own?.acked ?? 0,
  };
}

export function typeOf({ definition }: QueueFacts): string {
  return queueTypeOf(existingQueue(definition).arguments);
}

export function showQueue(management: Management, facts: QueueFacts, policies: PolicySet): Json {
  const { vhost, definition, stats } = facts;
  const { name } = definition;
  const [own] = stats.subscriptions;
  const oldestAt = own?.oldestAt ?? null;
  const declared = existingQueue(definition);
  const ruling = definition.attributes === undefined ? undefined : policies.of(queueTarget(name, declared));
  const { messages, ready, unacked, consumers } = countsOf(facts);
  // One that was deleted and made anew counts from 0.
  const key = `${vhost.namespace}\0queue\0${definition.topicId}`;
  return {
    name,
    vhost: toVhost(vhost.namespace),
    type: typeOf(facts),
    durable: declared.durable,
    auto_delete: declared.autoDelete,
    exclusive: declared.exclusive,
    arguments: fromTable(declared.arguments),
    node: management.node,
    state: 'running',
    policy: ruling?.policy?.name ?? null,
    operator_policy: ruling?.operator?.name ?? null,
    effective_policy_definition: ruling?.definition ?? {},
    consumers,
    consumer_capacity: consumers > 0 ? 1 : 0,
    consumer_utilisation: consumers > 0 ? 1 : 0,
    ...management.rates.withRates(key, { messages, messages_ready: ready, messages_unacknowledged: unacked }),
    messages_delayed: own?.delayed ?? 0,
    messages_persistent: declared.durable ? messages : 0,
    message_bytes: stats.bytes,
    memory: 0,
    head_message_timestamp: oldestAt === null ? null : Math.floor(oldestAt / 1000),
    exclusive_consumer_tag: null,
    single_active_consumer_tag: null,
    message_stats: management.rates.withRates(`${key}\0stats`, countersOf(facts)),
  };
}

async function listQueues(call: Call): Promise<Json[]> {
  const shown: Json[] = [];
  for (const vhost of await call.management.vhosts(call)) {
    const { policies } = vhost;
    for (const facts of await queuesOf(vhost)) shown.push(showQueue(call.management, facts, policies));
  }
  return shown;
}

/** @throws Not Found */
export async function findQueue(call: Call): Promise<QueueFacts> {
  const vhost = await call.management.vhost(call, param(call.params, 'vhost'));
  const name = param(call.params, 'name');
  const definition = await vhost.session.request('describeTopic', { name });
  if (!isQueue(definition)) throw notFound();
  return { vhost, definition, stats: await vhost.session.request('topicStats', { name }) };
}

async function getQueue(call: Call): Promise<Json> {
  const facts = await findQueue(call);
  const { namespace } = facts.vhost;
  const consumers = consumersOf(call.management, (connection) => connection.namespace === namespace);
  return {
    ...showQueue(call.management, facts, facts.vhost.policies),
    consumer_details: consumers.filter(({ queue }) => queue.name === facts.definition.name),
    incoming: [],
    deliveries: [],
  };
}

async function putQueue(call: Call): Promise<boolean> {
  const { management, params, body } = call;
  const vhost = await management.vhost(call, param(params, 'vhost'));
  const queue = param(params, 'name');
  const existed = await vhost.hasQueue(queue);
  await management.topology(call, vhost).declareQueue({
    reserved1: 0,
    queue,
    passive: false,
    durable: flag(body, 'durable', 'true'),
    // A queue of a connection makes no sense where there is none.
    exclusive: false,
    autoDelete: flag(body, 'auto_delete', 'false'),
    noWait: false,
    arguments: toTable(body['arguments'], 'arguments'),
  });
  return !existed;
}

async function deleteQueue(call: Call): Promise<void> {
  const { vhost, definition } = await findQueue(call);
  await call.management.topology(call, vhost).deleteQueue({
    reserved1: 0,
    queue: definition.name,
    ifUnused: call.query.get('if-unused') === 'true',
    ifEmpty: call.query.get('if-empty') === 'true',
    noWait: false,
  });
}

async function purgeQueue(call: Call): Promise<void> {
  const { vhost, definition } = await findQueue(call);
  await call.management.topology(call, vhost).purgeQueue({ reserved1: 0, queue: definition.name, noWait: false });
}

export const queueRoutes: Route[] = [
  route('GET', '/api/queues', async (call) => list(await listQueues(call))),
  route('GET', '/api/queues/:vhost', async (call) => list(await listQueues(call))),
  route('GET', '/api/queues/:vhost/:name', async (call) => object(await getQueue(call))),
  // There is one node: it has them all.
  route('POST', '/api/rebalance/queues', (call) => {
    call.access.assertAdministrator();
    return done;
  }),
  route('PUT', '/api/queues/:vhost/:name', async (call) => put(await putQueue(call))),
  route('DELETE', '/api/queues/:vhost/:name', async (call) => {
    await deleteQueue(call);
    return done;
  }),
  route('DELETE', '/api/queues/:vhost/:name/contents', async (call) => {
    await purgeQueue(call);
    return done;
  }),
];
