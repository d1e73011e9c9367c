import { checkPolicy, Policies, type Policy } from '../../policies.ts';
import { toVhost } from '../translate.ts';
import type { Vhost } from '../vhost.ts';
import { notFound } from './errors.ts';
import { param } from './fields.ts';
import type { Json } from './json.ts';
import { type Call, done, list, object, put, type Route, route } from './route.ts';

export function showPolicy(vhost: Vhost, { name, pattern, applyTo, priority, definition }: Policy): Json {
  return { vhost: toVhost(vhost.namespace), name, pattern, 'apply-to': applyTo, definition, priority };
}

async function listPolicies(call: Call): Promise<Json[]> {
  const shown: Json[] = [];
  for (const vhost of await call.management.vhosts(call))
    for (const policy of await new Policies(vhost.session).list()) shown.push(showPolicy(vhost, policy));
  return shown;
}

/** Of a body, as `PUT /api/policies` and definitions have it. @throws INVALID, NOT_SUPPORTED */
export function readPolicy(name: string, body: Json): Policy {
  const { pattern, definition, priority } = body;
  const numeric = Number(priority ?? 0);
  return checkPolicy({ name, pattern, definition, applyTo: body['apply-to'] ?? 'all', priority: numeric });
}

export async function putPolicy(vhost: Vhost, name: string, body: Json): Promise<boolean> {
  return (await new Policies(vhost.session).put(readPolicy(name, body))).created;
}

async function vhostToChange(call: Call): Promise<Vhost> {
  const vhost = await call.management.vhost(call, param(call.params, 'vhost'));
  call.access.assertPolicymaker(vhost.namespace);
  return vhost;
}

export const policyRoutes: Route[] = [
  route('GET', '/api/policies', async (call) => list(await listPolicies(call))),
  route('GET', '/api/policies/:vhost', async (call) => list(await listPolicies(call))),
  route('GET', '/api/policies/:vhost/:name', async (call) => {
    const found = (await listPolicies(call)).find(({ name }) => name === call.params['name']);
    if (found === undefined) throw notFound();
    return object(found);
  }),
  route('PUT', '/api/policies/:vhost/:name', async (call) =>
    put(await putPolicy(await vhostToChange(call), param(call.params, 'name'), call.body)),
  ),
  route('DELETE', '/api/policies/:vhost/:name', async (call) => {
    const vhost = await vhostToChange(call);
    if (!(await new Policies(vhost.session).delete(param(call.params, 'name'))).deleted) throw notFound();
    return done;
  }),
];
