import { toVhost } from '../../../core/vhosts.ts';
import {
  checkOperatorPolicy,
  checkPolicy,
  OPERATOR_POLICY_DOCUMENT,
  Policies,
  type Policy,
  POLICY_DOCUMENT,
} from '../../policies.ts';
import type { Vhost } from '../vhost.ts';
import { notFound } from './errors.ts';
import { param } from './fields.ts';
import type { Json } from './json.ts';
import { type Call, done, list, object, put, type Route, route } from './route.ts';

/** Those of users, and those of the operator, which only administrators set. */
type Kind = typeof POLICY_DOCUMENT | typeof OPERATOR_POLICY_DOCUMENT;

/** As definitions name the second ones: parameters. */
export const OPERATOR_POLICY_COMPONENT = 'operator_policy';

export function policyBody({ pattern, applyTo, priority, definition }: Policy): Json {
  return { pattern, 'apply-to': applyTo, definition, priority };
}

export function showPolicy(vhost: Vhost, policy: Policy): Json {
  return { vhost: toVhost(vhost.namespace), name: policy.name, ...policyBody(policy) };
}

async function listPolicies(call: Call, kind: Kind): Promise<Json[]> {
  const shown: Json[] = [];
  for (const vhost of await call.management.vhosts(call))
    for (const policy of await new Policies(vhost.session, kind).list()) shown.push(showPolicy(vhost, policy));
  return shown;
}

/** Of a body, as `PUT /api/policies` and definitions have it. @throws INVALID, NOT_SUPPORTED */
export function readPolicy(name: string, body: Json, kind: Kind = POLICY_DOCUMENT): Policy {
  const { pattern, definition, priority } = body;
  const policy = { name, pattern, definition, applyTo: body['apply-to'] ?? 'all', priority: Number(priority ?? 0) };
  return kind === POLICY_DOCUMENT ? checkPolicy(policy) : checkOperatorPolicy(policy);
}

export async function putPolicy(
  vhost: Vhost,
  name: string,
  body: Json,
  kind: Kind = POLICY_DOCUMENT,
): Promise<boolean> {
  return (await new Policies(vhost.session, kind).put(readPolicy(name, body, kind))).created;
}

async function vhostToChange(call: Call, kind: Kind): Promise<Vhost> {
  const vhost = await call.management.vhost(call, param(call.params, 'vhost'));
  if (kind === POLICY_DOCUMENT) call.access.assertPolicymaker(vhost.namespace);
  else call.access.assertAdministrator();
  return vhost;
}

function routesOf(path: string, kind: Kind): Route[] {
  return [
    route('GET', path, async (call) => list(await listPolicies(call, kind))),
    route('GET', `${path}/:vhost`, async (call) => list(await listPolicies(call, kind))),
    route('GET', `${path}/:vhost/:name`, async (call) => {
      const found = (await listPolicies(call, kind)).find(({ name }) => name === call.params['name']);
      if (found === undefined) throw notFound();
      return object(found);
    }),
    route('PUT', `${path}/:vhost/:name`, async (call) =>
      put(await putPolicy(await vhostToChange(call, kind), param(call.params, 'name'), call.body, kind)),
    ),
    route('DELETE', `${path}/:vhost/:name`, async (call) => {
      const vhost = await vhostToChange(call, kind);
      if (!(await new Policies(vhost.session, kind).delete(param(call.params, 'name'))).deleted) throw notFound();
      return done;
    }),
  ];
}

export const policyRoutes: Route[] = [
  ...routesOf('/api/policies', POLICY_DOCUMENT),
  ...routesOf('/api/operator-policies', OPERATOR_POLICY_DOCUMENT),
];
