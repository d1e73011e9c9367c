/** Every route of the HTTP API, as somebody who has no right to it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { openApiDocument } from '../../src/gateways/http/openapi.ts';
import { deliveryId } from '../../src/gateways/http/delivery-id.ts';
import { ROUTES } from '../../src/gateways/http/routes/index.ts';
import { assertListed, assertRefused, HIDDEN, type Place, place, STRANGERS } from './strangers.ts';

const SOURCE = resolve(import.meta.dirname, '../../src/gateways/http');

/** Routes of the table that take no right. */
const FREE: Record<string, string> = {
  'get /alerts': 'it tells of those queues alone that the caller may inspect, and of nothing else',
  'get /namespaces': 'it names those namespaces alone in which the caller has a right, and the default one',
};

const TAKES_A_RIGHT = 'takes a right';

/** What is beside the table. */
const BESIDE: Record<string, string> = {
  'get /healthz': 'it says whether the process works, to those who run it',
  'get /readyz': 'it says whether the broker takes requests',
  'get /openapi.json': 'it is the same for every broker of this version',
  'get /metrics': TAKES_A_RIGHT,
  'post /api/v1/login': 'it is how a browser logs in',
  'get /api/v1/login': 'it says how one can log in',
  'get /api/v1/login/:issuer': 'it sends a browser to where it logs in',
  'get /api/v1/login/:issuer/done': 'it is where a browser comes back to with what it was given there',
  'post /api/v1/logout': 'it takes back what the caller was given',
  'get /api/v1/whoami': 'it says to the caller who it is',
  'get /*': 'the pages of the dashboard, which hold nothing of the broker',
};

const message = { body: 1 };
const binding = { to: { topic: HIDDEN } };
const acl = { user: '*', kind: 'topic', name: HIDDEN, operation: 'read' };

/** By operationId, of those that are refused without one, or with an empty one. */
const BODIES: Record<string, object> = {
  publishToQueue: message,
  publishToTopic: message,
  publishToRouter: message,
  publishBatchToQueue: { messages: [message] },
  publishBatchToTopic: { messages: [message] },
  settle: {
    action: 'ack',
    deliveries: [deliveryId({ ref: { topic: HIDDEN, subscription: HIDDEN }, partition: 0, offset: 0, token: 1 })],
  },
  seekQueue: { to: 'start' },
  seekSubscription: { to: 'start' },
  rescheduleInQueue: { delay: '1s' },
  rescheduleInSubscription: { delay: '1s' },
  undoRedriveOfQueue: { since: '2026-01-01T00:00:00Z' },
  undoRedriveOfSubscription: { since: '2026-01-01T00:00:00Z' },
  putSchedule: { body: 1, to: HIDDEN, cron: '@daily' },
  declareRouter: { type: 'direct' },
  bind: binding,
  unbind: binding,
  putRule: { verbs: ['publish'] },
  putPermission: { configure: '', write: '', read: '' },
  putTopicPermission: { write: '', read: '' },
  putPolicy: { pattern: '.*', definition: { 'max-length': 1 } },
  failRecord: { topic: `${HIDDEN}-topic`, partition: 0, offset: 0 },
  addAcl: acl,
  removeAcl: acl,
  putQuota: { user: null, producerByteRate: 1 },
  putOperatorPolicy: { pattern: '.*', definition: { 'max-length': 1 } },
  putVhostLimit: { value: 1 },
  changeVhost: { description: 'x' },
  putAlert: { when: 'depth', above: 1 },
  putSchema: { avro: 'string' },
};

const PARAMS: Record<string, string> = {
  user: 'bystander',
  namespace: 'default',
  pattern: '*',
  id: '1.0.0',
  algorithm: 'sha256',
  limit: 'max-queues',
};

type Spec = (typeof ROUTES)[number]['spec'];

const keyOf = ({ method, path }: Pick<Spec, 'method' | 'path'>): string => `${method} ${path}`;

/** What a request is answered with; `refused` is 403 with FORBIDDEN, in the one form of all failures. */
async function outcome({ server, tokenOf }: Place, user: string, method: string, path: string, body?: object) {
  const controller = new AbortController();
  const response = await fetch(new URL(path, server.httpUrl), {
    method: method.toUpperCase(),
    headers: {
      authorization: `Bearer ${tokenOf(user)}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: controller.signal,
  });
  if (response.ok) {
    // Events would go on.
    controller.abort();
    return 'done';
  }
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  if (response.status === 403 && error.code === 'FORBIDDEN') return 'refused';
  return `${response.status} ${error.code} ${error.message}`;
}

test('every route of the HTTP API is refused to who has no right, and to who has every right elsewhere', async (t) => {
  const at = await place(t);
  await at.users.put({ name: 'bystander' });
  const specs = new Map(ROUTES.map(({ spec }) => [keyOf(spec), spec]));
  for (const free of Object.keys(FREE)) assert.ok(specs.has(free), free);
  const operations = new Set(ROUTES.map(({ spec }) => spec.operationId));
  for (const operation of Object.keys(BODIES)) assert.ok(operations.has(operation), operation);
  const made: [method: string, path: string, body: object][] = [
    ['put', `/queues/${HIDDEN}`, {}],
    ['put', `/topics/${HIDDEN}-topic`, {}],
    ['put', `/topics/${HIDDEN}-topic/subscriptions/${HIDDEN}`, {}],
    ['put', `/routers/${HIDDEN}`, { type: 'direct' }],
  ];
  for (const [method, path, body] of made)
    assert.equal(await outcome(at, 'root', method, `/api/v1${path}`, body), 'done', path);
  const commands = [...specs.keys()].filter((key) => !Object.hasOwn(FREE, key));
  assert.ok(commands.length > 80);
  await assertRefused(commands, (command, user) => {
    const spec = specs.get(command);
    assert.ok(spec);
    const path = spec.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(PARAMS[name] ?? (name === 'topic' ? `${HIDDEN}-topic` : HIDDEN)),
    );
    const body = spec.body === undefined ? undefined : (BODIES[spec.operationId] ?? {});
    return outcome(at, user, spec.method, `/api/v1${path}`, body);
  });
});

test('what HTTP has beside its table of routes takes a right, or says why not', async (t) => {
  const at = await place(t);
  const found = ['gateway.ts', 'login-routes.ts'].flatMap((file) =>
    [...readFileSync(join(SOURCE, file), 'utf8').matchAll(/\bapp\.(get|post|put|patch|delete)\('([^']+)'/g)].map(
      ([, method, path]) => `${method} ${path}`,
    ),
  );
  assertListed(found, BESIDE);
  const { paths } = openApiDocument() as { paths: Record<string, object> };
  const documented = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  const known = new Set([...ROUTES.map(({ spec }) => `${spec.method} /api/v1${spec.path}`), ...found]);
  assert.deepEqual(
    documented.filter((each) => !known.has(each)),
    [],
  );
  const commands = Object.keys(BESIDE).filter((key) => BESIDE[key] === TAKES_A_RIGHT);
  await assertRefused(commands, (command, user) => {
    const [method = '', path = ''] = command.split(' ');
    return outcome(at, user, method, path);
  });
});

test('no alert is shown to who may not inspect what it is about, and no rule', async (t) => {
  const { server, tokenOf } = await place(t);
  for (const user of STRANGERS) {
    const headers = { authorization: `Bearer ${tokenOf(user)}` };
    const response = await fetch(new URL('/api/v1/alerts', server.httpUrl), { headers });
    assert.deepEqual(await response.json(), { active: [], ended: [], rules: null });
  }
});

test('no namespace is named to who has no right in it', async (t) => {
  const { server, tokenOf } = await place(t);
  const asked = async (user: string): Promise<unknown> => {
    const headers = { authorization: `Bearer ${tokenOf(user)}` };
    return (await fetch(new URL('/api/v1/namespaces', server.httpUrl), { headers })).json();
  };
  assert.deepEqual(await asked('nobody'), { namespaces: [] });
  assert.deepEqual(await asked('neighbour'), { namespaces: [] });
});
