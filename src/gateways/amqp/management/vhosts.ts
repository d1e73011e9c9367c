import { toNamespace, toVhost } from '../../../core/vhosts.ts';
import { OPERATOR_POLICY_DOCUMENT, Policies } from '../../policies.ts';
import type { Vhost } from '../vhost.ts';
import { VhostLimits } from '../../vhost-limits.ts';
import { bad } from './errors.ts';
import { param } from './fields.ts';
import { type Json } from './json.ts';
import { countersOf, countsOf, queuesOf } from './queues.ts';
import { type Call, done, list, object, put, type Route, route } from './route.ts';

async function showVhost(call: Call, vhost: Vhost): Promise<Json> {
  const { management } = call;
  const name = toVhost(vhost.namespace);
  const totals = { messages: 0, messages_ready: 0, messages_unacknowledged: 0 };
  const stats: Record<string, number> = {};
  for (const facts of await queuesOf(vhost)) {
    const { messages, ready, unacked } = countsOf(facts);
    totals.messages += messages;
    totals.messages_ready += ready;
    totals.messages_unacknowledged += unacked;
    for (const [counter, value] of Object.entries(countersOf(facts))) stats[counter] = (stats[counter] ?? 0) + value;
  }
  return {
    name,
    description: name === '/' ? 'Default virtual host' : '',
    tags: [],
    metadata: { description: '', tags: [] },
    default_queue_type: 'classic',
    tracing: false,
    cluster_state: { [management.node]: 'running' },
    ...management.rates.withRates(`${vhost.namespace}\0vhost`, totals),
    message_stats: management.rates.withRates(`${vhost.namespace}\0vhost\0stats`, stats),
  };
}

/** A namespace needs no declaration: to make one is to make its `amq.*` exchanges. */
async function putVhost(call: Call): Promise<boolean> {
  call.access.assertAdministrator();
  const { management, params, body } = call;
  const name = param(params, 'vhost');
  const type = body['default_queue_type'] ?? body['defaultqueuetype'] ?? 'classic';
  if (type !== 'classic' && type !== 'undefined')
    throw bad(`default_queue_type is ${JSON.stringify(type)}; only classic is supported`);
  const existed = (await management.namespaces()).has(toNamespace(name));
  await management.makeVhost(name);
  return !existed;
}

/** Everything in it goes: queues and what is in them, exchanges, policies, limits, permissions. */
async function deleteVhost(call: Call): Promise<void> {
  call.access.assertAdministrator();
  const { management } = call;
  const vhost = await management.vhost(call, param(call.params, 'vhost'));
  const { namespace, session } = vhost;
  if (namespace === 'default') throw bad('the default virtual host stays');
  for (const { id } of management.options.amqp.live().filter((each) => each.namespace === namespace))
    management.options.amqp.disconnect(id, `vhost '${namespace}' is deleted`);
  for (const policies of [new Policies(session), new Policies(session, OPERATOR_POLICY_DOCUMENT)])
    for (const { name } of await policies.list()) await policies.delete(name);
  const limits = new VhostLimits(session);
  for (const name of Object.keys(await limits.read())) await limits.delete(name);
  for (;;) {
    const { topics } = await session.request('listTopics', { limit: 1000 });
    if (topics.length === 0) break;
    for (const { name } of topics) await session.request('deleteTopic', { name });
  }
  const { routers } = await session.request('listRouters', {});
  for (const { name } of routers) {
    await session.request('deleteRouter', { name });
    vhost.forget(name);
  }
  const { users } = management.options;
  for (const permission of await users.permissions())
    if (permission.namespace === namespace) await users.clearPermission(permission.user, namespace);
  for (const permission of await users.keyPermissions())
    if (permission.namespace === namespace) await users.clearKeyPermission(permission);
  management.options.amqp.forget(namespace);
}

async function listPermissionsOf(call: Call): Promise<Json[]> {
  const { vhost } = call.params;
  call.access.assertAdministrator();
  const all = await call.management.options.users.permissions();
  return all
    .filter(({ namespace }) => vhost === undefined || toVhost(namespace) === vhost)
    .map(({ user, namespace, configure, write, read }) => ({
      user,
      vhost: toVhost(namespace),
      configure,
      write,
      read,
    }));
}

export const vhostRoutes: Route[] = [
  route('GET', '/api/vhosts', async (call) => {
    const vhosts = await call.management.vhosts(call);
    return list(await Promise.all(vhosts.map((vhost) => showVhost(call, vhost))));
  }),
  route('GET', '/api/vhosts/:vhost', async (call) =>
    object(await showVhost(call, await call.management.vhost(call, param(call.params, 'vhost')))),
  ),
  route('PUT', '/api/vhosts/:vhost', async (call) => put(await putVhost(call))),
  route('DELETE', '/api/vhosts/:vhost', async (call) => {
    await deleteVhost(call);
    return done;
  }),
  route('GET', '/api/vhosts/:vhost/permissions', async (call) => list(await listPermissionsOf(call))),
];
