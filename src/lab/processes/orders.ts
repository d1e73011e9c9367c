/** One department of a shop, as a process: stock, payments or shipping. Each knows its own ledger and nothing else. */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { connect } from '../../sdk/connect.ts';
import type { WorkContext } from '../../sdk/job.ts';
import type { Rail } from '../../sdk/rail.ts';
import { Ledger } from '../parts/ledger.ts';
import { type Deed, type Order, STOCK, steps, UNREACHABLE } from '../parts/orders.ts';
import { fail, report, startedWith, untilStopped } from './channel.ts';

const Config = z.object({
  url: z.string(),
  name: z.string(),
  department: z.enum(['stock', 'payments', 'shipping']),
  ledger: z.string(),
  /** At this deed, counted from 1, it waits for an answer that never comes. */
  hangsAt: z.number().optional(),
});
export type OrdersConfig = z.infer<typeof Config>;

/** Between a deed and its acknowledgement. */
const ANSWER_MS = 10;
const NEVER_MS = 2 ** 31 - 1;

async function main(): Promise<void> {
  const { url, department, ledger: file, hangsAt } = startedWith(Config);
  const rail = await connect(url, { clientName: department });
  const ledger = new Ledger(file);
  let repeats = 0;
  let deeds = 0;
  const act = async (deed: Deed, { id, item, price }: Order): Promise<void> => {
    if (!ledger.once({ deed, order: id, item, price })) report({ type: 'counts', counts: { repeats: ++repeats } });
    report({ type: 'done', id, at: Date.now() });
    await sleep(++deeds === hangsAt ? NEVER_MS : ANSWER_MS);
  };
  const workers = DEPARTMENTS[department](rail, act);
  untilStopped(async () => {
    await Promise.all(workers.map((worker) => worker.close()));
    ledger.close();
    await rail.close();
  });
  report({ type: 'ready' });
}

type Act = (deed: Deed, order: Order) => Promise<void>;
type Department = (rail: Rail, act: Act) => { close(): Promise<void> }[];

/** Every `ctx.send` is stored together with the ack of its message, or not at all: no step is lost or half done. */
const DEPARTMENTS: Record<z.infer<typeof Config>['department'], Department> = {
  stock: (rail, act) => [
    rail.queue(steps.reserve).work(async ({ body: order }, ctx) => {
      if (STOCK[order.item] === 0) return end(ctx, order, 'cancelled', 'sold out');
      await act('reserved', order);
      ctx.send(steps.charge, order);
    }),
    rail.queue(steps.release).work(async ({ body: { order, reason } }, ctx) => {
      await act('released', order);
      end(ctx, order, 'cancelled', reason);
    }),
  ],
  payments: (rail, act) => [
    rail.queue(steps.charge).work(async ({ body: order }, ctx) => {
      if (order.card === 'declined') return ctx.send(steps.release, { order, reason: 'card declined' });
      await act('charged', order);
      ctx.send(steps.ship, order);
    }),
    rail.queue(steps.refund).work(async ({ body: { order, reason } }, ctx) => {
      await act('refunded', order);
      ctx.send(steps.release, { order, reason });
    }),
  ],
  shipping: (rail, act) => [
    rail.queue(steps.ship).work(async ({ body: order }, ctx) => {
      if (order.to === UNREACHABLE) return ctx.send(steps.refund, { order, reason: 'cannot be shipped' });
      await act('shipped', order);
      end(ctx, order, 'shipped', '');
    }),
  ],
};

function end(ctx: WorkContext, { id }: Order, outcome: 'shipped' | 'cancelled', reason: string): void {
  ctx.send(steps.ended, { id, outcome, reason });
}

main().catch(fail);
