import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { count, print, printJson } from '../terminal.ts';

interface Options extends BrokerOptions {
  subscription?: string;
  ifEmpty?: boolean;
  ifUnused?: boolean;
}

export function configure(command: Command): void {
  brokerOptions(
    command
      .argument('<name>', 'the queue or topic')
      .option('-s, --subscription <NAME>', 'only this subscription of it')
      .option('--if-empty', 'refuse when messages wait')
      .option('--if-unused', 'refuse when it has consumers'),
  ).action(async (name: string, options: Options) => {
    const { subscription, ifEmpty, ifUnused } = options;
    await withRail(options, async (rail) => {
      if (subscription !== undefined) {
        const result = await rail.request('deleteSubscription', { topic: name, subscription });
        if (!result.deleted) throw notThere(subscription);
        if (options.json) printJson(result);
        else print(`Deleted ${subscription}.`);
        return;
      }
      const result = await rail.request('deleteTopic', {
        name,
        ...(ifEmpty && { ifEmpty }),
        ...(ifUnused && { ifUnused }),
      });
      if (!result.deleted) throw notThere(name);
      if (options.json) printJson(result);
      else print(`Deleted ${name} with ${count(result.messages)} messages.`);
    });
  });
}

function notThere(name: string): RailheadError {
  return new RailheadError('NOT_FOUND', `${JSON.stringify(name)} does not exist. railhead ls lists what does.`);
}
