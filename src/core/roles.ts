import type { Action, Grant } from './auth.ts';

/** What people are, in all namespaces. Programs have rules instead. */
export const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** The words of a rule: `allow publish on orders* in shop`. */
export const RULE_VERBS = ['publish', 'consume', 'manage'] as const;
export type RuleVerb = (typeof RULE_VERBS)[number];

/** Allows a user something with everything that has such a name: topics, queues, routers, schedules, groups, producers. */
export interface Rule {
  readonly verbs: readonly RuleVerb[];
  /** A name, or a prefix followed by `*`. */
  readonly pattern: string;
  /** The same for the namespace. */
  readonly namespace: string;
}

const ACTIONS_OF_ROLE: Record<Role, Grant['actions']> = {
  // Definitions and counts. What is in a message takes the right to consume.
  viewer: ['inspect'],
  operator: ['inspect', 'configure', 'publish', 'consume', 'manage'],
  admin: 'all',
};

const ACTIONS_OF_VERB: Record<RuleVerb, readonly Action[]> = {
  // Clients of most protocols ask what a queue or topic is before they use it.
  publish: ['publish', 'inspect'],
  consume: ['consume', 'inspect'],
  manage: ['configure', 'manage', 'inspect'],
};

export function grantsOfRole(role: Role | null): readonly Grant[] {
  return role === null ? [] : [{ namespace: '*', resource: '*', actions: ACTIONS_OF_ROLE[role] }];
}

export function grantOfRule({ verbs, pattern, namespace }: Rule): Grant {
  return { namespace, resource: pattern, actions: [...new Set(verbs.flatMap((verb) => ACTIONS_OF_VERB[verb]))] };
}
