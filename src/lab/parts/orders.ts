import { z } from 'zod';
import { defineQueue } from '../../sdk/define.ts';

export const Order = z.object({
  id: z.string(),
  item: z.enum(['lamp', 'chair', 'unicorn']),
  /** In whole euros. */
  price: z.number(),
  card: z.enum(['good', 'declined']),
  to: z.enum(['Lisbon', 'Oslo', 'the Moon']),
});
export type Order = z.infer<typeof Order>;

const Undo = z.object({ order: Order, reason: z.string() });
const Outcome = z.object({ id: z.string(), outcome: z.enum(['shipped', 'cancelled']), reason: z.string() });
export type Outcome = z.infer<typeof Outcome>;

const policy = { maxAttempts: 10, backoff: { type: 'exponential', min: '100ms', max: '1s' } } as const;

/** One queue for each step of the saga, one for each way back, and one for how it ended. */
export const steps = {
  reserve: defineQueue('orders.reserve', { schema: Order, ...policy }),
  charge: defineQueue('orders.charge', { schema: Order, ...policy }),
  ship: defineQueue('orders.ship', { schema: Order, ...policy }),
  refund: defineQueue('orders.refund', { schema: Undo, ...policy }),
  release: defineQueue('orders.release', { schema: Undo, ...policy }),
  ended: defineQueue('orders.ended', { schema: Outcome }),
};

/** The stock at the beginning. */
export const STOCK: Readonly<Record<Order['item'], number>> = { lamp: 40, chair: 40, unicorn: 0 };

/** Nobody ships there. */
export const UNREACHABLE: Order['to'] = 'the Moon';

const TEN: readonly Omit<Order, 'id'>[] = [
  { item: 'lamp', price: 30, card: 'good', to: 'Lisbon' },
  { item: 'chair', price: 90, card: 'good', to: 'Oslo' },
  { item: 'lamp', price: 30, card: 'good', to: 'the Moon' },
  { item: 'chair', price: 90, card: 'declined', to: 'Lisbon' },
  { item: 'lamp', price: 30, card: 'good', to: 'Oslo' },
  { item: 'unicorn', price: 900, card: 'good', to: 'Oslo' },
  { item: 'chair', price: 90, card: 'good', to: 'Lisbon' },
  { item: 'chair', price: 90, card: 'good', to: 'the Moon' },
  { item: 'lamp', price: 30, card: 'good', to: 'Lisbon' },
  { item: 'lamp', price: 30, card: 'declined', to: 'the Moon' },
];

/** The same orders every time. */
export function someOrders(count: number): Order[] {
  return Array.from({ length: count }, (_, index) => {
    const order = TEN[index % TEN.length];
    if (order === undefined) throw new Error('Railhead bug: no order to repeat');
    return { id: `order-${index + 1}`, ...order };
  });
}

export type Deed = 'reserved' | 'charged' | 'shipped' | 'refunded' | 'released';

/** What has to have been done for an order when its saga is over, and how it ends. Said apart from the code that does it. */
export function expectedOf({ item, card, to }: Order): { deeds: Deed[]; outcome: Outcome['outcome']; reason: string } {
  if (STOCK[item] === 0) return { deeds: [], outcome: 'cancelled', reason: 'sold out' };
  if (card === 'declined') return { deeds: ['reserved', 'released'], outcome: 'cancelled', reason: 'card declined' };
  if (to === UNREACHABLE) {
    return {
      deeds: ['reserved', 'charged', 'refunded', 'released'],
      outcome: 'cancelled',
      reason: 'cannot be shipped',
    };
  }
  return { deeds: ['reserved', 'charged', 'shipped'], outcome: 'shipped', reason: '' };
}
