import { toVhost } from '../../../core/vhosts.ts';
import type { Vhost } from '../vhost.ts';
import { checkVhostLimit, VhostLimits } from '../../vhost-limits.ts';
import { bad, notFound } from './errors.ts';
import { param } from './fields.ts';
import { isJson, type Json } from './json.ts';
import { type Call, done, list, put, type Route, route } from './route.ts';

/** As definitions name it: a parameter of each virtual host that has limits. */
export const VHOST_LIMITS_COMPONENT = 'vhost-limits';

/** Of one virtual host; undefined where there are none. */
export async function limitsOf(vhost: Vhost): Promise<Json | undefined> {
  const value: Json = { ...(await new VhostLimits(vhost.session).read()) };
  return Object.keys(value).length === 0 ? undefined : value;
}

/** Of a parameter in definitions. @throws INVALID, bad_request */
export function readLimits(value: unknown): Map<string, unknown> {
  if (!isJson(value)) throw bad('limits of a virtual host are no object');
  for (const [name, limit] of Object.entries(value)) checkVhostLimit(name, limit);
  return new Map(Object.entries(value));
}

export async function putLimits(vhost: Vhost, limits: ReadonlyMap<string, unknown>): Promise<void> {
  const kept = new VhostLimits(vhost.session);
  for (const [name, value] of limits) await kept.put(name, value);
}

async function listLimits(call: Call): Promise<Json[]> {
  const shown: Json[] = [];
  for (const vhost of await call.management.vhosts(call)) {
    const value = await limitsOf(vhost);
    if (value !== undefined) shown.push({ vhost: toVhost(vhost.namespace), value });
  }
  return shown;
}

async function limitsToChange(call: Call): Promise<VhostLimits> {
  call.access.assertAdministrator();
  return new VhostLimits((await call.management.vhost(call, param(call.params, 'vhost'))).session);
}

export const vhostLimitRoutes: Route[] = [
  route('GET', '/api/vhost-limits', async (call) => list(await listLimits(call))),
  route('GET', '/api/vhost-limits/:vhost', async (call) => list(await listLimits(call))),
  route('PUT', '/api/vhost-limits/:vhost/:name', async (call) => {
    const limits = await limitsToChange(call);
    return put((await limits.put(param(call.params, 'name'), call.body['value'])).created);
  }),
  route('DELETE', '/api/vhost-limits/:vhost/:name', async (call) => {
    const limits = await limitsToChange(call);
    if (!(await limits.delete(param(call.params, 'name'))).deleted) throw notFound();
    return done;
  }),
];
