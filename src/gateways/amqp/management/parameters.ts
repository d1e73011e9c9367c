import { OPERATOR_POLICY_DOCUMENT, Policies } from '../../policies.ts';
import type { Vhost } from '../vhost.ts';
import { bad, notSupported } from './errors.ts';
import { text } from './fields.ts';
import { isJson, type Json } from './json.ts';
import { OPERATOR_POLICY_COMPONENT, policyBody, putPolicy, readPolicy } from './policies.ts';
import { limitsOf, putLimits, readLimits, VHOST_LIMITS_COMPONENT } from './vhost-limits.ts';

/** The parameters that definitions have of a virtual host: its limits and what the operator says. Of others there are none. */
export async function parametersOf(vhost: Vhost): Promise<Json[]> {
  const operators = await new Policies(vhost.session, OPERATOR_POLICY_DOCUMENT).list();
  const limits = await limitsOf(vhost);
  return [
    ...operators.map((policy) => ({
      component: OPERATOR_POLICY_COMPONENT,
      name: policy.name,
      value: policyBody(policy),
    })),
    ...(limits === undefined ? [] : [{ component: VHOST_LIMITS_COMPONENT, name: 'limits', value: limits }]),
  ];
}

/** @throws for what would not be obeyed */
export function checkParameter(parameter: Json): void {
  const { component, value } = parameter;
  if (component === OPERATOR_POLICY_COMPONENT)
    readPolicy(text(parameter, 'name'), asJson(value), OPERATOR_POLICY_DOCUMENT);
  else if (component === VHOST_LIMITS_COMPONENT) readLimits(value);
  else throw notSupported(`The parameter ${JSON.stringify(component)} in definitions`);
}

export async function putParameter(vhost: Vhost, parameter: Json): Promise<void> {
  const { component, value } = parameter;
  if (component === VHOST_LIMITS_COMPONENT) await putLimits(vhost, readLimits(value));
  else await putPolicy(vhost, text(parameter, 'name'), asJson(value), OPERATOR_POLICY_DOCUMENT);
}

function asJson(value: unknown): Json {
  if (!isJson(value)) throw bad('the value of a parameter is no object');
  return value;
}
