import type { Backoff } from './policy.ts';

/** How long a message or a record waits after its n-th failure. `chance` in [0, 1). */
export function backoffMs({ type, minMs, maxMs, jitter }: Backoff, failures: number, chance: number): number {
  if (type === 'none') return 0;
  const factor = type === 'fixed' ? 1 : type === 'linear' ? failures : 2 ** Math.min(failures - 1, 52);
  const wait = Math.min(minMs * factor, maxMs);
  return Math.round(jitter ? wait * (0.5 + chance / 2) : wait);
}
