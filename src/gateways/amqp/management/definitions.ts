import { toNamespace, toVhost } from '../../../core/vhosts.ts';
import type { Vhost } from '../vhost.ts';
import { bindingsOf, changeBinding, type ShownBinding } from './bindings.ts';
import { bad, notSupported } from './errors.ts';
import { flag, shortText, text } from './fields.ts';
import { showExchange } from './exchanges.ts';
import { isJson, type Json, toTable } from './json.ts';
import { Policies } from '../../policies.ts';
import { checkParameter, parametersOf, putParameter } from './parameters.ts';
import { putPolicy, readPolicy, showPolicy } from './policies.ts';
import { queuesOf, showQueue } from './queues.ts';
import { type Call, done, object, type Route, route } from './route.ts';
import { readTopicPermission, readUser, showTopicPermission, showUser } from './users.ts';
import { putFacts, readFacts, showFacts } from './vhosts.ts';

/** What a list of definitions keeps of what is shown: what a declare says. */
const QUEUE_FIELDS = ['name', 'vhost', 'durable', 'auto_delete', 'arguments'];
const EXCHANGE_FIELDS = ['name', 'vhost', 'type', 'durable', 'auto_delete', 'internal', 'arguments'];
const BINDING_FIELDS = ['source', 'vhost', 'destination', 'destination_type', 'routing_key', 'arguments'];

function only(item: Json, fields: readonly string[]): Json {
  return Object.fromEntries(fields.map((field): [string, unknown] => [field, item[field]]));
}

/** What is to be in a virtual host after a restart: without what goes with its connection. */
async function exportVhost(call: Call, vhost: Vhost): Promise<Record<string, Json[]>> {
  const { policies } = vhost;
  const { routers } = await vhost.session.request('listRouters', {});
  const queues = (await queuesOf(vhost))
    .map((facts) => showQueue(call.management, facts, policies))
    .filter((queue) => queue['exclusive'] !== true);
  const exchanges = routers
    .filter(({ name }) => !name.startsWith('amq.'))
    .map((router) => showExchange(vhost, router, policies));
  const listed = await new Policies(vhost.session).list();
  const parameters = await parametersOf(vhost);
  return {
    parameters: parameters.map((parameter) => ({ vhost: toVhost(vhost.namespace), ...parameter })),
    policies: listed.map((policy) => showPolicy(vhost, policy)),
    queues: queues.map((queue) => only(queue, QUEUE_FIELDS)),
    exchanges: exchanges.map((exchange) => only(exchange, EXCHANGE_FIELDS)),
    bindings: (await bindingsOf(vhost, 'declared')).map((binding) => only(binding, BINDING_FIELDS)),
  };
}

const LISTS = ['parameters', 'policies', 'queues', 'exchanges', 'bindings'] as const;

async function exportAll(call: Call): Promise<Json> {
  call.access.assertAdministrator();
  const { users, broker } = call.management.options;
  const vhosts = await call.management.vhosts(call);
  const found: Record<string, Json[]> = {};
  for (const vhost of vhosts)
    for (const [name, items] of Object.entries(await exportVhost(call, vhost)))
      found[name] = [...(found[name] ?? []), ...items];
  return {
    rabbit_version: '4.1.0',
    rabbitmq_version: '4.1.0',
    product_name: 'Railhead',
    product_version: broker.version,
    users: (await users.list()).map(showUser),
    vhosts: vhosts.map(showFacts),
    permissions: (await users.permissions()).map(({ namespace, ...rest }) => ({ ...rest, vhost: toVhost(namespace) })),
    topic_permissions: (await users.keyPermissions()).map(showTopicPermission),
    global_parameters: [],
    ...Object.fromEntries(LISTS.map((name) => [name, found[name] ?? []])),
  };
}

/** Those of one virtual host do not name it. */
async function exportOne(call: Call): Promise<Json> {
  const [vhost] = await call.management.vhosts(call);
  if (vhost === undefined) throw bad('there is no such virtual host');
  call.access.assertPolicymaker(vhost.namespace);
  const found = await exportVhost(call, vhost);
  const without = (all: Json[] = []): Json[] =>
    all.map((item) => Object.fromEntries(Object.entries(item).filter(([field]) => field !== 'vhost')));
  return {
    rabbit_version: '4.1.0',
    rabbitmq_version: '4.1.0',
    ...Object.fromEntries(LISTS.map((name) => [name, without(found[name])])),
  };
}

function items(body: Json, name: string): Json[] {
  const list = body[name] ?? [];
  if (!Array.isArray(list) || !list.every(isJson)) throw bad(`${name} is not a list of objects`);
  return list;
}

/** Global parameters that say which cluster it was. */
const NAMES_OF_CLUSTERS = ['internal_cluster_id', 'cluster_name', 'cluster_tags'];

/** In the order in which things need each other. What is there already stays, if it is the same. */
async function importInto(call: Call): Promise<void> {
  const { management, body, params } = call;
  const single = params['vhost'];
  if (single === undefined) call.access.assertAdministrator();
  for (const { name } of items(body, 'global_parameters'))
    if (!NAMES_OF_CLUSTERS.includes(String(name))) throw notSupported(`The global parameter ${JSON.stringify(name)}`);
  // Before anything is changed.
  for (const item of items(body, 'vhosts')) factsOf(item);
  for (const item of items(body, 'policies')) readPolicy(text(item, 'name'), item);
  for (const item of items(body, 'parameters')) {
    // Who may set policies may not say what stands over them.
    call.access.assertAdministrator();
    checkParameter(item);
  }
  const vhostOf = async (item: Json): Promise<Vhost> => {
    const name = single ?? text(item, 'vhost');
    if (single === undefined) await management.makeVhost(name);
    const vhost = await management.vhost(call, name);
    if (single !== undefined) call.access.assertPolicymaker(vhost.namespace);
    return vhost;
  };
  if (single === undefined) await importUsers(call);
  for (const item of items(body, 'policies')) await putPolicy(await vhostOf(item), text(item, 'name'), item);
  for (const item of items(body, 'parameters')) await putParameter(await vhostOf(item), item);
  for (const item of items(body, 'queues')) {
    await management.topology(call, await vhostOf(item)).declareQueue({
      reserved1: 0,
      queue: shortText(item, 'name'),
      passive: false,
      durable: flag(item, 'durable', 'true'),
      exclusive: false,
      autoDelete: flag(item, 'auto_delete', 'false'),
      noWait: false,
      arguments: toTable(item['arguments'], 'arguments'),
    });
  }
  for (const item of items(body, 'exchanges')) {
    await management.topology(call, await vhostOf(item)).declareExchange({
      reserved1: 0,
      exchange: shortText(item, 'name'),
      type: shortText(item, 'type'),
      passive: false,
      durable: flag(item, 'durable', 'true'),
      autoDelete: flag(item, 'auto_delete', 'false'),
      internal: flag(item, 'internal', 'false'),
      noWait: false,
      arguments: toTable(item['arguments'], 'arguments'),
    });
  }
  for (const item of items(body, 'bindings')) await changeBinding(call, await vhostOf(item), 'bind', bindingOf(item));
}

/** RabbitMQ says some of them twice. */
function factsOf(item: Json): ReturnType<typeof readFacts> {
  return readFacts({ ...(isJson(item['metadata']) && item['metadata']), ...item });
}

async function importUsers({ management, body }: Call): Promise<void> {
  const { users } = management.options;
  for (const item of items(body, 'users')) await users.put(await readUser(shortText(item, 'name'), item));
  for (const item of items(body, 'vhosts'))
    await putFacts(await management.makeVhost(shortText(item, 'name')), factsOf(item));
  for (const item of items(body, 'permissions')) {
    const patterns = { configure: text(item, 'configure'), write: text(item, 'write'), read: text(item, 'read') };
    await users.setPermission(shortText(item, 'user'), toNamespace(shortText(item, 'vhost')), patterns);
  }
  for (const item of items(body, 'topic_permissions'))
    await users.setKeyPermission(readTopicPermission(shortText(item, 'user'), shortText(item, 'vhost'), item));
}

function bindingOf(item: Json): ShownBinding {
  return {
    source: shortText(item, 'source'),
    vhost: '',
    destination: shortText(item, 'destination'),
    destination_type: item['destination_type'] === 'exchange' ? 'exchange' : 'queue',
    routing_key: shortText(item, 'routing_key', ''),
    arguments: isJson(item['arguments']) ? item['arguments'] : {},
    properties_key: '',
  };
}

export const definitionRoutes: Route[] = [
  route('GET', '/api/definitions', async (call) => object(await exportAll(call))),
  route('GET', '/api/definitions/:vhost', async (call) => object(await exportOne(call))),
  ...['/api/definitions', '/api/definitions/:vhost'].map((path) =>
    route('POST', path, async (call) => {
      await importInto(call);
      return done;
    }),
  ),
];
