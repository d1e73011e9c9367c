import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import { withRail } from '../broker.ts';
import { refOf, subscriptionOptions, type SubscriptionOptions } from '../subscription.ts';
import { print, printJson } from '../terminal.ts';

export function configure(command: Command): void {
  subscriptionOptions(command)
    .argument('<id>', 'the id of the message, as send and peek show it')
    .action(async (name: string, id: string, options: SubscriptionOptions) => {
      const result = await withRail(options, (rail) => rail.request('cancel', { ...refOf(name, options), id }));
      if (!result.cancelled)
        throw new RailheadError('NOT_FOUND', `${id} does not wait in ${name}: it was settled before, or never there.`);
      if (options.json) printJson(result);
      else print(`Cancelled ${id}.`);
    });
}
