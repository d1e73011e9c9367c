import { RailheadError } from './errors.ts';

/** What may be asked of a resource. Every operation of a session maps to exactly one. */
export type Action =
  /** create, change and delete topics, queues, subscriptions, routers, bindings, schedules */
  | 'configure'
  /** publish, also through a router, also by redrive */
  | 'publish'
  /** consume, settle, read by offset, commit cursors */
  | 'consume'
  /** definitions, counts, peek */
  | 'inspect'
  /** purge, pause, cancel, reschedule, drop, seek */
  | 'manage'
  /** broker-wide facts and acts */
  | 'admin';

export interface Resource {
  namespace: string;
  kind: 'topic' | 'router' | 'schedule' | 'cursor' | 'broker';
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

/** Who talks to a broker embedded in the own process, or to one without a login on loopback. */
export const LOCAL_PRINCIPAL: Principal = { name: 'local', grants: [{ namespace: '*', resource: '*', actions: 'all' }] };

function covers(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
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
