import { toNamespace, toVhost } from '../../../core/vhosts.ts';
import { OPERATOR_POLICY_DOCUMENT, Policies } from '../../policies.ts';
import { checkVhostFacts, KeptVhostFacts, type VhostFacts } from '../../vhost-facts.ts';
import type { Vhost } from '../vhost.ts';
import { VhostLimits } from '../../vhost-limits.ts';
import { bad, notSupported } from './errors.ts';
import { param } from './fields.ts';
import { type Json } from './json.ts';
import { countersOf, countsOf, queuesOf } from './queues.ts';
import { type Call, done, list, object, put, type Route, route } from './route.ts';

async function showVhost(call: Call, vhost: Vhost): Promise<Json> {
  const { management } = call;
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
    ...showFacts(vhost),
    tracing: false,
    cluster_state: { [management.node]: 'running' },
    ...management.rates.withRates(`${vhost.namespace}\0vhost`, totals),
    message_stats: management.rates.withRates(`${vhost.namespace}\0vhost\0stats`, stats),
  };
}

/** As lists and definitions have it. */
export function showFacts({ namespace, facts }: Vhost): Json {
  const name = toVhost(namespace);
  const description = facts.description === '' && name === '/' ? 'Default virtual host' : facts.description;
  const shown = { description, tags: [...facts.tags], default_queue_type: facts.defaultQueueType };
  return { name, ...shown, metadata: shown };
}

/** What a body says of a virtual host; what it leaves out stays as it is. @throws INVALID, not_supported */
export function readFacts(body: Json): Partial<VhostFacts> {
  const { description, tags, tracing } = body;
  const type = body['default_queue_type'] ?? body['defaultqueuetype'];
  if (tracing === true || tracing === 'true') throw notSupported('Tracing of a virtual host');
  const plain = { description: '', tags: [], defaultQueueType: 'classic' };
  const given = {
    ...(typeof description === 'string' && { description }),
    // Of tools that know texts alone.
    ...(tags !== undefined &&
      tags !== null && { tags: typeof tags === 'string' ? tags.split(/, */).filter(Boolean) : tags }),
    // Erlang's word for none.
    ...(type !== undefined && type !== null && { defaultQueueType: type === 'undefined' ? 'classic' : type }),
  };
  const checked = checkVhostFacts({ ...plain, ...given });
  return Object.fromEntries(Object.entries(checked).filter(([name]) => name in given));
}

export async function putFacts(vhost: Vhost, facts: Partial<VhostFacts>): Promise<void> {
  if (Object.keys(facts).length > 0) await new KeptVhostFacts(vhost.session).put(facts);
}

/** A namespace needs no declaration: to make one is to make its `amq.*` exchanges. */
async function putVhost(call: Call): Promise<boolean> {
  call.access.assertAdministrator();
  const { management, params, body } = call;
  const name = param(params, 'vhost');
  const facts = readFacts(body);
  const existed = (await management.namespaces()).has(toNamespace(name));
  await putFacts(await management.makeVhost(name), facts);
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
  await new KeptVhostFacts(session).clear();
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
