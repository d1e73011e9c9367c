import type { Command } from 'commander';
import type { SeekTarget } from '../../core/session.ts';
import { withRail } from '../broker.ts';
import { refOf, subscriptionOptions, type SubscriptionOptions } from '../subscription.ts';
import { count, print, printJson } from '../terminal.ts';
import { startOf, UsageError } from '../usage.ts';

interface SeekOptions extends SubscriptionOptions {
  to?: string;
  snapshot?: string;
}

export function configure(command: Command): void {
  subscriptionOptions(command)
    .option('--to <PLACE>', 'start, end, or a time: what lies before counts as settled')
    .option('--snapshot <NAME>', 'a snapshot of the same queue or topic: what it had not settled, and what came since')
    .action(async (name: string, options: SeekOptions) => {
      const to = target(options);
      const { ready } = await withRail(options, (rail) => rail.request('seek', { ...refOf(name, options), to }));
      if (options.json) printJson({ ready });
      else print(`Moved ${options.subscription ?? name}. Ready: ${count(ready)} so far.`);
    });
}

function target({ to, snapshot }: SeekOptions): SeekTarget {
  if (snapshot !== undefined && to === undefined) return { snapshot };
  if (to !== undefined && snapshot === undefined) return startOf(to, '--to');
  throw new UsageError('Say where to: either --to or --snapshot.');
}
