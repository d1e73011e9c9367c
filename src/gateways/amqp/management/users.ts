import type { StoredKeyPermission, StoredUser, UserChange } from '../../../core/access.ts';
import { storedPassword } from '../../../core/passwords.ts';
import { toNamespace, toVhost } from '../../../core/vhosts.ts';
import { bad, notFound } from './errors.ts';
import { param, shortText, text } from './fields.ts';
import { isJson, type Json } from './json.ts';
import { type Call, done, list, object, put, type Route, route } from './route.ts';

/** RabbitMQ's names of how it hashes passwords, and ours of the same. */
const ALGORITHMS = new Map([
  ['rabbit_password_hashing_sha256', 'rabbit-sha256:'],
  ['rabbit_password_hashing_sha512', 'rabbit-sha512:'],
]);
/** Ours is none of RabbitMQ's: what is exported with it comes back only here. */
const OWN_ALGORITHM = 'railhead_scrypt';

export function showUser({ name, password, tags, limits }: StoredUser): Json {
  const hash = password?.hash ?? '';
  const [algorithm, prefix] = [...ALGORITHMS].find(([, each]) => hash.startsWith(each)) ?? [OWN_ALGORITHM, ''];
  return {
    name,
    password_hash: hash.slice(prefix.length),
    hashing_algorithm: algorithm,
    tags: [...tags],
    limits: { ...limits },
  };
}

/** What is no number is refused where it is put. */
function limitOf(value: unknown): number {
  return typeof value === 'number' || typeof value === 'string' ? Number(value) : NaN;
}

/** Of a body, as `PUT /api/users` and definitions have it. @throws bad_request */
export async function readUser(name: string, body: Json): Promise<UserChange> {
  const { tags = [], password, password_hash: hash, limits } = body;
  const list = Array.isArray(tags) ? tags.map(String) : String(tags).split(',');
  const user = {
    name,
    tags: list.map((tag) => tag.trim()).filter((tag) => tag !== ''),
    ...(isJson(limits) && {
      limits: Object.fromEntries(Object.entries(limits).map(([limit, value]) => [limit, limitOf(value)])),
    }),
  };
  if (typeof password === 'string' && password !== '') return { ...user, password: await storedPassword(password) };
  if (hash === '' || (hash === undefined && password === '')) return { ...user, password: null };
  if (typeof hash !== 'string') throw bad('password or password_hash is missing');
  const algorithm = text(body, 'hashing_algorithm', 'rabbit_password_hashing_sha256');
  if (algorithm === OWN_ALGORITHM) return { ...user, password: { hash, scram: null } };
  const prefix = ALGORITHMS.get(algorithm);
  if (prefix === undefined) throw bad(`the hashing algorithm ${JSON.stringify(algorithm)} is not supported`);
  return { ...user, password: { hash: `${prefix}${hash}`, scram: null } };
}

async function findUser(call: Call): Promise<StoredUser> {
  call.access.assertAdministrator();
  const found = (await call.management.options.users.list()).find(({ name }) => name === call.params['user']);
  if (found === undefined) throw notFound();
  return found;
}

interface Permission extends Json {
  user: string;
  vhost: string;
}

async function permissions(call: Call): Promise<Permission[]> {
  call.access.assertAdministrator();
  const { user, vhost } = call.params;
  return (await call.management.options.users.permissions())
    .map(({ namespace, ...rest }) => ({ ...rest, vhost: toVhost(namespace) }))
    .filter((each) => (user === undefined || each.user === user) && (vhost === undefined || each.vhost === vhost));
}

// ---- Limits ---------------------------------------------------------------------------------------------------------

async function userLimits(call: Call): Promise<Json[]> {
  call.access.assertAdministrator();
  const { user } = call.params;
  return (await call.management.options.users.list())
    .filter(({ name, limits }) => (user === undefined || name === user) && Object.keys(limits).length > 0)
    .map(({ name, limits }) => ({ user: name, value: { ...limits } }));
}

async function putUserLimit(call: Call, value: unknown): Promise<void> {
  const { name } = await findUser(call);
  const limit = param(call.params, 'name');
  await call.management.options.users.put({ name, limits: { [limit]: limitOf(value) } });
}

async function deleteUsers(call: Call, names: readonly string[]): Promise<void> {
  call.access.assertAdministrator();
  for (const name of names) await call.management.options.users.delete(name);
}

/** @throws bad_request for a user or a virtual host that is not there */
async function assertKnown({ access, management }: Call, user: string, namespace: string): Promise<void> {
  access.assertAdministrator();
  const known = (await management.options.users.list()).some(({ name }) => name === user);
  if (!known || !(await management.namespaces()).has(namespace)) throw bad('vhost_or_user_not_found');
}

async function putPermission(call: Call): Promise<boolean> {
  call.access.assertAdministrator();
  const { management, params, body } = call;
  const patterns = { configure: text(body, 'configure'), write: text(body, 'write'), read: text(body, 'read') };
  const namespace = toNamespace(param(params, 'vhost'));
  const user = param(params, 'user');
  const { users } = management.options;
  await assertKnown(call, user, namespace);
  return (await users.setPermission(user, namespace, patterns)).created;
}

// ---- Topic permissions ----------------------------------------------------------------------------------------------

interface TopicPermission extends Json {
  user: string;
  vhost: string;
  exchange: string;
}

export function showTopicPermission({ user, namespace, router, write, read }: StoredKeyPermission): TopicPermission {
  return { user, vhost: toVhost(namespace), exchange: router, write, read };
}

/** Of a body, as `PUT /api/topic-permissions` and definitions have it. */
export function readTopicPermission(user: string, vhost: string, body: Json): StoredKeyPermission {
  const [write, read] = [text(body, 'write'), text(body, 'read')];
  return { user, namespace: toNamespace(vhost), router: shortText(body, 'exchange'), write, read };
}

async function topicPermissions(call: Call): Promise<TopicPermission[]> {
  call.access.assertAdministrator();
  const { user, vhost } = call.params;
  return (await call.management.options.users.keyPermissions())
    .map(showTopicPermission)
    .filter((each) => (user === undefined || each.user === user) && (vhost === undefined || each.vhost === vhost));
}

async function putTopicPermission(call: Call): Promise<boolean> {
  const { management, params, body } = call;
  const permission = readTopicPermission(param(params, 'user'), param(params, 'vhost'), body);
  await assertKnown(call, permission.user, permission.namespace);
  return (await management.options.users.setKeyPermission(permission)).created;
}

/** Those of one exchange, or all that a user has in a virtual host. */
async function deleteTopicPermissions(call: Call): Promise<void> {
  const { params, query, management } = call;
  const exchange = query.get('exchange');
  const found = (await topicPermissions(call)).filter((each) => exchange === null || each.exchange === exchange);
  if (found.length === 0) throw notFound();
  for (const { user, exchange: router } of found)
    await management.options.users.clearKeyPermission({ user, namespace: toNamespace(param(params, 'vhost')), router });
}

export const userRoutes: Route[] = [
  route('GET', '/api/whoami', ({ principal, access }) => object({ name: principal.name, tags: access.tags })),
  route('GET', '/api/users', async (call) => {
    call.access.assertAdministrator();
    return list((await call.management.options.users.list()).map(showUser));
  }),
  route('GET', '/api/users/without-permissions', async (call) => {
    const permitted = new Set((await permissions(call)).map(({ user }) => user));
    const users = await call.management.options.users.list();
    return list(users.filter(({ name }) => !permitted.has(name)).map(showUser));
  }),
  route('POST', '/api/users/bulk-delete', async (call) => {
    const { users } = call.body;
    if (!Array.isArray(users)) throw bad('users is not a list');
    await deleteUsers(call, users.map(String));
    return done;
  }),
  route('GET', '/api/users/:user', async (call) => object(showUser(await findUser(call)))),
  route('PUT', '/api/users/:user', async (call) => {
    call.access.assertAdministrator();
    const user = await readUser(param(call.params, 'user'), call.body);
    return put((await call.management.options.users.put(user)).created);
  }),
  route('DELETE', '/api/users/:user', async (call) => {
    await deleteUsers(call, [(await findUser(call)).name]);
    return done;
  }),
  ...['/api/user-limits', '/api/user-limits/:user'].map((path) =>
    route('GET', path, async (call) => list(await userLimits(call))),
  ),
  route('PUT', '/api/user-limits/:user/:name', async (call) => {
    await putUserLimit(call, call.body['value']);
    return done;
  }),
  route('DELETE', '/api/user-limits/:user/:name', async (call) => {
    await putUserLimit(call, -1);
    return done;
  }),
  route('GET', '/api/users/:user/permissions', async (call) => list(await permissions(call))),
  route('GET', '/api/permissions', async (call) => list(await permissions(call))),
  route('GET', '/api/permissions/:vhost/:user', async (call) => {
    const [found] = await permissions(call);
    if (found === undefined) throw notFound();
    return object(found);
  }),
  route('PUT', '/api/permissions/:vhost/:user', async (call) => put(await putPermission(call))),
  route('DELETE', '/api/permissions/:vhost/:user', async (call) => {
    call.access.assertAdministrator();
    const { user, vhost } = call.params;
    const { users } = call.management.options;
    if (!(await users.clearPermission(user ?? '', toNamespace(vhost ?? ''))).deleted) throw notFound();
    return done;
  }),
  route('GET', '/api/topic-permissions/:vhost/:user', async (call) => {
    const found = await topicPermissions(call);
    if (found.length === 0) throw notFound();
    return list(found);
  }),
  ...['/api/topic-permissions', '/api/users/:user/topic-permissions', '/api/vhosts/:vhost/topic-permissions'].map(
    (path) => route('GET', path, async (call) => list(await topicPermissions(call))),
  ),
  route('PUT', '/api/topic-permissions/:vhost/:user', async (call) => put(await putTopicPermission(call))),
  route('DELETE', '/api/topic-permissions/:vhost/:user', async (call) => {
    await deleteTopicPermissions(call);
    return done;
  }),
];
