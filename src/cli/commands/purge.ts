import type { Command } from 'commander';
import { withRail } from '../broker.ts';
import { refOf, subscriptionOptions, type SubscriptionOptions } from '../subscription.ts';
import { count, print, printJson } from '../terminal.ts';

export function configure(command: Command): void {
  subscriptionOptions(command).action(async (name: string, options: SubscriptionOptions) => {
    const result = await withRail(options, (rail) => rail.request('purge', refOf(name, options)));
    if (options.json) printJson(result);
    else print(`Removed ${count(result.purged)} messages.`);
  });
}
