import type { RouterDefinition } from '../../../core/definitions.ts';
import { toVhost } from '../../../core/vhosts.ts';
import type { PolicySet } from '../../policies.ts';
import { exchangeTarget } from '../policies.ts';
import { existingExchange } from '../translate.ts';
import type { Vhost } from '../vhost.ts';
import { notFound } from './errors.ts';
import { flag, param, shortText } from './fields.ts';
import { fromTable, type Json, toTable } from './json.ts';
import { type Call, done, list, object, put, type Route, route } from './route.ts';

/** The one that leads to every queue by its name. */
function defaultExchange(vhost: Vhost): Json {
  const facts = { name: '', type: 'direct', durable: true, auto_delete: false, internal: false, arguments: {} };
  return { ...facts, vhost: toVhost(vhost.namespace), user_who_performed_action: 'rmq-internal' };
}

export function showExchange(vhost: Vhost, definition: RouterDefinition, policies: PolicySet): Json {
  const declared = existingExchange(definition);
  const ruling = definition.attributes === undefined ? undefined : policies.of(exchangeTarget(definition.name));
  return {
    name: definition.name,
    vhost: toVhost(vhost.namespace),
    type: declared.type,
    durable: declared.durable,
    auto_delete: declared.autoDelete,
    internal: declared.internal,
    arguments: fromTable(declared.arguments),
    policy: ruling?.policy?.name ?? null,
    user_who_performed_action: definition.name.startsWith('amq.') ? 'rmq-internal' : '',
  };
}

async function listExchanges(call: Call): Promise<Json[]> {
  const shown: Json[] = [];
  for (const vhost of await call.management.vhosts(call)) {
    const { policies } = vhost;
    const { routers } = await vhost.session.request('listRouters', {});
    const sorted = routers.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    shown.push(defaultExchange(vhost), ...sorted.map((router) => showExchange(vhost, router, policies)));
  }
  return shown;
}

/** RabbitMQ's tools write `amq.default` in a path, where a name cannot be empty. */
export function exchangeName(name: string): string {
  return name === 'amq.default' ? '' : name;
}

async function getExchange(call: Call): Promise<Json> {
  const vhost = await call.management.vhost(call, param(call.params, 'vhost'));
  const name = exchangeName(param(call.params, 'name'));
  const details = { incoming: [], outgoing: [] };
  if (name === '') return { ...defaultExchange(vhost), ...details };
  const definition = await vhost.session.request('describeRouter', { name });
  return { ...showExchange(vhost, definition, vhost.policies), ...details };
}

async function putExchange(call: Call): Promise<boolean> {
  const { management, params, body } = call;
  const vhost = await management.vhost(call, param(params, 'vhost'));
  const exchange = exchangeName(param(params, 'name'));
  const existed = exchange === '' || (await vhost.findExchange(exchange)) !== undefined;
  await management.topology(call, vhost).declareExchange({
    reserved1: 0,
    exchange,
    type: shortText(body, 'type'),
    passive: false,
    durable: flag(body, 'durable', 'true'),
    autoDelete: flag(body, 'auto_delete', 'false'),
    internal: flag(body, 'internal', 'false'),
    noWait: false,
    arguments: toTable(body['arguments'], 'arguments'),
  });
  return !existed;
}

async function deleteExchange(call: Call): Promise<void> {
  const { management, params, query } = call;
  const vhost = await management.vhost(call, param(params, 'vhost'));
  const exchange = exchangeName(param(params, 'name'));
  if (exchange !== '' && (await vhost.findExchange(exchange)) === undefined) throw notFound();
  const ifUnused = query.get('if-unused') === 'true';
  await management.topology(call, vhost).deleteExchange({ reserved1: 0, exchange, ifUnused, noWait: false });
}

export const exchangeRoutes: Route[] = [
  route('GET', '/api/exchanges', async (call) => list(await listExchanges(call))),
  route('GET', '/api/exchanges/:vhost', async (call) => list(await listExchanges(call))),
  route('GET', '/api/exchanges/:vhost/:name', async (call) => object(await getExchange(call))),
  route('PUT', '/api/exchanges/:vhost/:name', async (call) => put(await putExchange(call))),
  route('DELETE', '/api/exchanges/:vhost/:name', async (call) => {
    await deleteExchange(call);
    return done;
  }),
];
