import type { Command } from 'commander';
import type { ConsumerShown } from '../../core/stats.ts';
import { withRail } from '../broker.ts';
import { refOf, subscriptionOptions, type SubscriptionOptions } from '../subscription.ts';
import { age, count, note, print, printJson, safe, table, type Column } from '../terminal.ts';

export function configure(command: Command): void {
  subscriptionOptions(command).action(async (name: string, options: SubscriptionOptions) => {
    const { consumers } = await withRail(options, (rail) => rail.request('listConsumers', refOf(name, options)));
    if (options.json) for (const consumer of consumers) printJson(consumer);
    else if (consumers.length === 0) note('No consumers.');
    else for (const line of table(COLUMNS, consumers)) print(line);
  });
}

const COLUMNS: Column<ConsumerShown>[] = [
  { title: 'CLIENT', of: ({ client }) => safe(client) },
  { title: 'NAME', of: ({ name }) => safe(name) },
  { title: 'USER', of: ({ user }) => safe(user) },
  { title: 'HOLDS', of: ({ inFlight }) => count(inFlight), align: 'right' },
  { title: 'MAY HAVE', of: ({ credit }) => count(credit), align: 'right' },
  { title: 'PRIORITY', of: ({ priority }) => (priority === 0 ? '' : count(priority)), align: 'right' },
  { title: 'FOR', of: ({ since }) => age(Date.now() - since), align: 'right' },
];
