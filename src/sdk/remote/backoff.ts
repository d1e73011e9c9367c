import type { Random } from '../../core/random.ts';

export interface ReconnectPolicy {
  /** Before the first attempt. Default 50. */
  minMs: number;
  /** Default 5,000. */
  maxMs: number;
}

export const RECONNECT: ReconnectPolicy = { minMs: 50, maxMs: 5_000 };

/** Exponential, between half and all of it, so that the clients of a broker that restarts do not come all at once. */
export function reconnectDelay(attempt: number, policy: ReconnectPolicy, random: Random): number {
  const full = Math.min(policy.maxMs, policy.minMs * 2 ** Math.min(attempt, 30));
  return Math.ceil(full * (0.5 + random.next() / 2));
}
