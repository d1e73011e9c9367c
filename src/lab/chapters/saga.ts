import { join } from 'node:path';
import type { Rail } from '../../sdk/rail.ts';
import type { Stage } from '../chapter.ts';
import type { Child } from '../child.ts';
import { barRows } from '../charts.ts';
import { many, sameTally, tally, whole } from '../numbers.ts';
import { type LedgerEntry, readLedger } from '../parts/ledger.ts';
import { type Deed, expectedOf, type Order, type Outcome, someOrders, steps } from '../parts/orders.ts';
import { startBroker } from '../parts/stand.ts';
import { until } from '../wait.ts';

const ORDERS = 40;
/** Payments is killed with this charge just written into its book. */
const FATAL_CHARGE = 8;
const DEPARTMENTS = ['stock', 'payments', 'shipping'] as const;

export async function saga(stage: Stage): Promise<void> {
  const { screen, fleet, dir, check } = stage;
  screen.say(
    'An order takes three departments: stock reserves, payments charges, shipping ships. No database transaction spans them. Each takes a message, does its part, and sends the next message together with its acknowledgement. When shipping fails, messages go back: refund the money, release the goods.',
  );
  screen.line();
  const { url, rail } = await startBroker(stage);
  await declareAll(rail);
  const ledger = (department: string): string => join(dir, `${department}.ledger`);
  const open = (department: (typeof DEPARTMENTS)[number], hangsAt?: number): Promise<Child> =>
    fleet.start('orders', { url, name: department, department, ledger: ledger(department), hangsAt });
  const [payments] = await Promise.all([open('payments', FATAL_CHARGE), open('stock'), open('shipping')]);

  const orders = someOrders(ORDERS);
  const ended: Outcome[] = [];
  const collector = rail.queue(steps.ended).work(({ body }) => void ended.push(body));
  stage.after(() => collector.close());
  await rail.queue(steps.reserve).sendMany(orders);
  screen.step(
    `${whole(ORDERS)} orders come in. Some cards are declined, unicorns are sold out, nobody ships to the Moon.`,
  );
  await until('payments hangs', () => payments.told('done').length >= FATAL_CHARGE);
  await payments.kill9();
  screen.step(
    `Payments has charged a card and waits for an answer. kill -9 of process ${payments.pid}, before it can say so.`,
  );
  const successor = await open('payments');
  await until('every order has ended', () => new Set(ended.map(({ id }) => id)).size === ORDERS);
  await until('no message is left', async () => (await depthOfAll(rail)) === 0);
  const repeats = successor.counts.get('repeats') ?? 0;
  screen.step(
    'A new payments process gets that message again, finds the charge in its book, and does not charge twice.',
  );

  const book = DEPARTMENTS.flatMap((department) => readLedger(ledger(department)));
  screen.line();
  screen.figure(barRows(outcomeRows(ended), screen.width - 2));
  screen.line();
  const deeds = deedsByOrder(book);
  check(
    'every order ended once, as it should',
    ended.length === ORDERS && orders.every((order) => endedWell(order, ended)),
  );
  check(
    'for every order exactly the right things were done, each once',
    orders.every((order) => sameTally(tally(expectedOf(order).deeds), tally(deeds.get(order.id) ?? []))),
    many(book.length, 'entry in the books', 'entries in the books'),
  );
  const shipped = orders.filter((order) => expectedOf(order).outcome === 'shipped');
  const income = sum(book, 'charged') - sum(book, 'refunded');
  check('the shop has the money of what it shipped, and no other', income === priceOf(shipped), `${whole(income)} €`);
  const missing = count(book, 'reserved') - count(book, 'released');
  check(
    'the stock misses what was shipped, and nothing else',
    missing === shipped.length && missing === count(book, 'shipped'),
    many(missing, 'thing'),
  );
  check(
    'what payments had done when it was killed came again, and was recognised',
    repeats > 0,
    many(repeats, 'repeat'),
  );
}

function declareAll(rail: Rail): Promise<unknown> {
  const { reserve, charge, ship, refund, release, ended } = steps;
  return Promise.all([
    ...[reserve, charge, ship].map((step) => rail.queue(step).ready()),
    ...[refund, release].map((step) => rail.queue(step).ready()),
    rail.queue(ended).ready(),
  ]);
}

async function depthOfAll(rail: Rail): Promise<number> {
  const stats = await Promise.all(Object.values(steps).map(({ name }) => rail.queue(name).stats()));
  return stats.reduce((sum, { depth }) => sum + depth, 0);
}

function endedWell(order: Order, ended: readonly Outcome[]): boolean {
  const { outcome, reason } = expectedOf(order);
  return ended.some((end) => end.id === order.id && end.outcome === outcome && end.reason === reason);
}

function deedsByOrder(book: readonly LedgerEntry[]): Map<string, Deed[]> {
  const deeds = new Map<string, Deed[]>();
  for (const { order, deed } of book) deeds.set(order, [...(deeds.get(order) ?? []), deed]);
  return deeds;
}

function outcomeRows(ended: readonly Outcome[]): { label: string; value: number; text: string }[] {
  const counts = tally(ended.map(({ outcome, reason }) => (reason === '' ? outcome : `${outcome}: ${reason}`)));
  return [...counts].sort((a, b) => b[1] - a[1]).map(([label, value]) => ({ label, value, text: whole(value) }));
}

function count(book: readonly LedgerEntry[], deed: Deed): number {
  return book.filter((entry) => entry.deed === deed).length;
}

function sum(book: readonly LedgerEntry[], deed: Deed): number {
  return book.reduce((total, entry) => total + (entry.deed === deed ? entry.price : 0), 0);
}

function priceOf(orders: readonly Order[]): number {
  return orders.reduce((total, { price }) => total + price, 0);
}
