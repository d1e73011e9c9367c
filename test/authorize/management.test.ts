/** Every route of RabbitMQ's management API, as somebody who has no right to it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storedPassword } from '../../src/core/passwords.ts';
import type { Route } from '../../src/gateways/amqp/management/route.ts';
import { ROUTES } from '../../src/gateways/amqp/management/routes.ts';
import { RawPeer } from '../amqp/raw-peer.ts';
import { assertListed, HIDDEN, type Place, place } from './strangers.ts';

const ITSELF = 'it says of the broker that it is there and well, to whoever may use this API';
const TO_ANYBODY = 'it says that the broker is there and well, to orchestrators too, who have no login';
const SEEN = 'it lists what lies in the virtual hosts of the caller, which are none here';
const OWN = 'it shows and closes the connections of the caller alone; all others are not there for it';
const NONE_FOR_ALL = 'there are none, for anybody';
const NEVER = 'it is not supported, for anybody';

/** Routes that take no more than a tag with which this API may be used at all, as in RabbitMQ. */
const FREE: Record<string, string> = {
  'GET /api/overview': 'it counts what lies in the virtual hosts of the caller',
  'GET /api/cluster-name': ITSELF,
  'GET /api/extensions': ITSELF,
  'GET /api/healthchecks/node': ITSELF,
  'GET /api/healthchecks/node/:node': ITSELF,
  'GET /api/health/checks/alarms': ITSELF,
  'GET /api/health/checks/local-alarms': ITSELF,
  'GET /api/health/checks/virtual-hosts': ITSELF,
  'GET /api/health/checks/node-is-mirror-sync-critical': ITSELF,
  'GET /api/health/checks/node-is-quorum-critical': ITSELF,
  'GET /api/health/checks/port-listener/:port': ITSELF,
  'GET /api/health/checks/protocol-listener/:protocols': ITSELF,
  'GET /api/health/checks/reached-target-cluster-size': ITSELF,
  'GET /api/health/checks/metadata-store/initialized': ITSELF,
  'GET /api/health/checks/metadata-store/initialized/with-data': ITSELF,
  'GET /api/health/checks/quorum-queues-without-elected-leaders/all-vhosts': ITSELF,
  'GET /api/health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/:pattern': ITSELF,
  'GET /api/health/checks/quorum-queues-without-elected-leaders/vhost/:vhost': ITSELF,
  'GET /api/health/checks/quorum-queues-without-elected-leaders/vhost/:vhost/pattern/:pattern': ITSELF,
  'GET /api/health/checks/is-in-service': TO_ANYBODY,
  'GET /api/health/checks/below-node-connection-limit': TO_ANYBODY,
  'GET /api/health/checks/ready-to-serve-clients': TO_ANYBODY,
  'GET /api/whoami': 'it says to the caller who it is',
  'GET /api/vhosts': SEEN,
  'GET /api/vhost-limits': SEEN,
  'GET /api/queues': SEEN,
  'GET /api/exchanges': SEEN,
  'GET /api/bindings': SEEN,
  'GET /api/policies': SEEN,
  'GET /api/operator-policies': SEEN,
  'GET /api/connections': OWN,
  'GET /api/connections/:name': OWN,
  'DELETE /api/connections/:name': OWN,
  'GET /api/connections/username/:user': OWN,
  'DELETE /api/connections/username/:user': OWN,
  'GET /api/connections/:name/channels': OWN,
  'GET /api/channels': OWN,
  'GET /api/channels/:name': OWN,
  'GET /api/consumers': OWN,
  'GET /api/parameters': NONE_FOR_ALL,
  'GET /api/parameters/:component': NONE_FOR_ALL,
  'GET /api/parameters/:component/:vhost': NONE_FOR_ALL,
  'GET /api/parameters/:component/:vhost/:name': NONE_FOR_ALL,
  'GET /api/global-parameters': NONE_FOR_ALL,
  'GET /api/global-parameters/:name': NONE_FOR_ALL,
  'GET /api/feature-flags': NONE_FOR_ALL,
  'GET /api/deprecated-features': NONE_FOR_ALL,
  'GET /api/deprecated-features/used': NONE_FOR_ALL,
  'PUT /api/parameters/:component/:vhost/:name': NEVER,
  'PUT /api/global-parameters/:name': NEVER,
  'PUT /api/feature-flags/:name/enable': NEVER,
  'PUT /api/cluster-name': NEVER,
  'POST /api/queues/:vhost/:name/actions': NEVER,
  'POST /api/vhosts/:vhost/start/:node': NEVER,
};

/** Of all others, those that who has no right in a virtual host that it sees may ask. What they show lies in it. */
const IN_SIGHT = 'GET /api/';
const NOT_IN_SIGHT: readonly string[] = ['GET /api/aliveness-test/:vhost', 'GET /api/definitions/:vhost'];

const patterns = { configure: '.*', write: '.*', read: '.*' };
const policy = { pattern: '.*', definition: { 'max-length': 1 } };

/** Of those that are refused without one for another reason. */
const BODIES: Record<string, object> = {
  'POST /api/users/bulk-delete': { users: ['bystander'] },
  'PUT /api/users/:user': { password: 'correct horse', tags: 'administrator' },
  'PUT /api/permissions/:vhost/:user': patterns,
  'PUT /api/topic-permissions/:vhost/:user': { exchange: HIDDEN, write: '.*', read: '.*' },
  'PUT /api/vhost-limits/:vhost/:name': { value: 1 },
  'PUT /api/user-limits/:user/:name': { value: 100 },
  'PUT /api/exchanges/:vhost/:name': { type: 'direct' },
  'POST /api/bindings/:vhost/e/:source/:type/:destination': { routing_key: 'k' },
  'POST /api/exchanges/:vhost/:name/publish': {
    routing_key: 'k',
    payload: 'x',
    payload_encoding: 'string',
    properties: {},
  },
  'POST /api/queues/:vhost/:name/get': { count: 1, ackmode: 'ack_requeue_true', encoding: 'auto' },
  'PUT /api/policies/:vhost/:name': policy,
  'PUT /api/operator-policies/:vhost/:name': policy,
  'POST /api/definitions': { queues: [{ name: `new-${HIDDEN}`, vhost: '/' }] },
  'POST /api/definitions/:vhost': { queues: [{ name: `new-${HIDDEN}` }] },
};

interface Bench {
  at: Place;
  params: Record<string, string>;
}

const keyOf = ({ method, path }: Pick<Route, 'method' | 'path'>): string => `${method} ${path}`;

/** With an exchange that is bound to a queue, a user, and a client that is connected. */
async function bench(t: Parameters<typeof place>[0]): Promise<Bench> {
  const at = await place(t);
  await at.users.put({ name: 'bystander' });
  // Whom the scripted peer logs in as.
  await at.users.put({ name: 'guest', password: await storedPassword('guest'), role: 'operator' });
  const made: [path: string, body: object][] = [
    [`queues/%2F/${HIDDEN}`, {}],
    [`exchanges/%2F/${HIDDEN}`, { type: 'direct' }],
    [`policies/%2F/${HIDDEN}`, policy],
    [`operator-policies/%2F/${HIDDEN}`, policy],
    [`vhost-limits/%2F/max-queues`, { value: 100 }],
  ];
  for (const [path, body] of made) {
    const { status, text } = await ask(at, 'root', 'PUT', `/api/${path}`, body);
    assert.ok(status < 300, `${path}: ${status} ${text}`);
  }
  const bound = await ask(at, 'root', 'POST', `/api/bindings/%2F/e/${HIDDEN}/q/${HIDDEN}`, { routing_key: HIDDEN });
  assert.equal(bound.status, 201, bound.text);
  const peer = await RawPeer.open(Number(new URL(at.server.amqpUrl ?? '').port));
  at.beforeEnd(() => peer.socket.destroy());
  const connections = JSON.parse((await ask(at, 'root', 'GET', '/api/connections')).text) as { name: string }[];
  const nodes = JSON.parse((await ask(at, 'root', 'GET', '/api/nodes')).text) as { name: string }[];
  const params = {
    vhost: '/',
    type: 'q',
    props: HIDDEN,
    user: 'bystander',
    port: '1',
    protocols: 'amqp',
    node: nodes[0]?.name ?? '',
    connection: connections[0]?.name ?? '',
  };
  return { at, params };
}

async function ask(at: Place, user: string, method: string, path: string, body?: object) {
  const { id, secret } = at.keyOf(user);
  const authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
  const response = await fetch(new URL(path, at.server.amqpManagementUrl ?? ''), {
    method,
    headers: { authorization },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

function pathOf({ path }: Route, params: Record<string, string>): string {
  const connection = params['connection'] ?? '';
  const name = path.startsWith('/api/connections/') ? connection : `${connection} (1)`;
  const isLive = path.startsWith('/api/connections/') || path.startsWith('/api/channels/');
  return path.replaceAll(/:(\w+)/g, (_, param: string) => {
    if (param === 'name' && path.startsWith('/api/vhost-limits/')) return 'max-queues';
    if (param === 'name' && path.startsWith('/api/user-limits/')) return 'max-channels';
    return encodeURIComponent(param === 'name' && isLive ? name : (params[param] ?? HIDDEN));
  });
}

/** As RabbitMQ says it, with the reason. */
async function outcome({ at, params }: Bench, user: string, route: Route): Promise<string> {
  const body = route.method === 'GET' ? undefined : (BODIES[keyOf(route)] ?? {});
  const { status, text } = await ask(at, user, route.method, pathOf(route, params), body);
  if (text.includes(HIDDEN) && status < 300) return `shows ${text.slice(0, 200)}`;
  return status === 401 && text.includes('"not_authorized"') ? 'refused' : String(status);
}

async function outcomes(
  found: Bench,
  user: string,
  routes: readonly Route[],
): Promise<[key: string, outcome: string][]> {
  const all: [string, string][] = [];
  for (const route of routes) all.push([keyOf(route), await outcome(found, user, route)]);
  return all;
}

async function assertAllRefused(found: Bench, user: string, routes: readonly Route[]): Promise<void> {
  const wrong = (await outcomes(found, user, routes)).filter(([, answer]) => answer !== 'refused');
  assert.deepEqual(wrong, []);
}

const TAKING = ROUTES.filter((route) => !Object.hasOwn(FREE, keyOf(route)));

test('every route of the management API is refused to who may not use it at all', async (t) => {
  const found = await bench(t);
  assert.ok(ROUTES.length > 100);
  const closed = ROUTES.filter(({ open }) => open === undefined);
  await assertAllRefused(found, 'nobody', closed);
  const open = ROUTES.filter((route) => !closed.includes(route)).map(keyOf);
  assert.deepEqual(
    open,
    Object.keys(FREE).filter((key) => FREE[key] === TO_ANYBODY),
  );
});

test('every route of the management API is refused to who sees no virtual host, or says why not and shows nothing', async (t) => {
  const found = await bench(t);
  const keys = ROUTES.map(keyOf);
  assertListed(keys, FREE, Object.fromEntries(TAKING.map((route) => [keyOf(route), 'a right'])));
  for (const key of Object.keys(BODIES)) assert.ok(keys.includes(key), key);
  await assertAllRefused(found, 'neighbour', TAKING);
  const free = ROUTES.filter((route) => Object.hasOwn(FREE, keyOf(route)));
  const answers = await outcomes(found, 'neighbour', free);
  for (const [key, answer] of answers) {
    const reason = FREE[key];
    const expected =
      reason === NEVER ? ['501'] : reason === OWN || reason === NONE_FOR_ALL ? ['200', '204', '404'] : ['200', '503'];
    assert.ok(expected.includes(answer), `${key}: ${answer}`);
  }
  const { text } = await ask(found.at, 'root', 'GET', '/api/connections');
  assert.ok(text.includes(found.params['connection'] ?? '-'), 'the connection of another is still there');
});

test('who sees a virtual host, and has no right in it, changes nothing there and reads no message', async (t) => {
  const found = await bench(t);
  await found.at.users.setPermission('neighbour', 'default', { configure: '', write: '', read: '' });
  const changing = TAKING.filter((route) => !keyOf(route).startsWith(IN_SIGHT) || NOT_IN_SIGHT.includes(keyOf(route)));
  assert.ok(changing.length > 20);
  await assertAllRefused(found, 'neighbour', changing);
});

test('no route of the management API that takes a right is refused to an administrator', async (t) => {
  const found = await bench(t);
  const refused = (await outcomes(found, 'root', TAKING)).filter(([, answer]) => answer === 'refused');
  assert.deepEqual(refused, []);
});
