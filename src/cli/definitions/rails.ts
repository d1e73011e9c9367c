import { SYSTEM_NAMESPACE } from '../../core/access.ts';
import type { Rail } from '../../sdk/rail.ts';
import { type BrokerOptions, namespaceOf, withRail } from '../broker.ts';
import type { Kept } from './settings.ts';

/** Connects to the namespace, and to that of the system where users are asked for. */
export function withKept<T>(
  options: BrokerOptions,
  users: 'with users' | 'without users',
  work: (rail: Rail, kept: Kept) => Promise<T>,
): Promise<T> {
  const namespace = namespaceOf(options);
  return withRail(options, (own) =>
    users === 'without users'
      ? work(own, { namespace, own })
      : withRail({ ...options, namespace: SYSTEM_NAMESPACE }, (system) => work(own, { namespace, own, system })),
  );
}
