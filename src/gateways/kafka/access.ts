import { type Action, authorize, type Resource } from '../../core/auth.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Client } from './client.ts';

/** Kafka's topics, groups and transactional ids have names without a tenant. */
export const NAMESPACE = 'default';

/** Whether a client may do one of these; the engine asks again when it does. */
export function may({ principal }: Client, kind: Resource['kind'], name: string, actions: readonly Action[]): boolean {
  return actions.some((action) => {
    try {
      authorize(principal, action, { namespace: NAMESPACE, kind, name });
      return true;
    } catch (error) {
      if (RailheadError.is(error, 'FORBIDDEN')) return false;
      throw error;
    }
  });
}

/** Who may use a topic in any way may know that it is there. */
export function maySee(client: Client, topic: string): boolean {
  return may(client, 'topic', topic, ['inspect', 'publish', 'consume', 'configure']);
}

/** Bits of what a client may do with a resource, as Kafka numbers operations (KIP-430). */
const OPERATIONS: readonly [bit: number, action: Action][] = [
  [3, 'consume'],
  [4, 'publish'],
  [5, 'configure'],
  [6, 'configure'],
  [7, 'configure'],
  [8, 'inspect'],
  [10, 'inspect'],
  [11, 'configure'],
];

export function authorizedOperations(client: Client, kind: Resource['kind'], name: string): number {
  let bits = 0;
  for (const [bit, action] of OPERATIONS) if (may(client, kind, name, [action])) bits |= 1 << bit;
  return bits;
}
