import { RailheadError } from './errors.ts';

/** What may be asked of a resource. Every operation of a session maps to exactly one. */
export type Action =
  /** create, change and delete topics, queues, subscriptions, routers, bindings, schedules */
  | 'configure'
  /** publish, also through a router, also by redrive; claim a producer and its transactions */
  | 'publish'
  /** consume, settle, read by offset, commit cursors */
  | 'consume'
  /** definitions, counts, peek */
  | 'inspect'
  /** purge, pause, cancel, reschedule, drop, seek, snapshots */
  | 'manage'
  /** broker-wide facts and acts */
  | 'admin';

export interface Resource {
  namespace: string;
  kind: 'topic' | 'router' | 'schedule' | 'cursor' | 'producer' | 'broker';
  name: string;
}

export interface Grant {
  namespace: string;
  /** A name, or a prefix followed by `*`. */
  resource: string;
  actions: readonly Action[] | 'all';
}

/** Somebody who logged in. */
export interface Principal {
  readonly name: string;
  readonly grants: readonly Grant[];
}

/** What somebody shows to be let in. */
export type Credentials = { readonly token: string } | { readonly user: string; readonly password: string };

/** What every door of a server asks. */
export interface Authenticator {
  /** False: nobody needs to log in, and everybody is `LOCAL_PRINCIPAL`. */
  readonly required: boolean;
  /** @throws UNAUTHENTICATED, in the same words and after the same work whatever was wrong; RATE_LIMITED. */
  authenticate(credentials: Credentials | undefined): Promise<Principal>;
}

/** Who talks to a broker embedded in the own process, or to one without a login on loopback. */
export const LOCAL_PRINCIPAL: Principal = {
  name: 'local',
  grants: [{ namespace: '*', resource: '*', actions: 'all' }],
};

function covers(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}

/** Whether there is anything in a namespace that somebody may do. */
export function mayUse(principal: Principal, namespace: string): boolean {
  return principal.grants.some((grant) => covers(grant.namespace, namespace));
}

/** The one place that says yes or no, for every protocol. @throws FORBIDDEN naming who, what and on which resource. */
export function authorize(principal: Principal, action: Action, resource: Resource): void {
  for (const grant of principal.grants) {
    if (!covers(grant.namespace, resource.namespace) || !covers(grant.resource, resource.name)) continue;
    if (grant.actions === 'all' || grant.actions.includes(action)) return;
  }
  throw new RailheadError(
    'FORBIDDEN',
    `${JSON.stringify(principal.name)} may not ${action} ${resource.kind} ${JSON.stringify(resource.name)} in namespace ${JSON.stringify(resource.namespace)}. Ask for a grant of ${action}.`,
  );
}
