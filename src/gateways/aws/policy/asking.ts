import { type Action, isAuthorized, type Principal } from '../../../core/auth.ts';
import { AwsError } from '../errors.ts';
import type { Caller } from '../service.ts';
import type { Facts } from './conditions.ts';
import { BadPolicy } from './parts.ts';
import { judge, parsePolicy, type Policy } from './policy.ts';

/** The queue or topic that a policy is kept with. */
export interface Guarded {
  namespace: string;
  name: string;
  arn: string;
}

/** Policies by what they are kept with, each read once. One that cannot be read stays an error. */
export class ParsedPolicies<Holder extends object> {
  readonly #parsed = new WeakMap<Holder, Policy | BadPolicy>();

  of(holder: Holder, text: string): Policy | BadPolicy {
    let policy = this.#parsed.get(holder);
    if (policy === undefined) {
      try {
        policy = parsePolicy(text);
      } catch (error) {
        if (!(error instanceof BadPolicy)) throw error;
        policy = error;
      }
      this.#parsed.set(holder, policy);
    }
    return policy;
  }
}

/** Of one who asks: what policies let it do is remembered for so many things. */
const MAX_GRANTS = 1_000;

/** Who may do what a policy allows. One for each who asks and what it may: sessions are kept by principal. */
export class PolicyGrants {
  readonly #known = new WeakMap<Principal, Map<string, Principal>>();

  of(principal: Principal, { namespace, name: resource }: Guarded, actions: readonly Action[]): Principal {
    let known = this.#known.get(principal);
    if (known === undefined) this.#known.set(principal, (known = new Map<string, Principal>()));
    // What one action is granted is not another's.
    const name = `${principal.name} by the policy of ${resource} (${actions.join(', ')})`;
    const key = `${namespace} ${name}`;
    let granted = known.get(key);
    if (granted === undefined) {
      if (known.size >= MAX_GRANTS) known.clear();
      known.set(key, (granted = { name, grants: [{ namespace, resource, actions }] }));
    }
    return granted;
  }
}

/**
 * As whom the action is done: what a policy allows is a grant for this one thing and these rights, on which `authorize`
 * decides as on any other; what it says nothing about is left to the grants of the user.
 *
 * @param action `sqs:SendMessage`
 * @throws AccessDenied
 */
export function admitted(
  policy: Policy | BadPolicy,
  asked: {
    caller: Caller;
    action: string;
    on: Guarded;
    rights: readonly Action[];
    grants: PolicyGrants;
    now: number;
  },
): Caller {
  const { caller, action, on, rights, grants, now } = asked;
  const { principal } = caller;
  const facts = factsOf(caller, now);
  // Whoever wrote one that cannot be read may have meant to keep somebody out.
  const verdict =
    policy instanceof BadPolicy ? 'denied' : judge(policy, { principal, action, resource: on.arn, facts });
  // Or one statement could keep everybody out, also from taking it back.
  if (verdict === 'denied' && !isAuthorized(principal, 'admin', { namespace: on.namespace, kind: 'broker', name: '' }))
    throw new AwsError(
      'AccessDenied',
      `User ${principal.name} is not authorized to perform: ${action} on resource ${on.arn}, with an explicit deny in its policy.`,
      403,
    );
  if (verdict !== 'allowed') return caller;
  return { ...caller, principal: grants.of(principal, on, rights), asker: principal };
}

function factsOf({ principal, request }: Caller, now: number): Facts {
  const { address, secure, headers } = request;
  return new Map([
    ['aws:sourceip', address],
    ['aws:securetransport', String(secure)],
    ['aws:currenttime', new Date(now).toISOString()],
    ['aws:epochtime', String(Math.floor(now / 1000))],
    ['aws:username', principal.name],
    ['aws:useragent', headers['user-agent'] ?? ''],
  ]);
}
