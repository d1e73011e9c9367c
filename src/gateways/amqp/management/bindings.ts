import { createHash } from 'node:crypto';
import type { BindingDefinition } from '../../../core/definitions.ts';
import { toVhost } from '../../../core/vhosts.ts';
import { fromAttributes } from '../translate.ts';
import type { Vhost } from '../vhost.ts';
import { notFound } from './errors.ts';
import { exchangeName } from './exchanges.ts';
import { param, shortText } from './fields.ts';
import { fromTable, type Json, toTable } from './json.ts';
import { queuesOf } from './queues.ts';
import { type Answer, type Call, done, list, object, type Route, route } from './route.ts';

export interface ShownBinding extends Json {
  source: string;
  vhost: string;
  destination: string;
  destination_type: 'queue' | 'exchange';
  routing_key: string;
  arguments: Json;
  properties_key: string;
}

/** What tells two bindings between the same ends apart, as one word of a path. */
function propertiesKey(key: string, args: Json): string {
  const quoted = key === '' ? '~' : encodeURIComponent(key).replaceAll('~', '%7E');
  if (Object.keys(args).length === 0) return quoted;
  const hash = createHash('sha256').update(JSON.stringify(args)).digest('base64url').slice(0, 7);
  return `${key === '' ? '' : quoted}~${hash}`;
}

function argumentsOf({ match, attributes }: BindingDefinition): Json {
  if (attributes !== undefined) return fromTable(fromAttributes(attributes).arguments);
  if (match === null) return {};
  const present = Object.fromEntries((match.present ?? []).map((name): [string, null] => [name, null]));
  return { ...match.headers, ...present, 'x-match': match.mode };
}

function show(vhost: Vhost, source: string, binding: BindingDefinition): ShownBinding {
  const args = argumentsOf(binding);
  return {
    source,
    vhost: toVhost(vhost.namespace),
    destination: 'topic' in binding.to ? binding.to.topic : binding.to.router,
    destination_type: 'topic' in binding.to ? 'queue' : 'exchange',
    routing_key: binding.key,
    arguments: args,
    properties_key: propertiesKey(binding.key, args),
  };
}

interface FoundBinding {
  readonly shown: ShownBinding;
  readonly definition: BindingDefinition;
}

/** That every queue is bound to the default exchange by its name is nowhere said, and shown all the same. */
async function foundIn(vhost: Vhost, which: 'declared' | 'all'): Promise<FoundBinding[]> {
  const found = (source: string, definition: BindingDefinition): FoundBinding => {
    return { shown: show(vhost, source, definition), definition };
  };
  const { routers } = await vhost.session.request('listRouters', {});
  const declared = routers.flatMap(({ name, bindings }) => bindings.map((binding) => found(name, binding)));
  if (which === 'declared') return declared;
  const queues = await queuesOf(vhost);
  return [
    ...queues.map(({ definition: { name } }) =>
      found('', { to: { topic: name }, key: name, match: null, filter: null }),
    ),
    ...declared,
  ];
}

export async function bindingsOf(vhost: Vhost, which: 'declared' | 'all'): Promise<ShownBinding[]> {
  return (await foundIn(vhost, which)).map(({ shown }) => shown);
}

async function listBindings(call: Call, filter: (binding: ShownBinding) => boolean = () => true): Promise<Answer> {
  const shown: ShownBinding[] = [];
  for (const vhost of await call.management.vhosts(call)) shown.push(...(await bindingsOf(vhost, 'all')));
  return list(shown.filter(filter));
}

/** The two ends that a path names. */
function ends({ params }: Call): { source: string; destination: string; type: 'queue' | 'exchange' } {
  const type = params['type'] === 'q' ? 'queue' : params['type'] === 'e' ? 'exchange' : undefined;
  if (type === undefined) throw notFound();
  return { source: exchangeName(param(params, 'source')), destination: param(params, 'destination'), type };
}

function between(call: Call): (binding: ShownBinding) => boolean {
  const { source, destination, type } = ends(call);
  return (binding) =>
    binding.source === source && binding.destination === destination && binding.destination_type === type;
}

async function findBinding(call: Call): Promise<FoundBinding & { vhost: Vhost }> {
  const vhost = await call.management.vhost(call, param(call.params, 'vhost'));
  const props = param(call.params, 'props');
  const isBetween = between(call);
  const found = (await foundIn(vhost, 'all'))
    .filter(({ shown }) => isBetween(shown))
    // A path has it once or twice encoded, as the tool likes.
    .find(({ shown: { properties_key: key } }) => key === props || decodeURIComponent(key) === props);
  if (found === undefined) throw notFound();
  return { ...found, vhost };
}

export async function changeBinding(
  call: Call,
  vhost: Vhost,
  how: 'bind' | 'unbind',
  { source, destination, destination_type: type, routing_key: routingKey, arguments: args }: ShownBinding,
  table = toTable(args, 'arguments'),
): Promise<void> {
  const topology = call.management.topology(call, vhost);
  const common = { reserved1: 0, routingKey, arguments: table };
  if (type === 'queue') await topology.bindQueue({ ...common, queue: destination, exchange: source }, how);
  else await topology.bindExchange({ ...common, destination, source, noWait: false }, how);
}

async function postBinding(call: Call): Promise<Answer> {
  const vhost = await call.management.vhost(call, param(call.params, 'vhost'));
  const { source, destination, type } = ends(call);
  const wanted: ShownBinding = {
    source,
    vhost: '',
    destination,
    destination_type: type,
    routing_key: shortText(call.body, 'routing_key', ''),
    // Told apart by what is kept of them, which the list shows.
    arguments: (call.body['arguments'] ?? {}) as Json,
    properties_key: '',
  };
  await changeBinding(call, vhost, 'bind', wanted);
  const bound = (await bindingsOf(vhost, 'declared'))
    .filter(between(call))
    .findLast((binding) => binding.routing_key === wanted.routing_key);
  return { is: 'created', location: `${destination}/${encodeURIComponent(bound?.properties_key ?? '~')}` };
}

export const bindingRoutes: Route[] = [
  route('GET', '/api/bindings', (call) => listBindings(call)),
  route('GET', '/api/bindings/:vhost', (call) => listBindings(call)),
  route('GET', '/api/bindings/:vhost/e/:source/:type/:destination', (call) => listBindings(call, between(call))),
  route('POST', '/api/bindings/:vhost/e/:source/:type/:destination', (call) => postBinding(call)),
  route('GET', '/api/bindings/:vhost/e/:source/:type/:destination/:props', async (call) =>
    object((await findBinding(call)).shown),
  ),
  route('DELETE', '/api/bindings/:vhost/e/:source/:type/:destination/:props', async (call) => {
    const { vhost, shown, definition } = await findBinding(call);
    // As it was bound: JSON has one type for all numbers.
    const { attributes } = definition;
    const table = attributes === undefined ? undefined : fromAttributes(attributes).arguments;
    await changeBinding(call, vhost, 'unbind', shown, table);
    return done;
  }),
  route('GET', '/api/queues/:vhost/:name/bindings', (call) =>
    listBindings(call, (each) => each.destination_type === 'queue' && each.destination === call.params['name']),
  ),
  route('GET', '/api/exchanges/:vhost/:name/bindings/source', (call) => {
    const name = exchangeName(param(call.params, 'name'));
    return listBindings(call, (each) => each.source === name);
  }),
  route('GET', '/api/exchanges/:vhost/:name/bindings/destination', (call) =>
    listBindings(call, (each) => each.destination_type === 'exchange' && each.destination === call.params['name']),
  ),
];
