/** What the group of `kafka-retries.test.ts` has to do, and where. */
export const ORDERS = 'orders';
export const GROUP = 'billing';
export const RETRY = 'orders.billing.retry';
export const DEAD = 'orders.billing.dead';

/** Every fourth is never done, every other one at its second try. What is wrong, or undefined. */
export function handle(value: string, topic: string): string | undefined {
  if (isHopeless(value)) return 'no such customer';
  return topic === ORDERS && Number(value) % 2 === 1 ? 'not yet' : undefined;
}

export function isHopeless(value: string): boolean {
  return Number(value) % 4 === 0;
}
